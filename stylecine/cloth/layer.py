"""Cloth in the wind over a frame: what the loop of it is drawn from, at any real time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stylecine.ops.drape import drape


@dataclass(frozen=True, eq=False)
class ClothLayer:
    """All that the cloth of a loop is drawn from; made by `animate_cloth`."""

    photo: Tensor  # uint8 [H,W,3]
    background: Tensor  # uint8 [H,W,3]: the photo, and behind the cloth what is there
    matte: Tensor  # uint8 [H,W], 255 is cloth
    active: Tensor  # uint8 [H over TILE, W over TILE]
    knots: Tensor  # float32 [K,3,gh,gw]: fields of `ops.drape` at phases k/K of a gust; the first is 0
    cell: int
    reach: Tensor  # float32 [H,W] in [0,1]: the matte, and something wherever else anything may change
    cycles: int  # gusts in the loop
    period: int  # frames

    @cached_property
    def footprint(self) -> Tensor:
        """1 where the cloth is, or what is behind it is not what the photo shows, [H,W]: no landscape moves there."""
        return ((self.matte > 0) | (self.background != self.photo).any(-1)).float()

    def draw_over(self, frame: Tensor, t: float) -> Tensor:
        """A frame uint8 [H,W,3] of time t with the cloth over it; at t = 0 the photo's own bytes where that has cloth.

        Between the knots the fields are those of the only wave through them that needs no more than K/2 cycles.
        """
        weights = periodic_weights(len(self.knots), t * self.cycles / self.period).to(self.knots.device)
        field = torch.tensordot(weights, self.knots, 1)
        return drape(frame, self.photo, self.background, self.matte, field, self.active, cell=self.cell)


def periodic_weights(count: int, phase: float) -> Tensor:
    """What each of `count` (even) samples of a period counts for its trigonometric interpolation, float32 [count].

    Exactly one sample where the phase (in periods) is its own.
    """
    at = phase % 1.0 * count
    if at == int(at):
        return torch.eye(count)[int(at) % count]
    away = [math.pi * (at - j) / count for j in range(count)]
    return torch.tensor([math.sin(count * a) / (count * math.tan(a)) for a in away], dtype=torch.float32)
