"""The motion network: sizes from shapes, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.motionnet import MotionNet


@pytest.fixture(scope="module")
def small() -> MotionNet:
    torch.manual_seed(0)
    return MotionNet(widths=(8, 8, 16, 24)).eval().requires_grad_(False)


def test_two_components_at_half_the_size(small: MotionNet) -> None:
    assert small(torch.zeros(2, 3, 32, 48), torch.zeros(2, 4, 32, 48), torch.zeros(2, 3, 32, 48)).shape == (
        2,
        2,
        16,
        24,
    )


def test_sizes_come_from_the_tensors(small: MotionNet) -> None:
    inputs = torch.rand(1, 3, 32, 32), torch.rand(1, 4, 32, 32), torch.rand(1, 3, 32, 32)
    assert torch.equal(MotionNet.from_tensors(small.state_dict())(*inputs), small(*inputs))


@pytest.mark.parametrize("name", ["down.0.first.weight", "overall.bias", "leave.weight"])
def test_weights_that_do_not_fit_are_refused(small: MotionNet, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed):
        MotionNet.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed):
        MotionNet.from_tensors(tensors)
