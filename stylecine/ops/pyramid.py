"""Laplacian pyramid whose levels can be warped.

Level i has pixels 2^i times as large and shares the image's top left corner, so a point x of the image lies at x / 2^i
of level i for any size, odd or even.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

# Even length, as coarse pixel centres lie between fine ones (align_corners=False). At the coarse level's Nyquist
# frequency it leaves 0.18; [1,3,3,1] leaves 0.35, which flickers.
LOW_PASS = (1, 5, 10, 10, 5, 1)


def downsample(image: Tensor) -> Tensor:
    """[C,h,w] -> [C,ceil(h/2),ceil(w/2)]: low-pass and decimation by 2, the border replicated."""
    h, w = image.shape[1:]
    padded = F.pad(image[None], (2, 2 + w % 2, 2, 2 + h % 2), mode="replicate")[0]
    return _decimated(_decimated(padded, 1), 2)


def _decimated(image: Tensor, axis: int) -> Tensor:
    """Every second row (axis 1) or column (axis 2) of the low-pass: taps at equal distance share a product, which takes
    a quarter of the time of torch's convolution with one channel a group."""
    taps = image.unfold(axis, len(LOW_PASS), 2).unbind(3)

    def pair(k: int) -> Tensor:
        return (taps[k] + taps[-1 - k]) * (LOW_PASS[k] / sum(LOW_PASS))

    return pair(0).add_(pair(1)).add_(pair(2))


def upsample(image: Tensor) -> Tensor:
    """[C,h,w] -> [C,2h,2w] as in StyleGAN2: zeros inserted, [1,3,3,1] filter, zeros past the border.

    Away from the border that is bilinear interpolation, which torch does in one fast pass; a border of zeros makes it
    so everywhere.
    """
    padded = F.pad(image[None], (1, 1, 1, 1))
    return F.interpolate(padded, scale_factor=2, mode="bilinear", align_corners=False)[0, :, 2:-2, 2:-2]


def split(image: Tensor, bands: int) -> list[Tensor]:
    """Laplacian bands, finest first, and finally the low-pass; merge() of them is the image."""
    levels = []
    for _ in range(bands):
        coarse = downsample(image)
        levels.append(image - _fit(upsample(coarse), image))
        image = coarse
    return [*levels, image]


def merge(levels: Sequence[Tensor]) -> Tensor:
    """Sum of levels [C,h,w], finest first, each upsampled to the next."""
    total = levels[-1]
    for level in reversed(levels[:-1]):
        total = level + _fit(upsample(total), level)
    return total


def _fit(image: Tensor, like: Tensor) -> Tensor:
    return image[..., : like.shape[-2], : like.shape[-1]]
