"""When a place crossfades from copy A to copy B: half of what moves in the first half of a sub-cycle, the rest later.

A crossfade over the whole sub-cycle would show everything twice in its middle. Here a place shows a single copy for
half of its sub-cycle and changes in the half in which the two differ less: clouds meet where the sky is blue.

A cloud that only one copy has changes from its edge to its core or back, as clouds dissolve and form: that of copy A is
eaten up from outside while that of copy B grows from inside, and neither is ever half transparent as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

MIN_SECONDS = 0.5  # quicker crossfades flash, so sub-cycles of less than twice this use their whole length
COMPARED_SIGMA = 0.02  # of the grid's short side: standard deviation of the neighbourhood in which copies are compared
# Transition between early and late, of the preference, which is 0 to 1: in sub-cycles of LONG_SECONDS, those of skies
# and calm lakes, matter has travelled far, and clouds that changed at a sharp line would have straight sides.
SOFTNESS, LONG_SOFTNESS, LONG_SECONDS = 0.005, 0.12, 3.0
# By how much more than the other, of [-1, 1], a copy must differ from the background to have perhaps, and surely, a
# cloud alone (steps would exceed the seam's if soft skies changed so, too); and its core.
MAYBE_CLOUD, SURE_CLOUD, CLOUD_CORE = 0.08, 0.2, 0.25
EDGE_SHIFT = 0.35  # sub-cycles from their middle to when a cloud's edges change; its core does as far on the other side
CLOUD_PACE = 4.0  # changes of clouds that would fit in a sub-cycle
CHANGE_SIGMA = 0.004  # of the grid's short side: standard deviation of the Gaussian that smooths when clouds change
BEGIN_STEPS = 252  # in a sub-cycle, a multiple of all paces: crossfades begin at whole ones, as packs store bytes


def crossfade_schedule(
    difference: Tensor, sub_cycle: Tensor, lengths: Sequence[float], fps: float, deviation: Tensor | None = None
) -> Tensor:
    """Phase at which each place's crossfade begins, and its pace per sub-cycle: [2,gh,gw], see mixing.copy_b_share.

    difference [2,gh,gw]: how much the copies differ (mean square, times how much moves) in each half of a sub-cycle.
    The halves are chosen so that as much changes in the first as in the second, and the steps between frames stay even.
    sub_cycle [gh,gw]: index of each place into `lengths`, in frames. fps: frames per second. deviation [2,gh,gw]: how
    much copy A and copy B differ from the background in the middle of a sub-cycle, brightness in [-1,1].
    """
    seconds = torch.tensor(lengths, dtype=torch.float64, device=sub_cycle.device)[sub_cycle.long()] / fps
    split, long = seconds / 2 >= MIN_SECONDS, seconds >= LONG_SECONDS
    sigma = COMPARED_SIGMA * min(sub_cycle.shape)
    early, late = (ndimage.gaussian_filter(x, sigma) + 1e-12 for x in difference.double().cpu().numpy())
    softness = np.where(long.cpu().numpy(), LONG_SOFTNESS, SOFTNESS)
    above = early / (early + late) - _balanced_threshold(early, late, split.cpu().numpy())
    later = 1 / (1 + np.exp(-np.clip(above / softness, -50, 50)))  # 0 or 1, without a visible edge between the two
    begin = torch.from_numpy(ndimage.gaussian_filter(later, 0.1 * sigma) * 0.5).float().to(sub_cycle.device)
    schedule = torch.stack((torch.where(split, begin, 0.0), 1.0 + split.float()))
    if deviation is not None:
        schedule = torch.where(long, _dissolved(schedule, deviation), schedule)
    return torch.stack(((schedule[0] * BEGIN_STEPS).round() / BEGIN_STEPS, schedule[1]))


def _dissolved(schedule: Tensor, deviation: Tensor) -> Tensor:
    """The schedule [2,gh,gw], but where one copy has a cloud, by the place within that cloud."""
    more = deviation[1] - deviation[0]  # above 0 in a cloud of copy B
    solid = (more.abs() / CLOUD_CORE).clamp(0, 1)
    middle = 0.5 + torch.where(more > 0, 1, -1) * EDGE_SHIFT * (1 - 2 * solid)
    smooth = ndimage.gaussian_filter(middle.cpu().numpy(), CHANGE_SIGMA * min(middle.shape))
    clouded = ((more.abs() - MAYBE_CLOUD) / (SURE_CLOUD - MAYBE_CLOUD)).clamp(0, 1)
    pace = torch.lerp(schedule[1], torch.full_like(solid, CLOUD_PACE), clouded).round()  # whole, as packs store it
    begin = torch.lerp(schedule[0], torch.from_numpy(smooth).to(middle) - 0.5 / pace, clouded)
    return torch.stack((torch.minimum(begin.clamp(min=0), 1 - 1 / pace), pace))


def _balanced_threshold(early: np.ndarray, late: np.ndarray, among: np.ndarray) -> float:
    """The preference above which to change late, so that both halves show as much change."""
    first, second = np.sqrt(early[among]), np.sqrt(late[among])
    if not len(first):
        return 0.5
    preference = early[among] / (early[among] + late[among])
    order = preference.argsort(kind="stable")
    before, after = first[order].cumsum(), second[order][::-1].cumsum()[::-1]
    return float(preference[order][(before >= after).argmax()])
