"""Several processes at once, each with elements of its own: nobody disturbs another."""

import os

import numpy as np

from oracle import save_random
from shown import Shown, converted
from worker import Worker


def parts_of(array):
    """Views that share no byte, and overlap in the pages that they lie on: rows, columns, slices, ranges, conversions."""
    whole = array.view()
    rows, columns = array.shape
    half = rows // 2
    views = [Shown(array, whole.row(0)), Shown(array, whole.row(1)), converted(array, whole.row(2), ">f4", 2, "f4be")]
    views.append(Shown(array, whole.row(3)))
    views += [Shown(array, whole[4:half, j].at(f"slice/4:{half},{j}")) for j in (0, 1, 2)]
    views.append(Shown(array, whole[4:half, :2:-2].at(f"slice/4:{half},:2:-2")))
    flat = whole.raveled()
    start, end = half * columns, rows * columns
    views += [Shown(array, flat[start + k : end : 3].at(f"range/{start + k}:{end}:3")) for k in range(3)]
    return views


def run(mnt, folder, rng, rounds):
    """Gives the number of writes, reads and syncs. The arrays are made, written by all at once, and compared at the end."""
    done = 0
    arrays = [save_random(folder / f"{order}.npy", rng, "<f8", (16, 650), order) for order in ("C", "F")]
    for array in arrays:
        array.view().numpy[:] = rng.standard_normal(array.shape)
        array.path.write_bytes(array.model)
        views = parts_of(array)
        every = np.concatenate([view.positions for view in views])
        assert len(np.unique(every)) == len(every), "the views overlap"
        workers = [Worker() for _ in views]
        try:
            for view, worker in zip(views, workers, strict=True):
                pieces = []
                for _ in range(8):
                    count = view.size // view.unit
                    start = int(rng.integers(count))
                    length = int(rng.integers(1, count - start + 1)) * view.unit
                    data = bytes(view.make(rng, length))
                    pieces.append((start * view.unit, data))
                    view.write(start * view.unit, data)
                worker.start("keep_writing", mnt / view.path, pieces, rounds)
            done += sum(worker.finish() for worker in workers)
        finally:
            for worker in workers:
                worker.kill()
        stored = array.path.read_bytes()
        assert stored == array.model, f"{array.path.name}: writers of disjoint parts disturbed each other"
        for view in views:
            fd = os.open(mnt / view.path, os.O_RDONLY)
            try:
                assert view.agrees(os.pread(fd, view.size + 1, 0), 0, view.bytes()), view.path
            finally:
                os.close(fd)
    return done
