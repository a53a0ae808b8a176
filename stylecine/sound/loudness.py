"""Loudness and true peaks of a track: ITU-R BS.1770-4, as EBU R 128 uses it."""

import math

import numpy as np
from scipy import ndimage

from stylecine.sound.noise import RATE

TARGET = -23.0  # LUFS, of EBU R 128
MAX_PEAK = -1.0  # dBTP, of EBU R 128
# Annex 1 of BS.1770: the shelf of a head, and the high-pass filter of the revised low-frequency B curve, at 48 kHz.
K_WEIGHTING = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)
BLOCK, STEP = 0.4, 0.1  # seconds
SILENT, RELATIVE = -70.0, -10.0  # LUFS and LU: quieter blocks do not count
OVERSAMPLING = 4
LOOKAHEAD = 0.005  # seconds over which a peak is lowered
SHORTEST = 3.0  # seconds: a shorter track is repeated to be measured


def loudness(sound: np.ndarray) -> float:
    """Integrated loudness in LUFS of [samples, channels] at 48 kHz, mono or stereo; -inf if it is silent."""
    from scipy import signal  # takes time, and most loops are silent

    if len(sound) < SHORTEST * RATE:
        sound = np.tile(sound, (math.ceil(SHORTEST * RATE / len(sound)), 1))
    squares = np.square(signal.sosfilt(K_WEIGHTING, sound, axis=0)).sum(1)
    block, step = round(BLOCK * RATE), round(STEP * RATE)
    sums = np.concatenate(([0.0], np.cumsum(squares)))
    begins = np.arange(0, len(sound) - block + 1, step)
    power = (sums[begins + block] - sums[begins]) / block
    power = power[_lufs(power) > SILENT]
    if not len(power):
        return -math.inf
    return float(_lufs(power[_lufs(power) > _lufs(power.mean()) + RELATIVE].mean()))


def normalised(sound: np.ndarray, target: float = TARGET) -> np.ndarray:
    """A periodic sound [samples, channels] at a loudness in LUFS, its peaks lowered where they would be above MAX_PEAK;
    silence stays silent."""
    ceiling = 10 ** ((MAX_PEAK - 0.2) / 20)  # what is lowered is measured between samples, and smoothed
    for _ in range(4):  # lowering peaks makes it a little quieter
        now = loudness(sound)
        if not math.isfinite(now):
            return sound
        sound = sound * 10 ** ((target - now) / 20)
        envelope = _envelope(sound)
        if envelope.max() <= ceiling:
            break
        reach = 2 * round(LOOKAHEAD * RATE) + 1
        gains = ndimage.minimum_filter1d(np.minimum(1, ceiling / np.maximum(envelope, 1e-9)), reach, mode="wrap")
        sound = sound * ndimage.uniform_filter1d(gains, reach, mode="wrap")[:, None]
    return sound


def _envelope(sound: np.ndarray) -> np.ndarray:
    """The largest magnitude around each sample of any channel, between samples too, [samples]."""
    fine = OVERSAMPLING * np.fft.irfft(np.fft.rfft(sound, axis=0), OVERSAMPLING * len(sound), axis=0)
    return np.asarray(np.abs(fine).reshape(len(sound), -1).max(1))


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))
