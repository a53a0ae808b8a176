"""Probabilities made consistent among places of similar colour, and along the photo's own edges, at any size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stylecine.ops.image import box_means, fast_dtype, network_size, resize
from stylecine.ops.smoothstep import smoothstep

CRF_CELLS = 4000  # of the random field's grid: its matrix has their square
COLOUR_SIGMA = 0.04  # of [0, 1]: standard deviation of the Gaussian of colour differences by which places agree
DISTANCE_SIGMA = 0.1  # of the short side: the same, of distances
PAIRWISE_WEIGHT = 1.5  # of all other places beside a place's own prediction
MIN_EXPONENT = -60.0  # smaller powers of e do not matter, and are slow where they are denormal


def both_ways(net: Callable[[Tensor], Tensor], photo: Tensor) -> tuple[Tensor, Tensor]:
    """What a network says of a photo [3,H,W] and of its mirror image, [1,C,h,w] each: one by one takes less memory."""
    return net(photo[None]), net(photo.flip(2)[None])


def crf_refine(
    probabilities: Tensor, photo: Tensor, weight: float = PAIRWISE_WEIGHT, cells: int = CRF_CELLS, rounds: int = 5
) -> Tensor:
    """Probabilities [K,h,w] refined by a fully connected conditional random field (Kraehenbuehl and Koltun 2011).

    Mean-field inference is exact on a coarse grid of at most `cells`; the changes of the logarithms are then
    interpolated. weight: of all other places beside a place's own prediction.
    """
    grid = _crf_grid(probabilities.shape[-2:], cells)
    own = resize(probabilities, grid).clamp_min(1e-4).flatten(1).log().log_softmax(0)
    rows, columns = (torch.arange(n, device=photo.device) / min(grid) for n in grid)
    positions = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    features = torch.cat([(resize(photo, grid) / 2).flatten(1) / COLOUR_SIGMA, positions / DISTANCE_SIGMA]).T
    affinity = torch.cdist(features, features).square_()
    affinity = affinity.mul_(-0.5).clamp_(min=MIN_EXPONENT).exp_().fill_diagonal_(0)
    affinity /= affinity.sum(0) + 1e-3
    field = own.softmax(0)
    for _ in range(rounds):
        field = (own + weight * field @ affinity).softmax(0)
    change = (field.clamp_min(1e-4).log() - own).unflatten(1, grid)
    return (probabilities.clamp_min(1e-4).log() + resize(change, probabilities.shape[-2:])).softmax(0)


def _crf_grid(size: torch.Size, cells: int = CRF_CELLS) -> tuple[int, int]:
    """Rows and columns of a grid of at most this many cells, in the proportions of `size`."""
    scale = min(1.0, math.sqrt(cells / (size[0] * size[1])))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def mean_probability(photo: Tensor, net: Callable[[Tensor], Tensor], short_sides: Sequence[int], shown: int) -> Tensor:
    """[h,w]: the mean logit over a photo [3,H,W] in [-1,1] at some sizes and their mirror images, as a probability.

    net: photos [N,3,H,W] -> logits [N,1,h,w]. shown: that of the sizes whose grid it has.
    """
    dtype, logits = fast_dtype(photo.device), {}
    for short in short_sides:
        small = resize(photo, network_size(photo.shape[-2:], short))
        with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            straight, mirrored = (x[0].float() for x in both_ways(net, small))
        logits[short] = (straight + mirrored.flip(2)) / 2
    grid = logits[shown].shape[-2:]
    return torch.stack([resize(x, grid)[0] for x in logits.values()]).mean(0).sigmoid()


def follow_edges(soft: Tensor, photo: Tensor, eps: float = 2e-4) -> Tensor:
    """soft [1,h,w] -> [H,W], locally linear in the photo's colours: the fast guided filter (He and Sun 2015).

    The linear coefficients are fitted at the resolution of `soft` and applied at the photo's.
    """
    small = torch.cat([resize(channel[None] / 2 + 0.5, soft.shape[-2:]) for channel in photo])
    radius = max(2, round(0.015 * min(soft.shape[-2:])))

    mean, value = box_means(small, radius), box_means(soft, radius)
    products = box_means((small[:, None] * small[None]).flatten(0, 1), radius).unflatten(0, (3, 3))
    covariance = (products - mean[:, None] * mean[None]).permute(2, 3, 0, 1)
    with_value = (box_means(small * soft, radius) - mean * value).permute(1, 2, 0)
    slope = torch.linalg.solve(covariance + eps * torch.eye(3, device=photo.device), with_value).permute(2, 0, 1)
    offset = value - (slope * mean).sum(0, keepdim=True)
    slope, offset = (box_means(part, radius) for part in (slope, offset))
    followed = torch.zeros_like(photo[0])
    for part, channel in zip(slope, photo, strict=True):  # one after another, as all at full size take much memory
        followed += resize(part[None], followed.shape)[0].mul_(channel / 2 + 0.5)
    return followed.add_(resize(offset, followed.shape)[0]).clamp_(0, 1)


def soft_threshold(soft: Tensor, half: float) -> Tensor:
    """0 up to half - 0.15, 1 from half + 0.15 on, smoothstep between: without soft tails."""
    return smoothstep(0, 1, (soft - half) / 0.3 + 0.5)
