"""Which edits are possible, and edits as text and JSON."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine import MaskError, MotionError, OptionError, SceneError
from stylecine.edits.model import MAX_EDITS, Anchor, Area, Paint, Push, Speed, area_of, from_json, to_json, to_option
from stylecine.edits.scene_file import Cine
from stylecine.ops.arrows import start_cells

WATER = 1


def test_a_mask_is_used_unchanged(scene: Cine, tmp_path: Path) -> None:
    half = np.zeros((72, 96), np.uint8)
    half[20:30, 40:50] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    for mask in (half, tmp_path / "mask.png", str(tmp_path / "mask.png"), half > 0):
        paint = scene.paint(None, mask, "freeze").edits[0]
        assert isinstance(paint, Paint) and paint.area.values.shape == (10, 10)
        assert (paint.area.over((72, 96)) == half / 255).all()


def test_an_array_of_bool_or_bytes_is_a_mask_of_any_shape(scene: Cine) -> None:
    narrow = np.zeros((36, 2))
    narrow[18:, 1] = 1
    for mask in (narrow.astype(bool), np.uint8(255 * narrow), torch.from_numpy(narrow).bool()):
        paint = scene.paint("water", mask).edits[0]
        assert isinstance(paint, Paint) and not paint.area.stroke
        assert (paint.area.over((72, 96))[40:, 76:] == 1).all() and not paint.area.over((72, 96))[:, :20].any()


@pytest.mark.parametrize(
    "stroke",
    [
        [[0.4, 0.7], [0.6, 0.7]],
        np.array([[0.4, 0.7]]),
        (0.4, 0.7),
        torch.tensor([[0.4, 0.7]], dtype=torch.float64),
        ((x / 10, 0.7) for x in (4, 5)),
    ],
    ids=["list", "array", "one point", "tensor", "generator"],
)
def test_a_stroke_is_points_or_one_point(scene: Cine, stroke: Any) -> None:
    paint = scene.paint("falls", stroke).edits[0]
    assert isinstance(paint, Paint) and paint.area.stroke[0] == (0.4, 0.7)


def test_an_arrow_may_start_as_far_from_the_water_as_in_animate() -> None:
    """Both take an arrow up to 5% of the short side beside what moves."""
    layers = np.zeros((4, 256, 320), np.float32)
    layers[WATER, :, :160] = 1
    near, far = ((column / 320, 0.5, 0.9, 0.5) for column in (171.5, 172.5))  # 12 and 13 pixels beside it
    assert Push.create(layers, near) == Push(near)
    assert start_cells(layers, [near, far]) == [(128, 159), None]
    with pytest.raises(MotionError, match="starts where nothing moves"):
        Push.create(layers, far)


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [
        ("paint", ("lava", [[0.5, 0.5]]), OptionError),
        ("paint", (None, [[0.5, 0.5]]), OptionError),
        ("paint", ("all", [[0.5, 0.5]]), OptionError),
        ("paint", ("water", [[0.5, 0.5]], "melt"), OptionError),
        ("paint", ("water", [[0.5, 0.5]], "freeze"), OptionError),
        ("paint", ("water", [[0.5, 0.5]], "add", 0), OptionError),
        ("paint", ("water", [[0.5, 0.5]], "add", float("nan")), OptionError),
        ("paint", ("water", [[0.5, float("nan")]]), OptionError),
        ("paint", ("water", [[50, 60]]), OptionError),
        ("paint", ("water", [[1.5, 1.5]]), MaskError),
        ("paint", ("water", []), OptionError),
        ("paint", ("water", np.zeros((0, 2))), OptionError),
        ("paint", ("water", [[0.1, 0.2, 0.3]]), OptionError),
        ("paint", ("water", [[0.1, 0.2], [0.3]]), OptionError),
        ("paint", ("water", [[1, 0, 1], [0, 1, 0]]), OptionError),
        ("paint", ("water", None), OptionError),
        ("paint", ("water", ([0.1] * n for n in (2, 3))), OptionError),
        ("paint", ("water", "no such file"), MaskError),
        ("paint", ("water", np.zeros((72, 96))), MaskError),
        ("paint", ("water", np.zeros((3, 4, 5, 6))), MaskError),
        ("push", ((0.1, 0.2, 0.3),), MotionError),
        ("push", ((0.1, 1.2, 0.3, 0.4),), MotionError),
        ("anchor", ((1.2, 0.5),), OptionError),
        ("anchor", ("here",), OptionError),
        ("anchor", ((0.2, 0.5), -1), OptionError),
        ("anchor", ([[0.1, 0.2, 0.3]],), OptionError),
        ("anchor", (None,), OptionError),
        ("speed", ("lava", 2), OptionError),
        ("speed", ("missing.png", 2), OptionError),
        ("speed", (None, 2), OptionError),
        ("speed", ("water", -1), OptionError),
        ("speed", ("water", 11), OptionError),
        ("speed", ("water", "fast"), OptionError),
    ],
)
def test_impossible_edits_are_refused(scene: Cine, method: str, given: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        getattr(scene, method)(*given)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_edits_are_bounded(scene: Cine) -> None:
    full = replace(scene, edits=scene.speed("sky", 1).edits * MAX_EDITS)
    with pytest.raises(SceneError, match="at most 1000"):
        full.speed("sky", 1)
    with pytest.raises(OptionError, match="from 1 to 10000 points"):
        scene.paint("water", np.full((10_001, 2), 0.5))


def every_edit(scene: Cine) -> Cine:
    scene = scene.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint("sky", (0.1, 0.1), "erase").push((0.5, 0.9, 0.6, 0.9))
    scene = scene.paint(None, np.eye(72, 96), "freeze").anchor((0.3, 0.9), 0.2)
    return scene.speed("sky", 2.5).speed((0.2, 0.9), 0.5)


def test_edits_survive_a_round_trip_through_json(scene: Cine) -> None:
    for edit in every_edit(scene).edits:
        area = area_of(edit)
        again = from_json(json.loads(json.dumps(to_json(edit))), area and area.values, (72, 96))
        assert to_json(again) == to_json(edit) and type(again) is type(edit)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [],
        {},
        {"edit": "dance"},
        {"edit": "push", "arrow": [0.1, 0.2, 0.3]},
        {"edit": "push", "arrow": [0.1, 0.2, 0.3, "0.4"]},
        {"edit": "push", "arrow": [0.1, 0.2, 0.3, 0.4], "more": 1},
        {"edit": "anchor", "point": [0.1, 0.2], "radius": None},
        {"edit": "anchor", "point": [0.1, 7.0], "radius": 0.1},
        {"edit": "speed", "what": "lava", "factor": 1, "area": None},
        {"edit": "speed", "what": "sky", "factor": True, "area": None},
        {"edit": "speed", "what": "sky", "factor": 1e9, "area": None},
        {"edit": "speed", "what": None, "factor": 1, "area": None},
        {"edit": "paint", "what": "sky", "mode": "freeze", "area": {"stroke": [], "radius": 0, "top": 0, "left": 0}},
        {"edit": "paint", "what": None, "mode": "add", "area": {"stroke": [], "radius": 0, "top": 0, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"stroke": [], "radius": 0, "top": 70, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"stroke": [], "radius": 0, "top": -1, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"stroke": [], "radius": 0, "top": 0.0, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"stroke": [[1]], "radius": 0, "top": 0, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"stroke": 5, "radius": 0, "top": 0, "left": 0}},
        {"edit": "paint", "what": "sky", "mode": "add", "area": {"top": 0, "left": 0}},
    ],
    ids=str,
)
def test_json_that_no_edit_writes_is_refused(facts: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, OptionError, MotionError)):
        from_json(facts, np.ones((4, 4), np.uint8), (72, 96))


def test_an_edit_as_the_option_that_makes_it(scene: Cine) -> None:
    assert [to_option(edit) for edit in every_edit(scene).edits] == [
        "--add falls:'0.4,0.7 0.5,0.7@0.03'",
        "--erase sky:'0.1,0.1@0.03'",
        "--arrow 0.5,0.9,0.6,0.9",
        "--freeze (a mask of 72x72 pixels)",
        "--anchor 0.3,0.9@0.2",
        "--speed sky=2.5",
        "--speed '0.2,0.9@0.03'=0.5",
    ]
    assert to_option(Anchor((0.25, 0.5), 0.1)) == "--anchor 0.25,0.5@0.1"
    assert to_option(Speed(None, 2, Area((), 0, 3, 4, np.ones((5, 6), np.uint8)))) == "--speed (a mask of 6x5 pixels)=2"
