"""What is measured of displacements whose answers are known."""

import numpy as np
import pytest

from benchmarks.studies.swaying import in_band, off, phase_spread, travelling

RATE, SECONDS = 15.0, 4.0
TIMES = np.arange(int(RATE * SECONDS)) / RATE


def swaying(frequency: float, phases: list[float], lean: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """[T,n,2]: blocks that sway along x."""
    x = np.sin(2 * np.pi * frequency * TIMES[:, None] + np.array(phases))
    return np.stack((x + lean[0], np.zeros_like(x) + lean[1]), 2)


def test_power_counts_within_the_band_alone() -> None:
    slow, quick = swaying(0.5, [0, 1]), swaying(3.0, [0, 1])
    assert in_band(slow, RATE) == pytest.approx(1) and in_band(quick, RATE) == pytest.approx(0, abs=1e-9)
    assert in_band(slow + quick, RATE) == pytest.approx(0.5)
    assert in_band(slow + 5, RATE) == pytest.approx(1), "a lean is no oscillation"


def test_blocks_in_step_have_no_spread_and_others_have() -> None:
    assert phase_spread(swaying(0.5, [0.3] * 9)) < 1
    assert phase_spread(swaying(0.5, list(np.linspace(-0.6, 0.6, 101)))) == pytest.approx(20, abs=2)
    assert phase_spread(swaying(0.5, [0, np.pi / 2, np.pi, 3 * np.pi / 2])) > 180


@pytest.mark.parametrize(
    ("lean", "wind", "degrees"), [((1, 0), 0, 0), ((-1, 0), 180, 0), ((-1, 0), 0, 180), ((0, -1), 0, 90)]
)
def test_the_lean_is_compared_with_the_wind(lean: tuple[float, float], wind: float, degrees: float) -> None:
    assert off(swaying(0.5, [0, 2], lean), wind) == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize("speed", [150.0, -90.0])
def test_a_wave_is_followed_from_block_to_block(speed: float) -> None:
    centres = np.random.default_rng(0).uniform(0, 200, (80, 2))
    wave = swaying(0.5, list(-2 * np.pi * 0.5 * centres[:, 0] / speed))
    assert travelling(centres, wave, round(0.5 * SECONDS), SECONDS) == pytest.approx(speed, rel=0.03)
    assert np.isnan(travelling(np.array([[0.0, 0.0], [0.0, 90.0]]), wave[:, :2], 2, SECONDS))
