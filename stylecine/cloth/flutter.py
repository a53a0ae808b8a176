"""Flutter: waves that travel along cloth with the wind and grow with the distance from where it is attached.

What a still shows is where the cloth is and how it is folded. The folds along the wind are taken apart into waves
(analytic signals, as in Wadhwa et al., "Phase-Based Video Motion Processing", SIGGRAPH 2013), whose phases turn a whole
number of times in a gust: each fold leaves its place and runs downwind, and the gust ends as it began. Where cloth is
smooth, waves of our own fill in; they begin low, so that the still has hardly any of them to lose.

The waves are those of the surface's height over the cloth: its slope changes the light, and seen at an angle it
displaces the cloth in the picture. How high, how fast and how long they are is fitted to simulated cloth
(`pretrained/recipes/cloth/fit_flutter.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import blur, push_pull
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import Wind

WAVES = (2, 3, 4, 5)  # cycles of the waves in a gust
POWER = 0.9  # exponent of the wind's strength, for the slopes of waves and the share of the folds that travels
FOLD_SPEED = 1.5  # lengths of the cloth that the photo's folds travel in a gust
MAX_FOLDS = 10.0  # along the cloth: shorter folds are not seen by the networks
FOLDS_FREE_FROM = 0.35  # distance from where the cloth is attached, in [0, 1], from which the photo's folds are free
# Our own waves, one for each of WAVES:
NUMBERS = (1.7, 1.9, 2.1, 2.4)  # how many fit along the cloth, in any wind
DOWNWARD = (0.3, -0.2, 0.45, -0.35)  # waves down the cloth per wave along it: their fronts are not parallel
SLOPES = (0.44, 0.31, 0.24, 0.20)  # at full strength at the free end
WAVES_FREE_FROM = 0.2  # as FOLDS_FREE_FROM
ROOT_AMPLITUDE = 0.5  # next to where the cloth is attached, relative to the free end
STARTING_LOSS = 0.7  # how much lower they are when the gust begins: of the rest, the photo shows the opposite
MIN_OWN_SHARE = 0.15  # of them, squared, where the photo's folds are as high as those
MAX_ASPECT = 1.8  # of cloth whose waves are as long as it is; on longer cloth they are as on this part of it
OCCLUSION = 0.5  # log2 of the gain at the crest of a wave of slope 1: less light reaches valleys
HUE_STEP = 0.06  # of red's and green's share of the light: cloth of nearer colours is compared
MAX_PRINT = 0.6  # log2 of brightness: larger differences from the surroundings are prints
ATTACHMENT_WEIGHTS = (-0.3, -2.2, 4.1, 0.2)  # of the features of candidate_attachments
UPWIND_WEIGHT = 1.0  # of a side on the windward end
AWAY_FROM_ATTACHMENT = 0.7  # of a wind towards the viewer or away: how much its waves run away from the attachment
SMALLEST_ANGLE = 0.75  # sine of the angle at which cloth is seen, at least: no photo is taken exactly head-on

Attachments = tuple[np.ndarray, np.ndarray]  # see `candidate_attachments`


@dataclass(frozen=True)
class Propagation:
    """How waves propagate over a piece of cloth in a square of S pixels."""

    direction: Tensor  # [2] unit vector, x right and y down
    along: Tensor  # [S,S]: position along the direction, in lengths of the cloth
    length: float  # of the cloth along the direction, in pixels; of long cloth, of a part
    height: float  # of the cloth in pixels: folds of tall cloth run down all of it
    distance: Tensor  # [S,S] from where the cloth is attached, in [0,1]


def estimate_propagation(cover: Tensor, wind: Wind, attachments: Attachments | None = None) -> Propagation:
    """How waves propagate in a wind over the cloth, [1,1,S,S]: 1 on it. attachments: its `candidate_attachments`, if
    already computed."""
    mask = cover[0, 0] > 0.5
    size = mask.shape[0]
    y, x = torch.meshgrid(*(torch.arange(size, device=cover.device, dtype=torch.float32),) * 2, indexing="ij")
    outline = mask.cpu().numpy()
    distance, away = _distance_from_attachment(outline, wind, attachments or candidate_attachments(outline))
    away_share = AWAY_FROM_ATTACHMENT * abs(math.sin(wind.angle))
    to = torch.tensor([math.cos(wind.angle), 0.0]) + away_share * torch.from_numpy(away)
    direction = (to / to.norm().clamp_min(1e-3)).to(cover)
    position = x * direction[0] + y * direction[1]
    low, high = _extent(position[mask])
    top, bottom = _extent(y[mask])
    extent = max(high - low, 4.0)
    length = min(extent, max(4.0, MAX_ASPECT * float(mask.sum()) / extent))
    return Propagation(direction, (position - low) / length, length, bottom - top, torch.from_numpy(distance).to(cover))


def flutter(normals: Tensor, shading: Tensor, cover: Tensor, propagation: Propagation, count: int) -> Tensor:
    """The flutter of one gust of full strength at `count` phases: [count,5,S,S], displacement x, y in fractions of the
    side, change of the slopes nx/nz and ny/nz, and binary logarithm of a gain beside theirs. 0 at the first phase. That
    of any other strength is this times the strength to the POWER.

    normals [1,3,S,S] are unit vectors; shading [1,1,S,S] is the binary logarithm of the brightness that folds have in
    the photo beyond what the normals explain; cover [1,1,S,S] is 1 on the cloth.
    """
    size = normals.shape[-1]
    slopes = push_pull(normals[:, :2] / normals[:, 2:].clamp_min(0.3), cover)
    phases = torch.arange(count, device=normals.device) / count
    folds = _folds(torch.cat((slopes, shading), 1)[0], propagation)
    travelling = smoothstep(0, FOLDS_FREE_FROM, propagation.distance)
    waves, turned = [], []  # complex [4,S,S], and by how much each has turned at the phases, [count]
    for m, wave in zip(WAVES, folds, strict=True):
        waves.append(travelling * wave)
        turned.append(torch.exp(-2j * math.pi * m * phases) - 1)
    present = sum((wave[1:3].abs().square().sum(0) for wave in folds), torch.zeros(size, size, device=normals.device))
    present = blur(present[None, None], size // 16)[0, 0].sqrt() * travelling
    envelope = 1 - STARTING_LOSS * ((1 + (2 * math.pi * phases).cos()) / 2) ** 2
    missing = (1 - (present / math.hypot(*SLOPES)).square()).clamp_min(MIN_OWN_SHARE).sqrt()
    growth = ROOT_AMPLITUDE + (1 - ROOT_AMPLITUDE) * propagation.distance
    amplitude = growth * smoothstep(0, WAVES_FREE_FROM, propagation.distance)
    for m, number, slope, downward in zip(WAVES, NUMBERS, SLOPES, DOWNWARD, strict=True):
        waves.append(_own_wave(propagation, number, downward) * (slope * amplitude * missing))
        turned.append(envelope * torch.exp(-2j * math.pi * m * phases) - envelope[0])
    weights, summed = torch.stack(turned, 1), torch.stack(waves)
    parts = torch.cat((summed.real, summed.imag)).flatten(1)  # the real part of the weighted sum, in one product
    total = (torch.cat((weights.real, -weights.imag), 1) @ parts).unflatten(1, summed.shape[1:])
    return torch.cat((total[:, :1] * _view(normals, cover, propagation)[:, None, None] / size, total[:, 1:]), 1)


def fold_shading(image: Tensor, expected: Tensor, cover: Tensor) -> Tensor:
    """[1,1,S,S]: binary logarithm of the brightness of folds relative to that `expected` [1,1,S,S] of the surface.

    image [1,3,S,S]: linear light. Prints are left out: each place is compared with cloth of the same hue around it,
    and much brighter or darker places are filled in from their surroundings.
    """
    luminance = (image * image.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1, keepdim=True).clamp_min(0.01)
    found = luminance.log2() - expected.clamp_min(0.05).log2()
    hue = ((image + 0.02) / (image + 0.02).sum(1, keepdim=True))[:, :2]
    on_cloth = (hue / HUE_STEP).round()[cover[0, 0][None, None].expand_as(hue) > 0.5].view(2, -1).T
    hues, counts = on_cloth.unique(dim=0, return_counts=True)
    hues = hues[counts > 0.01 * counts.sum()] * HUE_STEP
    likes = cover * (-(hue - hues[:, :, None, None]).square().sum(1, keepdim=True) / (2 * (HUE_STEP / 2) ** 2)).exp()
    radius, plain, own = image.shape[-1] // 10, cover, torch.zeros_like(found)
    weights = sum(likes.unbind(), torch.full_like(found, 1e-6))
    for _ in range(3):  # prints count less each time
        means, alike = blur(torch.cat((found * likes * plain, likes * plain)), radius).chunk(2)
        shares = likes * (found - means / alike.clamp_min(1e-3)) / weights
        own = sum(shares.unbind(), torch.zeros_like(found))
        plain = 1 / (1 + (own / MAX_PRINT) ** 4)
    edge = (F.max_pool2d(hue, 3, 1, 1) + F.max_pool2d(-hue, 3, 1, 1)).sum(1, keepdim=True)
    known = cover * (1 - (edge / HUE_STEP)).clamp(0, 1) * (own.abs() < MAX_PRINT) * weights.clamp(max=1)
    known = -F.max_pool2d(-known, 3, 1, 1)
    return push_pull(own, known).clamp(-MAX_PRINT, MAX_PRINT)


def _own_wave(propagation: Propagation, number: float, downward: float) -> Tensor:
    """Height (pixels), slopes and shading of a wave of slope 1, `number` of which fit along the cloth: complex
    [4,S,S]."""
    size = propagation.along.shape[0]
    downward *= propagation.length / max(propagation.length, propagation.height)
    y = torch.arange(size, device=propagation.along.device)[:, None] / propagation.length
    carrier = torch.exp(2j * math.pi * number * (propagation.along + downward * y) + 2.4j * number)
    vector = propagation.direction.clone() * number
    vector[1] = vector[1] + downward * number
    gradient = 2 * math.pi * vector.norm() / propagation.length
    unit = vector / vector.norm()
    return torch.stack((carrier / gradient, -1j * unit[0] * carrier, -1j * unit[1] * carrier, OCCLUSION * carrier))


def _folds(slopes: Tensor, propagation: Propagation) -> list[Tensor]:
    """The folds in slopes and shading [3,S,S] taken apart into waves downwind, of WAVES cycles in a gust: for each the
    complex height (pixels), slopes and shading [4,S,S], whose real part is the still's."""
    size = slopes.shape[-1]
    wide = F.pad(slopes[None], (size // 2,) * 4, mode="replicate")[0]
    window = torch.hann_window(2 * size, periodic=False, device=slopes.device).clamp(0, 0.5) * 2
    spectrum = torch.fft.fft2((wide - slopes.mean((1, 2), keepdim=True)) * window * window[:, None])
    frequency = torch.fft.fftfreq(2 * size, device=slopes.device)
    ky, kx = frequency[:, None], frequency
    along = kx * propagation.direction[0] + ky * propagation.direction[1]
    squared = (kx**2 + ky**2).clamp_min(1e-9)
    towards = (2 * along.clamp_min(0) ** 2 / squared).clamp(max=1)  # folds that lie along the wind cannot run
    cycles = along * propagation.length * FOLD_SPEED
    fine = ((MAX_FOLDS - along * propagation.length) / 3).clamp(0, 1)
    height = 1j * (kx * spectrum[0] + ky * spectrum[1]) / (2 * math.pi * squared)
    parts = torch.cat((height[None], spectrum))
    middle = slice(size // 2, size // 2 + size)
    waves = []
    for m in WAVES:
        band = (1 - (cycles - m).abs()).clamp(0, 1) if m < WAVES[-1] else (cycles - m + 1).clamp(0, 1)
        waves.append(torch.fft.ifft2(2 * parts * band * towards * fine)[:, middle, middle])
    return waves


def _view(normals: Tensor, cover: Tensor, propagation: Propagation) -> Tensor:
    """[2]: how far cloth that moves out of its plane by 1 moves in the picture."""
    mean = ((normals * cover).sum((0, 2, 3)) / cover.sum().clamp_min(1))[:2]
    upwards = -propagation.direction.flip(0).abs()
    along, across = ((mean @ way).abs().clamp_min(SMALLEST_ANGLE) for way in (propagation.direction, upwards))
    return propagation.direction * along + upwards * across


def _extent(places: Tensor) -> tuple[float, float]:
    """Of nearly all."""
    return float(places.quantile(0.02)), float(places.quantile(0.98))


def _distance_from_attachment(mask: np.ndarray, wind: Wind, attachments: Attachments) -> tuple[np.ndarray, np.ndarray]:
    """Distance [S,S] in [0,1] from where cloth of this outline is attached, and the direction [2] away from there.

    Distances from the sides that may be attached are averaged, weighted by their probabilities.
    """
    features, distances = attachments
    x = math.cos(wind.angle)
    scores = features @ ATTACHMENT_WEIGHTS + UPWIND_WEIGHT * np.array([x, -x, 0])
    share = np.exp(scores - scores.max())
    share = share / share.sum()
    distance = np.tensordot(share, distances, 1)
    low, high = np.quantile(distance[mask], (0.02, 0.98))
    distance = ((distance - low) / max(high - low, 0.5)).clip(0, 1).astype(np.float32)
    return distance, np.array([share[0] - share[1], share[2]], np.float32)


def candidate_attachments(mask: np.ndarray) -> Attachments:
    """The left, right and upper side of cloth, of which one is attached: features [3,4] of each, from its outline, bool
    [S,S], and the distances from each, [3,S,S], 1 at the far end.

    Cloth hangs from its top or streams from an upright side. The hoist of a flag is straight and upright, its free end
    seldom; and cloth wider than high, but not by much, is rather a flag.
    """
    size = mask.shape[0]
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = (float(line[-1] - line[0] + 1) for line in (rows, columns))
    aspect = math.log(width / height)
    features, distances = [], []
    for side in ("left", "right", "top"):
        turned = {"left": mask, "right": mask[:, ::-1], "top": mask.T}[side]
        slope, start, error = _straight_edge(turned, max(height, width))
        upright = side != "top"
        features.append((math.log(error + 0.003), abs(slope), min(aspect, 1.2 - aspect) * upright, float(upright)))
        line, across = np.mgrid[0:size, 0:size]
        away = (across - slope * line - start).clip(0) / math.hypot(1, slope)
        away = away / max(1.0, float(np.quantile(away[turned], 0.98)))
        distances.append({"left": away, "right": away[:, ::-1], "top": away.T}[side])
    return np.array(features), np.stack(distances)


def _straight_edge(mask: np.ndarray, extent: float) -> tuple[float, float, float]:
    """The line along the left edge of a mask, as its slope and its start, fitted robustly; and the mean distance of the
    edge from it, relative to `extent`."""
    rows = np.flatnonzero(mask.any(1))
    inner = rows[len(rows) // 16 : len(rows) - len(rows) // 16]
    edge = mask[inner].argmax(1).astype(float)
    terms = np.stack([inner, np.ones(len(inner))], 1).astype(float)
    weight = np.ones(len(inner))
    slope = start = 0.0
    for _ in range(5):
        slope, start = np.linalg.lstsq(terms * weight[:, None], edge * weight, rcond=None)[0]
        off = np.abs(terms @ (slope, start) - edge) / extent
        weight = 1 / np.sqrt(1 + (off / 0.01) ** 2)
    return float(slope), float(start), float(np.minimum(off, 0.05).mean())
