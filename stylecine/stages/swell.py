"""The swell of open water beside its drift: waves towards the viewer that repeat exactly after every cycle.

A lake or sea that only drifts would carry its glints away; in nature they rock in place. Reflections of the shore would
slide from under it, and be seen twice: calm water that mirrors its shore rocks and does not drift
(stages/reflection.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import resize
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import FALLS, WATER, Wind
from stylecine.stages.bed import standing_colours
from stylecine.stages.reflection import HELD_DRIFT, mirroring

# Open water spans this share of the width, or falls or rises less than this, or mirrors its shore.
MIN_WIDTH, MAX_STEEPNESS = 0.8, 0.3
AMPLITUDE = 0.003  # of the short side, for the nearest water
WAVELENGTH = 0.16  # of the short side, there
FAR_SCALE, FAR_MIRROR = 0.15, 0.22  # of both, at the horizon; where all water mirrors its shore, which is seen there
SHORE, MIRROR_SHORE = 0.08, 0.045  # of the short side: over this distance from the shore the swell sets in
WAVES = ((0.0, 0.5, 0.0), (0.45, 0.3, 1.3), (-0.55, 0.2, 4.1))  # direction (radians), share, phase
RIPPLING = 3.2  # times the height, where it mirrors the shore: a reflection moves by more than its water
SECONDS, RIPPLE_SECONDS = 2.0, 1.3  # about one cycle; where any of the water mirrors its shore
FULL_DRIFT = 0.02  # of the short side in 4 s: water that drifts slower has less swell, and none where it is held still


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
    regions, count = ndimage.label(owner == WATER, structure=np.ones((3, 3)))
    beside_falls = regions[ndimage.binary_dilation(owner == FALLS, iterations=3)]
    steepness = np.abs(flow[1]) / (np.hypot(*flow) + 1e-9)
    found: list[int] = []
    others: list[int] = []
    for i in np.setdiff1d(np.arange(1, count + 1), beside_falls):
        here = regions == i
        wide = np.ptp(np.nonzero(here)[1]) + 1 >= MIN_WIDTH * owner.shape[1]
        (found if wide or np.median(steepness[here]) < MAX_STEEPNESS else others).append(i)
    return np.isin(regions, found) | (mirroring(grey, np.isin(regions, others), owner < 0) > 0.5)


@dataclass(frozen=True, eq=False)
class Swell:
    """parts: [2,2,h,w] in pixels of a flow's grid, weighted by the cosine and the sine of the cycle's angle; each is x
    and y of an offset at which the picture is read. seconds: about one cycle."""

    parts: Tensor
    seconds: float


def predict_swell(photo: Tensor, layers: Tensor, flow: Tensor, wind: Wind | None = None) -> Swell | None:
    """The swell on the grid of a flow [2,h,w]; None without open water. In a wind it runs downwind, as high as that is
    strong; otherwise towards the viewer.
    photo: [3,H,W] in [-1,1], layers [4,H,W] as `mask.predict_layers` makes them. Waves get shorter
    and lower towards the far end of the water, as perspective has it, and vanish at shores.
    """
    h, w = flow.shape[1:]
    drift = flow.cpu().numpy()
    owner = class_map(layers, (h, w))
    grey = grey_on(photo, (h, w))
    water = open_water(owner, drift, grey)
    if not water.any():
        return None
    short = min(h, w)
    mirror = mirroring(grey, water, owner < 0)
    mirrors = float(mirror[water].mean())
    near = _nearness(water, FAR_SCALE + (FAR_MIRROR - FAR_SCALE) * mirrors)
    shore = (SHORE + (MIRROR_SHORE - SHORE) * mirrors) * short
    x, y = (np.arange(w) + 0.5) / short, np.cumsum(2 * math.pi / (WAVELENGTH * near) / short)
    height = AMPLITUDE * (1 + (RIPPLING - 1) * mirror) * short * near[:, None] * _shore_fade(water, shore)
    held = np.maximum(mirror, standing_colours(photo, water))
    full_drift = FULL_DRIFT * (1 - (1 - HELD_DRIFT) * held) * short / 120
    height = height * np.clip(np.hypot(*drift) / full_drift, 0, 1)
    downwind = 0.0
    if wind is not None:
        height, downwind = height * wind.pace, wind.angle + math.pi / 2
    parts = np.zeros((2, 2, h, w))
    for direction, share, phase in WAVES:
        direction += downwind
        at = y[:, None] * math.cos(direction) + x * (2 * math.pi / WAVELENGTH * math.sin(direction)) + phase
        # Water moves in circles: sideways a quarter cycle after up and down, and less, as it is seen from above.
        cosine, sine = np.cos(at), np.sin(at)
        parts[0] += share * height * np.stack((0.5 * sine * math.sin(direction), cosine))
        parts[1] += share * height * np.stack((-0.5 * cosine * math.sin(direction), sine))
    seconds = RIPPLE_SECONDS if mirror.max() > 0.5 else SECONDS
    return Swell(torch.from_numpy(parts.astype(np.float32)).to(flow.device), seconds)


def _nearness(water: np.ndarray, least: float) -> np.ndarray:
    """Scale of each row by perspective: `least` at the far end of the water, 1 at the near one."""
    rows = np.nonzero(water)[0]
    far, close = np.percentile(rows, [1, 99])
    depth = (np.arange(water.shape[0]) - far) / max(close - far, 0.25 * min(water.shape))
    return least + (1 - least) * np.clip(depth, 0, 1)


def _shore_fade(water: np.ndarray, reach: float) -> np.ndarray:
    """0 off the water, 1 from `reach` pixels inside it; the photo's own border is no shore."""
    distance = ndimage.distance_transform_edt(water) if not water.all() else np.full(water.shape, reach)
    fade = smoothstep(0, reach, distance)
    return ndimage.gaussian_filter(fade, 0.2 * reach, mode="nearest") * water
