"""Distances along ways that stay inside a region."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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
