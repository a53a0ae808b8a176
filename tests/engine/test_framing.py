"""Pictures of a given shape are cut around what moves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylecine import Animator
from stylecine.engine import framing
from stylecine.engine.framing import framed
from stylecine.options import format_size, parse_size
from stylecine.picture.photo import load_photo


def ramp(width: int, height: int) -> np.ndarray:
    """Its red says how far to the right a pixel is."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[:, :, 0] = np.linspace(0, 255, width)
    return photo


@pytest.fixture
def right_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = np.zeros((10, 100))
    moves[:, 80:90] = 1
    monkeypatch.setattr(framing, "_moves", lambda photo, networks: moves)


@pytest.mark.usefixtures("right_moves")
def test_the_picture_contains_what_moves() -> None:
    networks: Any = None
    picture, size = framed(ramp(1200, 800), (90, 160, "moving"), networks)
    assert picture.shape == (160, 90, 3)
    assert isinstance(size, tuple) and 0.65 < size[2][0] < 0.9 and size[2][1] == 0.5  # type: ignore[misc]
    reds = picture[80, :, 0] / 255
    assert reds.min() < 0.8 and reds.max() > 0.89, "all of 0.8 to 0.9"
    again, same = framed(ramp(1200, 800), (90, 160, "moving"), networks)
    assert np.array_equal(again, picture) and same == size
    assert np.array_equal(load_photo(ramp(1200, 800), parse_size(format_size(size))), picture), "as a report says it"


@pytest.mark.usefixtures("right_moves")
def test_a_small_photo_is_enlarged_twice_at_most(caplog: pytest.LogCaptureFixture) -> None:
    networks: Any = None
    picture, _ = framed(ramp(300, 200), (1080, 1920, "moving"), networks)
    assert picture.shape == (400, 224, 3)
    assert "The photo is too small for 1080x1920, so its picture is 224x400." in caplog.text
    picture, _ = framed(ramp(300, 200), (180, 320, "moving"), networks)
    assert picture.shape == (320, 180, 3)


def test_where_nothing_moves_the_middle_is_kept(photo: np.ndarray, small_model: Path) -> None:
    plain = np.full_like(photo, 128)
    _, size = framed(plain, (64, 72, "moving"), Animator.from_pretrained(small_model))
    assert size == (64, 72, (0.5, 0.5))


def test_scenes_are_cut_as_well(photo: np.ndarray, small_model: Path) -> None:
    scene = Animator.from_pretrained(small_model).invert(photo, size=(64, 72, "moving"), latents=False)
    assert scene.photo.shape == (72, 64, 3) and str(scene.settings["size"]).startswith("64x72@")
