"""Surf on a beach: the edge of the foam runs up the sand and back, in whole cycles.

Water that only drifted would stop at the sand as at a wall. Here a band on both sides of the edge sways across it, by a
smooth displacement that vanishes at the band's borders: nothing has to be blended, and frame 0 remains the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.movement.swell import Swell
from stylecine.ops.image import resize
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import WATER
from stylecine.perception.foam import foam
from stylecine.perception.reflection import mirroring
from stylecine.perception.water import class_map, grey_on, open_water

SWASH_SECONDS = 4.0  # about one run up and back
AMPLITUDE = 0.016  # of the short side: how far the edge runs up, and back
REACH = 0.07  # of the short side: half the width of the band that sways, more than AMPLITUDE times pi / 2
SMOOTH = 0.03  # of the short side: over this distance edge, foam and sand are looked at as a whole
FOAMY, SANDY = (0.15, 0.5), (0.75, 0.95)  # shares of the water and of the ground at the edge: no swash, all of it
ROUGH = 0.035  # of [0, 1]: sand has less fine contrast
MIN_BRIGHTNESS, MIN_BEACH = 0.22, 0.02  # of [0, 1]; of the photo


@dataclass(frozen=True, eq=False)
class Swash:
    """What sways, on the grid of the motion field."""

    offset: Tensor  # [2,h,w]: where the picture is read when the edge is highest, in pixels of the grid
    band: Tensor  # [h,w] in {0,1}: what sways, sand included
    drift: Tensor  # [h,w] in [0,1]: how much of its drift each place keeps

    def widen(self, moves: Tensor) -> Tensor:
        """moves [H,W] with the band."""
        return torch.maximum(moves, resize(self.band[None], moves.shape)[0].clamp(0, 1))

    def add_to(self, swell: Swell | None) -> Swell:
        """The swell with what sways, the sine's part, and in its time."""
        own = torch.stack((torch.zeros_like(self.offset), self.offset))
        return Swell(own if swell is None else swell.parts + own, SWASH_SECONDS)


def predict_swash(photo: Tensor, layers: Tensor, flow: Tensor, held: Tensor) -> Swash | None:
    """The swash of a photo [3,H,W] in [-1,1] with layers [4,H,W] and flow [2,h,w]; None without a beach.

    held [H,W] in [0,1]: what must not move, whatever it looks like.
    """
    grid = flow.shape[1:]
    owner = class_map(layers, grid)
    grey = grey_on(photo, grid)
    water = open_water(owner, flow.cpu().numpy(), grey)
    ground = owner < 0
    if not water.any() or not ground.any():
        return None
    short, free = min(grid), resize(held[None], grid)[0].cpu().numpy() < 0.01
    distance = ndimage.distance_transform_edt(~water) - ndimage.distance_transform_edt(water)
    level = ndimage.gaussian_filter(distance, 0.4 * SMOOTH * short, mode="nearest") / (REACH * short)
    weight = _foamy(water, grey, level)
    if weight.max() < 0.5:
        return None
    weight = weight * _sandy(ground & free, grey, owner, level)
    if not free.all():  # it fades towards what is held, or the picture would tear there
        weight = weight * smoothstep(0, 1, ndimage.distance_transform_edt(free) / (REACH * short) - 0.3)
    if weight.max() >= 0.5:  # there is a beach, if it is one
        weight = weight * (1 - mirroring(grey, water, ground).max())  # the lights of a calm lake are no foam
    if weight.max() < 0.5:
        return None
    normal = np.stack(np.gradient(ndimage.gaussian_filter(level, SMOOTH * short, mode="nearest"))[::-1])
    normal /= np.hypot(*normal) + 1e-6
    height = AMPLITUDE * short * weight * np.cos(np.clip(level, -1, 1) * np.pi / 2) ** 2
    band = (weight > 0.02) & (np.abs(level) < 1) & free
    rest = smoothstep(1, 3, -level)
    parts = -normal * height, band, 1 - weight.clip(0, 1) * (1 - rest)
    offset, band_, drift = (torch.from_numpy(x.astype(np.float32)).to(flow.device) for x in parts)
    return Swash(offset, band_, drift)


def _foamy(water: np.ndarray, grey: np.ndarray, level: np.ndarray) -> np.ndarray:
    """How foamy the water along the edge is, [h,w] in [0,1]."""
    return smoothstep(*FOAMY, _share(foam(water, grey), water & (level > -1), min(water.shape)))


def _sandy(ground: np.ndarray, grey: np.ndarray, owner: np.ndarray, level: np.ndarray) -> np.ndarray:
    """How smooth and free of things the ground along the edge is, [h,w] in [0,1]."""
    short = min(ground.shape)
    brightness = (grey + 1) / 2
    # the step of the foam's edge itself is not the sand's
    inland = ndimage.binary_erosion(ground, iterations=max(1, round(0.012 * short)), border_value=1)
    weight = ndimage.gaussian_filter(inland.astype(np.float64), 0.01 * short) + 1e-3
    local = ndimage.gaussian_filter(brightness * inland, 0.01 * short) / weight
    rough = np.sqrt(ndimage.gaussian_filter(inland * (brightness - local) ** 2, 0.01 * short) / weight)
    smooth = _beaches(ground & (rough < ROUGH) & (brightness > MIN_BRIGHTNESS))
    sandy = smoothstep(*SANDY, _share(smooth.astype(np.float64), ground & (level > 0.2) & (level < 1.2), short))
    things = ground & ~smooth & (level > 0.2) | (owner >= 0) & (owner != WATER)
    if things.any():
        clear = ndimage.distance_transform_edt(~ndimage.binary_opening(things)) / (REACH * short)
        sandy = sandy * smoothstep(0, 1, clear - 0.3)
    return sandy


def _beaches(smooth: np.ndarray) -> np.ndarray:
    """The regions of bool [h,w] that are large and reach the photo's lower half: the rest are rocks and walls."""
    labels, _ = ndimage.label(ndimage.binary_opening(smooth, iterations=2))
    large = [
        i
        for i, (rows, _columns) in enumerate(ndimage.find_objects(labels), 1)
        if (labels == i).mean() > MIN_BEACH and rows.stop > smooth.shape[0] * 0.6
    ]
    return ndimage.binary_dilation(np.isin(labels, large), iterations=3) & smooth


def _share(values: np.ndarray, where: np.ndarray, short: int) -> np.ndarray:
    """Gaussian mean of `values` over `where`; 0 far from it."""
    weight = ndimage.gaussian_filter(where.astype(np.float64), SMOOTH * short)
    return ndimage.gaussian_filter(values * where, SMOOTH * short) / (weight + 1e-3)
