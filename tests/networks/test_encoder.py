"""The encoder: photo and visibility -> w+ and F."""

import copy

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.encoder import Encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(feature_channels=8, num_ws=10, stride=4, width=8, context=8).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(64, 64), (70, 65), (64, 200)])
def test_f_has_a_cell_for_every_stride_even_a_partial_one(encoder: Encoder, size: tuple[int, int]) -> None:
    w_plus, feature = encoder(torch.zeros(2, 3, *size))
    assert w_plus.shape == (2, 10, 512)
    assert feature.shape == (2, 8, -(-size[0] // 4), -(-size[1] // 4))


def test_the_encoder_sees_what_is_hidden(encoder: Encoder) -> None:
    visible = torch.ones(1, 1, 64, 64)
    visible[..., 20:40, 20:40] = 0
    photo = torch.rand(1, 3, 64, 64)
    assert not torch.equal(encoder(photo, visible)[1], encoder(photo)[1])


def test_w_plus_hardly_depends_on_the_photos_size(encoder: Encoder) -> None:
    encoder = copy.deepcopy(encoder)
    encoder.to_w.weight.normal_(0, 1)
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 12), (512, 768), mode="bicubic").clamp(0, 1) * 2 - 1
    smaller = torch.nn.functional.interpolate(photo, (300, 450), mode="bilinear", antialias=True)
    large, small, other = (encoder.appearance(x) for x in (photo, smaller, photo.flip(1)))
    assert (large - small).norm() < 0.1 * (large - other).norm()


def test_sizes_are_read_off_the_tensors(encoder: Encoder) -> None:
    again = Encoder.from_tensors(encoder.state_dict())
    photo = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(again(photo)[1], encoder(photo)[1])


def test_foreign_tensors_are_refused(encoder: Encoder) -> None:
    tensors = dict(encoder.state_dict())
    with pytest.raises(WeightsMalformed):
        Encoder.from_tensors({"stem.weight": tensors["stem.weight"]})
    with pytest.raises(WeightsMalformed):
        Encoder.from_tensors(tensors | {"basis": torch.zeros(3, 3)})
