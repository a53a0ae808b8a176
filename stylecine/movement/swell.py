"""The swell of open water beside its drift: waves towards the viewer that repeat exactly after every cycle.

A lake or sea that only drifts would carry its glints away; in nature they rock in place. Reflections of the shore would
slide from under it, and be seen twice: calm water that mirrors its shore rocks and does not drift
(`perception/water.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.movement.speed import STILL_DRIFT
from stylecine.ops.image import resize
from stylecine.ops.perspective import nearness_within
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import Wind
from stylecine.perception.scenery import Scenery

AMPLITUDE = 0.003  # of the short side, for the nearest water
WAVELENGTH = 0.16  # of the short side, there
FAR_SCALE, FAR_MIRROR = 0.15, 0.22  # of both, at the horizon; where all water mirrors its shore, which is seen there
SHORE, MIRROR_SHORE = 0.08, 0.045  # of the short side: over this distance from the shore the swell sets in
WAVES = ((0.0, 0.5, 0.0), (0.45, 0.3, 1.3), (-0.55, 0.2, 4.1))  # direction (radians), share, phase
RIPPLING = 3.2  # times the height, where it mirrors the shore: a reflection moves by more than its water
SECONDS, RIPPLE_SECONDS = 2.0, 1.3  # about one cycle; of water that mirrors its shore
FULL_DRIFT = 0.02  # of the short side in 4 s: water that drifts slower has less swell, and none where it is held still


@dataclass(frozen=True, eq=False)
class Swell:
    """parts: [2,2,h,w] in pixels of a flow's grid, weighted by the cosine and the sine of the cycle's angle; each is x
    and y of an offset at which the picture is read. seconds: about one cycle."""

    parts: Tensor
    seconds: float


def predict_swell(scenery: Scenery, flow: Tensor, wind: Wind | None = None) -> list[Swell]:
    """The swell of the open water of a scenery whose flow is [2,h,w], on any grid, at its own speed: that of seas and
    lakes, and that of water that mirrors its shore, each at its own pace; none without open water.

    In a wind it runs downwind, as high as that is strong; otherwise towards the viewer. Waves get shorter and lower
    towards the far end of the water, as perspective has it, and vanish at shores.
    """
    (h, w), (rows, columns) = scenery.grid, flow.shape[1:]
    ratio = np.array([w / columns, h / rows], np.float32)
    drift = resize(flow, scenery.grid).cpu().numpy() * ratio[:, None, None]
    mirrors = scenery.streams.open & (scenery.still.mirror > 0.5)
    waters = (scenery.streams.open & ~mirrors, SECONDS), (mirrors, RIPPLE_SECONDS)
    made = ((_waves(scenery, water, drift, wind), seconds) for water, seconds in waters if water.any())
    return [Swell(torch.from_numpy(parts).to(flow.device), seconds) for parts, seconds in made]


def _waves(scenery: Scenery, water: np.ndarray, drift: np.ndarray, wind: Wind | None) -> np.ndarray:
    """`Swell.parts` of some of the open water, bool [h,w]."""
    (h, w), short = scenery.grid, scenery.short
    mirror = np.where(water, scenery.still.mirror, 0.0)
    mirrors = float(mirror[water].mean())
    least = FAR_SCALE + (FAR_MIRROR - FAR_SCALE) * mirrors
    near = least + (1 - least) * nearness_within(water, tail=1, least_span=0.25)
    shore = (SHORE + (MIRROR_SHORE - SHORE) * mirrors) * short
    x, y = (np.arange(w) + 0.5) / short, np.cumsum(2 * math.pi / (WAVELENGTH * near) / short)
    distance = ndimage.distance_transform_edt(water) if not water.all() else np.full(water.shape, shore)
    fade = ndimage.gaussian_filter(smoothstep(0, shore, distance), 0.2 * shore, mode="nearest") * water
    height = AMPLITUDE * (1 + (RIPPLING - 1) * mirror) * short * near[:, None] * fade
    full_drift = FULL_DRIFT * (1 - (1 - STILL_DRIFT) * mirror) * short / 120
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
    return parts.astype(np.float32)
