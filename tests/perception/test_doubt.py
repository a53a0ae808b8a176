"""What moves although the eye was hardly sure, what stands still although it may move, and what is torn off."""

import numpy as np
import pytest
import torch

from stylecine.options import CLASSES
from stylecine.perception.doubt import doubtful_regions, left_out_regions, torn_regions

SIZE = 256, 384
NOWHERE = np.zeros(SIZE, bool)
SKY, WATER = CLASSES.index("sky"), CLASSES.index("water")


def probabilities(moving: torch.Tensor) -> torch.Tensor:
    """All that moves is water."""
    return torch.stack([1 - moving, *(moving if k == WATER else torch.zeros_like(moving) for k in range(len(CLASSES)))])


@pytest.fixture
def sure() -> torch.Tensor:
    """A probability of moving of 1 everywhere, [256,384]."""
    return torch.ones(SIZE)


def test_what_moves_with_a_low_probability_is_doubtful(sure: torch.Tensor) -> None:
    sure[100:140, 50:90] = 0.7
    (doubt,) = doubtful_regions(probabilities(sure), torch.ones(512, 768), np.zeros((512, 768), bool))
    assert doubt.moving and doubt.moving_class == WATER and np.array_equal(doubt.mask, sure.numpy() < 0.8)


def test_what_stands_still_though_it_may_move_is_doubtful(sure: torch.Tensor) -> None:
    sure[:], sure[100:140, 50:90], sure[200:230, 50:90] = 0.1, 0.3, 0.9  # the last was left out for its size
    first, second = doubtful_regions(probabilities(sure), torch.zeros(SIZE), NOWHERE)
    assert not first.moving and not second.moving and first.moving_class == WATER
    assert np.array_equal(first.mask | second.mask, sure.numpy() > 0.2)


def test_a_place_that_moves_in_part_is_two(sure: torch.Tensor) -> None:
    sure[:], sure[100:140, 50:90] = 0.1, 0.6
    moves = torch.zeros(SIZE)
    moves[100:140, 70:90] = 1
    doubts = doubtful_regions(probabilities(sure), moves, NOWHERE)
    assert sorted(doubt.moving for doubt in doubts) == [False, True]
    for doubt in doubts:
        assert doubt.mask[120, 80 if doubt.moving else 60] and not doubt.mask[120, 60 if doubt.moving else 80]


def test_what_was_painted_is_beyond_doubt(sure: torch.Tensor) -> None:
    sure[100:140, 50:90] = 0.7
    painted = NOWHERE.copy()
    painted[90:150, 40:100] = True
    for moves in (torch.ones(SIZE), 1 - torch.from_numpy(painted).float()):
        assert doubtful_regions(probabilities(sure), moves, painted) == []


def test_a_border_and_specks_are_not_doubtful(sure: torch.Tensor) -> None:
    sure[100:102] = 0.5
    sure[200:205, 200:205] = 0.5
    assert doubtful_regions(probabilities(sure), torch.ones(SIZE), NOWHERE) == []


def test_the_largest_come_first(sure: torch.Tensor) -> None:
    for k in range(6):
        sure[20:40, 60 * k : 60 * k + 20 + 4 * k] = 0.7
    areas = [int(doubt.mask.sum()) for doubt in doubtful_regions(probabilities(sure), torch.ones(SIZE), NOWHERE)]
    assert areas == [20 * (20 + 4 * k) for k in (5, 4, 3, 2, 1)] + [400]


def half_of_a_river(sure: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and layers of a photo whose right half is water, half of which is unsure and stands still."""
    sure[:, :192], sure[:, 192:288], sure[:, 288:] = 0.0, 0.9, 0.4
    water = torch.zeros(len(CLASSES), *SIZE)
    water[WATER, :, 192:288] = 1
    return probabilities(sure), water


def test_the_other_half_of_a_river_is_left_out(sure: torch.Tensor) -> None:
    likely, water = half_of_a_river(sure)
    (left_out,) = left_out_regions(doubtful_regions(likely, water[WATER], NOWHERE), water)
    assert left_out.moving_class == WATER and np.array_equal(left_out.mask, sure.numpy() == np.float32(0.4))


def test_what_is_small_or_far_from_its_kind_is_not_left_out(sure: torch.Tensor) -> None:
    likely, water = half_of_a_river(sure)
    sky = water[[WATER, SKY, 2, 3]]
    assert left_out_regions(doubtful_regions(likely, water[WATER], NOWHERE), sky) == [], "the sky moves beside it"
    sure[:, 300:] = 0.0
    likely = probabilities(sure)
    doubts = doubtful_regions(likely, water[WATER], NOWHERE)
    assert doubts and left_out_regions(doubts, water) == doubts
    sure[20:] = torch.where(sure[20:] == 0.4, 0, sure[20:])
    assert left_out_regions(doubtful_regions(probabilities(sure), water[WATER], NOWHERE), water) == []


@pytest.fixture
def post(sure: torch.Tensor) -> np.ndarray:
    """bool [256,384]: a post, of which the eye is sure that it stands still."""
    sure[60:200, 100:106] = 0.03
    return sure.numpy() < 0.1


def layers(moving_class: int) -> torch.Tensor:
    """Everything moves, as one class."""
    moving = torch.zeros(len(CLASSES), *SIZE)
    moving[moving_class] = 1
    return moving


def test_a_post_that_drifts_with_the_sky_is_torn_off(sure: torch.Tensor, post: np.ndarray) -> None:
    (torn,) = torn_regions(probabilities(sure), layers(SKY), torch.ones(SIZE))
    assert torn.moving and torn.moving_class == SKY
    assert torn.mask[post].mean() > 0.95 and not torn.mask[~post].any()


def test_what_moves_with_water_or_may_move_or_stands_still_is_not(sure: torch.Tensor, post: np.ndarray) -> None:
    still = torch.from_numpy(~post).float()
    assert torn_regions(probabilities(sure), layers(WATER), torch.ones(SIZE)) == []
    assert torn_regions(probabilities(sure), layers(SKY), still) == []
    assert torn_regions(probabilities(sure.clamp(min=0.15)), layers(SKY), torch.ones(SIZE)) == []


def test_cloth_has_no_sky_to_be_torn_off_with(sure: torch.Tensor, post: np.ndarray) -> None:
    assert torn_regions(probabilities(sure), torch.zeros(len(CLASSES), *SIZE), torch.ones(SIZE)) == []
