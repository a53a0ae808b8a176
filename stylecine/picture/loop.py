"""The seamless loop: any frame of it from the photo, the moving plate and the displacement.

Frame t of N shows copy A of the plate, aged t, or copy B, aged t - N, or, during a place's crossfade, a mix of both.
Frame N would show only copy B, unmoved, as frame 0 shows only copy A: the loop has no seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.errors import NothingMoves
from stylecine.movement.waves import standing_share
from stylecine.networks.modulated import REACH
from stylecine.ops.compare import compare
from stylecine.ops.displacement import Displacement, Moment, PhaseMap, swap
from stylecine.ops.image import box_sums, meeting, wrapped
from stylecine.ops.mixing import PHASES, copy_b_share
from stylecine.ops.pyramid import merge, split
from stylecine.ops.recolour import Recolouring, recolour_
from stylecine.ops.render import FINE, Region, composite, moving_region, on_level, render, render_fine
from stylecine.ops.splat import splat
from stylecine.ops.spline import coefficients, write_coefficients
from stylecine.ops.warp_features import channels_last, warp_features
from stylecine.picture.crossfade import crossfade_schedule
from stylecine.picture.light import standing_light

BANDS = 4  # of the Laplacian pyramid, beside its low-pass
FEATHER = 3  # pixels inside what moves over which it fades into what stands still
HALF_PHASES = (0.125, 0.25, 0.375), (0.625, 0.75, 0.875)  # where the copies are compared to choose a half
INPAINTED_PENALTY = 4.0  # factor on the difference of copies that come from inpainted parts of the plate
COMPARED_PIXELS = 16  # of a level: side of the window in which the two copies are compared
MIN_CORRELATION = -0.5  # bands are band-passes: half a wave apart their copies cancel; yet noise must not be amplified
MAX_GAIN = 1.2  # of a copy's contrast
# A cloud's background is the median of its surroundings, of the blurred picture at every fourth point of the grid.
BACKGROUND_WINDOW = 0.35  # of the grid's short side: side of these surroundings
BACKGROUND_BLUR = 0.02  # of the grid's short side: standard deviation of that blur
BACKGROUND_STEP = 4
CLOUD_BLUR = 0.006  # of the grid's short side: finer detail is no cloud
# Variance, over three channels, that the finest band need not have because the dither adds it. A quarter of the whole,
# 1/6 a channel: in a misty sky all of it would hold contrast and slow the steps after the seam, nothing the reverse.
DITHER_VARIANCE = 3 / 24 / 127.5**2
PLATE_WEIGHT = 1e-6  # of the plate under splat copies: it shows in their holes


@dataclass(frozen=True, eq=False)
class Level:
    """One summand of the plate. Levels are upsampled by 2 with [1,3,3,1] and added up."""

    image: Tensor  # [3,ceil(Hc/scale),ceil(Wc/scale)], in [-1,1]
    scale: int  # width of its pixels in canvas pixels, a power of two
    band: bool  # zero-mean: mixed copies of it lose contrast, which a gain restores
    standing: float = 0.0  # how much of it stands, in [0,1], where the displacement has what is standing


@dataclass(frozen=True, eq=False)
class Loop:
    """Everything that frames are made from; built by make_loop, read by frames."""

    photo: Tensor  # uint8 [H,W,3]
    moving: Tensor  # [H,W], feathered inside what moves
    levels: tuple[Level, ...]  # for splatting
    splines: tuple[Tensor, ...]  # the levels' spline coefficients, as ops.render takes them, for gathering
    displacement: Displacement
    angle: Tensor  # [levels,phases,gh,gw]: arc cosine of the correlation of the two copies of each band
    standing_shares: tuple[float, ...]  # of each level: how much of it stands where the displacement says so
    light: Tensor | None  # [h,w,4] over the low-pass, of which it is the part that stands everywhere; see light_planes
    contrast_gain: Tensor  # [levels,2,phases,gh,gw]: gives each copy the contrast of frame 0 at the same place
    crossfade: Tensor  # [2,gh,gw]: when a place changes from copy A to copy B; see crossfade_schedule
    sampling: str
    feature: Tensor | None  # [C,2h,2w] spline coefficients over the canvas, channels last in memory
    feature_region: Region  # the cells of the features that are warped; (0, 0, 0, 0) without features
    resynthesise: Callable[[Tensor, int, int], Tensor] | None


def laplacian_levels(plate: Tensor) -> tuple[Level, ...]:
    """The plate [3,h,w] as zero-mean bands and a low-pass, finest first."""
    images = split(plate, BANDS)
    return tuple(Level(image, 2**i, band=i < BANDS) for i, image in enumerate(images))


@torch.inference_mode()
def make_loop(
    photo: np.ndarray,
    moving: Tensor,
    levels: Sequence[Level],
    displacement: Displacement,
    *,
    fps: float = 30,
    sampling: str = "gather",
    lit: bool = False,
    feature: Tensor | None = None,
    resynthesise: Callable[[Tensor, int, int], Tensor] | None = None,
    whole: Sequence[Level] | None = None,
) -> Loop:
    """Everything that frames() needs.

    photo [H,W,3] uint8; moving [H,W] in [0,1]; levels of the plate, finest first, over the displacement's
    canvas; the plate equals the photo where that moves. `sampling` is "gather" or "splat". lit: whether light stands
    while what moves passes through it; see picture.light.

    With a feature map [C,h,w] over the canvas and a function that makes an RGB image of a part of it, given its first
    row and column, the features are warped and the image made anew for each frame where it moves; levels (of the
    residual) are warped on top. `whole` then has the levels of both together at rest, which decide where copies differ.
    Raises NothingMoves if `moving` is 0 everywhere.
    """
    if not bool((moving > 0).any()):
        raise NothingMoves("Nothing is left that moves; give a mask of what should move, or paint the given one wider.")
    if feature is None and displacement.standing is not None:
        levels = [replace(level, standing=standing_share(level.scale, min(moving.shape))) for level in levels]
    light = _light(levels[-1], moving, displacement) if lit and feature is None else None
    if light is not None:
        levels = [*levels[:-1], replace(levels[-1], image=levels[-1].image - light_planes(light))]
    splines = [_packed_spline(level) for level in levels]
    weights = [_on_canvas(moving, level, displacement) for level in levels]
    phases = dict.fromkeys((*PHASES, *HALF_PHASES[0], *HALF_PHASES[1]))
    sources = {phase: displacement.sources(displacement.uniform(phase)) for phase in phases}
    moments = [_second_moments(*each, displacement, sources) for each in zip(levels, splines, weights, strict=True)]
    halves = [[sources[phase] for phase in half] for half in HALF_PHASES]
    compared = (levels, splines) if whole is None else (whole, [_packed_spline(level) for level in whole])
    difference = torch.stack([_difference(*compared, weights, displacement, half) for half in halves])
    difference *= 1 + INPAINTED_PENALTY * _inpainted_share(moving, displacement, sources)
    deviation = _deviation(compared[0], displacement, sources[0.5])
    difference, deviation = (_joined(each, displacement, moving.shape[1]) for each in (difference, deviation))
    crossfade = crossfade_schedule(difference, displacement.sub_cycle, displacement.lengths, fps, deviation)
    energies = [_static_energy(*each, displacement) for each in zip(levels, weights, strict=True)]
    statistics = [_statistics(*each) for each in zip(levels, moments, energies, strict=True)]
    angle, contrast_gain = (
        _joined(torch.stack(each), displacement, moving.shape[1]) for each in zip(*statistics, strict=True)
    )
    del sources, halves, moments, compared, weights, statistics  # frames that are rendered now need the memory
    gathers = sampling == "gather"
    loop = Loop(
        photo=torch.from_numpy(np.ascontiguousarray(photo)).to(moving.device),
        moving=_feathered(moving),
        levels=() if gathers else tuple(levels),
        splines=tuple(splines) if gathers else (),
        displacement=displacement,
        standing_shares=tuple(level.standing for level in levels),
        light=light,
        angle=angle,
        contrast_gain=contrast_gain,
        crossfade=crossfade,
        sampling=sampling,
        feature=None if feature is None else channels_last(coefficients(feature)),
        feature_region=(0, 0, 0, 0) if feature is None else _feature_region(moving, displacement.margin, feature),
        resynthesise=resynthesise,
    )
    if feature is None:
        _equalize_contrast(loop, [level.band for level in levels])
    return loop


def _light(low_pass: Level, moving: Tensor, displacement: Displacement) -> Tensor:
    """The part of a plate's low-pass that stands as light: [h,w,4]. Water that runs has none: what is smooth in it
    stands already."""
    margin, size = displacement.margin, (moving.shape[0], moving.shape[1])
    calm = low_pass.image.new_ones(low_pass.image.shape[1:])
    if displacement.standing is not None:
        (gh, gw), cell = displacement.sub_cycle.shape, displacement.cell
        region = 0, 0, min(gh * cell, size[0] + 2 * margin), min(gw * cell, size[1] + 2 * margin)
        calm = 1 - on_level(displacement.standing[None], cell=cell, scale=low_pass.scale, region=region)[0]
    seen = _on_canvas(moving, low_pass, displacement) * calm
    light = standing_light(
        low_pass.image, seen, scale=low_pass.scale, margin=margin, size=size, wraps=displacement.wraps
    )
    return light * calm[..., None]


def light_planes(light: Tensor) -> Tensor:
    """A loop's light as [3,h,w]."""
    return light[..., :3].permute(2, 0, 1)


def _equalize_contrast(loop: Loop, bands: Sequence[bool]) -> None:
    """Multiplies the fine contrast that the loop's finished frames lack over all that moves into its gains.

    Where places choose their copy, edges pass less often than the copies' own contrast predicts.
    """
    inside = (loop.moving >= 0.5).float()
    inside_blurred = _blurred(inside).clamp(min=1e-6)
    reference = _fine_contrast(loop.photo, inside, inside_blurred)
    middle = (_frames_at(loop, [loop.displacement.uniform(phase)])[0] for phase in PHASES)
    missing = torch.stack([reference / _fine_contrast(frame, inside, inside_blurred) for frame in middle])
    missing = missing.clamp(1 / MAX_GAIN, MAX_GAIN)[:, None, None]
    is_band = torch.tensor(bands, device=missing.device)[:, None, None, None, None]
    loop.contrast_gain.mul_(torch.where(is_band, missing, 1.0))


def _fine_contrast(frame: Tensor, inside: Tensor, inside_blurred: Tensor) -> Tensor:
    """Standard deviation of a frame [H,W,3] from its surroundings, among the pixels where `inside` [H,W] is 1; plus one
    grey level, as less cannot be seen."""
    grey = frame.sum(-1, dtype=torch.float32).div_(3).mul_(inside)
    fine = grey.sub_(_blurred(grey).div_(inside_blurred)).mul_(inside)
    return (fine.square_().sum() / inside.sum().clamp(min=1) + 1).sqrt()


def _blurred(image: Tensor) -> Tensor:
    """[H,W] convolved with two boxes a direction: about a Gaussian of 4 pixels."""
    for axis in (0, 1, 0, 1):
        image = box_sums(image, 4, axis).div_(9)
    return image


def _packed_spline(level: Level) -> Tensor:
    """Coefficients [2h,2w,4] of a level, with an unused fourth channel; half precision is enough for a band."""
    h, w = level.image.shape[1:]
    packed = level.image.new_zeros((2 * h, 2 * w, 4), dtype=torch.float16 if level.band else torch.float32)
    for c in range(3):
        write_coefficients(level.image[c], packed[..., c])
    return packed


@torch.inference_mode()
def frames(loop: Loop, times: Sequence[float], recolouring: Recolouring | None = None, *, fine: bool = False) -> Tensor:
    """The frames at these times, real numbers taken modulo the period: uint8 [n,H,W,3].

    fine: of 16 bits, without a recolouring: int32 [n,H,W,3] from 0 to 65535. See `ops.render.render_fine`.
    """
    return _frames_at(loop, [loop.displacement.moment(t) for t in times], recolouring, fine=fine)


def _frames_at(
    loop: Loop, moments: Sequence[Moment], recolouring: Recolouring | None = None, *, fine: bool = False
) -> Tensor:
    images = [_resynthesised(loop, moment) for moment in moments]
    if loop.sampling == "splat":
        steps = FINE if fine else 1
        plain = torch.stack([_splat(loop, moment, image, steps) for moment, image in zip(moments, images, strict=True)])
        return plain if recolouring is None else recolour_(plain, recolouring)
    return (render_fine if fine else render)(
        loop.photo,
        loop.moving,
        loop.splines,
        loop.displacement,
        moments,
        loop.angle,
        loop.contrast_gain,
        loop.crossfade,
        standing_shares=loop.standing_shares,
        light=loop.light,
        generated=None if images[0] is None else torch.stack([image for image in images if image is not None]),
        recolouring=recolouring,
    )


def _on_canvas(moving: Tensor, level: Level, displacement: Displacement) -> Tensor:
    """How much moves at each pixel of a level; `moving` is replicated past the photo's border."""
    padded = _extended(moving, displacement, "replicate")
    return F.interpolate(padded, size=tuple(level.image.shape[1:]), mode="area")[0, 0]


def _extended(moving: Tensor, displacement: Displacement, beyond: str) -> Tensor:
    """What moves in the photo [H,W] over the canvas, [1,1,Hc,Wc]. beyond: as F.pad's mode, unless the photo wraps."""
    margin, side = displacement.margin, displacement.margin
    if displacement.wraps:
        moving, side = wrapped(moving, margin), 0
    return F.pad(moving[None, None], (side, side, margin, margin), mode=beyond)


def _joined(fields: Tensor, displacement: Displacement, width: int) -> Tensor:
    """Fields [...,gh,gw] over the canvas of a photo so wide, periodic if that wraps."""
    if not displacement.wraps:
        return fields
    first, around = displacement.margin // displacement.cell, round(width / displacement.cell)
    columns = (torch.arange(fields.shape[-1], device=fields.device) - first) % around
    return meeting(fields[..., first : first + around])[..., columns]


def _second_moments(
    level: Level, spline: Tensor, weight: Tensor, displacement: Displacement, sources: Mapping[float, Tensor]
) -> Tensor:
    """Local means of a*a, b*b and a*b for the two copies of a level at each of PHASES: [phases,3,gh,gw]; see
    ops.compare. sources: those of every place at these phases."""
    side = COMPARED_PIXELS // 2
    products = (_products(level, spline, weight, displacement, sources[phase], side) for phase in PHASES)
    return torch.stack([_local_means(x, side * level.scale, displacement) for x in products])


def _products(
    level: Level, spline: Tensor, weight: Tensor, displacement: Displacement, sources: Tensor, side: int
) -> Tensor:
    """ops.compare of the copies that the loop reads at `sources` [4,gh,gw]."""
    (gh, gw), cell = displacement.sub_cycle.shape, displacement.cell
    sources = _of_level(level, sources, displacement)
    coarse = level.scale > cell  # each of its pixels holds several grid points
    if coarse:
        sources = on_level(sources, cell=cell, scale=level.scale, region=(0, 0, gh * cell, gw * cell))
    ratio = 1 if coarse else cell // level.scale
    return compare(spline, sources, weight, ratio=ratio, per_pixel=1 / level.scale, side=side)


def _of_level(level: Level, ways: Tensor, displacement: Displacement) -> Tensor:
    """Sources or targets [4,gh,gw] as a level has them: shorter where a part of it stands."""
    return ways if displacement.standing is None else ways * (1 - level.standing * displacement.standing)


def _difference(
    levels: Sequence[Level],
    splines: Sequence[Tensor],
    weights: Sequence[Tensor],
    displacement: Displacement,
    moments: Sequence[Tensor],
) -> Tensor:
    """Mean square difference of the copies at each place over these sources, without the finest level: [gh,gw]."""
    total = torch.zeros_like(displacement.sub_cycle, dtype=torch.float32)
    for level, spline, weight in list(zip(levels, splines, weights, strict=True))[-max(1, len(levels) - 1) :]:
        side = max(1, displacement.cell // level.scale)
        for sources in moments:
            aa, bb, ab = _products(level, spline, weight, displacement, sources, side)
            square = (aa + bb - 2 * ab).clamp(min=0)
            total += _on_grid(square[None], side * level.scale, displacement)[0]
    return total


def _deviation(levels: Sequence[Level], displacement: Displacement, sources: Tensor) -> Tensor:
    """How much each copy's brightness, of what is larger than a few grid points, differs from the background, which is
    what most of its surroundings have: [2,gh,gw], in [-1,1]; sources: [4,gh,gw]."""
    (gh, gw), cell = displacement.sub_cycle.shape, displacement.cell
    finest = min(cell.bit_length(), len(levels)) - 1  # its pixels are cells, or as near as there are
    picture = merge([level.image for level in levels[finest:]]).mean(0)[None, None]
    picture = F.avg_pool2d(picture, cell >> finest, ceil_mode=True)[0, 0]
    short, grey = min(gh, gw), picture.cpu().numpy()
    few = ndimage.gaussian_filter(grey, BACKGROUND_BLUR * short)[::BACKGROUND_STEP, ::BACKGROUND_STEP]
    few = ndimage.median_filter(few, max(3, int(BACKGROUND_WINDOW * short / BACKGROUND_STEP) | 1), mode="nearest")
    background = F.interpolate(torch.from_numpy(few)[None, None], (gh, gw), mode="bilinear", align_corners=False)[0, 0]
    smooth = torch.from_numpy(ndimage.gaussian_filter(grey, CLOUD_BLUR * short))
    return _read_copies((smooth - background).abs().to(sources.device), sources, cell, "border")


def _static_energy(level: Level, weight: Tensor, displacement: Displacement) -> Tensor:
    """Local mean square of a level in frame 0, less what the dither adds: [gh,gw]."""
    side = COMPARED_PIXELS // 2
    blocks = F.avg_pool2d((level.image.square().sum(0) * weight)[None], side, ceil_mode=True)
    [energy] = _local_means(blocks, side * level.scale, displacement)
    return energy if level.scale > 1 else (energy - DITHER_VARIANCE).clamp(min=0)


def _statistics(level: Level, moments: Tensor, static_energy: Tensor) -> tuple[Tensor, Tensor]:
    """Angle [phases,gh,gw] and contrast gain [2,phases,gh,gw] of a level around each place at each of PHASES.

    angle: arc cosine of the correlation of the two copies, that is of the band's local autocorrelation at the vector
    between their sources; 0 for a level that is no band.
    gain: contrast of frame 0 at the place over that of each copy, within limits: foam stays where water breaks,
    whatever flows in.
    """
    angle = moments.new_zeros(len(PHASES), *static_energy.shape)
    gain = torch.ones_like(angle).expand(2, -1, -1, -1).clone()
    if not level.band:
        return angle, gain
    for i, (aa, bb, ab) in enumerate(moments):
        angle[i] = (ab / (aa * bb).sqrt()).clamp(MIN_CORRELATION, 1).acos()
        gain[:, i] = (static_energy / moments[i, :2]).sqrt().clamp(1 / MAX_GAIN, MAX_GAIN)
    return angle, gain


def _inpainted_share(moving: Tensor, displacement: Displacement, sources: Mapping[float, Tensor]) -> Tensor:
    """How much of what a place would show is inpainted, from past the photo's border or behind static things:
    [2,gh,gw] in [0,1], of copy B if it crossfades in the first half of its sub-cycle, of copy A if in the second."""
    (gh, gw), cell = displacement.sub_cycle.shape, displacement.cell
    seen = _extended((moving > 0).float(), displacement, "constant")
    seen = F.pad(seen, (0, gw * cell - seen.shape[3], 0, gh * cell - seen.shape[2]))
    seen = F.avg_pool2d(seen, cell)[0, 0]
    genuine = torch.stack([_read_copies(seen, sources[phase], cell, "zeros") for phase in PHASES]).mean(0)
    return 1 - genuine.flip(0)


def _read_copies(field: Tensor, sources: Tensor, cell: int, beyond: str) -> Tensor:
    """A field [gh,gw] where copy A and copy B are read, at `sources` [4,gh,gw]: [2,gh,gw]. beyond: zeros or border."""
    gh, gw = field.shape
    y, x = torch.meshgrid(*(torch.arange(n, device=field.device) + 0.5 for n in (gh, gw)), indexing="ij")
    a, b = (
        F.grid_sample(
            field[None, None],
            torch.stack(((x + dx) / gw, (y + dy) / gh), -1)[None] * 2 - 1,
            padding_mode=beyond,
            align_corners=False,
        )[0, 0]
        for dx, dy in sources.view(2, 2, gh, gw) / cell
    )
    return torch.stack((a, b))


def _local_means(blocks: Tensor, side: int, displacement: Displacement) -> Tensor:
    """Means over COMPARED_PIXELS of a level from its blocks [n,a,b], `side` canvas pixels wide: [n,gh,gw], above 0."""
    means = F.avg_pool2d(blocks[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return _on_grid(means, side, displacement) + 1e-9


def _on_grid(blocks: Tensor, side: int, displacement: Displacement) -> Tensor:
    """Blocks [n,a,b], each `side` canvas pixels wide, at the points of the grid: [n,gh,gw]."""
    (rows, columns), points = displacement.sub_cycle.shape, side / displacement.cell
    extra = math.ceil(1 / points) - 1  # blocks that the last grid point needs where it is wider than they are
    padded = F.pad(blocks[None], (0, extra, 0, extra), mode="replicate")
    if points != 1:
        padded = F.interpolate(padded, scale_factor=points, mode="bilinear", align_corners=False)
    return padded[0, :, :rows, :columns]


def _feathered(moving: Tensor) -> Tensor:
    """`moving` [H,W] faded to 0 over the outermost pixels inside what moves, unchanged elsewhere."""
    inside = (moving > 0).float()
    for axis in (0, 1):
        inside = box_sums(inside, FEATHER, axis, replicate=True)
    inside = 2 * (inside / (2 * FEATHER + 1) ** 2) - 1
    return moving * inside.clamp(0, 1)


def _splat(loop: Loop, moment: Moment, generated: Tensor | None, steps: int) -> Tensor:
    """The frame with all levels splat and added up. steps: as `composite` takes them."""
    displacement = loop.displacement
    places = displacement.phase_map(moment)
    targets, mixing = displacement.targets(moment, places), copy_shares(loop, places)
    levels = [
        splat_level(loop, level, angle[1:2].cos(), targets, mixing)  # half way, at PHASES[1]
        for level, angle in zip(loop.levels, loop.angle, strict=True)
    ]
    if loop.light is not None:
        levels[-1] = levels[-1] + light_planes(loop.light)
    moved = merge(levels) if generated is None else merge(levels) + generated
    region = 0, 0, *moved.shape[1:]
    return composite(loop.photo, loop.moving, moved, margin=displacement.margin, region=region, steps=steps)


def copy_shares(loop: Loop, phase_map: PhaseMap) -> Tensor:
    """Shares of copy A and of copy B at each place: [2,gh,gw]."""
    phase, swapped = phase_map
    share = copy_b_share(phase, loop.crossfade)
    return swap(torch.cat((1 - share, share)), swapped)


def splat_level(loop: Loop, level: Level, correlation: Tensor, targets: Tensor, mixing: Tensor) -> Tensor:
    """A level of any channels splat as published: copies summed, divided by their weights, plate in holes.

    correlation [1,gh,gw], targets [4,gh,gw], mixing [2,gh,gw] on the displacement's grid. -> the level's size
    """
    displacement = loop.displacement
    h, w = level.image.shape[1:]
    gh, gw = displacement.sub_cycle.shape
    canvas = 0, 0, gh * displacement.cell, gw * displacement.cell
    targets = _of_level(level, targets, displacement)
    fields = torch.cat((targets / level.scale, mixing, correlation))
    fields = on_level(fields, cell=displacement.cell, scale=level.scale, region=canvas)[:, :h, :w]
    to, weights = fields[:4].view(2, 2, h, w), fields[4:6] * _on_canvas(loop.moving, level, displacement)
    mixed, (a, b) = splat(level.image, to, weights, plate=PLATE_WEIGHT, deterministic=True)
    if not level.band:
        return mixed
    variance = a * a + b * b + 2 * a * b * fields[6] + (1 - a - b)
    return mixed * variance.clamp(min=0.25).rsqrt()


def _resynthesised(loop: Loop, moment: Moment) -> Tensor | None:
    """The image [3,Hc,Wc] over the canvas that the generator makes of the warped features, if there are any: around
    what moves, 0 elsewhere."""
    if loop.feature is None or loop.resynthesise is None:
        return None
    displacement, (top, left, bottom, right) = loop.displacement, loop.feature_region
    height, width = (n + 2 * displacement.margin for n in loop.photo.shape[:2])
    scale = _feature_scale(height, loop.feature.shape[1] // 2)  # there are twice as many coefficients
    region = top * scale, left * scale, bottom * scale, right * scale
    places = displacement.phase_map(moment)
    fields = torch.cat((displacement.sources(moment, places) / scale, copy_shares(loop, places)))
    fields = on_level(fields, cell=displacement.cell, scale=scale, region=region)
    fields[0:4:2] += left
    fields[1:4:2] += top
    image = loop.resynthesise(warp_features(loop.feature, fields[:4], fields[4:]), top, left)
    generated = image.new_zeros(3, height, width)
    part = generated[:, region[0] : region[2], region[1] : region[3]]
    torch.clamp(image[:, : part.shape[1], : part.shape[2]], -1, 1, out=part)  # as in the residual
    return generated


def _feature_scale(height: int, cells: int) -> int:
    """Width of a cell of the features in canvas pixels, a power of two, from the heights of both."""
    return 1 << round(math.log2(height / cells))


def _feature_region(moving: Tensor, margin: int, feature: Tensor) -> Region:
    """The cells of the features [C,h,w] on which the image where it moves depends."""
    rows, columns = feature.shape[1:]
    scale = _feature_scale(moving.shape[0] + 2 * margin, rows)
    y0, x0, y1, x1 = moving_region(moving, margin, scale)
    more = REACH - 1  # the region has one already
    top, left, bottom, right = y0 // scale - more, x0 // scale - more, -(-y1 // scale) + more, -(-x1 // scale) + more
    return max(top, 0), max(left, 0), min(bottom, rows), min(right, columns)
