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

# Standard deviations of Gaussians, of the short side. A patch of colour lies between the latter two, waves between the
# former two.
FINE_SIGMA, PATCH_SIGMA, WIDE_SIGMA = 0.003, 0.01, 0.04
WINDOW_SIGMA = 0.03  # of the window in which changes of colour are measured
UPRIGHT_SIGMA = 0.08  # of the window in which a patch has some upright border, or is a wave
BORDER = 4  # cells along the water's border in which colours of the shore may be mixed: not looked at
DARK = 0.15  # added to the sum of red, green and blue, each in [0, 1]: the hue of what is darker is noise
# Ranges: at the first, no patch; at the second, one for sure.
COLOUR_STEP = 0.004, 0.009  # of chromaticity, from one cell to the next
ACROSS_SHARE = 0.05, 0.14  # of squared changes of colour, those across the picture: waves are level
SLOW_SHARE = 0.55, 0.75  # of squared changes of colour, those slower than waves
# Ranges: at the first, no foam; at the second, foam for sure.
FOAM_WHITE = 0.5, 0.65  # of [0, 1]: darkest channel
FOAM_GREY = 0.7, 0.85  # darkest channel over the lightest one
FOAM_ROUGHNESS = 0.02, 0.05  # of [0, 1]: local standard deviation of grey; calm water that is white is smooth
SURF_SHARE = 0.03, 0.08  # of a stretch of water that is foam: calm at the first, at the second surf without patches


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
    fine, patches, wide = (blur(chromaticity, sigma) for sigma in (FINE_SIGMA, PATCH_SIGMA, WIDE_SIGMA))
    down, across = np.gradient(patches, axis=(1, 2))
    squares = [(x**2).sum(0) for x in (down, across, fine - patches, patches - wide)]
    down, across, waves, slow = mean_within(np.stack(squares), core, WINDOW_SIGMA * short)
    changes = smoothstep(*COLOUR_STEP, np.sqrt(down + across) * (short / SHORT_SIDE))
    level, steep = mean_within(np.stack(squares[:2]), core, UPRIGHT_SIGMA * short)
    upright = smoothstep(*ACROSS_SHARE, steep / (level + steep + 1e-12))
    coarse = smoothstep(*SLOW_SHARE, slow / (slow + waves + 1e-9))
    found = changes * upright * coarse * (1 - _surf(photo, water)) * water
    return found.astype(np.float32)


def _surf(photo: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Of connected stretches of water: in [0,1], by how much of each is foam, [h,w]. photo: [3,h,w] in [0,1]."""
    grey, darkest = photo.mean(0), photo.min(0)
    white = smoothstep(*FOAM_WHITE, darkest) * smoothstep(*FOAM_GREY, darkest / (photo.max(0) + 0.01))
    foam = white * smoothstep(*FOAM_ROUGHNESS, local_deviation(grey, 1.5))
    stretches = connected(water)
    surf: np.ndarray = smoothstep(*SURF_SHARE, stretches.mean(foam))[stretches.numbers]
    return surf
