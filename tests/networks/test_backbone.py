"""The backbone: features at five scales, padding as it was pretrained with."""

import torch

from stylecine.networks.backbone import Backbone


def test_features_are_taken_at_five_scales() -> None:
    sizes = [tuple(x.shape[1:]) for x in Backbone((8, 8, 8, 16, 16, 24, 24, 32))(torch.zeros(1, 3, 64, 96))]
    assert sizes == [(8, 32, 48), (8, 16, 24), (16, 8, 12), (24, 4, 6), (32, 2, 3)]


def test_strided_convolutions_pad_behind_as_tensorflow_does() -> None:
    stem = Backbone((8,) * 8).stem
    image = torch.zeros(1, 3, 8, 8)
    image[..., 0, 0] = 1
    with torch.no_grad():
        assert torch.allclose(stem(image)[0, :, 0, 0], stem.weight[:, :, 0, 0].sum(1) + stem.bias)
