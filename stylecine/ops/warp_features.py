"""Deep feature warping: two displaced copies of a feature map, mixed."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.operators import operator
from stylecine.ops.spline import sample


def warp_features(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """weight_a * features(x + source_a(x)) + weight_b * features(x + source_b(x)): [C,a,b] of the spline's type.

    spline   [C,2h,2w], float32, float16 or bfloat16: the features' spline coefficients (ops.spline.coefficients).
             Fast if `channels_last` has been over them; any others are rearranged in every call.
    sources  [4,a,b] float32: x and y of copy A, then of copy B, in pixels of the features, for a*b pixel centres from
             the first on. Past the border the features are replicated; what is not a number reads the first column
             or row.
    weights  [2,a,b] float32

    The result is dense in the order of its memory, [a,b,C]. Sums are float32. Raises ValueError if shapes, types or
    devices do not fit.
    """
    if spline.ndim != 3 or spline.numel() == 0 or any(n % 2 for n in spline.shape[1:]):
        raise ValueError(f"warp_features: the spline is [C,2h,2w], not {list(spline.shape)}.")
    if spline.dtype not in native.DTYPES:
        raise ValueError(f"warp_features: the spline is float32, float16 or bfloat16, not {spline.dtype}.")
    for name, tensor, count in (("sources", sources, 4), ("weights", weights, 2)):
        shape = count, *sources.shape[1:]
        if tensor.ndim != 3 or tensor.numel() == 0 or tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(
                f"warp_features: {name} are float32 [{count},a,b], not {tensor.dtype} {list(tensor.shape)}."
            )
        if tensor.device != spline.device:
            raise ValueError(f"warp_features: {name} are on {tensor.device}, the spline on {spline.device}.")
    warped: Tensor = torch.ops.stylecine.warp_features(spline, sources, weights)
    return warped


def channels_last(spline: Tensor) -> Tensor:
    """The same [C,2h,2w], with all channels of a coefficient side by side in memory."""
    return spline.permute(1, 2, 0).contiguous().permute(2, 0, 1)


class _Args(ctypes.Structure):
    _fields_ = (
        ("spline", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("channels", ctypes.c_int64),
        ("h", ctypes.c_int64),
        ("w", ctypes.c_int64),
        ("a", ctypes.c_int64),
        ("b", ctypes.c_int64),
        ("sources", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
    )


def _made(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    return spline.new_empty((*sources.shape[1:], len(spline))).permute(2, 0, 1)


@operator("warp_features", _made)
def _warp_features(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    if not native.available(spline.device):
        return channels_last(reference(spline, sources, weights))
    dense, sources, weights = channels_last(spline).permute(1, 2, 0), sources.contiguous(), weights.contiguous()
    warped = _made(spline, sources, weights)
    h, w, channels = dense.shape
    args = _Args(
        native.pointer(dense), native.DTYPES[spline.dtype], channels, h // 2, w // 2, *sources.shape[1:],
        native.pointer(sources), native.pointer(weights), native.pointer(warped.permute(1, 2, 0)),
    )  # fmt: skip
    native.run("warp_features", args, spline.device)
    return warped


def reference(spline: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """warp_features() in plain PyTorch."""
    dense = spline.float().contiguous()
    mixed = weights[0] * sample(dense, sources[:2]) + weights[1] * sample(dense, sources[2:])
    return mixed.to(spline.dtype)
