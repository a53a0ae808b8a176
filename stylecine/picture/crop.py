"""Crops to another aspect ratio, 1:1, 9:16, 16:9, ...: how one is asked for, its size, and its window in a frame."""

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stylecine.errors import OptionError

Window: TypeAlias = tuple[int, int, int, int]  # left, top, width, height in pixels

MAX_RATIO = 10  # longer to shorter side
BORDER_PENALTY = 0.3  # share of the motion that a window at the border must contain more than one at the centre


@dataclass(frozen=True)
class Crop:
    """Width : height. centre: in fractions of the frame's width and height; None: where most of the motion is."""

    width: int
    height: int
    centre: tuple[float, float] | None = None


def check_crop(text: str) -> Crop:
    """A crop from text: 9:16, or 9:16@0.3,0.5 with its centre. Raises OptionError."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})(?:@([\d.]+),([\d.]+))?", text) if isinstance(text, str) else None
    try:
        width, height = int(match[1]), int(match[2])  # type: ignore[index]
        centre = (float(match[3]), float(match[4])) if match and match[3] else None
    except (TypeError, ValueError):
        raise OptionError(f"A crop is a shape like 9:16, or 9:16@0.3,0.5 with its centre, not {text!r}.") from None
    if not 0 < max(width, height) <= MAX_RATIO * min(width, height):
        raise OptionError(f"The sides of a crop differ by a factor of {MAX_RATIO} at most, unlike those of {text!r}.")
    if centre and not all(0 <= x <= 1 for x in centre):
        raise OptionError(f"The centre of a crop is given in fractions of width and height, 0 to 1, not {text!r}.")
    return Crop(width, height, centre)


def crop_sides(crop: Crop, width: int, height: int, *, even: bool = False) -> tuple[int, int]:
    """Width and height of the largest window of that aspect ratio. even: whether both sides must be even."""
    step = 1 + even
    exact = min(width, height * crop.width / crop.height), min(height, width * crop.height / crop.width)
    wide, high = (max(step, round(side) // step * step) for side in exact)
    return wide, high


def crop_window(crop: Crop, width: int, height: int, moves: np.ndarray, *, even: bool) -> Window:
    """The largest window of that aspect ratio in a frame of width x height.

    moves: [h,w] of any size, the amount of motion; without a centre the window contains as much of it as possible,
        but stays near the frame's centre if that costs little. even: whether both sides must be even.
    """
    sides = crop_sides(crop, width, height, even=even)
    axes = zip((width, height), sides, (0, 1), (crop.centre or (None, None)), strict=True)
    left, top = (_start(length, side, moves.sum(axis=axis), centre) for length, side, axis, centre in axes)
    return left, top, sides[0], sides[1]


def _start(length: int, side: int, moves: np.ndarray, centre: float | None) -> int:
    """The start of a window of `side` pixels along an axis of `length`, with the motion `moves` along it."""
    if centre is not None:
        return min(max(round(centre * length - side / 2), 0), length - side)
    starts = np.arange(length - side + 1)
    edges = np.linspace(0, length, len(moves) + 1)
    cumulative = np.concatenate([[0.0], np.cumsum(moves)]) / max(float(moves.sum()), 1e-12)
    kept = np.interp(starts + side, edges, cumulative) - np.interp(starts, edges, cumulative)
    offset = np.abs(starts - math.floor((length - side) / 2)) / max(1, (length - side) / 2)
    return int((kept - BORDER_PENALTY * offset**2).argmax())
