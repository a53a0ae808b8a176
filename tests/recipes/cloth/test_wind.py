"""The gust: calm at phase 0, in the direction of its plan angle, with a pattern that travels downwind."""

import math

import pytest
import torch
from cloth.wind import Wind


def gust(degrees: float) -> Wind:
    return Wind(torch.zeros(3, 1), torch.zeros(4, 6, 1), torch.ones(1), torch.tensor([math.radians(degrees)]),
                torch.zeros(3, 1), torch.ones(1))


def test_the_photo_is_calm() -> None:
    x = torch.randn(3, 5, 6, 1)
    assert gust(30)(x, 0.0).abs().max() == 0
    assert gust(30)(x, 1.0).abs().max() < 1e-6


@pytest.mark.parametrize(("degrees", "direction"), [(0, (1, 0)), (90, (0, -1)), (180, (-1, 0)), (270, (0, 1))])
def test_angles_are_plan_angles(degrees: float, direction: tuple[int, int]) -> None:
    x = torch.rand(3, 20, 20, 1) * 4
    mean = torch.stack([gust(degrees)(x, k / 16) for k in range(16)]).mean((0, 2, 3))[:, 0]
    assert mean[[0, 2]].tolist() == pytest.approx([0.5 * w for w in direction], abs=0.08)


def test_the_pattern_travels_downwind() -> None:
    x = torch.zeros(3, 1, 400, 1)
    x[0, 0, :, 0] = torch.linspace(-1, 1, 400)
    before, after = (gust(0)(x, phase)[2, 0, :, 0] / (1 - math.cos(2 * math.pi * phase)) for phase in (0.5, 0.52))
    later = [(before[:400 - n] * after[n:]).mean() for n in range(20)]
    sooner = [(before[n:] * after[:400 - n]).mean() for n in range(20)]
    assert max(later) > later[0] and max(later) > max(sooner)
