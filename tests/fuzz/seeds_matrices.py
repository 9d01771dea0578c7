"""Seeds of the formats of matrices and meshes: MATLAB, Octave, PLY, VTK. See seeds.py."""

import struct


def mat4s():
    def matrix(order, kind, shape, size, flag=0):
        return struct.pack(order + "5I", kind, *shape, flag, 2) + b"x\0" + bytes(size)

    yield "little", matrix("<", 0, (2, 3), 48) + matrix("<", 51, (1, 4), 4)
    yield "big", matrix(">", 1010, (2, 2), 32, 1) + matrix(">", 1002, (3, 3), 72)


def mat5s():
    def item(order, kind, data):
        return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)

    def matrix(order, flags, shape, name, *parts):
        head = item(order, 6, struct.pack(order + "II", flags, 0))
        head += item(order, 5, struct.pack(f"{order}{len(shape)}I", *shape)) + item(order, 1, name)
        return item(order, 14, head + b"".join(parts))

    def file(order, *variables):
        mark = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
        return b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(variables)

    for order in "<>":
        small = struct.pack(order + "I", 4 << 16 | 2) + b"\1\2\3\4"
        square = matrix(order, 6, (2, 2), b"", small)
        names = struct.pack(order + "II", 4 << 16 | 5, 2) + item(order, 1, b"a\0b\0")
        part = item(order, 9, bytes(16))
        yield "little" if order == "<" else "big", file(
            order, matrix(order, 0x806, (2, 1), b"z", part, part), matrix(order, 1, (1, 2), b"c", square, square),
            matrix(order, 2, (1, 1), b"s", names, square, matrix(order, 4, (1, 2), b"", item(order, 16, b"hi"))))
    sparse = [item("<", 5, bytes(8)), item("<", 5, bytes(12)), item("<", 9, bytes(16))]
    yield "more", file("<", matrix("<", 5, (2, 2), b"s", *sparse), struct.pack("<II", 15, 3) + b"x\x9c\0",
                       matrix("<", 16, (1, 1), b"f"))


def octaves():
    def text(order, word):
        return struct.pack(order + "i", len(word)) + word.encode()

    def variable(order, name, kind, *value):
        return text(order, name) + text(order, "") + b"\0\xff" + text(order, kind) + b"".join(value)

    def shape(order, *lengths):
        return struct.pack(f"{order}{1 + len(lengths)}i", -len(lengths), *lengths)

    for order, magic in (("<", b"Octave-1-L\0"), (">", b"Octave-1-B\1")):
        square = variable(order, "m", "matrix", shape(order, 2, 2), b"\4", bytes(8))
        number = variable(order, "z", "complex scalar", b"\7", bytes(16))
        words = variable(order, "t", "string", shape(order, 1, 2), b"hi")
        cell = variable(order, "c", "cell", shape(order, 1, 2), square, words)
        tree = variable(order, "s", "scalar struct", struct.pack(order + "i", 2), cell, number)
        yield "little" if order == "<" else "big", magic + tree + square
    sparse = variable("<", "p", "sparse matrix", struct.pack("<4i3i", -2, 1, 2, 1, 0, 0, 1), bytes(4), b"\7", bytes(8))
    more = [variable("<", "b", "bool", b"\1"), variable("<", "r", "double_range", b"\7", bytes(24))]
    cells = variable("<", "f", "cell", shape("<", 1, 1), more[0])
    many = variable("<", "t", "struct", shape("<", 1, 1), struct.pack("<i", 1), cells)
    yield "more", b"Octave-1-L\0" + b"".join([sparse, *more, many, variable("<", "f", "function handle")])


def plys():
    def file(order, *lines):
        return "\n".join(["ply", f"format binary_{order}_endian 1.0", *lines, "end_header", ""]).encode()

    vertex = ["element vertex 2", "property float x", "property uchar red"]
    face = ["element face 2", "property list uchar int vertex_indices", "property short flags"]
    yield "little", file("little", "comment seed", *vertex, *face) + bytes(10) + (b"\3" + bytes(14)) * 2
    strip = ["element strip 1", "property list int uint8 s"]
    yield "big", file("big", *vertex, *strip) + bytes(10) + b"\0\0\0\5" + bytes(5)
    yield "mixed", file("little", *face, *vertex) + b"\3" + bytes(14) + b"\4" + bytes(18 + 10)


def vtks():
    def file(version, *parts):
        parts = [part if isinstance(part, bytes) else part.encode() for part in parts]
        return b"\n".join([b"# vtk DataFile Version " + version.encode(), b"seed", b"BINARY", *parts, b""])

    yield "grid", file(
        "3.0", "DATASET STRUCTURED_POINTS", "DIMENSIONS 3 2 1", "SPACING 1 1 1", "ORIGIN 0 0 0", "POINT_DATA 6",
        "SCALARS a%20b short 1", "LOOKUP_TABLE default", bytes(12), "METADATA", "INFORMATION 0", "", "VECTORS v float",
        bytes(72), "CELL_DATA 2", "FIELD f 2", "x 2 2 double", bytes(32), "s 1 2 string", b"\xc1a\xc2bc")
    yield "mesh", file(
        "5.1", "DATASET UNSTRUCTURED_GRID", "POINTS 3 float", bytes(36), "CELLS 2 3", "OFFSETS vtktypeint64", bytes(16),
        "CONNECTIVITY vtktypeint64", bytes(24), "CELL_TYPES 1", bytes(4), "POINT_DATA 3", "TENSORS t float", bytes(108),
        "FIELD f 1", "b 1 3 bit", b"\0", "LOOKUP_TABLE l 2", bytes(8))
    yield "old", file("4.2", "DATASET POLYDATA", "POINTS 3 double", bytes(72), "POLYGONS 1 4", bytes(16))


SEEDS = {"mat4": mat4s, "mat5": mat5s, "octave": octaves, "ply": plys, "vtk": vtks}
