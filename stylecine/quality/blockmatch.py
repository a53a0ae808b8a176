"""Motion estimated from pixels: blocks of one frame matched with the frames after it.

The independent check behind `moved_error` of measures.py: it uses frames and the mask, never the motion field that they
were rendered from. Normalised correlation, coarse to fine, Gauss-Newton below the pixel (Lucas and Kanade 1981). A
block is informative only along directions in which it has texture (the aperture problem, judged by the eigenvalues of
the structure tensor: Shi and Tomasi 1994), on the finest level where it has any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

BLOCK_RADIUS = 10  # a block is 21 x 21 pixels of its level
SEARCH_RADIUS = 4  # pixels of each level to either side that are searched, in the first frame after the block's own
MAX_BLOCKS = 128  # spread evenly over what has weight
NOISE = 1.0  # grey levels (0..255) of noise to be expected in a pixel
TOLERANCE = 0.2  # pixels: a direction is known where noise alone would move the match by less


@dataclass(frozen=True, eq=False)
class Blocks:
    """n blocks and their displacements. Pixels of the frame, x right, y down."""

    centre: Tensor  # [n,2]
    shift: Tensor  # [n,2] from the first frame to the last
    normal: Tensor  # [n,2] unit vector: the direction best known
    both: Tensor  # [n] bool: known in every direction
    one: Tensor  # [n] bool: known along `normal` alone
    correlation: Tensor  # [n] of the block with its match, at most 1


@dataclass(frozen=True, eq=False)
class _Support:
    """The weight of pixels on one level; the same for every frame."""

    factor: int
    weight: Tensor  # [1,1,h,w]
    blurred: Tensor  # [1,1,h,w] the same, blurred


@dataclass(frozen=True, eq=False)
class _Template:
    """Blocks cut out of the first frame on one level, and the directions in which they have texture."""

    at: Tensor  # [n,p,2] positions of the pixels
    value: Tensor  # [n,p]
    weight: Tensor  # [n,p]
    gradient: Tensor  # [n,p,2]
    known: Tensor  # [n,2,2] projection onto the directions known at this level
    rank: Tensor  # [n] how many directions are known: 0, 1, 2
    normal: Tensor  # [n,2]


def track(frames: Sequence[Tensor], weight: Tensor) -> Blocks:
    """Follow blocks of `frames[0]` through consecutive frames to the last one.

    frames: two or more [H,W] float32, grey 0..255. weight: [H,W] in [0,1] of each pixel; blocks lie where it is high.
    Each frame is compared with the first, so errors do not accumulate; the frames in between only guide the search.
    """
    centre = _centres(weight)
    factors = [f for f in (4, 2, 1) if f == 1 or min(weight.shape) // f >= 4 * BLOCK_RADIUS]
    supports = [_support(weight, factor) for factor in factors]
    templates = [_cut(_level(frames[0], weight, s), centre / s.factor) for s in supports]
    shift = torch.zeros_like(centre)
    correlation = torch.zeros(len(centre))
    for step, frame in enumerate(frames[1:], start=1):
        shift = shift * (step / max(step - 1, 1))
        for support, template in zip(supports, templates, strict=True):
            level = _level(frame, weight, support)
            match, score = _match(template, level, shift / support.factor, SEARCH_RADIUS if step == 1 else 1)
            shift = shift + (template.known @ (match * support.factor - shift)[..., None])[..., 0]
            correlation = torch.where(template.rank > 0, score, correlation)
    rank = torch.stack([t.rank for t in templates]).amax(0)
    normal = templates[0].normal
    for template in templates[1:]:
        normal = torch.where(template.rank[:, None] > 0, template.normal, normal)
    return Blocks(centre, shift, normal, rank == 2, rank == 1, correlation)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [...,H,W] on the CPU, zero outside: divide by a weight blurred alike."""
    sigmas = (0.0,) * (image.ndim - 2) + (sigma, sigma)
    # much faster than a convolution with one channel
    return torch.from_numpy(ndimage.gaussian_filter(image.numpy(), sigmas, mode="constant", truncate=3.0))


def pixel_centres(height: int, width: int) -> Tensor:
    """Their positions, [H,W,2], x and y."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x, y), -1)


def read(image: Tensor, at: Tensor, beyond: Literal["border", "zeros"] = "border") -> Tensor:
    """Values [C,a,b] of an image [1,C,h,w] at positions [a,b,2], in its pixels, bilinear."""
    grid = at / at.new_tensor([image.shape[3], image.shape[2]]) * 2 - 1
    return F.grid_sample(image, grid[None], padding_mode=beyond, align_corners=False)[0]


def _centres(weight: Tensor) -> Tensor:
    """Centres [n,2] every 16 pixels where at least half of a block has weight."""
    size = 2 * BLOCK_RADIUS + 1
    if min(weight.shape) < size:
        return torch.zeros(0, 2)
    share = F.avg_pool2d(weight[None, None], size, stride=16)[0, 0]
    rows, columns = torch.nonzero(share >= 0.5, as_tuple=True)
    centres = torch.stack([columns, rows], 1) * 16.0 + BLOCK_RADIUS + 0.5
    keep = torch.linspace(0, len(centres) - 1, min(MAX_BLOCKS, len(centres))).round().long()
    return centres[keep]


def _support(weight: Tensor, factor: int) -> _Support:
    shrunk = F.avg_pool2d(weight[None, None], factor)
    return _Support(factor, shrunk, blur(shrunk, BLOCK_RADIUS / 2).clamp_min(1e-6))


def _level(frame: Tensor, weight: Tensor, support: _Support) -> Tensor:
    """[1,2,h,w]: the shrunk frame less its local mean, times weight, and the weight. Pixels without weight (a static
    bank) have no influence."""
    sums = F.avg_pool2d((frame * weight)[None, None], support.factor)
    band = sums - support.weight * blur(sums, BLOCK_RADIUS / 2) / support.blurred
    return torch.cat([band, support.weight], 1)


def _sample(level: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Value and weight at positions [n,p,2], bilinear among pixels with weight; weight 0 outside the frame."""
    value, weight = read(level, at, "zeros")
    return value / weight.clamp_min(1e-6), weight


def _cut(level: Tensor, centre: Tensor) -> _Template:
    """Blocks around `centre` [n,2], in pixels of the level."""
    at = centre.floor()[:, None] + 0.5 + _square(BLOCK_RADIUS)
    value, weight = _sample(level, at)
    slopes = []
    for axis in (at.new_tensor([1.0, 0.0]), at.new_tensor([0.0, 1.0])):
        (after, weight_after), (before, weight_before) = _sample(level, at + axis), _sample(level, at - axis)
        slopes.append((after - before) / 2)
        weight = torch.minimum(weight, torch.minimum(weight_after, weight_before))
    gradient = torch.stack(slopes, -1)
    tensor = torch.einsum("np,npi,npj->nij", weight, gradient, gradient)
    # Errors of neighbouring pixels are correlated: four count as one. Shrinking averages noise away.
    needed = 4 * NOISE**2 / TOLERANCE**2
    values, vectors = torch.linalg.eigh(tensor)
    known = torch.einsum("nik,nk,njk->nij", vectors, (values >= needed).float(), vectors)
    return _Template(at, value, weight, gradient, known, (values >= needed).sum(1), vectors[:, :, 1])


def _match(template: _Template, level: Tensor, guess: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Shift [n,2] (pixels of the level) and correlation [n]: full search around the guess, then Gauss-Newton."""
    if len(guess) == 0:
        return guess, guess.new_zeros(0)
    candidates = guess[:, None].round() + _square(reach)
    scores = torch.stack([_compare(template, level, candidates[:, i]) for i in range(candidates.shape[1])], 1)
    start = candidates[torch.arange(len(guess)), scores.argmax(1)]
    shift = _refine(template, level, start)
    return shift, _compare(template, level, shift)


def _refine(template: _Template, level: Tensor, start: Tensor, steps: int = 5) -> Tensor:
    shift = start
    damping = torch.eye(2) * NOISE**2
    for _ in range(steps):
        value, weight = _sample(level, template.at + shift[:, None])
        weight = weight * template.weight
        ours, theirs = _centred(template.value, weight), _centred(value, weight)
        # the contrast of mixed copies varies
        gain = _dot(ours, theirs, weight) / _dot(theirs, theirs, weight).clamp_min(1e-6)
        error = theirs * gain.clamp(0.5, 2.0)[:, None] - ours
        slope = torch.einsum("np,np,npi->ni", weight, error, template.gradient)
        tensor = torch.einsum("np,npi,npj->nij", weight, template.gradient, template.gradient) + damping
        shift = shift - torch.linalg.solve(tensor, slope).clamp(-1, 1)
    return start + (shift - start).clamp(-2, 2)


def _compare(template: _Template, level: Tensor, shift: Tensor) -> Tensor:
    """Normalised correlation [n] over the pixels with weight in both; -1 where there are too few."""
    value, weight = _sample(level, template.at + shift[:, None])
    weight = weight * template.weight
    ours, theirs = _centred(template.value, weight), _centred(value, weight)
    scale = (_dot(ours, ours, weight) * _dot(theirs, theirs, weight)).sqrt().clamp_min(1e-6)
    enough = weight.sum(1) >= 0.5 * template.weight.sum(1)
    return torch.where(enough, _dot(ours, theirs, weight) / scale, -1.0)


def _centred(value: Tensor, weight: Tensor) -> Tensor:
    return value - (value * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-6)


def _dot(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return (a * b * weight).sum(1)


def _square(radius: int) -> Tensor:
    """Offsets [p,2], x and y, of the pixels of a square."""
    line = torch.arange(-radius, radius + 1.0)
    return torch.cartesian_prod(line, line).flip(1)
