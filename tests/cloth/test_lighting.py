"""The light on cloth: separated from what is printed on it, never dark."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cloth.lighting import MIN_BRIGHTNESS, basis, fit_light, shade


@pytest.fixture
def folds() -> Tensor:
    """Unit normals [n,3] of cloth with folds in every direction, roughly facing the viewer."""
    side = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1)) * 0.5
    return F.normalize(torch.cat((side, torch.ones(4000, 1)), 1), dim=1)


def lit(normals: Tensor, direction: tuple[float, float, float], ambient: float = 0.4) -> Tensor:
    """Brightness under a directional and an ambient light, with a median of 1."""
    way = F.normalize(torch.tensor(direction), dim=0)
    brightness = ambient + (1 - ambient) * (normals @ way).clamp(min=0)
    return brightness / brightness.median()


@pytest.mark.parametrize("direction", [(0.0, -0.7, 0.7), (0.8, -0.3, 0.5), (-0.6, 0.2, 0.7)])
def test_the_fit_recovers_a_light_from_any_direction(folds: Tensor, direction: tuple[float, float, float]) -> None:
    brightness = lit(folds, direction)
    light = fit_light(folds, brightness)
    found = shade(light, folds)
    assert float(torch.corrcoef(torch.stack((found, brightness)))[0, 1]) > 0.97
    assert float((found - brightness).abs().mean()) < 0.08


def test_printed_patterns_do_not_count_as_light(folds: Tensor) -> None:
    """A third of the cloth is printed dark, independent of its normals."""
    brightness = lit(folds, (0.5, -0.5, 0.7))
    dark = torch.arange(4000) % 3 == 0
    printed = fit_light(folds, torch.where(dark, 0.3 * brightness, brightness))
    assert float((shade(printed, folds) - brightness)[~dark].abs().mean()) < 0.12


def test_flat_cloth_is_lit_from_above_and_ahead() -> None:
    flat = torch.tensor([0.0, 0.0, 1.0]).expand(500, 3)
    light = fit_light(flat, torch.ones(500))
    up, down, ahead = (shade(light, torch.tensor(n)) for n in ((0.0, -0.6, 0.8), (0.0, 0.6, 0.8), (0.0, 0.0, 1.0)))
    assert up > down and ahead > down
    assert float(ahead) == pytest.approx(1, abs=0.05)


def test_brightness_has_a_lower_bound(folds: Tensor) -> None:
    light = torch.tensor([0.3, 2.0, -2.0, -1.0, 0.0, 0.0, 0.0, 0.5, -2.0])
    brightness = shade(light, folds)
    assert float(brightness.min()) >= 0.2


def test_surfaces_are_shaded_as_the_basis_says(folds: Tensor) -> None:
    light = torch.cat((torch.ones(1), 0.15 * torch.randn(8, generator=torch.Generator().manual_seed(2))))
    excess = basis(folds) @ light - MIN_BRIGHTNESS
    torch.testing.assert_close(shade(light, folds), MIN_BRIGHTNESS + (excess + (excess**2 + 0.02).sqrt()) / 2)


def test_the_basis_represents_every_light_of_second_order(folds: Tensor) -> None:
    way = F.normalize(torch.tensor([0.3, -0.6, 0.7]), dim=0)
    cosine = folds @ way
    wanted = 0.25 + cosine / 2 + 5 / 16 * (3 * cosine**2 - 1) / 2
    solved = torch.linalg.lstsq(basis(folds), wanted[:, None]).solution[:, 0]
    torch.testing.assert_close(basis(folds) @ solved, wanted, rtol=0, atol=1e-4)
    assert math.isclose(float(solved[0]), 0.25, abs_tol=1e-3)
