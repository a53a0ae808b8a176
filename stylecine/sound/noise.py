"""What natural sounds are made of, on a circle of samples: shaped noise, slow modulation, waves, and single bubbles.

Noise is shaped in the frequency domain over the whole period, modulations are sums of its harmonics, and events are
added modulo its length: the last sample is followed by the first as any sample is by the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RATE = 48_000  # samples a second
MINNAERT = 3.26  # m/s: radius times frequency of a bubble in water at the surface
RISE = 0.1  # of the damping, by which the pitch of a bubble near the surface rises
RING = 6.0  # time constants after which a bubble is no longer heard: 52 dB
DECIBELS = math.log(10) / 20  # natural logarithm of an amplitude, per decibel


@dataclass(frozen=True, eq=False)
class Track:
    """A period of sound, float32 [samples, 2] in [-1,1], left and right, at RATE; it is heard `repeat` times.
    Its last sample is followed by its first."""

    period: np.ndarray
    repeat: int = 1

    @property
    def samples(self) -> int:
        return self.repeat * len(self.period)

    def at(self, begin: int, end: int) -> np.ndarray:
        """Samples [end - begin, 2], counted from the beginning; those before and after it go round as well."""
        return self.period[np.arange(begin, end) % len(self.period)]


def band(frequencies: np.ndarray, low: float, high: float, tilt: float = 0.0) -> np.ndarray:
    """Amplitudes of noise between two frequencies in Hz, with 12 dB per octave beyond them, and `tilt` dB per octave
    in between: -3 is 1/f noise."""
    f = np.maximum(frequencies, 1e-3)
    return np.asarray(f ** (tilt / 6.02) / np.sqrt((1 + (low / f) ** 4) * (1 + (f / high) ** 4)) * (frequencies > 0))


def shaped_noise(rng: np.random.Generator, samples: int, low: float, high: float, tilt: float = 0.0) -> np.ndarray:
    """Periodic Gaussian noise [samples] with the spectrum of `band`, of an RMS of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples)) * band(np.fft.rfftfreq(samples, 1 / RATE), low, high, tilt)
    return unit(np.fft.irfft(spectrum, samples))


def modulation(rng: np.random.Generator, samples: int, depth: float, low: float = 0.1, high: float = 2.0) -> np.ndarray:
    """Periodic gains [samples] around 1 that vary by a standard deviation of `depth` dB.

    The power of their logarithm falls as 1/f between two frequencies in Hz, as that of natural sounds does (Voss and
    Clarke, "1/f noise in music and speech", Nature 1975; Attias and Schreiner, "Temporal low-order statistics of
    natural sounds", NIPS 1997). Periods without a harmonic in there are not modulated.
    """
    first, last = math.ceil(low * samples / RATE), math.floor(high * samples / RATE)
    spectrum = np.zeros(samples // 2 + 1, complex)
    harmonics = np.arange(max(1, first), max(1, last + 1))
    drawn = rng.standard_normal((2, len(harmonics)))
    spectrum[harmonics] = (drawn[0] + 1j * drawn[1]) / np.sqrt(harmonics)
    gains: np.ndarray = np.exp(DECIBELS * depth * unit(np.fft.irfft(spectrum, samples)))
    return gains


def pulses(samples: int, at: np.ndarray, strengths: np.ndarray, attack: float, decay: float) -> np.ndarray:
    """Sum of periodic pulses [samples] that rise to a strength as a Gaussian and fall off exponentially.

    at: when each is at its peak, in samples. attack, decay: of all, in samples.
    """
    since = np.arange(-math.ceil(4 * attack), math.ceil(10 * decay))
    kernel, train = np.zeros(samples), np.zeros(samples)
    rise_and_fall = np.exp(-np.square(np.minimum(since, 0) / attack) - np.maximum(since, 0) / decay)
    np.add.at(kernel, since % samples, rise_and_fall)
    np.add.at(train, np.rint(at).astype(int) % samples, strengths)
    return np.maximum(np.fft.irfft(np.fft.rfft(kernel) * np.fft.rfft(train), samples), 0)


def bubbles(
    rng: np.random.Generator, density: np.ndarray, per_second: float, radius: float, spread: float, damped: float = 1.0
) -> np.ndarray:
    """Sound [samples] of air bubbles in water that come at random, of an RMS of 1.

    A bubble of radius r rings at Minnaert's frequency ("On musical air-bubbles and the sounds of running water", 1933),
    is damped by heat, radiation and viscosity, and rises in pitch where it is near the surface; damping and rise as in
    van den Doel, "Physically based models for liquid sounds" (ACM TAP 2005).

    density: [samples], how many come when, relative to each other. per_second: on average. radius: the median, in
    metres; spread: the standard deviation of its natural logarithm. damped: factor on the damping, for what is no
    bubble but rings as one, such as leaves.
    """
    samples = len(density)
    count = max(1, rng.poisson(per_second * samples / RATE))
    begins = np.searchsorted(np.cumsum(density), rng.random(count) * float(density.sum())).clip(0, samples - 1)
    sizes = np.exp(spread * rng.standard_normal(count).clip(-2, 2))
    radii = radius * sizes
    damping = damped * (0.13 / radii + 0.0072 * radii**-1.5)
    rises = RISE * damping * (rng.random(count) < 0.5)
    loudness = sizes * rng.random(count) ** 1.5  # most are deep, and so quiet
    turns = 1 + math.ceil(RING / damping.min() * RATE / samples)
    total, clock = np.zeros(turns * samples), np.arange(turns * samples, dtype=np.float32) / RATE
    for begin, frequency, rise, fall, loud in zip(begins, MINNAERT / radii, rises, damping, loudness, strict=True):
        t = clock[: math.ceil(RING / fall * RATE)]
        ringing = np.sin(2 * math.pi * frequency * t * (1 + rise / 2 * t)) * np.exp(-fall * t)
        total[begin : begin + len(t)] += loud * ringing
    return unit(total.reshape(turns, samples).sum(0))


def mixed(parts: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """Sum of sounds [samples], each with its level in dB."""
    return np.asarray(sum(math.exp(DECIBELS * level) * part for level, part in parts))


def unit(sound: np.ndarray) -> np.ndarray:
    """A sound of an RMS of 1, or silence."""
    rms = math.sqrt(float(np.square(sound).mean()))
    return sound / rms if rms > 1e-12 else sound
