"""When a place changes from copy A to copy B: half of what moves in the first half of a turn, the rest in the second.

A dissolve that takes the whole turn shows all of the picture twice in its middle. Here a place shows one copy alone
for half of its turn, and changes when the two differ less there: clouds meet where the sky is blue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

SHORTEST = 1.0  # seconds; quicker changes flash, so that short turns change over their whole length
AROUND = 0.02  # of the grid's short side: what is compared around a place (standard deviation)
SOFT = 0.005  # of the preference, which is 0 to 1: within it places change between the two halves


def changeover(unlike: Tensor, turn: Tensor, lengths: Sequence[float], fps: float) -> Tensor:
    """The beginning and the pace of each place's change, in turns and per turn: [2,gh,gw], for ops.mixing.share_of.

    unlike [2,gh,gw]: how much the copies differ (mean square, times how much moves) in each half of a turn; the halves
    are chosen so that as much changes in the first as in the second, and the steps between frames stay even.
    turn [gh,gw]: which of `lengths`, in frames, a turn of a place has. fps: frames per second.
    """
    halved = torch.tensor([length / 2 >= SHORTEST * fps for length in lengths], device=turn.device)[turn.long()]
    sigma = AROUND * min(turn.shape)
    early, late = (ndimage.gaussian_filter(x, sigma) + 1e-12 for x in unlike.double().cpu().numpy())
    later = _softly(early / (early + late), _even(early, late, halved.cpu().numpy()), sigma)
    begin = torch.from_numpy(later * 0.5).float().to(turn.device)
    return torch.stack((torch.where(halved, begin, 0.0), 1.0 + halved.float()))


def _even(early: np.ndarray, late: np.ndarray, among: np.ndarray) -> float:
    """The preference above which to change late, so that both halves show as much change."""
    first, second = np.sqrt(early[among]), np.sqrt(late[among])
    if not len(first):
        return 0.5
    preference = early[among] / (early[among] + late[among])
    order = preference.argsort(kind="stable")
    done, left = first[order].cumsum(), second[order][::-1].cumsum()[::-1]
    return float(preference[order][(done >= left).argmax()])


def _softly(preference: np.ndarray, border: float, sigma: float) -> np.ndarray:
    """0 below the border, 1 above it, and no step between the two in the picture."""
    later = 1 / (1 + np.exp(-np.clip((preference - border) / SOFT, -50, 50)))
    return ndimage.gaussian_filter(later, 0.1 * sigma)
