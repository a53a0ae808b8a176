"""From the motion field to displacements: how far matter has moved after t frames, and how often each place repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.special import ndtr
from torch import Tensor

from stylecine.movement.waves import Swell
from stylecine.ops import integrate as ops
from stylecine.ops.displacement import Displacement
from stylecine.ops.image import meeting, wrapped
from stylecine.ops.regions import connected

KNOT_TRAVEL = 4.0  # points of the grid that matter may move between two knots of its path,
MIN_STRIDE, MAX_STRIDE = 4, 12  # which are at least and at most so many frames apart
STEP_FRAMES = 2  # of an integration step
GRID = 256  # largest short side of the displacement's grid
# What a region may travel in one sub-cycle, in short sides of the photo: TRAVEL_OF_EXTENT of its length, within limits.
# With longer ways the two copies show content from too far away to look plausible, which in a large region is farther.
MIN_TRAVEL, MAX_TRAVEL, TRAVEL_OF_EXTENT = 0.06, 0.09, 0.2
# A sky moves as one: nothing in it is uncovered but at the frame's rim, so it goes on for as long as nobody can tell
# the sub-cycle from the loop. In short sides, and in seconds.
SKY_TRAVEL, SKY_SECONDS = 0.3, 6.0
MAX_SUB_CYCLES = 8  # of a place in a loop
SUB_CYCLES_PER_SECOND = 1.5  # at most
MAX_STAGGER = 0.45  # sub-cycles by which a place may be ahead of the others, or behind
STAGGER_SCALE = 0.1  # of the short side: standard deviation of the Gaussian that makes the noise of that smooth
# On open water, in short sides: standard deviation of the Gaussian that smooths it from row to row; by how much of its
# maximum it rises in one, at most. Crests that travel 0.09 in a sub-cycle come nearer by a third.
ROW_SCALE, STEEPEST = 0.02, 8.0
ROW_REACH = 4.0  # points of the grid beside open water over which it becomes noise
MIN_RAMP = 1.2  # seconds in which it sets in, and ceases
MIN_SWELL_LOOP = 1.0  # seconds at speed 1, and less above it: in shorter loops even one cycle would be hectic
MIN_CYCLE_FRAMES = 4  # of a swell, which would otherwise flicker


def integrate(
    flow: Tensor,
    moving: Tensor,
    *,
    period: int,
    fps: float,
    margin: int,
    sky: Tensor | None = None,
    swells: Sequence[Swell] = (),
    speed: float = 1.0,
    standing: Tensor | None = None,
    open_water: Tensor | None = None,
    wraps: bool = False,
) -> Displacement:
    """Displacement over a photo with `margin` pixels around it, for a loop of `period` frames at `fps`.

    flow: [2,h,w] over the photo, in pixels of its own grid per 1/30 s, of any grid size; replicated past the border.
    moving: [H,W] in [0,1], what moves of the photo. sky: bool [H,W], what of that is sky. standing: [h,w] in [0,1] on
    the flow's grid; see movement.waves. open_water: bool [h,w] on any grid, seas and lakes, if known. swells: on the
    flow's grid, each in whole cycles of about its seconds over `speed`, which the flow has already; loops of less than
    a second have none. wraps: whether the photo's left and right edges meet.
    The grid of the result has a short side of at most 256.
    """
    size = moving.shape[0], moving.shape[1]
    cell = int(2 ** max(0, math.ceil(math.log2(min(size) / GRID))))
    grid = math.ceil((size[0] + 2 * margin) / cell), math.ceil((size[1] + 2 * margin) / cell)
    canvas = Canvas(size, grid, cell, margin, wraps)
    velocity = canvas.velocity(flow, fps)
    counts, sub_cycle = count_sub_cycles(flow, moving, period, fps, sky, wraps).unique(return_inverse=True)
    sub_cycle = canvas.sampled(sub_cycle[None].float(), "nearest")[0].to(torch.uint8)
    stride = choose_stride(velocity)
    knots = max(2, math.ceil(period / int(counts[0]) / stride) + 1)
    positions, rates = ops.integrate(torch.stack((velocity, -velocity)), knots, stride, stride // STEP_FRAMES)
    if period / fps * max(speed, 1) < MIN_SWELL_LOOP:
        swells = ()
    seconds, most = period / fps * speed, period // MIN_CYCLE_FRAMES
    clocks = tuple(sorted({max(1, min(round(seconds / swell.seconds), most)) for swell in swells}))
    return Displacement(
        positions,
        rates,
        sub_cycle,
        tuple(counts.tolist()),
        period,
        cell,
        margin,
        make_stagger(
            counts[sub_cycle.long()] > 1,
            None if open_water is None else canvas.sampled(open_water[None].float(), "nearest")[0] > 0,
            canvas.inside,
            min(size) / cell,
            round(size[1] / cell) if wraps else None,
        ),
        stride,
        None if standing is None else canvas.sampled(standing[None])[0],
        swell=canvas.swell(swells, clocks, seconds),
        swell_cycles=clocks,
        min_ramp=MIN_RAMP * fps,
        wraps=wraps,
    )


class Canvas(NamedTuple):
    """The grid of a displacement over a photo of `size` (H, W): see `Displacement`."""

    size: tuple[int, int]
    grid: tuple[int, int]
    cell: int
    margin: int
    wraps: bool = False

    @property
    def inside(self) -> tuple[slice, slice]:
        """The grid's rows and columns that are in the photo."""
        first = self.margin // self.cell
        return slice(first, first + self.size[0] // self.cell), slice(first, first + self.size[1] // self.cell)

    def velocity(self, flow: Tensor, fps: float) -> Tensor:
        """A flow over the photo, [2,gh,gw], in points of the grid per frame."""
        return self.sampled(in_photo_pixels(flow, self.size)) * (30 / fps / self.cell)

    def swell(self, swells: Sequence[Swell], clocks: Sequence[int], seconds: float) -> Tensor | None:
        """`Displacement.swell` of swells on a flow's grid, each added to the clock that is nearest to its own; None
        without swells. clocks: `Displacement.swell_cycles` of a loop that lasts `seconds` at speed 1."""
        if not swells:
            return None
        total = torch.stack([torch.zeros_like(swells[0].parts)] * len(clocks))
        for swell in swells:
            nearest = np.abs(np.subtract(clocks, round(seconds / swell.seconds))).argmin()
            total[nearest] += swell.parts
        return torch.stack([self.sampled(in_photo_pixels(part, self.size)) for part in total.flatten(0, 1)])

    def sampled(self, field: Tensor, mode: str = "bilinear") -> Tensor:
        """A field [C,h,w] over the photo at the centres of the grid's cells; values are not scaled. If the photo wraps,
        so does the field, brought together at its edges unless the mode is "nearest"."""
        (height, width), columns = self.size, field.shape[2]
        x = ((torch.arange(self.grid[1], device=field.device) + 0.5) * self.cell - self.margin) / width * 2 - 1
        y = ((torch.arange(self.grid[0], device=field.device) + 0.5) * self.cell - self.margin) / height * 2 - 1
        if self.wraps:
            beyond = math.ceil((self.margin + self.cell) / width * columns)
            field = wrapped(field if mode == "nearest" else meeting(field), beyond)
            x = x * (columns / field.shape[2])
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
        return F.grid_sample(field[None], points, mode=mode, padding_mode="border", align_corners=False)[0]


def choose_stride(velocity: Tensor) -> int:
    """Frames between two knots of a loop whose matter moves by velocity [2,gh,gw], points of the grid per frame: slow
    ways are smooth, and a long loop of a slow sky would otherwise have many knots."""
    frames = KNOT_TRAVEL / max(float(velocity.norm(dim=0).nan_to_num(0.0, 0.0, 0.0).max()), 1e-6)
    return int(STEP_FRAMES * (min(max(frames, MIN_STRIDE), MAX_STRIDE) // STEP_FRAMES))


def make_stagger(
    repeats: Tensor, level: Tensor | None, inside: tuple[slice, slice], short: float, around: int | None = None
) -> Tensor | None:
    """How many sub-cycles each place is ahead of the others: [h,w], smooth noise; None where nothing repeats, bool
    [h,w].

    Places that repeat within the loop would otherwise all show the photo at once each time: a whole fall would throb,
    a whole sky start again. All phases are as frequent, and matter is stretched by little where they differ. On open
    water, bool [h,w], they differ from row to row only, as noise would bend the crests of waves. inside: the photo's
    rows and columns. short: its short side in points of the grid. around: after how many of them it wraps.
    """
    if not repeats.any():
        return None
    rows, columns = repeats.shape
    noise = np.random.default_rng(0).standard_normal((rows, around or columns))
    smooth = ndimage.gaussian_filter(noise, STAGGER_SCALE * short, mode=("reflect", "wrap" if around else "reflect"))
    even = 2 * ndtr(smooth / smooth.std()) - 1  # uniform in [-1, 1]
    even = even[:, np.arange(columns) % even.shape[1]]
    if level is not None and level.any():
        parts = connected(level.cpu().numpy(), wraps=bool(around))
        ramps = np.stack([_rising(part[inside], inside[0], rows, short) for part in parts.masks(parts.size > 0)])
        distance, nearest = ndimage.distance_transform_edt(parts.numbers == 0, return_indices=True)
        numbers = np.unique(parts.numbers[tuple(nearest)], return_inverse=True)[1].reshape(rows, columns)
        share = np.clip(1 - distance / ROW_REACH, 0, 1)
        even = even + share * (ramps[numbers, np.arange(rows)[:, None]] - even)
    stagger = torch.from_numpy((MAX_STAGGER * even).astype(np.float32)).to(repeats.device)
    return torch.where(repeats, stagger, 0.0)


def _rising(water: np.ndarray, inside: slice, rows: int, short: float) -> np.ndarray:
    """For each of so many rows a value that rises from -1 above a stretch of water to 1 below it, with its area, or by
    less where it is low. water: bool [h,w], the rows `inside`."""
    area = np.zeros(rows)
    area[inside] = water.sum(1)
    share = (np.cumsum(area) - area / 2) / max(area.sum(), 1)
    rising = ndimage.gaussian_filter1d(2 * share - 1, ROW_SCALE * short, mode="nearest")
    steepest = float(np.diff(rising).max()) * short
    return np.asarray(rising * min(1.0, STEEPEST / max(steepest, 1e-9)))


def count_sub_cycles(
    flow: Tensor, moving: Tensor, period: int, fps: float, sky: Tensor | None = None, wraps: bool = False
) -> Tensor:
    """How many times each place repeats within the loop: int64 [h,w] on the flow's grid, 1 to 8.

    Constant over a connected region of `moving` [H,W] > 0 (static places take that of the nearest region), so that
    neighbouring places that move have the same age. In a sub-cycle the fast tenth of a region travels 6% to 9% of the
    short side, the farther the longer the region is in the direction of its flow; of a region that is mostly
    `sky`, bool [H,W], up to 30%, in six seconds at most.
    """
    velocity = in_photo_pixels(flow, (moving.shape[0], moving.shape[1])).cpu().numpy()
    speed, short = np.hypot(*velocity), min(moving.shape)
    support = moving_points(moving, flow).cpu().numpy()
    # Two grid points of clearance: displacements of different ages must not be interpolated where it moves.
    parts = connected(ndimage.binary_dilation(support, iterations=2), wraps=wraps)
    most = max(1, min(MAX_SUB_CYCLES, int(SUB_CYCLES_PER_SECOND * period / fps)))
    point = moving.shape[0] / flow.shape[1] / short, moving.shape[1] / flow.shape[2] / short  # its height and width
    count = np.ones(parts.count + 1, dtype=np.int64)
    is_sky = np.zeros_like(support) if sky is None else moving_points(sky, flow).cpu().numpy()
    for number in range(1, parts.count + 1):
        here = (parts.numbers == number) & support
        if not here.any():  # it was joined to another
            continue
        travel = np.percentile(speed[here], 90) * period * 30 / fps / short
        if is_sky[here].mean() > 0.5:
            least = max(travel / SKY_TRAVEL, period / fps / SKY_SECONDS)
        else:
            least = travel / np.clip(TRAVEL_OF_EXTENT * _extent(here, velocity, point), MIN_TRAVEL, MAX_TRAVEL)
        count[number] = np.clip(math.ceil(least), 1, most)
    numbers = parts.numbers
    if parts.count:
        nearest = ndimage.distance_transform_edt(numbers == 0, return_distances=False, return_indices=True)
        numbers = numbers[tuple(nearest)]
    return torch.from_numpy(count[numbers]).to(flow.device)


def _extent(here: np.ndarray, velocity: np.ndarray, point: tuple[float, float]) -> float:
    """How long a region [h,w] is in the direction of its flow, in units of `point`, a grid point's height and width."""
    rows, columns = np.nonzero(here)
    x, y = (np.abs(v[here]).mean() for v in velocity)
    across, down = (np.ptp(columns) + 1) * point[1], (np.ptp(rows) + 1) * point[0]
    return float((x * across + y * down) / max(math.hypot(x, y), 1e-9))


def margin_for(
    flow: Tensor, moving: Tensor, period: int, fps: float, sky: Tensor | None = None, wraps: bool = False
) -> int:
    """Pixels that the plate needs around the photo: what the longest sub-cycle brings in over the border.

    A multiple of 16, at least 32; at most a quarter of the short side, beyond which the border is replicated. For a
    photo that wraps, at least an eighth: what is near its edges is judged by what lies beyond them.
    """
    speed = in_photo_pixels(flow, (moving.shape[0], moving.shape[1])).norm(dim=0) * moving_points(moving, flow)
    travel = float((speed / count_sub_cycles(flow, moving, period, fps, sky, wraps)).max()) * period * 30 / fps
    least = max(16, min(moving.shape) / 8) if wraps else 16
    return 16 * math.ceil(min(max(travel, least), min(moving.shape) / 4) / 16) + 16


def in_photo_pixels(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """A flow [2,h,w] in pixels of its own grid, converted to pixels of a photo of `size` (H, W), on the same grid."""
    ratio = torch.tensor([size[1] / flow.shape[2], size[0] / flow.shape[1]], device=flow.device)
    return flow * ratio[:, None, None]


def moving_points(moving: Tensor, flow: Tensor) -> Tensor:
    """Bool [h,w]: which points of the flow's grid hold anything that moves."""
    return F.adaptive_max_pool2d((moving > 0).float()[None, None], flow.shape[1:])[0, 0] > 0
