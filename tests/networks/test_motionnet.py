"""The motion network: sizes from shapes, how texture runs, unusable weights."""

import math

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.motionnet import CUES, MotionNet, cues, orientation
from stylecine.networks.segmenter import Backbone


@pytest.fixture(scope="module")
def small() -> MotionNet:
    torch.manual_seed(0)
    return MotionNet(Backbone((8,) * 8), (8, 16, 24)).eval().requires_grad_(False)


def zeros(n: int, h: int, w: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.zeros(n, 3, h, w), torch.zeros(n, 4, h, w), torch.zeros(n, 3, h, w)


def test_two_components_at_an_eighth_of_the_size(small: MotionNet) -> None:
    assert small(*zeros(2, 64, 96)).shape == (2, 2, 8, 12)
    assert cues(*zeros(2, 64, 96)).shape == (2, CUES, 8, 12)


def test_sizes_come_from_the_tensors(small: MotionNet) -> None:
    inputs = torch.rand(1, 3, 64, 64), torch.rand(1, 4, 64, 64), torch.rand(1, 3, 64, 64)
    read = MotionNet.from_tensors(small.decoder.state_dict(), small.backbone)
    assert torch.equal(read(*inputs), small(*inputs))


@pytest.mark.parametrize("degrees", [0, 30, 75, 90, 135])
def test_texture_runs_along_its_stripes(degrees: float) -> None:
    angle = math.radians(degrees)
    y, x = torch.arange(64)[:, None].float(), torch.arange(80)[None].float()
    stripes = torch.sin(0.6 * (y * math.cos(angle) - x * math.sin(angle)))
    look = orientation(stripes[None, None], 2, 4)[0, :, 12:20, 16:24]
    assert look.shape == (3, 8, 8)
    assert look[0].mean() == pytest.approx(math.cos(2 * angle), abs=0.05)
    assert look[1].mean() == pytest.approx(math.sin(2 * angle), abs=0.05)


def test_uniform_areas_have_no_orientation() -> None:
    look = orientation(torch.full((1, 1, 32, 32), 0.3), 2, 4)
    assert look[:, :2].abs().max() == 0
    assert look[:, 2].max() < orientation(torch.rand(1, 1, 32, 32), 2, 4)[:, 2].min()


@pytest.mark.parametrize("name", ["up8.coarse.weight", "overall.bias", "leave.weight", "enter.weight"])
def test_weights_that_do_not_fit_are_refused(small: MotionNet, name: str) -> None:
    tensors = dict(small.decoder.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed):
        MotionNet.from_tensors(tensors, small.backbone)
    del tensors[name]
    with pytest.raises(WeightsMalformed):
        MotionNet.from_tensors(tensors, small.backbone)


def test_another_segmenters_backbone_is_refused(small: MotionNet) -> None:
    with pytest.raises(WeightsMalformed, match="segmenter"):
        MotionNet.from_tensors(dict(small.decoder.state_dict()), Backbone((16,) * 8))
