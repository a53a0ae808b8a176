"""Random numbers by seed, and random fabrics: weight, threads that give, how much they resist bending."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")


class Draw:
    """Random numbers that depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, share: float) -> bool:
        return self.uniform(0, 1) < share

    def choice(self, things: Sequence[T]) -> T:
        return things[int(torch.randint(len(things), (), generator=self.generator))]

    def smooth(self, rows: int, columns: int, height: int, width: int, closed: bool = False) -> Tensor:
        """[height,width] of mean 0 and deviation about 1: random values on rows×columns places, smooth between them."""
        places = torch.randn(1, 1, rows, columns, generator=self.generator)
        if closed:
            places = torch.cat([places[..., -2:], places, places[..., :2]], -1)
            wide = F.interpolate(places, size=(height, width * (columns + 4) // columns), mode="bicubic")
            start = (wide.shape[-1] - width) // 2
            return wide[0, 0, :, start:start + width]
        return F.interpolate(places, size=(height, width), mode="bicubic", align_corners=True)[0, 0]


@dataclass
class Fabric:
    density: float      # kg/m²
    stretch: float      # compliances, m/N
    shear: float
    bend: float


def random_fabric(draw: Draw, light: float = 0.09, heavy: float = 0.35) -> Fabric:
    """From silk to canvas."""
    return Fabric(draw.log_uniform(light, heavy), draw.log_uniform(1e-5, 2e-3), draw.log_uniform(3e-3, 0.2),
                  draw.log_uniform(0.3, 30))
