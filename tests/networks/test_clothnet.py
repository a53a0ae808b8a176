"""The cloth network: one cycle of a gust, calm at phase 0 and without wind; unusable weights."""

import pytest
import torch
from torch import Tensor

from stylecine.errors import WeightsMalformed
from stylecine.networks.clothnet import CHANNELS, LINEAR_FEATURES, LINEAR_MAPS, ClothNet, linear_features


@pytest.fixture(scope="module")
def small() -> ClothNet:
    torch.manual_seed(0)
    return ClothNet(widths=(8, 8, 16, 24), embedding=8).eval().requires_grad_(False)


def cloth(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Normals that face the viewer, and the mask of a square piece."""
    mask = torch.zeros(n, 1, size, size)
    mask[:, :, size // 8 : -size // 8, size // 8 : -size // 8] = 1
    return torch.tensor([0.0, 0.0, 1.0])[:, None, None] * mask, mask


def test_a_cycle_has_cosine_and_sine_parts_of_five_channels(small: ClothNet) -> None:
    for size in (64, 128):
        cycle = small(*cloth(2, size), torch.tensor([[1.0, 0.0], [0.0, 0.5]]))
        assert cycle.shape == (2, 2 * ClothNet.HARMONICS, CHANNELS, size, size)


def test_the_first_harmonics_are_those_of_all(small: ClothNet) -> None:
    arguments = *cloth(2, 64), torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    cosines, sines = small(*arguments).chunk(2, 1)
    few = small(*arguments, 2)
    torch.testing.assert_close(few, torch.cat((cosines[:, :2], sines[:, :2]), 1), rtol=1e-5, atol=1e-6)


def test_without_wind_nothing_moves(small: ClothNet) -> None:
    assert small(*cloth(1, 64), torch.zeros(1, 2)).abs().max() == 0
    assert small(*cloth(1, 64), torch.tensor([[0.0, 0.2]])).abs().max() > 0


def test_near_calm_the_motion_is_proportional_to_the_wind(small: ClothNet) -> None:
    normals, mask = cloth(1, 64)
    one, two = (small(normals, mask, torch.tensor([[strength, 0.0]])) for strength in (1e-3, 2e-3))
    assert torch.allclose(two, 2 * one, rtol=0.02, atol=1e-2 * one.abs().max().item())


def test_sizes_come_from_the_tensors(small: ClothNet) -> None:
    wind = torch.tensor([[0.3, -0.4]])
    again = ClothNet.from_tensors(small.state_dict())
    assert torch.equal(again(*cloth(1, 64), wind), small(*cloth(1, 64), wind))


def test_linear_features_are_those_of_the_cloth_times_the_wind() -> None:
    normals, mask = cloth(1, 32)
    winds = torch.tensor([[[0.0, 1.0]], [[-1.0, 0.0]]])
    ahead, left = (linear_features(normals, mask, wind).unflatten(1, (-1, LINEAR_MAPS)) for wind in winds)
    assert ahead.flatten(1, 2).shape == (1, LINEAR_FEATURES, 32, 32)
    assert (ahead * (1 - mask[:, None])).abs().max() == (left * (1 - mask[:, None])).abs().max() == 0
    assert torch.equal(ahead[:, 0], left[:, 0])  # as it is
    assert ahead[:, 1].abs().max() == 0 and torch.equal(left[:, 1], -left[:, 0])  # x
    assert torch.equal(ahead[:, 2], ahead[:, 0]) and left[:, 2].abs().max() == 0  # z
    assert torch.equal(left[:, 3], left[:, 0])  # x²


def test_flat_cloth_has_no_folds() -> None:
    normals, mask = cloth(1, 32)
    folds = linear_features(normals, mask, torch.tensor([[1.0, 0.0]]))[:, 10:LINEAR_MAPS]
    assert folds.abs().max() < 1e-6
    normals[:, 0, 16] = 0.6 * mask[:, 0, 16]  # one row is tilted
    folds = linear_features(normals, mask, torch.tensor([[1.0, 0.0]]))[:, 10:LINEAR_MAPS:2]
    assert (folds[0, :, 16, 16] < -0.4).all()


@pytest.mark.parametrize("name", ["net.down.0.first.weight", "leave.weight", "embed.0.bias", "units"])
def test_weights_that_do_not_fit_are_refused(small: ClothNet, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed):
        ClothNet.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed):
        ClothNet.from_tensors(tensors)


def test_the_prediction_is_the_coarse_one_enlarged(small: ClothNet) -> None:
    wind = torch.tensor([[0.5, 0.5]])
    fine, coarse = small(*cloth(1, 64), wind), small.coarse(*cloth(1, 32), wind)
    enlarged = torch.nn.functional.interpolate(coarse.flatten(1, 2), (64, 64), mode="bilinear", align_corners=False)
    assert torch.allclose(fine.flatten(1, 2), enlarged, atol=1e-5)
