"""Where the mask may be wrong: what moves although the eye is hardly sure of it, and what might move but stands
still; and, where somebody has said what moves, what drifts with the sky although the eye is sure that it stands
still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize
from stylecine.ops.regions import Region, connected_regions
from stylecine.options import SKY, SMOKE

SHORT_SIDE = 256  # of the grid on which doubtful places are looked for
SURELY_MOVES = 0.85  # probability of moving from which what moves is beyond doubt
SURELY_STANDS = 0.2  # probability of moving up to which what stands still is beyond doubt
NARROW = 0.004  # of the short side: half the width of a border, along which every probability is doubtful
SMALLEST_DOUBT = 0.002  # of the photo
# Of the 126 validation photos 24 have parts that seem to be left out by these: in 15 one is, and 55% of the places are.
SMALLEST_LEFT_OUT = 0.0075  # of the photo
BORDER = 0.012  # of the short side: width of what is looked at around such a part
SAME_BESIDE = 0.3  # of that: with less that moves as the part would, it is something else
TORN_SIDE = 512  # short side of the grid on which torn things are looked for: they may be as thin as posts
TORN = 0.1  # probability of moving below which what moves is torn off
SMALLEST_TORN = 0.0008  # of the photo


@dataclass(frozen=True, eq=False)
class Doubt(Region):
    """A place that moves and perhaps should not, or the reverse. moving_class: the likeliest of those that move."""

    moving: bool


def doubtful_regions(probabilities: Tensor, moves: Tensor, painted: np.ndarray) -> list[Doubt]:
    """Broad connected places where the mask may be wrong, masks bool [h,w] with a short side of 256, the largest first.

    probabilities: [5,h,w], static first, of `Networks.seen`. moves: [H,W] in [0,1], how much each pixel moves.
    painted: bool [H,W], where the user has said what moves, which is beyond doubt.
    """
    size = fit_short_side(moves.shape, SHORT_SIDE)
    likely = resize(probabilities, size).float().cpu().numpy()
    moving = resize(moves[None], size)[0].cpu().numpy() > 0.5
    said = resize(torch.from_numpy(painted)[None].float(), size)[0].numpy() > 0.5
    radius = max(1, round(NARROW * min(size)))
    found = []
    moves_unsurely, stands_unsurely = moving & (likely[0] > 1 - SURELY_MOVES), ~moving & (likely[0] < 1 - SURELY_STANDS)
    for unsure, moves_here in ((moves_unsurely, True), (stands_unsurely, False)):
        broad = ndimage.binary_opening(unsure & ~said, np.ones((3, 3)), iterations=radius)
        regions = connected_regions(broad, likely[1:].argmax(0), SMALLEST_DOUBT)
        found += [Doubt(region.mask, region.moving_class, moves_here) for region in regions]
    return sorted(found, key=lambda doubt: -doubt.share)


def left_out_regions(doubts: Sequence[Doubt], layers: Tensor) -> list[Doubt]:
    """Which of these `doubts` are large, and border on what moves as they would: the other half of a river. A sky need
    not border on one, since what looks like it is; of mist nobody can say where it ends. layers: [4,H,W]."""
    if not doubts:
        return []
    moves = resize(layers, doubts[0].mask.shape).cpu().numpy() > 0.5
    reach = max(1, round(BORDER * min(moves.shape[1:])))

    def goes_on(doubt: Doubt) -> bool:
        border = ndimage.binary_dilation(doubt.mask, iterations=reach) & ~doubt.mask
        return doubt.moving_class == SKY or bool(moves[doubt.moving_class][border].mean() > SAME_BESIDE)

    still = [doubt for doubt in doubts if not doubt.moving and doubt.moving_class != SMOKE]
    return [doubt for doubt in still if doubt.share >= SMALLEST_LEFT_OUT and goes_on(doubt)]


def torn_regions(probabilities: Tensor, layers: Tensor, moves: Tensor) -> list[Doubt]:
    """Static things that a rough mask or stroke lets drift with the sky: parts of ridges, trees and posts, masks bool
    [h,w] with a short side of 512, the largest first.

    probabilities: [5,h,w], static first, of `Networks.seen`. layers: [4,H,W]. moves: [H,W] in [0,1], how much
    each pixel moves in the end. What drifts with water is not looked for: water that the eye takes for ground is
    more frequent than ground that a mask takes for water.
    """
    size = fit_short_side(moves.shape, TORN_SIDE)
    sky = torch.where(layers[SKY] > 0, moves, 0.0)
    drifts = resize(sky[None].float(), size)[0].cpu().numpy() > 0.5
    static = resize(probabilities[:1].float(), size)[0].cpu().numpy() > 1 - TORN
    regions = connected_regions(ndimage.binary_opening(drifts & static), np.full(size, SKY), SMALLEST_TORN)
    return [Doubt(region.mask, region.moving_class, moving=True) for region in regions]
