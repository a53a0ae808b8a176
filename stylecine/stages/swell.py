"""How open water rolls beside its drift: a swell coming towards the viewer that is the same after every cycle.

A lake or a sea that only drifts carries its reflections and glints away; in nature they rock where they are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.options import CLASSES

WATER, FALLS = CLASSES.index("water"), CLASSES.index("falls")
WIDE, LEVEL = 0.8, 0.3  # open water reaches across so much of the picture, or falls or rises less on its way
HEIGHT = 0.003  # of the short side: how far the nearest water rocks up and down
LENGTH = 0.16  # of the short side: from crest to crest there
FAR = 0.15  # of both is left at the horizon
SHORE = 0.08  # of the short side: over this distance to what is no water the roll begins
TRAINS = ((0.0, 0.5, 0.0), (0.45, 0.3, 1.3), (-0.55, 0.2, 4.1))  # of waves: direction (radians), share, phase
LIVELY = 0.02  # of the short side in 4 s: water that drifts slower rolls less, and what is held does not


def open_water(owner: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Bool [h,w]: water that is a sea, a lake or a pond; the rest runs, as all does that meets a fall.

    owner [h,w]: class of each place, as in CLASSES, -1 for none. flow [2,h,w].
    """
    regions, count = ndimage.label(owner == WATER, structure=np.ones((3, 3)))
    beside_falls = regions[ndimage.binary_dilation(owner == FALLS, iterations=3)]
    steepness = np.abs(flow[1]) / (np.hypot(*flow) + 1e-9)
    found = []
    for i in range(1, count + 1):
        here = regions == i
        wide = np.ptp(np.nonzero(here)[1]) + 1 >= WIDE * owner.shape[1]
        if wide or np.median(steepness[here]) < LEVEL:
            found.append(i)
    return np.isin(regions, np.setdiff1d(found, beside_falls))


def roll(layers: Tensor, flow: Tensor) -> Tensor | None:
    """The roll [2,2,h,w] beside a flow [2,h,w], in pixels of its grid: the parts that go with the cosine and the sine
    of the cycle, x and y of where the picture is read; None without open water.

    layers [4,H,W] as of `mask`. Waves get shorter and lower towards the water's far end, as perspective has them, and
    end at shores.
    """
    h, w = flow.shape[1:]
    shrinks = h < layers.shape[1] or w < layers.shape[2]
    small = F.interpolate(layers[None], (h, w), mode="bilinear", align_corners=False, antialias=shrinks)[0].cpu()
    drift = flow.cpu().numpy()
    water = open_water(np.where(small.amax(0) > 0.05, small.argmax(0), -1), drift)
    if not water.any():
        return None
    short = min(h, w)
    near = _nearness(water)
    x, y = (np.arange(w) + 0.5) / short, np.cumsum(2 * math.pi / (LENGTH * near) / short)
    height = HEIGHT * short * near[:, None] * _ashore(water, SHORE * short)
    height = height * np.clip(np.hypot(*drift) / (LIVELY * short / 120), 0, 1)
    parts = np.zeros((2, 2, h, w))
    for direction, share, phase in TRAINS:
        at = y[:, None] * math.cos(direction) + x * (2 * math.pi / LENGTH * math.sin(direction)) + phase
        # the water goes round: sideways a quarter of a cycle after up and down, and less, as it is seen from above
        cosine, sine = np.cos(at), np.sin(at)
        parts[0] += share * height * np.stack((0.5 * sine * math.sin(direction), cosine))
        parts[1] += share * height * np.stack((-0.5 * cosine * math.sin(direction), sine))
    return torch.from_numpy(parts.astype(np.float32)).to(flow.device)


def _nearness(water: np.ndarray) -> np.ndarray:
    """How near each row is: FAR at the far end of the water, 1 at the near one."""
    rows = np.nonzero(water)[0]
    far, close = np.percentile(rows, [1, 99])
    depth = (np.arange(water.shape[0]) - far) / max(close - far, 0.25 * min(water.shape))
    return FAR + (1 - FAR) * np.clip(depth, 0, 1)


def _ashore(water: np.ndarray, reach: float) -> np.ndarray:
    """0 at what is no water, 1 from `reach` pixels on; the photo's own border is no shore."""
    away = ndimage.distance_transform_edt(water) if not water.all() else np.full(water.shape, reach)
    t = np.clip(away / reach, 0, 1)
    return ndimage.gaussian_filter(t * t * (3 - 2 * t), 0.2 * reach, mode="nearest") * water
