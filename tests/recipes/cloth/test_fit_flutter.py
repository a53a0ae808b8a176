"""What is measured of simulated flutter: harmonics, lags and profiles of waves that are known."""

import math

import pytest
import torch
from cloth.fit_flutter import harmonics, lag_between_ends, profile_correlation
from torch import Tensor

from stylecine.cloth.flutter import Propagation

SIDE = 40


@pytest.fixture
def propagation() -> Propagation:
    along = torch.linspace(0, 1, SIDE).expand(SIDE, SIDE)
    return Propagation(torch.tensor([1.0, 0.0]), along, float(SIDE), float(SIDE), along)


def wave(propagation: Propagation, cycles: int, number: float) -> Tensor:
    """[16,S,S]: a wave that runs downwind, `number` of which fit along the cloth."""
    phases = torch.arange(16)[:, None, None] / 16
    return (2 * math.pi * (cycles * phases - number * propagation.along)).cos()


def test_harmonics_are_amplitudes(propagation: Propagation) -> None:
    found = harmonics(3 * wave(propagation, 2, 1), (2, 3)).abs()
    assert found[0].min() == pytest.approx(3, abs=1e-4) and found[1].max() < 1e-4


@pytest.mark.parametrize("number", [0.1, 0.3, -0.2])
def test_a_wave_comes_later_at_the_free_end(propagation: Propagation, number: float) -> None:
    """The ends are 0.55 of the cloth apart."""
    seen = torch.ones(SIDE, SIDE, dtype=torch.bool)
    assert lag_between_ends(propagation, seen, wave(propagation, 2, number), 2) == pytest.approx(
        360 * 0.55 * number, abs=3
    )


def test_profiles_that_grow_alike_correlate(propagation: Propagation) -> None:
    seen = torch.ones(SIDE, SIDE, dtype=torch.bool)
    grows = propagation.along[seen]
    assert profile_correlation(propagation, seen, grows, 3 * grows + 1) == pytest.approx(1, abs=1e-3)
    assert profile_correlation(propagation, seen, grows, 1 - grows) == pytest.approx(-1, abs=1e-3)
