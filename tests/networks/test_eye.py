"""The eye: what it says and at which sizes, what is in the photo at all, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.eye import CLASSES, FOAM, KINDS, Eye, gated

BACKBONE = (8, 8, 8, 16, 16, 16, 24, 24)
SIZES = (8, 8, 8, 16, 24), (8, 16, 8, 24, 16), (8, 8, 16)  # all different from the usual ones


@pytest.fixture(scope="module")
def small() -> Eye:
    torch.manual_seed(0)
    return Eye(BACKBONE, *SIZES).eval().requires_grad_(False)


def test_sizes_of_what_is_seen(small: Eye) -> None:
    sight = small(torch.rand(2, 3, 64, 96) * 2 - 1)
    assert {name: tuple(part.shape) for name, part in sight._asdict().items()} == {
        "classes": (2, len(CLASSES), 32, 48), "occluder": (2, 1, 32, 48),
        "direction": (2, 2, 8, 12), "water": (2, len(KINDS) + len(FOAM), 4, 6), "patches": (2, 2, 16, 24),
        "presence": (2, 4),
    }
    assert torch.allclose(sight.classes.exp().sum(1), torch.ones(2, 32, 48), atol=1e-5)


def test_sizes_come_from_the_tensors(small: Eye) -> None:
    photo = torch.rand(1, 3, 64, 64)
    again = Eye.from_tensors(small.state_dict())(photo)
    assert all(torch.equal(a, b) for a, b in zip(again, small(photo), strict=True))


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


def test_whether_a_class_is_there_is_judged_from_the_whole_photo(small: Eye) -> None:
    photo = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = photo.clone()
    changed[..., :32, :32] = 1
    assert not torch.equal(small(photo).presence, small(changed).presence)


def test_water_is_judged_by_means_of_features_and_of_their_squares(small: Eye) -> None:
    photo = torch.rand(1, 3, 64, 96)
    features = small.backbone(photo)
    with torch.no_grad():
        fine = torch.cat([features[3], features[3] ** 2], 1)
        coarse = torch.cat([features[4], features[4] ** 2], 1)
        coarse = torch.nn.functional.interpolate(small.water.coarse(coarse), (4, 6), mode="bilinear")
        torch.testing.assert_close(small(photo).water, small.water.fine(fine) + coarse)


def test_directions_do_not_shape_the_classes() -> None:
    """Classes are what they see, and answer to their own labels only."""
    eye = Eye(BACKBONE, *SIZES)
    eye(torch.rand(1, 3, 64, 64)).direction.square().sum().backward()
    assert eye.decoder.fine.weight.grad is None and eye.course.leave.weight.grad is not None


@pytest.mark.parametrize(
    "name",
    ["decoder.up2.mix.weight", "occluders.coarse.weight", "course.enter.weight",
     "backbone.stem.bias"],
)
def test_weights_that_do_not_fit_are_refused(small: Eye, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed, match="eye"):
        Eye.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed, match="eye"):
        Eye.from_tensors(tensors)
    with pytest.raises(WeightsMalformed, match="eye"):
        Eye.from_tensors({})
