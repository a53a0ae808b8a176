"""How two copies of a band are mixed so that its contrast is kept."""

from __future__ import annotations

import torch
from torch import Tensor

PHASES = (0.25, 0.5, 0.75)  # of a sub-cycle, at which the two copies are compared
LINEAR_BELOW = 0.015  # radians: copies at a smaller angle are mixed linearly


def copy_b_share(phase: Tensor, crossfade: Tensor) -> Tensor:
    """Copy B's share [1,gh,gw] at `phase` [1,gh,gw] of the sub-cycle.

    crossfade [2,gh,gw]: the phase at which A begins to give way to B, and how fast, per sub-cycle, 1 or more.
    """
    return ((phase - crossfade[:1]) * crossfade[1:]).clamp(0, 1)


def weights(angle: Tensor, contrast_gain: Tensor, phase: Tensor, share: Tensor) -> Tensor:
    """Weights of both copies in each level, [levels,2,gh,gw], that keep its contrast and turn A into B evenly.

    angle [levels,3,gh,gw]: arc cosine of the copies' correlation at each of PHASES; 0: linear mix.
    contrast_gain [levels,2,3,gh,gw]: factors on A and B at each of PHASES; A has 1 at the sub-cycle's beginning, B at
    its end.
    phase, share [1,gh,gw]: of the sub-cycle, and of copy B.
    """
    angle_now, gain_now = torch.zeros_like(angle[:, 0]), torch.ones_like(contrast_gain[:, :, 0])
    inner = phase.clamp(PHASES[0], PHASES[-1])
    of_each = torch.cat((phase.clamp(max=PHASES[-1]), phase.clamp(min=PHASES[0])))
    for i, knot in enumerate(PHASES):
        angle_now += _hat(knot, inner) * angle[:, i]
        gain_now += _hat(knot, of_each) * (contrast_gain[:, :, i] - 1)
    return slerp(angle_now, share) * gain_now


def slerp(angle: Tensor, share: Tensor) -> Tensor:
    """Weights [levels,2,gh,gw] of two vectors of equal length, `angle` [levels,gh,gw] apart, on their arc.

    Two copies of equal variance and correlation cos(angle) mixed so (Shoemake 1985) keep that variance: a linear mix
    where they are the same, equal power where they are uncorrelated. The linear mix over
    sqrt(a^2 + b^2 + 2ab cos(angle)) has the same variance, but turns four times as fast in the middle.
    """
    mixing = torch.cat((1 - share, share))
    angle = angle[:, None]
    return torch.where(angle > LINEAR_BELOW, (mixing * angle).sin() / angle.sin(), mixing)


def _hat(knot: float, phase: Tensor) -> Tensor:
    """Weight of a value known at one of PHASES for linear interpolation at another phase."""
    return (1 - (phase - knot).abs() / PHASES[0]).clamp(min=0)
