"""The network of plants: sizes from shapes, where a place is, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.backbone import Backbone
from stylecine.networks.plantnet import PlantNet


@pytest.fixture(scope="module")
def small() -> PlantNet:
    torch.manual_seed(0)
    return PlantNet(Backbone((8,) * 8), (8, 8, 16, 24)).eval().requires_grad_(False)


def test_one_logit_at_a_quarter_of_the_size(small: PlantNet) -> None:
    assert small(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 16, 24)


def test_sizes_come_from_the_tensors(small: PlantNet) -> None:
    photo = torch.rand(1, 3, 64, 64)
    assert torch.equal(PlantNet.from_tensors(small.decoder.state_dict(), small.backbone)(photo), small(photo))


def test_the_place_in_the_photo_counts(small: PlantNet) -> None:
    logits = small(torch.zeros(1, 3, 256, 256))[0, 0]
    assert (logits[16:48, 16:48].std() > 1e-4).item()  # far from the borders, where padding would be seen


@pytest.mark.parametrize("name", ["up4.mix.weight", "coarse.weight", "enter.weight"])
def test_weights_that_do_not_fit_are_refused(small: PlantNet, name: str) -> None:
    tensors = dict(small.decoder.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed, match="plant"):
        PlantNet.from_tensors(tensors, small.backbone)
    del tensors[name]
    with pytest.raises(WeightsMalformed, match="plant"):
        PlantNet.from_tensors(tensors, small.backbone)
