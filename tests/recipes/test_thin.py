"""Thin static things before the sky: found by structure, in synthetic pictures."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "pretrained/recipes"))

from occluders.thin import thin_before_sky, top_hats

H, W = 300, 400


def shore(texture: float = 0.0) -> tuple[Tensor, Tensor]:
    """Something smooth, or rough by `texture`, above dark ground: the photo, and where it moves."""
    moves = torch.arange(H)[:, None].expand(H, W) < 250
    waves = texture * torch.randn(H // 2, W // 2, generator=torch.Generator().manual_seed(0))
    waves = waves.repeat_interleave(2, 0).repeat_interleave(2, 1)
    return torch.where(moves, 0.2 + waves, torch.tensor(-0.6)).repeat(3, 1, 1), moves


@pytest.mark.parametrize("value", [-0.3, 0.7])
def test_a_post_is_found_dark_or_bright(value: float) -> None:
    photo, moves = shore(0.05)
    photo[:, 120:260, 200:203] = value
    found = thin_before_sky(photo, moves, ~moves)
    assert found[125:250, 201].all()
    assert found.float().mean() < 0.02


def test_a_twig_that_branches_is_found_whole() -> None:
    photo, moves = shore()
    for step in range(80):
        photo[:, 250 - step, 200 + step // 2 : 202 + step // 2] = -0.4
        photo[:, 210 - step, 218 - step : 220 - step] = -0.4
    found = thin_before_sky(photo, moves, ~moves)
    assert found[211, 219] and found[140, 149] and found[172, 240]


def test_a_faint_wire_that_hangs_from_masts_outside_is_found() -> None:
    photo, moves = shore()
    for column in range(200):
        photo[:, 200 - column : 202 - column, column] -= 0.08
    found = thin_before_sky(photo, moves, ~moves)
    assert all(found[200 - column, column] for column in range(10, 190))
    assert found.float().mean() < 0.02


def test_a_post_before_a_sky_as_blue_as_it_is_found_but_a_bluer_gap_between_clouds_is_not() -> None:
    photo, moves = shore()
    photo[:, :250] = torch.tensor([-0.2, 0.2, 0.6])[:, None, None]
    photo[:, 120:250, 100:103] -= 0.3
    photo[:, 120:250, 300:303] += torch.tensor([-0.6, -0.3, 0.1])[:, None, None]
    found = thin_before_sky(photo, moves, ~moves)
    assert found[125:245, 101].all() and not found[:240, 290:312].any()


@pytest.mark.parametrize(("probability", "kept"), [(0.0, False), (0.1, True)])
def test_what_is_not_seen_at_all_is_a_cloud(probability: float, kept: bool) -> None:
    photo, moves = shore()
    photo[:, 120:260, 200:203] = 0.7
    assert bool(thin_before_sky(photo, moves, ~moves, torch.full((30, 40), probability)).any()) == kept


@pytest.mark.parametrize("thing", ["a bird", "a soft cloud", "a level streak", "a wide tower"])
def test_other_things_are_left_alone(thing: str) -> None:
    photo, moves = shore()
    rows, columns = torch.arange(H)[:, None], torch.arange(W)
    if thing == "a bird":  # fastened to nothing
        photo[:, 100:102, 200:206] = -0.4
    elif thing == "a soft cloud":
        photo += 0.3 * torch.exp(-(((rows - 200) / 30.0) ** 2) - ((columns - 200) / 60.0) ** 2) * moves
    elif thing == "a level streak":
        photo[:, 247:249, 100:300] = 0.6
    else:  # thicker than what is looked for; the eye finds it
        photo[:, 100:260, 180:240] = -0.4
    assert not thin_before_sky(photo, moves, ~moves).any()


def test_a_streak_that_touches_only_moving_water_is_none() -> None:
    photo, moves = shore()
    photo[:, 120:200, 200:203] = 0.7
    sky = moves & (torch.arange(H)[:, None] < 200)
    assert not thin_before_sky(photo, sky, ~moves).any()


def test_top_hats_are_the_contrast_of_what_is_thin() -> None:
    image = torch.zeros(40, 40)
    image[:, 10:12], image[:, 20:36] = -0.5, 0.5
    below, above = top_hats(image, 3)
    assert torch.equal(below, torch.where(image < 0, 0.5, 0.0)) and not above.any()
