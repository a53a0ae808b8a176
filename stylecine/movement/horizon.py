"""The horizon stays a straight line: what drifts beside it, sky above and water below, drifts along it."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from stylecine.ops.smoothstep import smoothstep
from stylecine.options import SKY, WATER

MIN_COLUMNS = 0.1  # of the width, in which water that meets the sky lies on the line: fewer are no horizon
TOLERANCE = 1.0  # cells of the grid: what is farther off the line is not part of it
STEEPEST = 0.1  # rows a column: cameras are held about level
CANDIDATES = 24  # places of the border, evenly spaced: the line is sought through each two of them


def find_horizon(owner: np.ndarray) -> tuple[float, float] | None:
    """The straight line on which most of the sky meets the water, by the class of each place, int [h,w]: its slope, in
    rows a column, and its row at the left; None without one.

    By consensus (Fischler and Bolles, "Random sample consensus", 1981), of few candidates, so all pairs.
    """
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
    return float(slope), float(row)


def along_horizon(flow: np.ndarray, owner: np.ndarray, reach: float) -> np.ndarray:
    """The flow [2,h,w] of what owner [h,w] says, without what leads towards the horizon or away from it: nothing of it
    at the line, and all of it `reach` cells away."""
    horizon = find_horizon(owner)
    if horizon is None:
        return flow
    slope, row = horizon
    y, x = np.ogrid[: owner.shape[0], : owner.shape[1]]
    normal = np.array([-slope, 1.0]) / np.hypot(slope, 1.0)
    near = 1 - smoothstep(0, 1, (np.abs(y - (row + slope * x)) - TOLERANCE) / reach)
    near = near * ((owner == SKY) | (owner == WATER))
    towards = near * np.tensordot(normal, flow, 1)
    return flow - towards * normal[:, None, None]
