"""The air: a steady base wind with its own uneven places, and a gust that comes once a cycle and travels downwind.

The gust begins and ends in calm (phase 0), so the state there is the photo's. Its fine parts are the same for every
clip, up to the wind's direction and the cloth's size: a network that sees only the still and the wind can know them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Cycles a loop, waves along the wind and downwards in one size of the cloth, amplitude: of the speed along the wind,
# across it (level) and upright.
ALONG = ((2, 1.3, 0.3, 0.45), (3, 2.1, -0.2, 0.25))
ACROSS = ((2, 1.6, 0.4, 0.5), (3, 2.3, 0.5, 0.25))
UPRIGHT = ((2, 1.2, 0.6, 0.2),)


@dataclass
class Wind:
    """The air of N clips.

    base [3,N] m/s; uneven [4,6,N]: waves of the base wind (three of their direction and waves a metre, phase and
    amplitudes along and across it); gust [N] m/s at its highest; angle [N] radians, plan angle of the gust (0 right,
    π/2 away from the viewer); origin [3,N], size [N] metres: the cloth's middle and extent, the measure of the waves.
    """

    base: Tensor
    uneven: Tensor
    gust: Tensor
    angle: Tensor
    origin: Tensor
    size: Tensor

    def steady(self, x: Tensor, _: float = 0.0) -> Tensor:
        """[3,H,W,N]: the base wind at x [3,H,W,N], the same at all phases."""
        base = self.base[:, None, None]
        along, across = torch.ones_like(x[0]), torch.zeros_like(x[0])
        for wave in self.uneven:
            sine = (wave[0] * x[0] + wave[1] * x[1] + wave[2] * x[2] + wave[3]).sin_()
            along.addcmul_(sine, wave[4])
            across.addcmul_(sine, wave[5])
        side = torch.stack([-base[2], base[1] * 0, base[0]])
        return base * along + side * across

    def __call__(self, x: Tensor, phase: float) -> Tensor:
        """[3,H,W,N]: the air's velocity (m/s) at x [3,H,W,N] and phase [0,1)."""
        swell = 0.5 - 0.5 * math.cos(2 * math.pi * phase)
        air = self.steady(x)
        if swell < 1e-6:
            return air
        cos, sin = self.angle.cos(), self.angle.sin()
        place = (x - self.origin[:, None, None]) / self.size
        downwind = place[0] * cos - place[2] * sin

        def waves(parts: tuple[tuple[float, float, float, float], ...]) -> Tensor:
            total = torch.zeros_like(downwind)
            for cycles, level, down, amount in parts:
                turn = (downwind * level).add_(place[1], alpha=down).neg_().add_(cycles * phase).mul_(2 * math.pi)
                total.add_(turn.sin_(), alpha=amount)
            return total

        speed = self.gust * swell
        along, across = (waves(ALONG) + 1) * speed, waves(ACROSS) * speed
        air[0] += along * cos + across * sin
        air[2] += across * cos - along * sin
        air[1] += waves(UPRIGHT) * speed
        return air


def uneven_waves(generator: torch.Generator, size: float, amount: float) -> Tensor:
    """[4,6]: random waves of the base wind over a cloth of this size (m), a third to one and a half of it long."""
    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(4, generator=generator) * (high - low) + low

    way = torch.randn(4, 3, generator=generator)
    way = way / way.norm(dim=1, keepdim=True) * (2 * math.pi / (size * uniform(0.33, 1.5)))[:, None]
    height = torch.stack([uniform(-0.5, 0.5), uniform(-1, 1)], 1) * amount
    return torch.cat([way, uniform(0, 2 * math.pi)[:, None], height], 1)
