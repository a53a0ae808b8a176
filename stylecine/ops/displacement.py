"""Displacement fields of a loop: where matter has moved at any real time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stylecine.ops.smoothstep import smoothstep

STRIDE = 4  # frames between two knots


@dataclass(frozen=True, eq=False)
class Displacement:
    """Displacements D+ (forward in time) and D- (backward) over a canvas, at any real time of a loop.

    The canvas is the photo with `margin` pixels around it; its grid has one point in the middle of every cell*cell
    canvas pixels. A place with k sub-cycles goes through ages 0 .. period/k, k times a loop.
    """

    positions: Tensor  # [knots,2,2,h,w]: time, (D+, D-), (x, y); pixels of the grid
    rates: Tensor  # their time derivatives, pixels of the grid per frame
    sub_cycles: Tensor  # int64 [h,w]: sub-cycles in the loop
    counts: tuple[int, ...]  # the distinct values of sub_cycles, ascending
    period: int  # frames
    cell: int  # pixels
    margin: int  # pixels
    swell: Tensor | None = None  # [2,2,h,w]: cosine and sine part, (x, y), canvas pixels: see stages.swell
    swell_cycles: int = 0  # in a period

    @property
    def stride(self) -> float:
        """Frames between two knots."""
        return STRIDE

    @cached_property
    def sub_cycle(self) -> Tensor:
        """uint8 [h,w]: the index of each place into `counts` and `lengths`."""
        same = torch.stack([self.sub_cycles == count for count in self.counts])
        return same.to(torch.uint8).argmax(0).to(torch.uint8)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Frames in a sub-cycle, for each of `counts`."""
        return tuple(self.period / count for count in self.counts)

    def forward(self, age: float) -> Tensor:
        """D+ [2,h,w] in canvas pixels: how far matter that starts at x gets in `age` frames."""
        return self._at(age, 0)

    def backward(self, age: float) -> Tensor:
        """D- [2,h,w] in canvas pixels: x + D-(x) is where matter now at x was `age` frames ago."""
        return self._at(age, 1)

    def phases(self, t: float) -> tuple[float, ...]:
        """The phase, in [0,1), of the sub-cycle at frame t, for each of `counts`."""
        return tuple(t * count / self.period % 1 for count in self.counts)

    def swell_phase(self, t: float) -> tuple[float, float]:
        """Weights of the swell's two parts at frame t: (cosine - 1, sine) of its angle, so (0, 0) at frame 0."""
        angle = 2 * math.pi * (t * self.swell_cycles / self.period % 1)
        return math.cos(angle) - 1, math.sin(angle)

    def swell_offset(self, swell_phase: tuple[float, float]) -> Tensor:
        """What the swell displaces both copies by: [2,h,w], canvas pixels."""
        if self.swell is None:
            return torch.zeros_like(self.positions[0, 0])
        return swell_phase[0] * self.swell[0] + swell_phase[1] * self.swell[1]

    def sources(self, phases: Sequence[float], swell_phase: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Where target x reads copy A (aged `phase` sub-cycles) and copy B (one less): [4,h,w], canvas pixels."""
        drift = self._select(
            [
                torch.cat((self.backward(length * phase), self.forward(length * (1 - phase))))
                for phase, length in zip(phases, self.lengths, strict=True)
            ]
        )
        return drift + self.swell_offset(swell_phase).repeat(2, 1, 1)

    def targets(self, phases: Sequence[float], swell_phase: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Where source p of copy A and of copy B goes: [4,h,w], canvas pixels. The inverse of sources()."""
        drift = self._select(
            [
                torch.cat((self.forward(length * phase), self.backward(length * (1 - phase))))
                for phase, length in zip(phases, self.lengths, strict=True)
            ]
        )
        return drift - self.swell_offset(swell_phase).repeat(2, 1, 1)

    def phase_map(self, phases: Sequence[float]) -> Tensor:
        """The phase of each place's sub-cycle: [1,h,w]."""
        return self._select([torch.full_like(self.sub_cycles[None], phase, dtype=torch.float32) for phase in phases])

    def _select(self, fields: Sequence[Tensor]) -> Tensor:
        chosen = fields[0]
        for count, field in zip(self.counts[1:], fields[1:], strict=True):
            chosen = torch.where(self.sub_cycles == count, field, chosen)
        return chosen

    def _at(self, age: float, direction: int) -> Tensor:
        longest = self.period / self.counts[0]
        if not 0 <= age <= longest + 1e-6:
            raise ValueError(f"An age of {age} frames is outside a sub-cycle of {longest} frames.")
        return hermite(self.positions[:, direction], self.rates[:, direction], STRIDE, age) * self.cell


def hermite(positions: Tensor, rates: Tensor, stride: float, age: float) -> Tensor:
    """The displacement at `age` by cubic Hermite interpolation between knots, in the knots' own unit.

    positions, rates: [knots,...], knot i at age i*stride; rates are the derivatives v(x + D), per unit of `age`.
    """
    i = max(0, min(int(age // stride), len(positions) - 2))
    u = age / stride - i
    end = smoothstep(u)
    start_slope, end_slope = u * (1 - u) ** 2 * stride, u * u * (u - 1) * stride
    value = (1 - end) * positions[i] + end * positions[i + 1]
    return value + start_slope * rates[i] + end_slope * rates[i + 1]
