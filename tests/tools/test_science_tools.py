"""The checkers of FITS and NIfTI over forms of slices."""

import numpy as np

from harness import mounted
from tools import FLOATS, INTEGERS, needs, sh, wide


def test_fitsverify(source, rng):
    needs("fitsverify")
    arrays = [pair for shape in [(9,), (4, 5), (2, 3, 4)] for pair in [*wide(source, rng, [*INTEGERS, *FLOATS], shape)]]
    with mounted(source) as mnt:
        for name in {name for name, _ in arrays}:
            for path in ["data", "row/1", "slice/...,::2", "T/data"]:
                if (mnt / name / f"{path}.fits").exists():
                    assert "verification OK" in sh("fitsverify -q $1", mnt / name / f"{path}.fits"), (name, path)
            assert (mnt / name / "data.fits").exists(), name


def test_nifti_tool(source, scratch, rng):
    needs("nifti_tool")
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], (4, 5, 6))
    with mounted(source) as mnt:
        for name, array in arrays:
            checked = sh("nifti_tool -check_hdr -check_nim -infiles data.nii", cwd=mnt / name)
            assert checked.count("IS GOOD") == 2, name
            # The first index is the fastest in both.
            shown = sh("nifti_tool -quiet -disp_ci -1 2 3 0 0 0 0 -infiles data.nii", cwd=mnt / name)
            found = np.array(shown.split(), "f8")
            assert np.allclose(found, array[:, 2, 3].astype("f8"), rtol=1e-5, atol=1e-6), name
            sh("nifti_tool -copy_im -prefix $1/x.nii -infiles data.nii", scratch, cwd=mnt / name)
            copy = (scratch / "x.nii").read_bytes()[-array.nbytes :]
            assert np.array_equal(np.frombuffer(copy, array.dtype.newbyteorder("<")).reshape(array.shape, order="F"), array), name
            (scratch / "x.nii").unlink()
