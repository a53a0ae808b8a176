"""How two copies of a band are mixed so that its contrast stays."""

from __future__ import annotations

import torch
from torch import Tensor

PHASES = (0.25, 0.5, 0.75)  # where in a turn the two copies are compared
STRAIGHT = 0.015  # radians: copies as alike as this are mixed plainly


def share_of(phase: Tensor, change: Tensor) -> Tensor:
    """Copy B's share [1,gh,gw] when `phase` [1,gh,gw] of the turn has passed.

    change [2,gh,gw]: the phase at which A begins to give way to B, and how much of that happens per turn, 1 or more.
    """
    return ((phase - change[:1]) * change[1:]).clamp(0, 1)


def weights(angle: Tensor, lift: Tensor, phase: Tensor, share: Tensor) -> Tensor:
    """Weights of both copies in each level, [levels,2,gh,gw], that keep its contrast and turn A into B evenly.

    angle [levels,3,gh,gw]: arc cosine of the copies' correlation at each of PHASES; 0: the plain mix.
    lift [levels,2,3,gh,gw]: what A and B are multiplied by then; A by 1 at the turn's beginning, B by 1 at its end.
    phase, share [1,gh,gw]: how much of the turn has passed, and how much of the change from A to B.
    """
    apart, gain = torch.zeros_like(angle[:, 0]), torch.ones_like(lift[:, :, 0])
    inner = phase.clamp(PHASES[0], PHASES[-1])
    of_each = torch.cat((phase.clamp(max=PHASES[-1]), phase.clamp(min=PHASES[0])))
    for i, known in enumerate(PHASES):
        apart += _near(known, inner) * angle[:, i]
        gain += _near(known, of_each) * (lift[:, :, i] - 1)
    return slerp(apart, share) * gain


def slerp(angle: Tensor, share: Tensor) -> Tensor:
    """Weights [levels,2,gh,gw] of two vectors of one length, `angle` [levels,gh,gw] apart, on their arc.

    Two copies of equal variance and correlation cos(angle) mixed so (Shoemake 1985) keep that variance: the plain mix
    1 - share, share where they are the same, equal power where they have nothing in common. The plain mix over
    sqrt(a^2 + b^2 + 2ab cos(angle)) has the same variance, but turns four times as fast in the middle.
    """
    mixing = torch.cat((1 - share, share))
    angle = angle[:, None]
    return torch.where(angle > STRAIGHT, (mixing * angle).sin() / angle.sin(), mixing)


def _near(phase: float, share: Tensor) -> Tensor:
    """How much a value known at one of PHASES counts at another, for linear interpolation."""
    return (1 - (share - phase).abs() / PHASES[0]).clamp(min=0)
