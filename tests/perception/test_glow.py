import numpy as np
import pytest
import torch
from scipy import ndimage

from stylecine.perception.glow import sun_glow

HEIGHT, WIDTH = 192, 288
Y, X = np.mgrid[:HEIGHT, :WIDTH]
SKY = Y < 150
FROM_SUN = np.hypot(X - 150, Y - 70) / HEIGHT  # short sides
ORANGE = np.array((0.75, 0.45, 0.25))


def evening(falls: float = 0.12) -> np.ndarray:
    """A white sun in an orange sky that is lighter towards the horizon, over dark ground: [3,192,288] in [0,1]."""
    glow = np.exp(-np.maximum(FROM_SUN - 0.03, 0) / falls) if falls else (FROM_SUN < 0.03).astype(float)
    sky = ORANGE[:, None, None] * (0.7 + 0.3 * Y / HEIGHT)
    return np.where(SKY, sky + glow * (1 - sky), 0.1)


def glow_in(photo: np.ndarray, sky: np.ndarray = SKY) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.004, photo.shape)
    return sun_glow(torch.from_numpy((photo + noise).clip(0, 1).astype(np.float32)) * 2 - 1, sky)


def test_the_glow_of_the_sun_stands_beside_it_and_not_far_from_it() -> None:
    found = glow_in(evening())
    assert found[FROM_SUN < 0.1].min() > 0.9
    assert found[FROM_SUN > 0.37].max() == 0
    assert glow_in(evening(0.05))[FROM_SUN > 0.25].max() < glow_in(evening(0.2))[(FROM_SUN > 0.25) & SKY].max()


def test_a_sun_without_glow_and_a_sky_without_sun_have_none() -> None:
    assert glow_in(evening(falls=0)).max() == 0
    assert glow_in(np.where(SKY, ORANGE[:, None, None] * (0.7 + 0.3 * Y / HEIGHT), 0.1)).max() == 0
    assert glow_in(evening(), np.zeros_like(SKY)).max() == 0


@pytest.mark.parametrize("seed", range(6))
def test_white_clouds_are_no_sun(seed: int) -> None:
    random = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH))
    noise = sum(size * ndimage.gaussian_filter(random, size) for size in (3, 8, 20))
    share = np.clip(0.5 + 2 * noise / noise.std(), 0, 1)
    blue = np.array((0.3, 0.5, 0.8))[:, None, None]
    assert glow_in(np.where(SKY, blue + share * (1 - blue), 0.1)).max() == 0


def test_a_burnt_out_area_as_high_as_a_panorama_is_looked_at_only_near_it() -> None:
    """It is wider than all the rings in which a glow is looked for."""
    y, x = np.mgrid[:HEIGHT, :1400]
    burnt_out = np.hypot(x - 700, y - 90) < 82
    photo = np.where(burnt_out, 1.0, np.broadcast_to(ORANGE[:, None, None], (3, HEIGHT, 1400)))
    assert glow_in(photo, y < 190).max() == 0


def test_a_ring_of_less_than_a_pixel_is_no_mistake() -> None:
    """Of photos whose short side has less than 84 pixels."""
    y, x = np.mgrid[:70, :757]
    bright = np.where(np.hypot(x - 300, y - 30) < 20, 1.0, np.broadcast_to(ORANGE[:, None, None], (3, 70, 757)))
    assert glow_in(bright, y < 60).max() == 0


def test_the_answer_has_the_size_of_the_sky_that_is_asked_for() -> None:
    large = np.repeat(np.repeat(evening(), 2, 1), 2, 2)
    found = glow_in(large, SKY)
    assert found.shape == SKY.shape and np.abs(found - glow_in(evening())).mean() < 0.03
