"""An image continued past its border by its mirror image."""

from __future__ import annotations

import torch
from torch import Tensor


def mirrored(image: Tensor, before: int, after: int, axis: int) -> Tensor:
    """With so many more pixels on both sides along an axis, however many: c b a | a b c | c b a."""
    size = image.shape[axis]
    if max(before, after) > size:
        place = torch.arange(-before, size + after, device=image.device) % (2 * size)
        return image.index_select(axis, torch.minimum(place, 2 * size - 1 - place))
    start, end = image.narrow(axis, 0, before), image.narrow(axis, size - after, after)
    return torch.cat((start.flip(axis), image, end.flip(axis)), dim=axis)
