"""Trunks and posts among plants that sway: they have long, straight, upright edges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import dilate, fit_short_side, resize
from stylecine.ops.regions import connected

SHORT_SIDE = 512  # short side of the copy in which they are looked for
LENGTH = 0.06  # of the short side: as far up and down an edge is straight
DEGREES = 7  # from the upright, at most
STEP = 0.1  # of [-1, 1], across three pixels: mean step at an edge
SHARE = 0.88  # of the steps along an edge: the mean with signs over that without; among leaves signs change
EXTENT = 0.08  # of the short side: height of the whole edge


def upright_static(photo: Tensor, plants: Tensor) -> Tensor:
    """Trunks and posts among plants, photo [3,H,W] in [-1,1], plants bool [H,W] -> bool [H,W].

    Their edges are long, straight and upright, and lighter on the same side all along; among leaves and blades the
    sides change.
    """
    size = fit_short_side(plants.shape, SHORT_SIDE)
    grey, among = resize(photo, size).mean(0), resize(plants[None].float(), size)[0]
    among = ~dilate(among < 0.5, 2)  # the plants' own outline is no edge of this kind
    h, w = size
    wide = F.pad(grey[None], (2, 2, 0, 0), mode="replicate")[0]
    step = (wide[:, 3:-1] - wide[:, 1:-3]) / 2 + (wide[:, 4:] - wide[:, :-4]) / 4
    reach = max(3, round(LENGTH * min(size)))
    steps = F.pad(torch.stack((step, step.abs())), (reach,) * 4)
    edges = torch.zeros_like(among)
    for degrees in range(-DEGREES, DEGREES + 1):
        slope = math.tan(math.radians(degrees))
        columns = [reach + round(at * slope) for at in range(-reach, reach + 1)]
        total = torch.zeros_like(steps[:, :h, :w])
        for row, column in enumerate(columns):
            total += steps[:, row : row + h, column : column + w]
        signed, length = total.abs() / len(columns)
        edges |= (signed > STEP) & (signed > SHARE * length)
    edges = dilate(edges & among, 1)
    parts = connected(edges.cpu().numpy())
    high = parts.keep(parts.extent[:, 0] >= EXTENT * min(size))
    found = torch.from_numpy(high).to(plants.device)
    return resize(found[None].float(), plants.shape)[0] > 0.25
