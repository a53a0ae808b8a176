"""The plate: the photo where it moves, something that fits elsewhere."""

import torch

from stylecine.synthesis import canvas, feature_plate, fill, generator_plate, pixel_plate


def waves(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([0.5 * torch.sin(x / 9 + i) * torch.cos(y / 7) for i in range(3)])


def test_the_canvas_shows_what_moves_and_hides_the_rest() -> None:
    moving = torch.zeros(20, 30)
    moving[5:10, 5:10] = 0.5
    wide, visible = canvas(waves(20, 30), moving, 8)
    assert wide.shape == (3, 36, 46)
    assert visible.sum() == 25
    assert (visible[13:18, 13:18] == 1).all()


def test_the_generators_continuation_is_shifted_to_meet_the_photo() -> None:
    image, visible = waves(64, 64), torch.ones(64, 64)
    visible[:, 32:] = 0
    filled = fill(image, visible, image + 0.2)        # right in every detail, only brighter
    torch.testing.assert_close(filled, image, atol=1e-5, rtol=0)


def test_detail_goes_from_the_generator_alone_to_the_photo() -> None:
    image, visible, continued = waves(64, 64), torch.ones(64, 64), torch.zeros(3, 64, 64)
    assert torch.equal(generator_plate(image, visible, continued, 1.0).image, image)
    assert torch.equal(generator_plate(image, visible, continued, 0.0).image, continued)
    torch.testing.assert_close(generator_plate(image, visible, continued, 0.5).image, image / 2)
    torch.testing.assert_close(pixel_plate(image, visible).image, image)
