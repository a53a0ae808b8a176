"""A window of another shape: 1:1, 9:16, 16:9, ... as large as the frame lets it, where most moves."""

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stylecine.errors import OptionError

Window: TypeAlias = tuple[int, int, int, int]  # left, top, width, height in pixels

LONGEST = 10  # times as long as wide, or as wide as long
STRAY = 0.3  # of all that moves: what a window at the border must keep more of than one in the middle


@dataclass(frozen=True)
class Crop:
    """Width : height; where the middle lies in fractions of the frame's width and height, None for where most moves."""

    width: int
    height: int
    centre: tuple[float, float] | None = None


def check_crop(text: str) -> Crop:
    """A crop as one types it: 9:16, or 9:16@0.3,0.5 with the window's middle. Raises OptionError."""
    found = re.fullmatch(r"(\d{1,5}):(\d{1,5})(?:@([\d.]+),([\d.]+))?", text) if isinstance(text, str) else None
    try:
        width, height = int(found[1]), int(found[2])  # type: ignore[index]
        centre = (float(found[3]), float(found[4])) if found and found[3] else None
    except (TypeError, ValueError):
        raise OptionError(f"A crop is a shape like 9:16, or 9:16@0.3,0.5 with its middle, not {text!r}.") from None
    if not 0 < max(width, height) <= LONGEST * min(width, height):
        raise OptionError(f"A crop is at most {LONGEST} times as long as it is wide, not {text!r}.")
    if centre and not all(0 <= place <= 1 for place in centre):
        raise OptionError(f"The middle of a crop is given in fractions of width and height, 0 to 1, not {text!r}.")
    return Crop(width, height, centre)


def window(crop: Crop, width: int, height: int, moves: np.ndarray, *, even: bool) -> Window:
    """The largest window of that shape in a frame of width x height.

    moves: [h,w] of any size, how much moves where; a window without a given middle keeps most of it, but stays near the
        frame's middle where that costs little. even: whether both sides have to be.
    """
    wide = min(width, height * crop.width / crop.height)
    high = min(height, width * crop.height / crop.width)
    sides = [max(step := 1 + even, round(side) // step * step) for side in (wide, high)]
    ends = zip((width, height), sides, (0, 1), (crop.centre or (None, None)), strict=True)
    left, top = (_start(whole, side, moves.sum(axis=axis), middle) for whole, side, axis, middle in ends)
    return left, top, sides[0], sides[1]


def _start(whole: int, side: int, moves: np.ndarray, middle: float | None) -> int:
    """Where a window of `side` pixels begins in `whole` along one axis, over which `moves` tells how much moves."""
    if middle is not None:
        return min(max(round(middle * whole - side / 2), 0), whole - side)
    starts = np.arange(whole - side + 1)
    edges = np.linspace(0, whole, len(moves) + 1)
    below = np.concatenate([[0.0], np.cumsum(moves)]) / max(float(moves.sum()), 1e-12)
    kept = np.interp(starts + side, edges, below) - np.interp(starts, edges, below)
    stray = np.abs(starts - math.floor((whole - side) / 2)) / max(1, (whole - side) / 2)
    return int((kept - STRAY * stray**2).argmax())
