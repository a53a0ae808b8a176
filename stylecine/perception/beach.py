"""Where surf runs up a beach: foam along the water's edge, and smooth sand beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stylecine.ops.regions import connected
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import WATER

REACH = 0.07  # of the short side: so far from the edge, on either side, a beach is looked at
SMOOTH = 0.03  # of the short side: over this distance edge, foam and sand are looked at as a whole
# Shares at the first of which there is no swash, and at the second all of it:
FOAM_RANGE = 0.15, 0.5  # of foam in the water along the edge
SAND_RANGE = 0.75, 0.95  # of sand on the ground along the edge
MAX_ROUGHNESS = 0.035  # of [0, 1]: local standard deviation; what has more is no sand
MIN_BRIGHTNESS = 0.22  # of [0, 1]: what is darker is no sand
MIN_BEACH = 0.02  # of the photo: smaller regions are no beach


@dataclass(frozen=True, eq=False)
class Beach:
    """On the grid, [h,w]: `level`, the distance from the water's edge in units of REACH, below 0 in the water;
    `surely` in [0,1], that surf runs up there; `free`, bool, what may move."""

    level: np.ndarray
    surely: np.ndarray
    free: np.ndarray


def find_beach(
    owner: np.ndarray, water: np.ndarray, foam: np.ndarray, grey: np.ndarray, free: np.ndarray
) -> Beach | None:
    """None without a beach.

    owner: class of each place, -1 where nothing moves. water: bool, of which what is surf. foam: in [0,1]. grey: in
    [-1,1]. free: bool, what the user does not hold. All [h,w].
    """
    ground = owner < 0
    if not water.any() or not ground.any():
        return None
    short = min(owner.shape)
    distance = ndimage.distance_transform_edt(~water) - ndimage.distance_transform_edt(water)
    level = ndimage.gaussian_filter(distance, 0.4 * SMOOTH * short, mode="nearest") / (REACH * short)
    foamy = _share(foam, water & (level > -1), short)
    surely = smoothstep(*FOAM_RANGE, foamy)
    if surely.max() < 0.5:
        return None
    surely = surely * _sandy(ground & free, grey, owner, level)
    if not free.all():  # it fades towards what is held, or the picture would tear there
        surely = surely * smoothstep(0, 1, ndimage.distance_transform_edt(free) / (REACH * short) - 0.3)
    return Beach(level, surely, free) if surely.max() >= 0.5 else None


def _sandy(ground: np.ndarray, grey: np.ndarray, owner: np.ndarray, level: np.ndarray) -> np.ndarray:
    """How smooth and free of things the ground along the edge is, [h,w] in [0,1]."""
    short = min(ground.shape)
    brightness = (grey + 1) / 2
    # the step of the foam's edge itself is not the sand's
    inland = ndimage.binary_erosion(ground, iterations=max(1, round(0.012 * short)), border_value=1)
    weight = ndimage.gaussian_filter(inland.astype(np.float64), 0.01 * short) + 1e-3
    local = ndimage.gaussian_filter(brightness * inland, 0.01 * short) / weight
    rough = np.sqrt(ndimage.gaussian_filter(inland * (brightness - local) ** 2, 0.01 * short) / weight)
    smooth = _beaches(ground & (rough < MAX_ROUGHNESS) & (brightness > MIN_BRIGHTNESS))
    sandy = smoothstep(*SAND_RANGE, _share(smooth.astype(np.float64), ground & (level > 0.2) & (level < 1.2), short))
    things = ground & ~smooth & (level > 0.2) | (owner >= 0) & (owner != WATER)
    if things.any():
        clear = ndimage.distance_transform_edt(~ndimage.binary_opening(things)) / (REACH * short)
        sandy = sandy * smoothstep(0, 1, clear - 0.3)
    return sandy


def _beaches(smooth: np.ndarray) -> np.ndarray:
    """The regions of bool [h,w] that are large and reach the photo's lower half: the rest are rocks and walls."""
    parts = connected(ndimage.binary_opening(smooth, iterations=2), corners=False)
    low = np.array([False, *(rows.stop > smooth.shape[0] * 0.6 for rows, _ in parts.boxes)])
    return ndimage.binary_dilation(parts.keep(low & (parts.size > MIN_BEACH * smooth.size)), iterations=3) & smooth


def _share(values: np.ndarray, where: np.ndarray, short: int) -> np.ndarray:
    """Gaussian mean of `values` over `where`; 0 far from it."""
    weight = ndimage.gaussian_filter(where.astype(np.float64), SMOOTH * short)
    return ndimage.gaussian_filter(values * where, SMOOTH * short) / (weight + 1e-3)
