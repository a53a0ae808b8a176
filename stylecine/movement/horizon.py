"""The horizon stays a straight line: what drifts beside it, sky above and water below, drifts along it."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from stylecine.ops.smoothstep import smoothstep
from stylecine.options import SKY, WATER

MIN_COLUMNS = 0.1  # of the width, in which water that meets the sky lies on the line: fewer are no horizon
TOLERANCE = 1.0  # cells of the grid: what is farther off the line is not part of it
STEEPEST = 0.1  # rows a column: cameras are held about level
CANDIDATES = 24  # places of the border, evenly spaced: the line is sought through each two of them


class Horizon(NamedTuple):
    """At column x of the grid the sky ends and the water begins at row `row + slope * x`."""

    row: float
    slope: float

    def below(self, shape: tuple[int, int]) -> np.ndarray:
        """How many cells each place [h,w] lies below it, in rows; negative above."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        distance: np.ndarray = y - (self.row + self.slope * x)
        return distance


def find_horizon(owner: np.ndarray) -> Horizon | None:
    """The straight line on which most of the sky meets the water, by the class of each place, int [h,w]; None without
    one. By consensus (Fischler and Bolles, "Random sample consensus", 1981), of few candidates, so all pairs."""
    above, columns = np.nonzero((owner[:-1] == SKY) & (owner[1:] == WATER))
    if not len(above):
        return None
    rows = above + 0.5
    some = np.unique(np.linspace(0, len(rows) - 1, CANDIDATES).astype(int))
    best = np.zeros(len(rows), bool)
    for i, j in combinations(some, 2):
        if columns[i] == columns[j]:
            continue
        slope = (rows[j] - rows[i]) / (columns[j] - columns[i])
        near = np.abs(rows - rows[i] - slope * (columns - columns[i])) <= TOLERANCE
        if abs(slope) <= STEEPEST and near.sum() > best.sum():
            best = near
    if best.sum() < max(2, MIN_COLUMNS * owner.shape[1]):
        return None
    slope, row = np.polyfit(columns[best], rows[best], 1)
    return Horizon(float(row), float(slope))


def along_horizon(flow: np.ndarray, owner: np.ndarray, reach: float) -> np.ndarray:
    """The flow [2,h,w] of what owner [h,w] says, without what leads towards the horizon or away from it: nothing of it
    at the line, and all of it `reach` cells away."""
    horizon = find_horizon(owner)
    if horizon is None:
        return flow
    below = horizon.below(owner.shape)
    normal = np.array([-horizon.slope, 1.0]) / np.hypot(horizon.slope, 1.0)
    near = 1 - smoothstep(0, 1, (np.abs(below) - TOLERANCE) / reach)
    near = near * ((owner == SKY) | (owner == WATER))
    towards = near * np.tensordot(normal, flow, 1)
    return flow - towards * normal[:, None, None]
