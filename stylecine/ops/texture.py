"""Fine detail for inpainted areas, copied from similar places nearby.

What fills a hole, generated or interpolated, has about the right colours and is smoother than its surroundings. So its
finest detail is replaced by that of a visible place a short shift away. The shift is chosen place by place among a few
dozen by how well the two match on a coarse grid. After He and Sun, "Statistics of Patch Offsets for Image Completion"
(ECCV 2012), with a fixed fan of shifts and no graph cut: fine detail hardly shows seams.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import box_means, cell_means

DETAIL_CELLS = 170  # across the short side: what is finer than these, or than 6 pixels, is copied
MATCH_CELLS = 128  # across the short side, on which shifts are compared
WINDOW = 9  # cells a side, over which they are compared
REACHES = (0.06, 0.10, 0.16)  # of the short side: lengths of the shifts, in DIRECTIONS each
DIRECTIONS = 8
STRIP = 256  # rows that get their detail at a time
HIDDEN_COST = 0.5  # of a window with nothing visible, in squared differences of colour (2 is the maximum)


def copy_texture_(filled: Tensor, visible: Tensor) -> Tensor:
    """Gives filled [3,H,W] detail of visible places where visible [H,W] in {0,1} is 0, in place.

    Places from which no shift leads to a visible one keep theirs.
    """
    height, width = visible.shape
    cell = max(1, round(min(height, width) / MATCH_CELLS))
    shift = best_shift(filled, visible, cell)
    detail = filled.clone()
    for channel in detail:
        channel -= blurred(channel[None])[0]
    for top in range(0, height, STRIP):  # indices of all hidden places would take more memory than the image
        y, x = torch.nonzero(visible[top : top + STRIP] == 0, as_tuple=True)
        y += top
        dy, dx = shift[:, y // cell, x // cell]
        found = (dy != 0) | (dx != 0)
        y, x, dy, dx = (indices[found] for indices in (y, x, dy, dx))
        source = detail[:, (y + dy).clamp(0, height - 1), (x + dx).clamp(0, width - 1)]
        filled[:, y, x] += source - detail[:, y, x]
    return filled


def blurred(image: Tensor) -> Tensor:
    """image [C,H,W] without its detail, which is finer than `detail_cell`."""
    cell = detail_cell(min(image.shape[1:]))
    coarse = cell_means(image, cell)
    enlarged = F.interpolate(coarse[None], scale_factor=float(cell), mode="bilinear", align_corners=False)[0]
    return enlarged[:, : image.shape[1], : image.shape[2]]


def detail_cell(short: int) -> int:
    """The cell, in pixels, of an image of that short side: DETAIL_CELLS across it, or 6 pixels."""
    return max(6, round(short / DETAIL_CELLS))


def best_shift(image: Tensor, visible: Tensor, cell: int) -> Tensor:
    """Rows and columns, in pixels, to the place most similar to each cell: int [2,h,w]; 0, 0 where there is none."""
    colours = cell_means(image, cell)
    seen = 1 - F.max_pool2d(1 - visible[None], cell, ceil_mode=True)  # the whole cell
    h, w = seen.shape[1:]
    candidates = shifts(min(h, w))
    reach = max(max(abs(dy), abs(dx)) for dy, dx in candidates)
    padded = F.pad(torch.cat((seen, colours)), (reach, reach, reach, reach))
    best, chosen = torch.full_like(seen[0], torch.inf), torch.zeros((2, h, w), dtype=torch.long, device=image.device)
    for dy, dx in candidates:
        there = padded[:, reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        difference = (there[1:] - colours).square().sum(0) * there[0]
        share, error = box_means(torch.stack((there[0], difference)), WINDOW // 2)
        cost = torch.where(there[0] > 0, error / share.clamp_min(1e-6) + HIDDEN_COST * (1 - share), torch.inf)
        better = cost < best
        best = torch.where(better, cost, best)
        chosen[0].masked_fill_(better, dy * cell)
        chosen[1].masked_fill_(better, dx * cell)
    return chosen


@cache
def shifts(short: int) -> list[tuple[int, int]]:
    """Rows and columns of the shifts on a grid with that short side; directions alternate from reach to reach."""
    found = []
    for number, reach in enumerate(REACHES):
        for k in range(DIRECTIONS):
            angle = 2 * math.pi * (k + number / 2) / DIRECTIONS
            found.append((round(short * reach * math.sin(angle)), round(short * reach * math.cos(angle))))
    return list(dict.fromkeys(found))
