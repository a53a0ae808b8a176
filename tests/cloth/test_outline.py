"""Where cloth hangs in front of what is next to it."""

import numpy as np
import pytest
import torch

from stylecine.cloth.outline import free_outline

REACH = 3
RED, GREEN, GREY = (0.7, 0.1, 0.1), (0.15, 0.35, 0.1), (0.6, 0.6, 0.65)
# in [0,255], from the lightest to the deepest; the last two as in shadow
SKIN = (
    *((247, 231, 215), (234, 218, 186), (204, 153, 128), (160, 126, 86), (130, 92, 67), (96, 65, 52)),
    *((59, 34, 25), (45, 28, 20), (36, 22, 16)),
)


def scene(cloth: tuple[float, float, float] = RED) -> tuple[np.ndarray, np.ndarray]:
    """Colours [80,100,3] of a square of cloth in front of a meadow, and where the cloth is."""
    colours = np.full((80, 100, 3), GREEN) + np.random.default_rng(3).normal(0, 0.05, (80, 100, 3))
    inside = np.zeros((80, 100), bool)
    inside[20:60, 30:70] = True
    colours[inside] = cloth + np.random.default_rng(4).normal(0, 0.02, (1600, 3))
    return colours, inside


def free_next_to(colours: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cells = torch.from_numpy(colours.clip(0, 1)).float().permute(2, 0, 1)
    free, missed = free_outline(cells, torch.from_numpy(inside), REACH)
    return free.numpy(), missed.numpy()


def test_cloth_is_free_in_front_of_a_meadow_of_another_colour() -> None:
    colours, inside = scene()
    free, missed = free_next_to(colours, inside)
    assert free[30:50, 70:73].all() and free[60:63, 40:60].all()
    assert not free[inside].any() and not missed.any()


def test_cloth_is_held_by_what_has_its_colours() -> None:
    free, _ = free_next_to(*scene(cloth=GREEN))
    assert not free.any()


def test_cloth_is_held_by_a_pole() -> None:
    colours, inside = scene()
    colours[:, 70:72] = GREY
    free, _ = free_next_to(colours, inside)
    assert not free[30:50, 70:73].any() and free[30:50, 27:30].all()


def test_cloth_is_held_by_a_pole_of_any_grey_at_the_pictures_border() -> None:
    """Behind it there is nothing that could go on."""
    for grey in (0.3, 0.5, 0.7):
        colours, inside = scene()
        colours[:, 70:73] = grey
        free, _ = free_next_to(colours[:, :73], inside[:, :73])
        assert not free[30:50, 70:].any() and free[30:50, 27:30].all()


def free_before(colour: tuple[int, int, int]) -> bool:
    """Whether cloth is free in front of something of that colour, in [0,255], as large as a face beside it."""
    colours, inside = scene()
    colours[25:55, 70:90] = np.array(colour) / 255 + np.random.default_rng(5).normal(0, 0.01, (30, 20, 3))
    free, _ = free_next_to(colours, inside)
    assert free[30:50, 27:30].all()
    beside = free[30:50, 70:73]
    assert beside.all() or not beside.any()
    return bool(beside.all())


@pytest.mark.parametrize("tone", SKIN, ids=str)
def test_cloth_is_held_by_skin_of_every_tone(tone: tuple[int, int, int]) -> None:
    assert not free_before(tone)


@pytest.mark.parametrize("colour", [(30, 30, 30), (60, 60, 60), (20, 34, 18), (20, 25, 90), (52, 20, 14)], ids=str)
def test_cloth_is_free_in_front_of_other_dark_things(colour: tuple[int, int, int]) -> None:
    assert free_before(colour)


def test_cloth_is_held_by_a_hand() -> None:
    colours, inside = scene()
    colours[36:44, 70:78] = np.array(SKIN[2]) / 255
    free, _ = free_next_to(colours, inside)
    assert not free[36:44, 70:73].any() and free[30:50, 27:30].all()


def test_cloth_is_held_where_it_bends_around_something() -> None:
    colours, inside = scene()
    inside[36:44, 56:70] = False
    colours[36:44, 56:70] = GREEN
    free, _ = free_next_to(colours, inside)
    assert not free[36:44, 56:62].any()


def test_a_strip_of_cloth_that_the_mask_has_missed_is_found() -> None:
    colours, inside = scene()
    colours[22:58, 70:72] = RED
    free, missed = free_next_to(colours, inside)
    assert missed[26:54, 70:72].all() and not missed[:, 73:].any() and not missed[:, :30].any()
    assert free[30:50, 70:73].all()
