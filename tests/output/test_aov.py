"""Mask and motion for compositing programs, read back by others."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stylecine.errors import OutputError
from stylecine.output.aov import write_aovs
from stylecine.output.formats import AOVS


def read_exr(path: Path) -> tuple[np.ndarray, str]:
    """Its pixels, float32, and FFmpeg's name of their format."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(), frame.format.name


def test_exr_and_npy_say_the_same_in_the_documented_units(tmp_path: Path) -> None:
    mask = torch.linspace(0, 1, 60 * 80).reshape(60, 80)
    mask[:10] = 0
    motion = torch.stack((torch.full((30, 20), 0.5), torch.full((30, 20), -0.25)))  # its grid is 2 by 4 pixels
    carried = torch.ones(60, 80)
    carried[:, 70:] = 0  # plants, which a wind moves
    written = write_aovs(tmp_path / "new", mask, carried, motion, fps=60)
    assert [path.name for path in written] == list(AOVS) and all(path.is_file() for path in written)
    assert np.array_equal(np.load(tmp_path / "new/mask.npy"), mask) and np.load(written[1]).dtype == np.float32
    assert np.array_equal(np.load(tmp_path / "new/motion.npy"), motion)
    grey, pixels = read_exr(tmp_path / "new/mask.exr")
    assert pixels == "grayf32le" and np.array_equal(grey, mask)
    moved, pixels = read_exr(tmp_path / "new/motion.exr")
    assert pixels == "gbrpf32le" and moved.dtype == np.float32
    expected = np.stack([np.full((50, 80), 1), np.full((50, 80), -0.25), mask[10:]], -1)
    assert np.allclose(moved[10:, :70], expected[:, :70])
    assert not moved[:10].any(), "where nothing moves"
    assert not moved[..., 70:, :2].any() and np.array_equal(moved[:, 70:, 2], mask[:, 70:]), "what is not carried"


def test_every_required_attribute_of_openexr_is_there(tmp_path: Path) -> None:
    write_aovs(tmp_path, torch.ones(64, 64), torch.ones(64, 64), torch.ones(2, 32, 32), 30)
    required = ("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio",
                "screenWindowCenter", "screenWindowWidth")  # fmt: skip
    for name in ("mask.exr", "motion.exr"):
        header = (tmp_path / name).read_bytes()[:600]
        assert all(f"{attribute}\0".encode() in header for attribute in required)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write masks and motion"):
        write_aovs(tmp_path / "file", torch.ones(8, 8), torch.ones(8, 8), torch.ones(2, 4, 4), 30)
