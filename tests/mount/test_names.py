"""Which names files get in the mount: stems, conflicts, names that do not fit, and what is not shown."""

import os
import shutil
import socket

import numpy as np
import pytest

from harness import eventually, mounted, needs_root, refused
from oracle import check_view, save, save_random

SIDECAR = 'dtype = "f4"\nshape = "3"\n'


@pytest.fixture
def save_here(source, rng):
    def save_one(name, dtype="<f8", shape=(3, 2)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        return save_random(source / name, rng, dtype, shape)

    return save_one


def listed(mnt, folder="."):
    return set(os.listdir(mnt / folder)) - {".afbfs"}


def check_array(mnt, array, name):
    check_view(mnt, array.view(name).at("data"))
    check_view(mnt, array.view(name).row(-1))


def test_the_mount_mirrors_folders(save_here, source):
    arrays = {name: save_here(f"{name}.npy") for name in ["a", "sub/a", "sub/deeper/still/b", "with space/c d"]}
    (source / "bare").mkdir()
    with mounted(source) as mnt:
        assert listed(mnt) == {"a", "sub", "with space", "bare"}
        assert listed(mnt, "sub") == {"a", "deeper"}
        for name, array in arrays.items():
            check_array(mnt, array, name)


def test_the_full_name_works_and_is_not_listed(save_here, source):
    array = save_here("a.npy")
    with mounted(source) as mnt:
        assert listed(mnt) == {"a"}
        check_array(mnt, array, "a.npy")


def test_dots_in_a_stem_belong_to_it(save_here, source):
    arrays = {name: save_here(f"{name}.npy") for name in ["v1.2", "a.tar", "b.npy", "row"]}
    with mounted(source) as mnt:
        assert listed(mnt) == set(arrays)
        for name, array in arrays.items():
            check_array(mnt, array, name)


def test_of_two_files_with_one_stem_npy_has_it(save_here, source):
    array = save_here("a.npy")
    (source / "a.raw").write_bytes(np.arange(3, dtype="f4").tobytes())
    (source / "a.raw.toml").write_text(SIDECAR)
    with mounted(source) as mnt:
        assert listed(mnt) == {"a", "a.raw"}
        check_array(mnt, array, "a")
        check_array(mnt, array, "a.npy")
        assert mnt.read("a.raw/data") == (source / "a.raw").read_bytes()
        assert (mnt / "a.raw/format").read_text() == "raw\n"


def test_a_name_follows_when_its_rival_goes(save_here, source):
    save_here("a.npy")
    (source / "a.raw").write_bytes(np.arange(3, dtype="f4").tobytes())
    (source / "a.raw.toml").write_text(SIDECAR)
    with mounted(source) as mnt:
        assert (mnt / "a/format").read_text() == "npy\n"
        (source / "a.npy").unlink()
        eventually(lambda: listed(mnt) == {"a"} and (mnt / "a/format").read_text() == "raw\n", "a is the raw file", 2)


def test_a_real_folder_wins_over_a_stem(save_here, source):
    loser = save_here("a.npy")
    inside = save_here("a/b.npy")
    in_a_folder_named_like_a_file = save_here("d.npy/e.npy")
    with mounted(source) as mnt:
        assert listed(mnt) == {"a", "a.npy", "d.npy"}
        check_array(mnt, loser, "a.npy")
        check_array(mnt, inside, "a/b")
        check_array(mnt, in_a_folder_named_like_a_file, "d.npy/e")
        with refused("ENOENT"):
            os.stat(mnt / "a/data")


def test_names_that_are_not_utf8(save_here, source):
    array = save_here(os.fsdecode(b"caf\xe9.npy"))
    decent = save_here("café.npy")
    with mounted(source) as mnt:
        names = [name for name in os.listdir(os.fsencode(mnt)) if name != b".afbfs"]
        assert len(names) == 2 and "café".encode() in names
        other = next(name for name in names if name != "café".encode())
        assert other.upper() in (b"CAF\xe9", b"CAF%E9"), other
        check_array(mnt, array, os.fsdecode(other))
        check_array(mnt, decent, "café")
        paths = {entry["path"].upper() for entry in mnt.arrays()}
        assert paths == {"CAF%E9", "CAFÉ"}


def test_fields_whose_names_are_no_file_names(save_here, source):
    names = ["a/b", "..", ".", "a%2Fb", "../../etc/passwd", "plain", "n\0l"]
    array = save_here("a.npy", [(name, "<i4") for name in names])
    whole = array.view()
    with mounted(source) as mnt:
        shown = os.listdir(mnt / "a/field")
        assert len(shown) == len(set(shown)) == len(names)
        assert not [name for name in shown if name in (".", "..") or "/" in name or "\0" in name]
        wanted = {whole.field(name).bytes() for name in names}
        assert {mnt.read(f"a/field/{name}/data") for name in shown} == wanted
        assert mnt.read("a/field/plain/data") == whole.field("plain").bytes()
        for name in ["a/b", "../../etc/passwd"]:
            assert mnt.read(f"a/field/{name.replace('/', '%2F')}/data") == whole.field(name).bytes()


def test_stems_that_would_lead_somewhere_else(save_here, source):
    # Their stems are `.`, `..` and `.afbfs`.
    arrays = {name: save_here(name) for name in ["..npy", "...npy", ".afbfs.npy", "good.npy"]}
    with mounted(source) as mnt:
        names = os.listdir(mnt)
        assert len(names) == len(set(names)) and "good" in names and not {"", ".", ".."} & set(names)
        assert mnt.read(".afbfs/version")
        for name, array in arrays.items():
            check_array(mnt, array, name)


def test_a_name_of_255_bytes(save_here, source):
    name = "n" * 251
    array = save_here(f"{name}.npy")
    with mounted(source) as mnt:
        assert listed(mnt) == {name}
        check_array(mnt, array, name)


def test_files_that_are_no_arrays_are_not_shown(save_here, source):
    save_here("a.npy")
    for name in ["README.txt", "script.py", "npy", "b.npy~", "c.npy.part", "empty"]:
        (source / name).write_text("nothing\n")
    (source / "x.bin").write_bytes(bytes(12))
    (source / "x.bin.toml").write_text(SIDECAR)
    with mounted(source) as mnt:
        assert listed(mnt) == {"a", "x"}
        for name in ["README.txt", "x.bin.toml", "x.toml", "b.npy~", "empty"]:
            with refused("ENOENT"):
                os.stat(mnt / name)


def test_one_file_as_the_source(save_here, source):
    array = save_here("a.npy")
    save_here("b.npy")
    with mounted(array.path) as mnt:
        assert listed(mnt) == {"a"}
        check_array(mnt, array, "a")
        check_array(mnt, array, "a.npy")
        mnt.write("a/row/1", bytes(16))
        array.write(array.view().row(1), 0, bytes(16))
        assert not array.differs()


def test_a_file_that_cannot_be_served_is_a_folder_that_says_why(save_here, source):
    save_here("good.npy")
    (source / "sick.npy").write_bytes(b"this is no array")
    with mounted(source) as mnt:
        assert listed(mnt) == {"good", "sick"}
        for name in ["sick", "sick.npy"]:
            assert listed(mnt, name) == {"error"}
        text = (mnt / "sick/error").read_text()
        assert "sick.npy" in text and text.endswith("\n")
        assert len(text) == (mnt / "sick/error").stat().st_size
        with refused("ENOENT"):
            os.stat(mnt / "sick/data")
        entry = next(entry for entry in mnt.arrays() if entry["file"] == "sick.npy")
        assert entry["error"] in text or text.strip() in entry["error"]


def test_what_is_neither_file_nor_folder_is_not_shown_and_hangs_nobody(save_here, source):
    needs_root()
    save_here("good.npy")
    os.mkfifo(source / "fifo.npy")
    os.mknod(source / "zero.npy", 0o666 | 0o020000, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket.npy"))
        with mounted(source) as mnt:
            assert listed(mnt) == {"good"}
            for name in ["fifo", "zero", "socket"]:
                for path in [name, f"{name}.npy", f"{name}/data", f"{name}.npy/data"]:
                    with refused("ENOENT"):
                        os.stat(mnt / path)
            assert [entry["file"] for entry in mnt.arrays()] == ["good.npy"]


@pytest.fixture
def linked(save_here, source, scratch):
    """A source with links in, out, around and to folders."""
    outside = scratch / "outside"
    outside.mkdir()
    shutil.copy(save_here("a.npy").path, outside / "secret.npy")
    save_here("sub/b.npy")
    links = {
        "inside.npy": "a.npy",
        "deeper.npy": "sub/b.npy",
        "sub/back.npy": "../a.npy",
        "absolute_out.npy": outside / "secret.npy",
        "relative_out.npy": "../outside/secret.npy",
        "folder_out": outside,
        "folder_in": "sub",
        "folder_up": "..",
        "loop_a.npy": "loop_b.npy",
        "loop_b.npy": "loop_a.npy",
        "self.npy": "self.npy",
        "dangling.npy": "nowhere.npy",
        "hop.npy": "relative_out.npy",
        "proc.npy": "/proc/self/mem",
    }
    for name, target in links.items():
        (source / name).symlink_to(target)
    return source


def data_of(mnt, name):
    """The bytes of an array, or nothing where it is not served."""
    try:
        return mnt.read(f"{name}/data")
    except FileNotFoundError:
        return None


def test_links_inside_the_source_are_followed_and_others_are_not(linked):
    with mounted(linked) as mnt:
        for name, target in {"inside": "a", "deeper": "sub/b", "sub/back": "a"}.items():
            assert data_of(mnt, name) == mnt.read(f"{target}/data"), name
        for name in ["absolute_out", "relative_out", "hop", "loop_a", "loop_b", "self", "dangling", "proc"]:
            assert data_of(mnt, name) is None, name
            assert data_of(mnt, f"{name}.npy") is None, name
        for path in [
            "folder_out",
            "folder_in",
            "folder_up",
            "folder_out/secret",
            "folder_in/b/data",
            "folder_up/source",
        ]:
            assert not os.path.lexists(mnt / path), path
        assert {"a", "sub", "inside", "deeper"} <= listed(mnt)
        assert not {"folder_out", "folder_in", "folder_up"} & listed(mnt)


def test_links_out_of_the_source_are_followed_on_demand(linked):
    with mounted(linked, "--follow-links") as mnt:
        for name in ["inside", "absolute_out", "relative_out", "hop"]:
            assert data_of(mnt, name) == mnt.read("a/data"), name
        for name in ["loop_a", "self", "dangling"]:
            assert data_of(mnt, name) is None, name
        assert not {"folder_out", "folder_in", "folder_up"} & listed(mnt)


def test_a_link_that_is_turned_outwards_is_no_longer_followed(linked, scratch):
    with mounted(linked) as mnt:
        before = mnt.read("inside/data")
        np.save(scratch / "outside/other.npy", np.ones(3))
        (linked / "inside.npy").unlink()
        (linked / "inside.npy").symlink_to(scratch / "outside/other.npy")
        eventually(lambda: data_of(mnt, "inside") is None, "the link is not followed", within=3)
        assert mnt.read("a/data") == before


def test_a_file_linked_twice_is_one_array(save_here, source):
    array = save_here("a.npy")
    os.link(array.path, source / "twin.npy")
    with mounted(source) as mnt:
        mnt.write("twin/col/1", bytes(24))
        array.write(array.view().col(1), 0, bytes(24))
        check_array(mnt, array, "a")
        check_array(mnt, array, "twin")
        with mnt.open("a/data", os.O_RDONLY) as fd:
            mnt.write("twin/row/0", b"\x01" * 16)
            assert os.pread(fd, 16, 0) == b"\x01" * 16


def test_saving_an_array_beside_a_mounted_one_shows_it(save_here, source):
    save_here("a.npy")
    with mounted(source) as mnt:
        assert not (mnt / "b").exists()
        array = save(source / "b.npy", np.arange(6.0).reshape(3, 2))
        eventually(lambda: (mnt / "b/data").exists(), "b is there by name", within=2)
        eventually(lambda: listed(mnt) == {"a", "b"}, "b is listed", within=2)
        check_array(mnt, array, "b")


def test_a_file_known_by_its_content(save_here, source):
    array = save_here("a.npy")
    (source / "measurement").write_bytes((source / "a.npy").read_bytes())
    (source / "text").write_text("no array")
    with mounted(source) as mnt:
        assert listed(mnt) == {"a"}
        assert mnt.read("measurement/data") == array.view().bytes()
        with pytest.raises(FileNotFoundError):
            os.stat(mnt / "text")
    with mounted(source / "measurement") as mnt:
        assert listed(mnt) == {"measurement"}
        assert mnt.read("measurement/row/1") == array.view().row(1).bytes()
        (source / "measurement").unlink()
        assert mnt.read(".afbfs/version")
