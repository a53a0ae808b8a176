"""What kind of water it is: seas, lakes and ponds lie open; the rest runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import resize
from stylecine.ops.regions import connected
from stylecine.options import FALLS, WATER
from stylecine.perception.reflection import mirroring

# Open water spans this share of the width, or falls or rises less than this, or mirrors its shore.
MIN_WIDTH, MAX_STEEPNESS = 0.8, 0.3


def class_map(layers: Tensor, grid: Sequence[int]) -> np.ndarray:
    """Class of each place, int [*grid], an index into CLASSES, -1 where no layer [4,H,W] covers more than a trace."""
    small = resize(layers, grid).cpu().numpy()
    return np.where(small.max(0) > 0.05, small.argmax(0), -1)


def grey_on(photo: Tensor, grid: Sequence[int]) -> np.ndarray:
    """A photo [3,H,W] in [-1,1] as grey [*grid]."""
    grey: np.ndarray = resize(photo.mean(0, keepdim=True), grid)[0].cpu().numpy()
    return grey


def open_water(owner: np.ndarray, flow: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Bool [h,w]: water that is a sea, a lake or a pond; the rest runs, and so does all that meets a fall.

    owner [h,w]: as `class_map` returns it. flow [2,h,w]. grey [h,w] in [-1,1]: the photo.
    """
    parts = connected(owner == WATER)
    may_lie = ~parts.touch(ndimage.binary_dilation(owner == FALLS, iterations=3))
    steepness = np.abs(flow[1]) / (np.hypot(*flow) + 1e-9)
    level = np.array([False, *(np.median(steepness[box][here]) < MAX_STEEPNESS for box, here in parts)])
    lies = level | (parts.extent[:, 1] >= MIN_WIDTH * owner.shape[1])
    return parts.keep(may_lie & lies) | (mirroring(grey, parts.keep(may_lie & ~lies), owner < 0) > 0.5)
