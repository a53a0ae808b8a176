"""Small operations on images that several stages share: bytes and tensors, mirrored borders, filling, precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
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


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """[C,h,w] -> [C,*size], bilinear, antialiased where it shrinks; values are not scaled."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    return F.interpolate(image[None], tuple(size), mode="bilinear", align_corners=False, antialias=shrinks)[0]


def mirrored(image: Tensor, before: int, after: int, axis: int) -> Tensor:
    """With so many more pixels on both sides along an axis, however many: c b a | a b c | c b a."""
    size = image.shape[axis]
    if max(before, after) > size:
        place = torch.arange(-before, size + after, device=image.device) % (2 * size)
        return image.index_select(axis, torch.minimum(place, 2 * size - 1 - place))
    start, end = image.narrow(axis, 0, before), image.narrow(axis, size - after, after)
    return torch.cat((start.flip(axis), image, end.flip(axis)), dim=axis)


def push_pull(image: Tensor, visible: Tensor) -> Tensor:
    """Fill image [N,C,H,W] where visible [N,1,H,W], in [0,1], is 0; where it is 1 the image is kept as it is."""
    return _filled(image * visible, visible)


def _filled(image: Tensor, weight: Tensor) -> Tensor:
    """image is premultiplied by its weight; what comes back is not."""
    height, width = image.shape[-2:]
    if max(height, width) == 1:
        return image / weight.clamp(min=1e-6)
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    gain = 1 / coarse_weight.clamp(min=0.25)           # one visible pixel of four is enough to know the cell
    filled = _filled(coarse * gain, coarse_weight * gain)
    blurred = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return image + (1 - weight) * blurred


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on processors that calculate in it, where convolutions are twice as quick; else float32."""
    asked = getattr(torch.cpu, "get_capabilities", None)  # older versions of torch do not say
    able = asked() if asked and device.type == "cpu" else {}
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
