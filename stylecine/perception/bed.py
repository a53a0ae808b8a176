"""Patches of colour in calm water, which stay where they are: weed, stones and sand on its bed, and reflections.

Waves change how light the water is more than its hue, and from place to place; what lies on the bed, or is mirrored,
has a colour of its own over some distance. In surf, which is white and rough, nothing of this is told from foam.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from stylecine.ops.means import local_deviation, mean_within
from stylecine.ops.regions import connected
from stylecine.ops.small_copy import SHORT_SIDE, find_in_small_copy
from stylecine.ops.smoothstep import smoothstep

FINE, PATCH, WIDE = 0.003, 0.01, 0.04  # of the short side: standard deviations of Gaussians; patches lie between two
WINDOW = 0.03  # of the short side: standard deviation of the window in which they are looked for
AROUND = 0.08  # of the short side: the same of that in which their borders run upwards somewhere, or else are waves
BORDER = 4  # cells of the grid along the water's border in which colours of the shore may be mixed
DARK = 0.15  # added to the sum of red, green and blue, each in [0,1]: colours of what is darker are noise
CHANGE = 0.004, 0.009  # of chromaticity, from one cell to the next: little, and certainly another colour
UPRIGHT = 0.05, 0.14  # share of their squares that is across: in the distance, and in waves, it is less
COARSE = 0.55, 0.75  # share of what changes that changes slowly: patches, not waves
WHITE, GREYISH = (0.5, 0.65), (0.7, 0.85)  # of foam: the darkest channel, and its share of the lightest one
ROUGH = 0.02, 0.05  # standard deviation of grey beside a place: calm water that is white, and foam
SURF = 0.03, 0.08  # share of foam: in calm water at most, and in surf


def standing_colours(photo: Tensor, water: np.ndarray) -> np.ndarray:
    """How much each place of open water, bool [h,w], belongs to a patch of colour that stands, [h,w] in [0,1].

    photo: [3,H,W] in [-1,1].
    """
    return find_in_small_copy(_standing_colours, photo, water) * water


def _standing_colours(photo: np.ndarray, water: np.ndarray) -> np.ndarray:
    core = ndimage.binary_erosion(water, iterations=BORDER, border_value=1)
    if not core.any():
        return np.zeros(water.shape, np.float32)
    inner = ndimage.binary_erosion(water, iterations=BORDER // 2, border_value=1)
    short = min(water.shape)

    def blur(field: np.ndarray, sigma: float) -> np.ndarray:
        return mean_within(field, inner, sigma * short)

    red, green, blue = photo
    chromaticity = np.stack((red - green, blue - green)) / (photo.sum(0) + DARK)
    fine, patches, wide = (blur(chromaticity, sigma) for sigma in (FINE, PATCH, WIDE))
    down, across = np.gradient(patches, axis=(1, 2))
    squares = [(x**2).sum(0) for x in (down, across, fine - patches, patches - wide)]
    down, across, waves, slow = mean_within(np.stack(squares), core, WINDOW * short)
    changes = smoothstep(*CHANGE, np.sqrt(down + across) * (short / SHORT_SIDE))
    level, steep = mean_within(np.stack(squares[:2]), core, AROUND * short)
    upright = smoothstep(*UPRIGHT, steep / (level + steep + 1e-12))
    coarse = smoothstep(*COARSE, slow / (slow + waves + 1e-9))
    found = changes * upright * coarse * (1 - _surf(photo, water)) * water
    return found.astype(np.float32)


def _surf(photo: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Of connected stretches of water: in [0,1], by how much of each is foam, [h,w]. photo: [3,h,w] in [0,1]."""
    grey, darkest = photo.mean(0), photo.min(0)
    white = smoothstep(*WHITE, darkest) * smoothstep(*GREYISH, darkest / (photo.max(0) + 0.01))
    foam = white * smoothstep(*ROUGH, local_deviation(grey, 1.5))
    stretches = connected(water)
    surf: np.ndarray = smoothstep(*SURF, stretches.mean(foam))[stretches.numbers]
    return surf
