"""Seeds of the formats of pictures and of rasters, and of Fortran."""

import struct

SEPARATOR = b"\n=====\n"


def tiff(order, big, pages, size=1000):
    """Pages of tags: number, type, values. Elements go from byte `size` / 2 on."""
    word, inner = ("Q", 8) if big else ("I", 4)
    out = bytearray(b"II" if order == "<" else b"MM")
    out += struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)
    link = len(out) - inner
    for tags in pages:
        entries = b""
        for number, kind, values in tags:
            letter = {3: "H", 4: "I", 12: "d", 16: "Q"}.get(kind)
            field = struct.pack(f"{order}{len(values)}{letter}", *values) if letter else values
            if len(field) > inner:
                out += field
                field = struct.pack(order + word, len(out) - len(field))
            entries += struct.pack(order + "HH" + word, number, kind, len(values)) + field.ljust(inner, b"\0")
        out[link : link + inner] = struct.pack(order + word, len(out))
        out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
        link = len(out)
        out += bytes(inner)
    assert len(out) <= size / 2
    return bytes(out.ljust(size, b"\0"))


def tiffs():
    shape = [(256, 3, [3]), (257, 3, [5]), (258, 3, [16])]
    strips = [*shape, (273, 4, [900, 800, 994]), (278, 3, [2]), (279, 3, [12, 12, 6]), (339, 3, [2])]
    yield "strips", tiff("<", False, [strips])
    tiles = [(322, 3, [2]), (323, 3, [4]), (324, 16, [500, 600, 0, 700]), (325, 16, [16, 16, 0, 16])]
    yield "tiles", tiff(">", True, [[*shape, *tiles, (42113, 2, b"7\0"), (33550, 12, [1, 2, 3])]])
    colours = [(277, 3, [3]), (262, 3, [2])]
    yield "colours", tiff("<", False, [[*shape, (273, 3, [600]), *colours, (284, 3, [1])]])
    yield "planes", tiff(">", False, [[*shape, (273, 3, [600, 630, 700]), *colours, (284, 3, [2])]])
    yield "pages", tiff("<", False, [[*shape, (273, 3, [at])] for at in (600, 700, 900)])
    yield "differ", tiff("<", False, [[*shape, (273, 3, [600])], [*shape[1:], (256, 3, [2]), (273, 3, [700]), (259, 3, [5])]])
    yield "imagej", tiff(">", False, [[*shape, (273, 3, [600]), (270, 2, b"ImageJ=1\nimages=6\nslices=3\nframes=2\n\0")]])
    yield "shaped", tiff("<", False, [[*shape, (273, 3, [600]), (270, 2, b'{"shape": [2, 1, 5, 3]}\0')]])


def bmps():
    for size, bits, kind, rows in (
            (12, 8, 0, 3), (12, 24, 0, 3), (40, 8, 0, 3), (40, 16, 3, -3), (40, 24, 0, 3), (108, 32, 3, -3), (124, 24, 0, 3)):
        if size == 12:
            head = struct.pack("<I4H", size, 3, rows, 1, bits)
        else:
            head = struct.pack("<IiiHHI5I", size, 3, rows, 1, bits, kind, 0, 2835, 2835, 4, 0)
            head = (head + struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0)).ljust(size, b"\0")
        start = 14 + len(head) + 1024
        yield f"{size}-{bits}", struct.pack("<2s3I", b"BM", 0, 0, start) + head + bytes(1024 + 36)
        yield f"{size}-{bits}-bare", head + bytes(1024 + 36)


def envis():
    text = "ENVI\ndescription = {\n two lines}\nsamples = 3\nlines = 2\nbands = 2\nheader offset = 4\ndata type = %d\n"
    text += "interleave = %s\nbyte order = 1\nwavelength = {400.5, 500}\n"
    for number, interleave in ((1, "bsq"), (2, "bil"), (6, "bip")):
        yield interleave, SEPARATOR.join([(text % (number, interleave)).encode(), bytes(100), b"x.hdr"])


def ehdrs():
    text = "NROWS 2\nNCOLS 3\nNBANDS 2\nNBITS 16\nBYTEORDER I\nPIXELTYPE SIGNEDINT\nSKIPBYTES 4\nNODATA -1\nXDIM 0.5\n"
    for layout, gap in (("BSQ", "BANDGAPBYTES 3"), ("BIL", "BANDROWBYTES 7"), ("BIP", "TOTALROWBYTES 13")):
        yield layout, SEPARATOR.join([f"{text}LAYOUT {layout}\n{gap}\n".encode(), bytes(100), b"x.hdr"])
    yield "floats", SEPARATOR.join([b"ncols 3\nnrows 2\nxllcorner 0\nbyteorder MSBFIRST\n", bytes(24), b"x.hdr"])


def fortrans():
    def records(order, *lengths):
        return b"".join(struct.pack(order, n) + bytes(n) + struct.pack(order, n) for n in lengths)

    plain = 'format = "fortran"\ndtype = "f4"\nshape = "2x3"\n'
    yield "alike", SEPARATOR.join([records("<i", 24, 24, 24), plain.encode()])
    yield "eight", SEPARATOR.join([records(">q", 5, 24, 24), f"{plain}marker = 8\nskip = 1\norder = 'C'\n".encode()])
    text = 'format = "fortran"\n[[record]]\n[[record]]\nname = "t"\ndtype = "f8"\nrepeat = true\n'
    text += "[[record]]\nname = 'u'\ndtype = 'i2'\nshape = [2, -1]\nrepeat = true\n[record.attributes]\nunit = 'K'\n"
    yield "list", SEPARATOR.join([records(">i", 5, 8, 12, 8, 12), text.encode()])


def pnms():
    yield "grey", b"P5 3 2\n# text\n255\n" + bytes(6)
    yield "colour", b"P6\n3 2\n65535\n" + bytes(36)
    yield "pam", b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + bytes(24)
    yield "floats", b"PF\n3 2\n-1.0\n" + bytes(72)
    yield "alike", (b"Pf\n1 1\n1.0\n" + bytes(4)) * 3
    yield "others", b"P5 1 1 1\n\0P6 1 1 1\n\0\0\0"


SEEDS = {"bmp": bmps, "ehdr": ehdrs, "envi": envis, "fortran": fortrans, "pnm": pnms, "tiff": tiffs}
