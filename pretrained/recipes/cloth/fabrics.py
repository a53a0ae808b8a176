"""Random numbers by seed, and random fabrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")


class Random:
    """Random numbers that depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def choice(self, options: Sequence[T]) -> T:
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def smooth_noise(self, rows: int, columns: int, height: int, width: int, closed: bool = False) -> Tensor:
        """[height,width] of mean 0 and deviation about 1, interpolated between rows×columns random values; `closed`:
        continuous from the last column to the first."""
        values = torch.randn(1, 1, rows, columns, generator=self.generator)
        if closed:
            values = torch.cat([values[..., -2:], values, values[..., :2]], -1)
            wide = F.interpolate(values, size=(height, width * (columns + 4) // columns), mode="bicubic")
            start = (wide.shape[-1] - width) // 2
            return wide[0, 0, :, start:start + width]
        return F.interpolate(values, size=(height, width), mode="bicubic", align_corners=True)[0, 0]


@dataclass
class Fabric:
    density: float  # kg/m²
    stretch: float  # compliances, m/N: along the threads,
    shear: float    # across the cells,
    bend: float     # and over two edges, which bending shortens


def random_fabric(random: Random, light: float = 0.09, heavy: float = 0.35) -> Fabric:
    """From silk to canvas; the limits are of the density."""
    return Fabric(random.log_uniform(light, heavy), random.log_uniform(1e-5, 2e-3), random.log_uniform(3e-3, 0.2),
                  random.log_uniform(0.3, 30))
