"""Calm water that mirrors its shore: its reflections rock in place, and do not drift away from their trees.

A reflection repeats, upside down below the shore, what is above it. How alike the two are is measured by their local
correlation, over small shifts and stretches, since the eye is above the water and the shore not all at the waterline.
Waves seen from the shore are level lines: their brightness changes down the picture, hardly across it. Calm water shows
trunks, posts and its own bed, which have upright edges as well.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stylecine.ops.regions import Parts, connected
from stylecine.ops.smoothstep import smoothstep

SHORT_SIDE = 128  # of the grid
WINDOW_SIGMA = 0.025  # of the short side: standard deviation of the Gaussian window that is correlated
SHIFTS = np.linspace(-0.03, 0.03, 7)  # of the short side, down: where the waterline may lie
STRETCHES = (0.85, 1.0, 1.18)  # height of what is mirrored over that of its reflection
NOISE = 6 / 127.5  # of [-1, 1]: standard deviation below which a window is plain
PLAIN = 0.1 * NOISE  # mean deviation of water in which nothing is mirrored
CORRELATED = 0.3, 0.7  # correlations at which a window begins to be a reflection, and is one for sure
SEA_WAVINESS = 0.78  # share of vertical gradients in the squared gradients of a sea; calm water has fewer
WAVE_WEIGHT = 1.5  # what a difference from that adds to the share of reflections, or takes from it
MAX_WAVE_LOSS = 0.08  # at most, where it takes
SOME_REFLECTION = 0.15, 0.3  # share of reflections: up to the first waves say nothing, from the second on they count
MIRRORING = 0.46, 0.49  # share of texture that is a reflection: a lake drifts up to the first, is held from the second


def mirroring(grey: np.ndarray, water: np.ndarray, static: np.ndarray) -> np.ndarray:
    """How much each place belongs to water that mirrors what stands above it: [h,w] in [0,1], one value for each
    connected stretch.

    grey: [h,w] in [-1,1]. water, static: bool [h,w], open water and what does not move; a horizon under the sky is no
    shore.
    """
    stretches = connected(water)
    if stretches.count == 0:
        return np.zeros(grey.shape)
    grey = grey.astype(np.float32)
    small, still = _shrink(grey, order=1), _shrink(static, order=0)
    parts = Parts(_shrink(stretches.numbers, order=0), stretches.count)
    alike = smoothstep(*CORRELATED, _correlation(small, parts.numbers > 0, still))
    texture = _deviation(small, parts.numbers > 0)
    total = np.maximum(parts.sum(texture), PLAIN * parts.size)
    share = parts.sum(texture * alike) / np.maximum(total, 1e-6)
    calm = np.maximum(WAVE_WEIGHT * (SEA_WAVINESS - _waviness(grey, stretches)), -MAX_WAVE_LOSS)
    held: np.ndarray = smoothstep(*MIRRORING, share + calm * smoothstep(*SOME_REFLECTION, share))
    return np.where(water, held[stretches.numbers], 0.0)


def _waviness(grey: np.ndarray, stretches: Parts) -> np.ndarray:
    """Of each stretch, the share of its squared gradients that is vertical, in [0,1]; SEA_WAVINESS if it is plain."""
    down, across = np.gradient(ndimage.gaussian_filter(grey, 0.7))
    inside = stretches.within(ndimage.binary_erosion(stretches.numbers > 0, iterations=4, border_value=1))
    vertical, level = (inside.sum(d * d) for d in (down, across))
    total = vertical + level
    return np.where(total > 1e-9, vertical / np.maximum(total, 1e-9), SEA_WAVINESS)


def _shrink(picture: np.ndarray, order: int) -> np.ndarray:
    """[h,w] to a short side of 128, if it is larger."""
    scale = min(1.0, SHORT_SIDE / min(picture.shape))
    rows, columns = ((np.arange(max(1, round(n * scale))) + 0.5) / scale - 0.5 for n in picture.shape)
    if order:
        picture = ndimage.gaussian_filter(picture, 0.4 / scale, mode="nearest")
    points = np.meshgrid(rows, columns, indexing="ij")
    shrunk: np.ndarray = ndimage.map_coordinates(picture, points, order=order, mode="nearest")
    return shrunk


def _correlation(grey: np.ndarray, water: np.ndarray, static: np.ndarray) -> np.ndarray:
    """Of each place of the water with what is above its shore, the best of all shifts and stretches: [h,w], -1 where
    there is no shore above it."""
    h, w = grey.shape
    row = np.arange(h)[:, None]
    begins = water & ~np.vstack([np.ones((1, w), bool), water[:-1]])
    at_shore = begins & np.vstack([np.zeros((1, w), bool), static[:-1]])
    shore = np.maximum.accumulate(np.where(begins, row, -1), 0)  # the first row of the water above each place
    valid = water & (shore >= 0) & np.take_along_axis(at_shore, np.maximum(shore, 0), 0)
    smooth = ndimage.gaussian_filter(grey, (1.5, 0.75))  # waves smear a reflection downwards
    depth = shore - 0.5 - row
    best = np.full((h, w), -1.0, np.float32)
    for shift in SHIFTS * min(h, w):
        for stretch in STRETCHES:
            source = shore - 0.5 + depth * stretch + shift
            inside = (valid & (source >= 0)).astype(np.float32)
            above = smooth[np.clip(np.rint(source), 0, h - 1).astype(int), np.arange(w)[None]] * inside
            best = np.maximum(best, np.where(inside > 0, _local_correlation(smooth * inside, above, inside), -1))
    return best


def _local_correlation(a: np.ndarray, b: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Of two pictures [h,w] that are 0 where `inside` is, in a Gaussian window around each place."""
    weight = np.maximum(_window(inside), 1e-6)
    mean_a, mean_b = _window(a) / weight, _window(b) / weight
    variances = (_window(x * x) / weight - mean**2 for x, mean in ((a, mean_a), (b, mean_b)))
    first, second = (np.maximum(variance, NOISE**2) for variance in variances)
    correlation: np.ndarray = (_window(a * b) / weight - mean_a * mean_b) / np.sqrt(first * second)
    return correlation


def _deviation(grey: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Standard deviation of the water in a window around each place, 0 off the water: [h,w]."""
    inside = water.astype(np.float32)
    weight = np.maximum(_window(inside), 1e-6)
    mean = _window(grey * inside) / weight
    return np.sqrt(np.maximum(_window(grey * grey * inside) / weight - mean**2, 0)) * inside


def _window(picture: np.ndarray) -> np.ndarray:
    blurred: np.ndarray = ndimage.gaussian_filter(picture, WINDOW_SIGMA * min(picture.shape), truncate=2.5)
    return blurred
