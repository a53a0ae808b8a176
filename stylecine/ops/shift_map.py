"""Colours for a strip of hidden background, copied from visible places a shift away.

The shift is chosen place by place, by how well the visible part of its neighbourhood agrees with what is there: what
is beside the strip goes on into it, as windows do along a wall. After Pritch, Kav-Venaki and Peleg, "Shift-Map Image
Editing" (ICCV 2009), with wide neighbourhoods instead of a graph cut.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import blur, cell_means

CELLS = 128  # across the short side, on which neighbourhoods are compared
REACH = 20  # cells: the longest shift, in rows and in columns
RADIUS = 6  # cells, of a neighbourhood
STEP = 2  # cells, from one shift that is tried to the next
MIN_SEEN = 0.02  # of a neighbourhood has to be visible, here and there
HIDDEN_COST = 0.2  # of a neighbourhood with nothing visible, in the sum of three differences of colours in [0,1]
MAX_COST = 0.5  # of a shift: where none is better, nothing is copied


def copy_shifted(filled: Tensor, visible: Tensor) -> Tensor:
    """filled [3,H,W] with colours of visible places where visible, bool [H,W], is false.

    Places too far from all that is visible keep theirs, and so do those whose neighbourhood resembles no other.
    """
    height, width = visible.shape
    cell = max(1, round(min(height, width) / CELLS))
    shift = _best_shift(filled, visible, cell)
    y, x = torch.nonzero(~visible, as_tuple=True)
    dy, dx = shift[:, y // cell, x // cell]
    from_y, from_x = (y + dy).clamp(0, height - 1), (x + dx).clamp(0, width - 1)
    found = visible[from_y, from_x]
    copied = filled.clone()
    copied[:, y[found], x[found]] = filled[:, from_y[found], from_x[found]]
    return copied


def _best_shift(image: Tensor, visible: Tensor, cell: int) -> Tensor:
    """Rows and columns, in pixels, to the best place for each cell: int [2,h,w]; 0, 0 where there is none."""
    colours = cell_means(image, cell)
    seen = 1 - F.max_pool2d((~visible).float()[None], cell, ceil_mode=True)  # the whole cell
    h, w = seen.shape[1:]
    padded = F.pad(torch.cat((seen, colours)), (REACH,) * 4)
    best, chosen = torch.full_like(seen[0], MAX_COST), torch.zeros((2, h, w), dtype=torch.long, device=image.device)
    for dy in range(-REACH, REACH + 1, STEP):
        for dx in range(-REACH, REACH + 1, STEP):
            there = padded[:, REACH + dy : REACH + dy + h, REACH + dx : REACH + dx + w]
            both = there[0] * seen[0]
            difference = (there[1:] - colours).abs().sum(0) * both
            share, error = blur(torch.stack((both, difference)), RADIUS)
            cost = error / share.clamp_min(MIN_SEEN) + HIDDEN_COST * (1 - share)
            better = (cost < best) & (there[0] > 0) & (share > MIN_SEEN)
            best = torch.where(better, cost, best)
            chosen[0].masked_fill_(better, dy * cell)
            chosen[1].masked_fill_(better, dx * cell)
    return chosen
