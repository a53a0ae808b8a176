"""Cloth or plants composited over frames, each at its moment: displaced, reshaded, with the background uncovered."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.image import dither

TILE = 32  # pixels; as in stylecine.h
GAMMA = 2.2


def drape_(
    frames: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    keyframes: Tensor,
    weights: Tensor,
    active: Tensor,
    *,
    cell: int,
    fine: bool = False,
) -> Tensor:
    """The frames, uint8 [n,H,W,3], contiguous and no part of the other arguments, with the cloth drawn into them.

    frames      the photo, or frames of its moving landscape, static where there is cloth.
    photo       uint8 [H,W,3].
    background  uint8 [H,W,3]: the photo, inpainted behind the cloth.
    matte       uint8 [H,W]: 255 is cloth, 0 is none.
    keyframes   float32 [K,3,gh,gw]: offset, x and y in pixels, at which the cloth is read, and the binary logarithm of
                its gain in linear light, from -1 to 1: coefficients of a cubic B-spline, one in the middle of every
                cell*cell pixels.
    weights     float32 [n,K], of keyframes: the field of each frame is their weighted sum.
    active      uint8 [H over TILE, W over TILE], rounded up: tiles that are 0 are not changed.
    cell        a power of two.
    fine        whether it is fine texture that moves slowly, as leaves: interpolated so that more of its contrast is
                kept, and dithered.

    A field of zeros keeps the photo's own bytes, also where the matte is soft. Raises ValueError if shapes, types or
    devices do not fit.
    """
    native.check_frames("drape", frames)
    count, height, width = frames.shape[:3]
    for name, tensor in (("photo", photo), ("background", background)):
        native.check_tensor(f"drape: {name}", tensor, (height, width, 3), torch.uint8, frames.device)
    native.check_tensor("drape: matte", matte, (height, width), torch.uint8, frames.device)
    tiles = -(-height // TILE), -(-width // TILE)
    native.check_tensor("drape: active", active, tiles, torch.uint8, frames.device)
    keys, *grid = keyframes.shape[0], *keyframes.shape[-2:]
    native.check_tensor("drape: keyframes", keyframes, (keys, 3, *grid), torch.float32, frames.device)
    native.check_tensor("drape: weights", weights, (count, keys), torch.float32, frames.device)
    if cell < 1 or cell & (cell - 1) or grid[0] * cell < height or grid[1] * cell < width:
        raise ValueError(f"drape: cells of {cell} pixels are no power of two, or do not cover the frame.")
    others = photo, background, matte, keyframes, weights, active
    if not native.available(frames.device):
        return frames.copy_(reference(frames, *others, cell=cell, fine=fine))
    sizes = count, height, width, keys
    args = _Args(photo, background, matte, *sizes, keyframes, weights, cell, *grid, active, frames, int(fine))
    native.run("drape", args, frames.device)
    return frames


_Args = native.structure(
    """uint8_t *photo, *background, *matte; int64_t frames, height, width, keys; float *keyframes, *weights;
    int32_t cell; int64_t gh, gw; uint8_t *active, *frame; int32_t fine"""
)


def reference(
    frames: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    keyframes: Tensor,
    weights: Tensor,
    active: Tensor,
    *,
    cell: int,
    fine: bool = False,
) -> Tensor:
    """drape_() of a copy, in plain PyTorch and from other formulas."""
    height, width = matte.shape
    here, behind, before = photo.float(), background.float(), matte.float() / 255
    noise = dither(height, width, photo.device)[..., None] if fine else 0.5
    tiles = active.bool().repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)[:height, :width, None]
    uncovered = (before[..., None] > 0) | (photo != background).any(-1, keepdim=True)
    unmoved = here - torch.lerp(behind, here, before[..., None])
    made = []
    for frame, field in zip(frames, torch.tensordot(weights, keyframes, 1), strict=True):
        dx, dy, log_gain = bspline_at_pixels(field, cell)[:, :height, :width]
        x = (torch.arange(width, device=dx.device) + dx).nan_to_num(-4.0).clamp(-4, width + 4)
        y = (torch.arange(height, device=dx.device)[:, None] + dy).nan_to_num(-4.0).clamp(-4, height + 4)
        now = _bilinear(before, x, y)[..., None]
        gain = 2 ** (log_gain.nan_to_num(-1.0).clamp(-1, 1) / GAMMA)
        shown = _cubic(here, x, y, 0.75 if fine else 0.5) * gain[..., None]
        still = (1 - dx.square() - dy.square()).nan_to_num(0.0).clamp(0, 1).square()[..., None]
        drawn = torch.lerp(frame.float() + behind - here, shown, now) + still * unmoved
        drawn = (drawn + noise).floor().clamp(0, 255).to(torch.uint8)
        made.append(torch.where(((now > 0) | uncovered) & tiles, drawn, frame))
    return torch.stack(made)


def bspline_at_pixels(field: Tensor, cell: int) -> Tensor:
    """Coefficients [C,gh,gw] of a cubic B-spline, one in the middle of every cell*cell pixels, at the pixels:
    [C, gh*cell, gw*cell].

    The sum over coefficients is a transposed convolution with the B-spline.
    """
    half = 0.5 * (cell > 1)  # the middle of a cell lies between two pixels, or in its only one
    ramp = ((torch.arange(4 * cell, device=field.device) + half) / cell - 2).abs().clamp(max=2)
    kernel = torch.where(ramp < 1, (4 - 6 * ramp**2 + 3 * ramp**3) / 6, (2 - ramp) ** 3 / 6)
    start = 7 * cell // 2 if cell > 1 else 4  # of pixel 0, counted from the first pixel that the padding reaches
    wide = F.pad(field[:, None], (2, 2, 2, 2), mode="replicate")
    for axis in (2, 3):
        shape, stride = ((-1, 1), (cell, 1)) if axis == 2 else ((1, -1), (1, cell))
        wide = F.conv_transpose2d(wide, kernel.view(1, 1, *shape), stride=stride)
        wide = wide.narrow(axis, start, field.shape[axis - 1] * cell)
    return wide[:, 0]


def _bilinear(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """[h,w] at places [a,b] in its pixels, the border replicated."""
    h, w = image.shape
    places = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1)
    return F.grid_sample(image[None, None], places[None], padding_mode="border", align_corners=False)[0, 0]


def _cubic(image: Tensor, x: Tensor, y: Tensor, steepness: float) -> Tensor:
    """[h,w,3] at places [a,b] in its pixels: cubic Hermite pieces whose slopes are the differences of the neighbours
    times `steepness`, first along every row, then along columns; the border is replicated."""
    h, w = image.shape[:2]
    left, top = x.floor().long(), y.floor().long()
    u, v = (x - left)[..., None], (y - top)[..., None]

    def along_row(row: Tensor) -> Tensor:
        a, b, c, d = (image[row, (left + k).clamp(0, w - 1)] for k in (-1, 0, 1, 2))
        return _hermite(b, c, (c - a) * steepness, (d - b) * steepness, u)

    a, b, c, d = (along_row((top + k).clamp(0, h - 1)) for k in (-1, 0, 1, 2))
    return _hermite(b, c, (c - a) * steepness, (d - b) * steepness, v)


def _hermite(start: Tensor, end: Tensor, leaves: Tensor, arrives: Tensor, t: Tensor) -> Tensor:
    change = end - start
    return start + t * (leaves + t * (3 * change - 2 * leaves - arrives + t * (leaves + arrives - 2 * change)))
