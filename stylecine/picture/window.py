"""The window of a crop: as large as possible, where most of the motion is."""

import math
from typing import TypeAlias

import numpy as np

from stylecine.picture.crop import Crop, crop_sides

Window: TypeAlias = tuple[int, int, int, int]  # left, top, width, height in pixels

BORDER_PENALTY = 0.3  # share of the motion that a window at the border must contain more than one at the centre


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
