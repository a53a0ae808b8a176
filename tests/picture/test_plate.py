"""The plate: the photo where it moves, something that fits elsewhere."""

import pytest
import torch

from stylecine.networks.generator import Generator
from stylecine.picture.inversion import reconstruct
from stylecine.picture.plate import Plate, blend, canvas, feature_plate, inpaint, plain_plate


def waves(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([0.5 * torch.sin(x / 9 + i) * torch.cos(y / 7) for i in range(3)])


def test_the_canvas_hides_static_pixels_and_mirrors_moving_ones() -> None:
    photo, moving = waves(20, 30), torch.zeros(20, 30)
    moving[5:10, :5] = 0.5
    wide, visible = canvas(photo, moving, 8)
    assert wide.shape == (3, 36, 46)
    assert torch.equal(wide[:, 8:28, 8:38], photo)
    assert torch.equal(wide[:, 8:28, :8].flip(2), photo[:, :, :8])
    assert visible.unique().tolist() == [0, 1]
    assert (visible[13:18, 3:13] == 1).all()
    assert (visible[8:28, 20:] == 0).all()


def test_margins_may_be_wider_than_the_photo() -> None:
    image, visible = canvas(waves(4, 6), torch.ones(4, 6), 8)
    assert torch.equal(image[:, 8:12, 8:14], waves(4, 6)) and visible.shape == (20, 22)


def test_a_generated_image_is_shifted_to_meet_the_photo() -> None:
    image, visible = waves(64, 64), torch.ones(64, 64)
    visible[:, 32:] = 0
    filled = blend(image, visible, image + 0.2)  # right in every detail, only brighter
    torch.testing.assert_close(filled, image, atol=1e-5, rtol=0)


def test_inpainted_parts_are_as_rough_as_their_surroundings() -> None:
    random = torch.Generator().manual_seed(0)
    image, visible = 0.5 * torch.randn(3, 128, 128, generator=random).clamp(-1, 1), torch.ones(128, 128)
    visible[50:78, 50:78] = 0
    smooth = torch.zeros(3, 128, 128)
    hole = inpaint(image, visible, smooth)[:, 54:74, 54:74]
    assert blend(image, visible, smooth)[:, 54:74, 54:74].std() < 0.3 * image.std() < 0.8 * hole.std()


def test_a_plate_is_the_photo_where_it_moves() -> None:
    image, visible = waves(64, 64), torch.ones(64, 64)
    visible[20:30, 20:30] = 0
    plate = plain_plate(image, visible)
    assert torch.equal(plate.image * visible, image * visible)
    assert plate.feature is None


@pytest.mark.parametrize(("contrast", "kept"), [(0.1, torch.bfloat16), (3.0, torch.float32)])
def test_deep_feature_warping_warps_the_residual_and_resynthesises_the_rest(
    monkeypatch: pytest.MonkeyPatch, contrast: float, kept: torch.dtype
) -> None:
    """In half precision only if that hardly shows; either way the unwarped feature gives the photo."""
    monkeypatch.setattr("stylecine.picture.plate.fast_dtype", lambda _: torch.bfloat16)
    torch.manual_seed(0)
    generator = Generator({4: 8, 8: 8, 16: 8}, "b8.conv1", mapping_layers=1).requires_grad_(False)
    for resolution in (8, 16):
        generator.block(resolution).torgb.weight *= contrast
    feature, w_plus = torch.randn(8, 20, 24), torch.randn(6, 512)
    image = waves(40, 48)
    generated = reconstruct(generator, w_plus, feature, (40, 48))
    plate = feature_plate(image, torch.ones(40, 48), generated, 1.0, generator, w_plus, feature)
    assert plate.resynthesise is not None and plate.resynthesise.dtype == kept
    torch.testing.assert_close(plate.resynthesise(feature).clamp(-1, 1) + plate.image, image, atol=1e-5, rtol=0)


def test_plates_are_compared_by_identity() -> None:
    plate = Plate(waves(4, 6))
    assert plate in {plate} and plate != Plate(plate.image)
