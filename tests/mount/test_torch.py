"""Files of torch.save and TorchScript, written without torch: see torch_files.py."""

import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from harness import mounted, refused
from oracle import as_stored, file_name
from torch_files import TYPES, Archive, Call, Storage, Tensor, instance, pickled, saved, tensor

ELEMENTS = {"bfloat16": "bf16", "float8_e4m3fn": "f8_e4m3", "float8_e5m2": "f8_e5m2"}


def values_of(rng, dtype, count):
    kept = np.dtype(TYPES[dtype][1])
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(kept)
    return np.frombuffer(rng.bytes(count * kept.itemsize), kept)


@pytest.fixture
def floats(rng):
    return Storage("float32", rng.random(60).astype("f4"))


def check_array(mnt, path, wanted, big=False):
    """All of an array, and some views of it."""
    if big and wanted.dtype.kind != "V":
        wanted = wanted.astype(wanted.dtype.newbyteorder(">"))
    assert mnt.read(f"{path}/data") == as_stored(wanted)
    assert mnt.read(f"{path}/T/data") == as_stored(wanted.T)
    assert (mnt / path / "shape").read_text().split() == [str(length) for length in wanted.shape]
    assert (mnt / path / "dtype").read_text() == wanted.dtype.str + "\n"
    assert (mnt / path / "format").read_text() == "torch\n"
    if wanted.ndim and wanted.shape[0]:
        assert mnt.read(f"{path}/row/-1") == as_stored(wanted[-1:])
        assert mnt.read(f"{path}/slice/::-2") == as_stored(wanted[::-2])
    if wanted.ndim > 1 and wanted.shape[1]:
        assert mnt.read(f"{path}/col/0") == as_stored(wanted[:, :1])


def check_tensors(mnt, name, tensors, big=False, others=()):
    """Every tensor under its path, every storage, and nothing else."""
    entries = {entry["path"]: entry for entry in mnt.arrays() if entry["path"].split("/")[0] == name}
    storages = {id(one.storage): one.storage for one in tensors.values()}
    wanted = {f"{name}/{path}" for path in tensors} | {f"{name}/storage/{number}" for number in range(len(storages))}
    assert set(entries) == wanted | {f"{name}/{other}" for other in others}
    for path, one in tensors.items():
        check_array(mnt, f"{name}/{path}", one.numpy(), big)
        assert entries[f"{name}/{path}"].get("element") == ELEMENTS.get(one.storage.dtype)
        assert not entries[f"{name}/{path}"]["writable"]
    shown = [mnt.read(f"{name}/storage/{number}/data") for number in range(len(storages))]
    assert sorted(shown) == sorted(
        as_stored(one.values.byteswap() if big and one.values.dtype.kind != "V" else one.values)
        for one in storages.values()
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_state_dict_of_every_type(source, rng, protocol):
    kept = [dtype for dtype in TYPES if dtype != "quint8"]
    tensors = {f"layer1.{dtype}": tensor(values_of(rng, dtype, 12).reshape(3, 4), dtype) for dtype in kept}
    (source / "a.pt").write_bytes(saved(OrderedDict(tensors), protocol))
    with mounted(source) as mnt:
        assert set(os.listdir(mnt / "a")) == {*tensors, "storage"}
        check_tensors(mnt, "a", tensors)


def test_every_extension_and_what_the_content_says(source, floats):
    whole = saved({"x": Tensor(floats)})
    for name in ["a.pt", "b.pth", "c.ckpt", "d.bin", "e.zip"]:
        (source / name).write_bytes(whole)
    with mounted(source) as mnt:
        for name in ["a", "a.pt", "b", "b.pth", "c.ckpt", "d.bin", "e.zip"]:
            check_array(mnt, f"{name}/x", floats.values)


def test_views_of_one_storage(source, floats):
    tensors = {
        "whole": Tensor(floats, (6, 10)),
        "transposed": Tensor(floats, (10, 6), (1, 10)),
        "part": Tensor(floats, (2, 3), (10, 2), 7),
        "scalar": Tensor(floats, (), (), 59),
        "expanded": Tensor(floats, (4, 5), (0, 1), 3),
        "overlapping": Tensor(floats, (51, 10), (1, 1)),
        "empty": Tensor(floats, (0, 3), (3, 1), 60),
        "permuted": Tensor(floats, (3, 2, 10), (10, 30, 1)),
    }
    (source / "a.pt").write_bytes(saved(tensors))
    with mounted(source) as mnt:
        check_tensors(mnt, "a", tensors)


def test_nesting(source, floats):
    x = Tensor(floats, (6, 10))
    value = {
        "model": OrderedDict([("0.weight", x), ("a/b", x)]),
        "state": {0: {"step": x}, "lr": 0.5},
        "list": [None, (x, 7, [x])],
        "parameter": Call("torch._utils", "_rebuild_parameter", x, True, OrderedDict()),
        "with state": Call("torch._utils", "_rebuild_parameter_with_state", x, True, OrderedDict(), {"y": 1}),
        "module": instance("__torch__", "Model", {"training": True, "layer": instance("__torch__", "Layer", {"w": x})}),
        "opaque": np.arange(3),
        "bytes": b"abc" * 100,
        "big": 1 << 100,
        "set": {1, 2},
        "alias": None,
    }
    value["alias"] = value["model"]
    value["loop"] = [value["list"]]
    value["loop"].append(value["loop"])
    (source / "a.pt").write_bytes(saved(value))
    paths = "model/0.weight model/a%2Fb state/0/step list/1/0 list/1/2/0 parameter with-state module/layer/w"
    paths += " alias/0.weight alias/a%2Fb loop/0/1/0 loop/0/1/2/0"
    assert file_name("a/b") == "a%2Fb"
    with mounted(source) as mnt:
        check_tensors(mnt, "a", {path.replace("-", " "): x for path in paths.split()})


def test_a_tensor_alone_and_a_list(source, floats):
    (source / "one.pt").write_bytes(saved(Tensor(floats, (6, 10))))
    (source / "two.pt").write_bytes(saved([Tensor(floats), Tensor(floats, (3, 20))]))
    with mounted(source) as mnt:
        check_tensors(mnt, "one", {"tensor": Tensor(floats, (6, 10))})
        check_tensors(mnt, "two", {"0": Tensor(floats), "1": Tensor(floats, (3, 20))})


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex128", "bool", "bfloat16"])
def test_big_endian_storages(source, rng, dtype):
    one = tensor(values_of(rng, dtype, 6).reshape(2, 3), dtype)
    (source / "a.pt").write_bytes(saved({"x": one}, big=True))
    (source / "b.pt").write_bytes(saved({"x": one}, byteorder=False))
    with mounted(source) as mnt:
        check_array(mnt, "a/x", one.numpy(), big=True)
        check_array(mnt, "b/x", one.numpy())


def test_torchscript(source, floats, rng):
    constant = tensor(rng.integers(0, 100, 4), "int64")
    layer = instance("__torch__", "Layer", {"weight": Tensor(floats, (6, 10)), "training": True})
    model = instance("__torch__", "Model", {"layer": layer, "shapes": Call("torch.jit._pickle", "build_intlist", [1])})
    model.table = Call("torch.jit._pickle", "restore_type_tag", {"k": Tensor(floats)}, "Dict[str, Tensor]")
    (source / "a.pt").write_bytes(saved(model, folder="model", constants=(constant,)))
    with mounted(source) as mnt:
        tensors = {"layer/weight": Tensor(floats, (6, 10)), "table/k": Tensor(floats)}
        check_tensors(mnt, "a", tensors, others=["constants/0", "storage/constants/0"])
        check_array(mnt, "a/constants/0", constant.numpy())


def test_alignments_and_folders(source, floats):
    for name, options in [("a", {"alignment": 4096}), ("b", {"alignment": 1}), ("c", {"folder": "größe"})]:
        (source / f"{name}.pt").write_bytes(saved({"x": Tensor(floats)}, **options))
    with mounted(source) as mnt:
        for name in "abc":
            check_tensors(mnt, name, {"x": Tensor(floats)})
        assert int((mnt / "a/x/offset").read_text()) % 4096 == 0


def test_many_tensors(source):
    storage = Storage("int32", np.arange(10_000, dtype="i4"))
    tensors = {f"t{number}": Tensor(storage, (2,), (1,), number) for number in range(9_000)}
    (source / "a.pt").write_bytes(saved(tensors))
    with mounted(source) as mnt:
        assert len(os.listdir(mnt / "a")) == 9_001
        for number in [0, 255, 256, 4_321, 8_999]:
            assert mnt.read(f"a/t{number}/data") == storage.values[number : number + 2].tobytes()


def test_what_cannot_be_served_says_why(source, floats, rng):
    quantised = tensor(rng.integers(0, 255, 4).astype("u1"), "quint8")
    quantised.how["quantised"] = True
    complexes = tensor(np.ones(3, "c8"), "complex64")
    value = {
        "good": Tensor(floats),
        "quantised": quantised,
        "conjugate": Tensor(complexes.storage, (3,), metadata={"conj": True}),
        "beyond": Tensor(floats, (7, 10)),
        "meta": Call("torch._utils", "_rebuild_meta_tensor_no_storage", None, (3,), (1,), False),
    }
    (source / "a.pt").write_bytes(saved(value))
    words = {"quantised": "dequantize", "conjugate": "resolve_conj", "beyond": "beyond its storage", "meta": "meta"}
    with mounted(source) as mnt:
        check_array(mnt, "a/good", floats.values)
        for name, word in words.items():
            assert os.listdir(mnt / "a" / name) == ["error"]
            message = (mnt / "a" / name / "error").read_text()
            assert word in message and "a.pt" in message, message
        assert mnt.read("a/storage/1/data") == quantised.storage.values.tobytes()


def test_storages_stay_where_the_pickle_is_not_read(source, floats):
    data, storages = pickled({"x": Tensor(floats)})
    for name, bad in [("broken", data[:-20]), ("ancient", pickle.dumps({"x": 1}, protocol=0))]:
        archive = Archive()
        archive.add("data.pkl", bad)
        for key, storage in storages.items():
            archive.add(f"data/{key}", storage.values.tobytes())
        (source / f"{name}.pt").write_bytes(archive.close())
    archive = Archive()
    archive.add("data.pkl", data, zipfile.ZIP_DEFLATED)
    archive.add("data/0", floats.values.tobytes(), zipfile.ZIP_DEFLATED)
    (source / "deflated.pt").write_bytes(archive.close())
    with mounted(source) as mnt:
        for name in ["broken", "ancient"]:
            assert set(os.listdir(mnt / name)) == {"data.pkl", "storage"}
            assert "pickle" in (mnt / name / "data.pkl/error").read_text()
            assert mnt.read(f"{name}/storage/0/data") == floats.values.tobytes()
        for path in ["data.pkl", "storage/0"]:
            assert "afbfs unpack" in (mnt / "deflated" / path / "error").read_text()


def test_a_hostile_pickle_runs_nothing(source, scratch):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {scratch / 'evil'}",)

    (source / "a.pt").write_bytes(saved({"evil": Evil(), "x": tensor(np.arange(3), "int64")}))
    with mounted(source) as mnt:
        assert mnt.read("a/x/data") == np.arange(3).tobytes()
    assert not (scratch / "evil").exists()


def test_old_layouts_are_refused(source):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    (source / "a.pt").write_bytes(magic + pickle.dumps(1001, protocol=2))
    with tarfile.open(source / "b.pth", "w") as archive:
        (source / "pickle").write_bytes(b"")
        archive.add(source / "pickle", "pickle")
    (source / "c.pt").write_bytes(b"hello")
    with zipfile.ZipFile(source / "d.pt", "w") as archive:
        archive.writestr("a.txt", "hello")
    with mounted(source) as mnt:
        for name in "ab":
            assert "torch.save(torch.load(path), path)" in (mnt / name / "error").read_text()
        assert "does not end as a ZIP archive" in (mnt / "c/error").read_text()
        assert "without data.pkl" in (mnt / "d/error").read_text()


def test_nothing_is_written(source, floats):
    (source / "a.pt").write_bytes(saved({"x": Tensor(floats)}))
    shutil.copy(source / "a.pt", source / "before")
    with mounted(source) as mnt:
        with refused("EROFS", "EACCES"):
            mnt.write("a/x/data", bytes(8))
        assert json.loads(mnt.read("a/x/info.json"))["writable"] is False
    assert (source / "a.pt").read_bytes() == (source / "before").read_bytes()
