"""The seamless loop: any frame of it from the photo, the moving plate and the displacement.

Frame t of N shows copy A of the plate, aged t, or copy B, aged t - N, or, while a place changes from A to B, their
mix. Frame N would show copy B alone and unmoved, as frame 0 shows copy A: the loop has no seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.errors import NothingMoves
from stylecine.ops.compare import compare
from stylecine.ops.mixing import PHASES, share_of
from stylecine.ops.pyramid import merge, split
from stylecine.ops.render import composite, on_level, render
from stylecine.ops.splat import splat
from stylecine.ops.spline import coefficients
from stylecine.ops.warp_features import channels_last, warp_features
from stylecine.stages.crossfade import changeover

BANDS = 4
FEATHER = 3  # pixels
HALVES = (0.125, 0.25, 0.375), (0.625, 0.75, 0.875)  # of a turn: where copies are compared to choose between the two
INPAINTED_PENALTY = 4.0  # factor on the difference of copies that come from inpainted parts of the plate
WINDOW = 16  # pixels of a level over which the two copies are compared
LEAST_ALIKE = -0.5  # bands are band-passes: half a wave apart their copies cancel; yet noise is not to be blown up
MOST_LIFT = 1.2
# Variance of three channels that the finest band need not have because the dither brings it. A quarter of the whole,
# 1/6 a channel: in a misty sky all of it would hold contrast and slow the steps after the seam, nothing the reverse.
GRAIN = 3 / 24 / 127.5**2
HOLE = 1e-6  # weight of the plate under splat copies


class Displacement(Protocol):
    """What a loop asks of a displacement over the canvas (stylecine.stages.displacement makes them).

    Fields are on a grid [gh,gw] with a point in the middle of every cell*cell canvas pixels; the canvas is the photo
    with `margin` pixels around it. `phases` are parts of a turn in [0,1), one for each of `counts`.
    """

    @property
    def cell(self) -> int: ...
    @property
    def margin(self) -> int: ...
    @property
    def positions(self) -> Tensor: ...  # [knots,2,2,gh,gw]: along the flow and against it; see ops.render
    @property
    def rates(self) -> Tensor: ...
    @property
    def stride(self) -> float: ...  # frames between two knots
    @property
    def turn(self) -> Tensor: ...  # uint8 [gh,gw]: which of `lengths` a place has
    @property
    def lengths(self) -> tuple[float, ...]: ...  # of a turn, in frames

    @property
    def roll(self) -> Tensor | None: ...  # [2,2,gh,gw] canvas pixels: see ops.render
    @property
    def cycles(self) -> int: ...  # of it in the loop

    def phases(self, t: float) -> tuple[float, ...]: ...
    def swing(self, t: float) -> tuple[float, float]: ...  # of the roll
    def passed(self, phases: Sequence[float]) -> Tensor: ...  # of each place's turn, [1,gh,gw]
    # of copies A and B, [4,gh,gw] canvas pixels, and the same for splatting
    def sources(self, phases: Sequence[float], swing: tuple[float, float] = ...) -> Tensor: ...
    def targets(self, phases: Sequence[float], swing: tuple[float, float] = ...) -> Tensor: ...


@dataclass(frozen=True)
class Level:
    """One summand of the plate. Levels are upsampled by 2 with [1,3,3,1] and added up."""

    image: Tensor  # [3,ceil(Hc/scale),ceil(Wc/scale)], in [-1,1]
    scale: int  # width of its pixels in canvas pixels, a power of two
    band: bool  # zero-mean: copies of it lose contrast when mixed, which a gain gives back


@dataclass(frozen=True)
class Loop:
    """All that the frames are made from; built by make_loop, read by frame."""

    photo: Tensor  # uint8 [H,W,3]
    moving: Tensor  # [H,W], feathered inside what moves
    levels: tuple[Level, ...]  # for splatting
    splines: tuple[Tensor, ...]  # the levels' spline coefficients, as ops.render wants them, for gathering
    displacement: Displacement
    angle: Tensor  # [levels,phases,gh,gw]: arc cosine of the correlation of the two copies of each band
    lift: Tensor  # [levels,2,phases,gh,gw]: what gives each the contrast that frame 0 has at the same place
    change: Tensor  # [2,gh,gw]: when a place changes from one to the other; see changeover
    sampling: str
    feature: Tensor | None  # [C,2h,2w] spline coefficients over the canvas, channels last in memory
    resynthesise: Callable[[Tensor], Tensor] | None


def laplacian_levels(plate: Tensor, bands: int = BANDS) -> tuple[Level, ...]:
    """The plate [3,h,w] as zero-mean bands and a low-pass, finest first."""
    images = split(plate, bands)
    return tuple(Level(image, 2**i, band=i < bands) for i, image in enumerate(images))


@torch.inference_mode()
def make_loop(
    photo: np.ndarray,
    moving: Tensor,
    levels: Sequence[Level],
    displacement: Displacement,
    *,
    fps: float = 30,
    sampling: str = "gather",
    feature: Tensor | None = None,
    resynthesise: Callable[[Tensor], Tensor] | None = None,
) -> Loop:
    """Everything that frame() needs.

    photo [H,W,3] uint8; moving [H,W] in [0,1]; levels of the plate, finest first, over the displacement's
    canvas; the plate equals the photo where that moves. `sampling` is "gather" or "splat".

    With a feature map [C,h,w] over the canvas and a function that makes an RGB canvas [3,Hc,Wc] of it, the
    features are warped and the image made anew for each frame; levels (of the residual) are warped on top.
    Raises NothingMoves if `moving` is 0 everywhere.
    """
    if not bool((moving > 0).any()):
        raise NothingMoves("Nothing is left that moves; give a mask of what should move, or paint the given one wider.")
    splines = [_packed(coefficients(level.image), level.band) for level in levels]
    weights = [_on_canvas(moving, level, displacement.margin) for level in levels]
    likeness = [_compared(*each, displacement) for each in zip(levels, splines, weights, strict=True)]
    unlike = torch.stack([_unlike(levels, splines, weights, displacement, phases) for phases in HALVES])
    unlike *= 1 + INPAINTED_PENALTY * _made_up(moving, displacement)
    change = changeover(unlike, displacement.turn, displacement.lengths, fps)
    still = [_energy(*each, displacement) for each in zip(levels, weights, strict=True)]
    statistics = [_statistics(*each) for each in zip(levels, likeness, still, strict=True)]
    gathers = sampling == "gather"
    loop = Loop(
        photo=torch.from_numpy(np.ascontiguousarray(photo)).to(moving.device),
        moving=_feathered(moving),
        levels=() if gathers else tuple(levels),
        splines=tuple(splines) if gathers else (),
        displacement=displacement,
        angle=torch.stack([angle for angle, _ in statistics]),
        lift=torch.stack([lift for _, lift in statistics]),
        change=change,
        sampling=sampling,
        feature=None if feature is None else channels_last(coefficients(feature)),
        resynthesise=resynthesise,
    )
    return loop if feature is not None else _evened(loop, [level.band for level in levels])


def _evened(loop: Loop, bands: Sequence[bool]) -> Loop:
    """The loop with what its finished frames lack in fine contrast, over all that moves, added to the bands' lifts.

    Where places choose their copy, edges pass less often than the copies' own contrast says.
    """
    inside, count = (loop.moving >= 0.5).float(), len(loop.displacement.lengths)
    around = _blurred(inside).clamp(min=1e-6)
    whole = _fine_contrast(loop.photo, inside, around)
    frames = (_frame_of(loop, (phase,) * count, (0.0, 0.0)) for phase in PHASES)
    lacks = torch.stack([whole / _fine_contrast(frame, inside, around) for frame in frames])
    of_bands = torch.tensor(bands, device=lacks.device)[:, None, None, None, None]
    lacks = lacks.clamp(1 / MOST_LIFT, MOST_LIFT)[:, None, None]
    return replace(loop, lift=torch.where(of_bands, loop.lift * lacks, loop.lift))


def _fine_contrast(frame: Tensor, inside: Tensor, around: Tensor) -> Tensor:
    """Standard deviation of a frame [H,W,3] from its surroundings among the pixels where `inside` [H,W], of which
    `around` is the blurred, is 1; a level is added, as less is not seen."""
    grey = frame.float().mean(-1) * inside
    fine = (grey - _blurred(grey) / around) * inside
    return (fine.square().sum() / inside.sum().clamp(min=1) + 1).sqrt()


def _blurred(image: Tensor) -> Tensor:
    """[H,W], about as a Gaussian of 4 pixels does it: two boxes."""
    for size in ((9, 1), (1, 9), (9, 1), (1, 9)):
        image = F.avg_pool2d(image[None], size, 1, (size[0] // 2, size[1] // 2))[0]
    return image


def _packed(spline: Tensor, band: bool) -> Tensor:
    """Coefficients [3,h,w] with the channels last and a fourth, [h,w,4]; half as many bits do for a band."""
    return F.pad(spline, (0, 0, 0, 0, 0, 1)).permute(1, 2, 0).to(torch.float16 if band else torch.float32).contiguous()


@torch.inference_mode()
def frame(loop: Loop, t: float) -> Tensor:
    """Frame t, any real number taken modulo the period: uint8 [H,W,3]."""
    return _frame_of(loop, loop.displacement.phases(t), loop.displacement.swing(t))


def _frame_of(loop: Loop, phases: Sequence[float], swing: tuple[float, float]) -> Tensor:
    """The frame when these parts of the turns have passed and the roll stands like this."""
    displacement = loop.displacement
    base = _resynthesised(loop, phases, swing)
    if loop.sampling == "splat":
        return _splat(loop, phases, swing, base)
    return render(
        loop.photo,
        loop.moving,
        loop.splines,
        displacement.positions,
        displacement.rates,
        displacement.turn,
        loop.angle,
        loop.lift,
        loop.change,
        stride=displacement.stride,
        lengths=displacement.lengths,
        phases=phases,
        cell=displacement.cell,
        margin=displacement.margin,
        roll=displacement.roll,
        swing=swing,
        base=base,
    )


def _on_canvas(moving: Tensor, level: Level, margin: int) -> Tensor:
    """How much moves at each pixel of a level; past the photo's border what does at it."""
    wide = F.pad(moving[None, None], (margin,) * 4, mode="replicate")
    return F.interpolate(wide, size=tuple(level.image.shape[1:]), mode="area")[0, 0]


def _compared(level: Level, spline: Tensor, weight: Tensor, displacement: Displacement) -> Tensor:
    """Means around each place of what two copies of a level show at each of PHASES, squared and multiplied by each
    other, where it moves: [phases,3,gh,gw]; see ops.compare."""
    side = WINDOW // 2
    products = [_products(level, spline, weight, displacement, phase, side) for phase in PHASES]
    grid = displacement.turn.shape[0], displacement.turn.shape[1]
    return torch.stack([_local_means(x, side=side * level.scale / displacement.cell, grid=grid) for x in products])


def _products(
    level: Level, spline: Tensor, weight: Tensor, displacement: Displacement, phase: float, side: int
) -> Tensor:
    """ops.compare of the copies that the loop shows when `phase` of every turn has passed."""
    (gh, gw), cell = displacement.turn.shape, displacement.cell
    places = displacement.sources([phase] * len(displacement.lengths))
    wide = level.scale > cell  # of its pixels each holds several places
    if wide:
        places = on_level(places, cell=cell, scale=level.scale, region=(0, 0, gh * cell, gw * cell))
    ratio = 1 if wide else cell // level.scale
    return compare(spline, places, weight, ratio=ratio, per_pixel=1 / level.scale, side=side)


def _unlike(
    levels: Sequence[Level],
    splines: Sequence[Tensor],
    weights: Sequence[Tensor],
    displacement: Displacement,
    phases: Sequence[float],
) -> Tensor:
    """Mean square difference of the copies at each place, over these phases, of all but the finest level: [gh,gw]."""
    grid, cell = (displacement.turn.shape[0], displacement.turn.shape[1]), displacement.cell
    total = torch.zeros(grid, device=displacement.turn.device)
    for level, spline, weight in list(zip(levels, splines, weights, strict=True))[-max(1, len(levels) - 1) :]:
        side = max(1, cell // level.scale)
        for phase in phases:
            first, second, both = _products(level, spline, weight, displacement, phase, side)
            unlike = (first + second - 2 * both).clamp(min=0)
            total += _on_grid(unlike[None], side=side * level.scale / cell, grid=grid)[0]
    return total


def _energy(level: Level, weight: Tensor, displacement: Displacement) -> Tensor:
    """The same mean of what frame 0 shows, less what the dither brings: [gh,gw]."""
    gh, gw = displacement.turn.shape
    side = WINDOW // 2
    blocks = F.avg_pool2d((level.image.square().sum(0) * weight)[None], side, ceil_mode=True)
    [energy] = _local_means(blocks, side=side * level.scale / displacement.cell, grid=(gh, gw))
    return energy if level.scale > 1 else (energy - GRAIN).clamp(min=0)


def _statistics(level: Level, likeness: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
    """Angle [phases,gh,gw] and lift [2,phases,gh,gw] of a level around each place at each of PHASES.

    angle: arc cosine of the correlation of what the two copies show, that is of the band's local autocorrelation at
    the vector between their sources; 0 for a level that is no band.
    lift: contrast of frame 0 there over that of each copy, within limits: foam stays where water breaks, whatever
    flows in.
    """
    angle = likeness.new_zeros(len(PHASES), *still.shape)
    lift = torch.ones_like(angle).expand(2, -1, -1, -1).clone()
    if not level.band:
        return angle, lift
    for i, (first, second, both) in enumerate(likeness):
        angle[i] = (both / (first * second).sqrt()).clamp(LEAST_ALIKE, 1).acos()
        lift[:, i] = (still / likeness[i, :2]).sqrt().clamp(1 / MOST_LIFT, MOST_LIFT)
    return angle, lift


def _made_up(moving: Tensor, displacement: Displacement) -> Tensor:
    """How much of what a place would show comes from past the photo's border or from behind what stands still:
    [2,gh,gw], in [0,1], of copy B if it changes in the first half of its turn, of copy A if in the second."""
    (gh, gw), cell = displacement.turn.shape, displacement.cell
    seen = F.pad((moving > 0).float()[None, None], (displacement.margin,) * 4)
    seen = F.pad(seen, (0, gw * cell - seen.shape[3], 0, gh * cell - seen.shape[2]))
    seen = F.avg_pool2d(seen, cell)
    y, x = torch.meshgrid(*(torch.arange(n, device=moving.device) + 0.5 for n in (gh, gw)), indexing="ij")
    shown = torch.zeros(2, gh, gw, device=moving.device)
    for phase in PHASES:
        a, b = displacement.sources([phase] * len(displacement.lengths)).view(2, 2, gh, gw) / cell
        for i, source in enumerate((b, a)):
            places = torch.stack(((x + source[0]) / gw, (y + source[1]) / gh), -1) * 2 - 1
            shown[i] += F.grid_sample(seen, places[None], align_corners=False)[0, 0] / len(PHASES)
    return 1 - shown


def _local_means(blocks: Tensor, *, side: float, grid: tuple[int, int]) -> Tensor:
    """Means within WINDOW pixels of a level, of those of its blocks [n,a,b], `side` places wide: [n,gh,gw], above 0."""
    means = F.avg_pool2d(blocks[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return _on_grid(means, side=side, grid=grid) + 1e-9


def _on_grid(blocks: Tensor, *, side: float, grid: tuple[int, int]) -> Tensor:
    """Blocks [n,a,b], `side` places wide, at the places of the grid: [n,gh,gw]."""
    lacking = math.ceil(1 / side) - 1  # of the blocks that a last place would need where it is wider than they are
    wide = F.pad(blocks[None], (0, lacking, 0, lacking), mode="replicate")
    if side != 1:
        wide = F.interpolate(wide, scale_factor=side, mode="bilinear", align_corners=False)
    return wide[0, :, : grid[0], : grid[1]]


def _feathered(moving: Tensor) -> Tensor:
    """`moving` [H,W] let down to 0 over the last pixels inside what moves, and nowhere else changed."""
    support = (moving > 0).float()[None, None]
    padded = F.pad(support, (FEATHER,) * 4, mode="replicate")
    inside = 2 * F.avg_pool2d(padded, 2 * FEATHER + 1, stride=1)[0, 0] - 1
    return moving * inside.clamp(0, 1)


def _splat(loop: Loop, phases: Sequence[float], swing: tuple[float, float], base: Tensor | None) -> Tensor:
    """The frame with all levels splat and added up."""
    displacement = loop.displacement
    share = share_of(displacement.passed(phases), loop.change)
    targets, mixing = displacement.targets(phases, swing), torch.cat((1 - share, share))
    half_way = PHASES.index(0.5)
    levels = [
        splat_level(loop, level, angle[half_way : half_way + 1].cos(), targets, mixing)
        for level, angle in zip(loop.levels, loop.angle, strict=True)
    ]
    moved = merge(levels) if base is None else merge(levels) + base
    whole = 0, 0, *moved.shape[1:]
    return composite(loop.photo, loop.moving, moved, margin=displacement.margin, region=whole)


def splat_level(loop: Loop, level: Level, alike: Tensor, targets: Tensor, mixing: Tensor) -> Tensor:
    """A level of any channels splat as published: copies summed, divided by their weights, plate in holes.

    alike [1,gh,gw], targets [4,gh,gw], mixing [2,gh,gw] on the displacement's grid. -> the level's size
    """
    displacement = loop.displacement
    h, w = level.image.shape[1:]
    gh, gw = displacement.turn.shape
    canvas = 0, 0, gh * displacement.cell, gw * displacement.cell
    fields = torch.cat((targets / level.scale, mixing, alike))
    fields = on_level(fields, cell=displacement.cell, scale=level.scale, region=canvas)[:, :h, :w]
    flowing = F.pad(loop.moving[None, None], (displacement.margin,) * 4, mode="replicate")
    flowing = F.interpolate(flowing, size=(h, w), mode="area")[0, 0]
    to, counting = fields[:4].view(2, 2, h, w), fields[4:6] * flowing
    mixed, (a, b) = splat(level.image, to, counting, plate=HOLE, deterministic=True)
    if not level.band:
        return mixed
    spread = a * a + b * b + 2 * a * b * fields[6] + (1 - a - b)
    return mixed * spread.clamp(min=0.25).rsqrt()


def _resynthesised(loop: Loop, phases: Sequence[float], swing: tuple[float, float]) -> Tensor | None:
    """The image [3,Hc,Wc] over the canvas that is made from the warped features, if there are any."""
    if loop.feature is None or loop.resynthesise is None:
        return None
    displacement = loop.displacement
    h, w = (n // 2 for n in loop.feature.shape[1:])  # coefficients are of twice the size
    height = loop.photo.shape[0] + 2 * displacement.margin
    scale = 2 ** round(float(np.log2(height / h)))
    gh, gw = displacement.turn.shape
    canvas = 0, 0, gh * displacement.cell, gw * displacement.cell
    share = share_of(displacement.passed(phases), loop.change)
    fields = torch.cat((displacement.sources(phases, swing) / scale, 1 - share, share))
    fields = on_level(fields, cell=displacement.cell, scale=scale, region=canvas)[:, :h, :w]
    return loop.resynthesise(warp_features(loop.feature, fields[:4], fields[4:]))
