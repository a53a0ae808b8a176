"""Which edits are possible, and edits as text and JSON."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine import MaskError, MotionError, OptionError, PhotoError, SceneError
from stylecine.edits.model import (
    MAX_EDITS,
    MAX_STYLE_SIDE,
    STYLE_SIDE,
    Anchor,
    Area,
    Paint,
    Push,
    Speed,
    Style,
    from_json,
    to_json,
    to_option,
    values_of,
)
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


def test_edits_are_printed_without_their_pixels(scene: Cine) -> None:
    mask, photo = np.ones((72, 96), bool), np.full((90, 90, 3), 90, np.uint8)
    edited = scene.paint(None, mask, "freeze").paint("water", [[0.1 + n / 200, 0.8] for n in range(100)]).style(photo)
    frozen, painted, styled = map(repr, edited.edits)
    assert frozen == "Paint(what=None, mode='freeze', area=<Area: mask, 96x72 pixels at 0,0>)"
    assert "<Area: stroke of 100 points, radius 0.03, " in painted and len(painted) < 130
    assert styled == "Style(name='a photo', strength=1.0, drift=False)"


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


def test_an_arrow_may_start_as_far_from_the_water_as_in_animate(scene: Cine) -> None:
    """Both take an arrow up to 5% of the short side beside what moves."""
    layers = np.zeros((4, 256, 320), np.float32)
    layers[WATER, :, :160] = 1
    near, far = ((column / 320, 0.5, 0.9, 0.5) for column in (171.5, 172.5))  # 12 and 13 pixels beside it
    wide = replace(scene, layers=layers)
    assert wide.push(near).edits == (Push(near),)
    assert start_cells(layers, [near, far]) == [(128, 159), None]
    with pytest.raises(MotionError, match="starts where nothing moves"):
        wide.push(far)
    with pytest.raises(MotionError, match="ends where it starts"):
        wide.push((*near[:2], *near[:2]))


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
        ("push", ((0.1, 0.2) * 17,), MotionError),
        ("push", ((0.1, 1.2, 0.3, 0.4),), MotionError),
        ("anchor", ((1.2, 0.5),), OptionError),
        ("anchor", ("here",), OptionError),
        ("anchor", ((0.2, 0.5), -1), OptionError),
        ("anchor", ([[0.1, 0.2, 0.3]],), OptionError),
        ("anchor", (None,), OptionError),
        ("speed", ("lava", 2), OptionError),
        ("speed", ("missing.png", 2), OptionError),
        ("speed", (None, 2), OptionError),
        ("speed", ("water", -11), OptionError),
        ("speed", ("water", 11), OptionError),
        ("speed", ("water", "fast"), OptionError),
        ("style", ("dusc",), OptionError),
        ("style", ("dusk", 1.5), OptionError),
        ("style", ("dusk", float("nan")), OptionError),
        ("style", ("dusk", "half"), OptionError),
        ("style", (Path("missing.jpg"),), PhotoError),
        ("style", (np.zeros((8, 8, 3), np.uint8),), PhotoError),
        ("style", (np.zeros((64, 64 * 40, 3), np.uint8),), PhotoError),
        ("style", (None,), PhotoError),
    ],
)
def test_impossible_edits_are_refused(scene: Cine, method: str, given: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        getattr(scene, method)(*given)
    assert str(caught.value).endswith((".", "?")) and "\n" not in str(caught.value)


def test_a_style_is_a_name_or_a_small_picture_of_a_photo(scene: Cine, tmp_path: Path, photo: np.ndarray) -> None:
    dusk = scene.style("dusk", 0.5, drift=True).edits[0]
    assert isinstance(dusk, Style) and (dusk.name, dusk.strength, dusk.drift, dusk.picture) == ("dusk", 0.5, True, None)
    large = np.tile(photo, (4, 4, 1))
    Image.fromarray(large).save(tmp_path / "dusk.png")
    path = tmp_path / "dusk.png"
    for given, name in ((path, "dusk.png"), (str(path), "dusk.png"), (large, "a photo")):
        style = scene.style(given).edits[0]
        assert isinstance(style, Style) and style.picture is not None
        assert (style.name, style.strength, style.drift) == (name, 1.0, False)
        assert min(style.picture.shape[:2]) == STYLE_SIDE
    with pytest.raises(OptionError, match=r"There is no style 'dusc'; did you mean dusk\?"):
        scene.style("dusc")


def test_edits_are_bounded(scene: Cine) -> None:
    full = replace(scene, edits=scene.speed("sky", 1).edits * MAX_EDITS)
    with pytest.raises(SceneError, match="at most 1000"):
        full.speed("sky", 1)
    with pytest.raises(OptionError, match="from 1 to 10000 points"):
        scene.paint("water", np.full((10_001, 2), 0.5))


def every_edit(scene: Cine) -> Cine:
    scene = scene.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint("sky", (0.1, 0.1), "erase").push((0.5, 0.9, 0.6, 0.9))
    scene = scene.paint(None, np.eye(72, 96), "freeze").anchor((0.3, 0.9), 0.2)
    scene = scene.speed("sky", 2.5).speed((0.2, 0.9), 0.5)
    return scene.style("dusk", 0.8, drift=True).style(scene.photo)


def test_edits_survive_a_round_trip_through_json(scene: Cine) -> None:
    for edit in every_edit(scene).edits:
        values = values_of(edit)
        again = from_json(json.loads(json.dumps(to_json(edit))), values, (72, 96))
        assert to_json(again) == to_json(edit) and type(again) is type(edit)
        assert values is None or np.array_equal(values_of(again), values)  # type: ignore[arg-type]


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
        {"edit": "style", "name": "dusk", "strength": 1, "drift": False, "photo": False},
        {"edit": "style", "name": "", "strength": 1, "drift": False, "photo": True},
        {"edit": "style", "name": "n" * 256, "strength": 1, "drift": False, "photo": True},
        {"edit": "style", "name": "\x1b[31mred", "strength": 1, "drift": False, "photo": True},
        {"edit": "style", "name": ["x"], "strength": 1, "drift": False, "photo": True},
        {"edit": "style", "name": "x", "strength": 2, "drift": False, "photo": True},
        {"edit": "style", "name": "x", "strength": None, "drift": False, "photo": True},
        {"edit": "style", "name": "x", "strength": 1, "drift": 0, "photo": True},
        {"edit": "style", "name": "x", "strength": 1, "drift": False, "photo": True, "path": "/etc/passwd"},
        {"edit": "style", "name": "x", "strength": 1, "drift": False},
    ],
    ids=str,
)
def test_json_that_no_edit_writes_is_refused(facts: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, OptionError, MotionError)):
        from_json(facts, np.ones((4, 6), np.uint8), (72, 96))


@pytest.mark.parametrize(
    "shape",
    [(4, 4), (4, 7), (0, 6), (129, 3 * 129), (1, 3 * (MAX_STYLE_SIDE + 1)), (MAX_STYLE_SIDE + 1, 3)],
    ids=str,
)
def test_a_styles_picture_of_an_impossible_size_is_refused(shape: tuple[int, int]) -> None:
    facts = {"edit": "style", "name": "x", "strength": 1, "drift": False, "photo": True}
    with pytest.raises(ValueError, match="no valid size"):
        from_json(facts, np.ones(shape, np.uint8), (72, 96))
    assert isinstance(from_json(facts, np.ones((MAX_STYLE_SIDE, 3 * STYLE_SIDE), np.uint8), (72, 96)), Style)


def test_a_style_that_is_neither_named_nor_has_a_picture_is_refused() -> None:
    for name, photo in (("beach.jpg", False), ("dusk", True)):
        with pytest.raises(ValueError, match="incomplete"):
            from_json({"edit": "style", "name": name, "strength": 1, "drift": False, "photo": photo}, None, (72, 96))


def test_an_edit_as_the_option_that_makes_it(scene: Cine) -> None:
    assert [to_option(edit) for edit in every_edit(scene).edits] == [
        "--add falls:'0.4,0.7 0.5,0.7@0.03'",
        "--erase sky:'0.1,0.1@0.03'",
        "--arrow 0.5,0.9,0.6,0.9",
        "--freeze (a mask of 72x72 pixels)",
        "--anchor 0.3,0.9@0.2",
        "--speed sky=2.5",
        "--speed '0.2,0.9@0.03'=0.5",
        "--style dusk=0.8,drift",
        "--style 'a photo'=1",
    ]
    assert to_option(Anchor((0.25, 0.5), 0.1)) == "--anchor 0.25,0.5@0.1"
    assert to_option(Speed(None, 2, Area((), 0, 3, 4, np.ones((5, 6), np.uint8)))) == "--speed (a mask of 6x5 pixels)=2"
