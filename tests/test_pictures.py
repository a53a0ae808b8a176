"""Writing pictures: what is in the file, and nothing left behind by a failure."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.errors import OptionError
from stylecine.pictures import write_poster


def chart(height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth, with saturated corners."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def test_a_poster_is_the_frame_itself_and_says_that_it_is_srgb(tmp_path: Path) -> None:
    odd = chart(97, 131)
    info = write_poster(odd, tmp_path / "loop.png", comment='{"größe": 1}')
    with Image.open(tmp_path / "loop.png") as poster:
        assert np.array_equal(np.asarray(poster), odd)
        assert poster.info["srgb"] == 0 and poster.info["Comment"] == '{"größe": 1}'
    assert (info.frames, info.width, info.height, info.cropped) == (1, 131, 97, (0, 0))
    assert info.bytes == (tmp_path / "loop.png").stat().st_size
    assert os.listdir(tmp_path) == ["loop.png"]


def test_what_fails_in_finish_leaves_nothing(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        raise OptionError("no")

    with pytest.raises(OptionError, match="no"):
        write_poster(chart(), tmp_path / "loop.png", finish=fail)
    assert not os.listdir(tmp_path)


def test_impossible_posters(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="uint8"):
        write_poster(np.zeros((64, 64, 3), np.float32), tmp_path / "loop.png")
    assert not os.listdir(tmp_path)
    with pytest.raises(OptionError, match=r"\.png"):
        write_poster(chart(), tmp_path / "loop.txt")
