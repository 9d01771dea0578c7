"""Arrays over many files, joined by a sidecar: compared with what NumPy stacks and concatenates."""

import json
import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from harness import afbfs, eventually, mounted, needs_root, refused
from kernel import Opens
from oracle import as_stored

RECORD = np.dtype([("x", "<i4"), ("y", "<f8"), ("z", "S3")])
DTYPES = ["?", "i1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c8", "S5", "<U3", "V7", "<M8[ns]", RECORD]


def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "U":
        return rng.integers(0, 99, shape).astype(dtype)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape).copy()


def save(folder, members, name="t{}.npy"):
    """Every second one in Fortran order."""
    for number, array in enumerate(members):
        np.save(folder / name.format(number), np.asfortranarray(array) if number % 2 else array)


def stack(out, *arguments):
    answer = afbfs("stack", out, *arguments)
    assert answer.returncode == 0, answer.stderr.decode()
    return answer.stdout.decode()


def fails(*arguments):
    """What afbfs says as it fails."""
    answer = afbfs(*arguments)
    assert answer.returncode == 1, answer
    return answer.stderr.decode()


def views(whole):
    """Paths, and what NumPy makes of them."""
    found = {"data": whole, "T/data": whole.T, "range/::-3": whole.ravel()[::-3], "slice/::-1": whole[::-1]}
    found["slice/...,::2"] = whole[..., ::2]
    found["slice/1:,...,-1"] = whole[1:, ..., -1]
    found["range/3:11:2"] = whole.ravel()[3:11:2]
    for axis, length in enumerate(whole.shape):
        for index in {0, length // 2, length - 1}:
            found[f"axis/{axis}/{index}"] = np.take(whole, index, axis)
    for field in whole.dtype.names or ():
        found[f"field/{field}/data"] = whole[field]
        found[f"field/{field}/T/row/1"] = whole[field].T[1]
    return found


def check(mnt, name, whole):
    assert mnt.read(f"{name}/shape").split() == [str(length).encode() for length in whole.shape]
    assert mnt.read(f"{name}/format") == b"stack\n"
    for path, wanted in views(whole).items():
        assert mnt.read(f"{name}/{path}") == as_stored(wanted), f"{name}/{path}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_members_along_a_new_axis_are_what_numpy_stacks(source, rng, dtype):
    members = [random_array(rng, dtype, (3, 5)) for _ in range(4)]
    save(source, members)
    for axis in range(3):
        stack(source / f"s{axis}.afb.toml", *(source / f"t{k}.npy" for k in range(4)), "--new-axis", str(axis))
    with mounted(source) as mnt:
        assert {"t0", "s0", "s1", "s2"} <= set(os.listdir(mnt))
        for axis in range(3):
            # NumPy would give them the byte order of the machine.
            check(mnt, f"s{axis}", np.stack(members, axis).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_members_along_an_axis_of_theirs_are_what_numpy_concatenates(source, rng, dtype):
    even = [random_array(rng, dtype, (3, 5)) for _ in range(4)]
    save(source, even, "even{}.npy")
    for axis in range(2):
        uneven = [random_array(rng, dtype, (2 + k, 5) if axis == 0 else (5, 2 + k)) for k in [1, 0, 0, 3]]
        save(source, uneven, f"uneven{axis}{{}}.npy")
        stack(source / f"e{axis}.afb.toml", "--pattern", "even{0..3}.npy", "--axis", str(axis))
        stack(source / f"u{axis}.afb.toml", "--pattern", f"uneven{axis}{{0..3}}.npy", "--axis", str(axis - 2))
    assert "lengths = [3,[2,2],5]" in (source / "u1.afb.toml").read_text()
    with mounted(source) as mnt:
        for axis in range(2):
            check(mnt, f"e{axis}", np.concatenate(even, axis).astype(dtype))
            load = [np.load(source / f"uneven{axis}{k}.npy") for k in range(4)]
            check(mnt, f"u{axis}", np.concatenate(load, axis).astype(dtype))


def test_writes_through_every_view_reach_the_members(source, rng):
    members = [random_array(rng, "<f4", (3, 5)) for _ in range(4)]
    names = [source / f"t{k}.npy" for k in range(4)]
    stackings = [(("--new-axis", "1"), np.stack, 1), (("--axis", "0"), np.concatenate, 0)]
    for how, join, axis in stackings:
        save(source, members)
        stack(source / "s.afb.toml", *names, *how, "--force")
        with mounted(source) as mnt:
            for path in views(join(members, axis)):
                before = join([np.load(name) for name in names], axis)
                wanted = views(before)[path]
                new = random_array(rng, "<f4", wanted.shape)
                mnt.write(f"s/{path}", as_stored(new))
                assert mnt.read(f"s/{path}") == as_stored(new), path
                # What the view shows has changed, and nothing else.
                numbers = np.arange(before.size).reshape(before.shape)
                expected = before.ravel().copy()
                expected[views(numbers)[path].ravel()] = new.ravel()
                after = join([np.load(name) for name in names], axis)
                assert after.tobytes() == expected.tobytes(), path
            (mnt / "s/row/0.txt").write_text("\n".join(["7.5"] * (20 if axis else 5)) + "\n")
            assert set(np.load(names[0])[0]) == {7.5}


def test_forms_and_conversions_work_across_members(source, rng):
    members = [rng.random((3, 4)).astype(">f4") for _ in range(3)]
    save(source, members)
    stack(source / "s.afb.toml", "--pattern", "t{0..2}.npy", "--dim", "time")
    whole = np.stack(members).astype(">f4")
    with mounted(source) as mnt:
        assert np.array_equal(np.load(mnt / "s/data.npy"), whole)
        assert mnt.read("s/as/f8/axis/time/1") == whole[1].astype("<f8").tobytes()
        assert np.array_equal(np.loadtxt(mnt / "s/slice/:,1,2.txt", dtype="f4"), whole[:, 1, 2])
        assert mnt.read("s/dtype") == b">f4\n"
        info = json.loads(mnt.read("s/info.json"))
        assert (info["dims"], info["shape"], info["strides"]) == (["time", "", ""], [3, 3, 4], None)
        with mnt.open("s/axis/time/2", os.O_RDWR) as fd, mmap.mmap(fd, 48) as mapping:
            assert mapping[:] == whole[2].tobytes()
            mapping[:4] = b"\0\0\0\1"
            mapping.flush()
        assert np.load(source / "t2.npy").ravel()[:1].tobytes() == b"\0\0\0\1"


def test_what_is_taken_of_each_member(source, rng):
    members = [random_array(rng, RECORD, (3, 4, 5)) for _ in range(3)]
    save(source, members)
    names = [source / f"t{k}.npy" for k in range(3)]
    stack(source / "a.afb.toml", *names, "--select", "0, ::2", "--new-axis", "-1")
    stack(source / "b.afb.toml", *names, "--select", "...,-1", "--transpose", "--axis", "1")
    renamed = (source / "a.afb.toml").read_text() + 'rename = { x = "first" }\nattributes = { unit = "K" }\n'
    (source / "c.afb.toml").write_text(renamed)
    with mounted(source) as mnt:
        check(mnt, "a", np.stack([array[0, ::2] for array in members], -1))
        check(mnt, "b", np.concatenate([array[..., -1].T for array in members], 1))
        assert mnt.read("c/field/first/data") == as_stored(np.stack([a[0, ::2] for a in members], -1)["x"])
        assert json.loads(mnt.read("c/info.json"))["attributes"] == {"unit": "K"}


def test_members_of_other_formats(source, rng):
    h5py = pytest.importorskip("h5py")
    members = [rng.integers(0, 1000, (4, 6)).astype("<u2") for _ in range(4)]
    folder = source / "deep/er"
    folder.mkdir(parents=True)
    np.save(source / "0.npy", members[0])
    tifffile.imwrite(folder / "1.tif", members[1], rowsperstrip=4)
    (folder / "2.bin").write_bytes(bytes(8) + members[2].tobytes(order="F"))
    (folder / "2.bin.toml").write_text("dtype = 'u2'\nshape = [4, 6]\noffset = 8\norder = 'F'\n")
    with h5py.File(source / "3.h5", "w") as file:
        file["group/a"] = members[3]
    mixed = ["0.npy", "deep/er/1.tif", "deep/er/2.bin", "3.h5/group/a"]
    stack(source / "mixed.afb.toml", *(source / name for name in mixed))
    for number, array in enumerate(members):
        (source / f"plain{number}").write_bytes(bytes(16) + array.tobytes())
    (source / "raw.afb.toml").write_text('files = "plain?"\nraw = { dtype = "u2", shape = [4, 6], offset = 16 }\n')
    with mounted(source) as mnt:
        check(mnt, "mixed", np.stack(members))
        check(mnt, "raw", np.stack(members))
        mnt.write("mixed/slice/:,1,1", bytes(8))
        assert (np.load(source / "0.npy")[1, 1], tifffile.imread(folder / "1.tif")[1, 1]) == (0, 0)
        with h5py.File(source / "3.h5", "r") as file:
            assert file["group/a"][1, 1] == 0


def test_gaps_read_as_the_fill_value_and_cannot_be_written(source, rng):
    members = [random_array(rng, "<i4", (2, 3)) for _ in range(5)]
    save(source, members)
    (source / "t0.npy").unlink()
    (source / "t3.npy").unlink()
    said = stack(source / "s.afb.toml", "--pattern", "t{0..4}.npy", "--fill", "-9")
    assert said.endswith("2 are missing, t0.npy to t3.npy\n")
    members[0][...] = members[3][...] = -9
    whole = np.stack(members)
    log = source.parent / "log"
    with mounted(source, "--log-file", log) as mnt:
        check(mnt, "s", whole)
        with refused("EROFS"):
            mnt.write("s/row/3", bytes(24))
        assert "its member t3.npy is missing" in log.read_text()
        # Of what crosses the border that is written which is there.
        with mnt.open("s/data", os.O_WRONLY) as fd:
            assert os.pwrite(fd, bytes(48), 48) == 24
        assert not np.load(source / "t2.npy").any()
        # It may come.
        np.save(source / "t3.npy", np.full((2, 3), 5, "<i4"))
        eventually(lambda: mnt.read("s/row/3") == np.full(6, 5, "<i4").tobytes(), "the new member is read")
        mnt.write("s/row/3", bytes(24))
        assert not np.load(source / "t3.npy").any()


def test_the_fill_value_is_none_of_the_numbers_by_default(source):
    for name, dtype in [("f", ">f4"), ("c", "<c16"), ("i", "<i8"), ("m", "<M8[s]")]:
        np.save(source / f"{name}0.npy", np.ones(3, "i8").astype(dtype))
        stack(source / f"{name}.afb.toml", "--pattern", f"{name}{{0..1}}.npy")
    with mounted(source) as mnt:
        assert np.isnan(np.frombuffer(mnt.read("f/row/1"), ">f4")).all()
        assert np.isnan(np.frombuffer(mnt.read("c/row/1"), "<c16").imag).all()
        assert mnt.read("i/row/1") == bytes(24)
        assert np.isnat(np.frombuffer(mnt.read("m/row/1"), "<M8[s]")).all()


def test_an_odd_member_is_an_error_of_its_own_part_alone(source):
    members = [np.full((2, 3), k, "<f4") for k in range(5)]
    save(source, members)
    stack(source / "s.afb.toml", *(source / f"t{k}.npy" for k in range(5)))
    np.save(source / "t2.npy", np.zeros((3, 3), "<f4"))
    log = source.parent / "log"
    with mounted(source, "--log-file", log) as mnt:
        for odd, why in [
            (np.zeros((3, 3), "<f4"), "t2.npy has the shape (3, 3), and (2, 3) was expected"),
            (np.zeros((2, 3), "<i4"), "t2.npy has elements of type '<i4', and '<f4' was expected"),
        ]:
            np.save(source / "t2.npy", odd)
            for view in ["row/2", "data", "slice/:,0,0"]:
                with refused("EIO"):
                    mnt.read(f"s/{view}")
            with refused("EIO"):
                mnt.write("s/row/2", bytes(24))
            assert why in log.read_text()
            assert why in fails("stack", "--check", source / "s.afb.toml")
            assert why in afbfs("ls", source).stderr.decode()
            for number in [0, 1, 3, 4]:
                assert mnt.read(f"s/row/{number}") == members[number].tobytes()
        np.save(source / "t2.npy", members[2])
        eventually(lambda: mnt.read("s/row/2") == members[2].tobytes(), "the member is read once it is as the others")
        assert afbfs("stack", "--check", source / "s.afb.toml").returncode == 0


def test_members_that_change_while_they_are_open(source):
    members = [np.full((256, 256), k, "<f4") for k in range(4)]
    save(source, members)
    stack(source / "s.afb.toml", *(source / f"t{k}.npy" for k in range(4)))
    with mounted(source) as mnt, mnt.open("s/data") as fd:
        size = members[0].nbytes

        def part(number, at=0):
            return os.pread(fd, 4096, number * size + at)

        for number in range(4):
            assert part(number) == members[number].tobytes()[:4096]
        # Written anew in the same file, in another order of the axes.
        other = np.arange(65536, dtype="<f4").reshape(256, 256)
        np.save(source / "t0.npy", np.asfortranarray(other))
        assert eventually(lambda: part(0) == other.tobytes()[:4096], "the new elements are read")
        # Replaced by another file.
        np.save(source / "new.npy", other)
        os.replace(source / "new.npy", source / "t1.npy")
        assert eventually(lambda: part(1) == other.tobytes()[:4096], "the new file is read")
        # Truncated: the header says more than there is.
        os.truncate(source / "t2.npy", 5000)
        with refused("EIO"):
            part(2)
        # Removed.
        (source / "t3.npy").unlink()

        def is_gone():
            try:
                return not part(3)
            except OSError as error:
                return error.errno == 5

        assert eventually(is_gone, "what was removed is an error")
        assert part(0) == other.tobytes()[:4096]
        assert part(1, 4096) == other.tobytes()[4096:8192]


@pytest.fixture
def in_memory():
    """A folder of which files are quickly made."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


def test_only_the_members_that_are_touched_are_opened(in_memory):
    source = in_memory
    header = source / "header.npy"
    np.save(header, np.arange(6, dtype="<u2").reshape(2, 3))
    content = header.read_bytes()
    header.unlink()
    folder = source / "many"
    folder.mkdir()
    for number in range(100_000):
        with open(folder / f"{number:05}.npy", "wb", buffering=0) as file:
            file.write(content)
    (source / "told.afb.toml").write_text('files = "many/{00000..99999}.npy"\ndtype = "<u2"\nshape = [2, 3]\n')
    (source / "found.afb.toml").write_text('files = "many/*.npy"\n')
    with mounted(source) as mnt, Opens(folder) as opens:
        assert mnt.read("told/shape") == b"100000 2 3\n"
        assert opens.names() == []
        assert mnt.read("told/slice/70000:70003,1,2") == np.full(3, 5, "<u2").tobytes()
        assert sorted(set(opens.names())) == ["70000.npy", "70001.npy", "70002.npy"]
        assert mnt.read("found/shape") == b"100000 2 3\n"
        assert set(opens.names()) == {"00000.npy", "99999.npy"}
    with mounted(source) as mnt:
        series = np.frombuffer(mnt.read("told/slice/:,1,2"), "<u2")
        assert (len(series), set(series)) == (100_000, {5})
        assert len(os.listdir(f"/proc/{mnt.pid}/fd")) < 400


def test_files_that_match_come_and_go(source):
    save(source, [np.full(3, k, "i1") for k in range(3)])
    (source / "s.afb.toml").write_text('files = "t*.npy"\n')
    with mounted(source) as mnt:
        assert mnt.read("s/data") == bytes([0, 0, 0, 1, 1, 1, 2, 2, 2])
        np.save(source / "t9.npy", np.full(3, 9, "i1"))
        eventually(lambda: mnt.read("s/shape") == b"4 3\n", "the new file is a member")
        assert mnt.read("s/row/3") == bytes([9, 9, 9])
        for name in os.listdir(source):
            if name.endswith(".npy"):
                (source / name).unlink()
        eventually(lambda: os.path.exists(mnt / "s/error"), "nothing is left")
        assert "no file matches 't*.npy'" in mnt.read("s/error").decode()


def test_members_stay_within_the_source(scratch, source):
    np.save(scratch / "outside.npy", np.zeros(3))
    np.save(source / "t0.npy", np.ones(3))
    (source / "t1.npy").symlink_to("../outside.npy")
    (source / "t2.npy").symlink_to("t0.npy")
    described = 'dtype = "<f8"\nshape = [3]\n'
    (source / "s.afb.toml").write_text('files = ["t0.npy", "t1.npy", "t2.npy"]\n' + described)
    (source / "up.afb.toml").write_text('files = ["../outside.npy"]\n' + described)
    with mounted(source) as mnt:
        assert mnt.read("s/row/0") == mnt.read("s/row/2") == np.ones(3).tobytes()
        with refused("EIO"):
            mnt.read("s/row/1")
        assert "leads out of the sidecar's folder" in mnt.read("up/error").decode()
    with mounted(source, "--follow-links") as mnt:
        assert mnt.read("s/row/1") == bytes(24)
    assert "does not lie in" in fails("stack", source / "x.afb.toml", scratch / "outside.npy")


def test_members_may_lie_on_other_file_systems(source):
    needs_root()
    folder = source / "ram"
    folder.mkdir()
    mount = shutil.which("mount")
    assert os.spawnl(os.P_WAIT, mount, "mount", "-t", "tmpfs", "afbfs-test", str(folder)) == 0
    try:
        np.save(source / "a.npy", np.zeros(3))
        np.save(folder / "b.npy", np.ones(3))
        stack(source / "s.afb.toml", source / "a.npy", folder / "b.npy")
        with mounted(source) as mnt:
            assert mnt.read("s/data") == np.repeat([0.0, 1.0], 3).tobytes()
            mnt.write("s/row/1", bytes(24))
            assert not np.load(folder / "b.npy").any()
    finally:
        assert os.spawnl(os.P_WAIT, shutil.which("umount"), "umount", str(folder)) == 0


def test_other_users_see_no_member_that_they_may_not_read(source):
    needs_root()
    for number in range(2):
        np.save(source / f"t{number}.npy", np.full(3, number, "i1"))
    (source / "t1.npy").chmod(0o600)
    stack(source / "s.afb.toml", source / "t0.npy", source / "t1.npy")
    with mounted(source, "--allow-other") as mnt:
        assert mnt.read("s/row/0") == bytes(3)
        with refused("EACCES"):
            mnt.read("s/row/1")
    with mounted(source) as mnt:
        assert mnt.read("s/row/1") == bytes([1, 1, 1])


def test_members_that_are_read_only_refuse_writes(source):
    np.savez(source / "a.npz", x=np.zeros(3))
    stack(source / "s.afb.toml", source / "a.npz/x")
    with mounted(source) as mnt:
        assert mnt.read("s/row/0") == bytes(24)
        with refused("EROFS"):
            mnt.write("s/row/0", bytes(24))


def test_the_command_names_the_odd_member_and_writes_nothing(source):
    save(source, [np.zeros((2, 3), "<f4"), np.zeros((2, 3), "<f4"), np.zeros((2, 4), "<f4")])
    np.save(source / "d.npy", np.zeros((2, 3), ">f4"))
    np.savez(source / "z.npz", a=np.zeros(2), b=np.zeros(2))
    (source / "bad.npy").write_bytes(b"no array")
    out = source / "s.afb.toml"
    first = source / "t0.npy"
    for others, why in [
        (["t2.npy"], "s.afb.toml: its member t2.npy has the shape (2, 4), and (2, 3) was expected"),
        (["t1.npy", "d.npy", "t1.npy"], "d.npy has elements of type '>f4', and '<f4' was expected"),
        (["none.npy"], "its member none.npy is missing"),
        (["z.npz"], "its member z.npz holds several arrays; name one of them, as in FILE/a"),
        (["z.npz/c"], "its member z.npz/c is not there: its file holds no such array"),
        (["bad.npy"], "its member bad.npy cannot be served"),
        (["."], "leads out of the sidecar's folder"),
    ]:
        assert why in fails("stack", out, first, *(source / name for name in others)), others
        assert "was expected" in fails("stack", out, first, source / "t2.npy", "--axis", "0")
        assert not out.exists()
    stack(out, first, source / "t2.npy", "--axis", "1")
    before = out.read_bytes()
    assert "is there already" in fails("stack", out, first)
    assert out.read_bytes() == before
    stack(out, first, "--force")
    (source / "other.afb.toml").write_text('files = ["s.afb.toml"]\n')
    assert "it is itself a stack" in fails("stack", "--check", source / "other.afb.toml")
    assert not [name for name in os.listdir(source) if name.startswith(".")]
    for wrong in [["x.toml", "a.npy"], [out, "a.npy", "--axis", "0", "--new-axis", "0"], [out, "a", "--pattern", "b"]]:
        assert afbfs("stack", *wrong).returncode == 2


def test_handles_and_the_folder_agree_on_a_sidecar_that_changes(source):
    save(source, [np.full(3, k, "<i2") for k in range(4)])
    stack(source / "s.afb.toml", source / "t0.npy", source / "t1.npy")
    with mounted(source) as mnt, mnt.open("s/data", os.O_RDWR) as fd:
        assert os.pread(fd, 100, 0) == np.repeat([0, 1], 3).astype("<i2").tobytes()
        stack(source / "s.afb.toml", *(source / f"t{k}.npy" for k in [2, 3]), "--force")
        eventually(lambda: mnt.read("s/row/0") == np.full(3, 2, "<i2").tobytes(), "the new members are read")
        assert os.pread(fd, 6, 0) == np.zeros(3, "<i2").tobytes(), "an open file has its own members"
    # In the same file: what is open does not write to others than it was opened for.
    with mounted(source) as mnt, mnt.open("s/data", os.O_RDWR) as fd:
        text = (source / "s.afb.toml").read_text()
        (source / "s.afb.toml").write_text(text.replace("t2.npy", "t0.npy"))
        with refused("ESTALE"):
            os.pwrite(fd, bytes(6), 0)
    assert np.load(source / "t0.npy").tolist() == [0, 0, 0]
