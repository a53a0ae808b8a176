"""Connected places of a picture."""

import numpy as np
import pytest

from stylecine.ops.regions import Region, connected, connected_regions

PICTURE = np.array(
    [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0],
    ],
    bool,
)


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def test_places_that_meet_at_a_corner_are_one_part_or_two() -> None:
    assert connected(PICTURE).size.tolist() == [19, 5, 1]
    assert connected(PICTURE, corners=False).size.tolist() == [19, 4, 1, 1]


def test_what_is_asked_of_parts_is_a_value_for_each() -> None:
    parts, values = connected(PICTURE), np.arange(25.0).reshape(5, 5)
    assert parts.sum(values)[1:].tolist() == [0 + 1 + 5 + 6 + 12, 23]
    assert parts.mean(values)[1:].tolist() == [24 / 5, 23]
    assert parts.touch(values > 20)[1:].tolist() == [False, True]
    assert parts.touch_border[1:].tolist() == [True, True]
    assert not connected(PICTURE, corners=False).touch_border[2]
    assert parts.extent[1:].tolist() == [[3, 3], [1, 1]]


def test_parts_are_kept_by_number_and_what_is_off_them_never_is() -> None:
    parts = connected(PICTURE)
    assert np.array_equal(parts.keep(np.array([True, True, True])), PICTURE)
    assert parts.keep(np.array([True, False, True])).sum() == 1
    [only] = parts.masks(parts.size == 5)
    assert np.array_equal(only, PICTURE & (np.arange(5) < 3))


def test_a_part_is_its_share_of_its_box() -> None:
    (box, inside), _ = connected(PICTURE)
    assert box == (slice(0, 3), slice(0, 3)) and inside.sum() == 5


def test_a_part_of_which_nothing_is_left_keeps_its_number() -> None:
    parts = connected(PICTURE).within(np.arange(5)[:, None] > 2)
    assert parts.count == 2 and parts.size[1:].tolist() == [0, 1] and parts.mean(np.ones((5, 5)))[1] == 0


def test_a_picture_may_have_no_parts() -> None:
    parts = connected(np.zeros((4, 6), bool))
    assert parts.count == 0 and not parts.keep(parts.size > 0).any() and [*parts] == []
    assert parts.extent.tolist() == [[0, 0]]


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


def test_parts_may_be_connected_across_the_edges() -> None:
    places = np.zeros((5, 9), bool)
    places[0, [0, 1, 8]] = places[2, :3] = places[4, 7:] = True
    parts, wrapped = connected(places), connected(places, wraps=True)
    assert parts.numbers[0, 0] != parts.numbers[0, 8]
    assert wrapped.numbers[0, 0] == wrapped.numbers[0, 8] and sorted(wrapped.size[1:]) == [0, 2, 3, 3]
