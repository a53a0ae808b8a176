"""Bytes at the interface, float32 in [-1,1] inside: the two conversions between them."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(photo: np.ndarray) -> Tensor:
    """uint8 [H,W,3] -> float32 [3,H,W] in [-1,1] on the CPU; 0 becomes -1, 255 becomes 1."""
    pixels = torch.from_numpy(np.array(photo, dtype=np.uint8, order="C"))
    return pixels.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format) / 127.5 - 1.0


def to_uint8(image: Tensor) -> Tensor:
    """float [3,H,W] -> contiguous uint8 [H,W,3] on the same device: clamped, rounded half to even.

    Undoes `to_tensor` exactly on every byte. Not-a-number becomes 0.
    """
    levels = torch.nan_to_num((image.float() + 1.0) * 127.5, nan=0.0).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous()
