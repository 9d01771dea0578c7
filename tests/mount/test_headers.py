"""Files that look like .npy and are malformed or hostile: each is a folder with one file, `error`, and hurts nobody."""

import json
import os
import struct
import tempfile

import numpy as np
import pytest

from conftest import make_rng
from harness import mounted, refused
from oracle import as_stored, check_view, json_dtype, save, save_random


def load(path, **how):
    """NumPy's array, or nothing where it refuses."""
    try:
        return np.load(path, **how)
    except Exception:  # NumPy's refusals of mutilated headers have no common class.
        return None


def npy(header, data=b"", version=(1, 0), length=None):
    """An .npy file with this header, which is padded to a multiple of 64 bytes unless its length is given."""
    header = header.encode() if isinstance(header, str) else header
    width = "<H" if version == (1, 0) else "<I"
    if length is None:
        header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
        length = len(header)
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, length) + header + data


def described(descr="'<f8'", fortran="False", shape="(2, 3)", data=bytes(48), **how):
    return npy(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}", data, **how)


OWNED = os.path.join(tempfile.gettempdir(), "afbfs-owned")
FINE = described()
NO_ARRAYS = {
    "nothing at all": b"",
    "half a magic": b"\x93NUM",
    "only the magic": b"\x93NUMPY",
    "another magic": b"\x93NUMPX" + FINE[6:],
    "text": b"1.0, 2.0, 3.0\n" * 20,
    "version 0": b"\x93NUMPY\x00\x00" + FINE[8:],
    "version 4": b"\x93NUMPY\x04\x00" + FINE[8:],
    "version 1.1": b"\x93NUMPY\x01\x01" + FINE[8:],
    "no length": FINE[:8],
    "half a length": FINE[:9],
    "a header cut short": FINE[:40],
    "a header longer than the file": npy("{'descr': '<f8'", length=60_000),
    "a header of 4 GB": npy("{'descr': '<f8'", version=(2, 0), length=0xFFFFFFFF),
    "an empty header": npy("", length=0),
    "a header of blanks": npy(" " * 50),
    "no dictionary": npy("('<f8', False, (2, 3))", bytes(48)),
    "an unclosed dictionary": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)", bytes(48)),
    "more after the dictionary": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)} + {}", bytes(48)),
    "a missing key": npy("{'descr': '<f8', 'shape': (2, 3)}", bytes(48)),
    "a surplus key": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", bytes(48)),
    "zeros for a header": npy(bytes(117), bytes(48)),
    "bytes that are no text": npy(b"{'descr': '\xff\xfe', 'fortran_order': False, 'shape': (2, 3)}", bytes(48), version=(3, 0)),
    "a call": npy(f"__import__('os').system('touch {OWNED}')"),
    "a thousand brackets": npy("(" * 1000 + ")" * 1000),
    "sixty thousand brackets": npy("[" * 60_000),
    "two hundred thousand brackets": npy("{'descr': " + "[" * 200_000, version=(2, 0)),
    "order as a number": described(fortran="1"),
    "order as a word": described(fortran="'F'"),
    "order of no meaning": described(fortran="None"),
    "a shape that is a number": described(shape="6"),
    "a shape that is a list": described(shape="[2, 3]"),
    "a shape that is a group": described(shape="(6)"),
    "a negative length": described(shape="(-2, 3)"),
    "two negative lengths": described(shape="(-2, -3)"),
    "a length with a fraction": described(shape="(2.0, 3)"),
    "a length in quotes": described(shape="('2', 3)"),
    "a length of no end": described(shape="(" + "9" * 400 + ",)"),
    "a length of 2**64": described(shape="(18446744073709551616,)"),
    "a length of 2**63": described(shape="(9223372036854775808,)"),
    "a size that overflows": described(shape="(4611686018427387904, 4)"),
    "a size that overflows to the right one": described(shape="(2305843009213693953, 8, 6)"),
    "a size that overflows beside a zero": described(shape="(9223372036854775807, 9223372036854775807, 0)", data=b""),
    "bytes that overflow": described(shape="(2305843009213693952,)"),
    "65 axes": described(shape="(" + "1, " * 65 + ")"),
    "ten thousand axes": described(shape="(" + "1, " * 10_000 + ")"),
    "no such type": described("'<q9'"),
    "no type": described("''"),
    "a type that is a number": described("8"),
    "a type that is nothing": described("None"),
    "a float of 3 bytes": described("'<f3'"),
    "an integer of 16 bytes": described("'<i16'"),
    "a negative size": described("'|S-5'"),
    "elements of 2**63 bytes": described("'|V9223372036854775808'"),
    "elements larger than the file": described("'|V999999999'"),
    "a unit of no time": described("'<M8[parsec]'"),
    "a unit without an end": described("'<M8[ns'"),
    "objects": described("'|O'"),
    "objects in a field": described("[('a', '<f8'), ('b', '|O')]"),
    "a field without a type": described("[('a',)]"),
    "a field that is no tuple": described("['a', '<f8']"),
    "a field named twice": described("[('a', '<f4'), ('a', '<f4')]"),
    "a name that is a number": described("[(1, '<f8')]"),
    "a negative sub-array": described("[('a', '<f8', (-1,))]"),
    "a sub-array that overflows": described("[('a', '<f8', (4611686018427387904, 8))]"),
    "fields that overflow": described("[('a', '|V9223372036854775807'), ('b', '|V9223372036854775807')]"),
    "fields within fields without end": described("[('a', " * 3000 + "'<f8'" + ")]" * 3000, version=(2, 0)),
    "no data": described(data=b""),
    "a byte too few": described(data=bytes(47)),
    "data for a terabyte missing": described(shape="(1000000, 1000000)"),
}


@pytest.fixture(scope="module")
def ward(module_scratch):
    """A mount of all these files, and of one that is well."""
    source = module_scratch / "source"
    source.mkdir()
    for number, content in enumerate(NO_ARRAYS.values()):
        (source / f"sick{number}.npy").write_bytes(content)
    well = save(source / "well.npy", np.arange(6.0).reshape(2, 3))
    with mounted(source) as mnt:
        yield mnt, well


@pytest.mark.parametrize("fault", NO_ARRAYS)
def test_a_malformed_file_is_a_folder_that_says_why(ward, fault):
    mnt, well = ward
    name = f"sick{list(NO_ARRAYS).index(fault)}"
    assert os.listdir(mnt / name) == ["error"]
    message = (mnt / name / "error").read_text()
    assert f"{name}.npy" in message and len(message) < 2000
    for view in ["data", "row/0", "T/data", "dtype", "range/0"]:
        with refused("ENOENT"):
            os.stat(mnt / name / view)
    assert mnt.is_alive()
    check_view(mnt, well.view().at("data"))


def test_all_of_them_are_listed_with_their_faults(ward):
    mnt, _ = ward
    entries = {entry["file"]: entry for entry in mnt.arrays()}
    assert len(entries) == len(NO_ARRAYS) + 1
    assert [file for file, entry in entries.items() if not entry.get("error")] == ["well.npy"]
    assert not os.path.exists(OWNED)


def test_messages_name_the_fault(ward):
    mnt, _ = ward

    def words(fault):
        return (mnt / f"sick{list(NO_ARRAYS).index(fault)}/error").read_text()

    assert "version" in words("version 4")
    assert "object" in words("objects").lower()
    assert "<q9" in words("no such type")
    assert "shape" in words("a negative length")
    # By the file's length, or by that of the data in it.
    short = words("a byte too few")
    assert ("175" in short and "176" in short) or ("47" in short and "48" in short)


@pytest.mark.filterwarnings("ignore:overflow")
def test_numpy_refuses_them_too(tmp_path):
    """Needs no mount: keeps the table honest. What NumPy does read must be left out of it."""
    accepted = []
    for fault, content in NO_ARRAYS.items():
        path = tmp_path / "a.npy"
        path.write_bytes(content)
        if load(path, mmap_mode="r", max_header_size=10**7) is not None:
            accepted.append(fault)
    assert not accepted


ODD_BUT_FINE = {
    "plain": (described(), (2, 3)),
    "double_quotes": (npy('{"descr": "<f8", "fortran_order": False, "shape": (2, 3)}', bytes(48)), (2, 3)),
    "keys_in_another_order": (npy("{'shape': (2, 3), 'descr': '<f8', 'fortran_order': False}", bytes(48)), (2, 3)),
    "no_blanks": (npy("{'descr':'<f8','fortran_order':False,'shape':(2,3)}", bytes(48)), (2, 3)),
    "many_blanks": (npy("  { 'descr' :  '<f8' , 'fortran_order' : True , 'shape' : ( 2 , 3 , ) , }  ".strip(), bytes(48)), (2, 3)),
    "not_aligned": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}\n", bytes(48), length=58), (2, 3)),
    "version_2": (described(version=(2, 0)), (2, 3)),
    "version_3": (described(version=(3, 0)), (2, 3)),
    "more_than_the_data": (described(data=bytes(100)), (2, 3)),
    "no_elements": (described(shape="(0, 3)", data=b""), (0, 3)),
    "one_number": (described(shape="()", data=bytes(8)), ()),
    "one_axis": (described(shape="(6,)"), (6,)),
}


def test_odd_headers_that_numpy_reads_are_served(source):
    for name, (content, _) in ODD_BUT_FINE.items():
        (source / f"{name}.npy").write_bytes(content)
    with mounted(source) as mnt:
        for name, (_, shape) in ODD_BUT_FINE.items():
            wanted = np.load(source / f"{name}.npy")
            assert wanted.shape == shape
            assert (mnt / name / "shape").read_text().split() == [str(length) for length in shape], name
            assert mnt.read(f"{name}/data") == wanted.tobytes(), name


def test_mutilated_headers_are_read_as_numpy_reads_them_or_refused(source):
    rng = make_rng("mutilated headers")
    record = save_random(source / "model.npy", rng, [("x", "<f8"), ("y", ">i2", (2,))], (3, 2))
    paths = [source / f"m{number}.npy" for number in range(400)]
    for path in paths:
        content = bytearray(record.model)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(record.offset))
            match rng.integers(3):
                case 0:
                    content[at] = int(rng.integers(256))
                case 1:
                    content[at] = int(rng.choice(list(b"0123456789-'\"()[]{},<>|: \nfiucSUVOM")))
                case 2:
                    content[at], content[at - 1] = content[at - 1], content[at]
        path.write_bytes(content)
    with mounted(source) as mnt:
        served = 0
        for path in paths:
            if "error" in os.listdir(mnt / path.stem):
                continue
            check_like_numpy(mnt, path)
            served += 1
        assert mnt.is_alive()
        check_view(mnt, record.view("model").at("data"))
    assert served, "no mutilated header was harmless: the test has lost its point"


def check_like_numpy(mnt, path):
    """What both read, both read alike. afbfs may read what NumPy's tokenizer stumbles over."""
    wanted = load(path)
    if wanted is None:
        return
    info = json.loads(mnt.read(f"{path.stem}/info.json"))
    header = path.read_bytes()[:128]
    assert info["shape"] == list(wanted.shape), header
    assert json_dtype(info["dtype"]) == wanted.dtype, header
    assert mnt.read(f"{path.stem}/data") == as_stored(wanted), header
