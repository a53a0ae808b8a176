"""Deep feature warping: two displaced copies of a feature map, mixed."""

from __future__ import annotations

import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.spline import sample


def warp_features(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """weight_a * features(x + source_a(x)) + weight_b * features(x + source_b(x)): [C,a,b] of the spline's type.

    spline   [C,2h,2w], float32, float16 or bfloat16: the features' spline coefficients (ops.spline.coefficients).
             Fast if they come from `channels_last`; others are rearranged in every call.
    sources  [4,a,b] float32: x and y of copy A, then of copy B, in pixels of the features, for the first a*b pixel
             centres. Past the border the features are replicated; NaN reads the first column or row.
    weights  [2,a,b] float32

    The result is dense in memory as [a,b,C]. Sums are float32. Raises ValueError if shapes, types or devices do not
    fit.
    """
    if spline.ndim != 3 or spline.numel() == 0 or any(n % 2 for n in spline.shape[1:]):
        raise ValueError(f"warp_features: the spline is [C,2h,2w], not {list(spline.shape)}.")
    if spline.dtype not in native.DTYPES:
        raise ValueError(f"warp_features: the spline is float32, float16 or bfloat16, not {spline.dtype}.")
    for name, tensor, count in (("sources", sources, 4), ("weights", weights, 2)):
        shape = count, *sources.shape[-2:]
        native.check_tensor(f"warp_features: {name}", tensor, shape, torch.float32, spline.device)
    if not native.available(spline.device):
        return channels_last(reference(spline, sources, weights))
    (channels, h, w), size = spline.shape, sources.shape[1:]
    warped = spline.new_empty(*size, channels)
    dense, kind = spline.permute(1, 2, 0), native.DTYPES[spline.dtype]
    args = _Args(dense, kind, channels, h // 2, w // 2, *size, sources, weights, warped)
    native.run("warp_features", args, spline.device)
    return warped.permute(2, 0, 1)


def channels_last(spline: Tensor) -> Tensor:
    """The same [C,2h,2w] with the channels of a coefficient adjacent in memory."""
    return spline.permute(1, 2, 0).contiguous().permute(2, 0, 1)


_Args = native.structure(
    "void *spline; int32_t dtype; int64_t channels, h, w, a, b; float *sources, *weights; void *out"
)


def reference(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """warp_features() in plain PyTorch."""
    dense = spline.float().contiguous()
    mixed = weights[0] * sample(dense, sources[:2]) + weights[1] * sample(dense, sources[2:])
    return mixed.to(spline.dtype)
