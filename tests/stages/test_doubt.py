"""What moves although the segmenter was hardly sure."""

import numpy as np
import pytest
import torch

from stylecine.stages.doubt import MOST, doubtful_regions


def probabilities(moving: torch.Tensor) -> torch.Tensor:
    return torch.stack([1 - moving, moving, *torch.zeros(3, *moving.shape)])


@pytest.fixture
def sure() -> torch.Tensor:
    """A probability of moving of 1 everywhere, [256,384]."""
    return torch.ones(256, 384)


def test_a_broad_place_of_low_probability_is_doubtful(sure: torch.Tensor) -> None:
    sure[100:140, 50:90] = 0.6
    (region,) = doubtful_regions(probabilities(sure), torch.ones(512, 768))
    assert region.shape == (256, 384) and np.array_equal(region, sure.numpy() < 0.8)


def test_what_does_not_move_is_not_doubtful(sure: torch.Tensor) -> None:
    sure[100:140, 50:90] = 0.6
    moves = torch.ones(256, 384)
    moves[:, 70:] = 0
    (region,) = doubtful_regions(probabilities(sure), moves)
    assert not region[:, 70:].any() and region[110, 60]
    assert doubtful_regions(probabilities(sure), torch.zeros(256, 384)) == []


def test_a_border_and_specks_are_not_doubtful(sure: torch.Tensor) -> None:
    sure[100:102] = 0.5
    sure[200:205, 200:205] = 0.5
    assert doubtful_regions(probabilities(sure), torch.ones(256, 384)) == []


def test_the_largest_come_first_and_are_few(sure: torch.Tensor) -> None:
    for k in range(6):
        sure[20:40, 60 * k : 60 * k + 20 + 4 * k] = 0.7
    areas = [int(region.sum()) for region in doubtful_regions(probabilities(sure), torch.ones(256, 384))]
    assert areas == [20 * (20 + 4 * k) for k in (5, 4, 3)] and len(areas) == MOST
