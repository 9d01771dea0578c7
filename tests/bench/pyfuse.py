"""A FUSE file system over numpy.memmap, as somebody might write it in an afternoon: data, row/I and col/I of one array.

usage: pyfuse.py ARRAY.npy MOUNTPOINT
"""

import errno
import stat
import sys

import fuse
import numpy as np


class Slices(fuse.Operations):
    def __init__(self, path):
        self.array = np.load(path, mmap_mode="r")
        self.open_slices = {}
        self.next_handle = 0

    def find(self, path):
        """The slice of a path; nothing for a folder."""
        match path.strip("/").split("/"):
            case ["data"]:
                return self.array
            case ["row", index]:
                return self.array[int(index)]
            case ["col", index]:
                return self.array[:, int(index)]
            case [""] | ["row"] | ["col"]:
                return None
        raise fuse.FuseOSError(errno.ENOENT)

    def getattr(self, path, fh=None):
        found = self.find(path)
        if found is None:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": found.nbytes}

    def readdir(self, path, fh):
        return [".", "..", *(["data", "row", "col"] if path == "/" else [])]

    def open(self, path, flags):
        self.next_handle += 1
        self.open_slices[self.next_handle] = self.find(path)
        return self.next_handle

    def read(self, path, size, offset, fh):
        found = self.open_slices[fh]
        first, last = offset // found.itemsize, -(-(offset + size) // found.itemsize)
        # The elements of a slice of one axis, or the whole array, without a copy of more than is asked for.
        flat = found if found.ndim == 1 else found.reshape(-1)
        return flat[first:last].tobytes()[offset - first * found.itemsize :][:size]

    def release(self, path, fh):
        del self.open_slices[fh]


if __name__ == "__main__":
    fuse.FUSE(Slices(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True, ro=True, direct_io=True, max_read=1 << 17)
