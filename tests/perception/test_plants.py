"""What sways, with a stand-in for the network that takes what is green for plants."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.perception.plants import SHORT_SIDES, crf_refine, predict_plants
from stylecine.perception.refine import mean_probability


def green_sways(photos: Tensor) -> Tensor:
    return 12 * F.avg_pool2d(photos[:, 1:2] - photos[:, :1].maximum(photos[:, 2:]), 4)


@pytest.fixture
def bush() -> Tensor:
    """A green disc on brown ground, [3,96,128] in [-1,1]."""
    photo = torch.tensor([0.2, -0.1, -0.4])[:, None, None].repeat(1, 96, 128)
    photo[:, disc()] = torch.tensor([-0.6, 0.4, -0.6])[:, None]
    return photo


def disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    return (y - 50) ** 2 + (x - 70) ** 2 < 30**2


def test_it_follows_the_bush(bush: Tensor) -> None:
    sways = predict_plants(bush, green_sways)
    assert sways.shape == (96, 128) and sways.min() >= 0 and sways.max() <= 1
    ours = sways > 0.5
    assert (ours & disc()).sum() / (ours | disc()).sum() > 0.95


def test_the_ground_stands_exactly_still(bush: Tensor) -> None:
    assert predict_plants(bush, green_sways)[:10].max() == 0


def test_what_has_the_colour_of_a_bush_sways_with_it(bush: Tensor) -> None:
    def misses_the_middle(photos: Tensor) -> Tensor:
        logits = green_sways(photos).clamp(-4, 4)
        rows = torch.linspace(0, 96, logits.shape[2])[:, None]
        return torch.where((rows - 50).abs() < 4, -1.0, logits)

    assert mean_probability(bush, misses_the_middle, SHORT_SIDES)[57:60, 70:93].max() < 0.3
    assert predict_plants(bush, misses_the_middle)[48:52, 60:80].min() > 0.9


def test_a_mirrored_photo_gives_the_mirrored_probability(bush: Tensor) -> None:
    def left_sways(photos: Tensor) -> Tensor:
        return green_sways(photos) + torch.linspace(3, -3, photos.shape[3] // 4)

    ours = mean_probability(bush, left_sways, SHORT_SIDES)
    assert torch.allclose(ours.flip(1), mean_probability(bush.flip(2), left_sways, SHORT_SIDES), atol=1e-4)


def test_a_long_panorama_is_seen_whole(bush: Tensor) -> None:
    assert predict_plants(bush.repeat(1, 1, 8), green_sways).shape == (96, 1024)


def test_nearby_places_of_similar_colour_agree() -> None:
    """The network says water on the blue half and static on the brown one, but errs on some places of each."""
    torch.manual_seed(0)
    photo = torch.full((3, 96, 128), -0.5)
    photo[2, :, :64] = 0.5
    water = torch.full((48, 64), 0.4)
    water[:, :32] = 0.6
    water = torch.where(torch.rand(12, 16).repeat_interleave(4, 0).repeat_interleave(4, 1) < 0.15, 1 - water, water)
    shares = torch.stack([1 - water, torch.zeros_like(water), water, *torch.zeros(2, 48, 64)])
    refined = crf_refine(shares, photo)
    assert (water[:, :32] < 0.5).float().mean() > 0.15
    assert (refined[2, :, :32] > 0.5).float().mean() > 0.95
    assert (refined[0, :, 32:] > 0.5).float().mean() > 0.95
    torch.testing.assert_close(refined.sum(0), torch.ones(48, 64))
