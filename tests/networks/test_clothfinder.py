"""The finder of cloth: a corrected copy of the eye's backbone and a decoder, read from one file."""

import copy

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.backbone import Backbone
from stylecine.networks.clothfinder import ClothFinder, low_rank_corrections


@pytest.fixture(scope="module")
def tuned() -> Backbone:
    torch.manual_seed(0)
    return Backbone((8,) * 8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def former(tuned: Backbone) -> Backbone:
    """The backbone before each of its 1x1 convolutions was changed by a matrix of rank 2."""
    backbone = copy.deepcopy(tuned)
    for weight in backbone.parameters():
        if weight.dim() == 4 and weight.shape[2:] == (1, 1):
            rows, columns = weight.shape[:2]
            weight += 0.1 * (torch.randn(rows, 2) @ torch.randn(2, columns))[:, :, None, None]
    return backbone


def tensors(finder: ClothFinder, corrections: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    lefts = {f"{name}.left": left for name, (left, _) in corrections.items()}
    rights = {f"{name}.right": right for name, (_, right) in corrections.items()}
    return lefts | rights | {f"decoder.{name}": x for name, x in finder.decoder.state_dict().items()}


def test_one_logit_at_an_eighth_of_the_size(tuned: Backbone) -> None:
    assert ClothFinder(tuned, {}, (8, 16, 24))(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 8, 12)


def test_corrections_lead_back_to_the_former_backbone(tuned: Backbone, former: Backbone) -> None:
    photo = torch.rand(1, 3, 64, 64)
    finder = ClothFinder(tuned, low_rank_corrections(tuned, former, rank=2), (8, 8, 8))
    for ours, wanted in zip(finder.features(photo), former(photo)[2:], strict=True):
        assert torch.allclose(ours, wanted, atol=1e-3 * float(wanted.abs().max()))


def test_the_eyes_own_backbone_stays(tuned: Backbone, former: Backbone) -> None:
    before = copy.deepcopy(tuned.state_dict())
    ClothFinder(tuned, low_rank_corrections(tuned, former), (8, 8, 8))
    assert all(torch.equal(x, before[name]) for name, x in tuned.state_dict().items())


def test_sizes_come_from_the_tensors(tuned: Backbone, former: Backbone) -> None:
    corrections = low_rank_corrections(tuned, former, rank=1)
    finder = ClothFinder(tuned, corrections, (8, 16, 24)).eval()
    photo = torch.rand(1, 3, 64, 64)
    assert torch.equal(ClothFinder.from_tensors(tensors(finder, corrections), tuned)(photo), finder(photo))


@pytest.mark.parametrize("name", ["stages.1.0.expand.left", "stages.1.0.expand.right", "decoder.leave.weight"])
def test_weights_that_do_not_fit_are_refused(tuned: Backbone, former: Backbone, name: str) -> None:
    corrections = low_rank_corrections(tuned, former, rank=1)
    wrong = tensors(ClothFinder(tuned, corrections, (8, 8, 8)), corrections) | {name: torch.zeros(3, 5)}
    with pytest.raises(WeightsMalformed, match="cloth finder"):
        ClothFinder.from_tensors(wrong, tuned)


def test_corrections_of_unknown_layers_are_refused(tuned: Backbone) -> None:
    wrong = tensors(ClothFinder(tuned, {}, (8, 8, 8)), {"stages.9.0.expand": (torch.zeros(8, 1), torch.zeros(1, 8))})
    with pytest.raises(WeightsMalformed):
        ClothFinder.from_tensors(wrong, tuned)
