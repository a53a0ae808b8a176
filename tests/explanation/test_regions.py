"""Regions of a map, and the strokes that cover them."""

import numpy as np
import pytest

from stylecine.edits.strokes import stroke_distance
from stylecine.explanation.regions import MAX_STROKES, Region, connected_regions, strokes_over


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def painted(mask: np.ndarray) -> np.ndarray:
    """What the strokes over a mask cover as drawn."""
    covered = np.zeros_like(mask)
    for points, radius in strokes_over(mask):
        pixels = radius * min(mask.shape)
        (top, left, bottom, right), distance = stroke_distance(
            mask.shape, np.array(points) * (mask.shape[1], mask.shape[0]), pixels
        )
        covered[top:bottom, left:right] |= distance <= pixels
    return covered


SHAPES = {
    "a disc": disc((120, 180), (60, 90), 30),
    "a band along the whole lower border": np.repeat(np.arange(120)[:, None] >= 70, 180, axis=1),
    "a ring": disc((120, 180), (60, 90), 45) & ~disc((120, 180), (60, 90), 20),
    "a diagonal stream": np.abs(np.subtract.outer(np.arange(120) * 1.5, np.arange(180))) < 14,
    "a single pixel": disc((120, 180), (3, 170), 0),
}


@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES)
def test_strokes_cover_a_region_and_little_else(mask: np.ndarray) -> None:
    covered, allowed = painted(mask), max(24, 0.35 * mask.sum())
    assert len(strokes_over(mask)) <= MAX_STROKES
    assert (covered & mask).sum() >= 0.8 * mask.sum()
    assert (covered & ~mask).sum() <= allowed


def test_fine_shapes_take_few_strokes() -> None:
    comb = np.zeros((120, 180), bool)
    comb[10:110, ::12] = True
    assert 1 <= len(strokes_over(comb)) <= MAX_STROKES


def test_strokes_are_fractions() -> None:
    for points, radius in strokes_over(np.ones((40, 60), bool)):
        assert 0 < radius <= 1 and all(0 <= value <= 1 for point in points for value in point)


def test_regions_are_sorted_by_size_and_the_smallest_left_out() -> None:
    large, small, dust = disc((100, 100), (30, 30), 20), disc((100, 100), (75, 75), 8), disc((100, 100), (5, 95), 1)
    classes = np.where(np.arange(100) < 50, 1, 3) * np.ones((100, 1), int)
    found = connected_regions(large | small | dust, classes, smallest=0.01)
    assert [region.klass for region in found] == [1, 3]
    assert np.array_equal(found[0].mask, large) and found[1].share == small.mean()


def test_the_centre_of_a_region_lies_in_it() -> None:
    ring = SHAPES["a ring"]
    row, column = Region(ring, 0).cell
    assert ring[row, column] and not ring[60, 90]
    assert Region(disc((100, 200), (50, 40), 20), 0).centre == pytest.approx((0.2, 0.5), abs=0.02)
