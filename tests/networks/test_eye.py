"""The eye: what it says and at which sizes, weights of the networks it replaces, unusable weights."""

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.eye import CLASSES, KINDS, Eye
from stylecine.networks.segmenter import Segmenter

BACKBONE, WIDTHS = (8,) * 8, (8, 8, 8, 16, 24)


@pytest.fixture(scope="module")
def small() -> Eye:
    torch.manual_seed(0)
    return Eye(BACKBONE, WIDTHS, (8, 8, 16)).eval().requires_grad_(False)


def test_sizes_of_what_is_seen(small: Eye) -> None:
    sight = small(torch.rand(2, 3, 64, 96) * 2 - 1)
    assert {name: tuple(part.shape) for name, part in sight._asdict().items()} == {
        "classes": (2, len(CLASSES), 32, 48), "occluder": (2, 1, 32, 48), "plants": (2, 1, 32, 48),
        "direction": (2, 2, 8, 12), "kind": (2, len(KINDS), 8, 12), "presence": (2, 4),
    }
    assert torch.allclose(sight.classes.exp().sum(1), torch.ones(2, 32, 48), atol=1e-5)


def test_sizes_come_from_the_tensors(small: Eye) -> None:
    photo = torch.rand(1, 3, 64, 64)
    again = Eye.from_tensors(small.state_dict())(photo)
    assert all(torch.equal(a, b) for a, b in zip(again, small(photo), strict=True))


def test_with_a_segmenters_weights_it_sees_the_same_classes(small: Eye) -> None:
    torch.manual_seed(1)
    segmenter, eye = Segmenter(BACKBONE, WIDTHS).eval(), Eye(BACKBONE, WIDTHS, (8, 8, 16)).eval()
    eye.load_state_dict(segmenter.state_dict(), strict=False)
    photo = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.allclose(eye(photo).classes, segmenter(photo), atol=1e-5)


def test_directions_do_not_shape_the_classes() -> None:
    """Classes are what they see, and answer to their own labels only."""
    eye = Eye(BACKBONE, WIDTHS, (8, 8, 16))
    eye(torch.rand(1, 3, 64, 64)).direction.square().sum().backward()
    assert eye.decoder.fine.weight.grad is None and eye.course.leave.weight.grad is not None


@pytest.mark.parametrize("name", ["decoder.up2.mix.weight", "course.enter.weight", "backbone.stem.bias"])
def test_weights_that_do_not_fit_are_refused(small: Eye, name: str) -> None:
    tensors = dict(small.state_dict())
    tensors[name] = torch.zeros(3)
    with pytest.raises(WeightsMalformed, match="eye"):
        Eye.from_tensors(tensors)
    del tensors[name]
    with pytest.raises(WeightsMalformed, match="eye"):
        Eye.from_tensors(tensors)
