"""The network of normals: unit vectors towards the viewer, whatever the cloth's colour; unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.normalnet import NormalNet, normalised


@pytest.fixture(scope="module")
def small() -> NormalNet:
    torch.manual_seed(0)
    return NormalNet(widths=(8, 8, 16, 24)).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [128, 64])
def test_normals_are_unit_and_face_the_viewer(small: NormalNet, size: int) -> None:
    photo, mask = torch.rand(2, 3, size, size) * 2 - 1, torch.ones(2, 1, size, size)
    normals = small(photo, mask)
    assert normals.shape == (2, 3, size, size)
    assert torch.allclose(normals.norm(dim=1), torch.ones(2, size, size), atol=1e-5)
    assert normals[:, 2].min() >= 0


def test_the_cloths_colour_and_background_have_no_influence(small: NormalNet) -> None:
    torch.manual_seed(1)
    folds, mask = torch.rand(1, 1, 64, 64).expand(-1, 3, -1, -1), torch.zeros(1, 1, 64, 64)
    mask[:, :, 16:48, 8:56] = 1
    tint = torch.tensor([0.5, -0.3, 0.1])[:, None, None]
    behind = torch.where(mask > 0, folds + tint, torch.rand(1, 3, 64, 64))
    assert torch.allclose(small(folds, mask), small(behind, mask), atol=1e-4)


def test_single_pixels_of_the_photo_are_seen(small: NormalNet) -> None:
    chequered = ((torch.arange(32)[:, None] + torch.arange(32)) % 2.0).expand(1, 3, -1, -1)
    normals = small(chequered, torch.ones(1, 1, 32, 32))[0, :, 12:20, 12:20]
    assert (normals[..., 1:] - normals[..., :-1]).abs().mean() > 1e-3


def test_contrast_is_equalized() -> None:
    torch.manual_seed(2)
    photo, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert normalised(photo, mask).std() == pytest.approx(1, abs=0.2)
    assert normalised(torch.full_like(photo, 0.3), mask).abs().max() < 1e-3  # nothing is made of nothing
    assert normalised(photo, torch.zeros_like(mask)).abs().max() == 0


def test_sizes_come_from_the_tensors(small: NormalNet) -> None:
    inputs = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    assert torch.equal(NormalNet.from_tensors(small.state_dict())(*inputs), small(*inputs))


@pytest.mark.parametrize("name", ["net.down.0.first.weight", "leave.weight", "again.bias"])
def test_weights_that_do_not_fit_are_refused(small: NormalNet, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed):
        NormalNet.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed):
        NormalNet.from_tensors(tensors)
