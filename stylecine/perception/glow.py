"""The glow of the sun, which stays where it is while clouds pass.

It is brightest at a white, round place and fades from there, alike on all sides. A cloud is white, too, but it ends at
its edge, where the slope is steepest, and has a texture.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize
from stylecine.ops.regions import connected
from stylecine.ops.smoothstep import smoothstep

SHORT_SIDE = 192  # of the copy of the photo that is looked at
# A sun is a white, round place beside the sky:
SUN_MIN_WHITE = 0.9  # of [0, 1]: darkest channel of the whitest place in and around the sky; below, there is no sun
HALO_MARGIN = 0.075  # of [0, 1]: places whose darkest channel is less than this below that belong to the sun
SUN_AREA = 1.5e-4, 0.08  # of the photo: least and greatest
MIN_ROUNDNESS = 0.5  # area over that of a circle as wide as its longer side
MIN_SKY_AROUND = 0.4  # share of sky among the places next to it
# Its glow is looked at in rings around it:
RING_WIDTH = 0.01  # of the short side
MAX_RINGS = 40  # that are looked at
MIN_RINGS_USED = 8  # of these, the nearest, that tell a glow from a cloud; around a large sun as many as its radius has
MIN_DROP = 0.1  # of [0, 1]: by which brightness falls from the sun to the last of these
MAX_UNEVENNESS = 0.075  # of that drop: median difference of places from a glow that is alike on all sides
OVEREXPOSED_WHITE = 0.98  # of [0, 1]: darkest channel of an overexposed sun
OVEREXPOSED_MAX_UNEVENNESS = 0.14  # allowed around such a sun
# Slopes are the fall of brightness, of [0, 1], over a short side.
EDGE_RINGS = 3  # the nearest rings, which may be steep, or white as the sun itself
MAX_SLOPE = 2.5  # beyond them. Rejects clouds: their brightness falls more steeply.
MIN_FAR_SLOPE = 0.4  # about the last of the rings used: less is a small cloud
HELD_SLOPE = 0.3, 1.2  # glow as flat as the first is hardly seen to move and may drift; from the second on it is held


def sun_glow(photo: Tensor, sky: np.ndarray) -> np.ndarray:
    """How much each place is part of the sun's glow, [h,w] in [0,1]. photo: [3,H,W] in [-1,1]; sky: bool [h,w]."""
    if not sky.any():
        return np.zeros(sky.shape, np.float32)
    size = fit_short_side((photo.shape[1], photo.shape[2]), SHORT_SIDE)
    small = resize(photo, size).float().cpu().numpy() / 2 + 0.5
    inside = resize(torch.from_numpy(sky)[None].float(), size)[0].numpy() > 0.5
    grey, white, ring = small.mean(0), small.min(0), RING_WIDTH * min(size)
    around = ndimage.binary_dilation(inside, iterations=max(1, round(0.03 * min(size))))
    if not around.any() or white[around].max() < SUN_MIN_WHITE:
        return np.zeros(sky.shape, np.float32)
    glow = np.zeros(size)
    suns = connected(around & (white > white[around].max() - HALO_MARGIN), corners=False)
    for number, box in enumerate(suns.boxes, 1):
        sun, side = suns.numbers == number, max(part.stop - part.start for part in box)
        area = sun.sum()
        if not SUN_AREA[0] <= area / inside.size <= SUN_AREA[1] or area < MIN_ROUNDNESS * math.pi / 4 * side**2:
            continue
        distance = ndimage.distance_transform_edt(~sun) / ring
        if inside[(distance > 0) & (distance <= max(1.2, 1 / ring))].mean() > MIN_SKY_AROUND:
            uneven = OVEREXPOSED_MAX_UNEVENNESS if white[sun].max() > OVEREXPOSED_WHITE else MAX_UNEVENNESS
            near = min(MAX_RINGS, max(MIN_RINGS_USED, round(side / 2 / ring)))
            slopes = _fading(grey, distance, inside, near, uneven)
            steep = smoothstep(*HELD_SLOPE, slopes)
            steep[:EDGE_RINGS] = steep[: 2 * EDGE_RINGS].max()  # right beside the sun all is white
            steep = np.minimum.accumulate(steep)
            glow = np.maximum(glow, np.interp(distance, np.arange(len(slopes)) + 0.5, steep, right=0))
    found: np.ndarray = resize(torch.from_numpy(glow.astype(np.float32))[None], sky.shape)[0].numpy()
    return found


def _fading(grey: np.ndarray, distance: np.ndarray, sky: np.ndarray, near: int, most_uneven: float) -> np.ndarray:
    """By how much, over short sides, the sky darkens away from a white place, ring by ring; zeros if it is no sun.

    distance: [h,w] from it, in widths of a ring. near: rings at which it is told. most_uneven: see MAX_UNEVENNESS.
    """
    rings = [grey[sky & (distance > k) & (distance <= k + 1)] for k in range(MAX_RINGS)]
    if min(len(ring) for ring in rings[:near]) < 4:
        return np.zeros(1)
    seen = [k for k, ring in enumerate(rings) if len(ring)]
    profile = np.interp(np.arange(MAX_RINGS), seen, [np.median(rings[k]) for k in seen])
    slopes: np.ndarray = -np.gradient(ndimage.gaussian_filter1d(profile, 0.7, mode="nearest"), RING_WIDTH)
    drop = float(grey[distance == 0].mean() - profile[near - 1])
    around = sky & (distance > 1) & (distance <= near)
    rest = grey[around] - np.interp(distance[around], np.arange(MAX_RINGS) + 0.5, profile)
    plane = np.stack((*np.nonzero(around), np.ones(len(rest))), 1)  # it is often lighter towards the horizon
    rest -= plane @ np.linalg.lstsq(plane, rest, rcond=None)[0]
    uneven = float(np.median(np.abs(rest)))
    steep = slopes[EDGE_RINGS : 2 * near].max() > max(MAX_SLOPE, 1.2 * slopes[:EDGE_RINGS].max())
    cloud = slopes[: near - 2].min() < 0 or steep
    narrow = slopes[near - 3 : near + 1].mean() < MIN_FAR_SLOPE
    return np.zeros(1) if cloud or narrow or drop < MIN_DROP or uneven > most_uneven * drop else slopes
