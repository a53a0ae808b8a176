import numpy as np
import pytest
from scipy import ndimage

from stylecine.options import PACES
from stylecine.stages.speed import (
    IN_MIDSTREAM,
    MIN_SKY,
    MIN_STEADY,
    TRAVEL,
    falls_travel,
    foam,
    sky_travel,
    steadiness,
    water_travel,
)

NATURAL = TRAVEL["natural"]
SIZE = 128


def rows() -> np.ndarray:
    return np.broadcast_to(np.arange(SIZE)[:, None], (SIZE, SIZE))


def flowing(x: float, y: float) -> np.ndarray:
    return np.array([x, y])[:, None, None] * np.ones((SIZE, SIZE))


def streaks(where: np.ndarray) -> np.ndarray:
    """A dark river with white, rough water in `where`."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (SIZE, SIZE))
    return np.where(where, 0.5 + noise, -0.8)


def test_a_livelier_pace_is_faster_in_everything() -> None:
    assert tuple(TRAVEL) == PACES
    for slower, faster in ((TRAVEL["calm"], NATURAL), (NATURAL, TRAVEL["lively"])):
        assert all(a < b for a, b in zip(slower, faster, strict=True))


def test_small_compact_clouds_are_slow_and_wide_faint_or_no_clouds_are_not() -> None:
    """Small ones would be seen twice where the loop's two copies meet."""
    random, sky = np.random.default_rng(0).standard_normal((SIZE, SIZE)), rows() < 100
    small, wide = (ndimage.gaussian_filter(random, sigma) for sigma in (1.5, (8, 24)))
    small, wide = small / small.std(), wide / wide.std()
    assert sky_travel(sky, 0.5 * small, "natural") == pytest.approx(MIN_SKY * NATURAL.sky, rel=0.2)
    assert sky_travel(sky, 0.5 * small, "lively") > 1.5 * sky_travel(sky, 0.5 * small, "natural")
    for usual in (0.3 * wide, 0.02 * small, np.where(sky, -0.2, 0.9)):
        assert sky_travel(sky, usual, "natural") == pytest.approx(NATURAL.sky, rel=0.05)


def test_a_high_fall_is_faster_than_a_low_one() -> None:
    high, low = (rows() > 10) & (rows() < 80), (rows() > 95) & (rows() < 115)
    travel = falls_travel(high | low, flowing(0, 1), NATURAL)
    assert travel[40, 60] == pytest.approx(1.4 * NATURAL.falls / 1.22)
    assert travel[105, 60] == pytest.approx(0.8 * NATURAL.falls / 1.22)


def test_falling_water_that_is_not_steep_runs_as_rapids_do() -> None:
    here = (rows() > 10) & (rows() < 80)
    assert falls_travel(here, flowing(1, 0.5), NATURAL)[40, 60] == pytest.approx(NATURAL.white_water)


def test_white_water_is_faster_than_smooth_water_and_a_lake_is_slow() -> None:
    here, white = rows() >= 0, rows() > 90
    travel = water_travel(here, ~here, rows() < 20, streaks(white), NATURAL)
    assert travel[5, 60] == NATURAL.open_water
    assert travel[50, 60] == pytest.approx(IN_MIDSTREAM * NATURAL.running_water, rel=0.02)
    assert travel[110, 60] > 0.9 * IN_MIDSTREAM * NATURAL.white_water


@pytest.mark.parametrize("width", [10, 60])
def test_a_river_is_slower_along_its_banks_whatever_its_width(width: int) -> None:
    here = np.abs(rows() - 64) < width // 2
    travel = water_travel(here, ~here, rows() < 0, np.full((SIZE, SIZE), -0.8), NATURAL)[:, 60] / NATURAL.running_water
    assert travel[64] == pytest.approx(IN_MIDSTREAM)
    assert travel[65 - width // 2] < 0.9 < travel[here[:, 60]].mean() < 1.1


def test_smooth_lights_and_even_water_are_no_foam() -> None:
    here, bright = rows() >= 0, rows() > 90
    assert foam(here, np.where(bright, 0.8, -0.8))[110].max() < 0.05
    assert foam(here, 0.1 * streaks(bright)).max() == 0
    assert foam(here & False, streaks(bright)).max() == 0


def test_a_fall_slows_down_where_its_foot_meets_dark_water() -> None:
    """Elsewhere it keeps its speed, and so does water far from falls, however the picture changes there."""
    grey = np.full((256, 256), -0.8)
    grey[40:160, 60:120] = 0.9  # white water before dark rock, into a dark pool
    grey[:, 230:] = 0.9
    falls = np.zeros((256, 256), bool)
    falls[40:160, 60:120] = True
    down = np.stack([np.zeros((256, 256)), np.full((256, 256), 1.2)])
    factor = steadiness(down, falls, grey)
    assert factor[152:166, 70:110].mean() < 0.6 and factor.min() >= MIN_STEADY
    assert factor[80:120, 80:100].min() > 0.95
    assert factor[:, 200:].min() == 1


def test_an_even_fall_keeps_its_speed() -> None:
    falls = np.zeros((64, 64), bool)
    falls[10:40, 20:40] = True
    assert (steadiness(np.ones((2, 64, 64)), falls, np.zeros((64, 64))) == 1).all()
