"""Small patches that seem to stand in the middle of water: which of them are foam, ripples or glints, and move."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from stylecine.ops.regions import Box, Parts, connected

SHORT_SIDE = 1024  # of a photo in whose pixels the following are
LEAST = 40  # pixels of a patch
HALO = 1.5  # pixels beside what stands which stand with it
RIM, AROUND = 3, 0.9  # pixels; of the rim of so many pixels, the share that is water
REACH = 24  # pixels: how far beyond a patch's box its surroundings are
LARGEST = 0.03  # of the photo: a patch's box
MOVES = 0.8  # probability from which a patch moves: a rope that breaks is worse than foam that stands


def that_move(stands: np.ndarray, water: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """What of `stands`, bool [H,W], is a patch that moves with the water around it, halo included: bool [H,W].

    water: bool [H,W]. logits: [2,H,W], `Sight.patches` enlarged.
    """
    short = min(stands.shape)
    halo = max(1, round(HALO * short / SHORT_SIDE))
    parts = connected(ndimage.binary_dilation(stands, np.ones((3, 3)), halo))
    moves = np.zeros(parts.count + 1, bool)
    for number, box, patch, surroundings in patches_of(parts, water):
        within, beside = logits[(slice(None), *box)]
        moves[number] = within[patch].mean() + beside[surroundings].mean() > math.log(MOVES / (1 - MOVES))
    return parts.keep(moves)


def patches_of(parts: Parts, around: np.ndarray) -> Iterator[tuple[int, Box, np.ndarray, np.ndarray]]:
    """Of what stands in a photo, the patches: parts that are small and have what is `around`, bool [H,W], on all sides.

    Yields a part's number, a box around it and its surroundings, and both within that box, bool: surroundings are what
    of it is in no part.
    """
    height, width = parts.numbers.shape
    scale = min(height, width) / SHORT_SIDE
    rim, reach = max(1, round(RIM * scale)), max(2, round(REACH * scale))
    for number, ((rows, columns), size) in enumerate(zip(parts.boxes, parts.size[1:], strict=True), 1):
        margin = min(rows.start, columns.start, height - rows.stop, width - columns.stop)
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        if size < LEAST * scale**2 or area > LARGEST * parts.numbers.size or margin < rim:
            continue
        box = (slice(max(0, rows.start - reach), rows.stop + reach),
               slice(max(0, columns.start - reach), columns.stop + reach))
        patch, surroundings = parts.numbers[box] == number, parts.numbers[box] == 0
        border = ndimage.binary_dilation(patch, np.ones((3, 3)), rim) & ~patch
        if around[box][border].mean() >= AROUND:
            yield number, box, patch, surroundings
