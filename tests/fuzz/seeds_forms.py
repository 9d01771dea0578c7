"""Seeds of the targets that are no formats of files: conversions, texts and headers of forms."""

import random
import struct


def converts():
    source = random.Random(1)
    # Kinds of the stored and the shown element, and whether there is a scale.
    for name, kinds in {"plain": (3, 20, 0), "scaled": (2 | 32, 23, 0x21), "small": (12, 13, 0), "pair": (20 | 64, 0, 12), "flip": (8, 2, 2)}.items():
        yield name, bytes(kinds) + struct.pack("<2d", 0.5, 20.0) + source.randbytes(48)


def texts():
    # A type, the form and its shape, the length of a piece.
    yield "numbers", bytes([3, 3, 5]) + b"  1.5 -2e9\n nan # no comment\n\n"
    yield "table", bytes([17, 4, 3]) + b'a b,"c,",d.0,d.1\n1, x y ,2.5,\n-3,"q""",,inf\n4,#,1e-3,NA\n'
    yield "json", bytes([0, 8, 1]) + b"[[1, 2],\n [3.0, -4e0]]\n"
    yield "pairs", bytes([5, 3, 7]) + b"1+2j (3-4e5j) -0.5j\n"
    yield "times", bytes([14, 3, 2]) + b"1969-12-31T23:59:59.999 NaT 2024-02-29T12\n"
    yield "strings", bytes([13, 4, 1]) + "\"a\nb\",ü é,\n".encode()
    yield "bytes", bytes([11, 3, 9]) + b"00ff10 abcdef 123456"


def heads():
    npy = b"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }"
    yield "npy", bytes([0, 10]) + b"\x93NUMPY\1\0\x76\0" + npy.ljust(117) + b"\n"
    yield "pgm", bytes([2, 0]) + b"P5 4 3 254\n"
    yield "pfm", bytes([4, 0]) + b"Pf\n4 3\n-1.\n"
    sizes = struct.pack("<4I2i2H6I", 0, 0, 54, 40, 5, 3, 1, 24, 0, 0, 1, 1, 0, 0)
    yield "bmp", bytes([6, 0]) + b"BM" + sizes
    yield "wav", bytes([7, 0]) + b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I2H2I2H", 16, 1, 2, 8000, 32000, 4, 16) + b"data\xff\xff\xff\xff"
    yield "au", bytes([10, 0]) + b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 6, 8000, 1)


SEEDS = {"convert": converts, "text": texts, "heads": heads}
