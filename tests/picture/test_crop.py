"""Crops: how they are typed, how large they are, where they lie."""

from typing import Any

import numpy as np
import pytest

from stylecine.errors import OptionError
from stylecine.picture.crop import Crop, check_crop
from stylecine.picture.window import crop_window

NOTHING = np.zeros((8, 8))  # moves


def moving(left: float, right: float) -> np.ndarray:
    """[10,100]: the columns between two fractions of the width move."""
    x = (np.arange(100) + 0.5) / 100
    return np.repeat(((x >= left) & (x < right))[None], 10, axis=0).astype(float)


def test_a_crop_is_a_shape_and_optionally_a_centre() -> None:
    assert check_crop("9:16") == Crop(9, 16)
    assert check_crop("1:1@0.25,1") == Crop(1, 1, (0.25, 1.0))


WRONG = ("", "square", "9x16", "0:1", "1:-1", "1:11", "1.5:1", "1:1@0.5", "1:1@2,0", "1:1@..,.", 1.0, (9, 16))


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_invalid_crops(wrong: Any) -> None:
    with pytest.raises(OptionError) as caught:
        check_crop(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "frame", "size"),
    [
        ("1:1", (1536, 1024), (1024, 1024)),
        ("9:16", (1536, 1024), (576, 1024)),
        ("16:9", (1536, 1024), (1536, 864)),
        ("16:9", (1024, 1536), (1024, 576)),
        ("3:2", (1536, 1024), (1536, 1024)),
        ("1:10", (97, 131), (13, 131)),
    ],
)
def test_the_window_is_as_large_as_the_frame_permits(shape: str, frame: tuple[int, int], size: tuple[int, int]) -> None:
    left, top, *found = crop_window(check_crop(shape), *frame, NOTHING, even=False)
    assert tuple(found) == size
    assert (left, top) == tuple((whole - side) // 2 for whole, side in zip(frame, size, strict=True))  # the middle


def test_sides_for_video_are_even() -> None:
    _, _, width, height = crop_window(check_crop("1:1"), 131, 97, NOTHING, even=True)
    assert (width, height) == (96, 96)


def test_the_window_is_where_most_moves() -> None:
    left, top, width, height = crop_window(check_crop("1:1"), 300, 100, moving(0.7, 0.9), even=False)
    assert (top, width, height) == (0, 100, 100)
    assert 160 <= left <= 170  # all of 210 to 270 is in it, and it is as near to the middle as that lets it be


def test_the_window_stays_near_the_centre_where_that_costs_little() -> None:
    assert crop_window(check_crop("1:1"), 300, 100, moving(0.0, 1.0), even=False)[0] == 100
    everywhere = moving(0.0, 1.0) + 0.1 * moving(0.9, 1.0)
    assert 95 <= crop_window(check_crop("1:1"), 300, 100, everywhere, even=False)[0] <= 110


def test_a_chosen_centre_keeps_the_window_inside_the_frame() -> None:
    assert crop_window(check_crop("1:1@0.4,0.5"), 300, 100, moving(0.9, 1.0), even=False)[0] == 70
    assert crop_window(check_crop("1:1@1,1"), 300, 100, NOTHING, even=False) == (200, 0, 100, 100)
    assert crop_window(check_crop("3:1@0,0"), 100, 300, NOTHING, even=False)[:2] == (0, 0)
