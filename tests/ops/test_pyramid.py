import pytest
import torch

from stylecine.ops.pyramid import downsample, merge, split, upsample


@pytest.mark.parametrize("size", [(64, 64), (65, 51), (33, 80), (17, 16)])
def test_merged_levels_are_the_image_at_any_size(size):
    image = torch.rand(3, *size) * 2 - 1
    levels = split(image, bands=4)
    assert [tuple(level.shape[1:]) for level in levels[:2]] == [size, tuple(-(-n // 2) for n in size)]
    torch.testing.assert_close(merge(levels), image, atol=1e-6, rtol=0)


def test_upsampling_is_stylegan2s_even_at_the_border():
    image = torch.randn(2, 5, 7)
    spread = torch.zeros(2, 10, 14)
    spread[:, ::2, ::2] = image
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(taps, taps)[None, None]
    padded = torch.nn.functional.pad(spread, (2, 1, 2, 1))
    literal = torch.nn.functional.conv2d(padded[:, None], kernel)[:, 0]
    torch.testing.assert_close(upsample(image), literal)


def test_levels_share_the_top_left_corner():
    ramp = torch.arange(64.0).expand(1, 64, 64) + 0.5
    coarse = downsample(ramp)[0, 16, 4:-4]
    torch.testing.assert_close(coarse, torch.arange(4, 28) * 2.0 + 1)


def test_bands_of_a_smooth_image_are_near_zero_and_means_stay_in_the_low_pass():
    image = torch.full((3, 64, 64), 0.5)
    *bands, low = split(image, bands=3)
    assert all(band[:, 8:-8, 8:-8].abs().max() < 1e-6 for band in bands[:2])
    torch.testing.assert_close(low, torch.full_like(low, 0.5))


def test_decimation_suppresses_frequencies_above_the_coarse_level():
    x = torch.arange(256) * (0.75 * torch.pi)
    wave = torch.sin(x).expand(1, 32, 256)
    assert downsample(wave)[:, 4:-4, 4:-4].abs().max() < 0.03


def test_a_single_pixel_has_bands():
    image = torch.randn(3, 1, 2)
    torch.testing.assert_close(merge(split(image, bands=3)), image)
