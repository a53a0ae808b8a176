"""What moves in the wind over the landscape of a loop, composited over a frame at any real time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stylecine.ops.drape import drape_
from stylecine.ops.readback import enqueued

PaceHarmonics = tuple[complex, ...]  # hₘ of a gust's pace at t, in gusts: 1 + Re Σ hₘ·exp(2πi·m·t), m from 1


@dataclass(frozen=True, eq=False)
class Overlay:
    """Everything that plants or cloth are drawn from, made by `SwayingPlants` or `animate_cloth`."""

    kind: str  # "plants" or "cloth"
    photo: Tensor  # uint8 [H,W,3]
    background: Tensor  # uint8 [H,W,3]: the photo, inpainted behind the overlay
    matte: Tensor  # uint8 [H,W]: its opacity
    active: Tensor  # uint8 [ceil(H/TILE), ceil(W/TILE)]: 0 for tiles in which nothing ever changes
    keyframes: Tensor  # float32 [K,3,gh,gw]: fields of `ops.drape` at phases k/K of a gust; the first is 0
    cell: int  # pixels between two points of the fields' grid
    reach: Tensor  # float32 [H,W] in [0,1]: above 0 wherever a pixel may change, at least the matte
    cycles: int  # gusts in the loop
    period: int  # frames
    pace: PaceHarmonics = ()  # of its gusts, which the keyframes already follow
    gustiness: float = 0.0  # by how much gusts are stronger and faster, then weaker and slower, in the course of a loop
    fine: bool = False  # see `ops.drape`
    at_rest: object = None  # what another wind animates it from: `SwayingPlants` or a `RestShape`

    @cached_property
    def footprint(self) -> Tensor:
        """1 where it is opaque or its background differs from the photo, else 0, [H,W]: the landscape rests there."""
        return ((self.matte > 0) | (self.background != self.photo).any(-1)).float()

    def draw_over(self, frame: Tensor, t: float) -> Tensor:
        """Frame uint8 [H,W,3] of time t (in frames) with the overlay over it, which at t = 0 shows the photo's bytes.

        Fields between keyframes are their trigonometric interpolation: exact for waves of up to K/2 cycles a gust.
        """
        return self.draw_over_(frame[None].clone(memory_format=torch.contiguous_format), [t])[0]

    def draw_over_(self, frames: Tensor, times: Sequence[float]) -> Tensor:
        """`draw_over` of frames [n,H,W,3], in place: a copy of a few numbers and a kernel for a GPU, which waits for
        nothing."""
        weights = enqueued(torch.stack([self.weights(t) for t in times]), self.keyframes.device)
        drawn = frames, self.photo, self.background, self.matte, self.keyframes, weights, self.active
        return drape_(*drawn, cell=self.cell, fine=self.fine)

    def weights(self, t: float) -> Tensor:
        """Of the keyframes at time t (in frames), float32 [K]."""
        share = t / self.period % 1
        angle = 2 * math.pi * share
        gusts = self.cycles * (share + self.gustiness * (1 - math.cos(angle)) / (2 * math.pi))
        return (1 + self.gustiness * math.sin(angle)) * periodic_weights(len(self.keyframes), gusts)


def periodic_weights(count: int, phase: float) -> Tensor:
    """Weights of `count` (even) samples of a period in its trigonometric interpolation at `phase`, float32 [count].

    The phase is in periods; at a sample's own phase that sample alone has weight.
    """
    position = phase % 1.0 * count
    samples = torch.arange(count, dtype=torch.float64)
    if position == int(position):
        return (samples == int(position) % count).float()
    angles = (position - samples) * (math.pi / count)
    return ((angles * count).sin() / (angles.tan() * count)).float()
