"""The segmenter: sizes from shapes, padding as its pretrained backbone had it, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.segmenter import Backbone, Segmenter, gated


@pytest.fixture(scope="module")
def small() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(backbone=(8, 8, 8, 16, 16, 16, 24, 24), widths=(8, 16, 8, 24, 16)).eval().requires_grad_(False)


def test_probabilities_of_five_classes_at_half_the_size(small: Segmenter) -> None:
    logarithms = small(torch.zeros(2, 3, 64, 96))
    assert logarithms.shape == (2, 5, 32, 48)
    torch.testing.assert_close(logarithms.exp().sum(1), torch.ones(2, 32, 48))


def test_a_class_that_is_not_in_the_photo_becomes_static() -> None:
    logits = torch.tensor([0.0, 2.0, 2.0, -9.0, -9.0]).view(1, 5, 1, 1)
    probabilities = gated(logits, torch.tensor([[30.0, -30.0, 30.0, 30.0]])).exp().flatten()
    without = torch.tensor([0.0, 2.0, -9.0, -9.0]).softmax(0)
    torch.testing.assert_close(probabilities[[0, 1, 3, 4]], without, rtol=0, atol=1e-5)
    assert probabilities[2] < 1e-5


def test_a_place_that_is_surer_than_the_whole_photo_still_moves() -> None:
    """A slit of sky above a canyon; a grey wall that might be sky."""
    logits = torch.tensor([[0.0, 0.0], [9.0, 2.0], *[[-9.0, -9.0]] * 3]).view(1, 5, 1, 2)
    slit, wall = gated(logits, torch.tensor([[-5.0, 0.0, 0.0, 0.0]])).exp()[0, 1, 0]
    assert slit > 0.95 and wall < 0.1


def test_whether_a_class_is_there_is_judged_from_the_whole_photo(small: Segmenter) -> None:
    photo = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = photo.clone()
    changed[..., :32, :32] = 1
    judged = [small.presence(small.backbone(image)) for image in (photo, changed)]
    assert judged[0].shape == (1, 4) and not torch.equal(*judged)


def test_features_are_taken_at_five_scales() -> None:
    sizes = [tuple(x.shape[1:]) for x in Backbone((8, 8, 8, 16, 16, 24, 24, 32))(torch.zeros(1, 3, 64, 96))]
    assert sizes == [(8, 32, 48), (8, 16, 24), (16, 8, 12), (24, 4, 6), (32, 2, 3)]


def test_strided_convolutions_pad_behind_as_tensorflow_does() -> None:
    stem = Backbone((8,) * 8).stem
    image = torch.zeros(1, 3, 8, 8)
    image[..., 0, 0] = 1
    with torch.no_grad():
        assert torch.allclose(stem(image)[0, :, 0, 0], stem.weight[:, :, 0, 0].sum(1) + stem.bias)


def test_the_whole_photo_is_seen(small: Segmenter) -> None:
    """The decoder's context has a global mean: a change in one corner is noticed in the other."""
    photo = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = photo.clone()
    changed[..., :32, :32] = 1
    assert not torch.equal(small(photo)[..., -4:, -4:], small(changed)[..., -4:, -4:])


def test_sizes_come_from_the_tensors(small: Segmenter) -> None:
    photo = torch.rand(1, 3, 32, 64) * 2 - 1
    assert torch.equal(Segmenter.from_tensors(small.state_dict())(photo), small(photo))


@pytest.mark.parametrize("spoil", ["missing", "wrong shape", "nothing"])
def test_weights_that_do_not_fit_are_refused(small: Segmenter, spoil: str) -> None:
    tensors = dict(small.state_dict())
    if spoil == "missing":
        del tensors["decoder.overall.weight"]
    elif spoil == "wrong shape":
        tensors["backbone.stages.1.0.depthwise.weight"] = torch.zeros(16, 8, 5, 5)
    else:
        tensors = {}
    with pytest.raises(WeightsMalformed):
        Segmenter.from_tensors(tensors)
