"""White water: how much foam there is in and around each place."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stylecine.ops.maps import mean_within
from stylecine.ops.smoothstep import smoothstep

FOAM_LEVEL = 0.35, 0.75  # brightness between the water's darkest fifth and its lights at which foam begins, and is sure
FOAM_TEXTURE = 0.02, 0.06  # of [0, 1]: local standard deviation at which foam begins, and is sure
FOAM_REACH = 0.04  # of the short side: foam quickens water around it
MIN_RANGE = 0.25  # of [0, 1]: brightness between the water's darkest fifth and its lights: with less there is no foam


def foam(here: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """How much white water is in and around each place of `here`, bool [h,w]: [h,w] in [0,1]. Bright and rough,
    compared with the water around it; smooth lights are reflections."""
    if not here.any():
        return np.zeros(here.shape)
    level, short = (grey + 1) / 2, min(here.shape)
    dark, light = np.percentile(level[here], [20, 98])
    if light - dark < MIN_RANGE:
        return np.zeros(here.shape)
    mean = ndimage.gaussian_filter(level, 0.01 * short)
    rough = np.sqrt(ndimage.gaussian_filter((level - mean) ** 2, 0.015 * short))
    white = smoothstep(*FOAM_LEVEL, (mean - dark) / (light - dark)) * smoothstep(*FOAM_TEXTURE, rough)
    return np.clip(2 * mean_within(white, here.astype(float), FOAM_REACH * short, "reflect"), 0, 1)
