"""What sways, where an eye might say that what is green does."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.perception.plants import refine_plants


@pytest.fixture
def bush() -> Tensor:
    """A green disc on brown ground, [3,96,128] in [-1,1]."""
    photo = torch.tensor([0.2, -0.1, -0.4])[:, None, None].repeat(1, 96, 128)
    photo[:, disc()] = torch.tensor([-0.6, 0.4, -0.6])[:, None]
    return photo


def disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    return (y - 50) ** 2 + (x - 70) ** 2 < 30**2


def green_sways(photo: Tensor) -> Tensor:
    """Probabilities [h,w], a quarter as fine as the photo."""
    return (12 * F.avg_pool2d(photo[1:2] - photo[:1].maximum(photo[2:]), 4))[0].clamp(-4, 4).sigmoid()


def test_it_follows_the_bush(bush: Tensor) -> None:
    sways = refine_plants(bush, green_sways(bush))
    assert sways.shape == (96, 128) and sways.min() >= 0 and sways.max() <= 1
    ours = sways > 0.5
    assert (ours & disc()).sum() / (ours | disc()).sum() > 0.95


def test_the_ground_stands_exactly_still(bush: Tensor) -> None:
    assert refine_plants(bush, green_sways(bush))[:10].max() == 0


def test_what_has_the_colour_of_a_bush_sways_with_it(bush: Tensor) -> None:
    probability = green_sways(bush)
    probability[12:13] = 0.25
    assert refine_plants(bush, probability)[48:52, 60:80].min() > 0.9


def test_a_long_panorama_is_refined_whole(bush: Tensor) -> None:
    wide = bush.repeat(1, 1, 8)
    assert refine_plants(wide, green_sways(wide)).shape == (96, 1024)
