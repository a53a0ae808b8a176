"""Gaussian means and deviations, over all places or some only."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def mean_within(fields: np.ndarray, where: np.ndarray, sigma: float, mode: str = "nearest") -> np.ndarray:
    """Gaussian mean of [...,h,w] over the places in `where`, [h,w], only: bool, or floats, in whose precision the
    weights are. sigma in grid points, mode as SciPy's."""
    weights = where.astype(np.float32) if where.dtype == bool else where
    weight = ndimage.gaussian_filter(weights, sigma, mode=mode) + 1e-6
    mean: np.ndarray = ndimage.gaussian_filter(fields * where, sigma, mode=mode, axes=(-2, -1)) / weight
    return mean


def local_deviation(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Standard deviation of [h,w] in a Gaussian window around each place; sigma in grid points."""
    mean = ndimage.gaussian_filter(picture, sigma)
    return np.sqrt(np.maximum(ndimage.gaussian_filter(picture * picture, sigma) - mean * mean, 0))
