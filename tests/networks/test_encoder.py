"""The encoder: photo and visibility -> w+ and F."""

import copy

import pytest
import torch

from stylecine.errors import WeightsMalformed
from stylecine.networks.encoder import Encoder, Light, region_colours


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


def test_f_does_not_depend_on_the_light_of_the_whole(encoder: Encoder) -> None:
    photo = torch.rand(1, 3, 64, 96) - 0.5
    tint = torch.tensor([0.6, 0.8, 1.1])[:, None, None]
    torch.testing.assert_close(encoder.structure(photo * tint + 0.2), encoder.structure(photo), atol=1e-4, rtol=1e-3)
    assert not torch.equal(encoder.structure(photo.flip(3)), encoder.structure(photo))


def test_a_part_in_the_light_of_the_whole(encoder: Encoder) -> None:
    """F inside a crop is that of the whole photo, if the crop is read in the whole photo's light."""
    photo = torch.rand(1, 3, 256, 256)
    photo[:, :, :128] *= 0.3
    light = Light.of(photo, torch.ones(1, 1, 256, 256))
    part, whole = encoder.structure(photo[..., :128, :], light=light), encoder.structure(photo)[..., :32, :]
    alone = encoder.structure(photo[..., :128, :])
    inside = (slice(None), slice(None), slice(0, 4))  # rows that the other half hardly reaches
    assert (part - whole)[inside].abs().mean() < 0.2 * (alone - whole)[inside].abs().mean()


def test_w_plus_tells_colours_of_regions(encoder: Encoder) -> None:
    sky_and_land = torch.zeros(1, 2, 40, 60)
    sky_and_land[:, 0, :20] = sky_and_land[:, 1, 20:] = 1
    photo = torch.zeros(1, 3, 40, 60)
    photo[:, 2, :20] = 0.8
    means, deviations, areas = region_colours(photo, sky_and_land).split((6, 10, 2), 1)
    torch.testing.assert_close(means, torch.tensor([[0, 0, 0.8, 0, 0, 0]]), atol=0.03, rtol=0)
    torch.testing.assert_close(areas, torch.tensor([[0.5, 0.5]]))
    assert (deviations < 0.12).all()


def test_w_plus_tells_muted_from_vivid_colours() -> None:
    noise = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    muted = noise[:, :1].expand(1, 3, 40, 60)
    regions = torch.ones(1, 1, 40, 60)
    vivid, grey = (region_colours(x, regions)[0, 3:8] for x in (noise, muted))
    assert (vivid[3:] > 0.3).all() and (grey[3:] < 0.02).all()


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
