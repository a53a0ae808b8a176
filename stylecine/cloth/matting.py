"""The matte of cloth, the background behind it, and where the cloth is free to move.

In front of a plain background (smooth, and connected to the picture's border or large: sky, a wall), and of any other
background that `outline` finds, cloth may flap: its matte includes the strip of cloth that masks tend to miss, and
uncovered background is inpainted from the surroundings. Everything else (skin, hair, poles, other cloth) is an
obstacle: the cloth next to it stays exactly as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.cloth.outline import connected_to, free_outline, nearest_value, share_among
from stylecine.ops.image import blur, box_means, cell_means, dilate, nearest, push_pull, unmix
from stylecine.ops.regions import connected
from stylecine.ops.shift_map import copy_shifted
from stylecine.ops.texture import copy_texture_

MASK_ERROR = 0.009  # of the long side: how far a mask may be from the true edge
MATTE_SOFTNESS = 3  # pixels: half the width of the matte's border in front of plain background
MAX_PLAIN_DEVIATION = 0.045  # of [0, 1]: standard deviation of colours within a cell and its neighbours; more is rough
MAX_PLAIN_SHARE = 0.6  # of the background around a place: where more is plain, the place is not judged as rough
MIN_PLAIN_SHARE = 0.02  # of the picture: the smallest plain region; a tenth of that if it touches the picture's border
MAX_MIXTURE_ERROR = 0.07  # of [0, 1]: colours further from all mixtures of cloth and background are neither
MIN_COLOUR_DIFFERENCE = 0.06  # of [0, 1]: closer colours of cloth and background cannot be told apart
MIN_CLOTH_SHARE = 0.15  # of a colour next to a mask that is cloth: more has been missed by the mask
MAX_CLOTH_BEYOND = 0.5  # the same as far outside as a mask may be wrong; if more than this share of places have more,
# the cloth goes on
HIDING = 0.25  # of the matte: above it the background is entirely inpainted
DETAIL_DISTANCE = 0.04  # of the long side: this far behind the cloth the background's detail is unknown
UNCOVERED_CELLS = 2  # from the moving cloth: further away nothing is ever uncovered


@dataclass(frozen=True, eq=False)
class Matting:
    """matte uint8 [H,W] and background uint8 [H,W,3] as in `ops.drape`; and on a grid of cell*cell pixels, clearance
    [gh,gw]: pixels to the nearest obstacle, 0 inside it; shading [gh,gw] in [0,1]: share of the cloth's change in
    brightness that applies."""

    matte: Tensor
    background: Tensor
    clearance: Tensor
    shading: Tensor


def estimate_matting(photo: Tensor, mask: Tensor, frozen: Tensor, cell: int) -> Matting:
    """photo [3,H,W] in [-1,1]; mask of the cloth and frozen (what must not change), both [H,W] in [0,1]."""
    colour = (photo + 1) / 2
    inside, fixed = cell_means(mask, cell) >= 0.5, cell_means(frozen, cell) >= 0.3
    strip = max(2.0, MASK_ERROR * max(mask.shape))  # pixels
    around = _segment_surroundings(colour, inside, fixed, 1 + math.ceil(strip / cell), cell)
    cloth = inside | around.missed
    allowed = inside | around.free
    # a strip of plain background may move along unseen, one of rough background may not
    moves = (cloth | (dilate(cloth, 1) & ~around.rough)) & allowed
    moving = _enlarge(moves & ~dilate(~allowed, 1), mask.shape, cell)
    # where no cloth is in the photo, it is the background, to the byte
    matte = _to_bytes(torch.maximum(box_means(mask[None], 1)[0], box_means(moving[None], MATTE_SOFTNESS)[0]))
    background = _background(colour, matte, moves, inside, around, cell)
    shading = torch.where(inside, around.share, torch.zeros_like(around.share))
    return Matting(
        matte,
        _to_bytes(background).permute(1, 2, 0).contiguous(),
        _depth(~around.obstacles) * cell,
        F.avg_pool2d(shading[None], 3, 1, 1, count_include_pad=False)[0],
    )


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """Bool [gh,gw]: free, where the cloth may move; rough, the part of it that is not plain; missed, cloth that the
    mask lacks; obstacles, next to which cloth stands still. share [gh,gw]: of the cloth in each colour."""

    free: Tensor
    rough: Tensor
    missed: Tensor
    obstacles: Tensor
    share: Tensor


def _segment_surroundings(colour: Tensor, inside: Tensor, fixed: Tensor, reach: int, cell: int) -> _Surroundings:
    """colour [3,H,W] in [0,1]; inside (cloth) and fixed: bool [gh,gw]; reach: cells by which the mask may be wrong."""
    cells = cell_means(colour, cell)
    # the cloth itself makes the cells next to it rough, so those are judged by their colour instead
    near = dilate(inside, reach) & ~inside
    around = ~inside & ~near
    plain = _large_regions(around & (_deviation(colour, cell) < MAX_PLAIN_DEVIATION) & ~fixed)
    mostly_plain = blur(torch.stack((plain, around))[None].float(), 3 * reach)[0]
    rough, unseen = free_outline(cells, inside, reach)
    rough &= ~fixed & (mostly_plain[0] <= MAX_PLAIN_SHARE * mostly_plain[1])
    core, seen = ~dilate(~inside, reach), plain | (rough & ~near)
    cloth = nearest_value(cells, core if bool(core.any()) else inside)
    background = push_pull(cells[None], seen[None, None].float())[0] if bool(seen.any()) else cells
    share, error, reliable = unmix(cells, background, cloth, MIN_COLOUR_DIFFERENCE, beyond=0.2)
    # all is cloth where the two cannot be told apart
    share = torch.lerp(torch.ones_like(share), (share / 0.6).clamp(0, 1), reliable)
    mixed = near & (error < MAX_MIXTURE_ERROR) & dilate(plain, 2 * reach + 1) & ~fixed
    obstacles = connected_to(~inside & ~(plain | mixed | rough), ~near) | fixed
    obstacles |= _continued(mixed & ~rough & (share > MAX_CLOTH_BEYOND), inside, near, reach)
    free = plain | rough | (near & _flood(inside, ~obstacles))
    rough &= ~mixed
    missed = near & free & torch.where(rough, unseen, share > MIN_CLOTH_SHARE)
    return _Surroundings(free, rough, missed, (near & ~free) | fixed, share)  # only obstacles that it touches matter


def _continued(similar: Tensor, inside: Tensor, near: Tensor, reach: int) -> Tensor:
    """Where the cloth goes on further than a mask may be wrong, bool [gh,gw]: a stroke marks a part of a dress, whose
    other part holds it. similar: places of the cloth's own colours."""
    end = near & ~dilate(inside, reach - 1)
    stretches = share_among(similar, end, 2 * reach) > MAX_CLOTH_BEYOND
    return near & nearest_value(stretches[None], end)[0] if bool(end.any()) else end


def _background(
    colour: Tensor, matte: Tensor, moves: Tensor, inside: Tensor, around: _Surroundings, cell: int
) -> Tensor:
    """colour [3,H,W] in [0,1], inpainted where the cloth hides background that it may uncover. matte uint8 [H,W]."""
    known = _enlarge(around.free & ~dilate(moves, 1), matte.shape, cell)
    uncovered = _enlarge((inside | around.free) & dilate(moves, UNCOVERED_CELLS), matte.shape, cell)
    hidden = box_means((uncovered * (1 - known))[None], 1)[0] * (matte / (255 * HIDING)).clamp(max=1)
    rough = _enlarge(nearest_value(around.rough[None], ~inside)[0], matte.shape, cell)
    return torch.lerp(colour, _inpaint(colour, known > 0.99, rough), hidden)


def _inpaint(colour: Tensor, visible: Tensor, rough: Tensor) -> Tensor:
    """Fills invisible places: nearby with the nearest colours, which continues stripes; further away with means.
    rough [H,W] in [0,1]: the share copied from elsewhere instead, as these would smear a rough background."""
    if not bool(visible.any()):
        return colour
    means = push_pull(colour[None], visible[None, None].float())[0]
    distance, y, x = nearest(visible)
    close = F.avg_pool2d(colour[:, y, x][None], 5, 1, 2, count_include_pad=False)[0]
    far = distance / (DETAIL_DISTANCE * max(visible.shape))
    filled = torch.where(visible, colour, torch.lerp(close, means, far.clamp(0, 1) ** 2))
    textured = copy_texture_(filled.clone(), visible.to(colour))
    if bool(rough.any()):
        textured = torch.lerp(textured, copy_shifted(filled, visible), rough)
    return textured.clamp(0, 1)


def _depth(places: Tensor) -> Tensor:
    """Distance of bool [gh,gw] to the nearest that is not one of the places; outside of the picture all are."""
    padded = np.pad(places.cpu().numpy(), 1, constant_values=True)
    distance = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return torch.from_numpy(distance.astype(np.float32)).to(places.device)


def _to_bytes(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def _deviation(colour: Tensor, cell: int) -> Tensor:
    """Standard deviation of colours [3,H,W] within a cell and its neighbours, [gh,gw]."""
    means = (cell_means(x, cell)[None] for x in (colour, colour**2))
    mean, mean_square = (F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)[0] for x in means)
    return (mean_square - mean**2).clamp_min(0).mean(0).sqrt()


def _large_regions(places: Tensor) -> Tensor:
    """The connected regions of bool [h,w] that are large, or touch the picture's border."""
    parts = connected(places.cpu().numpy(), corners=False)
    smallest = np.where(parts.touch_border, MIN_PLAIN_SHARE / 10, MIN_PLAIN_SHARE) * places.numel()
    return torch.from_numpy(parts.keep(parts.size >= smallest)).to(places.device)


def _flood(start: Tensor, through: Tensor) -> Tensor:
    """All of bool [h,w] that is connected with `start` by places of `through`."""
    first, allowed = (x.cpu().numpy() for x in (start, start | through))
    return torch.from_numpy(ndimage.binary_propagation(first, mask=allowed)).to(start.device)


def _enlarge(places: Tensor, size: torch.Size, cell: int) -> Tensor:
    """Bool [gh,gw] -> float [H,W] in [0,1], bilinear between the centres of cells."""
    enlarged = F.interpolate(places[None, None].float(), scale_factor=cell, mode="bilinear", align_corners=False)
    return enlarged[0, 0, : size[0], : size[1]]
