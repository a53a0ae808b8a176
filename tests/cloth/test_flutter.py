"""Waves that run downwind over a flag, from its hoist to its free end."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.cloth.flutter import WAVES, Propagation, estimate_propagation, flutter, fold_shading
from stylecine.options import Wind

SIDE, PHASES = 64, 16
COLUMNS = slice(8, 56)


@pytest.fixture
def cover() -> Tensor:
    """A flag, half as wide again as high."""
    cover = torch.zeros(1, 1, SIDE, SIDE)
    cover[..., 16:48, COLUMNS] = 1
    return cover


def smooth_cloth() -> Tensor:
    return torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(1, 3, SIDE, SIDE)


def folded_cloth(number: float) -> Tensor:
    """Normals of upright folds, `number` of them over the flag."""
    slope = 0.3 * (2 * math.pi * number * (torch.arange(SIDE) - COLUMNS.start) / 48).sin()
    slope = slope.expand(SIDE, SIDE)
    return F.normalize(torch.stack((slope, 0 * slope, 1 + 0 * slope))[None], dim=1)


def waves_over(cover: Tensor, wind: Wind, normals: Tensor | None = None) -> tuple[Tensor, Propagation]:
    propagation = estimate_propagation(cover, wind)
    normals = smooth_cloth() if normals is None else normals
    return flutter(normals, torch.zeros_like(cover), cover, propagation, PHASES), propagation


def along_the_flag(waves: Tensor, cycles: int) -> np.ndarray:
    """The harmonic of the slope along the middle row, complex."""
    return (torch.fft.fft(waves[:, 2, 32, COLUMNS], dim=0)[cycles] / PHASES * 2).numpy()


@pytest.mark.parametrize("degrees", [0, 180])
@pytest.mark.parametrize("cycles", WAVES)
def test_waves_come_later_further_downwind(cover: Tensor, degrees: float, cycles: int) -> None:
    waves, _ = waves_over(cover, Wind(degrees))
    wave = along_the_flag(waves, cycles)
    steps = np.angle(wave[17:33] / wave[16:32]) * (-1 if degrees == 0 else 1)
    assert (steps > 0).all() and math.degrees(steps.sum()) >= 90


@pytest.mark.parametrize("cycles", WAVES)
def test_folds_of_tall_cloth_run_down_all_of_it(cycles: int) -> None:
    """Fronts as slanted as on a flag would cross on a dress and make clouds."""
    cover = torch.zeros(1, 1, SIDE, SIDE)
    cover[..., 4:60, 26:38] = 1
    waves, _ = waves_over(cover, Wind(180))
    wave = (torch.fft.fft(waves[:, 2, 12:56, 32], dim=0)[cycles]).numpy()
    assert abs(np.angle(wave[1:] / wave[:-1]).sum()) < 2 * math.pi


def test_waves_grow_from_the_hoist_to_the_free_end(cover: Tensor) -> None:
    waves, propagation = waves_over(cover, Wind(0))
    height = waves[:, 1, 32, COLUMNS].std(0)
    assert height[:3].max() < 0.15 * height[-8:].mean()
    assert height[12:20].mean() < height[-8:].mean()
    assert propagation.distance[32, 10] < 0.2 and propagation.distance[32, 54] > 0.8


def test_a_hanging_cloth_moves_least_at_its_top() -> None:
    curtain = torch.zeros(1, 1, SIDE, SIDE)
    curtain[..., 4:60, 20:44] = 1
    distance = estimate_propagation(curtain, Wind(0)).distance
    assert distance[6, 32] < 0.4 < distance[56, 32] and distance[56, 32] > distance[6, 32] + 0.5


def test_the_gust_begins_with_the_still_and_ends_as_it_began(cover: Tensor) -> None:
    waves, _ = waves_over(cover, Wind(30), folded_cloth(3))
    assert (waves[0].abs() < 1e-5).all() and waves[5].abs().max() > 0.05
    first, last = waves[1] - waves[0], waves[0] - waves[-1]
    assert float(F.cosine_similarity(first.flatten(), last.flatten(), 0)) > -0.2, "it does not turn back at the seam"


def test_folds_leave_their_places_and_run_downwind(cover: Tensor) -> None:
    """A quarter of the way to the next one's place in a sixteenth of a gust: they are the waves of four cycles."""
    normals = folded_cloth(8 / 3)  # four cycles in a gust at a speed of one length and a half
    waves, propagation = waves_over(cover, Wind(0), normals)
    still = normals[0, 0] / normals[0, 2]
    free = slice(30, 50)
    moved = (still + waves[1, 2])[32, free]
    fold = 48 / (8 / 3)
    expected = torch.stack([still[32, free.start - shift : free.stop - shift] for shift in range(round(fold))])
    match = [float(F.cosine_similarity(moved, row, 0)) for row in expected]
    assert 2 <= int(np.argmax(match)) <= 7, "of 18 pixels from fold to fold"
    assert propagation.length == pytest.approx(46, abs=2)


def test_a_mirrored_flag_in_the_mirrored_wind_flutters_mirrored(cover: Tensor) -> None:
    cover[..., 20:30, 40:] = 0  # a notch
    waves, _ = waves_over(cover, Wind(20), folded_cloth(3))
    mirrored = folded_cloth(3).flip(-1) * torch.tensor([-1.0, 1, 1])[:, None, None]
    other, _ = waves_over(cover.flip(-1), Wind(160), mirrored)
    sign = torch.tensor([-1.0, 1, -1, 1, 1])[:, None, None]
    torch.testing.assert_close(other.flip(-1) * sign, waves, rtol=0, atol=1.5e-3)


def test_shading_has_the_folds_but_not_the_prints(cover: Tensor) -> None:
    """Red stripes and a black patch on white cloth with a dark fold."""
    fold = 2 ** (-0.4 * torch.exp(-((torch.arange(SIDE) - 40.0) ** 2) / 8)).expand(SIDE, SIDE)
    image = 0.8 * torch.ones(1, 3, SIDE, SIDE)
    image[:, 1:, :, 14:22] = 0.05
    image[:, :, 36:40, 26:30] = 0.02
    shading = fold_shading(image * fold, torch.ones(1, 1, SIDE, SIDE), cover)[0, 0]
    assert float(shading[30, 40]) < -0.2
    assert float(shading[17:47, 9:30].abs().max()) < 0.12
