"""Writes HDF5 files with every filter that is built in or a plugin, and what they hold: `hdf5_filters.py FOLDER SEED`.

In a process of its own: the plugins bind to the HDF5 library that was loaded first, and netCDF4 brings another one than h5py.
"""

import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

SHAPE = (37, 53, 11)
CHUNK = (10, 20, 5)

FILTERS = {
    "gzip": {"compression": "gzip"},
    "gzip, shuffle, fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"fletcher32": True},
    "shuffle": {"shuffle": True},
    "lzf": {"compression": "lzf"},
    "lzf, shuffle": {"compression": "lzf", "shuffle": True},
    "bzip2": hdf5plugin.BZip2(),
    "lz4": hdf5plugin.LZ4(),
    "lz4 in blocks": hdf5plugin.LZ4(nbytes=200),
    "zstd": hdf5plugin.Zstd(),
    "zstd, shuffle": {**hdf5plugin.Zstd(9), "shuffle": True},
    **{
        f"blosc {cname} {shuffle}": hdf5plugin.Blosc(cname=cname, clevel=5, shuffle=shuffle)
        for cname in ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
        for shuffle in (0, 1, 2)
    },
}


def main(folder, seed):
    rng = np.random.default_rng(seed)
    for libver in ("earliest", "latest"):
        for name, options in FILTERS.items():
            path = folder / f"{name} {libver}.h5"
            wanted = {}
            with h5py.File(path, "w", libver=libver) as file:
                for number, (dtype, most) in enumerate([("<i4", None), (">f8", (None, 53, 11)), ("u1", (None,) * 3)]):
                    # The chunks of random bytes cannot be compressed, and the filter may have been left out for them.
                    values = rng.integers(-3, 4, SHAPE).ravel().cumsum() if number else rng.integers(0, 2**31, SHAPE)
                    array = values.reshape(SHAPE).astype(dtype)
                    made = file.create_dataset(f"g/{number}", SHAPE, dtype, chunks=CHUNK, maxshape=most, fillvalue=9, **options)
                    made[:, :40] = array[:, :40]
                    wanted[str(number)] = made[...]
            np.savez(path.with_suffix(".npz"), **wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
