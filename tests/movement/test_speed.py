import numpy as np
import pytest
from scipy import ndimage

from stylecine.movement.speed import (
    IN_MIDSTREAM,
    MIN_SKY_FACTOR,
    MIN_STEADINESS,
    TRAVEL,
    falls_travel,
    sky_travel,
    steadiness,
    water_travel,
)
from stylecine.options import PACES
from stylecine.perception.clouds import cloud_reach
from stylecine.perception.water import brightness_slope, foam

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


def travel_of(sky: np.ndarray, red: np.ndarray, pace: str = "natural") -> float:
    return sky_travel(cloud_reach(sky, red), SIZE, pace)


def test_a_livelier_pace_is_faster_in_everything() -> None:
    assert tuple(TRAVEL) == PACES
    for slower, faster in ((TRAVEL["calm"], NATURAL), (NATURAL, TRAVEL["lively"])):
        assert all(a < b for a, b in zip(slower, faster, strict=True))


def test_small_compact_clouds_are_slow_and_wide_faint_or_no_clouds_are_not() -> None:
    """Small ones would be seen twice where the loop's two copies meet."""
    random, sky = np.random.default_rng(0).standard_normal((SIZE, SIZE)), rows() < 100
    small, wide = (ndimage.gaussian_filter(random, sigma) for sigma in (1.5, (8, 24)))
    small, wide = small / small.std(), wide / wide.std()
    for contrast, most in ((0.15, 0.35), (0.5, 0.2), (2.0, MIN_SKY_FACTOR)):
        assert MIN_SKY_FACTOR <= travel_of(sky, contrast * small) / NATURAL.sky <= most
    assert travel_of(sky, 0.5 * small, "lively") > 1.5 * travel_of(sky, 0.5 * small)
    for usual in (0.3 * wide, 0.02 * small, np.where(sky, -0.2, 0.9)):
        assert travel_of(sky, usual) == pytest.approx(NATURAL.sky, rel=0.05)


def test_what_stands_before_a_sky_is_no_cloud() -> None:
    """A bright ridge, or posts."""
    columns, random = rows().T, np.random.default_rng(0).standard_normal((SIZE, SIZE))
    clouds = ndimage.gaussian_filter(random, (8, 24))
    for sky in (rows() + 2 * columns < 200, columns % 16 < 8):
        grey = np.where(sky, 0.3 * clouds / clouds.std() - 0.5, 0.9)
        assert travel_of(sky, grey) == pytest.approx(NATURAL.sky, rel=0.05)


def test_a_higher_fall_is_faster_within_limits() -> None:
    falls = [(rows() > 5) & (rows() <= 5 + height) for height in (10, 20, 45, 50, 80, 110)]
    low, lower, usual, higher, high, highest = (falls_travel(fall, flowing(0, 1), NATURAL)[10, 60] for fall in falls)
    assert low == lower < usual < higher < high == highest < 2 * low
    assert NATURAL.white_water < usual < NATURAL.falls, "which it has at its foot"


def test_each_fall_has_its_own_speed() -> None:
    low, high = (rows() > 5) & (rows() < 20), (rows() > 40) & (rows() < 120)
    both = falls_travel(low | high, flowing(0, 1), NATURAL)
    for fall in (low, high):
        assert (both[fall] == falls_travel(fall, flowing(0, 1), NATURAL)[fall]).all()


def test_falling_water_that_is_not_steep_runs_as_rapids_do() -> None:
    here = (rows() > 10) & (rows() < 80)
    assert falls_travel(here, flowing(1, 0.5), NATURAL)[40, 60] == pytest.approx(NATURAL.white_water)


def test_white_water_is_faster_than_smooth_water_and_a_lake_is_slow() -> None:
    here, white = rows() >= 0, rows() > 90
    calm = rows() < 20
    travel = water_travel(~here, calm, rows() < 0, foam(here & ~calm, streaks(white)), NATURAL)
    assert travel[5, 60] == NATURAL.open_water
    assert travel[50, 60] == pytest.approx(IN_MIDSTREAM * NATURAL.running_water, rel=0.02)
    assert travel[110, 60] > 0.9 * IN_MIDSTREAM * NATURAL.white_water


def test_surf_goes_less_far_than_the_sea_behind_it() -> None:
    sea, surf = rows() < 100, (rows() > 60) & (rows() < 100)
    travel = water_travel(~sea, sea, surf, np.where(surf, 0.6, 0.0), NATURAL)
    assert travel[80, 60] == NATURAL.surf < NATURAL.open_water == travel[30, 60]


@pytest.mark.parametrize("width", [10, 60])
def test_a_river_is_slower_along_its_banks_whatever_its_width(width: int) -> None:
    here = np.abs(rows() - 64) < width // 2
    travel = water_travel(~here, rows() < 0, rows() < 0, np.zeros((SIZE, SIZE)), NATURAL)[:, 60] / NATURAL.running_water
    assert travel[64] == pytest.approx(IN_MIDSTREAM)
    assert travel[65 - width // 2] < 0.9 < travel[here[:, 60]].mean() < 1.1


def test_banks_are_not_felt_in_the_middle_of_a_wide_river() -> None:
    here = np.abs(rows() - 64) < 40
    travel = water_travel(~here, rows() < 0, rows() < 0, np.zeros((SIZE, SIZE)), NATURAL)[:, 60]
    assert travel[64 - 24 : 64 + 24] == pytest.approx(IN_MIDSTREAM * NATURAL.running_water)


def test_dark_rough_water_is_no_foam() -> None:
    here = rows() >= 0
    white = foam(here, streaks(here) - (rows() < 64))  # the lower half is white
    assert white[96:].min() > 0.9 and white[:48].max() < 0.05


def test_white_rocks_beside_dark_water_are_no_foam() -> None:
    here = (rows() < 40) | (rows() > 80)
    white = foam(here, streaks(rows() >= 40))  # rapids below, rocks above them, dark water above these
    assert white[100].min() > 0.9 and white[36].max() < 0.1


def test_a_bright_lake_takes_no_foam_from_the_stream_that_leaves_it() -> None:
    lake, rapids = rows() < 105, rows() > 112
    white = foam(~lake, np.where(lake, 0.5, streaks(rapids)))
    travel = water_travel(rows() < 0, lake, rows() < 0, white, NATURAL)
    assert travel[120:].min() > 0.9 * IN_MIDSTREAM * NATURAL.white_water


def test_smooth_lights_and_even_water_are_no_foam() -> None:
    here, bright = rows() >= 0, rows() > 90
    assert foam(here, np.where(bright, 0.8, -0.8))[110].max() < 0.05
    assert foam(here, 0.1 * streaks(bright)).max() == 0
    assert foam(here & False, streaks(bright)).max() == 0


def test_a_fall_slows_down_where_its_foot_meets_dark_water() -> None:
    """Elsewhere it keeps its speed, and so does water far from falls, however the picture changes there."""
    grey = np.full((256, 256), -0.8)
    grey[40:160, 60:120] = 0.9  # white water before dark rock, into a dark pool
    grey[170:, 200:] = 0.9
    falls = np.zeros((256, 256), bool)
    falls[40:160, 60:120] = True
    down = np.stack([np.zeros((256, 256)), np.full((256, 256), 1.2)])
    factor = steadiness(down, falls, brightness_slope(grey))
    assert factor[152:166, 70:110].mean() < 0.6 and factor.min() >= MIN_STEADINESS
    assert factor[80:120, 80:100].min() > 0.95
    assert factor[:, 200:].min() == 1
    everywhere = steadiness(down, grey > 0, brightness_slope(grey))
    assert everywhere[165:175, 210:].mean() < 0.6, "were that white a fall, too"


def test_an_even_fall_keeps_its_speed() -> None:
    falls = np.zeros((64, 64), bool)
    falls[10:40, 20:40] = True
    assert (steadiness(np.ones((2, 64, 64)), falls, np.zeros((2, 64, 64))) == 1).all()
