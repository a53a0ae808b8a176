"""Displacement fields of a loop: where matter has moved at any real time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stylecine.ops.smoothstep import smoothstep

MIN_DRIFT = 0.005  # of the short side in a loop: matter that drifts by less stays where it is

PhaseMap = tuple[Tensor, Tensor]  # see Displacement.phase_map


@dataclass(frozen=True)
class Moment:
    """What of a loop depends on the time alone; see Displacement.moment."""

    phases: tuple[float, ...]  # in [0,1], of the sub-cycles of each length
    shifts: tuple[float, ...]  # in [0,1], of each length: the factor on the stagger
    swell: tuple[float, ...]  # weights of its parts: (cosine - 1, sine) of each clock's angle, so all 0 at frame 0


@dataclass(frozen=True, eq=False)
class Displacement:
    """Displacements over a canvas at any real time of a loop. D+ is how far matter that starts at x gets; x + D-(x) is
    where matter now at x was.

    The canvas is the photo with `margin` pixels around it; its grid has one point in the middle of every cell*cell
    canvas pixels. A place with k sub-cycles goes through ages 0 .. period/k, k times a loop.
    """

    positions: Tensor  # [knots,2,2,h,w]: time, (D+, D-), (x, y); pixels of the grid
    rates: Tensor  # their time derivatives, pixels of the grid per frame
    sub_cycle: Tensor  # uint8 [h,w]: the index of each place into `counts` and `lengths`
    counts: tuple[int, ...]  # of sub-cycles in the loop, ascending
    period: int  # frames
    cell: int  # pixels
    margin: int  # pixels
    stagger: Tensor | None = None  # [h,w] in [-1,1]: how many sub-cycles a place is ahead of the others
    stride: int = 4  # frames between two knots
    standing: Tensor | None = None  # [h,w] in [0,1]: where coarse levels stay while fine ones run: movement.waves
    swell: Tensor | None = None  # [2K,2,h,w]: cosine and sine part of each of K clocks, (x, y), canvas pixels
    swell_cycles: tuple[int, ...] = ()  # of these clocks, in a period
    min_ramp: float = 0.0  # frames, see `ramps`
    wraps: bool = False  # whether the left and right edges of the photo meet

    @property
    def lengths(self) -> tuple[float, ...]:
        """Frames in a sub-cycle, for each of `counts`."""
        return tuple(self.period / count for count in self.counts)

    @property
    def ramps(self) -> tuple[float, ...]:
        """Frames in which the stagger sets in after the loop's beginning, and ceases before its end, for each of
        `counts`: a sub-cycle, or `min_ramp`, since it changes speeds meanwhile."""
        return tuple(min(max(length, self.min_ramp), self.period / 2) for length in self.lengths)

    def moment(self, t: float) -> Moment:
        """The loop's state at frame t."""
        t %= self.period
        angles = [2 * math.pi * (t * cycles / self.period % 1) for cycles in self.swell_cycles]
        return Moment(
            phases=tuple(t * count / self.period % 1 for count in self.counts),
            # all of the stagger in the middle, none where the loop begins and ends
            shifts=tuple(smoothstep(0, ramp, t) * smoothstep(0, ramp, self.period - t) for ramp in self.ramps),
            swell=tuple(weight for angle in angles for weight in (math.cos(angle) - 1, math.sin(angle))),
        )

    def uniform(self, phase: float) -> Moment:
        """A state in which every place has the same phase, and there is no swell."""
        return Moment((phase,) * len(self.counts), (0.0,) * len(self.counts), (0.0, 0.0) * len(self.swell_cycles))

    def phase_map(self, moment: Moment) -> PhaseMap:
        """The phase of each place's sub-cycle, [1,h,w] in [0,1], and whether its copies swap names, bool [h,w]; see
        staggered()."""
        phase = self._at_places(moment.phases)
        if self.stagger is None:
            return phase[None], torch.zeros_like(phase, dtype=torch.bool)
        phase, swapped = staggered(phase, self._at_places(moment.shifts) * self.stagger)
        return phase[None], swapped

    def swell_offset(self, moment: Moment) -> Tensor:
        """What the swell displaces both copies by: [2,h,w], canvas pixels."""
        offset = torch.zeros_like(self.positions[0, 0])
        if self.swell is not None:
            for weight, part in zip(moment.swell, self.swell, strict=True):
                offset += weight * part
        return offset

    def rocks(self, height: int, width: int) -> Tensor:
        """Where the swell rocks matter faster than it drifts, or where it hardly drifts beside a swell: bool [H,W],
        pixels of the photo."""
        if self.swell is None:
            return torch.zeros(height, width, dtype=torch.bool, device=self.rates.device)
        pace = self.swell.new_tensor(self.swell_cycles).repeat_interleave(2) * (2 * math.pi / self.period)
        rocking = (self.swell * pace[:, None, None, None]).square().sum((0, 1)).sqrt()
        drift = self.rates[0, 0].norm(dim=0) * self.cell
        faster = (rocking > drift) | (drift * self.period < MIN_DRIFT * min(height, width))
        rows, columns = ((torch.arange(n, device=faster.device) + self.margin) // self.cell for n in (height, width))
        return faster[rows][:, columns]

    def sources(self, moment: Moment, phase_map: PhaseMap | None = None) -> Tensor:
        """Where target x reads copy A (aged `phase` sub-cycles) and copy B (one less): [4,h,w], canvas pixels.

        phase_map: that of the moment, for callers who have it.
        """
        phase, swapped = phase_map or self.phase_map(moment)
        forward, backward = self._drifts(self._length * (1 - phase), self._length * phase)
        return swap(torch.cat((backward, forward)), swapped) + self.swell_offset(moment).repeat(2, 1, 1)

    def targets(self, moment: Moment, phase_map: PhaseMap | None = None) -> Tensor:
        """Where source p of copy A and of copy B goes: [4,h,w], canvas pixels. The inverse of sources()."""
        phase, swapped = phase_map or self.phase_map(moment)
        forward, backward = self._drifts(self._length * phase, self._length * (1 - phase))
        return swap(torch.cat((forward, backward)), swapped) - self.swell_offset(moment).repeat(2, 1, 1)

    def _drifts(self, forward_age: Tensor, backward_age: Tensor) -> Tensor:
        """D+ and D- at ages [1,h,w]: [2,2,h,w] in canvas pixels. Both at once, as a GPU takes as long for half."""
        ages = torch.stack((forward_age, backward_age))
        return hermite(self.positions, self.rates, self.stride, ages) * self.cell

    @cached_property
    def _length(self) -> Tensor:
        """Frames in the sub-cycle of each place: [h,w]."""
        return self._at_places(self.lengths)

    def _at_places(self, values: tuple[float, ...]) -> Tensor:
        """The value of each place's sub-cycle, [h,w]; numbers reach a GPU with the calls, a tensor of them would have
        to be copied."""
        result = torch.full_like(self.positions[0, 0, 0], values[0])
        for i, value in enumerate(values[1:], 1):
            result.masked_fill_(self.sub_cycle == i, value)
        return result


def staggered(phase: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
    """The phase [h,w], in [0,1], of places that are `ahead` [h,w] by -1 to 1 sub-cycles; and where that is of the next
    or the previous sub-cycle, bool [h,w]: there copy A and copy B swap names. Copy B of one sub-cycle is copy A of the
    next, and fields are interpolated between neighbours: each name has to mean the same copy on both sides.
    """
    phase = phase + ahead
    after, before = phase > 1, phase < 0
    return torch.where(after, phase - 1, torch.where(before, phase + 1, phase)), after | before


def swap(fields: Tensor, swapped: Tensor) -> Tensor:
    """Fields [...,2n,h,w] of copy A, then of copy B, exchanged where `swapped`, bool [h,w]."""
    a, b = fields.chunk(2, -3)
    return torch.where(swapped, torch.cat((b, a), -3), fields)


def hermite(positions: Tensor, rates: Tensor, stride: float, age: float | Tensor) -> Tensor:
    """The displacement [...,h,w] at `age`, a number or what expands to [...,h,w], by cubic Hermite interpolation
    between knots.

    positions, rates: [knots,...,h,w], knot i at age i*stride; rates are the derivatives v(x + D), per unit of `age`.
    """
    knots = torch.as_tensor(age, dtype=positions.dtype, device=positions.device) / stride
    i = knots.floor().long().clamp(0, len(positions) - 2)
    u = knots - i
    first = i.expand(1, *positions.shape[1:])
    end = u * u * (3 - 2 * u)
    start_slope, end_slope = u * (1 - u) ** 2 * stride, u * u * (u - 1) * stride
    value = (1 - end) * positions.gather(0, first)[0] + end * positions.gather(0, first + 1)[0]
    return value + start_slope * rates.gather(0, first)[0] + end_slope * rates.gather(0, first + 1)[0]
