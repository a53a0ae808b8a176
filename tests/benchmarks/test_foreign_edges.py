"""Which edges count as invented by a crossfade."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from benchmarks.foreign_edges import foreign_edges
from tests.quality.test_measures import EVERYWHERE, FPS, SIZE, shifted, texture


def share(frames: Any, copies: Callable[[int], Sequence[np.ndarray]], moving: torch.Tensor) -> float:
    return foreign_edges(frames, copies, moving, FPS)


def clouds(seed: int) -> np.ndarray:
    """Random picture of soft shapes only."""
    smooth = ndimage.gaussian_filter(texture(seed).astype(np.float32), (10, 10, 0), mode="wrap")
    return np.clip(128 + 50 * (smooth - smooth.mean()) / smooth.std(), 0, 255).astype(np.uint8)


def test_a_straight_cut_between_two_copies_is_foreign() -> None:
    """The left half has changed to copy B, the right half not yet."""
    a, b = clouds(0), shifted(clouds(0), 40, 0)
    cut = np.where(np.arange(SIZE)[None, :, None] < SIZE // 2, b, a)
    frames = [a] * 20 + [cut] * 20
    assert share(frames, lambda _: (a, b), EVERYWHERE) > 0.1
    elsewhere = EVERYWHERE.clone()
    elsewhere[:, SIZE // 2 - 8 : SIZE // 2 + 8] = 0
    assert share(frames, lambda _: (a, b), elsewhere) == 0


def test_a_short_cut_in_an_even_sky_is_foreign_although_it_is_the_only_edge() -> None:
    a, b = (np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (120, 180))
    cut = a.copy()
    cut[:16, :16] = b[:16, :16]
    assert share([cut] * 40, lambda _: (a, b), EVERYWHERE) > 0.3
    assert share([a] * 40, lambda _: (a, b), EVERYWHERE) == 0


def test_an_even_or_softly_uneven_mix_of_two_copies_has_no_foreign_edges() -> None:
    a, b = texture(0), shifted(texture(0), 9, 5)
    later = np.linspace(0, 1, SIZE)[None, :, None]
    for mixed in (0.5 * (a + b.astype(float)), a * (1 - later) + b * later):
        frames = [mixed.round().astype(np.uint8)] * 40
        assert share(frames, lambda _: (a, b), EVERYWHERE) < 0.02
        assert share(frames, lambda _: (texture(1),), EVERYWHERE) > 0.2


def test_where_nothing_moves_there_is_no_share_of_foreign_edges() -> None:
    assert math.isnan(share([texture(0)] * 40, lambda _: (texture(0),), torch.zeros(SIZE, SIZE)))
