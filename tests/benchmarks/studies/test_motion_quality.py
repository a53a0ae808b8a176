"""Figures of the predicted motion: angles by group, effect of one arrow, folds, shores."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.photos import Photo, find_photos
from benchmarks.studies.motion_quality import (
    Arrow,
    axis_error,
    best_constant,
    constant_angles,
    groups_of,
    has_running_water,
    labelled_layers,
    markdown,
    measure,
    shape_of,
    shores,
    unfolded,
    with_interval,
    wrong_way,
)


def rightward(photo: Tensor, layers: Tensor | None, arrows: object = ()) -> Tensor:
    """A motion predictor with one constant direction."""
    return torch.stack([torch.full((60, 90), 0.2), torch.zeros(60, 90)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One photo, w-river, 120 x 180: water below row 40, two arrows at 0 and 45 degrees in it, one in the sky."""
    for name in ("images", "labels", "hints"):
        (tmp_path / name).mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (120, 180, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images/w-river.jpg")
    Image.fromarray(np.repeat(np.where(np.arange(120) < 40, 1, 2)[:, None], 180, 1).astype(np.uint8)).save(
        tmp_path / "labels/w-river.png"
    )
    arrows = [
        {"class": "water", "at": [0.5, 0.6], "to": [0.6, 0.6]},
        {"class": "water", "at": [0.5, 0.8], "to": [0.54, 0.86]},
        {"class": "sky", "at": [0.5, 0.1], "to": [0.4, 0.1]},
    ]
    (tmp_path / "hints/w-river.json").write_text(json.dumps({"arrows": arrows}))
    return tmp_path


def test_angles_are_measured_in_pixels_not_in_fractions() -> None:
    assert Arrow("water", (0.5, 0.5), (0.54, 0.56)).angle(120, 180) == pytest.approx(math.pi / 4)


@pytest.mark.parametrize(
    ("name", "kind", "end", "running"),
    [
        ("lake", "water", (0.6, 0.52), False),
        ("coast", "water", (0.54, 0.56), True),
        ("w-river", "water", (0.6, 0.5), True),
        ("pool", "falls", (0.5, 0.6), True),
    ],
)
def test_water_runs_beside_falls_by_name_or_by_its_slope(
    folder: Path, name: str, kind: str, end: tuple[float, float], running: bool
) -> None:
    photo = Photo(name, folder / "images/w-river.jpg", None)
    assert has_running_water(photo, [Arrow(kind, (0.5, 0.5), end)]) is running


def test_calm_water_is_measured_by_axis_too() -> None:
    assert groups_of("water", running=False) == ("water", "calm water", "calm water by axis")
    assert groups_of("water", running=True) == ("water", "running water")
    assert groups_of("sky", running=True) == ("sky by axis",)


def test_figures_of_a_constant_predictor(folder: Path) -> None:
    photos = find_photos(folder)
    report = measure(photos, rightward, constant_angles(photos))
    groups = {row["group"]: row for row in report["groups"]}
    assert groups["running water"]["n"] == 2
    assert groups["running water"]["median"] == pytest.approx(22.5, abs=0.1)
    assert groups["running water"]["constant"] <= 22.5
    assert groups["sky by axis"]["median"] == pytest.approx(0, abs=0.1)
    assert groups["falls"] == {"group": "falls", "n": 0}
    shape = {row["figure"]: row for row in report["shape"]}
    assert shape["at_one"]["n"] == 3 and shape["at_one"]["mean"] == pytest.approx(75, abs=0.1)
    assert shape["others_of_one"]["n"] == 2 and shape["others_of_one"]["mean"] == pytest.approx(22.5, abs=0.1)
    directed = {row["figure"]: row for row in report["directed"]}
    assert directed["error"]["value"] == directed["axis error"]["value"] == pytest.approx(22.5, abs=0.1)
    assert directed["wrong way"]["value"] == directed["wrong way"]["high"] == 0
    assert "| running water | 2 |" in markdown(report)
    assert "| running water | labelled | wrong way | 1 |" in markdown(report)


def test_the_axis_is_told_apart_from_the_sense() -> None:
    errors = np.array([10.0, 170.0, 30.0])
    assert axis_error(errors) == 10 and wrong_way(errors) == pytest.approx(1 / 3)


def test_photos_that_agree_have_a_narrow_interval() -> None:
    alike, unlike = [[10.0, 30.0]] * 20, [[10.0]] * 10 + [[30.0]] * 10
    assert with_interval(alike, np.mean) == {"value": 20.0, "low": 20.0, "high": 20.0}
    wide = with_interval(unlike, np.mean)
    assert 13 < wide["low"] < 18 < wide["value"] < 22 < wide["high"] < 27


def test_directions_by_axis_have_no_sign() -> None:
    assert best_constant("sky by axis", [10.0, -170.0, 10.0]) % 180 == 10
    assert best_constant("falls", [90.0, 90.0, 100.0]) == 90


def test_a_converging_field_folds() -> None:
    x = torch.arange(60)[None].expand(60, 60)
    torn = torch.stack([torch.where(x < 30, 1.0, -1.0), torch.zeros(60, 60)]) * 0.2
    calm = torch.stack([torch.full((60, 60), 0.1), torch.zeros(60, 60)])
    moving = torch.ones(60, 60)
    assert unfolded(calm, moving) == {"unfolded_half": 1.0, "unfolded_whole": 1.0}
    assert unfolded(torn * 20, moving)["unfolded_whole"] < 0.995


def test_flow_into_a_shore_is_measured() -> None:
    moves = np.arange(60)[:, None].repeat(60, 1) > 20
    along, into = np.zeros((2, 60, 60)), np.zeros((2, 60, 60))
    along[0], into[1] = 1, 1
    assert shores(along, moves, moves)["shore_angle"] == pytest.approx(0, abs=1)
    assert shores(into, moves, moves)["shore_angle"] == pytest.approx(90, abs=1)
    assert shores(into, np.ones_like(moves), np.ones_like(moves)) == {}


def test_a_photo_in_which_nothing_moves_has_no_shape(folder: Path) -> None:
    layers = torch.zeros(4, 120, 180)
    assert shape_of(torch.zeros(3, 120, 180), layers, torch.zeros(2, 120, 180)) == {}
    assert labelled_layers(folder / "labels/w-river.png", (120, 180)).sum(0).min() == 1
