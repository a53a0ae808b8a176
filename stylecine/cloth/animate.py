"""Cloth in the wind: from its rest shape to the displacement and brightness fields of one gust.

Follows "Blowing in the Wind: CycleNet for Human Cinemagraphs from Still Images" (Bertiche et al., CVPR 2023) in working
on surface normals, in which simulated cloth and photographs look alike. Colours are not synthesised, however: the
photo's own are displaced, and multiplied by the ratio of the moved surface's brightness to the resting one's.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cloth.flutter import POWER, Propagation, estimate_propagation, flutter
from stylecine.cloth.lighting import shade
from stylecine.cloth.rest_shape import SIDE, ClothNets, RestShape, Surface, mirror_normals
from stylecine.errors import NothingMoves
from stylecine.ops.drape import TILE
from stylecine.ops.image import blur, dilate, push_pull
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import CLOTH, Wind
from stylecine.picture.overlay import Overlay, PaceHarmonics, periodic_weights

KEYFRAMES = 16  # phases of a gust at which fields are stored: waves of up to half as many cycles
MAX_DISPLACEMENT = 0.08  # of the crop's side
MAX_GRADIENT = 0.8  # of the displacement, pixel to pixel: at 1 the cloth would fold over itself
MAX_OVERHANG = 0.018  # of the long side: how far the cloth may leave its outline
MAX_REACH = 1.6  # in overhangs, from the outline: cloth that the mask missed moves less, and nothing beyond moves
DEFLECTION = (0.15, 0.5)  # of the predicted displacement: where the cloth is attached, and more at the free end
DEFLECTION_SHARE = 0.5  # of the displacement that is allowed; the rest is the flutter's
DEFLECTION_DELAY = 0.06  # of a gust: the wind arrives later at the far end of the cloth
SATURATION = 1.5  # of the displacement in a strengthening wind: half of the strength moves cloth 0.7 times as far
REST_DISTANCE = 2.5  # in displacements: over this distance the motion fades towards obstacles
PREVIEW_DIRECTIONS = 12  # of the wind, between which previews interpolate
GUSTINESS = 0.2  # by how much the strongest of a loop's gusts is stronger than the mean, and faster
INVERSION_ITERATIONS = 10  # at most
INVERSION_ERROR, PREVIEW_ERROR = 2e-3, 0.05  # pixels by which the last iteration may change a displacement
VISIBLE_CHANGE = 2  # levels of 255
VISIBLE_SHARE = 0.02  # of the cloth must change visibly; even a wind of 0.02 changes 0.29 or more
# The pace of a gust is found by trials, each of which measures how much some of the gust's frames change.
PACE_WAVES = 3  # harmonics that the pace consists of
PACE_TRIALS = 4
PACE_STEPS, PACE_SAMPLES = 60, 20  # frames of a gust, and how many of the steps between them are measured
PACE_TILES = 256  # of the cloth, in which they are measured
PACE_GAIN = 1.4  # of a trial's correction, relative to the measured unevenness
MIN_PACE = 0.2  # of a gust at its slowest


@torch.no_grad()
def animate_cloth(
    cloth: RestShape,
    nets: ClothNets,
    wind: Wind,
    *,
    cycles: int,
    period: int,
    progress: Callable[[int, int], None] | None = None,
) -> Overlay:
    """The cloth of a loop of `period` frames with `cycles` gusts of a wind.

    progress: called with the steps done and in total while the pace is measured, which takes most of the time. Raises
    NothingMoves if no motion would be visible.
    """
    layer = _layer(cloth, predict_cycles(cloth.surfaces, nets, wind), wind, cycles, period)
    pace = _even_pace(layer, progress or (lambda done, total: None))
    gustiness = GUSTINESS if cycles > 1 else 0.0  # a single gust in a loop differs from no other
    layer = replace(layer, keyframes=_at_pace(layer.keyframes, pace), pace=pace, gustiness=gustiness)
    if not _visibly_moves(layer):
        raise NothingMoves(
            "The cloth would stand still, held by what is around it or by anchors; paint its whole width,"
            " undo anchors on it, or raise the wind's strength."
        )
    return layer


@torch.no_grad()
def preview_cloth(cloth: RestShape, nets: ClothNets, wind: Wind, like: Overlay) -> Overlay:
    """An approximation of `animate_cloth`, many times as fast, to be shown while the wind still turns.

    Its fields have half the detail or less, and the pace is that of the same cloth in another wind, `like`. The
    networks' predictions are interpolated between a few directions, which `cloth` caches. Whether anything visibly
    moves is not checked.
    """
    coarse = cloth.coarse
    gusts = predict_cycles(coarse.surfaces, nets, wind, _interpolated_deflection(coarse, nets, wind))
    layer = _layer(coarse, gusts, wind, like.cycles, like.period, PREVIEW_ERROR)
    return replace(layer, keyframes=_at_pace(layer.keyframes, like.pace), pace=like.pace, gustiness=like.gustiness)


def _layer(
    cloth: RestShape, gusts: Sequence[Tensor], wind: Wind, cycles: int, period: int, error: float = INVERSION_ERROR
) -> Overlay:
    """At an even pace, from `predict_cycles`."""
    forward = _merge(gusts, cloth)
    forward[:, :2] *= _limit_overhang(forward[:, :2], cloth.outline, MAX_OVERHANG * max(cloth.photo.shape))
    # all limits are those of the strongest wind, so that every place moves further in a stronger one
    forward[:, :2] = blur(forward[:, :2], 1) * relative_displacement(wind.strength)
    if cloth.mobility is not None:
        forward = forward * cloth.mobility
    keyframes = invert_displacement(forward, cloth.cell, error)
    active, reach = _active_area(keyframes, cloth)
    images = cloth.photo, cloth.matting.background, cloth.matting.matte, active
    return Overlay(CLOTH, *images, keyframes, cloth.cell, reach, cycles, period, at_rest=cloth)


def predict_cycles(
    surfaces: Sequence[Surface], nets: ClothNets, wind: Wind, deflections: Tensor | None = None
) -> list[Tensor]:
    """One gust over each piece: [KEYFRAMES,3,S,S], the displacement x, y of each place of the photo in fractions of the
    side, in the strongest wind of that direction, and the binary logarithm of its gain in brightness in this wind.

    The cloth is deflected as the network predicts, or as given, later downwind, and flutters. `relative_displacement`
    scales that to this wind.
    """
    gusts, fluttering = [], wind.strength**POWER
    deflections = _predict_deflection(surfaces, nets, wind.angle) if deflections is None else deflections
    for surface, deflection in zip(surfaces, deflections, strict=True):
        normals, cover, light = surface.normals, surface.cover, surface.light
        propagation = estimate_propagation(cover, wind, surface.attachments)
        deflection = _delayed(deflection, propagation)
        waves = flutter(normals, surface.shading, cover, propagation, KEYFRAMES)
        deflected = deflection[:, :2] * (DEFLECTION[0] + DEFLECTION[1] * propagation.distance)
        displacement = _limit_displacement(deflected, DEFLECTION_SHARE)
        displacement = displacement + _limit_displacement(waves[:, :2], 1 - DEFLECTION_SHARE)
        tilt, waves = deflection[:, 2:] * wind.strength, waves[:, 2:] * fluttering
        slopes = torch.cat((waves[:, :2], torch.zeros_like(waves[:, :1])), 1) * normals[:, 2:].clamp_min(0.3)
        moved_normals = _unit(_unit(normals + tilt) + slopes)
        gain = (shade(light, moved_normals.movedim(1, -1)) / surface.brightness).log2() + waves[:, 2]
        fields = torch.cat((displacement, gain.tanh()[:, None]), 1)
        gusts.append(push_pull(fields.flatten(0, 1)[None], cover)[0].unflatten(0, fields.shape[:2]))
    return gusts


def relative_displacement(strength: float) -> float:
    """How far a wind of a strength in [0,1] moves cloth, relative to the strongest one: it grows ever more slowly."""
    return math.tanh(SATURATION * strength) / math.tanh(SATURATION)


def _predict_deflection(surfaces: Sequence[Surface], nets: ClothNets, angle: float) -> Tensor:
    """The deflection of each piece in a gust of full strength, complex [n,5,S,S] as the network's channels: the first
    harmonic of its prediction; the others are the flutter of an average cloth, which does not travel. It is about
    proportional to the strength.

    Averaged with the prediction for the mirrored cloth in the mirrored wind, so that left and right are equivalent.
    """
    cover = torch.cat([surface.cover for surface in surfaces])
    normals = torch.cat([surface.normals for surface in surfaces]) * cover
    scale = SIDE // cover.shape[-1]  # the network is asked at its own size
    normals, cover = (x.repeat_interleave(scale, 2).repeat_interleave(scale, 3) for x in (normals, cover))
    winds = torch.tensor([[math.cos(angle), math.sin(angle)]], device=normals.device)
    winds = torch.cat((winds, winds * torch.tensor([-1.0, 1.0], device=normals.device)))
    normals, cover = torch.cat((normals, mirror_normals(normals))), torch.cat((cover, cover.flip(-1)))
    first, other = nets.cycle(normals, cover, winds.repeat_interleave(len(surfaces), 0), 1).chunk(2)
    flip = torch.tensor([-1.0, 1.0, -1.0, 1.0, 1.0], device=normals.device)[:, None, None]
    first = (first + other.flip(-1) * flip) / 2
    first = F.avg_pool2d(first.flatten(1, 2), scale).unflatten(1, first.shape[1:3])
    return torch.complex(first[:, 0], first[:, 1])


def _interpolated_deflection(cloth: RestShape, nets: ClothNets, wind: Wind) -> Tensor:
    """`_predict_deflection` interpolated between the directions next to the wind's, each predicted once and kept."""
    place, share = divmod(wind.degrees / 360 * PREVIEW_DIRECTIONS, 1)
    around = [int(place + k) % PREVIEW_DIRECTIONS for k in (0, 1)]
    for direction in around:
        if direction not in cloth.deflections:
            angle = 2 * math.pi * direction / PREVIEW_DIRECTIONS
            cloth.deflections[direction] = _predict_deflection(cloth.surfaces, nets, angle)
    before, after = (cloth.deflections[direction] for direction in around)
    return before + share * (after - before)


def _delayed(gust: Tensor, propagation: Propagation) -> Tensor:
    """Complex [5,S,S], later downwind, at the keyframes: [KEYFRAMES,5,S,S]."""
    gust = gust * torch.exp(2j * math.pi * DEFLECTION_DELAY * propagation.along.clamp(0, 1))
    turned = torch.exp(-2j * math.pi * torch.arange(KEYFRAMES, device=gust.device) / KEYFRAMES) - 1
    return (turned[:, None, None, None] * gust).real


def invert_displacement(forward: Tensor, cell: int, error: float = INVERSION_ERROR) -> Tensor:
    """Forward fields, defined on the photo -> backward fields, defined on the displaced cloth.

    Both [K,3,gh,gw]: displacement x, y in pixels, and logarithm of the gain. Solves d(x) = -f(x + d(x)) by fixed-point
    iteration (Chen et al., "A simple fixed-point approach to invert a deformation field", Medical Physics 2008), until
    a step changes less than `error` pixels.
    """
    displacement = -forward[:, :2]
    for _ in range(INVERSION_ITERATIONS):
        before, displacement = displacement, -_sample(forward[:, :2], displacement / cell)
        if float((displacement - before).abs().amax()) < error:
            break
    backward = torch.cat((displacement, _sample(forward[:, 2:], displacement / cell)), 1)
    backward[0] = 0
    return backward


def _at_pace(keyframes: Tensor, pace: PaceHarmonics) -> Tensor:
    """The keyframes of a gust at that pace, from those at an even one."""
    count = len(keyframes)
    phases = []
    for t in (k / count for k in range(count)):
        ahead = (h * (cmath.exp(2j * math.pi * m * t) - 1) / (2j * math.pi * m) for m, h in enumerate(pace, 1))
        phases.append(t + sum(ahead).real)
    weights = torch.stack([periodic_weights(count, phase) for phase in phases]).to(keyframes.device)
    return torch.tensordot(weights, keyframes, 1)


def _even_pace(layer: Overlay, progress: Callable[[int, int], None]) -> PaceHarmonics:
    """How a gust has to change its pace for all of its steps to change frames about as much, above all the first: a
    loop should not halt or jump where it starts again.

    A sample of the cloth's tiles stands for all. How much a faster pace changes a step depends on the photo's detail.
    """
    sampled = torch.zeros_like(layer.active).flatten()
    moving = layer.active.flatten().nonzero().flatten()
    sampled[moving[:: 1 + len(moving) // PACE_TILES]] = 1
    gust = replace(layer, active=sampled.view_as(layer.active), cycles=1, period=PACE_STEPS)
    waves = np.exp(-2j * math.pi * np.outer(range(1, PACE_WAVES + 1), np.arange(PACE_SAMPLES) / PACE_SAMPLES))
    pace = np.zeros(PACE_WAVES, complex)
    for trial in range(PACE_TRIALS):
        changed = replace(gust, keyframes=_at_pace(layer.keyframes, tuple(pace)))
        steps = []
        for sample in range(PACE_SAMPLES):
            progress(trial * PACE_SAMPLES + sample, PACE_TRIALS * PACE_SAMPLES)
            now = sample * PACE_STEPS / PACE_SAMPLES
            one, other = (changed.draw_over(layer.photo, t) for t in (now - 1, now))
            apart = torch.maximum(one, other) - torch.minimum(one, other)
            steps.append(max(float(apart.sum(dtype=torch.int64)), 1))
        uneven = np.log(steps) - np.log(np.median(steps))
        uneven *= 1 + (pace @ waves.conj()).real  # a share of the pace that is
        change = 2 / PACE_SAMPLES * waves @ uneven
        change += (uneven[0] - change.sum().real) / PACE_WAVES  # the first step above all
        pace = pace - PACE_GAIN * change
        pace *= min(1, (1 - MIN_PACE) / max(-(pace @ waves.conj()).real.min(), 1e-6))
    return tuple(complex(h) for h in pace)


def _visibly_moves(layer: Overlay) -> bool:
    cloth = layer.matte > 127
    gust = layer.period / layer.cycles
    frames = [layer.draw_over(layer.photo, phase * gust) for phase in (0.125, 0.375, 0.625, 0.875)]
    changes = torch.stack([(frame.int() - layer.photo.int()).abs().amax(-1) for frame in frames]).amax(0)
    return float((changes[cloth] >= VISIBLE_CHANGE).float().mean()) >= VISIBLE_SHARE


def _limit_displacement(displacement: Tensor, share: float) -> Tensor:
    """Displacements [K,2,h,w] in fractions of the side, scaled down to stay below a share of what is allowed in length
    and in steepness: hardly if they are far below, and smoothly more."""
    length = _quantile(_length(displacement), 0.995)
    gradient = max(_quantile(displacement.diff(dim=axis).abs(), 0.99) for axis in (2, 3)) * displacement.shape[-1]
    excess = max(length / MAX_DISPLACEMENT, gradient / MAX_GRADIENT, 1e-6) / share
    return displacement * math.tanh(excess) / excess


def _length(vectors: Tensor) -> Tensor:
    """Of [K,n,...]: [K,1,...]; torch's norm is slow over an axis of two or three."""
    return sum((x * x for x in vectors[:, 1:].split(1, 1)), vectors[:, :1].square()).sqrt()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _length(vectors).clamp_min(1e-12)


def _quantile(values: Tensor, share: float) -> float:
    """By selection, as torch's would sort them all."""
    numbers = values.flatten().cpu().numpy()
    place = max(1, int(share * len(numbers))) - 1
    return float(np.partition(numbers, place)[place])


def _merge(gusts: Sequence[Tensor], cloth: RestShape) -> Tensor:
    """All pieces on the photo's grid, in pixels, fading towards obstacles: [KEYFRAMES,3,gh,gw]."""
    matting, cell, finest = cloth.matting, cloth.cell, cloth.finest_cell
    gh, gw = matting.clearance.shape
    forward = torch.zeros(KEYFRAMES, 3, gh, gw, device=matting.clearance.device)
    for number, (gust, crop) in enumerate(zip(gusts, cloth.crops, strict=True)):
        window, positions = _sampling_grid(crop, (gh, gw), cell, forward.device)
        own, clearance = cloth.nearest[window] == number, matting.clearance[window]
        units = gust.new_tensor([crop[2], crop[2], 1.0])[:, None, None]
        positions = positions.expand(len(gust), -1, -1, -1)
        fields = F.grid_sample(gust * units, positions, padding_mode="border", align_corners=False)
        longest = float((_length(fields[:, :2]) * own).amax())
        fade = REST_DISTANCE * longest + 2 * finest
        mobility = smoothstep(0, 1, (clearance - 1.5 * finest) / fade)
        shading = smoothstep(0, 1, (clearance - 0.5 * finest) / (2 * finest)) * matting.shading[window]
        border = _border_fade(gh, gw, fade / cell).to(fields)[:, *window]
        fields = fields * torch.stack((mobility, mobility, shading)) * border
        forward[:, :, *window] = torch.where(own, fields, forward[:, :, *window])
    return forward


def _sampling_grid(
    crop: tuple[int, int, int], grid: tuple[int, int], cell: int, device: torch.device
) -> tuple[tuple[slice, slice], Tensor]:
    """The window of the photo's grid that a piece's crop covers, with some margin, and its points' positions in the
    crop, from −1 to 1: [h,w,2]."""
    *starts, side = crop
    window, axes = [], []
    for start, points in zip(starts, grid, strict=True):
        first = max(0, math.floor((start - 0.1 * side) / cell))
        last = min(points, math.ceil((start + 1.1 * side) / cell))
        window.append(slice(first, last))
        centres = (torch.arange(first, last, device=device) + 0.5) * cell
        axes.append((centres - start) / side * 2 - 1)
    return (window[0], window[1]), torch.stack(torch.broadcast_tensors(axes[1], axes[0][:, None]), -1)


def _limit_overhang(displacement: Tensor, outline: Tensor, overhang: float) -> Tensor:
    """Factors [K,1,gh,gw] on displacements [K,2,gh,gw] that keep cloth within `overhang` pixels of its outline, and
    cloth that already lies outside within MAX_REACH of them."""
    sides = torch.stack((outline.clamp_min(0), (-outline).clamp_min(0), torch.ones_like(outline)))
    depth, outside, weight = blur(sides[None], 2)[0]  # the outline's steps from cell to cell would fray it
    room = overhang * (1 - outside / (weight * MAX_REACH * overhang)).clamp_min(0) + depth
    excess = _length(displacement) / room.clamp_min(1e-3) + 1e-6
    return excess.tanh() / excess


def _border_fade(gh: int, gw: int, distance: float) -> Tensor:
    """Factors [3,gh,gw] on displacement x, y and gain: at the picture's border nothing moves across it."""
    rows, columns = (torch.minimum(i := torch.arange(n) + 0.5, n - i) for n in (gh, gw))
    x, y = (smoothstep(0, distance, away) for away in (columns, rows))
    return torch.stack((x.expand(gh, gw), y[:, None].expand(gh, gw), torch.ones(gh, gw)))


def _active_area(keyframes: Tensor, cloth: RestShape) -> tuple[Tensor, Tensor]:
    """`Overlay.active` and `Overlay.reach`."""
    matte, cell = cloth.matting.matte, cloth.cell
    height, width = matte.shape
    near = dilate(matte > 0, math.ceil((1 + GUSTINESS) * float(keyframes[:, :2].abs().amax())) + 2)
    moves = (keyframes.abs() > 1e-4).any(1).any(0).float()[None, None]
    moves = F.max_pool2d(moves, 5, 1, 2).repeat_interleave(cell, 2).repeat_interleave(cell, 3)[0, 0] > 0
    changes = near & moves[:height, :width]
    active = F.max_pool2d(changes[None, None].float(), TILE, ceil_mode=True)[0, 0].to(torch.uint8)
    return active, torch.where(changes, (matte.float() / 255).clamp_min(0.05), 0)


def _sample(fields: Tensor, displacement: Tensor) -> Tensor:
    """fields [K,C,h,w] at x + displacement(x), [K,2,h,w] in grid points; the border is replicated."""
    h, w = fields.shape[2:]
    x, y = (torch.arange(n, device=fields.device) * 2 + 1 for n in (w, h))
    middles = torch.stack(torch.broadcast_tensors(x / w - 1, (y / h - 1)[:, None]))
    positions = middles + displacement * torch.tensor([2 / w, 2 / h], device=fields.device)[:, None, None]
    return F.grid_sample(fields, positions.movedim(1, -1), padding_mode="border", align_corners=False)
