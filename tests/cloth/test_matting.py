"""Where cloth may leave its outline: free before plain background, held at everything else."""

import numpy as np
import torch

from stylecine.cloth.matting import outline
from stylecine.ops.image import to_tensor
from tests.cloths import CLOUD, FLAG, flag_mask, flag_photo

CELL = 2


def of(photo: np.ndarray, mask: np.ndarray, frozen: np.ndarray | None = None):
    still = np.zeros(mask.shape, np.float32) if frozen is None else frozen.astype(np.float32)
    return outline(to_tensor(photo), torch.from_numpy(mask).float(), torch.from_numpy(still), CELL)


def test_a_flag_is_free_before_the_sky_and_held_at_its_pole() -> None:
    edge = of(flag_photo(), flag_mask())
    row = (FLAG[0].start + FLAG[0].stop) // 2 // CELL
    at_pole, at_fly = FLAG[1].start // CELL, FLAG[1].stop // CELL - 1
    clearance = edge.clearance[row]
    assert clearance[at_pole] <= 2 * CELL and clearance[at_pole - 1] == 0
    assert clearance[at_fly] > 20 and (clearance[at_pole:at_fly].diff() >= 0).all()


def test_what_the_cloth_may_uncover_is_filled_in_from_around() -> None:
    photo, mask = flag_photo(), flag_mask()
    edge = of(photo, mask)
    fly = slice(FLAG[0].start + 4, FLAG[0].stop - 4), slice(FLAG[1].stop - 8, FLAG[1].stop)
    sky = photo[20:68, 110:120].reshape(-1, 3).mean(0)
    assert np.abs(edge.background[fly].numpy().reshape(-1, 3).mean(0) - sky).max() < 12
    far = np.ones(mask.shape, bool)
    far[FLAG[0].start - 14 : FLAG[0].stop + 14, FLAG[1].start - 14 : FLAG[1].stop + 14] = False
    assert far.any() and np.array_equal(edge.background.numpy()[far], photo[far])
    assert (edge.matte.numpy()[far] == 0).all()


def test_the_matte_takes_a_strip_of_sky_along_and_nothing_of_the_pole() -> None:
    matte = of(flag_photo(), flag_mask()).matte.numpy()
    middle = (FLAG[0].start + FLAG[0].stop) // 2
    assert matte[middle, FLAG[1].stop - 1] > 200 and matte[middle, FLAG[1].stop + 1] > 100
    assert (matte[middle, FLAG[1].start - 4 : FLAG[1].start - 2] == 0).all()


def test_before_a_rough_background_cloth_is_held_all_around() -> None:
    photo, mask = flag_photo(), flag_mask()
    rough = np.random.default_rng(1).integers(0, 256, photo.shape, np.uint8)
    rough[mask] = photo[mask]
    edge = of(rough, mask)
    outside = torch.from_numpy(~mask)[::CELL, ::CELL]
    assert (edge.clearance[outside] == 0).all()


def test_what_is_frozen_holds_the_cloth() -> None:
    photo, mask = flag_photo(), flag_mask()
    frozen = np.zeros(mask.shape, bool)
    frozen[:, 90:] = True
    assert (of(photo, mask, frozen).clearance[:, 46:] == 0).all()


def test_the_sky_around_takes_nothing_of_the_clothes_shading() -> None:
    edge = of(flag_photo(), flag_mask())
    row = (FLAG[0].start + FLAG[0].stop) // 2 // CELL
    assert edge.shaded[row, FLAG[1].stop // CELL + 3] == 0
    assert edge.shaded[row, FLAG[1].start // CELL + 6 : FLAG[1].stop // CELL - 4].min() > 0.8


def test_the_background_differs_from_the_photo_only_next_to_the_cloth() -> None:
    """Edges of clouds bound regions of plain sky as cloth does, but no cloth ever uncovers them."""
    photo, mask = flag_photo(), flag_mask()
    photo[CLOUD] = 235
    far = np.ones(mask.shape, bool)
    far[FLAG[0].start - 14 : FLAG[0].stop + 14, FLAG[1].start - 14 : FLAG[1].stop + 14] = False
    assert np.array_equal(of(photo, mask).background.numpy()[far], photo[far])
