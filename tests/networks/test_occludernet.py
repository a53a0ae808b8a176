"""The network of occluders: sizes from shapes, thin things, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.occludernet import OccluderNet
from stylecine.networks.segmenter import Backbone


@pytest.fixture(scope="module")
def small() -> OccluderNet:
    torch.manual_seed(0)
    return OccluderNet(Backbone((8,) * 8), (8, 8, 8, 16, 24)).eval().requires_grad_(False)


def test_one_logit_at_half_the_size(small: OccluderNet) -> None:
    assert small(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 32, 48)


def test_sizes_come_from_the_tensors(small: OccluderNet) -> None:
    photo = torch.rand(1, 3, 64, 64)
    assert torch.equal(OccluderNet.from_tensors(small.decoder.state_dict(), small.backbone)(photo), small(photo))


def test_a_line_of_two_pixels_is_seen_where_it_is(small: OccluderNet) -> None:
    photo = torch.zeros(1, 3, 128, 128)
    photo[..., 60:62] = 1.0
    change = (small(photo) - small(torch.zeros(1, 3, 128, 128))).abs()[0, 0].mean(0)
    assert abs(int(change.argmax()) - 30) <= 2


@pytest.mark.parametrize("name", ["up2.mix.weight", "coarse.weight", "enter.weight"])
def test_weights_that_do_not_fit_are_refused(small: OccluderNet, name: str) -> None:
    tensors = dict(small.decoder.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed, match="occluder"):
        OccluderNet.from_tensors(tensors, small.backbone)
    del tensors[name]
    with pytest.raises(WeightsMalformed, match="occluder"):
        OccluderNet.from_tensors(tensors, small.backbone)
