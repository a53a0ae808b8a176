"""What edits do to layers and motion; what cannot be an edit; edits as text."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine import MaskError, MotionError, OptionError, SceneError
from stylecine.edits.apply import (
    MOST_EDITS,
    Anchor,
    Area,
    Paint,
    Push,
    Speed,
    from_json,
    live_arrows,
    push,
    steered,
    to_json,
    told,
)
from stylecine.edits.scene_file import Cine
from stylecine.ops.arrows import start_cells

SKY, WATER, FALLS, SMOKE = range(4)
MASK = "a mask"  # stands for one, in lists of parameters


@pytest.fixture
def scene(photo: np.ndarray, water: np.ndarray) -> Cine:
    """Sky above the shore, water below it."""
    layers = np.zeros((4, *water.shape), np.float32)
    layers[SKY, ~water] = layers[WATER, water] = 1
    flow = np.zeros((2, *water.shape), np.float32)
    flow[0] = 1
    no = np.zeros(0, np.float32)
    return Cine(photo, photo, layers, flow, no, no, {}, None, {})


def disc(size: tuple[int, ...], x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(size)
    return np.hypot(rows + 0.5 - y * size[0], columns + 0.5 - x * size[1]) < radius


def test_an_edit_gives_a_new_scene_and_changes_nothing_found(scene: Cine) -> None:
    edited = scene.paint(None, [[0.5, 0.8]], "freeze").anchor((0.2, 0.2))
    assert scene.edits == () and len(edited.edits) == 2
    assert edited.layers is scene.layers and (edited.layers[WATER, 40:] == 1).all()


def test_undo_takes_the_last_edit_back_and_says_when_there_is_none(scene: Cine) -> None:
    edited = scene.anchor((0.2, 0.2)).speed("sky", 2)
    assert edited.undo().edits == edited.edits[:1]
    with pytest.raises(SceneError, match="nothing to undo"):
        edited.undo().undo().undo()


def test_added_water_is_water_and_nothing_else(scene: Cine, water: np.ndarray) -> None:
    layers, _ = scene.paint("water", ~water).edited
    assert (layers[WATER] == 1).all() and not layers[[SKY, FALLS, SMOKE]].any()


def test_painted_cloth_is_before_the_landscape_and_no_layer_of_it(scene: Cine, water: np.ndarray) -> None:
    flag = scene.paint("cloth", water)
    assert (flag.cloth == water).all()
    assert (flag.edited[0] == scene.layers * ~water).all() and not scene.cloth.any()
    assert not flag.paint("water", water).cloth.any(), "what is painted later counts"
    for mode, what in (("erase", "cloth"), ("erase", None), ("freeze", None)):
        assert not flag.paint(what, water, mode).cloth.any()
    assert (flag.paint("sky", water, "erase").cloth == water).all()
    assert not scene.paint(None, water, "freeze").paint("cloth", water).edited[1].any(), "and is no longer frozen"


def test_cloth_has_no_speed_of_its_own(scene: Cine) -> None:
    with pytest.raises(OptionError, match="neither a class"):
        scene.speed("cloth", 2)


def test_a_place_that_stood_still_moves_once_it_is_painted(scene: Cine) -> None:
    still = replace(scene, layers=np.zeros_like(scene.layers))
    layers, _ = still.paint("smoke", [[0.5, 0.25]], radius=0.1).edited
    inner, outer = disc(layers.shape[1:], 0.5, 0.25, 5), ~disc(layers.shape[1:], 0.5, 0.25, 11)
    assert (layers[SMOKE][inner] > 0.9).all() and not layers[:, outer].any()


def test_erasing_one_class_leaves_the_others(scene: Cine) -> None:
    everywhere = np.ones((72, 96), bool)
    layers, frozen = scene.paint("water", everywhere, "erase").edited
    assert not layers[WATER].any() and (layers[SKY] == scene.layers[SKY]).all() and not frozen.any()
    for name in (None, "all"):
        assert not scene.paint(name, everywhere, "erase").edited[0].any()


def test_what_is_hardly_left_is_none(scene: Cine) -> None:
    layers, _ = scene.paint(None, np.full((72, 96), 0.99), "erase").edited
    assert not layers.any()


def test_freezing_stops_all_and_is_remembered_until_something_is_added_there(scene: Cine, water: np.ndarray) -> None:
    frozen = scene.paint(None, water, "freeze")
    assert not frozen.edited[0][:, water].any() and (frozen.edited[1] == water).all()
    again = frozen.paint("falls", water)
    assert (again.edited[0][FALLS] == water).all() and not again.edited[1].any()
    assert not frozen.paint("water", ~water, "erase").edited[0][:, water].any()


def test_a_mask_counts_as_it_is(scene: Cine, tmp_path: Path) -> None:
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


def test_matter_rests_at_an_anchor_and_gets_going_around_it(scene: Cine) -> None:
    flow = steered(scene.motion, scene.layers, scene.anchor((0.5, 0.5), radius=0.25).edits)
    speeds = flow[0, 36, 48:70]
    assert speeds[0] < 0.01 and (np.diff(speeds[:18]) > 0).all() and (speeds[18:] == 1).all()
    assert (flow[1] == 0).all()


def test_a_class_goes_faster_and_only_it(scene: Cine) -> None:
    flow = steered(scene.motion, scene.layers, scene.speed("water", 3).edits)
    assert (flow[0, :40] == 1).all() and (flow[0, 46:] == 3).all()
    assert (np.diff(flow[0, 40:46, 10]) >= 0).all()
    assert (steered(scene.motion, scene.layers, scene.speed("falls", 3).edits) == scene.motion).all()


def test_classes_that_are_equally_fast_have_no_seam_between_them(scene: Cine) -> None:
    both = scene.speed("water", 2).speed("sky", 4).speed("sky", 0.5).edits
    assert (steered(scene.motion, scene.layers, both)[0] == 2).all()
    faster = steered(scene.motion, scene.layers, scene.speed("water", 2).speed("sky", 3).edits)[0]
    assert (faster[40:] == 2).all() and faster[:34].min() == 3 and (np.diff(faster[34:40, 10]) <= 0).all()


def test_speeds_multiply_to_ten_times_at_most_in_any_order(scene: Cine, water: np.ndarray) -> None:
    """Of a thousand of them too, which would be more than a number holds."""
    beside = scene.speed(water, 10).edits * 40
    many = [Speed("water", 10.0), Speed("water", 0.5)] * 500 + list(beside)
    flow = steered(scene.motion, scene.layers, many)
    assert flow[0, 60:] == pytest.approx(10) and flow.max() <= 10 and flow.min() >= 0
    held = scene.speed("water", 10).speed("water", 10).speed(np.ones((72, 96), bool), 0.02).speed("water", 0.1).edits
    for edits in (held, held[::-1]):
        assert steered(scene.motion, scene.layers, edits)[0, 60:] == pytest.approx(0.2)
    assert not steered(scene.motion, scene.layers, [*many, Speed("water", 0.0)])[0, 60:].any()


def test_what_stands_still_beside_a_class_goes_along(scene: Cine) -> None:
    """The flow is interpolated across borders of what moves."""
    scene = replace(scene, layers=scene.layers * (np.arange(72) >= 40)[:, None])
    assert (steered(scene.motion, scene.layers, scene.speed("water", 3).edits)[0] == 3).all()


def test_a_region_goes_slower_with_a_soft_border(scene: Cine, water: np.ndarray) -> None:
    flow = steered(scene.motion, scene.layers, scene.speed(water, 0).edits)[0]
    assert flow[60:].max() < 0.01 and flow[:20].min() > 0.99
    assert np.abs(np.diff(flow[:, 10])).max() < 0.5
    stroke = steered(scene.motion, scene.layers, scene.speed([[0.5, 0.5]], 0, radius=0.3).edits)[0]
    assert stroke[36, 48] < 0.1 and stroke[36, 80] > 0.99


def test_an_arrow_needs_something_that_moves(scene: Cine, water: np.ndarray) -> None:
    still = scene.paint(None, water, "freeze")
    with pytest.raises(MotionError, match="starts where nothing moves"):
        still.push((0.5, 0.9, 0.6, 0.9))
    pushed = scene.push((0.5, 0.9, 0.6, 0.9)).push((0.5, 0.2, 0.6, 0.2))
    assert live_arrows(pushed.edits, pushed.edited[0]) == ((0.5, 0.9, 0.6, 0.9), (0.5, 0.2, 0.6, 0.2))
    frozen = pushed.paint(None, water, "freeze")
    assert live_arrows(frozen.edits, frozen.edited[0]) == ((0.5, 0.2, 0.6, 0.2),)


def test_an_arrow_may_start_as_far_from_the_water_as_one_given_to_animate() -> None:
    """Both take an arrow up to 5% of the short side beside what moves."""
    layers = np.zeros((4, 256, 320), np.float32)
    layers[WATER, :, :160] = 1
    near, far = ((column / 320, 0.5, 0.9, 0.5) for column in (171.5, 172.5))  # 12 and 13 pixels beside it
    assert push(layers, near) == Push(near)
    assert start_cells(layers, [near, far]) == [(128, 159), None]
    with pytest.raises(MotionError, match="starts where nothing moves"):
        push(layers, far)


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
def test_what_cannot_be_is_refused(scene: Cine, method: str, given: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        getattr(scene, method)(*given)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_edits_are_bounded(scene: Cine) -> None:
    full = replace(scene, edits=scene.speed("sky", 1).edits * MOST_EDITS)
    with pytest.raises(SceneError, match="at most 1000"):
        full.speed("sky", 1)
    with pytest.raises(OptionError, match="from 1 to 10000 points"):
        scene.paint("water", np.full((10_001, 2), 0.5))


def every_edit(scene: Cine) -> Cine:
    scene = scene.paint("falls", [[0.4, 0.7], [0.5, 0.7]]).paint("sky", (0.1, 0.1), "erase").push((0.5, 0.9, 0.6, 0.9))
    scene = scene.paint(None, np.eye(72, 96), "freeze").anchor((0.3, 0.9), 0.2)
    return scene.speed("sky", 2.5).speed((0.2, 0.9), 0.5)


def test_edits_are_json_and_come_back(scene: Cine) -> None:
    for edit in every_edit(scene).edits:
        area = edit.area if isinstance(edit, Paint | Speed) else None
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


def test_an_edit_is_told_as_the_option_that_makes_it(scene: Cine) -> None:
    assert [told(edit) for edit in every_edit(scene).edits] == [
        "--add falls:'0.4,0.7 0.5,0.7@0.03'",
        "--erase sky:'0.1,0.1@0.03'",
        "--arrow 0.5,0.9,0.6,0.9",
        "--freeze (a mask of 72x72 pixels)",
        "--anchor 0.3,0.9@0.2",
        "--speed sky=2.5",
        "--speed '0.2,0.9@0.03'=0.5",
    ]
    assert told(Anchor((0.25, 0.5), 0.1)) == "--anchor 0.25,0.5@0.1"
    assert told(Speed(None, 2, Area((), 0, 3, 4, np.ones((5, 6), np.uint8)))) == "--speed (a mask of 6x5 pixels)=2"
