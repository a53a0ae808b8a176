"""Means, distances and perspective of maps: NumPy arrays [h,w], or tensors where no function of NumPy is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from scipy import ndimage

T = TypeVar("T")


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


def geodesic_distance(
    inside: np.ndarray, sources: np.ndarray, steps: Sequence[tuple[int, int]], cost: np.ndarray | None = None
) -> np.ndarray:
    """The length of the shortest way inside bool [h,w] from the nearest of `sources`, bool [h,w], to each place.

    float64 [h,w]: 0 at the sources, infinite where no way leads. steps: rows (0 or more) and columns that a way may go
    at once, in either direction. cost: [h,w], of a unit of length at each place, 1 everywhere if None.
    """
    from scipy.sparse import csgraph, csr_array  # takes a while, and many photos do without

    (h, w), places = inside.shape, inside | sources
    down, across = (max(abs(step[axis]) for step in steps) for axis in (0, 1))
    index = np.full((h + down, w + 2 * across), -1)
    own = index[:h, across : across + w]
    own[places] = np.arange(places.sum())
    price = np.ones(index.shape)
    if cost is not None:
        price[:h, across : across + w] = cost
    edges = []
    for dy, dx in steps:
        there = slice(dy, h + dy), slice(across + dx, across + w + dx)
        joined = (own >= 0) & (index[there] >= 0)
        middle = (price[:h, across : across + w] + price[there]) / 2
        edges.append(np.stack((own[joined], index[there][joined], math.hypot(dy, dx) * middle[joined])))
    start, end, length = np.concatenate(edges, 1)
    distance = np.full((h, w), np.inf)
    if sources.any():
        graph = csr_array((length, (start.astype(int), end.astype(int))), (places.sum(),) * 2)
        distance[places] = csgraph.dijkstra(graph, directed=False, indices=own[sources], min_only=True)
    return distance


def nearness(rows: T, far: float, span: float) -> T:
    """How near each of some rows is, in [0,1]: 0 at the row `far` and beyond it, 1 from `span` further down on.

    rows: an array or a tensor, in any unit; the others in the same. A negative span is that of a sky, which comes
    nearer upwards from the horizon.
    """
    depth: Any = (rows - far) / span  # type: ignore[operator]
    near: T = depth.clip(0, 1)
    return near


def nearness_within(places: np.ndarray, tail: float, least_span: float) -> np.ndarray:
    """How near each row is, [h] in [0,1]: 0 at the far end of `places`, bool [h,w], and 1 at their near end.

    tail: percent of the places that may lie beyond either end. least_span: between the ends, in short sides.
    """
    far, near = np.percentile(np.nonzero(places)[0], [tail, 100 - tail])
    return nearness(np.arange(len(places)), far, max(near - far, least_span * min(places.shape)))
