"""Forward warping: every source adds itself to the four pixels around where it lands."""

from __future__ import annotations

import torch
from torch import Tensor


def splat(image: Tensor, displacement: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of weighted sources and of their weights, spread bilinearly at p + displacement(p).

    image [C,h,w], displacement [2,h,w] in its pixels, weight [h,w] -> ([C,h,w], [h,w]). What lands outside is
    lost. Their quotient is the normalised splat; where the second is 0 there is a hole.
    """
    h, w = image.shape[-2:]
    x = torch.arange(w, device=image.device) + displacement[0]
    y = torch.arange(h, device=image.device)[:, None] + displacement[1]
    left, top = x.floor(), y.floor()
    sources = torch.cat((image * weight, weight[None])).flatten(1)
    total = torch.zeros_like(sources)
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            share = (share_y * share_x * inside).flatten()
            target = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).long().flatten()
            total.index_add_(1, target, sources * share)
    total = total.view(-1, h, w)
    return total[:-1], total[-1]
