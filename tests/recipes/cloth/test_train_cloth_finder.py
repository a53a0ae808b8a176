"""Training the finder of cloth: the loss prefers the truth, and corrections survive being stored as float8."""

import copy

import torch
from cloth.train_cloth_finder import balanced, loss, low_rank_corrections

from stylecine.networks.backbone import Backbone
from stylecine.networks.clothfinder import ClothFinder


def test_the_loss_is_least_for_what_is_there() -> None:
    cloth = torch.zeros(2, 12, 16)
    cloth[:, 3:9, 4:12] = 1
    truth = 12 * (2 * cloth - 1)
    everywhere, nowhere, elsewhere = torch.full_like(truth, 12), torch.full_like(truth, -12), truth.flip(1).roll(5, 1)
    assert all(loss(truth, cloth) < 0.1 * loss(other, cloth) for other in (everywhere, nowhere, elsewhere))


def test_pictures_without_cloth_cost_nothing_if_nothing_is_found() -> None:
    assert loss(torch.full((1, 8, 8), -12.0), torch.zeros(1, 8, 8)) < 1e-3


def test_factors_of_very_different_sizes_fit_into_float8() -> None:
    torch.manual_seed(0)
    left, right = 1e-4 * torch.randn(12, 3), 1e3 * torch.randn(3, 20)
    left[:, 2], right[2] = 0, 0  # of a layer whose change has a lower rank
    stored = [factor.to(torch.float8_e4m3fn).float() for factor in balanced(left, right)]
    assert (stored[0] @ stored[1] - left @ right).norm() < 0.06 * (left @ right).norm()


@torch.no_grad()
def test_corrections_lead_back_to_the_former_backbone() -> None:
    torch.manual_seed(0)
    tuned, photo = Backbone((8,) * 8).eval(), torch.rand(1, 3, 64, 64)
    former = copy.deepcopy(tuned)
    for weight in former.parameters():
        if weight.dim() == 4 and weight.shape[2:] == (1, 1):
            rows, columns = weight.shape[:2]
            weight += 0.1 * (torch.randn(rows, 2) @ torch.randn(2, columns))[:, :, None, None]
    finder = ClothFinder(tuned, low_rank_corrections(tuned, former, rank=2), (8, 8, 8))
    for ours, wanted in zip(finder.features(photo), former(photo)[2:], strict=True):
        assert torch.allclose(ours, wanted, atol=1e-3 * float(wanted.abs().max()))
