"""Loudness as ITU-R BS.1770-4 defines it, by its own reference and EBU Tech 3341's, and peaks between samples."""

import math

import numpy as np
import pytest
from scipy import signal

from stylecine.sound.loudness import MAX_PEAK, loudness, normalised
from stylecine.sound.noise import RATE, shaped_noise


def sine(hertz: float, decibels: float, seconds: float = 5, channels: int = 1, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    wave = 10 ** (decibels / 20) * np.sin(2 * math.pi * hertz * t + phase)
    return np.stack([wave] * channels, 1)


def true_peak(sound: np.ndarray) -> float:
    """In dBTP, of a periodic [samples, channels]; -inf if it is silent."""
    peak = np.abs(signal.resample(sound, 4 * len(sound))).max()
    return 20 * math.log10(peak) if peak else -math.inf


def test_a_full_scale_sine_of_997_hz_in_one_channel_is_minus_3_lufs() -> None:
    """The standard's own reference: -3.01 LKFS."""
    assert loudness(sine(997, 0)) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("level", [-23, -33])
def test_ebu_3341_stereo_sines_are_as_loud_as_their_level(level: float) -> None:
    assert loudness(sine(1000, level, 20, channels=2)) == pytest.approx(level, abs=0.1)


def test_ebu_3341_quiet_parts_do_not_count() -> None:
    parts = [(-36, 10), (-23, 60), (-36, 10)]
    sound = np.concatenate([sine(1000, level, seconds, channels=2) for level, seconds in parts])
    assert loudness(sound) == pytest.approx(-23, abs=0.1)


def test_what_is_shorter_than_a_block_is_as_loud_as_when_it_is_repeated() -> None:
    assert loudness(sine(1000, -23, 0.2, channels=2)) == pytest.approx(-23, abs=0.1)


def test_silence_has_no_loudness_and_stays_silent() -> None:
    silence = np.zeros((RATE, 2))
    assert loudness(silence) == -math.inf
    assert not normalised(silence).any()


def test_peaks_between_samples_count() -> None:
    """A quarter of the sampling rate, 45 degrees off: samples are 3 dB below the peak."""
    wave = sine(RATE / 4, 0, 1, phase=math.pi / 4)
    made = normalised(wave, target=0.0)
    assert true_peak(made) == pytest.approx(MAX_PEAK, abs=0.3)
    assert 20 * math.log10(np.abs(made).max()) == pytest.approx(MAX_PEAK - 3, abs=0.3)


def test_a_track_is_brought_to_minus_23_lufs() -> None:
    rng = np.random.default_rng(2)
    noise = np.stack([7 * shaped_noise(rng, 3 * RATE, 100, 4000) for _ in range(2)], 1)
    made = normalised(noise)
    assert loudness(made) == pytest.approx(-23, abs=0.05)
    assert np.corrcoef(made[:, 0], noise[:, 0])[0, 1] == pytest.approx(1), "nothing else was changed"


def test_peaks_are_lowered_where_they_would_be_too_high() -> None:
    rng = np.random.default_rng(2)
    clicks = np.zeros((3 * RATE, 2))
    clicks[rng.integers(0, len(clicks), 6)] = 1
    clicks[0] = 1  # and across the seam
    noise = 0.001 * shaped_noise(rng, len(clicks), 100, 4000)[:, None]
    made = normalised(clicks + noise)
    assert true_peak(made) <= MAX_PEAK
    assert loudness(made) == pytest.approx(-23, abs=2), "a little quieter, as clicks are little else than peaks"
