"""Inversion with the default model: what comes back is the photo, and F is features."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.inversion import Inversion, invert, reconstruct
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.lpips import LPIPS
from stylecine.ops.pixels import to_tensor
from stylecine.photo import load_photo
from stylecine.weights import find_model, role_tensors

RECORD = find_model("default")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.from_tensors(role_tensors(RECORD, "generator"), RECORD.injection)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.from_tensors(role_tensors(RECORD, "encoder"))


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return to_tensor(load_photo("examples/sea.jpg", (320, 192)))


@pytest.fixture(scope="module")
def inversion(photo: Tensor, generator: Generator, encoder: Encoder) -> Inversion:
    return invert(photo, generator, encoder)


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def test_the_photo_comes_back(photo: Tensor, inversion: Inversion) -> None:
    assert inversion.w_plus.shape == (18, 512)
    assert inversion.feature.shape == (64, 48, 80)
    shrunk = F.interpolate(F.avg_pool2d(photo[None], 8), scale_factor=8, mode="bilinear")[0]
    assert psnr(inversion.reconstruction, photo) > psnr(shrunk, photo)


@pytest.mark.parametrize("cells", [1, 2])
def test_f_is_features_not_stored_pixels(generator: Generator, inversion: Inversion, cells: int) -> None:
    """F shifted by a cell or two shows the picture shifted by as many times s pixels."""
    moved = inversion.feature.roll(cells, dims=2)[None]
    image = reconstruct(generator, inversion.w_plus[None], moved, (192, 320))[0]
    shifted = inversion.reconstruction.roll(cells * generator.stride, dims=2)
    inside = slice(32, -32)
    assert psnr(image[:, inside, inside], shifted[:, inside, inside]) > 40
    assert psnr(image[:, inside, inside], inversion.reconstruction[:, inside, inside]) < 35


def test_refining_comes_closer(photo: Tensor, generator: Generator, encoder: Encoder, inversion: Inversion) -> None:
    lpips = LPIPS.from_tensors(role_tensors(RECORD, "lpips"))
    told: list[tuple[int, int]] = []
    small = photo[:, :128, :128]
    plain = invert(small, generator, encoder)
    refined = invert(small, generator, encoder, lpips=lpips, refine=4, progress=lambda *done: told.append(done))
    before, after = (float(lpips(found.reconstruction[None], small[None])) for found in (plain, refined))
    assert after < 0.8 * before
    assert psnr(refined.reconstruction, small) > psnr(plain.reconstruction, small) - 1
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_hidden_parts_do_not_show_through(photo: Tensor, generator: Generator, encoder: Encoder) -> None:
    visible = torch.ones(192, 320)
    visible[60:120, 100:180] = 0
    other = torch.where(visible > 0, photo, -photo)
    one = invert(photo, generator, encoder, visible=visible)
    two = invert(other, generator, encoder, visible=visible)
    torch.testing.assert_close(one.reconstruction, two.reconstruction, rtol=0, atol=0)


def test_photos_beyond_the_generators_resolution_are_inverted_smaller(generator: Generator, encoder: Encoder) -> None:
    tall = torch.zeros(3, 1300, 1300)
    found = invert(tall, generator, encoder)
    assert found.feature.shape[1:] == (256, 256)
    assert found.reconstruction.shape == tall.shape
