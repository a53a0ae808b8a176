"""How far the clouds of a sky may travel before they are seen twice."""

from __future__ import annotations

import numpy as np

from stylecine.ops.maps import mean_within

# Half-way through a loop a sky shows clouds from two places, one travel apart. If they differ by more than this, root
# mean square of [-1, 1], clouds are seen twice.
MAX_CLOUD_DIFFERENCE = 0.1
CLOUD_SCALES = 0.008, 0.1  # of the short side: standard deviations of Gaussians; clouds have what lies between the two
MAX_CLOUD_REACH = 0.12  # of the short side: farther is not looked for


def cloud_reach(sky: np.ndarray, red: np.ndarray) -> int:
    """By how many columns clouds in the `sky`, bool [h,w], may be moved and still be like those that were there; at
    most by MAX_CLOUD_REACH. red: [h,w] in [-1,1], in which clouds stand out from a blue sky."""
    short = min(sky.shape)
    fine, wide = (mean_within(red, sky, scale * short, "reflect") for scale in CLOUD_SCALES)
    clouds, most = np.where(sky, fine - wide, 0.0), round(MAX_CLOUD_REACH * short)
    for shift in range(1, most):
        both = sky[:, shift:] & sky[:, :-shift]
        if both.any() and np.square(clouds[:, shift:] - clouds[:, :-shift])[both].mean() > MAX_CLOUD_DIFFERENCE**2:
            return shift
    return most
