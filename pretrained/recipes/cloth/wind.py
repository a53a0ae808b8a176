"""The air: a steady, uneven base wind, and a gust that comes once per cycle and travels downwind.

The gust begins and ends in calm (phase 0), so the state there is the photo's. Its fine structure is the same for every
clip, up to the wind's direction and the cloth's size, so a network that sees only the still and the wind can know it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Waves of the air's speed along the wind, across it and upwards: cycles per gust, waves along the wind and downwards
# per size of the cloth, amplitude.
ALONG = ((2, 1.3, 0.3, 0.45), (3, 2.1, -0.2, 0.25))
ACROSS = ((2, 1.6, 0.4, 0.5), (3, 2.3, 0.5, 0.25))
UPRIGHT = ((2, 1.2, 0.6, 0.2),)


@dataclass
class Wind:
    """The air of N clips.

    base [3,N] m/s; uneven [4,6,N]: four waves of the base wind (wave vector in radians per metre, phase, amplitudes
    along and across the wind); gust [N]: its largest speed, m/s; angle [N]: the gust's plan angle in radians (0 right,
    π/2 away from the viewer); origin [3,N], size [N]: centre and extent of the cloth in metres, which scale the waves.
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
        strength = 0.5 - 0.5 * math.cos(2 * math.pi * phase)
        air = self.steady(x)
        if strength < 1e-6:
            return air
        cos, sin = self.angle.cos(), self.angle.sin()
        position = (x - self.origin[:, None, None]) / self.size
        downwind = position[0] * cos - position[2] * sin

        def waves(components: tuple[tuple[float, float, float, float], ...]) -> Tensor:
            total = torch.zeros_like(downwind)
            for cycles, along, down, amplitude in components:
                angle = (downwind * along).add_(position[1], alpha=down).neg_().add_(cycles * phase).mul_(2 * math.pi)
                total.add_(angle.sin_(), alpha=amplitude)
            return total

        speed = self.gust * strength
        along, across = (waves(ALONG) + 1) * speed, waves(ACROSS) * speed
        air[0] += along * cos + across * sin
        air[2] += across * cos - along * sin
        air[1] += waves(UPRIGHT) * speed
        return air


def uneven_waves(generator: torch.Generator, size: float, amplitude: float) -> Tensor:
    """[4,6]: random waves of the base wind, 1/3 to 3/2 of the size of the cloth (m) long."""
    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(4, generator=generator) * (high - low) + low

    direction = torch.randn(4, 3, generator=generator)
    vector = direction / direction.norm(dim=1, keepdim=True) * (2 * math.pi / (size * uniform(0.33, 1.5)))[:, None]
    amplitudes = torch.stack([uniform(-0.5, 0.5), uniform(-1, 1)], 1) * amplitude
    return torch.cat([vector, uniform(0, 2 * math.pi)[:, None], amplitudes], 1)
