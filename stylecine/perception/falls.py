"""How fast the picture brightens around falls: white water that sped through that would beat."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SLOPE_SCALE = 0.015  # of the short side: finer texture does not make a fall beat


def brightness_slope(grey: np.ndarray) -> np.ndarray:
    """[2,h,w] of grey [h,w] in [-1,1]: change of smooth brightness, in [0,1], per cell, x right, y down."""
    down, right = np.gradient(ndimage.gaussian_filter((grey + 1) / 2, SLOPE_SCALE * min(grey.shape)))
    return np.stack([right, down])
