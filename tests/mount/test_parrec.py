"""PAR/REC: the headers that nibabel has as examples, with data made for them, compared with nibabel."""

import os
import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.parrec import PARRECError, PARRECHeader, PARRECImage

from harness import mounted
from members import check_member, error_of, info

EXAMPLES = Path(nib.__file__).parent / "tests/data"
# In order, and not; with volumes, and without; of each version.
NAMES = ["phantom_EPI_asc_CLEAR_2_1", "phantom_fake_v4", "phantom_fake_v4_1", "phantom_varscale"]
OTHERS = ["T1", "T2", "T2-interleaved", "DTI", "DTIv40", "fieldmap", "T1_3echo_mag_real_imag_phase"]


def header_of(path):
    with warnings.catch_warnings(), open(path) as file:
        warnings.simplefilter("ignore")
        return PARRECHeader.from_fileobj(file)


def make(source, rng, name):
    """Copies a header, and makes its data; gives what nibabel reads."""
    path = source / f"{name}.PAR"
    shutil.copy(EXAMPLES / path.name, path)
    header = header_of(path)
    size = int(np.prod(header.get_rec_shape())) * header.get_data_dtype().itemsize
    path.with_suffix(".REC").write_bytes(rng.bytes(size))
    return stored(path)


def stored(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(PARRECImage.load(path).dataobj.get_unscaled())


@pytest.mark.parametrize("name", NAMES + OTHERS)
def test_the_examples_of_nibabel(source, rng, name):
    wanted = make(source, rng, name)
    with mounted(source) as mnt:
        check_member(mnt, "", name, wanted)
        facts = info(mnt, "", name)
        assert facts["format"] == "parrec" and facts["dims"] == ["x", "y", "z", "volume"][: wanted.ndim]


def test_the_scale_is_in_the_attributes(source, rng):
    for name in ["phantom_EPI_asc_CLEAR_2_1", "phantom_varscale"]:
        wanted = make(source, rng, name)
        header = header_of(source / f"{name}.PAR")
        slopes, intercepts = header.get_data_scaling("dv")
        with mounted(source) as mnt:
            attributes = info(mnt, "", name)["attributes"]
        for key, of_library in [("rescale slope", slopes), ("rescale intercept", intercepts)]:
            of_library = np.broadcast_to(of_library, (1, 1, *wanted.shape[2:])).ravel(order="F")
            assert np.allclose(np.broadcast_to(attributes[key], of_library.shape), of_library)
        assert "Technique" in attributes


@pytest.mark.parametrize("name", ["phantom_EPI_asc_CLEAR_2_1", "DTI", "T2-interleaved"])
def test_what_is_written_is_read_back(source, rng, name):
    wanted = make(source, rng, name)
    plane = np.frombuffer(rng.bytes(wanted[:, 5].nbytes), wanted.dtype).reshape(wanted[:, 5].shape)
    wanted[:, 5] = plane
    with mounted(source) as mnt:
        mnt.write(f"{name}/col/5", plane.tobytes())
    assert np.array_equal(stored(source / f"{name}.PAR"), wanted)


def test_small_letters_and_the_other_format_with_that_extension(source, rng):
    wanted = make(source, rng, "phantom_fake_v4")
    for extension in ["PAR", "REC"]:
        (source / f"phantom_fake_v4.{extension}").rename(source / f"a.{extension.lower()}")
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted)
        assert "a.par describes" in error_of(mnt, "a.rec")


def test_what_cannot_be_served_says_so(source, rng):
    make(source, rng, "phantom_fake_v4")
    text = (source / "phantom_fake_v4.PAR").read_text()
    rows = [line for line in text.splitlines() if line[:1].isspace() or line[:1].isdigit()]
    for name, changed in {
        "old": text.replace("V4", "V3"),
        "cut": text.replace(rows[-1], ""),
        "none": "\n".join(line for line in text.splitlines() if line not in rows),
        "other": "nothing of the kind\n",
    }.items():
        (source / f"{name}.PAR").write_text(changed)
        shutil.copy(source / "phantom_fake_v4.REC", source / f"{name}.REC")
    (source / "alone.PAR").write_text(text)
    os.truncate(source / "phantom_fake_v4.REC", 1000)
    with pytest.raises(PARRECError):
        header_of(source / "cut.PAR")
    words = {
        "old": "version 'V3'",
        "cut": "ended too early",
        "none": "no slice",
        "other": "no PAR header",
        "alone": "not beside it",
        "phantom_fake_v4": "holds only 1000",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name
