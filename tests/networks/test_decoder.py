"""Decoders: how fine they end, that they see the whole picture, thin things and where a place is."""

import pytest
import torch
from torch import Tensor

from stylecine.networks.backbone import Backbone, tap_channels
from stylecine.networks.decoder import Decoder, decoder_widths

BACKBONE = (8, 8, 8, 16, 16, 16, 24, 24)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(BACKBONE).eval().requires_grad_(False)


def decoder(*widths: int) -> Decoder:
    torch.manual_seed(1)
    return Decoder(tap_channels(BACKBONE)[5 - len(widths) :], 2, widths).eval().requires_grad_(False)


def answer(backbone: Backbone, photo: Tensor, *widths: int) -> Tensor:
    features: list[Tensor] = backbone(photo)
    return decoder(*widths)(features[5 - len(widths) :])


@pytest.mark.parametrize(("widths", "scale"), [((8, 16, 8, 24, 16), 2), ((16, 8, 24, 16), 4)])
def test_a_width_for_each_scale(backbone: Backbone, widths: tuple[int, ...], scale: int) -> None:
    assert answer(backbone, torch.zeros(2, 3, 64, 96), *widths).shape == (2, 2, 64 // scale, 96 // scale)
    assert decoder_widths(decoder(*widths).state_dict()) == widths


def test_the_whole_picture_is_seen(backbone: Backbone) -> None:
    """Its context has a global mean: a change in one corner is noticed in the other."""
    photo = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = photo.clone()
    changed[..., :32, :32] = 1
    one, other = (answer(backbone, image, 8, 16, 8, 24, 16)[..., -4:, -4:] for image in (photo, changed))
    assert not torch.equal(one, other)


def test_a_line_of_two_pixels_is_seen_where_it_is(backbone: Backbone) -> None:
    photo = torch.zeros(1, 3, 128, 128)
    photo[..., 60:62] = 1.0
    without, with_line = (answer(backbone, image, 8, 8, 8, 16, 24) for image in (torch.zeros_like(photo), photo))
    assert abs(int((with_line - without).abs()[0, 0].mean(0).argmax()) - 30) <= 2


def test_the_place_in_the_picture_counts(backbone: Backbone) -> None:
    logits = answer(backbone, torch.zeros(1, 3, 256, 256), 8, 8, 16, 24)[0, 0]
    assert float(logits[16:48, 16:48].std()) > 1e-4  # far from the borders, where padding would be seen
