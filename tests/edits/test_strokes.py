"""A rough stroke means what is under it."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stylecine.edits.strokes import BAND, MAX_PLACES, cover_region, fit_stroke, stroke_distance

SIZE = (160, 200)


@pytest.fixture(scope="module")
def sea() -> np.ndarray:
    """uint8 [160,200,3]: blue with noise."""
    noise = np.random.default_rng(1).normal(0, 6, (*SIZE, 1))
    return (np.array([40, 90, 120]) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rock() -> np.ndarray:
    """bool [160,200]: an ellipse around row 80, column 100."""
    y, x = np.indices(SIZE)
    return np.hypot((y - 80) / 18, (x - 100) / 30) < 1


def placed(box: tuple[int, int, int, int], share: np.ndarray) -> np.ndarray:
    picture = np.zeros(SIZE, np.float32)
    picture[box[0] : box[2], box[1] : box[3]] = share
    return picture


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_rough_stroke_over_a_rock_selects_the_rock(sea: np.ndarray, rock: np.ndarray) -> None:
    photo = sea.copy()
    photo[rock] = photo[rock] // 2 + np.array([50, 30, 10], np.uint8)
    line, radius = np.array([[82.0, 86.0], [104.0, 74.0], [121.0, 83.0]]), 27.0
    found = placed(*fit_stroke(photo, line, radius)) > 0.5
    brush = placed(*stroke_distance(SIZE, line, radius)) > 0
    assert overlap(found, rock) > 0.9 and overlap(brush, rock) < 0.5


def test_on_a_uniform_background_the_stroke_counts_as_drawn(sea: np.ndarray) -> None:
    line, radius = np.array([[80.0, 80.0], [120.0, 80.0]]), 20.0
    found = placed(*fit_stroke(sea, line, radius)) > 0.5
    box, distance = stroke_distance(SIZE, line, radius)
    assert overlap(found, placed(box, distance < radius) > 0) > 0.95


def test_nothing_changes_far_from_the_brush(sea: np.ndarray, rock: np.ndarray) -> None:
    """Though the rock goes on."""
    photo = sea.copy()
    photo[rock] = 20
    line, radius = np.array([[90.0, 80.0]]), 15.0
    found = placed(*fit_stroke(photo, line, radius))
    y, x = np.indices(SIZE)
    far = np.hypot(y + 0.5 - 80, x + 0.5 - 90) > (1 + BAND) * radius + 1
    assert not found[far].any() and found[80, 90] > 0.9
    assert (rock & far).any()


@pytest.mark.parametrize("line", [[[-30, -30], [4, 4]], [[199.9, 159.9]], [[100, 80], [900, 80]]], ids=str)
def test_strokes_may_begin_or_end_outside_the_photo(sea: np.ndarray, line: list[list[float]]) -> None:
    box, share = fit_stroke(sea, np.array(line), 8.0)
    assert share.shape == (box[2] - box[0], box[3] - box[1]) and share.max() > 0.9
    assert 0 <= box[0] < box[2] <= SIZE[0] and 0 <= box[1] < box[3] <= SIZE[1]


def test_a_brush_of_one_pixel(sea: np.ndarray) -> None:
    found = placed(*fit_stroke(sea, np.array([[100.5, 80.5]]), 1.0))
    assert found[80, 100] > 0.5 and (found > 0.5).sum() <= 9


def test_a_brush_as_large_as_the_photo(sea: np.ndarray) -> None:
    found = placed(*fit_stroke(sea, np.array([[100.0, 80.0]]), 200.0))
    assert (found > 0.9).all()


def test_a_large_brush_selects_the_rock_too_and_needs_little_memory(sea: np.ndarray, rock: np.ndarray) -> None:
    photo = sea.copy()
    photo[rock] = photo[rock] // 2 + np.array([50, 30, 10], np.uint8)
    line, radius = np.array([[82.0, 86.0], [104.0, 74.0], [121.0, 83.0]]), 50.0
    large = np.asarray(Image.fromarray(photo).resize((3200, 2560)))
    tracemalloc.start()
    box, fine = fit_stroke(large, 16 * line, 16 * radius)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6 and fine.shape == (2560, 3200) and box == (0, 0, 2560, 3200)
    shrunk = np.asarray(Image.fromarray(fine).resize((200, 160), Image.Resampling.BOX))
    assert overlap(shrunk > 0.5, rock) > 0.9
    _, distance = stroke_distance((2560, 3200), 16 * line, 16 * radius, reach=2.3)
    exact = stroke_distance((160, 200), line, radius, reach=2.3)[1]
    assert np.abs(distance[8::16, 8::16] / 16 - exact).max() < 1.5


def test_a_long_thin_stroke_is_placed() -> None:
    box, distance = stroke_distance((2000, 2500), np.array([[10.0, 10.0], [2490.0, 1300.0]]), 3.0)
    assert box[:2] == (6, 6) and ndimage.label(distance < 3)[1] == 1 and (distance < 3).any(0)[5:-5].all()


def test_the_same_stroke_gives_the_same_bytes(sea: np.ndarray) -> None:
    first, second = (fit_stroke(sea, np.array([[50.0, 60.0], [90.0, 70.0]]), 12.0)[1] for _ in range(2))
    assert np.array_equal(first, second)


Y, X = np.indices(SIZE)
COMB = (abs(Y - 80) < 60) & (abs(X - 100) < 80) & ((X % 20 < 5) | (Y > 130))  # its teeth are too fine for the brush
REGIONS = {
    "a disc": np.hypot(Y - 80, X - 100) < 40,
    "a ring": abs(np.hypot(Y - 80, X - 100) - 55) < 12,
    "a comb": COMB,
    "a band along the whole lower border": Y >= 95,
    "a diagonal stream": abs(X - 1.2 * Y) < 14,
    "everything": Y >= 0,
    "a single pixel": (Y == 3) & (X == 170),
}


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_one_stroke_covers_a_region_and_little_else(region: np.ndarray) -> None:
    points, radius = cover_region(region)
    assert len(points) <= 2 * MAX_PLACES and 0 < radius <= 1 and all(0 <= value <= 1 for p in points for value in p)
    box, distance = stroke_distance(SIZE, np.array(points) * SIZE[::-1], radius * min(SIZE))
    covered = placed(box, distance < radius * min(SIZE)) > 0
    assert covered[region].mean() > (0.75 if region is not COMB else 0.25)
    assert (covered & ~region).sum() <= max(24, 0.3 * region.sum())
