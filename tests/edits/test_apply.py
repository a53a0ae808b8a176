"""What edits do to layers and motion."""

from dataclasses import replace

import numpy as np
import pytest

from stylecine import MotionError, OptionError, SceneError
from stylecine.edits.apply import active_arrows, edited_flow
from stylecine.edits.model import Speed
from stylecine.edits.scene_file import Cine

SKY, WATER, FALLS, SMOKE = range(4)


def disc(size: tuple[int, ...], x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(size)
    return np.hypot(rows + 0.5 - y * size[0], columns + 0.5 - x * size[1]) < radius


def test_an_edit_gives_a_new_scene_and_keeps_the_predictions(scene: Cine) -> None:
    edited = scene.paint(None, [[0.5, 0.8]], "freeze").anchor((0.2, 0.2))
    assert scene.edits == () and len(edited.edits) == 2
    assert edited.layers is scene.layers and (edited.layers[WATER, 40:] == 1).all()


def test_undo_removes_the_last_edit_and_reports_when_there_is_none(scene: Cine) -> None:
    edited = scene.anchor((0.2, 0.2)).speed("sky", 2)
    assert edited.undo().edits == edited.edits[:1]
    with pytest.raises(SceneError, match="nothing to undo"):
        edited.undo().undo().undo()


def test_added_water_is_water_and_nothing_else(scene: Cine, water: np.ndarray) -> None:
    layers, _ = scene.paint("water", ~water).edited
    assert (layers[WATER] == 1).all() and not layers[[SKY, FALLS, SMOKE]].any()


def test_painted_cloth_is_in_front_of_the_landscape_and_not_a_layer(scene: Cine, water: np.ndarray) -> None:
    flag = scene.paint("cloth", water)
    assert (flag.cloth == water).all()
    assert (flag.edited[0] == scene.layers * ~water).all() and not scene.cloth.any()
    assert not flag.paint("water", water).cloth.any(), "what is painted later counts"
    for mode, what in (("erase", "cloth"), ("erase", None), ("freeze", None)):
        assert not flag.paint(what, water, mode).cloth.any()
    assert (flag.paint("sky", water, "erase").cloth == water).all()
    assert not scene.paint(None, water, "freeze").paint("cloth", water).edited[1].any(), "and is no longer frozen"


def test_what_was_painted_is_known_whatever_it_was_painted_as(scene: Cine, water: np.ndarray) -> None:
    assert not scene.speed("sky", 2).painted.any()
    for what, mode in (("smoke", "add"), ("water", "erase"), (None, "freeze"), ("cloth", "add")):
        assert (scene.paint(what, water, mode).paint("sky", ~water, "erase").undo().painted == water).all()


def test_cloth_has_no_speed_of_its_own(scene: Cine) -> None:
    with pytest.raises(OptionError, match="neither a class"):
        scene.speed("cloth", 2)


def test_a_static_place_moves_once_it_is_painted(scene: Cine) -> None:
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


def test_nearly_transparent_layers_are_cleared(scene: Cine) -> None:
    layers, _ = scene.paint(None, np.full((72, 96), 0.99), "erase").edited
    assert not layers.any()


def test_freezing_stops_every_class_until_one_is_added_there(scene: Cine, water: np.ndarray) -> None:
    frozen = scene.paint(None, water, "freeze")
    assert not frozen.edited[0][:, water].any() and (frozen.edited[1] == water).all()
    again = frozen.paint("falls", water)
    assert (again.edited[0][FALLS] == water).all() and not again.edited[1].any()
    assert not frozen.paint("water", ~water, "erase").edited[0][:, water].any()


def test_motion_is_zero_at_an_anchor_and_grows_around_it(scene: Cine) -> None:
    flow = edited_flow(scene.motion, scene.layers, scene.anchor((0.5, 0.5), radius=0.25).edits)
    speeds = flow[0, 36, 48:70]
    assert speeds[0] < 0.01 and (np.diff(speeds[:18]) > 0).all() and (speeds[18:] == 1).all()
    assert (flow[1] == 0).all()


def test_only_the_given_class_moves_faster(scene: Cine) -> None:
    flow = edited_flow(scene.motion, scene.layers, scene.speed("water", 3).edits)
    assert (flow[0, :40] == 1).all() and (flow[0, 46:] == 3).all()
    assert (np.diff(flow[0, 40:46, 10]) >= 0).all()
    assert (edited_flow(scene.motion, scene.layers, scene.speed("falls", 3).edits) == scene.motion).all()


def test_classes_that_are_equally_fast_have_no_seam_between_them(scene: Cine) -> None:
    both = scene.speed("water", 2).speed("sky", 4).speed("sky", 0.5).edits
    assert (edited_flow(scene.motion, scene.layers, both)[0] == 2).all()
    faster = edited_flow(scene.motion, scene.layers, scene.speed("water", 2).speed("sky", 3).edits)[0]
    assert (faster[40:] == 2).all() and faster[:34].min() == 3 and (np.diff(faster[34:40, 10]) <= 0).all()


def test_speeds_multiply_to_ten_times_at_most_in_any_order(scene: Cine, water: np.ndarray) -> None:
    """Of a thousand of them too, which would be more than a number holds."""
    beside = scene.speed(water, 10).edits * 40
    many = [Speed("water", 10.0), Speed("water", 0.5)] * 500 + list(beside)
    flow = edited_flow(scene.motion, scene.layers, many)
    assert flow[0, 60:] == pytest.approx(10) and flow.max() <= 10 and flow.min() >= 0
    held = scene.speed("water", 10).speed("water", 10).speed(np.ones((72, 96), bool), 0.02).speed("water", 0.1).edits
    for edits in (held, held[::-1]):
        assert edited_flow(scene.motion, scene.layers, edits)[0, 60:] == pytest.approx(0.2)
    assert not edited_flow(scene.motion, scene.layers, [*many, Speed("water", 0.0)])[0, 60:].any()


def test_a_class_can_be_reversed_and_meets_others_at_rest(scene: Cine, water: np.ndarray) -> None:
    flow = edited_flow(scene.motion, scene.layers, scene.speed("sky", -2).edits)[0]
    assert (flow[:34] == -2).all() and (flow[40:] == 1).all() and (np.diff(flow[:40, 10]) >= 0).all()
    assert -0.5 < flow[39, 10] <= 0, "little shear at the border"
    both = edited_flow(scene.motion, scene.layers, scene.speed("sky", -1).speed("water", -1).edits)
    assert (both == -scene.motion).all()
    place = edited_flow(scene.motion, scene.layers, scene.speed(water, -10).speed(water, 10).edits)[0]
    assert place.min() == pytest.approx(-10) and place.max() <= 1


def test_static_pixels_next_to_a_class_have_its_speed(scene: Cine) -> None:
    """The flow is interpolated across borders of what moves."""
    scene = replace(scene, layers=scene.layers * (np.arange(72) >= 40)[:, None])
    assert (edited_flow(scene.motion, scene.layers, scene.speed("water", 3).edits)[0] == 3).all()


def test_a_region_moves_slower_with_a_soft_border(scene: Cine, water: np.ndarray) -> None:
    flow = edited_flow(scene.motion, scene.layers, scene.speed(water, 0).edits)[0]
    assert flow[60:].max() < 0.01 and flow[:20].min() > 0.99
    assert np.abs(np.diff(flow[:, 10])).max() < 0.5
    stroke = edited_flow(scene.motion, scene.layers, scene.speed([[0.5, 0.5]], 0, radius=0.3).edits)[0]
    assert stroke[36, 48] < 0.1 and stroke[36, 80] > 0.99


def test_a_style_changes_neither_what_moves_nor_how(scene: Cine) -> None:
    styled = scene.style("dusk").style(scene.photo, 0.5, drift=True)
    assert len(styled.edits) == 2 and len(styled.undo().edits) == 1
    assert styled.edited[0] is styled.layers and not styled.edited[1].any() and not styled.cloth.any()
    assert (edited_flow(scene.motion, scene.layers, styled.edits) == scene.motion).all()


def test_an_arrow_needs_something_that_moves(scene: Cine, water: np.ndarray) -> None:
    still = scene.paint(None, water, "freeze")
    with pytest.raises(MotionError, match="starts where nothing moves"):
        still.push((0.5, 0.9, 0.6, 0.9))
    pushed = scene.push((0.5, 0.9, 0.6, 0.9)).push((0.5, 0.2, 0.6, 0.2))
    assert active_arrows(pushed.edits, pushed.edited[0]) == ((0.5, 0.9, 0.6, 0.9), (0.5, 0.2, 0.6, 0.2))
    frozen = pushed.paint(None, water, "freeze")
    assert active_arrows(frozen.edits, frozen.edited[0]) == ((0.5, 0.2, 0.6, 0.2),)
