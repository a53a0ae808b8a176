"""Probabilities of a photo and its mirror image, along the photo's own edges, at any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stylecine.ops.image import box_means, fast_dtype, network_size, resize
from stylecine.ops.smoothstep import smoothstep


def mean_probability(photo: Tensor, net: Callable[[Tensor], Tensor], short_sides: Sequence[int]) -> Tensor:
    """[h,w]: the mean logit over a photo [3,H,W] in [-1,1] at some sizes and their mirror images, as a probability, on
    the grid of the first size.

    net: photos [N,3,H,W] -> logits [N,1,h,w].
    """
    dtype, logits = fast_dtype(photo.device), []
    for short in short_sides:
        small = resize(photo, network_size(photo.shape[-2:], short))
        with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            straight, mirrored = (net(x[None])[0].float() for x in (small, small.flip(2)))
        logits.append((straight + mirrored.flip(2)) / 2)
    grid = logits[0].shape[-2:]
    return torch.stack([resize(x, grid)[0] for x in logits]).mean(0).sigmoid()


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
