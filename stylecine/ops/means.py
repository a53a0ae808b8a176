"""Gaussian means over some places only."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def mean_within(fields: np.ndarray, where: np.ndarray, sigma: float, mode: str = "nearest") -> np.ndarray:
    """Gaussian mean of [C,h,w] over the places in `where`, bool [h,w], only; sigma in grid points, mode as SciPy's."""
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma, mode=mode) + 1e-6
    return np.stack([ndimage.gaussian_filter(c * where, sigma, mode=mode) for c in fields]) / weight
