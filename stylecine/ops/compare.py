"""Correlation and energy of two displaced copies of a level, which their mix needs to keep its contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.render import on_level
from stylecine.ops.spline import sample

MAX_SIDE = 64


def compare(spline: Tensor, sources: Tensor, weight: Tensor, *, ratio: int, per_pixel: float, side: int = 8) -> Tensor:
    """Means over blocks of side*side pixels of weight * (a*a, b*b, a*b), summed over colours: float32
    [3,ceil(h/side),ceil(w/side)].

    a and b are the two copies of a level at a pixel x: the level at x + source(x) * per_pixel. Blocks at the right and
    at the bottom have fewer pixels.

    spline   [2h,2w,4], float32, float16 or bfloat16: spline coefficients of red, green, blue and an unused channel
    sources  [4,rows,columns] float32: x and y of copy A, then of copy B, on a grid that covers the level with a point
             in the middle of every ratio*ratio pixels (`ratio` a power of two); interpolated in between
    weight   [h,w] float32; where it is 0 nothing is read

    Past its border the level is replicated; a NaN source reads the first column or row (and a source within `ratio`
    pixels of it may do so, too). Raises ValueError if shapes, types or devices do not fit.
    """
    if spline.ndim != 3 or spline.numel() == 0 or any(n % 2 for n in spline.shape[:2]) or spline.shape[2] != 4:
        raise ValueError(f"compare: the spline is [2h,2w,4], not {list(spline.shape)}.")
    if spline.dtype not in native.DTYPES:
        raise ValueError(f"compare: the spline is float32, float16 or bfloat16, not {spline.dtype}.")
    if ratio < 1 or ratio & (ratio - 1) or not 1 <= side <= MAX_SIDE:
        raise ValueError(f"compare: ratio {ratio} is not a power of two, or side {side} not 1 to {MAX_SIDE}.")
    h, w = (n // 2 for n in spline.shape[:2])
    grid = [max(-(-n // ratio), m) for n, m in zip((h, w), sources.shape[-2:], strict=False)]
    for name, tensor, shape in (("sources", sources, (4, *grid)), ("weight", weight, (h, w))):
        native.check_tensor(f"compare: {name}", tensor, shape, torch.float32, spline.device)
    if not native.available(spline.device):
        return reference(spline, sources, weight, ratio=ratio, per_pixel=per_pixel, side=side)
    products = weight.new_empty((3, *(-(-n // side) for n in weight.shape)))
    kind = native.DTYPES[spline.dtype]
    args = _Args(spline, *weight.shape, kind, ratio, sources, *sources.shape[1:], per_pixel, side, weight, products)
    native.run("compare", args, spline.device)
    return products


_Args = native.structure(
    """void *spline; int64_t h, w; int32_t dtype, ratio; float *sources; int64_t rows, columns; float per_pixel;
    int32_t side; float *weight, *out"""
)


def reference(
    spline: Tensor, sources: Tensor, weight: Tensor, *, ratio: int, per_pixel: float, side: int = 8
) -> Tensor:
    """compare() in plain PyTorch."""
    level = spline[..., :3].permute(2, 0, 1).float().contiguous()
    sources = on_level(sources * per_pixel, cell=ratio, scale=1, region=(0, 0, *weight.shape))
    a, b = sample(level, sources[:2]), sample(level, sources[2:])
    products = torch.stack([(x * y).sum(0) * weight for x, y in ((a, a), (b, b), (a, b))])
    return F.avg_pool2d(products, side, ceil_mode=True)
