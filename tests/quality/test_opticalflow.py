"""Optical flow of synthetic motion whose truth is known."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from stylecine.quality.opticalflow import optical_flow
from tests.quality.test_measures import shifted, texture


def grey(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32).mean(-1))


def noisy(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shift", [(0.3, 0.1), (-1.3, 0.45), (5.0, 0.0), (0.0, -5.0), (8.0, 6.0)])
def test_a_shift_is_found_below_the_pixel_and_over_many(shift: tuple[float, float]) -> None:
    picture = texture(0)
    flow = optical_flow(grey(picture), grey(shifted(picture, *shift)))
    error = (flow - torch.tensor(shift)[:, None, None]).norm(dim=0)[16:-16, 16:-16]
    assert error.median() < 0.06 and error.quantile(0.9) < 0.15


def test_a_rotation_is_found() -> None:
    picture, degrees = texture(1), 3.0
    turned = ndimage.rotate(picture.astype(np.float32), degrees, axes=(0, 1), reshape=False, order=3, mode="reflect")
    flow = optical_flow(grey(picture), grey(turned))
    y, x = torch.meshgrid(*[torch.arange(128) - 63.5] * 2, indexing="ij")
    c, s = math.cos(math.radians(degrees)) - 1, math.sin(math.radians(degrees))
    error = (flow - torch.stack((c * x + s * y, c * y - s * x))).norm(dim=0)[16:-16, 16:-16]
    assert error.median() < 0.1 and error.quantile(0.95) < 0.4


def test_noise_moves_nothing_and_hides_no_motion() -> None:
    picture = texture(2)
    still = optical_flow(grey(noisy(picture, 0)), grey(noisy(picture, 1)))
    assert (still.norm(dim=0) > 0.3).float().mean() < 0.01
    moved = optical_flow(grey(noisy(picture, 0)), grey(noisy(shifted(picture, 2, 0), 1)))
    assert moved[0, 8:-8, 8:-8].median() == pytest.approx(2, abs=0.1)


def test_a_blank_picture_has_no_flow() -> None:
    blank = torch.full((64, 96), 120.0)
    assert optical_flow(blank, blank).abs().max() == 0
    assert optical_flow(blank, blank + 1).norm(dim=0).max() < 0.01  # only brighter


def test_a_dissolve_is_no_motion() -> None:
    first, second = grey(texture(3)), grey(texture(4))
    assert (optical_flow(first, (first + second) / 2).norm(dim=0) > 0.3).float().mean() < 0.1


def test_what_stands_still_beside_moving_texture_stays_still() -> None:
    before = texture(5)
    after = before.copy()
    after[:, 64:] = shifted(texture(5), 3, 0)[:, 64:]
    flow = optical_flow(grey(before), grey(after))
    assert flow[:, :, :56].norm(dim=0).quantile(0.95) < 0.1
    assert flow[0, :, 80:-8].median() == pytest.approx(3, abs=0.1)


def test_a_blank_stripe_takes_the_flow_around_it() -> None:
    """Coarser levels see past it."""
    before = texture(6)
    after = shifted(before, 3, 0)
    before[60:68], after[60:68] = 128, 128
    flow = optical_flow(grey(before), grey(after))
    assert flow[0, 56:72, 16:-16].median() == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (31, 65), (33, 64)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    picture = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, size).astype(np.float32))
    flow = optical_flow(picture, picture)
    assert flow.shape == (2, *size) and flow.abs().max() == 0
