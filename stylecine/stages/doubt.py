"""Where the mask may be wrong: what moves although the segmenter is hardly sure of it, and what might move but stands
still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize
from stylecine.ops.regions import Region, connected_regions

SHORT_SIDE = 256  # of the grid
MOVES, STANDS = 0.85, 0.2  # probabilities of moving: what moves is sure above, what stands still below
NARROW = 0.004  # of the short side: half the width of a border, along which every probability is doubtful
SMALLEST = 0.002  # of the photo


@dataclass(frozen=True, eq=False)
class Doubt(Region):
    """A place that moves and perhaps should not, or the reverse. klass: the likeliest of those that move."""

    moving: bool


def doubtful_regions(probabilities: Tensor, moves: Tensor, painted: np.ndarray) -> list[Doubt]:
    """Broad connected places where the mask may be wrong, masks bool [h,w] with a short side of 256, the largest first.

    probabilities: [5,h,w], static first, of `predict_probabilities`. moves: [H,W] in [0,1], how much each pixel moves.
    painted: bool [H,W], where the user has said what moves, which is beyond doubt.
    """
    size = fit_short_side(moves.shape, SHORT_SIDE)
    likely = resize(probabilities, size).float().cpu().numpy()
    moving = resize(moves[None], size)[0].cpu().numpy() > 0.5
    said = resize(torch.from_numpy(painted)[None].float(), size)[0].numpy() > 0.5
    radius = max(1, round(NARROW * min(size)))
    found = []
    for here, unsure, moves_here in ((moving, likely[0] > 1 - MOVES, True), (~moving, likely[0] < 1 - STANDS, False)):
        broad = ndimage.binary_opening(here & unsure & ~said, np.ones((3, 3)), iterations=radius)
        regions = connected_regions(broad, likely[1:].argmax(0), SMALLEST)
        found += [Doubt(region.mask, region.klass, moves_here) for region in regions]
    return sorted(found, key=lambda doubt: -doubt.share)
