import numpy as np
import pytest
import torch
from scipy import ndimage

from stylecine.movement.displacement import integrate
from stylecine.movement.swell import RIPPLE_SECONDS, SECONDS, predict_swell
from stylecine.ops.displacement import Displacement
from stylecine.perception.reflection import mirroring
from tests.seen import Everywhere, seen

HEIGHT, WIDTH, SHORE = 160, 240, 70


def texture(seed: int, rows: int, across: float = 2.5) -> np.ndarray:
    """A wood, or waves if it is wide across: [rows,240] in [-1,1]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((rows, WIDTH)), (2.5, across))
    return np.clip(noise / noise.std() * 0.25, -1, 1)


def lake(ripples: float = 0.0, mirrors: bool = True) -> np.ndarray:
    """A wood above a lake: [160,240] in [-1,1]."""
    wood, waves = texture(0, SHORE), texture(1, HEIGHT - SHORE, across=12)
    mirrored = np.pad(wood[::-1], ((0, HEIGHT - 2 * SHORE), (0, 0)), mode="edge")
    share = ripples if mirrors else 1.0
    return np.vstack([wood, (1 - share) * mirrored + share * waves]).astype(np.float32)


def below(row: int) -> np.ndarray:
    return np.repeat(np.arange(HEIGHT)[:, None] >= row, WIDTH, 1)


WATER, LAND = below(SHORE), ~below(SHORE)


@pytest.mark.parametrize("ripples", [0.0, 0.3])
def test_a_lake_mirrors_its_shore(ripples: float) -> None:
    found = mirroring(lake(ripples), WATER, LAND)
    assert found[WATER].min() == 1 and found[LAND].max() == 0


def test_a_shore_that_is_seen_from_above_is_mirrored_a_little_lower_and_shorter() -> None:
    grey = lake()
    rows = np.arange(HEIGHT - SHORE) / 0.9 + 2 * SHORE - SHORE - 3
    grey[SHORE:] = grey[np.clip(rows, 0, HEIGHT - 1).astype(int)]
    assert mirroring(grey, WATER, LAND)[WATER].min() > 0.9


def test_waves_and_plain_water_mirror_nothing() -> None:
    assert mirroring(lake(mirrors=False), WATER, LAND).max() < 0.1
    plain = np.where(WATER, 0.0, lake()).astype(np.float32)
    assert mirroring(plain, WATER, LAND).max() < 0.1
    assert mirroring(lake(), np.zeros_like(WATER), LAND).max() == 0


def test_water_without_waves_is_calm_where_little_of_it_is_a_reflection() -> None:
    """Trunks, posts and its bed have upright edges, waves have few."""
    mirrored = np.arange(WIDTH)[None] < 0.1 * WIDTH
    still = np.vstack([texture(0, SHORE), texture(3, HEIGHT - SHORE)])
    waves, calm = (np.where(mirrored, lake(), rest).astype(np.float32) for rest in (lake(mirrors=False), still))
    assert mirroring(waves, WATER, LAND).max() < 0.1
    assert mirroring(calm, WATER, LAND)[WATER].min() == 1


def test_the_sky_above_the_horizon_is_no_shore() -> None:
    assert mirroring(lake(), WATER, np.zeros_like(LAND)).max() == 0


def test_each_stretch_of_water_is_judged_by_itself() -> None:
    bank = np.abs(np.arange(WIDTH) - WIDTH // 2)[None] < 10
    grey = np.where(np.arange(WIDTH)[None] < WIDTH // 2, lake(), lake(mirrors=False))
    found = mirroring(grey, WATER & ~bank, LAND | bank)
    assert found[SHORE:, :100].min() > 0.9 and found[SHORE:, 140:].max() == 0


def swaying(speed: float, mirrors: bool) -> Displacement:
    """The displacement of a lake in a loop of four seconds."""
    layers, flow = torch.zeros(4, HEIGHT, WIDTH), torch.zeros(2, HEIGHT, WIDTH)
    layers[1], flow[0] = torch.from_numpy(WATER), torch.from_numpy(WATER) * speed * HEIGHT / 120
    photo = torch.from_numpy(lake(mirrors=mirrors)).expand(3, -1, -1)
    (swell,) = predict_swell(seen(photo, layers, Everywhere(1, 0)), flow)
    assert swell.seconds == (RIPPLE_SECONDS if mirrors else SECONDS)
    return integrate(flow, layers[1], period=120, fps=30, margin=32, swells=[swell])


def test_water_that_mirrors_its_shore_rocks_and_does_not_drift() -> None:
    near = slice(HEIGHT - 20, HEIGHT)
    assert swaying(0.0012, mirrors=True).rocks(HEIGHT, WIDTH)[near].float().mean() > 0.9
    assert not swaying(0.06, mirrors=False).rocks(HEIGHT, WIDTH)[WATER].any()
