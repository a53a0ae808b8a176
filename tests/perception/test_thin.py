"""Thin static things before what moves: found by structure, in synthetic pictures and along hand-marked lines."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.perception.edges import erode
from stylecine.perception.layers import segment
from stylecine.perception.see import see
from stylecine.perception.thin import thin_static, top_hats
from stylecine.picture.photo import load_photo

H, W = 300, 400
NOTHING = torch.zeros(H, W, dtype=torch.bool)
MARKED = Path(__file__).parents[1] / "data/thin"
LINES = json.loads((MARKED / "lines.json").read_text())
# of the marked points, at most: level ropes, reeds and rails like the water, and wires in fog are found in part
MISSED = {"bare-tree": 0.14, "jetty-dusk": 0.21, "rope-pier": 0.5, "pole-saltlake": 0.15, "wires-fog": 0.5}


def shore(texture: float = 0.0) -> tuple[Tensor, Tensor]:
    """Something smooth, or rough by `texture`, above dark ground: the photo, and where it moves."""
    moves = torch.arange(H)[:, None].expand(H, W) < 250
    waves = texture * torch.randn(H // 2, W // 2, generator=torch.Generator().manual_seed(0))
    waves = waves.repeat_interleave(2, 0).repeat_interleave(2, 1)
    return torch.where(moves, 0.2 + waves, torch.tensor(-0.6)).repeat(3, 1, 1), moves


@pytest.mark.parametrize("value", [-0.3, 0.7])
@pytest.mark.parametrize("before", ["sky", "water"])
def test_a_post_is_found_dark_or_bright_before_sky_or_water(before: str, value: float) -> None:
    photo, moves = shore(0.05)
    photo[:, 120:260, 200:203] = value
    found = thin_static(photo, *((moves, NOTHING) if before == "sky" else (NOTHING, moves)))
    assert found[125:250, 201].all()
    assert found.float().mean() < 0.02


def test_a_twig_that_branches_is_found_whole() -> None:
    photo, moves = shore()
    for step in range(80):
        photo[:, 250 - step, 200 + step // 2 : 202 + step // 2] = -0.4
        photo[:, 210 - step, 218 - step : 220 - step] = -0.4
    found = thin_static(photo, moves, NOTHING)
    assert found[211, 219] and found[140, 149] and found[172, 240]


def test_a_faint_wire_that_hangs_from_masts_outside_is_found() -> None:
    photo, moves = shore()
    for column in range(200):
        photo[:, 200 - column : 202 - column, column] -= 0.08
    found = thin_static(photo, moves, NOTHING)
    assert all(found[200 - column, column] for column in range(10, 190))
    assert found.float().mean() < 0.02


def test_a_post_before_a_sky_as_blue_as_it_is_found_but_a_bluer_gap_between_clouds_is_not() -> None:
    photo, moves = shore()
    photo[:, :250] = torch.tensor([-0.2, 0.2, 0.6])[:, None, None]
    photo[:, 120:250, 100:103] -= 0.3
    photo[:, 120:250, 300:303] += torch.tensor([-0.6, -0.3, 0.1])[:, None, None]
    found = thin_static(photo, moves, NOTHING)
    assert found[125:245, 101].all() and not found[:240, 290:312].any()


@pytest.mark.parametrize(("probability", "kept"), [(0.0, False), (0.1, True)])
def test_what_the_eye_sees_nothing_of_is_a_cloud_or_a_wave(probability: float, kept: bool) -> None:
    photo, moves = shore()
    photo[:, 120:260, 200:203] = 0.7
    occluder = torch.full((30, 40), probability)
    for places in ((moves, NOTHING), (NOTHING, moves)):
        assert bool(thin_static(photo, *places, occluder).any()) == kept


def test_wood_no_darker_than_the_water_is_found_by_its_colour() -> None:
    photo, moves = shore()
    photo[0, 120:260, 200:203] += 0.4
    photo[2, 120:260, 200:203] -= 0.4
    assert thin_static(photo, NOTHING, moves)[125:250, 201].all()


def test_a_post_is_followed_from_where_it_is_brighter_than_the_water_to_where_it_is_darker() -> None:
    photo, moves = shore(0.05)
    photo[:, 170:260, 200:203] = 0.7
    photo[:, 100:168, 200:203] = -0.3
    found = thin_static(photo, NOTHING, moves)
    assert found[105:250, 201].all()


@pytest.mark.parametrize("thing", ["a bird", "a soft cloud", "a wave", "a wide tower"])
def test_other_things_are_left_alone(thing: str) -> None:
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
    assert not thin_static(photo, sky, water).any()


def test_the_sky_in_a_dense_crown_stands_still_with_its_branches() -> None:
    photo, moves = shore()
    photo[:, 100:251, 150:250:5] = -0.5
    photo[:, 100:251, 151:250:5] = -0.5
    found = thin_static(photo, moves, NOTHING)
    assert found[130:230, 175:225].all()
    assert not found[:90].any()


def test_rough_water_has_no_thin_things() -> None:
    photo, moves = shore(0.4)
    assert thin_static(photo, NOTHING, moves).float().mean() < 0.01


def test_top_hats_are_the_contrast_of_what_is_thin() -> None:
    image = torch.zeros(40, 40)
    image[:, 10:12], image[:, 20:36] = -0.5, 0.5
    below, above = top_hats(image, 3)
    assert torch.equal(below, torch.where(image < 0, 0.5, 0.0)) and not above.any()


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks.from_pretrained()


@pytest.mark.slow
@pytest.mark.usefixtures("as_shipped")
@pytest.mark.parametrize("name", LINES)
def test_hand_marked_posts_masts_cables_and_branches_stand_still(networks: Networks, name: str) -> None:
    """Where the mask is 0 every frame has the photo's own bytes: nothing is displaced there."""
    photo = to_tensor(load_photo(next(MARKED.glob(f"{name}.*"))))
    seen = see(photo, networks.eye)
    moves = erode(segment(photo, seen), photo, occluder=seen.occluder).moves.numpy() > 0
    share = np.concatenate([moves[points_along(line, moves.shape)] for line in LINES[name]["lines"]]).mean()
    assert share < MISSED.get(name, 0.05)


def points_along(line: list[list[float]], size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a polyline in fractions of width and height, a pixel apart."""
    corners = np.array(line) * (size[1], size[0])
    parts = [np.linspace(a, b, max(2, int(np.hypot(*(b - a))))) for a, b in pairwise(corners)]
    columns, rows = np.concatenate(parts).T.astype(int)
    return rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1)
