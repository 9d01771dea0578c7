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

import seeds_forms
import seeds_matrices
import seeds_rasters

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
        out.writestr(zipfile.ZipInfo("s.npy"), npy())
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
    yield "one", archive([
        ("P/data.pkl", one), ("P/byteorder", b"little"), ("P/data/0", bytes(24)), ("P/version", b"3\n")])
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
    v2 |= {"dtype": [["a", "<i4"], ["b", "|S2", [2]]], "fill_value": "AAAAAAAAAAA=",
           "compressor": {"id": "blosc", "cname": "lz4"}}
    yield "v2-record", SEPARATOR.join([json.dumps(v2).encode(), b"", b".zarray"])
    yield "v3", SEPARATOR.join([json.dumps(v3).encode(), b"", b"zarr.json"])
    v3 |= {"data_type": "complex64", "fill_value": ["Infinity", "0x7fc00000"], "codecs": [{"name": "bytes"}]}
    yield "v3-complex", SEPARATOR.join([json.dumps(v3).encode(), b"", b"zarr.json"])


def hdf5(libver, fill):
    import h5py

    create = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*libver)
    access.set_fapl_core(1 << 10, False)
    access.set_meta_block_size(0)
    with h5py.File(h5py.h5f.create(b"seed", h5py.h5f.ACC_TRUNC, create, access)) as out:
        fill(out)
        out.flush()
        return out.id.get_file_image()


def hdf5s():
    import h5py

    low, high = h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST

    def data(out, name, shape, dtype, **options):
        return out.create_dataset(name, shape, dtype, track_times=False, **options)

    def small(out):
        data(out, "x", (2, 3), "<f4")[...] = 1
        out["x"].attrs["unit"] = b"m"
        data(out.create_group("g"), "c", (4, 5), ">i2", chunks=(2, 3), fillvalue=7)[:2] = 3

    def records(out):
        data(out, "r", (2,), [("a", "<i4"), ("b", "S3", (2,))])[...] = 0
        out["link"] = h5py.SoftLink("/r")
        data(out, "s", (), h5py.string_dtype())[()] = "text"
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(out.id, b"compact", h5py.h5t.STD_U16BE, h5py.h5s.create_simple((4,)), compact)

    def chunks(out):
        data(out, "fixed", (4,), "u1", chunks=(2,))[...] = 1
        data(out, "extensible", (4,), "u1", chunks=(2,), maxshape=(None,))[...] = 1
        data(out, "tree", (2, 2), "u1", chunks=(1, 2), maxshape=(None, None))[...] = 1
        data(out, "deflated", (4,), "u1", chunks=(4,), compression="gzip")[...] = 1

    def dense(out):
        for name in "abcdefghij":
            out[name] = h5py.SoftLink("/x")
        data(out, "x", (3,), "<f8").make_scale("x")

    yield "old", hdf5((low, high), small)
    yield "old-records", hdf5((low, high), records)
    yield "new", hdf5((high, high), small)
    yield "new-chunks", hdf5((high, high), chunks)
    yield "new-dense", hdf5((high, high), dense)


def chunks(order, *parts):
    return b"".join(name + struct.pack(order + "I", len(data)) + data + bytes(len(data) % 2) for name, data in parts)


def wavs():
    info = b"INFO" + chunks("<", (b"INAM", b"title\0"))
    pcm = struct.pack("<HHIIHH", 1, 2, 8000, 32000, 4, 16)
    yield "pcm", b"RIFF" + bytes(4) + b"WAVE" + chunks("<", (b"fmt ", pcm), (b"LIST", info), (b"data", bytes(24)))
    guid = struct.pack("<H", 3) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    wide = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 32000, 4, 32, 22, 32, 4) + guid
    lengths = struct.pack("<QQQI", 0, 16, 4, 0)
    far = b"\xff\xff\xff\xff"
    yield "rf64", b"RF64" + far + b"WAVE" + chunks("<", (b"ds64", lengths), (b"fmt ", wide)) + b"data" + far + bytes(16)
    big = struct.pack(">HHIIHH", 1, 1, 8000, 24000, 3, 24)
    yield "big", b"RIFX" + bytes(4) + b"WAVE" + chunks(">", (b"fmt ", big), (b"data", bytes(9)))


def aus():
    yield "big", b".snd" + struct.pack(">5I", 32, 8, 3, 8000, 2) + b"text".ljust(8, b"\0") + bytes(8)
    yield "little", b"dns." + struct.pack("<5I", 24, 0xFFFFFFFF, 6, 8000, 1) + bytes(8)


def aiffs():
    rate = struct.pack(">HQ", 0x400B, 0xFA00 << 48)
    for kind, codec, size in ((b"AIFF", b"", 2), (b"AIFC", b"sowt\x04text\0", 2), (b"AIFC", b"fl32\0\0", 4)):
        common = struct.pack(">HIH", 1, 4, 8 * size) + rate + codec
        body = chunks(">", (b"COMM", common), (b"NAME", b"name"), (b"SSND", bytes(8 + 4 * size)))
        yield (kind + codec[:4]).decode(), b"FORM" + struct.pack(">I", len(body) + 4) + kind + body


def edfs():
    def line(*fields):
        return b"".join(str(text).encode().ljust(width) for text, width in fields)

    def signals(*rows):
        widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
        return b"".join(str(row[k]).encode().ljust(width) for k, width in enumerate(widths) for row in rows)

    eeg = ("EEG", "cap", "uV", -100, 100, -2048, 2047, "HP", 3, "")
    notes = ("EDF Annotations", "", "", -1, 1, -32768, 32767, "", 4, "")
    start = (("p", 80), ("r", 80), ("01.02.03", 8), ("04.05.06", 8))
    head = line(("0", 8), *start, (768, 8), ("EDF+C", 44), (2, 8), (1, 8), (2, 4))
    yield "edf", head + signals(eeg, notes) + bytes(28)
    head = b"\xffBIOSEMI" + line(*start, (512, 8), ("24BIT", 44), (-1, 8), (1, 8), (1, 4))
    yield "bdf", head + signals(eeg) + bytes(18)


def fitses():
    def header(*cards):
        text = "".join(f"{card:80}" for card in (*cards, "END"))
        return text.encode().ljust(2880)

    image = header("SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2",
                   "NAXIS1  =                    3", "NAXIS2  =                    2", "OBJECT  = 'it''s' / a remark")
    table = header("XTENSION= 'BINTABLE'", "BITPIX  =                    8", "NAXIS   =                    2",
                   "NAXIS1  =                   16", "NAXIS2  =                    2", "PCOUNT  =                    0",
                   "GCOUNT  =                    1", "TFIELDS =                    3", "TFORM1  = '2J'",
                   "TTYPE1  = 'a'", "TFORM2  = '3A'", "TTYPE2  = 'b'", "TFORM3  = '5B'", "TDIM3   = '(5,1)'",
                   "EXTNAME = 'T'")
    yield "image", image + bytes(24)
    yield "table", image + bytes(2880) + table + bytes(32)


def mrcs():
    for order, stamp in (("<", b"\x44\x44\0\0"), (">", b"\x11\x11\0\0")):
        words = bytearray(struct.pack(order + "10i", 3, 2, 2, 2, 0, 0, 0, 3, 2, 2) + bytes(984))
        words[64:76] = struct.pack(order + "3i", 1, 2, 3)
        words[88:96] = struct.pack(order + "2i", 1 if order == "<" else 401, 16)
        words[208:216] = b"MAP " + stamp
        yield "little" if order == "<" else "big", bytes(words) + bytes(16 + 48)


def niftis():
    one = bytearray(352)
    one[:4] = struct.pack("<i", 348)
    one[40:56] = struct.pack("<8h", 3, 3, 2, 2, 1, 1, 1, 1)
    one[70:74] = struct.pack("<2h", 16, 32)
    one[108:120] = struct.pack("<3f", 352, 2, 1)
    one[344:348] = b"n+1\0"
    yield "one", bytes(one) + bytes(48)
    one[344:348] = b"ni1\0"
    one[108:112] = bytes(4)
    yield "pair", SEPARATOR.join([bytes(one[:348]), bytes(48), b"x.hdr"])
    two = bytearray(544)
    two[:12] = struct.pack(">i", 540) + b"n+2\0\r\n\x1a\n"
    two[12:16] = struct.pack(">2h", 512, 16)
    two[16:80] = struct.pack(">8q", 2, 3, 2, 1, 1, 1, 1, 1)
    two[168:176] = struct.pack(">q", 544)
    yield "two", bytes(two) + bytes(12)


def nrrds():
    text = "NRRD0004\n# by hand\ntype: float\ndimension: 2\nsizes: 3 2\nendian: big\nencoding: raw\nkey:=value\n"
    yield "inside", text.encode() + b"kinds: vector time\n\n" + bytes(24)
    text = "NRRD0005\ntype: block\nblock size: 4\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nbyte skip: -1\n"
    text += "data file: {}\n"
    yield "beside", SEPARATOR.join([text.format("x.raw").encode(), bytes(40), b"x.nhdr"])
    yield "files", SEPARATOR.join([text.format("x%d.raw 0 1 1 2").encode(), bytes(16), b"x.nhdr"])
    yield "list", SEPARATOR.join([text.format("LIST\na.raw\nb.raw").encode(), bytes(16), b"x.nhdr"])


def sacs():
    for order, version, kind, even in (("<", 6, 1, 1), (">", 7, 3, 1), ("<", 6, 1, 0)):
        words = [-12345] * 40
        words[6], words[9], words[15], words[35] = version, 5, kind, even
        head = struct.pack(order + "70f40i", 0.5, *[-12345.0] * 69, *words) + b"-12345  " * 24
        yield f"{version}-{kind}-{even}", head + bytes(20 * 2 + (176 if version == 7 else 0))


def segys():
    for order, format, revision in ((">", 1, 0), (">", 3, 1), ("<", 5, 2)):
        binary = bytearray(400)
        binary[20:26] = struct.pack(order + "3H", 3, 0, format)
        if revision == 2:
            binary[96:100] = struct.pack(order + "I", 0x01020304)
        binary[300:302] = bytes([revision, 0] if order == ">" else [0, revision])
        binary[302:304] = struct.pack(order + "H", 1)
        trace = bytearray(240)
        trace[114:118] = struct.pack(order + "2H", 3, 1000)
        trace = bytes(trace) + bytes(6 if format == 3 else 12)
        yield f"{format}-{revision}", b"\x40" * 3200 + bytes(binary) + trace * 2


def sus():
    for order in "<>":
        trace = bytearray(240)
        trace[114:118] = struct.pack(order + "2H", 3, 1000)
        yield "little" if order == "<" else "big", (bytes(trace) + bytes(12)) * 2


def stacks():
    known = b'dtype = "<f4"\nshape = [3, 4]\n'
    yield "range", b'files = "t{00..19}.npy"\ndim = "time"\nfill = nan\n' + known
    yield "list", b'files = ["a.npy", "b/c.npy"]\naxis = -1\nlengths = [4, [2, 1]]\nselect = "1:, ::2"\n' + known
    yield "record", (b"files = ['a', 'b', 'c']\nnew_axis = 1\ntranspose = true\nrename = { x = 'z' }\n"
                     b"dtype = [['x', '<i2'], ['y', '>f8']]\nshape = [5]\n[attributes]\nunit = 'K'\n")
    yield "raw", b'files = "{1..2}/{0..90..10}.bin"\nraw = { dtype = "u2", shape = [2, 3], offset = 8, order = "F" }\n'
    yield "glob", b'files = "d/slice_*.tif"\n'


def names():
    for number, text in enumerate([
            "3", "-1", "1:5", "::-2", "0..7..2", "1,...,::2", ":,3", "a.T[3, ::2]", "sub/a['x'][:, 7].real",
            "a.ravel()[10:20]", "%2E%2E", "%22%22", "7.raw", "[1_000, None:-3, Ellipsis]", "a%2Fb\xff"]):
        yield str(number), text.encode("latin-1")


def dtypes():
    for number, text in enumerate([
            "<f8", "|S5", ">M8[25ns]", "float32be", "V12", "[('x', '<f4'), ('y', '<i4', (2, 3))]",
            "[(('t', 'x'), [('a', '|u1'), ('', '|V3')]), ('z', ('U', 5))]",
            '[["x", "<f4"], ["", "|V4"], [["t", "y"], "<c8", [2]]]',
            r"{'a': (1, -2L), b'\x41': [None, True, u'\u00e9\n']}",
            "name=x,file=x.bin,dtype=f4,shape=100x?,offset=512,order=F",
            'dtype="[(\'a\', \'<i4\')]",shape=3x2,strides=-8x4,offset=24']):
        yield str(number), text.encode()


def runs():
    source = random.Random(1)
    for number in range(8):
        yield str(number), source.randbytes(200)


SEEDS = {
    "aiff": aiffs, "au": aus, "dtype": dtypes, "edf": edfs, "fits": fitses,
    "gguf": ggufs, "hdf5": hdf5s, "mrc": mrcs, "name": names, "netcdf3": netcdfs, "nifti": niftis,
    "npy": npys, "npz": npzs, "nrrd": nrrds, "raw": raws, "runs": runs, "sac": sacs, "safetensors": safes,
    "segy": segys, "stack": stacks, "su": sus, "torch": torches, "wav": wavs, "zarr": zarrs,
    **seeds_forms.SEEDS, **seeds_matrices.SEEDS, **seeds_rasters.SEEDS,
}

for target in sys.argv[1:] or SEEDS:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS[target]():
        (folder / name).write_bytes(data)
