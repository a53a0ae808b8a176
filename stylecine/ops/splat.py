"""Forward warping: every source pixel is added to the four pixels around its target."""

from __future__ import annotations

import torch
from torch import Tensor

from stylecine.ops import native


def splat(
    image: Tensor,
    displacement: Tensor,
    weight: Tensor,
    *,
    plate: float = 1e-6,
    softmax: bool = False,
    deterministic: bool = False,
) -> tuple[Tensor, Tensor]:
    """n copies of an image splat together: (image float32 [C,h,w], shares [n,h,w]).

    Each source is distributed bilinearly around p + displacement(p); what lands outside is lost. Each pixel is the
    weighted mean of what lands there and of the image itself, unmoved, with the weight `plate`: it shows where nothing
    lands. Shares are each copy's part of the pixel; the rest is the plate's.

    image         [C,h,w], float32, float16 or bfloat16
    displacement  [n,2,h,w] float32, in its pixels (x right, y down)
    weight        [n,h,w] float32. Sources whose weight is negative or not finite, or whose displacement is NaN, add
                  nothing.
    plate         above 0
    softmax       weights are logarithms: a source has the weight exp(weight - the largest finite weight of all copies)
    deterministic on the GPU, sums in fixed point are the same in every run; contributions below about 1e-9 of the
                  largest are lost. The CPU is always deterministic.

    Raises ValueError if shapes, types or devices do not fit.
    """
    if image.ndim != 3 or image.numel() == 0 or image.dtype not in native.DTYPES:
        raise ValueError(f"splat: the image is [C,h,w] of a float type, not {image.dtype} {list(image.shape)}.")
    n, (h, w) = len(displacement) if displacement.ndim else 0, image.shape[1:]
    for name, tensor, shape in (("displacement", displacement, (n, 2, h, w)), ("weight", weight, (n, h, w))):
        native.check_tensor(f"splat: {name}", tensor, shape, torch.float32, image.device)
    if not 0 < plate < float("inf"):
        raise ValueError(f"splat: plate is above 0 and finite, not {plate}.")
    if not native.available(image.device):
        return reference(image, displacement, weight, plate=plate, softmax=softmax)
    moved, shares = image.new_empty(image.shape, dtype=torch.float32), weight.new_empty(weight.shape)
    kind, sizes = native.DTYPES[image.dtype], (*image.shape, n)
    args = _Args(image, kind, softmax, *sizes, displacement, weight, plate, deterministic, moved, shares)
    native.run("splat", args, image.device)
    return moved, shares


_Args = native.structure(
    """void *image; int32_t dtype, softmax; int64_t channels, h, w, copies; float *displacement, *weight; float plate;
    int32_t deterministic; float *out, *shares"""
)


def reference(
    image: Tensor, displacement: Tensor, weight: Tensor, *, plate: float = 1e-6, softmax: bool = False, **_: bool
) -> tuple[Tensor, Tensor]:
    """splat() in plain PyTorch, which is always deterministic."""
    image, counts = image.float(), weight.isfinite() & ~displacement.isnan().any(1)
    if softmax:
        weight = (weight - weight.where(weight.isfinite(), -torch.inf).max()).exp()
    weight = weight.where(counts & (weight > 0), 0)
    sums = [_sums(image, d, k) for d, k in zip(displacement.nan_to_num(0.0), weight, strict=True)]
    shares = torch.stack([total[-1] for total in sums])
    total = shares.sum(0) + plate
    return (torch.stack([total[:-1] for total in sums]).sum(0) + plate * image) / total, shares / total


def _sums(image: Tensor, displacement: Tensor, weight: Tensor) -> Tensor:
    """Sums of one copy's weighted channels and, last, of its weights: [C+1,h,w]."""
    h, w = image.shape[1:]
    x = (torch.arange(w, device=image.device) + displacement[0]).clamp(-2, w)
    y = (torch.arange(h, device=image.device)[:, None] + displacement[1]).clamp(-2, h)
    left, top = x.floor(), y.floor()
    sources = torch.cat((image * weight, weight[None])).flatten(1)
    total = torch.zeros_like(sources)
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            share = (share_y * share_x * inside).flatten()
            target = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).long().flatten()
            total.index_add_(1, target, sources * share)
    return total.view(-1, h, w)
