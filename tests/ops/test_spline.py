import numpy as np
import pytest
import torch
from scipy import ndimage

from stylecine.ops.spline import coefficients, decoded, sample


def shift(x: float, y: float, h: int, w: int) -> torch.Tensor:
    return torch.tensor([float(x), float(y)])[:, None, None].expand(2, h, w)


def test_at_pixel_centres_it_is_the_image_to_its_very_border():
    image = torch.randn(3, 21, 34)
    back = sample(coefficients(image), torch.zeros(2, 21, 34))
    torch.testing.assert_close(back, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(9, 14), (1, 3)], ids=str)
def test_the_image_can_be_recovered_from_its_coefficients(size):
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(decoded(coefficients(image)), image, atol=1e-4)


def test_between_pixels_it_agrees_with_scipys_spline_of_the_smooth():
    noise = torch.Generator().manual_seed(0)
    image = ndimage.gaussian_filter(torch.randn(40, 50, generator=noise).numpy(), 2, mode="reflect")
    offset = torch.randn(2, 40, 50, generator=noise) * 2
    y, x = np.mgrid[0:40, 0:50]
    places = np.stack((y + offset[1].numpy(), x + offset[0].numpy()))
    inside = (places > 0).all(0) & (places[0] < 39) & (places[1] < 49)
    expected = ndimage.map_coordinates(image, places, order=5, mode="reflect")
    got = sample(coefficients(torch.from_numpy(image)[None]), offset)[0].numpy()
    np.testing.assert_allclose(got[inside], expected[inside], atol=0.01 * image.std())


def test_a_ramp_moves_evenly():
    ramp = torch.arange(64.0).expand(1, 40, 64)
    for x in np.linspace(0, 1, 9):
        moved = sample(coefficients(ramp), shift(float(x), 0.3, 40, 64))
        torch.testing.assert_close(moved[:, 15:25, 20:40], ramp[:, 15:25, 20:40] + x, atol=2e-3, rtol=0)


def test_a_part_can_be_read_on_its_own_and_the_border_is_replicated():
    spline = coefficients(torch.randn(2, 16, 16))
    offset = torch.randn(2, 16, 16) * 3
    whole = sample(spline, offset)
    torch.testing.assert_close(sample(spline, offset[:, 5:9, 7:15], (5, 7)), whole[:, 5:9, 7:15], atol=1e-5, rtol=0)
    far = sample(spline, shift(100, 0, 16, 16))
    torch.testing.assert_close(far, sample(spline, shift(50, 0, 16, 16)))


def wave(phase: float) -> torch.Tensor:
    """A wave of three pixels' length, moved."""
    return torch.sin((torch.arange(128) + phase) * (2 * torch.pi / 3)).expand(1, 32, 128)


def test_fine_texture_keeps_its_contrast_and_its_speed_between_pixels():
    spline = coefficients(wave(0))
    for x in (0.0, 0.25, 0.5):
        before, after = (sample(spline, shift(x + d, 0, 32, 128))[:, :, 16:-16] for d in (-0.05, 0.05))
        true = wave(x + 0.05) - wave(x - 0.05)
        assert 0.97 < before.std() / wave(0).std() < 1.03
        assert 0.93 < (after - before).std() / true.std() < 1.07


def test_a_row_has_the_same_coefficients_inside_a_longer_one():
    row = torch.randn(1, 1, 300, generator=torch.Generator().manual_seed(0)).expand(1, 3, 300)
    whole, part = coefficients(row), coefficients(row[..., 37:237])
    torch.testing.assert_close(part[..., 40:-40], whole[..., 2 * 37 + 40 : 2 * 237 - 40], atol=1e-5, rtol=0)
