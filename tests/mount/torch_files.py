"""Files as torch.save writes them, without torch: the same pickles and the same archives.

The pickles name classes and functions of torch, so stubs of its modules stand in while one is written.
"""

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

# Class of the storage, dtype of torch, dtype of NumPy; younger types have untyped storages.
TYPES = {
    "float64": ("DoubleStorage", "f8"),
    "float32": ("FloatStorage", "f4"),
    "float16": ("HalfStorage", "f2"),
    "bfloat16": ("BFloat16Storage", "V2"),
    "int64": ("LongStorage", "i8"),
    "int32": ("IntStorage", "i4"),
    "int16": ("ShortStorage", "i2"),
    "int8": ("CharStorage", "i1"),
    "uint8": ("ByteStorage", "u1"),
    "bool": ("BoolStorage", "?"),
    "complex64": ("ComplexFloatStorage", "c8"),
    "complex128": ("ComplexDoubleStorage", "c16"),
    "quint8": ("QUInt8Storage", "u1"),
    "uint16": (None, "u2"),
    "uint32": (None, "u4"),
    "uint64": (None, "u8"),
    "float8_e4m3fn": (None, "V1"),
    "float8_e5m2": (None, "V1"),
}


class Storage:
    """The elements of one or several tensors."""

    def __init__(self, dtype, values):
        self.dtype = dtype
        self.values = np.ascontiguousarray(values).reshape(-1)


class Tensor:
    """A view of a storage; offset and strides count elements."""

    def __init__(self, storage, shape=None, strides=None, offset=0, **how):
        self.storage = storage
        self.shape = (storage.values.size,) if shape is None else tuple(shape)
        packed = [1]
        for length in reversed(self.shape[1:]):
            packed.insert(0, packed[0] * max(length, 1))
        self.strides = tuple(packed[: len(self.shape)]) if strides is None else tuple(strides)
        self.offset = offset
        self.how = how

    def numpy(self):
        """What NumPy makes of the same bytes."""
        values = self.storage.values
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)


def tensor(values, dtype):
    """A tensor of its own storage."""
    return Tensor(Storage(dtype, values), np.shape(values))


class _Named:
    """Something that is pickled by its name alone: a dtype."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return self.name


def _module(name, functions=(), classes=(), dtypes=()):
    module = types.ModuleType(name)
    for function in functions:
        stub = types.FunctionType((lambda *arguments: None).__code__, {}, function)
        stub.__module__, stub.__qualname__ = name, function
        setattr(module, function, stub)
    for cls in classes:
        setattr(module, cls, type(cls, (), {"__module__": name}))
    named = type("dtype", (_Named,), {"__module__": name})
    for dtype in dtypes:
        setattr(module, dtype, named(dtype))
    return module


REBUILD = ["_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_parameter_with_state"]
REBUILD += ["_rebuild_qtensor", "_rebuild_meta_tensor_no_storage", "_rebuild_sparse_tensor"]
MODULES = {
    "torch": _module("torch", classes=filter(None, dict(TYPES.values())), dtypes=[*TYPES, "per_tensor_affine"]),
    "torch._utils": _module("torch._utils", REBUILD),
    "torch._tensor": _module("torch._tensor", ["_rebuild_from_type_v2"]),
    "torch.storage": _module("torch.storage", classes=["UntypedStorage"]),
    "torch.jit._pickle": _module("torch.jit._pickle", ["restore_type_tag", "build_intlist", "build_tensorlist"]),
    "__torch__": _module("__torch__", classes=["Model", "Layer"]),
}


class Call:
    """Pickled as a call of a function of one of the modules."""

    def __init__(self, module, function, *arguments):
        self.function = getattr(MODULES[module], function)
        self.arguments = arguments

    def __reduce__(self):
        return self.function, self.arguments


def instance(module, cls, attributes):
    """An instance of a class of one of the modules, with these attributes."""
    made = getattr(MODULES[module], cls)()
    made.__dict__.update(attributes)
    return made


class _Pickler(pickle.Pickler):
    def __init__(self, file, protocol, location="cpu"):
        super().__init__(file, protocol)
        self.storages = {}
        self.location = location

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        key, _ = self.storages.setdefault(id(obj), (str(len(self.storages)), obj))
        cls = TYPES[obj.dtype][0]
        kept = getattr(MODULES["torch"], cls) if cls else MODULES["torch.storage"].UntypedStorage
        return ("storage", kept, key, self.location, obj.values.size if cls else obj.values.nbytes)

    def reducer_override(self, obj):
        if not isinstance(obj, Tensor):
            return NotImplemented
        how = dict(obj.how)
        arguments = [obj.storage, obj.offset, obj.shape, obj.strides, how.pop("requires_grad", False), OrderedDict()]
        utils, cls = MODULES["torch._utils"], TYPES[obj.storage.dtype][0]
        if how.pop("quantised", False):
            arguments.insert(4, (MODULES["torch"].per_tensor_affine, 0.5, 128))
            return utils._rebuild_qtensor, tuple(arguments)
        if not cls or "dtype" in how:
            arguments.append(getattr(MODULES["torch"], how.pop("dtype", obj.storage.dtype)))
        if "metadata" in how:
            arguments.append(how.pop("metadata"))
        assert not how, how
        return (utils._rebuild_tensor_v2 if cls else utils._rebuild_tensor_v3), tuple(arguments)


@contextlib.contextmanager
def _stubs():
    missing = object()
    before = {name: sys.modules.get(name, missing) for name in MODULES}
    sys.modules.update(MODULES)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is missing:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def pickled(value, protocol=2):
    """The pickle, and the storages by their keys."""
    file = io.BytesIO()
    pickler = _Pickler(file, protocol)
    with _stubs():
        pickler.dump(value)
    return file.getvalue(), dict(pickler.storages.values())


class _Stream:
    """A file that cannot seek, so that zipfile sets bit 3 and writes descriptors, as torch's library does."""

    def __init__(self):
        self.bytes = bytearray()

    def write(self, data):
        self.bytes += data
        return len(data)

    def flush(self):
        pass


class Archive:
    """An archive as torch writes it: every body at a multiple of 64 bytes."""

    def __init__(self, folder="archive", alignment=64):
        self.folder, self.alignment = folder, alignment
        self.stream = _Stream()
        self.zip = zipfile.ZipFile(self.stream, "w")

    def add(self, name, data, method=zipfile.ZIP_STORED):
        info = zipfile.ZipInfo(f"{self.folder}/{name}")
        info.compress_type = method
        body = len(self.stream.bytes) + 30 + len(info.filename.encode()) + 4
        padding = -body % self.alignment
        info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        with self.zip.open(info, "w") as member:
            assert method or len(self.stream.bytes) % self.alignment == 0
            member.write(data)

    def close(self):
        self.zip.close()
        return bytes(self.stream.bytes)


def saved(value, protocol=2, big=False, folder="archive", constants=None, alignment=64, byteorder=True):
    """What torch.save would write."""
    archive = Archive(folder, alignment)
    data, storages = pickled(value, protocol)
    archive.add("data.pkl", data)
    archive.add(".format_version", b"1")
    if byteorder:
        archive.add("byteorder", b"big" if big else b"little")
    _add_storages(archive, "data", storages, big)
    if constants is not None:
        data, storages = pickled(constants, protocol)
        archive.add("constants.pkl", data)
        _add_storages(archive, "constants", storages, big)
        archive.add("code/__torch__.py", b"class Model(Module):\n  pass\n")
    archive.add("version", b"3\n")
    archive.add(".data/serialization_id", b"0" * 40)
    return archive.close()


def _add_storages(archive, folder, storages, big):
    for key, storage in storages.items():
        values = storage.values
        swapped = big and values.dtype.kind != "V"
        archive.add(f"{folder}/{key}", (values.byteswap() if swapped else values).tobytes())
