import numpy as np
import pytest
import torch
from scipy import ndimage

from stylecine.perception.bed import standing_colours

HEIGHT, WIDTH, SHORE = 192, 288, 40
WATER = np.repeat(np.arange(HEIGHT)[:, None] >= SHORE, WIDTH, 1)
TURQUOISE, WEED, LIGHT_BLUE = (0.1, 0.7, 0.75), (0.12, 0.3, 0.45), (0.45, 0.6, 0.75)
Y, X = np.mgrid[:HEIGHT, :WIDTH]
PATCH = np.hypot(X - 180, Y - 120) < 22


def sea(patch: np.ndarray | None = None, waves: float = 0.06) -> np.ndarray:
    """Turquoise water below a grey shore, whose waves are lighter and darker level lines: [3,192,288] in [0,1]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((HEIGHT, WIDTH)), (1.2, 8))
    lines = 1 + waves * noise / noise.std()
    photo = np.where(WATER, np.array(TURQUOISE)[:, None, None] * lines, 0.4)
    if patch is not None:
        soft = ndimage.gaussian_filter(patch.astype(float), 2.0)
        photo = photo + soft * (np.array(WEED)[:, None, None] - photo)
    return photo.clip(0, 1)


def found_in(photo: np.ndarray, water: np.ndarray = WATER) -> np.ndarray:
    return standing_colours(torch.from_numpy(photo.astype(np.float32)) * 2 - 1, water)


def test_a_patch_of_weed_stands_and_the_water_around_it_does_not() -> None:
    found = found_in(sea(PATCH))
    border = PATCH ^ ndimage.binary_erosion(PATCH, iterations=3)
    assert found[border].mean() > 0.7
    assert found[np.hypot(X - 180, Y - 120) > 60].max() < 0.05 and found[~WATER].max() == 0


@pytest.mark.parametrize("waves", [0.0, 0.06, 0.15])
def test_waves_change_how_light_water_is_and_stand_nowhere(waves: float) -> None:
    assert found_in(sea(waves=waves)).max() < 0.05


def test_crests_that_mirror_the_sky_are_as_small_as_waves() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((HEIGHT, WIDTH)), 0.8)
    crests = (noise > noise.std()) & WATER
    photo = sea()
    photo[:, crests] = np.array(LIGHT_BLUE)[:, None]
    assert found_in(photo)[WATER].mean() < 0.05


def test_foam_is_no_patch_of_colour() -> None:
    foam = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((HEIGHT, WIDTH)), 4)
    white = (foam > 1.2 * foam.std()) & WATER
    rough = np.random.default_rng(3).uniform(0.75, 1.0, (HEIGHT, WIDTH))
    photo = np.where(white, rough, sea(PATCH))
    assert found_in(photo).max() < 0.05


def test_the_answer_fits_any_grid() -> None:
    photo = sea(PATCH)
    large = np.repeat(np.repeat(photo, 2, 1), 2, 2)
    small = WATER[::2, ::2]
    assert found_in(large, small).shape == small.shape
    assert np.abs(found_in(large, small) - found_in(photo)[::2, ::2]).mean() < 0.02
    assert found_in(photo, np.zeros_like(WATER)).max() == 0
