"""Connected places of a picture."""

import numpy as np
import pytest

from stylecine.ops.regions import Region, connected_regions


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def test_regions_are_sorted_by_size_and_the_smallest_left_out() -> None:
    large, small, dust = disc((100, 100), (30, 30), 20), disc((100, 100), (75, 75), 8), disc((100, 100), (5, 95), 1)
    classes = np.where(np.arange(100) < 50, 1, 3) * np.ones((100, 1), int)
    found = connected_regions(large | small | dust, classes, smallest=0.01)
    assert [region.moving_class for region in found] == [1, 3]
    assert np.array_equal(found[0].mask, large) and found[1].share == small.mean()


def test_the_centre_of_a_region_lies_in_it() -> None:
    ring = disc((120, 180), (60, 90), 45) & ~disc((120, 180), (60, 90), 20)
    row, column = Region(ring, 0).cell
    assert ring[row, column] and not ring[60, 90]
    assert Region(disc((100, 200), (50, 40), 20), 0).centre == pytest.approx((0.2, 0.5), abs=0.02)
