"""Programs in Fortran and C over forms of slices."""

import numpy as np
import pytest

from harness import mounted
from tools import FLOATS, any_values, close, native, needs, save, sh

SHAPE = (9, 4)

PROGRAM = """
program table
  implicit none
  character(1000) :: text, raw, out
  KIND :: a(9, 4), b(9, 4)
  integer :: i, j
  call get_command_argument(1, text)
  call get_command_argument(2, raw)
  call get_command_argument(3, out)
  open (10, file=text, action='read', status='old')
  read (10, *) ((a(i, j), j=1, 4), i=1, 9)
  close (10)
  ! The transpose, since the first index is the fastest here.
  open (11, file=raw, action='readwrite', status='old', access='stream', form='unformatted')
  read (11) b
  if (any(a /= b)) stop 1
  do i = 1, 9
    write (*, *) (a(10 - i, j), j=1, 4)
  end do
  b = -a
  write (11, pos=1) b
  close (11)
end program
"""


@pytest.mark.parametrize("dtype", ["i1", "<i2", "<i4", "<i8", "<f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("form", ["txt", "csv"])
def test_fortran(source, scratch, rng, dtype, order, form):
    needs("gfortran")
    kind = {"i1": "integer(1)", "i2": "integer(2)", "i4": "integer(4)", "i8": "integer(8)", "f4": "real(4)", "f8": "real(8)"}[dtype[-2:]]
    array = any_values(rng, dtype, SHAPE)
    if np.dtype(dtype).kind == "i":
        # The least integer has no negative.
        array[array == np.iinfo(dtype).min] = 1
    save(source, np.array(array, order=order), "a")
    (scratch / "table.f90").write_text(PROGRAM.replace("KIND", kind))
    sh("gfortran -o table table.f90", cwd=scratch)
    with mounted(source) as mnt:
        sh("$1/table data.$2 T/data $1 > $1/out", scratch, form, cwd=mnt / "a")
        assert np.array_equal(np.load(source / "a.npy"), -array)
        # What it prints is wrapped as it likes, with many blanks.
        sh("cp out $1/data.txt", mnt / "a", cwd=scratch)
        assert np.array_equal(np.load(source / "a.npy"), array[::-1])


def test_fortran_prints_into_a_slice(source, scratch):
    needs("gfortran")
    save(source, np.zeros((3, 4)), "a")
    (scratch / "p.f90").write_text("print *, 1.5d0, -2d-100, 3d0, 4d200\nprint '(4(d24.16, :, \",\"))', 1d0, 2d0, 3d0, 4d0\nend\n")
    sh("gfortran -o p p.f90", cwd=scratch)
    with mounted(source) as mnt:
        sh("$1/p > slice/:2.txt", scratch, cwd=mnt / "a")
        assert np.load(source / "a.npy").tolist() == [[1.5, -2e-100, 3, 4e200], [1, 2, 3, 4], [0] * 4]


@pytest.mark.parametrize("status", ["", ", status='old'", ", status='old', action='write'"])
def test_fortran_writes_into_a_slice(source, scratch, status):
    """It truncates at the end, and not when it opens."""
    needs("gfortran")
    save(source, np.zeros((3, 4)), "a")
    program = f"open (10, file='row/1.txt'{status})\nwrite (10, *) 1.5d0, -2d-100, 3d0, 4d200\nclose (10)\n"
    program += f"open (11, file='col/0.csv'{status})\nwrite (11, '(f3.1)') 7d0, 8d0, 9d0\nclose (11)\nend\n"
    (scratch / "p.f90").write_text(program)
    sh("gfortran -o p p.f90", cwd=scratch)
    with mounted(source) as mnt:
        sh("$1/p", scratch, cwd=mnt / "a")
        assert np.load(source / "a.npy").tolist() == [[7, 0, 0, 0], [8, -2e-100, 3, 4e200], [9, 0, 0, 0]]


READER = r"""
#include <stdio.h>

int main(int count, char **arguments)
{
    FILE *file = fopen(arguments[1], "r");
    double number, sum = 0;
    int numbers = 0;
    while (fscanf(file, "%lf%*[,]", &number) > 0) {
        sum += number;
        numbers++;
    }
    fclose(file);
    file = fopen(arguments[2], "w");
    for (int k = 0; k < 4; k++)
        fprintf(file, "%.17g\n", sum + k);
    printf("%d %.17g\n", numbers, sum);
    return fclose(file) != 0;
}
"""


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_c(source, scratch, rng, form):
    needs("cc")
    (scratch / "reader.c").write_text(READER)
    sh("cc -o reader reader.c", cwd=scratch)
    arrays = [save(source, any_values(rng, dtype, SHAPE), f"n{k}") for k, dtype in enumerate(FLOATS)]
    with mounted(source) as mnt:
        for name, array in arrays:
            count, total = sh("$1/reader data.$2 row/5.$2", scratch, form, cwd=mnt / name).split()
            # It adds the digits that it is shown, which are those of the array's own type.
            texts = [float(str(number)) for number in native(array).ravel()]
            assert int(count) == 36 and close(float(total), np.cumsum(texts)[-1]), name
            array[5] = float(total) + np.arange(4)
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
