"""Waves of water: the swell of open water, the swash on a beach, and the waves that stand in rapids.

Open water that only drifted would carry its glints away; in nature they rock in place, in a swell towards the viewer
that repeats exactly after every cycle. Reflections of the shore would slide from under it, and be seen twice: calm
water that mirrors its shore rocks and does not drift (`perception/water.py`).

On a beach, water that only drifted would stop at the sand as at a wall. Here a band on both sides of the edge sways
across it, in whole cycles, by a smooth displacement that vanishes at the band's borders: nothing has to be blended, and
frame 0 remains the photo.

In rapids, waves stand before and behind rocks, and a fall hangs in the same strands, while foam and streaks pass
through them: coarse levels of the picture keep their place and fine ones move. Which wavelengths stand is a question of
depth and speed (those whose waves run upstream as fast as the water comes down: Lighthill, "Waves in Fluids", 1978). A
photo tells neither, so it is a share of its size.
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
from stylecine.ops.maps import nearness_within
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import FALLS, WATER, Wind
from stylecine.perception.beach import SMOOTH
from stylecine.perception.scenery import Scenery

# The swell
SWELL_HEIGHT = 0.003  # of the short side, for the nearest water
WAVELENGTH = 0.16  # of the short side, there
FAR_SCALE, FAR_MIRROR = 0.15, 0.22  # of both, at the horizon; where all water mirrors its shore, which is seen there
SWELL_SHORE, MIRROR_SHORE = 0.08, 0.045  # of the short side: over this distance from the shore the swell sets in
WAVES = ((0.0, 0.5, 0.0), (0.45, 0.3, 1.3), (-0.55, 0.2, 4.1))  # direction (radians), share, phase
RIPPLING = 3.2  # times the height, where it mirrors the shore: a reflection moves by more than its water
SWELL_SECONDS, RIPPLE_SECONDS = 2.0, 1.3  # about one cycle; of water that mirrors its shore
FULL_DRIFT = 0.02  # of the short side in 4 s: water that drifts slower has less swell, and none where it is held still
# The swash
SWASH_SECONDS = 4.0  # about one run up and back
SWASH_AMPLITUDE = 0.016  # of the short side: how far the edge runs up, and back; less than REACH over pi / 2
# What stands
RUNNING_SCALE, STANDING_SCALE = 1 / 112, 1 / 48  # pixels of a level, in short sides: finer ones run, coarser stand
FINEST_RUNNING = 2.0  # pixels: levels as fine run in the smallest photo, too
STANDING_BLUR = 1.5  # points of the grid


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
    waters = (scenery.streams.open & ~mirrors, SWELL_SECONDS), (mirrors, RIPPLE_SECONDS)
    made = ((_waves(scenery, water, drift, wind), seconds) for water, seconds in waters if water.any())
    return [Swell(torch.from_numpy(parts).to(flow.device), seconds) for parts, seconds in made]


def _waves(scenery: Scenery, water: np.ndarray, drift: np.ndarray, wind: Wind | None) -> np.ndarray:
    """`Swell.parts` of some of the open water, bool [h,w]."""
    (h, w), short = scenery.grid, scenery.short
    mirror = np.where(water, scenery.still.mirror, 0.0)
    mirrors = float(mirror[water].mean())
    least = FAR_SCALE + (FAR_MIRROR - FAR_SCALE) * mirrors
    near = least + (1 - least) * nearness_within(water, tail=1, least_span=0.25)
    shore = (SWELL_SHORE + (MIRROR_SHORE - SWELL_SHORE) * mirrors) * short
    x, y = (np.arange(w) + 0.5) / short, np.cumsum(2 * math.pi / (WAVELENGTH * near) / short)
    distance = ndimage.distance_transform_edt(water) if not water.all() else np.full(water.shape, shore)
    fade = ndimage.gaussian_filter(smoothstep(0, shore, distance), 0.2 * shore, mode="nearest") * water
    height = SWELL_HEIGHT * (1 + (RIPPLING - 1) * mirror) * short * near[:, None] * fade
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


@dataclass(frozen=True, eq=False)
class Swash:
    """What sways, on the grid of the motion field."""

    offset: Tensor  # [2,h,w]: where the picture is read when the edge is highest, in pixels of the grid
    band: Tensor  # [h,w] in {0,1}: what sways, sand included
    drift: Tensor  # [h,w] in [0,1]: how much of its drift each place keeps

    def widen(self, moves: Tensor) -> Tensor:
        """moves [H,W] with the band."""
        return torch.maximum(moves, resize(self.band[None], moves.shape)[0].clamp(0, 1))

    def slow(self, flow: Tensor) -> Tensor:
        """A flow [2,h,w] of any grid that keeps only the drift there is beside what sways."""
        return flow * resize(self.drift[None], flow.shape[1:])[0]

    @property
    def swell(self) -> Swell:
        return Swell(torch.stack((torch.zeros_like(self.offset), self.offset)), SWASH_SECONDS)


def predict_swash(scenery: Scenery) -> Swash | None:
    """None without a beach."""
    beach = scenery.beach
    if beach is None:
        return None
    short, level, surely = scenery.short, beach.level, beach.surely
    normal = np.stack(np.gradient(ndimage.gaussian_filter(level, SMOOTH * short, mode="nearest"))[::-1])
    normal /= np.hypot(*normal) + 1e-6
    height = SWASH_AMPLITUDE * short * surely * np.cos(np.clip(level, -1, 1) * np.pi / 2) ** 2
    band = (surely > 0.02) & (np.abs(level) < 1) & beach.free
    rest = smoothstep(1, 3, -level)
    parts = -normal * height, band, 1 - surely.clip(0, 1) * (1 - rest)
    offset, band_, drift = (torch.from_numpy(x.astype(np.float32)).to(scenery.layers.device) for x in parts)
    return Swash(offset, band_, drift)


def predict_standing(scenery: Scenery) -> Tensor | None:
    """How much coarse structure stands, [h,w] in [0,1] on the scenery's grid; None without running water."""
    current = ~scenery.streams.open  # which seas and lakes have not
    runs = ((scenery.owner == WATER) | (scenery.owner == FALLS)) & current
    if not runs.any():
        return None
    soft = ndimage.gaussian_filter(runs.astype(np.float32), STANDING_BLUR, mode="nearest")
    return torch.from_numpy(soft).to(scenery.layers.device)


def standing_share(scale: int, short: int) -> float:
    """How much a level stands, in [0,1]: of pixels `scale` pixels wide, in a photo with that short side."""
    runs = max(RUNNING_SCALE * short, FINEST_RUNNING)
    return min(max(math.log2(scale / runs) / math.log2(STANDING_SCALE / RUNNING_SCALE), 0.0), 1.0)
