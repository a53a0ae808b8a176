"""One frame of the loop: two displaced copies of every level, mixed, added up and set into the photo."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.pyramid import merge
from stylecine.ops.spline import sample

Region = tuple[int, int, int, int]  # y0, x0, y1, x1 in canvas pixels; y0 and x0 lie on the coarsest grid


def render(
    photo: Tensor,
    moving: Tensor,
    levels: Sequence[Tensor],
    scales: Sequence[int],
    sources: Tensor,
    weights: Tensor,
    *,
    cell: int,
    margin: int,
    region: Region,
    base: Tensor | None = None,
) -> Tensor:
    """The frame [H,W,3] uint8: `photo` where `moving` is 0, the mixed copies where it is 1.

    photo    [3,H,W] float32, byte values 0..255
    moving   [H,W] in [0,1]
    levels   [3,h,w], spline coefficients, finest first; a pixel of level i is scales[i] canvas pixels wide. The
             canvas is the photo and `margin` pixels around it.
    sources  [4,gh,gw]: x, y of copy A's displacement and of copy B's in pixels, one a cell*cell canvas pixels
    weights  [levels,2,gh,gw]: weights of both copies in each level, contrast gain included, on the same grid
    region   what of the canvas is rendered
    base     [3,a,b] over the region, added to what is rendered (an image made anew, on which the levels go)
    """
    moved = merge(
        [
            mix(level, sources, weight, cell=cell, scale=scale, region=region)
            for level, scale, weight in zip(levels, scales, weights, strict=True)
        ]
    )
    return composite(photo, moving, moved if base is None else moved + base, margin=margin, region=region)


def mix(level: Tensor, sources: Tensor, weights: Tensor, *, cell: int, scale: int, region: Region) -> Tensor:
    """Both displaced copies of a level (coefficients), weighted and added: [3,a,b] over the region at its scale."""
    fields = on_level(torch.cat((sources / scale, weights)), cell=cell, scale=scale, region=region)
    origin = region[0] // scale, region[1] // scale
    copy_a, copy_b = sample(level, fields[0:2], origin), sample(level, fields[2:4], origin)
    return copy_a.mul_(fields[4]).addcmul_(copy_b, fields[5])


def on_level(fields: Tensor, *, cell: int, scale: int, region: Region) -> Tensor:
    """Fields [C,gh,gw], a point a cell*cell pixels, at the pixel centres of a level over the region."""
    gh, gw = fields.shape[1:]
    y0, x0, y1, x1 = region
    top, left = max(y0 // cell - 1, 0), max(x0 // cell - 1, 0)  # one point more for the interpolation
    fields = fields[None, :, top : min(-(-y1 // cell) + 1, gh), left : min(-(-x1 // cell) + 1, gw)]
    if scale < cell:
        fields = F.interpolate(fields, scale_factor=cell // scale, mode="bilinear", align_corners=False)
    elif scale > cell:
        fields = fields[..., y0 // cell - top :, x0 // cell - left :]
        fields = F.avg_pool2d(fields, scale // cell, ceil_mode=True)
        top, left = y0 // cell, x0 // cell
    fields = fields[..., (y0 - top * cell) // scale :, (x0 - left * cell) // scale :]
    return fields[0, :, : -(-(y1 - y0) // scale), : -(-(x1 - x0) // scale)]


def composite(photo: Tensor, moving: Tensor, moved: Tensor, *, margin: int, region: Region) -> Tensor:
    """The photo [3,H,W] (0..255) with `moved` [3,a,b] (-1..1, over the region) in it: [H,W,3] uint8."""
    h, w = moving.shape
    y0, x0 = max(region[0] - margin, 0), max(region[1] - margin, 0)
    y1, x1 = min(region[2] - margin, h), min(region[3] - margin, w)
    moved = moved[:, y0 + margin - region[0] :, x0 + margin - region[1] :][:, : y1 - y0, : x1 - x0]
    still = photo[:, y0:y1, x0:x1]
    inside = torch.lerp(still, moved.clamp(-1, 1).add(1).mul(127.5), moving[y0:y1, x0:x1])
    frame = photo.to(torch.uint8)
    frame[:, y0:y1, x0:x1] = inside.add_(dither(h, w, photo.device)[y0:y1, x0:x1]).to(torch.uint8)
    return frame.permute(1, 2, 0).contiguous()


def dither(h: int, w: int, device: torch.device) -> Tensor:
    """What is added before bytes are cut off: [h,w], 1/32 .. 31/32, the same in every frame.

    Rounding would hold slow motion back where the photo, all whole numbers, has just begun to move, and a drifting
    sky would show the steps of its gradient. Whole numbers stay what they are. (Roberts's R2 sequence.)
    """
    x, y = torch.arange(w, device=device), torch.arange(h, device=device)[:, None]
    return ((193 * x + 147 * y) % 256 // 16 + 0.5) / 16
