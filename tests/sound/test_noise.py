"""Periodic noise and modulations, and bubbles that ring as Minnaert says."""

import numpy as np
import pytest
from scipy import fft, signal

from stylecine.sound.noise import MINNAERT, RATE, band, bubbles, modulation, pulses, shaped_noise

SECOND = RATE


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_a_band_falls_off_beyond_its_ends_and_by_its_tilt_between_them() -> None:
    decibels = 20 * np.log10(band(np.array([0, 25, 100, 1000, 2000, 4000, 64_000, 128_000]), 100, 16_000, -3)[1:])
    assert decibels[3] - decibels[2] == pytest.approx(-3, abs=0.1) == decibels[4] - decibels[3]
    assert decibels[0] - decibels[1] == pytest.approx(-24 + 3 + 6, abs=0.2), "12 dB per octave, less the tilt"
    assert decibels[6] - decibels[5] == pytest.approx(-15, abs=0.5)
    assert band(np.array([0.0]), 100, 1000)[0] == 0


def test_noise_is_periodic_and_has_an_rms_of_one() -> None:
    noise = shaped_noise(rng(), SECOND, 100, 1000)
    assert np.sqrt(np.square(noise).mean()) == pytest.approx(1)
    steps = np.abs(np.diff(noise))
    assert abs(noise[0] - noise[-1]) < steps.max()


def test_modulations_lie_between_two_frequencies_and_return_to_where_they_began() -> None:
    gains = 20 * np.log10(modulation(rng(), 10 * SECOND, 3))
    assert gains.std() == pytest.approx(3)
    power = np.abs(fft.rfft(gains)) ** 2
    hertz = fft.rfftfreq(len(gains), 1 / RATE)
    within = (hertz > 0.09) & (hertz < 2.01)
    assert power[within].sum() > 0.999 * power.sum()
    assert abs(gains[0] - gains[-1]) < 0.01


def test_what_is_too_short_for_a_modulation_has_none() -> None:
    assert np.ptp(modulation(rng(), SECOND // 10, 3, 0.1, 2)) < 20
    assert (modulation(rng(), SECOND // 10, 0) == 1).all()


def test_pulses_go_round() -> None:
    (late,) = (pulses(1000, np.array([990.0]), np.array([2.0]), 5, 20),)
    assert late.argmax() == 990 and late.max() == pytest.approx(2)
    assert late[5] == pytest.approx(2 * np.exp(-15 / 20), rel=1e-3)
    early = pulses(1000, np.array([-10.0]), np.array([2.0]), 5, 20)
    assert early == pytest.approx(late)


@pytest.mark.parametrize("millimetres", [1.0, 3.26, 6.0])
def test_a_bubble_rings_at_minnaerts_frequency(millimetres: float) -> None:
    radius = millimetres / 1000
    heard = bubbles(rng(), np.ones(SECOND), 20, radius, 0.0)
    hertz, power = signal.welch(heard, RATE, nperseg=4096)
    assert hertz[power.argmax()] == pytest.approx(MINNAERT / radius, rel=0.1)


def test_a_bubble_dies_away_the_sooner_the_smaller_it_is() -> None:
    begin = np.zeros(SECOND)
    begin[-100] = 1  # all of them at once, and on past the seam

    def rings(radius: float) -> int:
        """Samples in which nine tenths of the energy are heard."""
        heard = np.roll(bubbles(rng(), begin, 5, radius, 0.0), 100)
        return int(np.searchsorted(np.cumsum(heard**2), 0.9 * np.square(heard).sum()))

    small, large = rings(0.001), rings(0.006)
    assert 0.002 * RATE < small < large / 3 < 0.05 * RATE


def test_bubbles_come_when_they_are_dense_and_the_rate_is_kept() -> None:
    density = np.zeros(SECOND)
    density[: SECOND // 2] = 1
    heard = bubbles(rng(), density, 400, 0.001, 0.3)
    assert np.square(heard[: SECOND // 2]).sum() > 0.95 * np.square(heard).sum()


def test_a_track_may_be_shorter_than_a_bubble() -> None:
    heard = bubbles(rng(), np.ones(480), 200, 0.006, 0.1)
    assert heard.shape == (480,) and np.isfinite(heard).all() and heard.any()
