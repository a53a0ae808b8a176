"""Motion estimated from pixels: blocks of one frame matched with the frames after it.

The independent check behind `moved_error` of measures.py: it uses frames and the mask, never the motion field that they
were rendered from. Normalised correlation, coarse to fine, Gauss-Newton below the pixel (Lucas and Kanade 1981). A
block is informative only along directions in which it has texture (the aperture problem, judged by the eigenvalues of
the structure tensor: Shi and Tomasi 1994), on the finest level where it has any.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

BLOCK_RADIUS = 10  # a block is 21 x 21 pixels of its level
SEARCH_RADIUS = 4  # pixels of each level to either side that are searched, in the first frame after the block's own
MAX_BLOCKS = 128  # spread evenly over what has weight
NOISE = 1.0  # grey levels (0..255) of noise to be expected in a pixel
TOLERANCE = 0.2  # pixels: a direction is known where noise alone would move the match by less


class Blocks(NamedTuple):
    """n blocks and their displacements. Pixels of the frame, x right, y down."""

    centre: Tensor  # [n,2]
    shift: Tensor  # [n,2] from the first frame to the last
    normal: Tensor  # [n,2] unit vector: the direction best known
    both: Tensor  # [n] bool: known in every direction
    one: Tensor  # [n] bool: known along `normal` alone
    correlation: Tensor  # [n] of the block with its match, at most 1


def track(frames: Sequence[Tensor], weight: Tensor) -> Blocks:
    """Follow blocks of `frames[0]` through consecutive frames to the last one.

    frames: two or more [H,W] float32, grey 0..255. weight: [H,W] in [0,1] of each pixel; blocks lie where it is high.
    Each frame is compared with the first, so errors do not accumulate; the frames in between only guide the search.
    """
    centre = _centres(weight)
    factors = [f for f in (4, 2, 1) if f == 1 or min(weight.shape) // f >= 4 * BLOCK_RADIUS]
    levels = [_Level(frames[0], weight, centre, factor) for factor in factors]
    shift, correlation = torch.zeros_like(centre), torch.zeros(len(centre))
    for step, frame in enumerate(frames[1:], start=1):
        shift = shift * (step / max(step - 1, 1))
        for level in levels:
            match, score = level.match(frame, shift, SEARCH_RADIUS if step == 1 else 1)
            shift = shift + (level.known @ (match - shift)[..., None])[..., 0]
            correlation = torch.where(level.rank > 0, score, correlation)
    rank = torch.stack([level.rank for level in levels]).amax(0)
    normal = levels[0].normal
    for level in levels[1:]:
        normal = torch.where(level.rank[:, None] > 0, level.normal, normal)
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


class _Level:
    """Frames shrunk by a factor, and the blocks [n] of the first of them, of p pixels each.

    known: [n,2,2], the projection onto the directions that are known here. rank: [n], how many these are. normal:
    [n,2], unit vector, the best known.
    """

    def __init__(self, first: Tensor, weight: Tensor, centre: Tensor, factor: int) -> None:
        """weight: [H,W], of pixels; one without weight (a static bank) has no influence. centre: [n,2]."""
        self.factor, self.full = factor, weight
        self.shrunk = F.avg_pool2d(weight[None, None], factor)
        self.blurred = blur(self.shrunk, BLOCK_RADIUS / 2).clamp_min(1e-6)
        level = self._band(first)
        self.at = (centre / factor).floor()[:, None] + 0.5 + _square(BLOCK_RADIUS)  # [n,p,2]
        self.value, self.weight = _sample(level, self.at)
        slopes = []
        for axis in torch.eye(2):
            (after, weight_after), (before, weight_before) = (_sample(level, self.at + way) for way in (axis, -axis))
            slopes.append((after - before) / 2)
            self.weight = torch.minimum(self.weight, torch.minimum(weight_after, weight_before))
        self.gradient = torch.stack(slopes, -1)
        tensor = torch.einsum("np,npi,npj->nij", self.weight, self.gradient, self.gradient)
        # Errors of neighbouring pixels are correlated: four count as one. Shrinking averages noise away.
        values, vectors = torch.linalg.eigh(tensor)
        clear = values >= 4 * NOISE**2 / TOLERANCE**2
        self.known = torch.einsum("nik,nk,njk->nij", vectors, clear.float(), vectors)
        self.rank, self.normal = clear.sum(1), vectors[:, :, 1]

    def match(self, frame: Tensor, guess: Tensor, reach: int) -> tuple[Tensor, Tensor]:
        """The blocks' shift to a frame, [n,2] in pixels of that, and correlation [n]: full search around the guess,
        `reach` pixels of the level far, then Gauss-Newton."""
        level = self._band(frame)
        candidates = (guess / self.factor)[:, None].round() + _square(reach)
        scores = torch.stack([self._compare(level, candidates[:, i]) for i in range(candidates.shape[1])], 1)
        start = candidates[torch.arange(len(guess)), scores.argmax(1)]
        shift = self._refine(level, start)
        return shift * self.factor, self._compare(level, shift)

    def _band(self, frame: Tensor) -> Tensor:
        """[1,2,h,w]: the shrunk frame less its local mean, times weight, and the weight."""
        sums = F.avg_pool2d((frame * self.full)[None, None], self.factor)
        band = sums - self.shrunk * blur(sums, BLOCK_RADIUS / 2) / self.blurred
        return torch.cat([band, self.shrunk], 1)

    def _refine(self, level: Tensor, start: Tensor, steps: int = 5) -> Tensor:
        shift = start
        for _ in range(steps):
            ours, theirs, weight = self._pair(level, shift)
            # the contrast of mixed copies varies
            gain = _dot(ours, theirs, weight) / _dot(theirs, theirs, weight).clamp_min(1e-6)
            error = theirs * gain.clamp(0.5, 2.0)[:, None] - ours
            slope = torch.einsum("np,np,npi->ni", weight, error, self.gradient)
            tensor = torch.einsum("np,npi,npj->nij", weight, self.gradient, self.gradient) + torch.eye(2) * NOISE**2
            shift = shift - torch.linalg.solve(tensor, slope).clamp(-1, 1)
        return start + (shift - start).clamp(-2, 2)

    def _compare(self, level: Tensor, shift: Tensor) -> Tensor:
        """Normalised correlation [n] over the pixels with weight in both; -1 where there are too few."""
        ours, theirs, weight = self._pair(level, shift)
        scale = (_dot(ours, ours, weight) * _dot(theirs, theirs, weight)).sqrt().clamp_min(1e-6)
        enough = weight.sum(1) >= 0.5 * self.weight.sum(1)
        return torch.where(enough, _dot(ours, theirs, weight) / scale, -1.0)

    def _pair(self, level: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The blocks and what is at their shifted places, both less their means, and the weight, [n,p] each."""
        value, weight = _sample(level, self.at + shift[:, None])
        weight = weight * self.weight
        return _centred(self.value, weight), _centred(value, weight), weight


def _sample(level: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Value and weight at positions [n,p,2], bilinear among pixels with weight; weight 0 outside the frame."""
    value, weight = read(level, at, "zeros")
    return value / weight.clamp_min(1e-6), weight


def _centred(value: Tensor, weight: Tensor) -> Tensor:
    return value - (value * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-6)


def _dot(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return (a * b * weight).sum(1)


def _square(radius: int) -> Tensor:
    """Offsets [p,2], x and y, of the pixels of a square."""
    line = torch.arange(-radius, radius + 1.0)
    return torch.cartesian_prod(line, line).flip(1)
