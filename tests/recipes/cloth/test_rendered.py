"""Pictures of cloth: shape and range, relief from normals, light and fabric."""

import numpy as np
import pytest
import torch
from cloth.rendered import add_slopes, add_wrinkles, random_folds, relief, render, shading


@pytest.fixture()
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


FLAT = torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, 32, 32)


def test_photos_are_in_range_and_differ(rng: np.random.Generator) -> None:
    normals, mask = (torch.stack(parts) for parts in zip(*(random_folds(32, rng) for _ in range(6)), strict=True))
    photos = render(normals, mask, rng)
    assert photos.shape == (6, 3, 32, 32)
    assert photos.min() >= -1 and photos.max() <= 1
    assert (photos[1:] - photos[:-1]).abs().mean((1, 2, 3)).min() > 0.02


def test_procedural_cloth_has_unit_normals_towards_the_viewer(rng: np.random.Generator) -> None:
    for _ in range(8):
        normals, mask = random_folds(48, rng)
        inside = mask[0] > 0
        assert inside.any() and (normals[2][inside] > 0).all()
        assert torch.allclose(normals.norm(dim=0)[inside], torch.tensor(1.0), atol=1e-5)
        assert normals[:, ~inside].abs().sum() == 0


def test_relief_recovers_a_height_from_its_slopes() -> None:
    y, x = torch.meshgrid(*[(torch.arange(32) + 0.5) / 32 * 2 * torch.pi] * 2, indexing="ij")
    height = 2 * torch.cos(2 * x + 1) + torch.sin(y - x)
    found = relief(add_slopes(FLAT, height))[0]
    inside = slice(3, -3)  # the border of a picture is not periodic for the slopes
    assert torch.corrcoef(torch.stack([found[inside, inside].flatten(), height[inside, inside].flatten()]))[0, 1] > 0.98


def test_a_slope_that_rises_to_the_right_faces_left() -> None:
    normals = add_slopes(FLAT, 0.5 * torch.arange(32.0).expand(32, 32))
    assert normals[0, 16, 16] < -0.3 and normals[1, 16, 16].abs() < 1e-6


def test_cloth_that_faces_up_is_brighter_on_average(rng: np.random.Generator) -> None:
    up = torch.tensor([0.0, -0.8, 0.6])[:, None, None].expand(3, 32, 32)
    down = torch.tensor([0.0, 0.8, 0.6])[:, None, None].expand(3, 32, 32)
    ratio = [shading(up, np.random.default_rng(i)).mean() / shading(down, np.random.default_rng(i)).mean()
             for i in range(20)]
    assert np.median(ratio) > 1.2


def test_wrinkles_are_small_changes(rng: np.random.Generator) -> None:
    mask = torch.ones(1, 64, 64)
    flat = torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, 64, 64)
    changed = add_wrinkles(flat, mask, rng)
    assert torch.allclose(changed.norm(dim=0), torch.ones(64, 64), atol=1e-5)
    assert 0 < (changed - flat).square().mean().sqrt() < 0.5
