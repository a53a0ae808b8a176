"""The sound of a loop: that it goes round without a click, is as loud as it should be, and is no stationary noise."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import fft, signal

from stylecine.errors import OptionError
from stylecine.sound.loudness import TARGET, loudness
from stylecine.sound.noise import RATE, Track
from stylecine.sound.sources import Source
from stylecine.sound.track import FAINT, MAX_PERIOD, MAX_SECONDS, make_track
from stylecine.sound.voices import VOICES, Strand
from tests.sound.test_loudness import true_peak

MIDDLE = (0.4, 0.6)
KINDS = [*VOICES]


def source(kind: str, **changed: object) -> Source:
    made = Source(kind, 0.0, MIDDLE, wave_seconds=4.0 if kind == "surf" else 2.0)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=KINDS)
def heard(request: pytest.FixtureRequest) -> tuple[str, np.ndarray]:
    """What a kind of thing sounds like in a loop of 4 s: [samples, 2]."""
    return request.param, make_track([source(request.param)], 4.0).period.astype(np.float64)


# --- it goes round


def test_the_step_at_the_seam_is_like_other_steps(heard: tuple[str, np.ndarray]) -> None:
    _, sound = heard
    steps = np.abs(np.diff(sound, axis=0))
    around = np.concatenate((steps[: RATE // 20], steps[-RATE // 20 :]))
    assert (np.abs(sound[0] - sound[-1]) <= around.max(0)).all()


def test_slopes_at_the_seam_are_like_others(heard: tuple[str, np.ndarray]) -> None:
    """Third differences, which are large at a kink that is no step, too: at the seam, and in 50 ms around it."""
    _, sound = heard
    near = np.abs(np.diff(np.concatenate((sound[-RATE // 40 :], sound[: RATE // 40])), 3, axis=0)).max(1)
    seam = len(near) // 2
    assert near[seam - 3 : seam + 3].max() <= 1.2 * max(near[: seam - 3].max(), near[seam + 3 :].max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_spectrum_across_the_seam_is_that_of_elsewhere(kind: str) -> None:
    """Octaves of 43 ms in many tracks of two equal cycles each: across the seam, and in the middle."""
    shapes, strand = [], Strand(RATE // 4, 1.0, 2, 0.5)
    for seed in range(400 if kind == "brook" else 100):  # of which each has few bubbles
        sound = VOICES[kind](np.random.default_rng(seed), strand)
        shapes.append([octaves(sound, centre) for centre in (0, strand.samples // 2)])
    seam, middle = np.median([shape / shape.sum(1, keepdims=True) for shape in np.array(shapes)], 0)
    heard = seam > 1e-4
    assert heard.sum() >= 3 and np.abs(10 * np.log10(seam / middle)[heard]).max() < 1


# --- how it sounds


def test_it_is_as_loud_as_broadcasts_are_and_never_clips(heard: tuple[str, np.ndarray]) -> None:
    kind, sound = heard
    if kind != "wind":
        assert loudness(sound) == pytest.approx(TARGET, abs=0.1)
    assert true_peak(sound) < -1


def test_levels_rise_and_fall_between_a_tenth_of_a_hertz_and_two(heard: tuple[str, np.ndarray]) -> None:
    """Stationary noise, as of a vacuum cleaner, varies by 0.2 dB or less when it is averaged over a quarter of a
    second."""
    kind, sound = heard
    power = np.square(sound).sum(1).reshape(-1, RATE // 4).mean(1)
    varies = (10 * np.log10(power)).std()
    assert varies > (0.8 if kind == "rain" else 1.2)


def test_the_colour_changes_too(heard: tuple[str, np.ndarray]) -> None:
    """The balance of two bands, in quarters of a second."""
    kind, sound = heard
    edges = {"wind": (60, 250, 900), "waves": (140, 600, 2500)}.get(kind, (100, 1000, 8000))
    levels = []
    for low, high in pairwise(edges):
        filtered = signal.sosfilt(signal.butter(4, (low, high), "band", fs=RATE, output="sos"), sound.sum(1))
        levels.append(10 * np.log10(np.square(filtered).reshape(-1, RATE // 4).mean(1)))
    assert np.subtract(*levels).std() > 0.5


def test_surf_follows_the_waves() -> None:
    """Two waves in 8 s: loud as each runs up the sand, in the first half of its cycle, quiet before the next."""
    sound = make_track([source("surf")], 8.0).period
    level = np.square(sound).sum(1).reshape(16, -1).mean(1)
    quiet, loud = level.reshape(2, 8)[:, 5:7].mean(1), level.reshape(2, 8)[:, 0:2].mean(1)
    assert (10 * np.log10(loud / quiet) > 6).all()
    assert len(signal.find_peaks(np.tile(fft.irfft(fft.rfft(level)[:4], 16), 2), prominence=level.std())[0]) in (3, 4)


def test_single_bubbles_are_heard_in_a_brook_between_400_and_2000_hz() -> None:
    sound = make_track([source("brook", strength=0.1, places=(0.5,))], 4.0).period.sum(1)
    hertz, power = signal.welch(sound, RATE, nperseg=2048)
    spectrum = power[(hertz > 400) & (hertz < 2000)].sum() / power.sum()
    assert spectrum > 0.6
    envelope = np.abs(signal.hilbert(sound))
    crest = np.percentile(envelope, 99.5) / np.sqrt(np.square(envelope).mean())
    assert crest > 3.0, "of Gaussian noise it is 2.3"


def test_a_higher_fall_sounds_lower() -> None:
    def centre(strength: float) -> float:
        hertz, power = signal.welch(make_track([source("falls", strength=strength)], 2.0).period.sum(1), RATE)
        return float((hertz * power).sum() / power.sum())

    assert centre(1.0) < 0.8 * centre(0.2)


def test_what_is_far_away_has_less_treble() -> None:
    def treble(distance: float) -> float:
        hertz, power = signal.welch(make_track([source("falls", distance=distance)], 2.0).period.sum(1), RATE)
        return float(power[hertz > 3000].sum() / power.sum())

    assert treble(0.9) < 0.3 * treble(0.0)


def test_things_are_heard_where_they_are() -> None:
    def sides(*places: float) -> tuple[float, float]:
        left, right = np.square(make_track([source("falls", places=places)], 1.0).period).mean(0)
        return float(left), float(right)

    left, right = sides(0.1, 0.2)
    assert left > 4 * right
    left, right = sides(0.8, 0.9)
    assert right > 4 * left
    left, right = sides(0.2, 0.5, 0.8)
    assert left == pytest.approx(right, rel=0.3)
    wide = make_track([source("falls", places=(0.1, 0.5, 0.9))], 1.0).period
    assert np.corrcoef(wide.T)[0, 1] < 0.8


def test_of_two_sources_the_louder_one_is_heard_more() -> None:
    loud, faint = source("falls", places=(0.05,)), source("falls", places=(0.95,), level=-20.0)
    left, right = np.square(make_track([loud, faint], 1.0).period).mean(0)
    assert left > 20 * right


def test_a_wind_alone_is_faint_and_nothing_is_silent() -> None:
    wind = source("wind", strength=0.3)
    assert loudness(make_track([wind], 4.0).period) == pytest.approx(FAINT, abs=0.1)
    assert FAINT + 5 < loudness(make_track([replace(wind, strength=0.6)], 4.0).period) < TARGET
    silent = make_track([], 1.0)
    assert silent.period.shape == (RATE, 2) and not silent.period.any()


# --- how long it is


def test_the_same_loop_sounds_the_same_and_another_seed_does_not() -> None:
    first, second = (make_track([source("brook")], 1.0).period for _ in range(2))
    assert (first == second).all()
    assert not (make_track([source("wind", level=-99.0), source("brook")], 1.0).period == first).all()


@pytest.mark.parametrize("seconds", [0.5, 120 / 30.0, 100 / (30_000 / 1001)])
def test_a_track_is_as_long_as_its_loops(seconds: float) -> None:
    for loops in (1, 3):
        track = make_track([source("wind")], seconds, loops)
        assert track.samples == round(loops * seconds * RATE) and track.period.dtype == np.float32


def test_more_loops_are_one_longer_track() -> None:
    track = make_track([source("wind")], 1.0, 3)
    one, two, three = track.period.reshape(3, RATE, 2)
    assert not (one == two).all() and not (two == three).all()


@pytest.mark.parametrize(("loops", "repeat"), [(15, 1), (17, 2), (35, 3), (900, 60)])
def test_a_long_track_repeats_after_half_a_minute_to_a_minute(loops: int, repeat: int) -> None:
    """Whole loops, where their number can be divided so."""
    track = make_track([source("wind")] if repeat == 2 else [], 4.0, loops)
    assert track.repeat == repeat
    assert track.samples == pytest.approx(loops * 4 * RATE, abs=repeat / 2)
    assert MAX_PERIOD / 2 <= len(track.period) / RATE <= MAX_PERIOD


def test_a_long_loop_is_one_period() -> None:
    assert make_track([], 80.0, 3).repeat == 3


def test_parts_of_a_track_go_round() -> None:
    track = Track(np.arange(8, dtype=np.float32).reshape(4, 2), 2)
    assert track.samples == 8 and track.at(-1, 5)[:, 0].tolist() == [6, 0, 2, 4, 6, 0]


def test_a_loop_may_be_too_long_for_a_sound() -> None:
    with pytest.raises(OptionError, match="at most 300 s; use fewer seconds, or omit sound"):
        make_track([], MAX_SECONDS + 1)


def octaves(sound: np.ndarray, centre: int, size: int = 2048) -> np.ndarray:
    """Power in octaves from 250 Hz on, of a window that goes round."""
    part = np.take(sound, range(centre - size // 2, centre + size // 2), mode="wrap")
    power = np.abs(fft.rfft(part * signal.windows.hann(size))) ** 2
    hertz = fft.rfftfreq(size, 1 / RATE)
    edges = 177 * 2.0 ** np.arange(8)
    return np.array([power[(hertz >= low) & (hertz < 2 * low)].sum() for low in edges[:-1]])
