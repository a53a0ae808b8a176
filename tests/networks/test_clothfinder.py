"""The finder of cloth: a corrected copy of the eye's backbone and a decoder, read from one file."""

import copy

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.backbone import Backbone
from stylecine.networks.clothfinder import ClothFinder

Corrections = dict[str, tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def tuned() -> Backbone:
    torch.manual_seed(0)
    return Backbone((8,) * 8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def corrections() -> Corrections:
    """Of one convolution, by a matrix of rank 1."""
    return {"stages.1.0.expand": (torch.randn(48, 1), torch.randn(1, 8))}


def tensors(finder: ClothFinder, corrections: Corrections) -> dict[str, torch.Tensor]:
    lefts = {f"{name}.left": left for name, (left, _) in corrections.items()}
    rights = {f"{name}.right": right for name, (_, right) in corrections.items()}
    return lefts | rights | {f"decoder.{name}": x for name, x in finder.decoder.state_dict().items()}


def test_one_logit_at_an_eighth_of_the_size(tuned: Backbone) -> None:
    assert ClothFinder(tuned, {}, (8, 16, 24))(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 8, 12)


def test_the_eyes_own_backbone_stays(tuned: Backbone, corrections: Corrections) -> None:
    before = copy.deepcopy(tuned.state_dict())
    ClothFinder(tuned, corrections, (8, 8, 8))
    assert all(torch.equal(x, before[name]) for name, x in tuned.state_dict().items())


def test_sizes_come_from_the_tensors(tuned: Backbone, corrections: Corrections) -> None:
    finder = ClothFinder(tuned, corrections, (8, 16, 24)).eval()
    photo = torch.rand(1, 3, 64, 64)
    assert torch.equal(ClothFinder.from_tensors(tensors(finder, corrections), tuned)(photo), finder(photo))


@pytest.mark.parametrize("name", ["stages.1.0.expand.left", "stages.1.0.expand.right", "decoder.leave.weight"])
def test_weights_that_do_not_fit_are_refused(tuned: Backbone, corrections: Corrections, name: str) -> None:
    wrong = tensors(ClothFinder(tuned, corrections, (8, 8, 8)), corrections) | {name: torch.zeros(3, 5)}
    with pytest.raises(WeightsMalformed, match="cloth finder"):
        ClothFinder.from_tensors(wrong, tuned)


def test_corrections_of_unknown_layers_are_refused(tuned: Backbone) -> None:
    wrong = tensors(ClothFinder(tuned, {}, (8, 8, 8)), {"stages.9.0.expand": (torch.zeros(8, 1), torch.zeros(1, 8))})
    with pytest.raises(WeightsMalformed):
        ClothFinder.from_tensors(wrong, tuned)
