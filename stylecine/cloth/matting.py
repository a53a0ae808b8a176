"""Where cloth may leave its outline, where it has to hold, and what is behind it.

Next to plain background (sky, a wall: smooth, and so up to the picture's border) cloth may flap: its matte takes along
what a mask has missed, which is never quite at the edge, and what it uncovers is filled in from around.
Elsewhere (skin, hair, poles, other cloth) it is held, so that what is beside it stays exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import push_pull

STRIP = 0.009  # of the long side: how far from its edge a mask may be
SOFT = 3  # pixels: half the width of the matte's border in the open
ROUGH = 0.045  # of [0,1]: what is plain has a smaller standard deviation of colours within a cell and its neighbours
BETWEEN = 0.07  # of [0,1]: a colour further from all mixtures of cloth and background belongs to something else
FRINGE = 0.15  # so much of the cloth's colour beside a mask, and it has missed some
FAR = 0.04  # of the long side: so far behind the cloth nothing is known of the background's detail
ALIKE = 0.06  # of [0,1]: cloth and background nearer than that are not told apart by colour
UNCOVERED = 2  # cells from what goes with the cloth: further away the photo is what is behind it
LEAST = 0.02  # of the picture: plain regions that do not reach its border are larger than this


@dataclass(frozen=True, eq=False)
class Outline:
    """matte uint8 [H,W] and background uint8 [H,W,3] as `ops.drape` has them; on a grid with a point in the middle of
    every cell*cell pixels: clearance [gh,gw], pixels to what holds the cloth, 0 in it, and shaded [gh,gw] in [0,1], how
    much of the cloth's own shading a place takes."""

    matte: Tensor
    background: Tensor
    clearance: Tensor
    shaded: Tensor


def outline(photo: Tensor, mask: Tensor, frozen: Tensor, cell: int) -> Outline:
    """photo [3,H,W] in [-1,1]; mask [H,W] and frozen [H,W] in [0,1]: what is cloth, and what stands still."""
    colour = (photo + 1) / 2
    strip = max(2.0, STRIP * max(mask.shape))  # pixels
    inside = on_grid(mask, cell) >= 0.5
    held = on_grid(frozen, cell) >= 0.3
    shown, rough = on_grid(colour, cell), _roughness(colour, cell)
    cells = 1 + math.ceil(strip / cell)  # what is rough because the cloth is next to it is told by its colour as well
    near = _grown(inside, cells) & ~inside
    deep = ~_grown(~inside, cells)
    plain = _large(~inside & ~near & (rough < ROUGH) & ~held)
    own, behind = _nearest(shown, deep if bool(deep.any()) else inside), _spread(shown, plain)
    share, odd = _mixture(shown, own, behind)
    free = plain | (near & (odd < BETWEEN) & _grown(plain, 2 * cells + 1) & ~held)
    holds = _reaching(~inside & ~free, ~near) | held
    free = plain | (near & _reached(inside, ~holds))
    holds = (~inside & ~free) | held
    away = ndimage.distance_transform_edt(np.pad(~holds.cpu().numpy(), 1, constant_values=True))[1:-1, 1:-1]
    clearance = torch.from_numpy(away.astype(np.float32) * cell).to(photo.device)
    shaded = torch.where(inside, share, torch.zeros_like(share))
    leaves = _grown(inside | (near & free & (share > FRINGE)), 1) & (inside | free)
    matte, background = _parted(colour, mask, leaves, free & ~leaves, (inside | free) & _grown(leaves, UNCOVERED), cell)
    return Outline(matte, background, clearance, F.avg_pool2d(shaded[None], 3, 1, 1, count_include_pad=False)[0])


def on_grid(image: Tensor, cell: int) -> Tensor:
    """Means of [C,H,W] or [H,W] over cells, those at the border over what there is of them."""
    maps = image if image.ndim == 3 else image[None]
    made = F.avg_pool2d(maps[None], cell, ceil_mode=True, count_include_pad=False)[0]
    return made if image.ndim == 3 else made[0]


def _parted(
    colour: Tensor, mask: Tensor, leaves: Tensor, known: Tensor, uncovers: Tensor, cell: int
) -> tuple[Tensor, Tensor]:
    """The matte and what is behind the cloth, in bytes.

    Of the grid, bool: what goes with the cloth, what is background and nothing else, and where background may be seen.
    """
    size = mask.shape
    wide, ground, seen = (_enlarged(x.float(), size, cell) for x in (leaves & ~_grown(~uncovers, 1), known, uncovers))
    matte = torch.maximum(_soft(mask, 1), _soft(wide, SOFT))
    visible = ground > 0.99
    filled = _continued(colour, visible) if bool(visible.any()) else colour
    background = torch.lerp(colour, filled, _soft(seen * (1 - ground), 1))
    return _bytes(matte), _bytes(background).permute(1, 2, 0).contiguous()


def _continued(colour: Tensor, visible: Tensor) -> Tensor:
    """What is not visible filled in: near by what is next to it, so that stripes go on, further away by means."""
    means = push_pull(colour[None], visible[None, None].float())[0]
    away, indices = ndimage.distance_transform_edt(~visible.cpu().numpy(), return_indices=True)
    y, x = (torch.from_numpy(i).long().to(colour.device) for i in indices)
    beside = F.avg_pool2d(colour[:, y, x][None], 5, 1, 2, count_include_pad=False)[0]
    far = torch.from_numpy(away.astype(np.float32)).to(colour.device) / (FAR * max(visible.shape))
    filled = torch.lerp(beside, means, far.clamp(0, 1) ** 2)
    return torch.where(visible, colour, filled)


def _bytes(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def _mixture(shown: Tensor, own: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the cloth's own colour there is in what is shown, all [3,h,w], beside the background's: [h,w] in
    [0,1]; and how far the shown is from any mixture of the two. Where they are alike, all is cloth."""
    apart = own - behind
    length = apart.square().sum(0)
    share = ((shown - behind) * apart).sum(0) / length.clamp_min(1e-6)
    told = ((length.sqrt() - ALIKE) / ALIKE).clamp(0, 1)
    odd = (shown - behind - share.clamp(-0.2, 1.2) * apart).norm(dim=0)
    return torch.lerp(torch.ones_like(share), (share / 0.6).clamp(0, 1), told), odd


def _roughness(colour: Tensor, cell: int) -> Tensor:
    """Standard deviation of colours [3,H,W] within a cell and its neighbours, [gh,gw]."""
    means = (on_grid(x, cell)[None] for x in (colour, colour**2))
    mean, square = (F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)[0] for x in means)
    return (square - mean**2).clamp_min(0).mean(0).sqrt()


def _large(places: Tensor) -> Tensor:
    """The connected pieces of bool [h,w] that reach the picture's border, or are large."""
    labels, count = ndimage.label(places.cpu().numpy())
    area = np.bincount(labels.ravel(), minlength=count + 1)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    keep = area >= LEAST * labels.size
    keep[border] |= area[border] >= LEAST / 10 * labels.size
    keep[0] = False
    return torch.from_numpy(keep[labels]).to(places.device)


def _reaching(places: Tensor, there: Tensor) -> Tensor:
    """The pieces of bool [h,w] that reach a place `there`, as a pole does, and not what a mask has merely missed."""
    labels, _ = ndimage.label(places.cpu().numpy(), np.ones((3, 3)))
    keep = np.isin(labels, np.setdiff1d(labels[there.cpu().numpy()], [0]))
    return torch.from_numpy(keep).to(places.device)


def _reached(start: Tensor, through: Tensor) -> Tensor:
    """All of bool [h,w] that is reached from `start` `through` places side by side."""
    first, allowed = (x.cpu().numpy() for x in (start, start | through))
    return torch.from_numpy(ndimage.binary_propagation(first, mask=allowed)).to(start.device)


def _nearest(image: Tensor, known: Tensor) -> Tensor:
    """[C,h,w] where each place has the value of the nearest known one."""
    indices = ndimage.distance_transform_edt(~known.cpu().numpy(), return_distances=False, return_indices=True)
    y, x = (torch.from_numpy(i).long().to(image.device) for i in indices)
    return image[:, y, x]


def _spread(image: Tensor, known: Tensor) -> Tensor:
    """[C,h,w], what is not known filled in from around."""
    return push_pull(image[None], known[None, None].float())[0] if bool(known.any()) else image


def _grown(places: Tensor, radius: int) -> Tensor:
    """Bool [h,w] with all within `radius` rows and columns of it."""
    grown = ndimage.binary_dilation(places.cpu().numpy(), np.ones((3, 3)), iterations=radius)
    return torch.from_numpy(grown).to(places.device)


def _soft_grown(mask: Tensor, radius: int, soft: int) -> Tensor:
    """mask [H,W] in [0,1], grown by a radius of pixels, soft at its border."""
    grown = mask[None, None]
    for size in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        grown = F.max_pool2d(grown, size, 1, (size[0] // 2, size[1] // 2))
    return _soft(grown[0, 0], soft)


def _soft(mask: Tensor, radius: int) -> Tensor:
    return F.avg_pool2d(mask[None, None], 2 * radius + 1, 1, radius, count_include_pad=False)[0, 0]


def _enlarged(places: Tensor, size: torch.Size, cell: int) -> Tensor:
    """[gh,gw] -> [H,W], linear between the middles of cells."""
    wide = F.interpolate(places[None, None], scale_factor=cell, mode="bilinear", align_corners=False)
    return wide[0, 0, : size[0], : size[1]]
