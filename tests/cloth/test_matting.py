"""Where cloth may leave its outline: in front of plain background, and nowhere else."""

import numpy as np
import torch
from scipy import ndimage

from stylecine.cloth.matting import Matting, estimate_matting
from stylecine.ops.image import to_tensor
from tests.cloths import CLOUD, FLAG, flag_mask, flag_photo

CELL = 2


def matting_of(photo: np.ndarray, mask: np.ndarray, frozen: np.ndarray | None = None) -> Matting:
    still = np.zeros(mask.shape, np.float32) if frozen is None else frozen.astype(np.float32)
    return estimate_matting(to_tensor(photo), torch.from_numpy(mask).float(), torch.from_numpy(still), CELL)


def next_to(mask: np.ndarray) -> np.ndarray:
    """Cells that touch the outline of a mask from outside."""
    cells = mask[::CELL, ::CELL]
    return ndimage.binary_dilation(cells) & ~cells


def test_a_flag_is_free_in_front_of_the_sky_and_held_at_its_pole() -> None:
    matting = matting_of(flag_photo(), flag_mask())
    row = (FLAG[0].start + FLAG[0].stop) // 2 // CELL
    at_pole, at_fly = FLAG[1].start // CELL, FLAG[1].stop // CELL - 1
    clearance = matting.clearance[row]
    assert clearance[at_pole] <= 2 * CELL and clearance[at_pole - 1] == 0
    assert clearance[at_fly] > 20 and (clearance[at_pole:at_fly].diff() >= 0).all()


def test_uncovered_background_is_inpainted_from_the_surroundings() -> None:
    photo, mask = flag_photo(), flag_mask()
    matting = matting_of(photo, mask)
    fly = slice(FLAG[0].start + 4, FLAG[0].stop - 4), slice(FLAG[1].stop - 8, FLAG[1].stop)
    sky = photo[20:68, 110:120].reshape(-1, 3).mean(0)
    assert np.abs(matting.background[fly].numpy().reshape(-1, 3).mean(0) - sky).max() < 12
    far = np.ones(mask.shape, bool)
    far[FLAG[0].start - 14 : FLAG[0].stop + 14, FLAG[1].start - 14 : FLAG[1].stop + 14] = False
    assert far.any() and np.array_equal(matting.background.numpy()[far], photo[far])
    assert (matting.matte.numpy()[far] == 0).all()


def test_the_matte_includes_a_strip_of_sky_and_nothing_of_the_pole() -> None:
    matte = matting_of(flag_photo(), flag_mask()).matte.numpy()
    middle = (FLAG[0].start + FLAG[0].stop) // 2
    assert matte[middle, FLAG[1].stop - 1] > 200 and matte[middle, FLAG[1].stop + 1] > 100
    assert (matte[middle, FLAG[1].start - 4 : FLAG[1].start - 2] == 0).all()


def test_cloth_is_held_all_around_in_front_of_a_rough_background() -> None:
    photo, mask = flag_photo(), flag_mask()
    rough = np.random.default_rng(1).integers(0, 256, photo.shape, np.uint8)
    rough[mask] = photo[mask]
    clearance = matting_of(rough, mask).clearance
    assert (clearance[next_to(mask)] == 0).all()


def test_a_hem_is_free_in_front_of_foliage_that_is_seen_where_it_leaves() -> None:
    photo, mask = flag_photo(), flag_mask()
    leaves = np.random.default_rng(1).integers(0, 70, (*mask.shape, 1), np.uint8) * np.array([0, 1, 0], np.uint8)
    photo = np.where(mask[..., None], photo, leaves)
    matting = matting_of(photo, mask)
    hem = slice(FLAG[0].stop - 2, FLAG[0].stop), slice(FLAG[1].start + 20, FLAG[1].stop - 20)
    below = slice(FLAG[0].stop // CELL, FLAG[0].stop // CELL + 2), slice(hem[1].start // CELL, hem[1].stop // CELL)
    assert (matting.clearance[below] > 0).all()
    assert (matting.matte.numpy()[hem] > 100).all()
    behind = matting.background.numpy()[hem].astype(int)
    assert behind[..., 1].mean() > 20 and behind[..., 1].std() > 5 and behind[..., 0].max() < 40


def test_a_wall_goes_on_behind_the_cloth() -> None:
    photo, mask = flag_photo(), flag_mask()
    y, x = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]]
    bricks = np.where((y % 8 < 2) | ((x + 6 * (y // 8 % 2)) % 12 < 2), 190, 90)[..., None] * np.array([0.3, 1.0, 0.4])
    bricks = bricks.astype(np.uint8)
    background = matting_of(np.where(mask[..., None], photo, bricks), mask).background.numpy().astype(int)
    hem = slice(FLAG[0].stop - 5, FLAG[0].stop - 1), slice(FLAG[1].start + 20, FLAG[1].stop - 20)
    assert np.abs(background[hem] - bricks[hem])[..., 1].mean() < 10


def test_the_rest_of_a_dress_holds_the_part_that_a_stroke_marks() -> None:
    """What is beside the stroke is plain, but no background that the part could uncover."""
    photo, dress = flag_photo(), flag_mask()
    photo[dress] = (225, 220, 210)
    part = dress.copy()
    part[:, 66:] = False
    middle = slice(FLAG[0].start // CELL + 6, FLAG[0].stop // CELL - 6)
    assert (matting_of(photo, dress).clearance[middle, FLAG[1].stop // CELL - 1] > 0).all()
    matting = matting_of(photo, part)
    assert (matting.clearance[middle, 33] == 0).all()
    below = matting.clearance[FLAG[0].stop // CELL, FLAG[1].start // CELL + 4 : 30]
    assert (below > 0).all(), "its hem is free"


def test_frozen_areas_hold_the_cloth() -> None:
    photo, mask = flag_photo(), flag_mask()
    frozen = np.zeros(mask.shape, bool)
    frozen[:, 90:] = True
    assert (matting_of(photo, mask, frozen).clearance[:, 46:] == 0).all()


def test_the_sky_around_does_not_change_in_brightness() -> None:
    matting = matting_of(flag_photo(), flag_mask())
    row = (FLAG[0].start + FLAG[0].stop) // 2 // CELL
    assert matting.shading[row, FLAG[1].stop // CELL + 3] == 0
    assert matting.shading[row, FLAG[1].start // CELL + 6 : FLAG[1].stop // CELL - 4].min() > 0.8


def test_the_background_differs_from_the_photo_only_next_to_the_cloth() -> None:
    """A cloud's outline also ends a region of plain sky, but no cloth ever uncovers it."""
    photo, mask = flag_photo(), flag_mask()
    photo[CLOUD] = 235
    far = np.ones(mask.shape, bool)
    far[FLAG[0].start - 14 : FLAG[0].stop + 14, FLAG[1].start - 14 : FLAG[1].stop + 14] = False
    assert np.array_equal(matting_of(photo, mask).background.numpy()[far], photo[far])


def test_where_no_cloth_is_in_the_photo_the_background_is_the_photo() -> None:
    """Otherwise a strip of it would change along with the cloth, by levels that nobody sees but that are no photo's."""
    noise = np.random.default_rng(2).integers(-3, 4, (*flag_mask().shape, 1))
    photo = (flag_photo() + noise).clip(0, 255).astype(np.uint8)
    matting = matting_of(photo, flag_mask())
    bare, covered = matting.matte.numpy() == 0, matting.matte.numpy() > 128
    assert np.array_equal(matting.background.numpy()[bare], photo[bare])
    fly = slice(FLAG[0].start + 4, FLAG[0].stop - 4), slice(FLAG[1].stop - 4, FLAG[1].stop + 2)
    assert (matting.background.numpy()[fly] != photo[fly])[covered[fly]].any(-1).mean() > 0.9
