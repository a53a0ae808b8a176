"""Cloth over a frame, as it hangs in the wind at some moment: moved, shaded anew, and what is behind it."""

from __future__ import annotations

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.operators import operator

TILE = 32  # pixels; as in stylecine.h
GAMMA = 2.2


def drape(
    frame: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    field: Tensor,
    active: Tensor,
    *,
    cell: int,
) -> Tensor:
    """The frame with the cloth drawn into it: uint8 [H,W,3].

    frame       uint8 [H,W,3]: the photo, or it with a landscape in motion, which stands still where there is cloth.
    photo       uint8 [H,W,3].
    background  uint8 [H,W,3]: the photo, and behind the cloth what is there.
    matte       uint8 [H,W]: 255 is cloth, 0 is none.
    field       float32 [3,gh,gw]: how far away, x and y in pixels, the cloth of a place is to be read, and the binary
                logarithm of its gain in linear light, from -1 to 1: coefficients of a cubic B-spline, one in the
                middle of every cell*cell pixels.
    active      uint8 [H over TILE, W over TILE], rounded up: tiles that are 0 are left alone.
    cell        a power of two.

    Zeros leave the photo's own bytes, also where the matte is soft. Raises ValueError if shapes, types or devices do
    not fit.
    """
    height, width = frame.shape[:2]
    pictures = {"frame": frame, "photo": photo, "background": background}
    shapes = dict.fromkeys(pictures, (height, width, 3)) | {
        "matte": (height, width),
        "active": (-(-height // TILE), -(-width // TILE)),
    }
    for name, tensor in {**pictures, "matte": matte, "active": active}.items():
        if tuple(tensor.shape) != shapes[name] or tensor.dtype != torch.uint8 or not tensor.numel():
            raise ValueError(f"drape: {name} is uint8 {list(shapes[name])}, not {tensor.dtype} {list(tensor.shape)}.")
    if field.ndim != 3 or len(field) != 3 or field.dtype != torch.float32 or not field.numel():
        raise ValueError(f"drape: the field is float32 [3,gh,gw], not {field.dtype} {list(field.shape)}.")
    if cell < 1 or cell & (cell - 1) or field.shape[1] * cell < height or field.shape[2] * cell < width:
        raise ValueError(f"drape: cells of {cell} pixels are no power of two, or do not cover the frame.")
    for tensor in (photo, background, matte, field, active):
        if tensor.device != frame.device:
            raise ValueError(f"drape: all is on one device, not on {tensor.device} and {frame.device}.")
    drawn: Tensor = torch.ops.stylecine.drape(frame, photo, background, matte, field, active, cell)
    return drawn


class _Args(ctypes.Structure):
    _fields_ = (
        ("photo", ctypes.c_void_p),
        ("background", ctypes.c_void_p),
        ("matte", ctypes.c_void_p),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("field", ctypes.c_void_p),
        ("cell", ctypes.c_int32),
        ("gh", ctypes.c_int64),
        ("gw", ctypes.c_int64),
        ("active", ctypes.c_void_p),
        ("frame", ctypes.c_void_p),
    )


def _made(
    frame: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    field: Tensor,
    active: Tensor,
    cell: int,
) -> Tensor:
    return frame.new_empty(frame.shape)


@operator("drape", _made)
def _drape(
    frame: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    field: Tensor,
    active: Tensor,
    cell: int,
) -> Tensor:
    if not native.available(frame.device):
        return reference(frame, photo, background, matte, field, active, cell=cell)
    drawn = frame.clone(memory_format=torch.contiguous_format)
    photo, background, matte, field, active = (x.contiguous() for x in (photo, background, matte, field, active))
    args = _Args(
        native.pointer(photo), native.pointer(background), native.pointer(matte),
        *matte.shape, native.pointer(field), cell, *field.shape[1:], native.pointer(active), native.pointer(drawn),
    )  # fmt: skip
    native.run("drape", args, frame.device)
    return drawn


def reference(
    frame: Tensor,
    photo: Tensor,
    background: Tensor,
    matte: Tensor,
    field: Tensor,
    active: Tensor,
    *,
    cell: int,
) -> Tensor:
    """drape() in plain PyTorch, from other formulas."""
    height, width = matte.shape
    dx, dy, log_gain = widened(field, cell)[:, :height, :width]
    x = (torch.arange(width, device=dx.device) + dx).nan_to_num(-4.0).clamp(-4, width + 4)
    y = (torch.arange(height, device=dx.device)[:, None] + dy).nan_to_num(-4.0).clamp(-4, height + 4)
    before = matte.float() / 255
    now = _bilinear(before, x, y)[..., None]
    gain = 2 ** (log_gain.nan_to_num(-1.0).clamp(-1, 1) / GAMMA)
    shown = _catmull_rom(photo.float(), x, y) * gain[..., None]
    still = (1 - dx.square() - dy.square()).nan_to_num(0.0).clamp(0, 1).square()[..., None]
    here, behind, before = photo.float(), background.float(), before[..., None]
    unmoved = here - torch.lerp(behind, here, before)
    drawn = torch.lerp(frame.float() + behind - here, shown, now) + still * unmoved
    drawn = (drawn + 0.5).floor().clamp(0, 255).to(torch.uint8)
    touched = (now > 0) | (before > 0) | (photo != background).any(-1, keepdim=True)
    tiles = active.bool().repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)[:height, :width, None]
    return torch.where(touched & tiles, drawn, frame)


def widened(field: Tensor, cell: int) -> Tensor:
    """Coefficients [C,gh,gw] of a cubic B-spline, one in the middle of every cell*cell pixels, at the pixels:
    [C, gh*cell, gw*cell].

    The cubic B-spline is a box four times convolved with itself; a sum over coefficients is a transposed convolution.
    """
    half = 0.5 * (cell > 1)  # the middle of a cell lies between two pixels, that of a single pixel in it
    ramp = ((torch.arange(4 * cell, device=field.device) + half) / cell - 2).abs().clamp(max=2)
    kernel = torch.where(ramp < 1, (4 - 6 * ramp**2 + 3 * ramp**3) / 6, (2 - ramp) ** 3 / 6)
    start = 7 * cell // 2 if cell > 1 else 4  # pixel 0, from the first that two more coefficients before it reach
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


def _catmull_rom(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """[h,w,3] at places [a,b] in its pixels: cubic Hermite pieces whose slopes are those of the neighbours, first along
    every row, then along columns; the border is replicated."""
    h, w = image.shape[:2]
    left, top = x.floor().long(), y.floor().long()
    u, v = (x - left)[..., None], (y - top)[..., None]

    def along_row(row: Tensor) -> Tensor:
        a, b, c, d = (image[row, (left + k).clamp(0, w - 1)] for k in (-1, 0, 1, 2))
        return _hermite(b, c, (c - a) / 2, (d - b) / 2, u)

    a, b, c, d = (along_row((top + k).clamp(0, h - 1)) for k in (-1, 0, 1, 2))
    return _hermite(b, c, (c - a) / 2, (d - b) / 2, v)


def _hermite(start: Tensor, end: Tensor, leaves: Tensor, arrives: Tensor, t: Tensor) -> Tensor:
    change = end - start
    return start + t * (leaves + t * (3 * change - 2 * leaves - arrives + t * (leaves + arrives - 2 * change)))
