"""Writes the seeds of the fuzz targets, small valid files, into corpus/TARGET/. Only HDF5 needs a library, h5py.

A file beside the file, and then its name, follow behind the separator of src/format.rs.
"""

import io
import json
import pathlib
import pickle
import random
import struct
import sys
import types
import zipfile
from collections import OrderedDict

CORPUS = pathlib.Path(__file__).parent / "corpus"
SEPARATOR = b"\n=====\n"


def npy(descr="'<f8'", order=False, shape="(2, 3)", size=48, version=1):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode("utf-8")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + bytes(range(size))


def npys():
    yield "float", npy()
    yield "fortran", npy("'>i2'", True, "(4, 3, 2)", 48, 2)
    yield "record", npy("[('x', '<f4'), ('', '|V4'), (('t', 'y'), '<i4', (2,))]", False, "(2,)", 32, 3)
    yield "empty", npy("'|S3'", False, "(0, 5)", 0)
    yield "scalar", npy("'<M8[ns]'", False, "()", 8)


def raws():
    yield "sidecar", SEPARATOR.join([bytes(96), b'dtype = "<f4"\nshape = "4x6"\norder = "F"\n'])
    yield "strides", SEPARATOR.join([
        bytes(100), b'dtype = "u2"\nshape = [3, 2]\nstrides = [-16, 2]\noffset = 40\n[attributes]\nunit = "m"\n'])
    yield "open", SEPARATOR.join([bytes(64), b'dtype = [["a", "<i4"], ["b", "|S4"]]\nshape = "?"\nname = "x"\n'])
    yield "name", SEPARATOR.join([bytes(48), b"", b"x_6x4_uint16.raw"])
    yield "name-be", SEPARATOR.join([bytes(48), b"", b"a_b_3x2x2_f4be.bin"])


def archive(members, comment=b""):
    """Every member stored, at a multiple of 64 bytes or, with a name that begins with !, deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, data in members:
            entry = zipfile.ZipInfo(name.lstrip("!"))
            entry.compress_type = zipfile.ZIP_DEFLATED if name.startswith("!") else zipfile.ZIP_STORED
            room = -(file.tell() + 34 + len(name)) % 64
            if name.startswith("P/"):
                entry.extra = b"FB" + struct.pack("<H", room) + bytes(room)
            out.writestr(entry, data)
        out.comment = comment
    return file.getvalue()


def npzs():
    yield "two", archive([("a.npy", npy()), ("g/b.npy", npy("'|u1'", False, "(3,)", 3))])
    yield "deflated", archive([("!a.npy", npy()), ("b.npy", npy())], b"a comment")
    streamed = io.BytesIO()
    streamed.seekable = lambda: False
    with zipfile.ZipFile(streamed, "w") as out:
        out.writestr("s.npy", npy())
    yield "streamed", streamed.getvalue()
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as out, out.open("z.npy", "w", force_zip64=True) as member:
        member.write(npy())
    yield "zip64", large.getvalue()


class Storage:
    """Stands for a storage of torch, which the pickle names and does not hold."""

    def __init__(self, kind, key, count):
        self.id = ("storage", kind, key, "cpu", count)


class Tensor:
    def __init__(self, *state):
        self.state = state

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.state


def torch_pickle(value):
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils = utils

    def _rebuild_tensor_v2(*state):
        return state

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules |= {"torch": torch, "torch._utils": utils}

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.id if isinstance(thing, Storage) else None

    for name in ("FloatStorage", "BFloat16Storage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(value(torch))
    return file.getvalue()


def torches():
    def tensor(kind, shape, strides, key="0", count=6):
        return lambda torch: Tensor(Storage(getattr(torch, kind), key, count), 0, shape, strides, False, OrderedDict())

    one = torch_pickle(tensor("FloatStorage", (2, 3), (3, 1)))
    yield "one", archive([("P/data.pkl", one), ("P/byteorder", b"little"), ("P/data/0", bytes(24)), ("P/version", b"3\n")])
    state = torch_pickle(lambda torch: OrderedDict([
        ("layer.weight", tensor("BFloat16Storage", (3, 2), (1, 3))(torch)),
        ("more", [tensor("LongStorage", (2,), (1,), "1", 2)(torch), {"deep": 3.5}]),
    ]))
    yield "state", archive([("P/data.pkl", state), ("P/data/0", bytes(12)), ("P/data/1", bytes(16))])


def safetensors(header, size):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def safes():
    yield "two", safetensors({
        "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]}}, 26)
    yield "metadata", safetensors({
        "__metadata__": {"format": "pt"}, "x": {"dtype": "F8_E4M3", "shape": [0, 4], "data_offsets": [0, 0]},
        "y": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, 8)


def gguf(order, keys, tensors, size):
    def string(text):
        return struct.pack(order + "Q", len(text)) + text.encode()

    out = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), len(keys))
    out += b"".join(string(key) + struct.pack(order + "I", kind) + value for key, kind, value in keys)
    for name, shape, kind, offset in tensors:
        out += string(name) + struct.pack(f"{order}I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return out + bytes(-len(out) % 32) + bytes(size)


def ggufs():
    text = struct.pack("<Q", 5) + b"llama"
    numbers = struct.pack("<IQ3i", 5, 3, 1, -2, 3)
    yield "float", gguf("<", [("general.architecture", 8, text), ("n", 9, numbers)], [("a", (3, 2), 0, 0)], 24)
    yield "blocks", gguf("<", [("general.alignment", 4, struct.pack("<I", 32))],
                         [("q", (32, 2), 2, 0), ("k", (256,), 12, 64)], 64 + 144)
    yield "big", gguf(">", [("f", 7, b"\1")], [("h", (4,), 1, 0)], 8)


def netcdf3(version, records):
    count, place = (">q", ">q") if version == 5 else (">i", ">q" if version == 2 else ">i")

    def number(value):
        return struct.pack(count, value)

    def padded(data):
        return data + bytes(-len(data) % 4)

    def name(text):
        return number(len(text)) + padded(text.encode())

    def tagged(tag, entries):
        return struct.pack(">i", tag) + number(len(entries)) + b"".join(entries)

    units = [name("units") + struct.pack(">i", 2) + number(1) + padded(b"K")]
    begin = 0
    for _ in range(2):
        variables = [
            name("x") + number(1) + number(1) + tagged(12, units) + struct.pack(">i", 5) + number(12)
            + struct.pack(place, begin),
            name("t") + number(2) + number(0) + number(1) + struct.pack(">i", 0) + number(0) + struct.pack(">i", 3)
            + number(8) + struct.pack(place, begin + 12),
            name("s") + number(1) + number(0) + struct.pack(">i", 0) + number(0) + struct.pack(">i", 1) + number(4)
            + struct.pack(place, begin + 20),
        ]
        header = b"CDF" + bytes([version]) + number(records)
        header += tagged(10, [name("time") + number(0), name("n") + number(3)])
        header += struct.pack(">i", 0) + number(0) + tagged(11, variables)
        begin = len(header)
    return header + bytes(12 + 12 * max(records, 2))


def netcdfs():
    for version in (1, 2, 5):
        yield f"cdf{version}", netcdf3(version, 2)
    yield "streamed", netcdf3(1, -1)


def zarrs():
    v2 = {"zarr_format": 2, "shape": [10, 7], "chunks": [4, 3], "dtype": "<f4", "compressor": None, "fill_value": "NaN",
          "order": "F", "filters": None, "dimension_separator": "/"}
    attributes = {"_ARRAY_DIMENSIONS": ["y", "x"], "unit": "m"}
    v3 = {"zarr_format": 3, "node_type": "array", "shape": [5, 6], "data_type": "int16",
          "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 6]}},
          "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}, "fill_value": 7,
          "codecs": [{"name": "transpose", "configuration": {"order": [1, 0]}},
                     {"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}],
          "dimension_names": ["a", None], "attributes": {"k": [1, 2]}}
    yield "v2", SEPARATOR.join([json.dumps(v2).encode(), json.dumps(attributes).encode(), b".zarray"])
    v2 |= {"dtype": [["a", "<i4"], ["b", "|S2", [2]]], "fill_value": "AAAAAAAAAAA=", "compressor": {"id": "blosc", "cname": "lz4"}}
    yield "v2-record", SEPARATOR.join([json.dumps(v2).encode(), b"", b".zarray"])
    yield "v3", SEPARATOR.join([json.dumps(v3).encode(), b"", b"zarr.json"])
    v3 |= {"data_type": "complex64", "fill_value": ["Infinity", "0x7fc00000"], "codecs": [{"name": "bytes"}]}
    yield "v3-complex", SEPARATOR.join([json.dumps(v3).encode(), b"", b"zarr.json"])


def hdf5s():
    import h5py

    for libver in ("earliest", "latest"):
        file = io.BytesIO()
        with h5py.File(file, "w", libver=libver, track_order=False) as out:
            one = out.create_dataset("x", (2, 3), "<f4", track_times=False)
            one[...] = 1
            one.attrs["unit"] = b"m"
            group = out.create_group("g")
            chunked = group.create_dataset("c", (4, 5), ">i2", chunks=(2, 3), fillvalue=7, track_times=False)
            chunked[:2] = 3
        yield libver, file.getvalue()


def names():
    for number, text in enumerate([
            "3", "-1", "1:5", "::-2", "0..7..2", "1,...,::2", ":,3", "a.T[3, ::2]", "sub/a['x'][:, 7].real",
            "a.ravel()[10:20]", "%2E%2E", "%22%22", "7.raw", "[1_000, None:-3, Ellipsis]", "a%2Fb\xff"]):
        yield str(number), text.encode("latin-1")


def dtypes():
    for number, text in enumerate([
            "<f8", "|S5", ">M8[25ns]", "float32be", "V12", "[('x', '<f4'), ('y', '<i4', (2, 3))]",
            "[(('t', 'x'), [('a', '|u1'), ('', '|V3')]), ('z', ('U', 5))]", '[["x", "<f4"], ["", "|V4"], [["t", "y"], "<c8", [2]]]',
            r"{'a': (1, -2L), b'\x41': [None, True, u'\u00e9\n']}",
            "name=x,file=x.bin,dtype=f4,shape=100x?,offset=512,order=F", 'dtype="[(\'a\', \'<i4\')]",shape=3x2,strides=-8x4,offset=24']):
        yield str(number), text.encode()


def runs():
    source = random.Random(1)
    for number in range(8):
        yield str(number), source.randbytes(200)


SEEDS = {"npy": npys, "raw": raws, "npz": npzs, "torch": torches, "safetensors": safes, "gguf": ggufs, "netcdf3": netcdfs,
         "zarr": zarrs, "hdf5": hdf5s, "name": names, "dtype": dtypes, "runs": runs}

for target in sys.argv[1:] or SEEDS:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS[target]():
        (folder / name).write_bytes(data)
