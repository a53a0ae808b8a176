"""The smooth backdrop of a close-up: where plants sway freely, and what is behind them."""

import pytest
import torch
from torch import Tensor

from stylecine.perception.backdrop import Backdrop, find_backdrop

H, W = 240, 320
GREEN, PINK = torch.tensor([-0.5, 0.1, -0.6]), torch.tensor([0.7, -0.2, 0.3])
Y, X = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
DISTANCE = torch.hypot(Y - 120.0, X - 160.0)
FLOWER = DISTANCE < 50
NOTHING = torch.zeros(H, W, dtype=torch.bool)


def noise(size: float) -> Tensor:
    return size * torch.randn(H, W, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def wall() -> Tensor:
    """What is out of focus: [3,H,W], lighter to the right."""
    return GREEN[:, None, None] + 0.4 * (X / W) + noise(0.005)


@pytest.fixture(scope="module")
def photo(wall: Tensor) -> Tensor:
    """A flower before it, whose outline is soft over four pixels."""
    return torch.lerp(wall, PINK[:, None, None] + noise(0.05), ((52 - DISTANCE) / 4).clamp(0, 1))


def found(photo: Tensor, others: Tensor = NOTHING) -> Backdrop:
    backdrop = find_backdrop(photo, FLOWER.float(), others)
    assert backdrop is not None
    return backdrop


def test_its_colours_go_on_behind_the_plant(photo: Tensor, wall: Tensor) -> None:
    backdrop = found(photo)
    near = (DISTANCE > 44) & (DISTANCE < 56)
    assert backdrop.behind[near].all()
    assert (backdrop.image - wall)[:, near].abs().mean() < 0.02
    beyond = backdrop.share == 1
    assert torch.equal(backdrop.image[:, beyond], photo[:, beyond]) and beyond[DISTANCE > 60].all()


def test_soft_outlines_are_mixtures(photo: Tensor) -> None:
    share = found(photo).share
    assert (share[DISTANCE < 47] < 0.1).all() and (share[DISTANCE > 53] > 0.9).all()
    middle = (DISTANCE - 50).abs() < 0.5
    assert 0.35 < float(share[middle].mean()) < 0.65


def test_an_outline_that_is_wrong_by_some_pixels_is_mended(photo: Tensor) -> None:
    backdrop = find_backdrop(photo, (DISTANCE < 52.5).float(), NOTHING)
    assert backdrop is not None and (backdrop.share[(DISTANCE > 52.2) & (DISTANCE < 56)] > 0.9).all()


def test_before_rough_ground_plants_have_none(photo: Tensor) -> None:
    rough = torch.where(FLOWER, photo, photo + noise(0.2))
    assert find_backdrop(rough, FLOWER.float(), NOTHING) is None


def test_dark_ground_is_not_taken_for_smooth(photo: Tensor) -> None:
    ground = torch.where(FLOWER, photo, (-0.93 + noise(0.015)).expand(3, -1, -1))
    assert find_backdrop(ground, FLOWER.float(), NOTHING) is None


def test_a_stem_is_no_part_of_it(photo: Tensor) -> None:
    stem = ((X - 160).abs() < 3) & (Y > 165)
    backdrop = found(torch.where(stem, torch.tensor([0.2, 0.8, -0.9])[:, None, None], photo))
    assert not backdrop.behind[stem].any() and backdrop.behind[(X < 130) & ~FLOWER].all()


def test_what_moves_itself_or_must_not_change_is_no_part_of_it(photo: Tensor) -> None:
    left = X < 100
    assert not found(photo, left).behind[left].any()
    assert find_backdrop(photo, FLOWER.float(), X < 200) is None, "most of what is around the flower is not smooth"


def test_without_plants_there_is_none(photo: Tensor) -> None:
    assert find_backdrop(photo, torch.zeros(H, W), NOTHING) is None
    assert find_backdrop(photo, torch.ones(H, W), NOTHING) is None


def test_a_patch_of_shade_among_leaves_is_none(photo: Tensor) -> None:
    leaves = (torch.hypot(Y - 120.0, X - 40.0) > 35).float()
    assert find_backdrop(torch.where(leaves > 0, photo + noise(0.2), photo), leaves, NOTHING) is None
