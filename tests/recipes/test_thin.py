"""Thin static things that labels leave out: found by structure, in synthetic pictures."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

RECIPES = Path(__file__).resolve().parents[2] / "pretrained/recipes"
H, W = 300, 400
NOTHING = torch.zeros(H, W, dtype=torch.bool)


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("thin")


def shore(texture: float = 0.0) -> tuple[Tensor, Tensor]:
    """Something smooth, or rough by `texture`, above dark ground: the photo, and where it moves."""
    moves = torch.arange(H)[:, None].expand(H, W) < 250
    waves = texture * torch.randn(H // 2, W // 2, generator=torch.Generator().manual_seed(0))
    waves = waves.repeat_interleave(2, 0).repeat_interleave(2, 1)
    return torch.where(moves, 0.2 + waves, torch.tensor(-0.6)).repeat(3, 1, 1), moves


@pytest.mark.parametrize("value", [-0.3, 0.7])
@pytest.mark.parametrize("before", ["sky", "water"])
def test_a_post_is_found_dark_or_bright_before_sky_or_water(thin: ModuleType, before: str, value: float) -> None:
    photo, moves = shore(0.05)
    photo[:, 120:260, 200:203] = value
    found = thin.thin_static(photo, *((moves, NOTHING) if before == "sky" else (NOTHING, moves)))
    assert found[125:250, 201].all()
    assert found.float().mean() < 0.02


def test_a_twig_that_branches_is_found_whole(thin: ModuleType) -> None:
    photo, moves = shore()
    for step in range(80):
        photo[:, 250 - step, 200 + step // 2 : 202 + step // 2] = -0.4
        photo[:, 210 - step, 218 - step : 220 - step] = -0.4
    found = thin.thin_static(photo, moves, NOTHING)
    assert found[211, 219] and found[140, 149] and found[172, 240]


def test_a_faint_wire_that_hangs_from_masts_outside_is_found(thin: ModuleType) -> None:
    photo, moves = shore()
    for column in range(200):
        photo[:, 200 - column : 202 - column, column] -= 0.08
    found = thin.thin_static(photo, moves, NOTHING)
    assert all(found[200 - column, column] for column in range(10, 190))
    assert found.float().mean() < 0.02


def test_a_post_before_a_sky_as_blue_as_it_is_found_but_a_bluer_gap_between_clouds_is_not(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[:, :250] = torch.tensor([-0.2, 0.2, 0.6])[:, None, None]
    photo[:, 120:250, 100:103] -= 0.3
    photo[:, 120:250, 300:303] += torch.tensor([-0.6, -0.3, 0.1])[:, None, None]
    found = thin.thin_static(photo, moves, NOTHING)
    assert found[125:245, 101].all() and not found[:240, 290:312].any()


@pytest.mark.parametrize(("probability", "kept"), [(0.0, False), (0.1, True)])
def test_what_the_eye_sees_nothing_of_is_a_cloud_or_a_wave(thin: ModuleType, probability: float, kept: bool) -> None:
    photo, moves = shore()
    photo[:, 120:260, 200:203] = 0.7
    occluder = torch.full((30, 40), probability)
    for places in ((moves, NOTHING), (NOTHING, moves)):
        assert bool(thin.thin_static(photo, *places, occluder).any()) == kept


def test_wood_no_darker_than_the_water_is_found_by_its_colour(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[0, 120:260, 200:203] += 0.4
    photo[2, 120:260, 200:203] -= 0.4
    assert thin.thin_static(photo, NOTHING, moves)[125:250, 201].all()


def test_a_post_is_followed_from_where_it_is_brighter_than_the_water_to_where_it_is_darker(thin: ModuleType) -> None:
    photo, moves = shore(0.05)
    photo[:, 170:260, 200:203] = 0.7
    photo[:, 100:168, 200:203] = -0.3
    found = thin.thin_static(photo, NOTHING, moves)
    assert found[105:250, 201].all()


@pytest.mark.parametrize("thing", ["a bird", "a soft cloud", "a wave", "a wide tower"])
def test_other_things_are_left_alone(thin: ModuleType, thing: str) -> None:
    photo, moves = shore()
    rows, columns = torch.arange(H)[:, None], torch.arange(W)
    if thing == "a bird":  # fastened to nothing
        photo[:, 100:102, 200:206] = -0.4
    elif thing == "a soft cloud":
        photo += 0.3 * torch.exp(-(((rows - 200) / 30.0) ** 2) - ((columns - 200) / 60.0) ** 2) * moves
    elif thing == "a wave":  # level
        photo[:, 247:249, 100:300] = 0.6
    else:  # thicker than what is looked for; the eye finds it
        photo[:, 100:260, 180:240] = -0.4
    sky, water = (NOTHING, moves) if thing == "a wave" else (moves, NOTHING)
    assert not thin.thin_static(photo, sky, water).any()


def test_the_sky_in_a_dense_crown_stands_still_with_its_branches(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[:, 100:251, 150:250:5] = -0.5
    photo[:, 100:251, 151:250:5] = -0.5
    found = thin.thin_static(photo, moves, NOTHING)
    assert found[130:230, 175:225].all()
    assert not found[:90].any()


def test_rough_water_has_no_thin_things(thin: ModuleType) -> None:
    photo, moves = shore(0.4)
    assert thin.thin_static(photo, NOTHING, moves).float().mean() < 0.01


def test_top_hats_are_the_contrast_of_what_is_thin(thin: ModuleType) -> None:
    image = torch.zeros(40, 40)
    image[:, 10:12], image[:, 20:36] = -0.5, 0.5
    below, above = thin.top_hats(image, 3)
    assert torch.equal(below, torch.where(image < 0, 0.5, 0.0)) and not above.any()


def test_the_top_of_a_tree_that_a_label_misses_is_found_by_its_colour(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[:, 240:250, 195:205] = -0.6
    found = thin.find_thin_before_sky(photo, moves, ~moves, torch.ones(H, W))
    assert found[242:250, 195:205].all() and not found[:235].any()


def test_a_cloud_over_a_ridge_is_less_like_the_ground_than_the_sky_is(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[:, 240:248, 100:300] = 0.9
    assert not thin.find_thin_before_sky(photo, moves, ~moves, torch.ones(H, W))[:248].any()


def test_a_needle_with_sharp_edges_is_found_near_what_stands_and_not_far_away(thin: ModuleType) -> None:
    photo, moves = shore()
    photo[:, 244, 200:206] = photo[:, 100, 200:206] = -0.4
    found = thin.find_thin_before_sky(photo, moves, ~moves, torch.ones(H, W))
    assert found[244, 200:206].all() and not found[98:103].any()
