"""Third-party models of full size, from checkpoint to loop: converted, inverted by optimisation, every way to warp."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.lpips import psnr
from stylecine import Animator, Cancelled, LicenceNotAccepted, WeightsNotFound, animate
from stylecine.checkpoints.convert import convert
from stylecine.weights import find_model
from tests import checkpoint_files as checkpoints
from tests.networks import stylegan2_literal as literal

CONFIG_F = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
PAPER_256 = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
SMALL = {4: 16, 8: 16, 16: 16, 32: 16, 64: 8, 128: 8}
MAPPING = 8

# Random weights know no landscape.
pytestmark = pytest.mark.filterwarnings("ignore::stylecine.errors.StylecineWarning")


def pytorch(channels: dict[int, int]) -> bytes:
    return checkpoints.nvidia_pickle(checkpoints.nvidia_generator(literal.random_tensors(channels, MAPPING)))


def tensorflow(channels: dict[int, int]) -> bytes:
    return checkpoints.tensorflow_pickle(checkpoints.tensorflow_variables(literal.random_tensors(channels, MAPPING)))


def rosinality(channels: dict[int, int]) -> bytes:
    return checkpoints.saved({"g_ema": checkpoints.rosinality_state(channels, MAPPING), "latent_avg": torch.zeros(512)})


def stylecinegan(channels: dict[int, int]) -> bytes:
    """Saved while training, without the average of w."""
    state = checkpoints.rosinality_state(channels, MAPPING)
    return checkpoints.saved({"g": {}, "d": {}, "g_ema": state, "ada_aug_p": 0.0})


FULL_SIZE = {
    "config F 1024, NVIDIA PyTorch": (pytorch, CONFIG_F),
    "paper256, NVIDIA TensorFlow": (tensorflow, PAPER_256),
    "paper256, rosinality": (rosinality, PAPER_256),
    "paper256, StyleCineGAN": (stylecinegan, PAPER_256),
}


def beside(small_model: Path, folder: Path) -> None:
    """Puts small networks beside a generator in `folder`, as a user may."""
    for role in ("eye", "refiner"):
        shutil.copy(small_model / f"{role}.safetensors", folder)


@pytest.fixture(autouse=True)
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in checkpoints.nvidia_modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "channels"), FULL_SIZE.values(), ids=FULL_SIZE.keys())
def test_from_checkpoint_to_loop(
    make: Callable[[dict[int, int]], bytes],
    channels: dict[int, int],
    tmp_path: Path,
    photo: np.ndarray,
    water: np.ndarray,
    drift: np.ndarray,
    small_model: Path,
) -> None:
    """With the default model's networks the first, with small ones beside it the others."""
    if channels is not CONFIG_F:
        beside(small_model, tmp_path)
    (tmp_path / "checkpoint").write_bytes(make(channels))
    found = convert(tmp_path / "checkpoint", tmp_path / "foreign.safetensors")
    assert find_model(found).resolution == max(channels)
    steps: list[tuple[str, int, int]] = []
    loop = animate(
        photo,
        mask=water,
        motion=drift,
        model=found,
        seconds=0.4,
        fps=10,
        refine=2,
        progress=lambda *step: steps.append(step),
    )
    assert len(loop) == 4 and loop[0].shape == photo.shape
    np.testing.assert_allclose(loop[0].astype(int), photo, atol=1)
    assert (loop[2][~water] == photo[~water]).all() and (loop[2] != photo).any()
    assert ("inversion", 1, 2) in steps and ("inversion", 2, 2) in steps
    assert loop.scene.feature.shape == (channels[max(channels) // 4], 18, 24)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Animator:
    """A small foreign generator with noise inputs, and no encoder."""
    folder = tmp_path_factory.mktemp("small")
    beside(small_model, folder)
    (folder / "in.pt").write_bytes(checkpoints.saved({"g_ema": checkpoints.rosinality_state(SMALL, 2)}))
    return Animator.from_pretrained(convert(folder / "in.pt", folder / "small.safetensors"))


@pytest.mark.parametrize(
    ("warp", "size"), [("msdfw", (72, 72)), ("dfw", (64, 80)), ("msdfw", (90, 66)), ("pixel", (90, 66))], ids=str
)
def test_every_warp_at_any_aspect_ratio(
    small: Animator, photo: np.ndarray, drift: np.ndarray, warp: str, size: tuple[int, int]
) -> None:
    """Frame 0 is the photo, whatever the generator is worth."""
    scene = small.invert(photo, size=size, refine=2)
    mask = np.zeros((size[1], size[0]), bool)
    mask[size[1] // 2 :] = True
    loop = small.render(scene, mask=mask, motion=drift, seconds=0.4, fps=10, warp=warp)
    assert (loop.width, loop.height) == size
    np.testing.assert_allclose(loop[0].astype(int), scene.photo, atol=1)
    assert (loop[2][~mask] == scene.photo[~mask]).all() and (loop[2] != scene.photo).any()


def test_noise_comes_from_the_seed(small: Animator, photo: np.ndarray) -> None:
    one, again, two = (small.invert(photo, refine=2, seed=seed).reconstruction for seed in (1, 1, 2))
    assert (one == again).all() and (one != two).any()


def test_more_optimisation_reduces_the_error(small: Animator, photo: np.ndarray) -> None:
    few, more = (psnr(small.invert(photo, refine=steps).reconstruction, photo) for steps in (1, 20))
    assert more > few + 3


def test_progress_cancels_the_optimisation(small: Animator, photo: np.ndarray) -> None:
    with pytest.raises(Cancelled, match="while inverting the photo"):
        small.invert(photo, progress=lambda stage, done, total: not (stage == "inversion" and done == 3))


def test_public_models_by_name(photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLECINE_MODELS", str(tmp_path))
    monkeypatch.delenv("STYLECINE_ACCEPT_LICENCE", raising=False)
    with pytest.raises(WeightsNotFound, match=r"stylecine convert lhq-sg2-1024\.pkl lhq-1024"):
        animate(photo, model="lhq-1024")
    with pytest.raises(LicenceNotAccepted, match="no commercial use"):
        animate(photo, model="stylegan2-church-256")
    monkeypatch.setenv("STYLECINE_ACCEPT_LICENCE", "stylegan2-church-256")
    with pytest.raises(WeightsNotFound, match="curl"):
        animate(photo, model="stylegan2-church-256")
