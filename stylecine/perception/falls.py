"""What falls look like: the streaks that they fall along, and how fast the picture brightens along the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stylecine.ops.means import mean_within

STREAK_WINDOW = 0.02  # of the short side: standard deviation of the window of the structure tensor
SLOPE_SCALE = 0.015  # of the short side: finer texture does not make a fall beat


@dataclass(frozen=True, eq=False)
class FallTexture:
    """On the grid: `streak`, unit vectors [2,h,w] along which the photo changes least, of either sense; `coherence`
    [h,w] in [0,1], how clear they are; `slope` [2,h,w], change of smooth brightness in [0,1] per cell, x right, y down.
    """

    streak: np.ndarray
    coherence: np.ndarray
    slope: np.ndarray


def fall_texture(falls: np.ndarray, grey: np.ndarray) -> FallTexture:
    """Of falls, bool [h,w], in a photo's grey [h,w] in [-1,1]; by the structure tensor."""
    short = min(falls.shape)
    gy, gx = (ndimage.gaussian_filter(grey, 1.0, order=order) for order in ((1, 0), (0, 1)))
    xx, xy, yy = mean_within(np.stack([gx * gx, gx * gy, gy * gy]), falls, STREAK_WINDOW * short)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + math.pi / 2
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    down, right = np.gradient(ndimage.gaussian_filter((grey + 1) / 2, SLOPE_SCALE * short))
    return FallTexture(np.stack([np.cos(angle), np.sin(angle)]), coherence, np.stack([right, down]))
