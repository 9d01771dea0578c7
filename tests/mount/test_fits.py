"""FITS files of astropy: images, cubes, tables of bytes and of text, one or several in a file."""

import numpy as np
import pytest
from astropy.io import fits

from harness import mounted, refused
from members import check_member, error_of, folder, info
from oracle import as_stored

IMAGE_TYPES = ["u1", ">i2", ">i4", ">i8", ">f4", ">f8"]
# For each column: its form, its type in the file, the shape in each row.
COLUMNS = {
    "L": ("L", "S1", ()),
    "3L": ("3L", "S1", (3,)),
    "11X": ("11X", "u1", (2,)),
    "8X": ("8X", "u1", ()),
    "B": ("B", "u1", ()),
    "I": ("I", ">i2", ()),
    "2I": ("2I", ">i2", (2,)),
    "J": ("1J", ">i4", ()),
    "K": ("K", ">i8", ()),
    "A": ("12A", "S12", ()),
    "E": ("E", ">f4", ()),
    "6E": ("6E", ">f4", (6,)),
    "D": ("D", ">f8", ()),
    "C": ("C", ">c8", ()),
    "M": ("2M", ">c16", (2,)),
}


def random_values(rng, dtype, shape):
    """Random bytes, of which no float is NaN, so that libraries leave them alone."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    if dtype.kind in "fc":
        halves = 1 + (dtype.kind == "c")
        parts = rng.standard_normal(count * halves).astype(f">f{dtype.itemsize // halves}")
        return parts.view(dtype).reshape(shape)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype, count).reshape(shape)


def opened(path):
    return fits.open(path, do_not_scale_image_data=True, memmap=False, character_as_bytes=True)


def check_one(mnt, name, wanted):
    check_member(mnt, "", name, wanted)


@pytest.mark.parametrize("dtype", IMAGE_TYPES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 1, 3, 2)])
def test_an_image_or_cube_is_the_file(source, rng, dtype, shape):
    path = source / "a.fits"
    fits.PrimaryHDU(random_values(rng, dtype, shape)).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        check_one(mnt, "a", hdus[0].data)
        assert (mnt / "a/format").read_text() == "fits\n"


def test_an_only_extension_is_the_file_too(source, rng):
    path = source / "a.fits"
    first = fits.PrimaryHDU()
    first.header["TELESCOP"] = "Paranal"
    image = fits.ImageHDU(random_values(rng, ">i2", (3, 4)), name="SCI")
    fits.HDUList([first, image]).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        check_one(mnt, "a", hdus[1].data)
        assert info(mnt, "", "a")["attributes"]["TELESCOP"] == "Paranal"
        assert info(mnt, "", "a")["attributes"]["EXTNAME"] == "SCI"


def test_several_units_are_members_by_name_version_or_number(source, rng):
    path = source / "a.fits"
    first = fits.PrimaryHDU()
    first.header["OBJECT"] = "M 31"
    units = [first]
    for name, version in [("SCI", 1), ("ERR", 1), ("SCI", 2), (None, None), ("A/B", 1), ("5", 1)]:
        units.append(fits.ImageHDU(random_values(rng, ">f4", (4, 5)), name=name, ver=version))
    fits.HDUList(units).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        names = ["SCI,1", "ERR", "SCI,2", "4", "A/B", "6"]
        for hdu, name in zip(hdus[1:], names, strict=True):
            check_member(mnt, "a", name, hdu.data)
        listed = {entry.name for entry in (mnt / "a").iterdir()}
        assert listed == {folder(mnt, "a", name).name for name in names}
        assert info(mnt, "a", "ERR")["container"]["OBJECT"] == "M 31"


def test_a_first_unit_with_data_is_number_0(source, rng):
    path = source / "a.fits"
    units = [fits.PrimaryHDU(random_values(rng, ">i2", (3, 4))), fits.ImageHDU(random_values(rng, ">f8", (2, 2)))]
    fits.HDUList(units).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        for number in (0, 1):
            check_member(mnt, "a", str(number), hdus[number].data)


def table_of(rng, rows, names=COLUMNS):
    """Bytes of a table, and a unit that holds them."""
    layout = [(name, COLUMNS[name][1], COLUMNS[name][2]) for name in names]
    wanted = np.zeros(rows, layout)
    for name, dtype, shape in layout:
        if name.endswith("L"):
            wanted[name] = rng.choice([b"T", b"F"], (rows, *shape))
        elif name == "A":
            wanted[name] = [f"row {row}" for row in range(rows)]
        else:
            wanted[name] = random_values(rng, dtype, (rows, *shape))
    wanted["11X"] &= np.array([0xFF, 0xE0], "u1")
    columns = []
    for name in names:
        value = wanted[name]
        if name.endswith("L"):
            value = value == b"T"
        elif name.endswith("X"):
            value = np.unpackbits(value.reshape(rows, -1), axis=1)[:, : int(name[:-1])].astype(bool)
        columns.append(fits.Column(name, COLUMNS[name][0], array=value))
    return wanted, fits.BinTableHDU.from_columns(columns, name="EVENTS")


@pytest.mark.parametrize("rows", [1, 9])
def test_a_binary_table_is_an_array_of_records(source, rng, rows):
    wanted, hdu = table_of(rng, rows)
    hdu.writeto(source / "a.fits")
    with mounted(source) as mnt:
        check_one(mnt, "a", wanted)
        for name in COLUMNS:
            assert (folder(mnt, "a/field", name) / "data").read_bytes() == as_stored(wanted[name]), name
    with opened(source / "a.fits") as hdus:
        for name in ["B", "I", "J", "K", "E", "6E", "D", "C", "M"]:
            assert np.array_equal(hdus[1].data[name], wanted[name]), name


def test_scaled_columns_shapes_and_variable_lengths(source, rng):
    path = source / "a.fits"
    cubes = random_values(rng, ">f4", (5, 2, 3))
    unsigned = np.arange(5, dtype="u2") + 40_000
    lists = np.array([np.arange(n, dtype="i4") for n in (3, 0, 2, 1, 5)], object)
    columns = [
        fits.Column("cube", "6E", dim="(3,2)", array=cubes, unit="Jy"),
        fits.Column("unsigned", "I", bzero=32768, array=unsigned),
        fits.Column("names", "12A4", dim="(4,3)", array=np.full((5, 3), "abcd")),
        fits.Column("lists", "PJ()", array=lists),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        attributes = info(mnt, "", "a")["attributes"]
        assert attributes["TUNIT1"] == "Jy" and attributes["TZERO2"] == 32768
        assert (mnt / "a/field/cube/data").read_bytes() == cubes.tobytes()
        assert (mnt / "a/field/cube/shape").read_text() == "5 2 3\n"
        assert (mnt / "a/field/names/shape").read_text() == "5 3\n"
        assert (mnt / "a/field/names/data").read_bytes() == b"abcd" * 15
        stored = np.frombuffer((mnt / "a/field/unsigned/data").read_bytes(), ">i2")
        assert np.array_equal(stored.astype("i4") + 32768, unsigned)
        pairs = np.frombuffer((mnt / "a/field/lists/data").read_bytes(), ">i4").reshape(5, 2)
        assert pairs[:, 0].tolist() == [3, 0, 2, 1, 5]
        heap = hdus.fileinfo(1)["datLoc"] + hdus[1].header["NAXIS1"] * 5
        content = path.read_bytes()
        for (count, at), wanted in zip(pairs, lists, strict=True):
            assert np.array_equal(np.frombuffer(content, ">i4", count, heap + at), wanted)


def test_a_table_of_text(source):
    path = source / "a.fits"
    columns = [
        fits.Column("name", "A8", array=["one", "two", "three"]),
        fits.Column("count", "I6", array=[1, -2, 30000]),
        fits.Column("value", "E15.7", array=[1.5, -2.25, 1e20]),
    ]
    fits.TableHDU.from_columns(columns).writeto(path)
    with mounted(source) as mnt, opened(path) as hdus:
        names = (mnt / "a/field/name/data").read_bytes()
        assert [names[at : at + 8].strip().decode() for at in range(0, 24, 8)] == ["one", "two", "three"]
        numbers = (mnt / "a/field/value/data").read_bytes()
        assert [float(numbers[at : at + 15]) for at in range(0, 45, 15)] == [1.5, -2.25, 1e20]
        start, width = hdus.fileinfo(1)["datLoc"], hdus[1].header["NAXIS1"]
        assert (mnt / "a/data").read_bytes() == path.read_bytes()[start : start + 3 * width]


def test_keywords_are_attributes(source, rng):
    path = source / "a.fits"
    hdu = fits.PrimaryHDU(random_values(rng, ">i2", (3, 4)))
    values = {"BSCALE": 0.5, "BZERO": 32768.0, "BLANK": -7, "BUNIT": "K", "EXPOSED": True, "NOTE": "it's", "EMPTY": ""}
    hdu.header.update(values)
    hdu.header["HIERARCH ESO DET WIN1 NX"] = 12
    hdu.header["LONG"] = "many words " * 30
    hdu.header["BIG"] = "x" * 5000
    hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    hdu.writeto(path)
    with mounted(source) as mnt:
        facts = info(mnt, "", "a")
        for key, value in {**values, "ESO DET WIN1 NX": 12, "LONG": ("many words " * 30).strip()}.items():
            assert facts["attributes"][key] == value, key
        assert "BIG" not in facts["attributes"]
        assert facts["dims"] == ["DEC--TAN", "RA---TAN"]
        assert (mnt / "a/axis/RA---TAN/1").read_bytes() == (mnt / "a/col/1").read_bytes()


def test_what_is_written_is_read_back(source, rng):
    path = source / "a.fits"
    table, hdu = table_of(rng, 6)
    first = fits.PrimaryHDU(random_values(rng, ">f8", (3, 4)))
    second = fits.ImageHDU(random_values(rng, ">i4", (2, 5)), name="I")
    fits.HDUList([first, second, hdu]).writeto(path)
    image, cells, column = (random_values(rng, *how) for how in [(">f8", (3, 4)), (">i4", 2), (">f8", 6)])
    with mounted(source) as mnt:
        mnt.write("a/0/data", image.tobytes())
        mnt.write("a/I/col/3", cells.tobytes())
        mnt.write("a/EVENTS/field/D/data", column.tobytes())
    with opened(path) as hdus:
        hdus.verify("exception")
        assert np.array_equal(hdus[0].data, image)
        assert np.array_equal(hdus["I"].data[:, 3], cells)
        assert np.array_equal(hdus["EVENTS"].data["D"], column)
        assert np.array_equal(hdus["EVENTS"].data["K"], table["K"])


def test_units_with_checksums_are_read_only(source, rng):
    path = source / "a.fits"
    fits.PrimaryHDU(random_values(rng, ">i2", (3, 4))).writeto(path, checksum=True)
    with mounted(source) as mnt, opened(path) as hdus:
        check_one(mnt, "a", hdus[0].data)
        with refused("EACCES", "EROFS", "EPERM"):
            mnt.write("a/data", b"12")


def test_what_cannot_be_served_says_so(source, rng):
    image = random_values(rng, ">i2", (30, 40))
    units = [fits.PrimaryHDU(image), fits.CompImageHDU(image, name="SMALL"), fits.ImageHDU(image, name="LAST")]
    fits.HDUList(units).writeto(source / "packed.fits")
    groups = fits.GroupData(random_values(rng, ">f4", (3, 2, 2)), parnames=["u"], pardata=[np.zeros(3)], bitpix=-32)
    fits.HDUList([fits.GroupsHDU(groups)]).writeto(source / "groups.fits")
    fits.PrimaryHDU().writeto(source / "empty.fits")
    fits.PrimaryHDU(image).writeto(source / "cut.fits")
    with open(source / "cut.fits", "r+b") as file:
        file.truncate(2880 + 2399)
    (source / "other.fits").write_bytes(b"\0" * 5760)
    with mounted(source) as mnt:
        assert "funpack" in error_of(mnt, "packed/SMALL")
        check_member(mnt, "packed", "0", image)
        check_member(mnt, "packed", "LAST", image)
        words = {"groups": "random groups", "empty": "headers only", "cut": "truncated", "other": "SIMPLE"}
        for name, word in words.items():
            assert word in error_of(mnt, name), name


def test_a_file_is_known_by_its_extension_or_its_content(source, rng):
    image = random_values(rng, ">i2", (3, 4))
    for name in ["a.fits", "b.fit", "c.FTS", "d"]:
        fits.PrimaryHDU(image).writeto(source / "x.fits", overwrite=True)
        (source / "x.fits").rename(source / name)
    with mounted(source) as mnt:
        for name in ["a", "b", "c", "d"]:
            check_one(mnt, name, image)
