"""Surf on a beach: the edge of the foam runs up the sand and back, in whole cycles.

Water that only drifted would stop at the sand as at a wall. Here a band on both sides of the edge sways across it, by a
smooth displacement that vanishes at the band's borders: nothing has to be blended, and frame 0 remains the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.movement.swell import Swell
from stylecine.ops.image import resize
from stylecine.ops.smoothstep import smoothstep
from stylecine.perception.beach import SMOOTH
from stylecine.perception.scenery import Scenery

SWASH_SECONDS = 4.0  # about one run up and back
AMPLITUDE = 0.016  # of the short side: how far the edge runs up, and back; less than REACH over pi / 2


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
    height = AMPLITUDE * short * surely * np.cos(np.clip(level, -1, 1) * np.pi / 2) ** 2
    band = (surely > 0.02) & (np.abs(level) < 1) & beach.free
    rest = smoothstep(1, 3, -level)
    parts = -normal * height, band, 1 - surely.clip(0, 1) * (1 - rest)
    offset, band_, drift = (torch.from_numpy(x.astype(np.float32)).to(scenery.layers.device) for x in parts)
    return Swash(offset, band_, drift)
