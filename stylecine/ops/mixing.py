"""How two copies of a band are mixed so that its contrast stays."""

from __future__ import annotations

import torch
from torch import Tensor

PHASES = (0.25, 0.5, 0.75)  # where in a turn the two copies are compared
STRAIGHT = 0.015  # radians: copies as alike as this are mixed plainly


def weights(angle: Tensor, lift: Tensor, share: Tensor) -> Tensor:
    """Weights of both copies in each level, [levels,2,gh,gw], that keep its contrast and turn A into B evenly.

    angle, lift [levels,3,gh,gw]: arc cosine of the copies' correlation at each of PHASES (0: the plain mix), and what
    their mix is to be multiplied by then; 1 at either end of a turn. share [1,gh,gw]: of copy B.
    """
    apart, gain = torch.zeros_like(angle[:, 0]), torch.ones_like(lift[:, 0])
    for i, phase in enumerate(PHASES):
        apart += _near(phase, share.clamp(PHASES[0], PHASES[-1])) * angle[:, i]
        gain += _near(phase, share) * (lift[:, i] - 1)
    return slerp(apart, share) * gain[:, None]


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
