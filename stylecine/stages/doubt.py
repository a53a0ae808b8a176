"""Where the mask may be wrong: what moves although the segmenter was hardly sure that it does."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize

SHORT_SIDE = 256  # of the grid
UNSURE = 0.85  # probability of moving: of broad places below it, more than half should stand still
NARROW = 0.004  # of the short side: half the width of a border, along which every probability is low
SMALLEST = 0.002  # of the photo
MOST = 3  # more would not be looked at


def doubtful_regions(probabilities: Tensor, moves: Tensor) -> list[np.ndarray]:
    """Connected places that move and may be wrong, each bool [h,w] with a short side of 256: the largest three.

    probabilities: [5,h,w], static first, of `predict_probabilities`. moves: [H,W] in [0,1], how much each pixel moves.
    """
    size = fit_short_side(moves.shape, SHORT_SIDE)
    sure = 1 - resize(probabilities[:1], size)[0].float().cpu().numpy()
    doubt = (sure < UNSURE) & (resize(moves[None], size)[0].float().cpu().numpy() > 0.5)
    radius = max(1, round(NARROW * min(size)))
    broad = ndimage.binary_opening(doubt, np.ones((3, 3)), iterations=radius)
    labels, _ = ndimage.label(broad, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    largest = sorted(range(len(sizes)), key=lambda n: -sizes[n])[:MOST]
    return [labels == n + 1 for n in largest if sizes[n] >= SMALLEST * labels.size]
