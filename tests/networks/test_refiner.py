"""The network that finds what stands at a photo's own pixels: it begins with the eye's maps, and corrects them."""

import pytest
import torch
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed
from stylecine.networks.refiner import LOGIT, Refiner


@pytest.fixture(scope="module")
def small() -> Refiner:
    torch.manual_seed(0)
    return Refiner((8, 8, 16)).eval().requires_grad_(False)


def maps_of(static: Tensor, occluder: Tensor) -> Tensor:
    """[1,6,h,w] of two maps [h,w]."""
    moving = (1 - static) / 4
    return torch.stack((static, *4 * [moving], occluder))[None]


def test_one_logit_a_pixel_of_the_photo(small: Refiner) -> None:
    assert small(torch.zeros(2, 3, 32, 48), torch.full((2, 6, 16, 24), 0.2)).shape == (2, 1, 32, 48)


def test_without_a_correction_what_either_map_says_stands_stands(small: Refiner) -> None:
    network = Refiner.from_tensors(dict(small.state_dict()))
    network.leave = nn.Conv2d(8, 4, 1)
    for parameter in network.leave.parameters():
        nn.init.zeros_(parameter)
    static, occluder = torch.zeros(16, 16), torch.zeros(16, 16)
    static[:, :6], occluder[:, 10:] = 1, 0.8
    logits = network(torch.rand(1, 3, 32, 32), maps_of(static, occluder))[0, 0].detach()
    assert torch.allclose(logits[:, :10], torch.tensor(LOGIT))
    assert torch.allclose(logits[:, 14:18], torch.tensor(-LOGIT))
    assert torch.allclose(logits[:, 22:].sigmoid(), torch.tensor(0.8), atol=1e-3)


def test_it_sees_single_pixels(small: Refiner) -> None:
    photo = torch.zeros(1, 3, 32, 32)
    dotted = photo.clone()
    dotted[..., 9, 13] = 1
    maps = maps_of(torch.full((16, 16), 0.5), torch.zeros(16, 16))
    changed = (small(dotted, maps) - small(photo, maps)).abs()[0, 0]
    assert changed[9, 13] > 0


def test_sizes_come_from_the_tensors(small: Refiner) -> None:
    given = torch.rand(1, 3, 32, 32), torch.rand(1, 6, 16, 16)
    assert torch.equal(Refiner.from_tensors(dict(small.state_dict()))(*given), small(*given))


@pytest.mark.parametrize("name", ["enter.weight", "down.1.0.bias", "leave.weight"])
def test_weights_that_do_not_fit_are_refused(small: Refiner, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed, match="refiner"):
        Refiner.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed, match="refiner"):
        Refiner.from_tensors(tensors)
