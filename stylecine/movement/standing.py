"""Where water runs through waves that stand: its coarse shape stays, its detail runs through it.

In rapids, waves stand before and behind rocks, and a fall hangs in the same strands, while foam and streaks pass
through them. So where water runs, coarse levels of the picture keep their place and fine ones move; seas and lakes have
no such current. Which wavelengths stand is a question of depth and speed (those whose waves run upstream as fast as
the water comes down: Lighthill, "Waves in Fluids", 1978). A photo tells neither, so it is a share of its size.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.options import FALLS, WATER
from stylecine.perception.scenery import Scenery

RUNS, STANDS = 1 / 112, 1 / 48  # pixels of a level, in short sides of the photo: finer ones run, coarser ones stand
FINEST = 2.0  # pixels: levels as fine run in the smallest photo, too
SOFT = 1.5  # points of the grid


def predict_standing(scenery: Scenery) -> Tensor | None:
    """How much coarse structure stands, [h,w] in [0,1] on the scenery's grid; None without running water."""
    runs = ((scenery.owner == WATER) | (scenery.owner == FALLS)) & ~scenery.streams.open
    if not runs.any():
        return None
    soft = ndimage.gaussian_filter(runs.astype(np.float32), SOFT, mode="nearest")
    return torch.from_numpy(soft).to(scenery.layers.device)


def standing_share(scale: int, short: int) -> float:
    """How much a level stands, in [0,1]: of pixels `scale` pixels wide, in a photo with that short side."""
    runs = max(RUNS * short, FINEST)
    return min(max(math.log2(scale / runs) / math.log2(STANDS / RUNS), 0.0), 1.0)
