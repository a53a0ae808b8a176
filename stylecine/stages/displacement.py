"""Where matter has gone after t frames: the motion field integrated over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.ops import integrate as ops
from stylecine.ops.hermite import displaced

GRID = 256  # longest short side of the grid that displacements are kept on
STRIDE = 4  # frames between two knots
TRAVEL = 0.06  # what a region may travel in one turn, in short sides of the photo
MOST_TURNS = 6
SUB_CYCLES_PER_SECOND = 1.5  # at most
SWELL = 2.0  # seconds of one cycle of the roll, about
BRIEFEST = 1.0  # second: a shorter loop, which its one cycle would fill, does not roll


@dataclass(frozen=True)
class Displacement:
    """Displacements D+ and D- over a canvas, at any real time of a loop, and how often each place goes round.

    The canvas is the photo with `margin` pixels around it; its grid has one point in the middle of every
    cell*cell canvas pixels. A place with k turns goes through ages 0 .. period/k, k times.
    """

    positions: Tensor  # [knots,2,2,h,w]: time, (D+, D-), (x, y); pixels of the grid
    rates: Tensor  # their derivatives, pixels of the grid per frame
    turns: Tensor  # int64 [h,w]
    counts: tuple[int, ...]  # the different numbers in it, smallest first
    period: int  # frames
    cell: int  # pixels
    margin: int  # pixels
    roll: Tensor | None = None  # [2,2,h,w]: cosine and sine part, (x, y), canvas pixels: what sways beside the drift
    cycles: int = 0  # of the roll in a period

    @property
    def stride(self) -> float:
        return STRIDE

    @cached_property
    def turn(self) -> Tensor:
        """uint8 [h,w]: which of `counts`, and of `lengths`, a place has."""
        return torch.stack([self.turns == count for count in self.counts]).to(torch.uint8).argmax(0).to(torch.uint8)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Frames in a turn, one for each of `counts`."""
        return tuple(self.period / count for count in self.counts)

    def forward(self, age: float) -> Tensor:
        """D+ [2,h,w] in canvas pixels: how far matter that starts at x gets in `age` frames."""
        return self._at(age, 0)

    def backward(self, age: float) -> Tensor:
        """D- [2,h,w] in canvas pixels: x + D-(x) is where matter now at x was `age` frames ago."""
        return self._at(age, 1)

    def phases(self, t: float) -> tuple[float, ...]:
        """How much of its turn, in [0,1), has passed at frame t: a number for each of `counts`."""
        return tuple(t * count / self.period % 1 for count in self.counts)

    def swing(self, t: float) -> tuple[float, float]:
        """What the roll's two parts count at frame t: (cosine - 1, sine) of its cycle; (0, 0) at frame 0."""
        angle = 2 * math.pi * (t * self.cycles / self.period % 1)
        return math.cos(angle) - 1, math.sin(angle)

    def rolled(self, swing: tuple[float, float]) -> Tensor:
        """What the roll displaces both copies by: [2,h,w], canvas pixels."""
        if self.roll is None:
            return torch.zeros_like(self.positions[0, 0])
        return swing[0] * self.roll[0] + swing[1] * self.roll[1]

    def sources(self, phases: Sequence[float], swing: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Where target x reads copy A (aged `phase` turns) and copy B (one turn younger): [4,h,w], pixels."""
        drifted = self._select(
            [
                torch.cat((self.backward(length * phase), self.forward(length * (1 - phase))))
                for phase, length in zip(phases, self.lengths, strict=True)
            ]
        )
        return drifted + self.rolled(swing).repeat(2, 1, 1)

    def targets(self, phases: Sequence[float], swing: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """Where source p of copy A and of copy B goes: [4,h,w], canvas pixels. The inverse of sources()."""
        drifted = self._select(
            [
                torch.cat((self.forward(length * phase), self.backward(length * (1 - phase))))
                for phase, length in zip(phases, self.lengths, strict=True)
            ]
        )
        return drifted - self.rolled(swing).repeat(2, 1, 1)

    def passed(self, phases: Sequence[float]) -> Tensor:
        """How much of its turn has passed at each place: [1,h,w]."""
        return self._select([torch.full_like(self.turns[None], phase, dtype=torch.float32) for phase in phases])

    def _select(self, fields: Sequence[Tensor]) -> Tensor:
        chosen = fields[0]
        for count, field in zip(self.counts[1:], fields[1:], strict=True):
            chosen = torch.where(self.turns == count, field, chosen)
        return chosen

    def _at(self, age: float, way: int) -> Tensor:
        if not 0 <= age <= self.period / self.counts[0] + 1e-6:
            raise ValueError(f"age {age} is outside one turn of {self.period / self.counts[0]} frames")
        return displaced(self.positions[:, way], self.rates[:, way], STRIDE, age) * self.cell


def integrate(
    flow: Tensor, moving: Tensor, *, period: int, fps: float, margin: int, roll: Tensor | None = None
) -> Displacement:
    """Displacement over a photo with `margin` pixels around it, for a loop of `period` frames at `fps`.

    flow: [2,h,w] over the photo, in pixels of its own grid per 1/30 s, of any grid size; replicated past the
    border. moving: [H,W] in [0,1], what moves of the photo. roll: [2,2,h,w], as `roll.roll` makes it, on the flow's
    grid and in its pixels, or None; loops of less than a second do not roll. The grid that is returned has a short side
    of at most 256.
    """
    size = moving.shape[0], moving.shape[1]
    cell = int(2 ** max(0, math.ceil(math.log2(min(size) / GRID))))
    grid = math.ceil((size[0] + 2 * margin) / cell), math.ceil((size[1] + 2 * margin) / cell)
    velocity = over_canvas(in_photo_pixels(flow, size), grid, cell, size, margin) * (30 / fps / cell)
    count = turns(flow, moving, period, fps)
    counts = tuple(int(k) for k in count.unique())
    count = over_canvas(count[None].float(), grid, cell, size, margin, "nearest")[0].round().long()
    knots = max(2, math.ceil(period / counts[0] / STRIDE) + 1)
    positions, rates = ops.integrate(torch.stack((velocity, -velocity)), knots, STRIDE)
    if roll is None or period / fps < BRIEFEST:
        return Displacement(positions, rates, count, counts, period, cell, margin)
    parts = [over_canvas(in_photo_pixels(part, size), grid, cell, size, margin) for part in roll]
    cycles = max(1, round(period / fps / SWELL))
    return Displacement(positions, rates, count, counts, period, cell, margin, torch.stack(parts), cycles)


def turns(flow: Tensor, moving: Tensor, period: int, fps: float) -> Tensor:
    """How many times each place goes round within the loop: int64 [h,w] on the flow's grid, 1..6.

    Constant over a connected region of `moving` [H,W] > 0 (over static parts, that of the nearest region), so
    that no place moves beside one of another age. The fast tenth of a region travels about 6% of the short
    side a turn: further, and what the two copies show comes from too far away to look at home.
    """
    speed = in_photo_pixels(flow, (moving.shape[0], moving.shape[1])).norm(dim=0).cpu().numpy()
    support = on_grid_of(moving, flow).cpu().numpy()
    # Two grid points of clearance: displacements of different ages must not be interpolated where it moves.
    labels, regions = ndimage.label(ndimage.binary_dilation(support, iterations=2), structure=np.ones((3, 3)))
    most = max(1, min(MOST_TURNS, int(SUB_CYCLES_PER_SECOND * period / fps)))
    allowed = TRAVEL * min(moving.shape) / (period * 30 / fps)  # pixels per 1/30 s that one turn allows
    count = np.ones(regions + 1, dtype=np.int64)
    for label in range(1, regions + 1):
        fast = np.percentile(speed[(labels == label) & support], 90)
        count[label] = np.clip(math.ceil(fast / allowed), 1, most)
    if regions:
        nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        labels = labels[tuple(nearest)]
    return torch.from_numpy(count[labels]).to(flow.device)


def margin_for(flow: Tensor, moving: Tensor, period: int, fps: float) -> int:
    """Pixels that the plate needs around the photo so that what flows in was somewhere: the longest turn.

    A multiple of 16, at least 32; at most a quarter of the short side, beyond which the border is replicated.
    """
    speed = in_photo_pixels(flow, (moving.shape[0], moving.shape[1])).norm(dim=0) * on_grid_of(moving, flow)
    travel = float((speed / turns(flow, moving, period, fps)).max()) * period * 30 / fps
    return 16 * math.ceil(min(max(travel, 16), min(moving.shape) / 4) / 16) + 16


def in_photo_pixels(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """A flow [2,h,w] in pixels of its own grid, in pixels of a photo of `size` (H, W), on the same grid."""
    ratio = torch.tensor([size[1] / flow.shape[2], size[0] / flow.shape[1]], device=flow.device)
    return flow * ratio[:, None, None]


def on_grid_of(moving: Tensor, flow: Tensor) -> Tensor:
    """Bool [h,w]: which points of the flow's grid hold anything that moves."""
    return F.adaptive_max_pool2d((moving > 0).float()[None, None], flow.shape[1:])[0, 0] > 0


def over_canvas(
    field: Tensor,
    grid: tuple[int, int],
    cell: int,
    size: tuple[int, int],
    margin: int,
    mode: str = "bilinear",
) -> Tensor:
    """A field [C,h,w] over a photo of `size`, read at a canvas grid's cell centres; values are not scaled."""
    x = ((torch.arange(grid[1], device=field.device) + 0.5) * cell - margin) / size[1] * 2 - 1
    y = ((torch.arange(grid[0], device=field.device) + 0.5) * cell - margin) / size[0] * 2 - 1
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    return F.grid_sample(field[None], points, mode=mode, padding_mode="border", align_corners=False)[0]
