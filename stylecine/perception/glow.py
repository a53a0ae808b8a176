"""The glow of the sun, which stays where it is while clouds pass.

It is brightest at a white, round place and fades from there, alike on all sides. A cloud is white, too, but it ends at
its edge, where the slope is steepest, and has a texture.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from torch import Tensor

from stylecine.ops.regions import connected
from stylecine.ops.small_copy import find_in_small_copy
from stylecine.ops.smoothstep import smoothstep

WHITE, LESS = 0.9, 0.075  # of [0,1]: darkest channel of the whitest place, and by how much less in the sun around it
AREA, ROUND = (1.5e-4, 0.08), 0.5  # of the photo, least and most, and of a circle that has its longer side
SKY_AROUND = 0.4  # share of what is next to it
RING, RINGS, NEAR = 0.01, 40, 8  # of the short side: their width; those looked at, and, beside a small sun, told by
DROP = 0.1  # of [0,1]: brightness by which it fades
UNEVEN = 0.075  # of that: median difference from a glow that is alike on all sides
OVEREXPOSED, MORE_UNEVEN = 0.98, 0.14  # white of a sun that is, and what is allowed of its glow
EDGE, STEEPEST = 3, 2.5  # ring from which on nothing is as steep as a cloud's edge: brightness over short sides
FAR_SLOPE = 0.4  # the same, about NEAR rings from the sun: less is a small cloud
SLOPE = 0.3, 1.2  # brightness over short sides: of a glow that is hardly seen to move, and that is held in place


def sun_glow(photo: Tensor, sky: np.ndarray) -> np.ndarray:
    """How much each place is part of the sun's glow, [h,w] in [0,1]. photo: [3,H,W] in [-1,1]; sky: bool [h,w]."""
    return find_in_small_copy(_sun_glow, photo, sky)


def _sun_glow(photo: np.ndarray, sky: np.ndarray) -> np.ndarray:
    short, grey, white = min(sky.shape), photo.mean(0), photo.min(0)
    glow = np.zeros(sky.shape, np.float32)
    around = ndimage.binary_dilation(sky, iterations=max(1, round(0.03 * short)))
    if not around.any() or white[around].max() < WHITE:
        return glow
    suns = connected(around & (white > white[around].max() - LESS), corners=False)
    for number, box in enumerate(suns.boxes, 1):
        sun, side = suns.numbers == number, max(part.stop - part.start for part in box)
        area = sun.sum()
        if not AREA[0] <= area / sky.size <= AREA[1] or area < ROUND * math.pi / 4 * side**2:
            continue
        distance = ndimage.distance_transform_edt(~sun) / (RING * short)
        if sky[(distance > 0) & (distance < 1.2)].mean() > SKY_AROUND:
            overexposed = white[sun].max() > OVEREXPOSED
            near = max(NEAR, round(side / 2 / (RING * short)))
            slopes = _fading(grey, distance, sky, near, MORE_UNEVEN if overexposed else UNEVEN)
            steep = smoothstep(*SLOPE, slopes)
            steep[:EDGE] = steep[: 2 * EDGE].max()  # right beside the sun all is white
            steep = np.minimum.accumulate(steep)
            glow = np.maximum(glow, np.interp(distance, np.arange(len(slopes)) + 0.5, steep, right=0))
    return glow.astype(np.float32)


def _fading(grey: np.ndarray, distance: np.ndarray, sky: np.ndarray, near: int, most_uneven: float) -> np.ndarray:
    """By how much, over short sides, the sky darkens away from a white place, ring by ring; zeros if it is no sun.

    distance: [h,w] from it, in widths of a ring. near: rings at which it is told. most_uneven: see UNEVEN.
    """
    rings = [grey[sky & (distance > k) & (distance <= k + 1)] for k in range(RINGS)]
    if min(len(ring) for ring in rings[:near]) < 4:
        return np.zeros(1)
    seen = [k for k, ring in enumerate(rings) if len(ring)]
    profile = np.interp(np.arange(RINGS), seen, [np.median(rings[k]) for k in seen])
    slopes: np.ndarray = -np.gradient(ndimage.gaussian_filter1d(profile, 0.7, mode="nearest"), RING)
    drop = float(grey[distance == 0].mean() - profile[near - 1])
    around = sky & (distance > 1) & (distance <= near)
    rest = grey[around] - np.interp(distance[around], np.arange(RINGS) + 0.5, profile)
    plane = np.stack((*np.nonzero(around), np.ones(len(rest))), 1)  # it is often lighter towards the horizon
    rest -= plane @ np.linalg.lstsq(plane, rest, rcond=None)[0]
    uneven = float(np.median(np.abs(rest)))
    cloud = slopes[: near - 2].min() < 0 or slopes[EDGE : 2 * near].max() > max(STEEPEST, 1.2 * slopes[:EDGE].max())
    narrow = slopes[near - 3 : near + 1].mean() < FAR_SLOPE
    return np.zeros(1) if cloud or narrow or drop < DROP or uneven > most_uneven * drop else slopes
