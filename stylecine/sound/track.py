"""The track of a loop: everything that is heard, placed, mixed and brought to one loudness."""

import math
from collections.abc import Sequence

import numpy as np

from stylecine.errors import OptionError
from stylecine.sound.loudness import TARGET, normalised
from stylecine.sound.noise import DECIBELS, RATE, Track, band, unit
from stylecine.sound.sources import FAINT_WIND, WIND_POWER, Source
from stylecine.sound.voices import VOICES, Strand

SEED = 57  # of everything that is drawn by lot: the same loop sounds the same
WIDTH = 0.9  # how far to the sides the rims of the picture are heard; 1 is in one loudspeaker alone
NEAR_TREBLE, FAR_TREBLE = 18_000.0, 2_500.0  # Hz up to which what is near, and what is at the horizon, is heard
FAINT = -35.0  # LUFS where nothing but a faint wind is heard
MAX_PERIOD = 60.0  # seconds after which a longer track repeats, and half of that: see `_repeats`
MAX_SECONDS = 300.0  # of one loop with a sound


def make_track(sources: Sequence[Source], seconds: float, loops: int = 1, speed: float = 1.0) -> Track:
    """The sound of so many loops of a length in seconds, whose waves come `speed` times as fast as natural ones.

    Silent without sources. Raises OptionError for loops above MAX_SECONDS.
    """
    check_seconds(seconds)
    repeats = _repeats(seconds, loops)
    samples = max(1, round(loops * seconds * RATE / repeats))
    total = np.zeros((2, samples))
    for number, source in enumerate(sources):
        waves = round(loops / repeats * max(1, round(seconds * speed / source.wave_seconds)))
        total += _placed(source, samples, waves, np.random.default_rng([SEED, number]))
    return Track(normalised(total.T, _target(sources)).astype(np.float32), repeats)


def _repeats(seconds: float, loops: int) -> int:
    """How often the period of a track is heard in so many loops: so that it lasts MAX_PERIOD at most, and at least half
    of that, or one loop; if possible whole loops."""
    fewest = min(loops, math.ceil(loops * seconds / MAX_PERIOD))
    most = min(loops, int(2 * loops * seconds / MAX_PERIOD))
    whole = (repeats for repeats in range(fewest, most + 1) if loops % repeats == 0)
    return next(whole, fewest)


def check_seconds(seconds: float) -> None:
    """OptionError for a loop whose sound would take too much memory."""
    if seconds > MAX_SECONDS:
        raise OptionError(f"A loop with sound has at most {MAX_SECONDS:g} s; use fewer seconds, or omit sound.")


def _placed(source: Source, samples: int, waves: int, rng: np.random.Generator) -> np.ndarray:
    """A source as it is heard, [2, samples]: strands side by side, of constant power wherever they are."""
    heard = np.zeros((2, samples))
    for place in source.places:
        strand = unit(VOICES[source.kind](rng, Strand(samples, source.strength, waves, place)))
        angle = math.pi / 4 * (1 + WIDTH * (2 * place - 1))
        heard += np.array([[math.cos(angle)], [math.sin(angle)]]) * strand
    treble = NEAR_TREBLE * (FAR_TREBLE / NEAR_TREBLE) ** source.distance
    spectrum = np.fft.rfft(heard) * band(np.fft.rfftfreq(samples, 1 / RATE), 20, treble)
    gain = math.exp(DECIBELS * source.level) / math.sqrt(len(source.places))
    return gain * np.asarray(np.fft.irfft(spectrum, samples))


def _target(sources: Sequence[Source]) -> float:
    """LUFS: TARGET, or less where only a wind is heard."""
    if any(source.kind != "wind" for source in sources):
        return TARGET
    strength = max((source.strength for source in sources), default=FAINT_WIND)
    return min(TARGET, FAINT + WIND_POWER * math.log10(strength / FAINT_WIND))
