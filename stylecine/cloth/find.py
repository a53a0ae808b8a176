"""Flags, banners and hung cloth, found where the network is sure; garments on people are not looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.regions import connected
from stylecine.perception.refine import follow_edges, mean_probability, soft_threshold

SHORT_SIDES = (448, 640)  # of the network's inputs: large cloth is found in the first, small cloth in the second
LIKELY_CLOTH = 0.5  # probability from which places belong to a piece
SURE_CLOTH, MIN_SURE_SHARE = 0.97, 0.5  # probability that is sure, and share of a piece that must be
POSSIBLE_CLOTH = 0.08  # probability down to which places next to a piece belong to it
CLOSING_CELLS = 3  # narrower gaps of a piece, as lettering leaves, are closed
HALF_CLOTH = 0.65  # of a piece, along the photo's edges, at which a place is cloth by half
MIN_FOUND = 0.004  # of the photo: smaller pieces are errors

Finder = Callable[[Tensor], Tensor]  # photos [N,3,H,W] in [-1,1] -> logits [N,1,h,w], as ClothFinder


@dataclass(frozen=True)
class FoundCloth:
    """mask [H,W] in [0,1], and the mean probability where it is likely, which says how sure it is."""

    mask: Tensor
    confidence: float

    @property
    def warning(self) -> str:
        """One line: nobody has marked this cloth."""
        return (
            f"The cloth was found automatically ({self.confidence:.0%} sure, {float(self.mask.mean()):.1%} of the"
            " photo); check it, or give a mask or paint."
        )

    @property
    def still_warning(self) -> str:
        """One line: it stands still, as nobody has marked it."""
        return (
            f"Flags or other cloth may be here ({self.confidence:.0%} sure, {float(self.mask.mean()):.1%} of the"
            " photo), and stand still; paint them as cloth, or give subject cloth."
        )


@torch.inference_mode()
def find_cloth(photo: Tensor, finder: Finder | None) -> FoundCloth | None:
    """The cloth in a photo [3,H,W] in [-1,1]; None if there is none of which the network is sure, or no network."""
    if finder is None:
        return None
    probability = mean_probability(photo, finder, SHORT_SIDES)
    sure = sure_pieces(probability.cpu().numpy())
    if not sure.any():
        return None
    whole = torch.from_numpy(grow_regions(sure, probability.cpu().numpy())).to(photo.device)
    mask = soft_threshold(follow_edges(whole[None].float(), photo), HALF_CLOTH)
    return FoundCloth(mask, float(probability[torch.from_numpy(sure).to(photo.device)].mean()))


def sure_pieces(probability: np.ndarray) -> np.ndarray:
    """bool [h,w]: the connected pieces of likely cloth of which enough is sure."""
    pieces = connected(probability > LIKELY_CLOTH, corners=False)
    sure = pieces.sum(probability > SURE_CLOTH) > MIN_SURE_SHARE * pieces.size
    return pieces.keep(sure & (pieces.size > MIN_FOUND * probability.size))


def grow_regions(pieces: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """bool [h,w]: pieces grown into the possible cloth that they touch (hysteresis), without gaps and holes."""
    whole = ndimage.binary_propagation(pieces, mask=pieces | (probability > POSSIBLE_CLOTH))
    room = 2 * CLOSING_CELLS
    closed = ndimage.binary_closing(np.pad(whole, room), iterations=CLOSING_CELLS)[room:-room, room:-room]
    return np.asarray(ndimage.binary_fill_holes(closed | whole))
