"""Inversion with the default model: the reconstruction is the photo, and F is features."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lpips import LPIPS
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.ops.image import to_tensor
from stylecine.picture.inversion import (
    STEPS,
    Inversion,
    invert,
    reconstruct,
    refine_feature,
    refinement_steps,
    synthesise,
)
from stylecine.picture.photo import load_photo
from stylecine.weights import find_model, role_tensors

RECORD = find_model("default")
EXAMPLES = ("lake", "sea", "snow", "waterfall")


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


def test_the_photo_is_reconstructed(photo: Tensor, inversion: Inversion) -> None:
    assert inversion.w_plus.shape == (18, 512)
    assert inversion.feature.shape == (64, 48, 80)
    shrunk = F.interpolate(F.avg_pool2d(photo[None], 8), scale_factor=8, mode="bilinear")[0]
    assert psnr(inversion.reconstruction, photo) > psnr(shrunk, photo)


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Tensor:
    return to_tensor(load_photo(f"examples/{request.param}.jpg", (256, 192)))


@pytest.mark.parametrize("steps", [0, 8], ids=["single pass", "refined"])
def test_f_holds_features_not_pixels(example: Tensor, generator: Generator, encoder: Encoder, steps: int) -> None:
    """F shifted by a cell or two shows the photo shifted by as many times s pixels, within 2 dB."""
    found = invert(example, generator, encoder, refine=steps)
    inside = slice(32, -32)
    unshifted = psnr(found.reconstruction[:, inside, inside], example[:, inside, inside])
    for cells in (1, 2):
        moved = found.feature.roll((cells, cells), dims=(1, 2))
        image = reconstruct(generator, found.w_plus, moved, (192, 256))[:, inside, inside]
        pixels = cells * generator.stride
        shifted = example.roll((pixels, pixels), dims=(1, 2))[:, inside, inside]
        assert psnr(image, shifted) > unshifted - 2
        assert psnr(image, example[:, inside, inside]) < unshifted - 2


def test_refining_comes_closer(photo: Tensor, generator: Generator, encoder: Encoder, inversion: Inversion) -> None:
    lpips = LPIPS.published()
    calls: list[tuple[int, int]] = []
    refined = invert(photo, generator, encoder, refine=20, progress=lambda *done: calls.append(done))
    assert psnr(refined.reconstruction, photo) > psnr(inversion.reconstruction, photo) + 1.5
    before, after = (float(lpips(found.reconstruction[None], photo[None])) for found in (inversion, refined))
    assert after < before
    assert list(dict.fromkeys(calls)) == [(step, 20) for step in range(21)]


def test_refining_does_not_look_at_hidden_parts(photo: Tensor, generator: Generator, encoder: Encoder) -> None:
    visible = torch.ones(192, 320)
    visible[60:120, 100:180] = 0
    other = torch.where(visible > 0, photo, -photo)
    one, two = (invert(image, generator, encoder, visible=visible, refine=2) for image in (photo, other))
    torch.testing.assert_close(one.reconstruction, two.reconstruction, rtol=0, atol=0)


def test_without_an_encoder_optimisation_comes_near(photo: Tensor, generator: Generator) -> None:
    few, more = (invert(photo, generator, None, refine=steps) for steps in (2, 12))
    assert more.w_plus.shape == (18, 512) and more.feature.shape == (64, 48, 80)
    assert psnr(more.reconstruction, photo) > psnr(few.reconstruction, photo) + 1
    assert psnr(more.reconstruction, photo) > 25
    assert (refinement_steps(False, 0), refinement_steps(False, 7)) == (STEPS, 7)


def test_an_exact_start_is_kept(photo: Tensor, generator: Generator, inversion: Inversion) -> None:
    """Nothing to gain, and no division by zero."""
    w_plus, feature = inversion.w_plus[None], inversion.feature[None, :, :16, :16]
    exact = synthesise(generator, w_plus, feature, (64, 64))
    found = refine_feature(exact, torch.zeros(1, 1, 64, 64), w_plus, feature, generator, 2, None)
    assert torch.equal(found, feature)


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
