"""Ordered dither: what is added to colours before they become bytes."""

from __future__ import annotations

import torch
from torch import Tensor


def dither(h: int, w: int, device: torch.device) -> Tensor:
    """Added before truncation to bytes: [h,w], 1/32 .. 31/32, the same in every frame.

    Rounding would hold slow motion back where the photo, all whole numbers, has just begun to move, and a drifting sky
    would show steps in its gradient. Whole numbers are kept. (Roberts's R2 sequence.)
    """
    x, y = torch.arange(w, device=device), torch.arange(h, device=device)[:, None]
    return ((193 * x + 147 * y) % 256 // 16 + 0.5) / 16
