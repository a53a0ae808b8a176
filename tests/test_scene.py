"""A photo that has been understood."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stylecine import Animator, Scene


@pytest.fixture(scope="module")
def scene(photo: np.ndarray, small_model: Path) -> Scene:
    return Animator.from_pretrained(small_model, "cpu").invert(photo)


def test_values_have_the_documented_shapes(scene: Scene, photo: np.ndarray) -> None:
    assert np.array_equal(scene.photo, photo)
    assert scene.reconstruction.shape == (72, 96, 3) and scene.reconstruction.dtype == np.uint8
    assert scene.w_plus.shape == (14, 512)  # a generator of 256 x 256 has 14 style vectors
    assert scene.feature.shape == (16, 18, 24)  # 16 channels, a quarter of the photo's grid
    assert scene.layers.shape == (4, 72, 96)
    assert scene.mask.shape == (72, 96)
    assert scene.motion.ndim == 3 and scene.motion.shape[0] == 2
    for values in (scene.w_plus, scene.feature, scene.layers, scene.mask, scene.motion):
        assert values.dtype == torch.float32 and torch.isfinite(values).all()


def test_mask_is_the_layers_together(scene: Scene) -> None:
    assert torch.allclose(scene.mask, 1 - (1 - scene.layers).prod(0))


def test_score_is_computed_when_asked_for(scene: Scene, photo: np.ndarray) -> None:
    scene.__dict__.pop("score", None)
    score = scene.score
    assert set(score) == {"lpips", "psnr"}
    error = np.square(photo.astype(float) - scene.reconstruction).mean()
    assert score["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert scene.score is score


def test_a_scene_never_changes(scene: Scene, photo: np.ndarray) -> None:
    with pytest.raises(FrozenInstanceError):
        scene.photo = photo  # type: ignore[misc]


def test_options_of_the_inversion(photo: np.ndarray, small_model: Path) -> None:
    animator = Animator.from_pretrained(small_model, "cpu")
    plain, refined = (animator.invert(photo, refine=steps) for steps in (0, 3))
    assert not torch.equal(plain.feature, refined.feature)
    assert refined.score["psnr"] > plain.score["psnr"]


def test_likeness_is_of_colours_and_coarse_forms(scene: Scene) -> None:
    photo = np.full((66, 98, 3), 120, np.uint8)
    fine = photo + np.tile(np.array([[0, 8], [8, 0]], np.uint8)[..., None], (33, 49, 1))  # averages out
    fine[64:] = fine[:, 96:] = 0  # less than a block
    tinted = photo + np.array([16, 0, 0], np.uint8)
    unlike = {name: replace(scene, photo=photo, reconstruction=image) for name, image in
              {"fine": fine, "tinted": tinted}.items()}  # fmt: skip
    assert unlike["fine"].likeness == pytest.approx(20 * np.log10(255 / 4), abs=0.1)
    assert unlike["tinted"].likeness == pytest.approx(20 * np.log10(255 / 16) + 10 * np.log10(3), abs=0.1)
