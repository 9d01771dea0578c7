"""Slices that are not one piece of the file, warm: rows, columns, strides, blocks, the transpose."""

import os

import numpy as np

from lab import MIB, buffer, compare, opened, read_through


def measure(lab):
    lab.warm()
    with lab.mounted() as mnt:
        row(lab, mnt)
        column(lab, mnt)
        transpose(lab, mnt)
    shapes(lab)


def row(lab, mnt):
    """Open, read, close, of a name that the kernel knows."""
    bytes_of_row = lab.side * 8
    memory = memoryview(buffer(bytes_of_row))
    count = 300

    def opening(path):
        def action():
            for _ in range(count):
                fd = os.open(path, os.O_RDONLY)
                os.preadv(fd, [memory], 0)
                os.close(fd)

        return action

    with lab.empty_fuse() as zeros, opened(lab.npy) as plain:

        def reading():
            for _ in range(count):
                os.preadv(plain, [memory], 128 + 42 * bytes_of_row)

        sides = {"file": reading, "mount": opening(mnt / "big/row/42"), "empty": opening(zeros)}
        times = compare(sides, 15, (lab.table, "a row: open, read, close (file: read alone)", count))
    floor = times["file"] + 2 * count * lab.round_trip
    lab.table.at_most("a row, opened and closed: time / (2 round trips + read of the file)", times["mount"] / floor, 1.3)
    lab.table.at_most("  the same: time / (empty FUSE + read of the file)", times["mount"] / (times["empty"] + times["file"]), 1)
    lab.table.row("  an empty FUSE file system: time / (2 round trips + read)", "", times["empty"] / floor)


def column(lab, mnt):
    """One pread of a column, each time another one."""
    array = np.load(lab.npy, mmap_mode="r")
    array.sum()
    memory = buffer(lab.side * 8)
    target = np.frombuffer(memory, "f8")
    step = lab.side // 32
    fds = [os.open(mnt / f"big/col/{i}", os.O_RDONLY) for i in range(0, lab.side, step)]

    def ours():
        for fd in fds:
            os.preadv(fd, [memory], 0)

    def numpy():
        for i in range(step // 2, lab.side, step):
            np.copyto(target, array[:, i])

    with lab.empty_fuse() as zeros, opened(zeros) as empty:

        def nothing():
            for _ in fds:
                os.preadv(empty, [memory], 0)

        times = compare({"mount": ours, "numpy": numpy, "empty": nothing}, 15, (lab.table, "a column, warm", len(fds)))
    for fd in fds:
        os.close(fd)
    floor = times["numpy"] + len(fds) * lab.round_trip
    lab.table.at_most("a column, warm: time / (numpy.memmap + round trip)", times["mount"] / floor, 1.2)
    lab.table.row("  the same: time / (numpy.memmap + empty FUSE)", "", times["mount"] / (times["numpy"] + times["empty"]))


def transpose(lab, mnt):
    size, memory = lab.npy.stat().st_size - 128, buffer(MIB)
    array = np.load(lab.npy, mmap_mode="r")
    array.sum()
    with mnt.open("big/T/data") as view:
        sides = {
            "mount": lambda: read_through(view, size, memory, MIB),
            "numpy": lambda: np.ascontiguousarray(array.T),
        }
        times = compare(sides, 1 if lab.quick else 3, (lab.table, "the transpose", 1))
    lab.table.at_least("T/data: speed / numpy.ascontiguousarray(memmap.T)", times["numpy"] / times["mount"], 1.5)


DTYPES = {1: "u1", 2: "i2", 4: "f4", 8: "f8", 16: "c16", 24: "V24"}
CASES = {
    "::3,::5": np.s_[::3, ::5],
    "::-1": np.s_[::-1],
    ":,::-1": np.s_[:, ::-1],
    ":,16:32": np.s_[:, 16:32],
    "plane": np.s_[:, 7, :],
}


def shapes(lab):
    """Each kind of slice with each size of item, against numpy.copyto."""
    folder = lab.folder("items-")
    random = np.random.default_rng(2)
    total = (8 if lab.quick else 32) * MIB
    for size, dtype in DTYPES.items():
        flat = np.frombuffer(random.bytes(total // size * size), dtype)
        columns = 2048
        rows = len(flat) // columns
        np.save(folder / f"x{size}.npy", flat[: rows * columns].reshape(rows, columns))
        np.save(folder / f"y{size}.npy", flat[: rows // 16 * 16 * columns].reshape(rows // 16, 16, columns))
    memory = buffer(MIB)
    with lab.mounted(folder) as mnt, lab.empty_fuse() as zeros, opened(zeros) as empty:
        for name, index in CASES.items():
            figures = {size: shape(lab, mnt, folder, size, name, index, memory, empty) for size in DTYPES}
            floors = {size: figure for size, (_, figure) in figures.items()}
            figures = {size: figure for size, (figure, _) in figures.items()}
            worst, most = max(figures, key=figures.get), max(floors, key=floors.get)
            what = "a plane of axis 1" if name == "plane" else f"[{name}]"
            lab.table.at_most(f"{what}, items of 1 to 24 bytes, worst {worst}: time / (numpy + round trips)", figures[worst], 1)
            lab.table.row(f"  the same: time / (numpy + empty FUSE), worst {most}", "", floors[most])
            lab.table.note(f"{what}: by size of item: " + ", ".join(f"{size}: {figure:.2f}" for size, figure in figures.items()))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def shape(lab, mnt, folder, size, name, index, memory, empty):
    """The time of a slice, as a multiple of numpy.copyto and round trips, and of it and an empty FUSE file system."""
    stem = "y" if name == "plane" else "x"
    array = np.load(folder / f"{stem}{size}.npy", mmap_mode="r")
    view = array[index]
    target = np.zeros(view.shape, view.dtype)
    path = f"{stem}{size}/axis/1/7" if name == "plane" else f"{stem}{size}/slice/{name}"
    with mnt.open(path) as fd:
        if os.fstat(fd).st_size != view.nbytes:
            raise AssertionError(f"{path} has another size")
        sides = {
            "mount": lambda: read_through(fd, view.nbytes, memory, MIB),
            "numpy": lambda: np.copyto(target, view),
            "empty": lambda: read_through(empty, view.nbytes, memory, MIB),
        }
        trips = -(-view.nbytes // MIB)
        times = compare(sides, 5 if lab.quick else 9, (lab.table, f"{path}", 1))
    return times["mount"] / (times["numpy"] + trips * lab.round_trip), times["mount"] / (times["numpy"] + times["empty"])
