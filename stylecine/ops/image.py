"""Small operations on images that several stages share: bytes and tensors, mirrored borders, filling, precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # Rec. 601
MAX_ASPECT = 4.0  # of what a network sees
ACROSS = 1 / 64  # of the width, at either edge of a photo that wraps: over so much motion sets in
MEETING = 1 / 16  # of the width, at either edge of a photo that wraps: over so much its fields are brought together


def to_tensor(photo: np.ndarray) -> Tensor:
    """uint8 [H,W,3] -> float32 [3,H,W] in [-1,1] on the CPU; 0 becomes -1, 255 becomes 1."""
    pixels = torch.from_numpy(np.array(photo, dtype=np.uint8, order="C"))
    values = pixels.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)
    return values.div_(127.5).sub_(1.0)


def to_uint8(image: Tensor) -> Tensor:
    """float [3,H,W] -> contiguous uint8 [H,W,3] on the same device: clamped, rounded half to even.

    Undoes `to_tensor` exactly on every byte. Not-a-number becomes 0.
    """
    levels = (image.float() + 1.0).mul_(127.5).nan_to_num_(nan=0.0).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous()


def dither(h: int, w: int, device: torch.device) -> Tensor:
    """Added before truncation to bytes: [h,w], 1/32 .. 31/32, the same in every frame.

    Rounding would hold slow motion back where the photo, all whole numbers, has just begun to move, and a drifting sky
    would show steps in its gradient. Whole numbers are kept. (Roberts's R2 sequence.)
    """
    x, y = torch.arange(w, device=device), torch.arange(h, device=device)[:, None]
    return ((193 * x + 147 * y) % 256 // 16 + 0.5) / 16


def fit_short_side(size: Sequence[int], short: int) -> tuple[int, int]:
    """(H, W) scaled down to that short side; as it is if it is smaller."""
    scale = min(1.0, short / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def network_size(size: Sequence[int], short: float) -> tuple[int, int]:
    """(H, W) for a network trained at that short side: multiples of 32; panoramas beyond 4:1 are squeezed."""
    scale = short / min(size)
    h, w = (max(32, round(min(n * scale, MAX_ASPECT * short) / 32) * 32) for n in size)
    return h, w


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """[C,h,w] -> [C,*size], bilinear, antialiased where it shrinks; values are not scaled."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    return F.interpolate(image[None], tuple(size), mode="bilinear", align_corners=False, antialias=shrinks)[0]


def dilate(x: Tensor, radius: int) -> Tensor:
    """[H,W] bool or float: the largest value within `radius` rows and columns.

    Window sizes double from step to step, so that large radii are cheap.
    """
    fill = False if x.dtype == torch.bool else -math.inf
    for axis in (0, 1):
        x = F.pad(x, (0, 0, radius, radius) if axis == 0 else (radius, radius), value=fill)
        reached, window = 1, 2 * radius + 1
        while reached < window:
            step = min(reached, window - reached)
            rest = x.shape[axis] - step
            x = torch.maximum(x.narrow(axis, 0, rest), x.narrow(axis, step, rest))
            reached += step
    return x


def cell_means(image: Tensor, cell: int) -> Tensor:
    """Means of [...,H,W] over cells of that many pixels a side, those at the border over the part inside the image."""
    channels = image.reshape(1, -1, *image.shape[-2:])
    means = F.avg_pool2d(channels, cell, ceil_mode=True, count_include_pad=False)
    return means.view(*image.shape[:-2], *means.shape[-2:])


def nearest(known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place the distance to the nearest known one, bool [h,w], and its row and column, [h,w] each."""
    distance, indices = ndimage.distance_transform_edt(~known.cpu().numpy(), return_indices=True)
    rows, columns = torch.from_numpy(indices).long().to(known.device)
    return torch.from_numpy(distance).to(known.device, torch.float32), rows, columns


def box_sums(image: Tensor, radius: int, axis: int, *, replicate: bool = False) -> Tensor:
    """[...,H,W]: sums over `radius` pixels on either side, along one of the last two axes. Past the border there are
    zeros or, with `replicate` and only for [H,W], copies of its last pixel.

    Window sizes double from step to step, which takes a fraction of torch's pooling over long windows.
    """
    size, window = image.shape[axis], 2 * radius + 1
    pads = (radius, radius, 0, 0) if axis in (-1, image.ndim - 1) else (0, 0, radius, radius)
    rest = F.pad(image[None], pads, mode="replicate" if replicate else "constant")[0]
    total, covered = torch.zeros_like(image), 0
    width = 1  # that `rest` sums over
    while True:
        if window & width:
            total += rest.narrow(axis, covered, size)
            covered += width
        if covered == window:
            return total
        kept = rest.shape[axis] - width
        rest = rest.narrow(axis, 0, kept) + rest.narrow(axis, width, kept)
        width *= 2


def box_means(image: Tensor, radius: int) -> Tensor:
    """[C,H,W]: means over `radius` pixels on all sides, as far as they are within the image."""
    rows, columns = (box_sums(image.new_ones(1, side), radius, 1)[0] for side in image.shape[1:])
    return box_sums(box_sums(image, radius, 1), radius, 2) / (rows[:, None] * columns)


def blur(image: Tensor, radius: int) -> Tensor:
    """[...,H,W] blurred by two boxes, zeros beyond the border: about a Gaussian with a sigma of `radius` pixels."""
    for _ in range(2):
        image = box_sums(box_sums(image, radius, -1), radius, -2) / (2 * radius + 1) ** 2
    return image


def mirrored(image: Tensor, before: int, after: int, axis: int) -> Tensor:
    """The image extended along an axis by its mirror image, by any number of pixels: c b a | a b c | c b a."""
    size = image.shape[axis]
    if max(before, after) > size:
        place = torch.arange(-before, size + after, device=image.device) % (2 * size)
        return image.index_select(axis, torch.minimum(place, 2 * size - 1 - place))
    start, end = image.narrow(axis, 0, before), image.narrow(axis, size - after, after)
    return torch.cat((start.flip(axis), image, end.flip(axis)), dim=axis)


def wrapped(image: Tensor, columns: int) -> Tensor:
    """The image [...,W] of all directions, continued to the left and to the right past where its edges meet."""
    return torch.cat((image[..., image.shape[-1] - columns :], image, image[..., :columns]), -1)


def meeting(field: Tensor) -> Tensor:
    """A field [...,W] whose left and right edges are brought together, from both sides, over a part of its width. It
    stays within its range."""
    fade = 1 - from_left(field, MEETING)
    mean = (field[..., -1:] + field[..., :1]) / 2
    return field + (fade + fade.flip(0)) * (mean - field)


def still_across(moves: Tensor) -> Tensor:
    """How much moves, [H,W] in [0,1], no more at either edge than at the other, where the two meet."""
    away = from_left(moves, ACROSS)
    return moves.minimum(moves[:, -1:] + away).minimum(moves[:, :1] + away.flip(0))


def from_left(image: Tensor, share: float) -> Tensor:
    """[W]: 0 at the left edge of an image [...,W], 1 from a share of its width on."""
    width = image.shape[-1]
    return (torch.arange(width, device=image.device) / (share * width)).clamp(max=1)


def push_pull(image: Tensor, visible: Tensor) -> Tensor:
    """image [N,C,H,W] filled in where visible [N,1,H,W], in [0,1], is 0; kept as it is where it is 1."""
    image = image * visible  # under the same name, so that the argument can be freed
    return _filled(image, visible)


def unmix(
    colours: Tensor, start: Tensor, end: Tensor, least: float, beyond: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Colours [3,h,w] as mixtures of `start` and `end`, [3,h,w] each, on the line through both, up to a share `beyond`
    either end: the share of `end`, the distance to the nearest mixture, and how surely the two can be told apart, in
    [0,1]: 0 if their distance is `least` or less, 1 from twice that on. [h,w] each."""
    difference = end - start
    squared = difference.square().sum(0)
    share = ((colours - start) * difference).sum(0) / squared.clamp_min(1e-6)
    error = (colours - start - share.clamp(-beyond, 1 + beyond) * difference).norm(dim=0)
    return share, error, ((squared.sqrt() - least) / least).clamp(0, 1)


def _filled(image: Tensor, weight: Tensor) -> Tensor:
    """The argument is premultiplied by its weight; the result is not."""
    height, width = image.shape[-2:]
    if max(height, width) == 1:
        return image / weight.clamp(min=1e-6)
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    gain = 1 / coarse_weight.clamp(min=0.25)           # one visible pixel of four is enough to know the cell
    filled = _filled(coarse * gain, coarse_weight * gain)
    blurred = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return blurred.mul_(1 - weight).add_(image)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on CPUs that compute in it, where convolutions are twice as fast; else float32."""
    query = getattr(torch.cpu, "get_capabilities", None)  # older versions of torch lack it
    capabilities = query() if query and device.type == "cpu" else {}
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32
