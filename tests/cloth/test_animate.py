"""Cloth in the wind, from a mask to frames, with the stand-ins of tests.cloths for the networks."""

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylecine import (
    Animator,
    Cancelled,
    Cinemagraph,
    MaskError,
    NothingMoves,
    OptionError,
    Scene,
    WeightsNotFound,
    animate,
)
from stylecine.cloth.animate import (
    _limit_overhang,
    animate_cloth,
    invert_displacement,
    predict_cycles,
    preview_cloth,
    relative_displacement,
)
from stylecine.cloth.rest_shape import PREVIEW_GRID
from stylecine.engine.wind_dial import WindDial
from stylecine.options import Wind
from stylecine.output.video import read_video
from stylecine.picture.overlay import Overlay
from tests.cloths import CLOUD, FLAG, POLE, STAND_INS, flag_mask, flag_photo, rest_shape_of, with_stand_ins

Options = dict[str, Any]
SHORT: Options = {"seconds": 2.0, "fps": 8}  # one gust in 16 frames
CLOTH: Options = {"subject": "cloth", "wind": (0, 0.8), **SHORT}


@pytest.fixture(scope="module")
def animator(small_model: Path) -> Animator:
    return with_stand_ins(Animator.from_pretrained(small_model, "cpu"))


@pytest.fixture(scope="module")
def flag(animator: Animator) -> Scene:
    return animator.invert(flag_photo())


@pytest.fixture(scope="module")
def loop(animator: Animator, flag: Scene) -> Cinemagraph:
    return animator.render(flag, mask=flag_mask(), **CLOTH)


@pytest.fixture(scope="module")
def beach(flag: Scene) -> Scene:
    """The flag in front of a sky that drifts to the right."""
    layers = torch.zeros_like(flag.layers)
    layers[0] = torch.from_numpy(~flag_mask())
    layers[0][POLE] = 0
    motion = torch.zeros(2, 48, 64)
    motion[0] = 0.25
    return replace(flag, layers=layers, mask=layers.sum(0), motion=motion)


def frames(loop: Cinemagraph) -> np.ndarray:
    return np.stack(list(loop)).astype(int)


def mean_drift(loop: Cinemagraph) -> float:
    """Mean displacement of the cloth to the right over the loop, in pixels (fields are backward, hence the minus)."""
    (cloth,) = loop.overlays
    rows, columns = (slice(part.start // cloth.cell, part.stop // cloth.cell) for part in FLAG)
    return -float(cloth.keyframes[:, 0, rows, columns].mean())


# --- the loop


def test_the_first_frame_is_the_photo_exactly(loop: Cinemagraph) -> None:
    assert np.array_equal(loop[0], flag_photo())
    assert np.array_equal(loop[len(loop)], flag_photo()), "frame N is frame 0"


def test_cloth_moves_and_nothing_away_from_it(loop: Cinemagraph) -> None:
    changes = np.abs(frames(loop) - flag_photo()).max((0, 3))
    assert changes[FLAG].mean() > 10
    assert (changes[loop.mask.numpy() == 0] == 0).all()
    far = np.ones(changes.shape, bool)
    far[FLAG[0].start - 12 : FLAG[0].stop + 12, FLAG[1].start - 12 : FLAG[1].stop + 12] = False
    assert far.any() and (changes[far] == 0).all()


def test_the_loop_is_continuous_in_real_time_and_has_no_seam(loop: Cinemagraph) -> None:
    before, after = loop[len(loop) - 0.01].astype(int), loop[0.01].astype(int)
    assert np.abs(before - flag_photo()).max() <= 2 and np.abs(after - flag_photo()).max() <= 2
    steps = [np.abs(loop[t + 1].astype(int) - loop[t]).mean() for t in (-2, -1, 0)]
    assert 0.7 < 2 * steps[1] / (steps[0] + steps[2]) < 1.2, "the step over the seam equals its neighbours"
    assert np.array_equal(loop[3.7], loop[3.7 + len(loop)])


def test_a_pole_stays_exactly_as_it_is(loop: Cinemagraph) -> None:
    changes = np.abs(frames(loop) - flag_photo()).max((0, 3))
    assert (changes[POLE][:, :-1] == 0).all(), "except for the column within the soft border of the mask"


def test_cloth_leaves_its_outline_in_front_of_the_sky(loop: Cinemagraph) -> None:
    beside = FLAG[0], slice(FLAG[1].stop, FLAG[1].stop + 2)
    red = frames(loop)[(slice(None), *beside)][..., 0] - frames(loop)[(slice(None), *beside)][..., 2]
    assert red[0].max() < 0 < red[len(loop) // 2].mean(), "red where frame 0 shows sky"


def test_more_wind_moves_cloth_further(animator: Animator, flag: Scene) -> None:
    drifts = [
        mean_drift(animator.render(flag, mask=flag_mask(), **CLOTH | {"wind": (0, strength)}))
        for strength in (0.1, 0.3, 0.6, 1.0)
    ]
    assert drifts[0] > 0 and drifts == sorted(drifts) and drifts[3] > 2 * drifts[0]


def test_more_wind_moves_held_cloth_further_too() -> None:
    """What holds it all around holds no more of it in a stronger wind: every place moves further alike."""
    photo, mask = flag_photo(), flag_mask()
    rough = np.random.default_rng(1).integers(0, 256, photo.shape, np.uint8)
    rough[mask] = photo[mask]
    rest_shape = rest_shape_of(rough, mask)
    even = replace(animate_cloth(rest_shape, STAND_INS, Wind(0, 0.5), cycles=1, period=16), pace=())
    strengths = (0.1, 0.3, 0.6, 0.8, 1.0)
    winds = [preview_cloth(rest_shape, STAND_INS, Wind(0, strength), even) for strength in strengths]
    travels = [float(wind.keyframes[:, :2].norm(dim=1).mean()) for wind in winds]
    assert travels == sorted(travels)
    shares = [relative_displacement(strength) for strength in strengths]
    assert [travel / travels[-1] for travel in travels] == pytest.approx(shares, rel=0.05)


@pytest.mark.parametrize(("degrees", "side"), [(0, 1), (45, 1), (315, 1), (135, -1), (180, -1), (225, -1)])
def test_cloth_moves_to_the_side_the_wind_blows_to(animator: Animator, flag: Scene, degrees: float, side: int) -> None:
    assert side * mean_drift(animator.render(flag, mask=flag_mask(), **CLOTH | {"wind": (degrees, 0.8)})) > 0.2


def test_the_mirrored_photo_in_the_mirrored_wind_is_the_mirrored_loop() -> None:
    photo, mask = flag_photo(), flag_mask()
    length = {"cycles": 1, "period": 16}
    right = animate_cloth(rest_shape_of(photo, mask), STAND_INS, Wind(30, 0.8), **length)
    left = animate_cloth(rest_shape_of(photo[:, ::-1], mask[:, ::-1]), STAND_INS, Wind(150, 0.8), **length)

    def drawn(cloth: Overlay) -> np.ndarray:
        return cloth.draw_over(cloth.photo, 5).numpy().astype(int)

    assert np.abs(drawn(left)[:, ::-1] - drawn(right)).mean() < 0.5
    assert np.abs(drawn(left)[:, ::-1] - photo).mean() > 1.5


def test_the_same_rest_shape_serves_every_wind() -> None:
    rest_shape = rest_shape_of(flag_photo(), flag_mask())
    for wind in (Wind(0, 0.8), Wind(180, 0.4)):
        turned = animate_cloth(rest_shape, STAND_INS, wind, cycles=1, period=16)
        alone = animate_cloth(rest_shape_of(flag_photo(), flag_mask()), STAND_INS, wind, cycles=1, period=16)
        assert torch.equal(turned.keyframes, alone.keyframes) and torch.equal(turned.reach, alone.reach)


def test_a_draft_looks_about_as_the_loop_will() -> None:
    """At the pace of another wind, which is the same where the loop begins."""
    rest_shape = rest_shape_of(flag_photo(), flag_mask())
    first, wanted = (
        animate_cloth(rest_shape, STAND_INS, wind, cycles=1, period=16) for wind in (Wind(150, 0.8), Wind(20, 0.8))
    )
    rough = preview_cloth(rest_shape, STAND_INS, Wind(20, 0.8), first)
    assert (rough.cell, rough.pace, rough.cycles, rough.period) == (2 * wanted.cell, first.pace, 1, 16)
    photo = wanted.photo
    assert torch.equal(rough.draw_over(photo, 0), photo)
    for t in (3, 8, 13):
        drawn, before, now = (layer.draw_over(photo, t)[FLAG].float() for layer in (wanted, first, rough))
        assert (now - drawn).abs().mean() < 0.5 * (before - drawn).abs().mean()
    held = rough.draw_over(photo, 8)[POLE][:, :-1]
    assert torch.equal(held, photo[POLE][:, :-1])


@pytest.mark.parametrize(("scale", "cell"), [(1, 4), (4, 8)])
def test_drafts_of_large_pictures_are_not_much_finer(scale: int, cell: int) -> None:
    photo, mask = (np.kron(x, np.ones((scale, scale, 1)[: x.ndim], x.dtype)) for x in (flag_photo(), flag_mask()))
    rest_shape = rest_shape_of(photo, mask)
    loop = animate_cloth(rest_shape, STAND_INS, Wind(0, 0.8), cycles=1, period=16)
    rough = preview_cloth(rest_shape, STAND_INS, Wind(0, 0.8), loop)
    assert rough.cell == cell and max(rough.keyframes.shape[2:]) <= PREVIEW_GRID
    drawn, now = (layer.draw_over(loop.photo, 5).int() for layer in (loop, rough))
    assert (now - drawn).abs().sum() < 0.5 * (loop.photo.int() - drawn).abs().sum()


def test_drafts_in_close_directions_ask_the_network_once() -> None:
    rest_shape = rest_shape_of(flag_photo(), flag_mask())
    loop = animate_cloth(rest_shape, STAND_INS, Wind(0, 0.8), cycles=1, period=16)
    asked: list[float] = []

    def cycle(normals: torch.Tensor, cover: torch.Tensor, wind: torch.Tensor, harmonics: int) -> torch.Tensor:
        asked.append(math.degrees(math.atan2(wind[0, 1], wind[0, 0])) % 360)
        return STAND_INS.cycle(normals, cover, wind, harmonics)

    nets = replace(STAND_INS, cycle=cycle)
    for degrees, strength in [(32.0, 0.8), (36.5, 0.4), (57.0, 1.0), (32.0, 0.8)]:
        preview_cloth(rest_shape, nets, Wind(degrees, strength), loop)
    assert asked == pytest.approx([30, 60])
    preview_cloth(rest_shape, nets, Wind(355, 0.8), loop)
    assert asked == pytest.approx([30, 60, 330, 0])


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_ribbons_that_the_networks_hardly_see_move_or_are_refused(width: int) -> None:
    photo, mask = np.full((256, 320, 3), 200, np.uint8), np.zeros((256, 320), bool)
    mask[10:246, 100 : 100 + width] = True
    photo[mask] = (180, 60, 60)
    rest_shape = rest_shape_of(photo, mask)
    with suppress(NothingMoves):
        loop = animate_cloth(rest_shape, STAND_INS, Wind(0, 0.8), cycles=1, period=16)
        assert preview_cloth(rest_shape, STAND_INS, Wind(90, 0.8), loop).keyframes.isfinite().all()


def test_measuring_the_pace_can_be_cancelled() -> None:
    rest_shape = rest_shape_of(flag_photo(), flag_mask())
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 5:
            raise Cancelled("Another wind is wanted.")

    with pytest.raises(Cancelled):
        animate_cloth(rest_shape, STAND_INS, Wind(0, 0.8), cycles=1, period=16, progress=progress)
    assert [done for done, _ in steps] == [0, 1, 2, 3, 4, 5] and steps[0][1] > 5


def test_the_wind_of_a_loop_is_turned(animator: Animator, flag: Scene, loop: Cinemagraph, beach: Scene) -> None:
    whole = animator.render(flag, mask=flag_mask(), **CLOTH | {"wind": (180, 0.6)})
    turned = animator.turn_wind(loop, (180, 0.6))
    assert np.array_equal(frames(turned), frames(whole)) and turned.settings == whole.settings
    assert torch.equal(turned.mask, whole.mask)
    quick = replace(loop, overlays=WindDial(loop, animator).turn(Wind(180, 0.6)).overlays)
    assert mean_drift(quick) < -0.2
    stages: list[str] = []
    turned = animator.turn_wind(loop, (180, 0.6), progress=lambda stage, *_: stages.append(stage))
    assert set(stages) == {"cloth"} and turned.progress is not loop.progress
    both = beach.paint("cloth", flag_mask())
    first, second = (animator.render(both, subject="auto", wind=wind, **SHORT) for wind in ((0, 0.8), (180, 0.6)))
    turned = animator.turn_wind(first, Wind(180, 0.6))
    assert turned.loop is first.loop, "the sea keeps its wind"
    assert torch.equal(turned.overlays[0].keyframes, second.overlays[0].keyframes)
    with pytest.raises(NothingMoves, match="no cloth"):
        animator.turn_wind(animator.render(beach, **SHORT), Wind())
    for turn in (lambda wind: animator.turn_wind(loop, wind), WindDial(loop, animator).turn):
        with pytest.raises(OptionError, match="strength"):
            turn((180, 1.5))


@pytest.mark.parametrize(("seconds", "speed", "gusts"), [(0.5, 1, 1), (4, 2, 4), (5.3, 1, 3)])
def test_a_loop_has_a_whole_number_of_gusts(
    animator: Animator, flag: Scene, seconds: float, speed: float, gusts: int
) -> None:
    loop = animator.render(flag, subject="cloth", mask=flag_mask(), seconds=seconds, fps=8, speed=speed)
    (cloth,) = loop.overlays
    assert cloth.cycles == gusts
    assert (cloth.gustiness > 0) == (gusts > 1), "a single gust differs from no other"


# --- edits


def test_painted_cloth_moves_like_a_mask(animator: Animator, flag: Scene, loop: Cinemagraph) -> None:
    painted = animator.render(flag.paint("cloth", flag_mask()), **CLOTH)
    assert np.array_equal(painted[5], loop[5])


def test_a_stroke_is_enough(animator: Animator, flag: Scene) -> None:
    stroke = [[0.38, 0.45], [0.70, 0.45]]
    loop = animator.render(flag.paint("cloth", stroke, radius=0.2), **CLOTH)
    assert float(loop.mask[FLAG].mean()) > 0.9
    assert np.abs(frames(loop) - flag_photo())[:, FLAG[0], FLAG[1]].mean() > 2


def test_frozen_or_erased_cloth_does_not_move(animator: Animator, flag: Scene) -> None:
    right = np.zeros((96, 128), bool)
    right[:, 70:] = True
    for mode, still in (("freeze", 70), ("erase", 82)):  # next to an erased edge the matte may extend
        scene = flag.paint("cloth", flag_mask()).paint(None, right, mode)
        changes = np.abs(frames(animator.render(scene, **CLOTH)) - flag_photo()).max((0, 3))
        assert changes[FLAG[0], 42:66].max() > 10
        assert (changes[:, still:] == 0).all()


def test_a_freeze_overrides_a_mask(animator: Animator, flag: Scene) -> None:
    with pytest.raises(NothingMoves, match="frozen"):
        animator.render(flag.paint(None, np.ones((96, 128), bool), "freeze"), mask=flag_mask(), **CLOTH)


@pytest.mark.parametrize("mode", ["freeze", "erase"])
def test_cloth_that_is_painted_and_then_frozen_or_erased_is_refused_as_such(
    animator: Animator, flag: Scene, mode: str
) -> None:
    scene = flag.paint("cloth", flag_mask()).paint(None, np.ones((96, 128), bool), mode)
    with pytest.raises(NothingMoves, match="frozen or erased"):
        animator.render(scene, **CLOTH)


def test_an_anchor_holds_cloth(animator: Animator, flag: Scene) -> None:
    scene = flag.paint("cloth", flag_mask())
    near = FLAG[0], slice(84, 92)
    free, held = (
        np.abs(frames(animator.render(s, **CLOTH)) - flag_photo())[(slice(None), *near)].mean()
        for s in (scene, scene.anchor((88 / 128, 44 / 96), 0.3))
    )
    assert held < 0.5 * free


def test_a_scene_keeps_its_painted_cloth_in_a_file(animator: Animator, flag: Scene, tmp_path: Path) -> None:
    scene = flag.paint("cloth", [[0.38, 0.45], [0.70, 0.45]], radius=0.2).paint("cloth", (0.4, 0.5), "erase")
    again = Scene.load(scene.save(tmp_path / "flag.cine"))
    assert torch.equal(again.edited_cloth, scene.edited_cloth) and scene.edited_cloth.any()
    assert np.array_equal(animator.render(again, **CLOTH)[5], animator.render(scene, **CLOTH)[5])


# --- cloth and landscape


def test_a_landscape_without_cloth_is_unaffected(animator: Animator, beach: Scene) -> None:
    loop = animator.render(beach, **SHORT)
    assert not loop.overlays and "subject" not in loop.settings and "wind" not in loop.settings
    auto = animator.render(beach, subject="auto", **SHORT)
    assert np.array_equal(frames(auto), frames(loop))


def test_cloth_and_landscape_move_together(animator: Animator, beach: Scene) -> None:
    loop = animator.render(beach.paint("cloth", flag_mask()), subject="auto", wind=(0, 0.8), **SHORT)
    changes = np.abs(frames(loop) - flag_photo()).max((0, 3))
    assert np.array_equal(loop[0], flag_photo())
    assert changes[FLAG].mean() > 10 and changes[:, 112:].mean() > 0.1
    assert (changes[POLE][:, :-1] == 0).all()
    assert (changes[loop.mask.numpy() == 0] == 0).all()


def test_sky_away_from_the_cloth_keeps_drifting(animator: Animator, beach: Scene) -> None:
    """Even along the outline of a cloud."""
    photo = beach.photo.copy()
    photo[CLOUD] = 235
    cloudy = replace(beach, photo=photo)
    alone = animator.render(cloudy, subject="auto", **SHORT).mask[:10]
    beside = animator.render(cloudy.paint("cloth", flag_mask()), subject="auto", **SHORT).mask[:10]
    assert alone.any() and torch.equal(beside > 0, alone > 0)


def test_auto_moves_only_the_cloth_if_no_landscape_moves(animator: Animator, flag: Scene, loop: Cinemagraph) -> None:
    still = replace(flag, layers=torch.zeros_like(flag.layers), mask=torch.zeros_like(flag.mask))
    auto = animator.render(still.paint("cloth", flag_mask()), **CLOTH | {"subject": "auto"})
    assert auto.loop is None and np.array_equal(auto[5], loop[5])
    with pytest.raises(NothingMoves):
        animator.render(still, subject="auto", **SHORT)


def test_auto_moves_only_the_landscape_and_warns_if_the_cloth_cannot_move(animator: Animator, beach: Scene) -> None:
    speck = np.zeros((96, 128), bool)
    speck[10:12, 10:12] = True
    scene = beach.paint("cloth", speck)
    auto = animator.render(scene, subject="auto", **SHORT)
    landscape = animator.render(scene, subject="landscape", **SHORT)
    assert not auto.overlays and np.array_equal(frames(auto), frames(landscape))
    assert auto.warning.startswith("Only the landscape moves. The cloth is too small") and "\n" not in auto.warning
    assert auto.report()["warning"] == auto.warning and landscape.warning == ""
    still = replace(scene, layers=torch.zeros_like(scene.layers), mask=torch.zeros_like(scene.mask))
    with pytest.raises(NothingMoves, match="too small"):
        animator.render(still, subject="auto", **SHORT)


# --- measures and output


def test_measures_of_cloth_omit_those_for_steady_motion(loop: Cinemagraph) -> None:
    assert loop.measures["first_frame_error"] == 0 and loop.measures["static_drift"] == 0
    assert np.isnan(loop.moved["error"]) and np.isnan(loop.moved["travel"]), "cloth follows no steady motion"
    assert loop.warning == ""
    report = loop.report()
    assert report["settings"]["subject"] == "cloth" and report["settings"]["wind"] == [0, 0.8]


def test_saved_files_show_the_cloth_moving(loop: Cinemagraph, tmp_path: Path) -> None:
    for name in ("flag.mp4", "flag.gif"):
        loop.save(tmp_path / name)
        saved, _ = read_video(tmp_path / name)
        changes = np.abs(saved[8].astype(int) - saved[0])
        assert len(saved) == len(loop) and changes[FLAG].mean() > 5 > 1 > changes[:, :24].mean(), name
    loop.save(tmp_path / "frames")
    with Image.open(tmp_path / "frames/frame-0008.png") as frame:
        assert np.array_equal(frame, loop[8])
    loop.save(tmp_path / "square.webp", crop="1:1")
    with Image.open(tmp_path / "square.webp") as picture:
        assert (picture.size, picture.n_frames) == ((96, 96), len(loop))


def test_a_preview_is_small(animator: Animator, flag: Scene) -> None:
    quick = animator.preview(flag.paint("cloth", flag_mask()), size=64, **CLOTH)
    assert (quick.width, quick.height) == (85, 64)
    assert np.array_equal(quick[0], quick.scene.photo) and not np.array_equal(quick[8], quick[0])


# --- errors


def test_cloth_that_is_neither_marked_nor_found_is_refused(animator: Animator, flag: Scene, small_model: Path) -> None:
    with pytest.raises(MaskError, match="paint it"):
        animator.render(flag, **CLOTH)
    stages: list[str] = []
    with pytest.raises(MaskError, match="paint it"):
        animate(flag_photo(), subject="cloth", model=small_model, refine=1, progress=lambda *at: stages.append(at[0]))
    assert "inversion" not in stages, "it is slow, and would be in vain"


@pytest.mark.parametrize(
    "invalid",
    [
        {"subject": "flag"},
        {"wind": (0, -0.5)},
        {"subject": "cloth", "wind": (0, 1.5)},
        {"subject": "cloth", "wind": (float("nan"), 0.5)},
        {"subject": "cloth", "wind": 3},
        {"subject": "cloth", "wind": (1, 2, 3)},
        {"subject": "cloth", "arrows": [(0.1, 0.1, 0.2, 0.1)]},
        {"subject": "cloth", "motion": np.ones((2, 8, 8))},
    ],
    ids=str,
)
def test_invalid_winds_and_subjects_are_refused(animator: Animator, flag: Scene, invalid: Options) -> None:
    with pytest.raises(OptionError):
        animator.render(flag, mask=flag_mask(), **invalid)


def test_cloth_hangs_still_in_a_calm(animator: Animator, flag: Scene) -> None:
    with pytest.raises(NothingMoves, match="raise the wind's strength"):
        animator.render(flag, mask=flag_mask(), **CLOTH | {"wind": (0, 0)})


def test_cloth_too_small_to_move_is_refused(animator: Animator, flag: Scene) -> None:
    speck = np.zeros((96, 128), bool)
    speck[10:12, 10:12] = True
    with pytest.raises(NothingMoves, match="too small"):
        animator.render(flag, mask=speck, **CLOTH)


def test_cloth_too_narrow_to_move_in_front_of_a_rough_background_is_refused(animator: Animator, flag: Scene) -> None:
    """It is held at both of its edges, so that no frame would differ from the photo."""
    ribbon = np.zeros((96, 128), bool)
    ribbon[10:70, 50:53] = True
    rough = np.random.default_rng(1).integers(0, 256, flag.photo.shape, np.uint8)
    rough[ribbon] = (180, 60, 60)
    with pytest.raises(NothingMoves, match="paint its whole width"):
        animator.render(replace(flag, photo=rough), mask=ribbon, **CLOTH)


def test_cloth_held_everywhere_by_anchors_is_refused(animator: Animator, flag: Scene) -> None:
    scene = flag.anchor((0.4, 0.45), 1).anchor((0.7, 0.45), 1).anchor((0.5, 0.3), 1).anchor((0.6, 0.6), 1)
    with pytest.raises(NothingMoves, match="anchors"):
        animator.render(scene.paint("cloth", flag_mask()), **CLOTH)


def test_a_model_without_weights_for_cloth_is_named(
    small_model: Path, flag: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Animator.from_pretrained(small_model, "cpu")
    files = {role: file for role, file in bare.model.files.items() if role not in ("cloth", "normals")}
    bare = replace(bare, model=replace(bare.model, files=files))
    with pytest.raises(WeightsNotFound, match="has no normals"):
        bare.render(flag, mask=flag_mask(), **CLOTH)


# --- parts


def test_cloth_leaves_its_outline_by_a_limited_distance_only() -> None:
    """What a mask missed of it moves less, so that nothing gets further than 1.6 overhangs from the mask."""
    outline = (10.5 - torch.arange(60.0)).expand(40, 60)  # pixels; from the eleventh column on outside
    towards_it = torch.tensor([300.0, 0.0])[:, None, None].expand(1, 2, 40, 60)
    moved = (towards_it * _limit_overhang(towards_it, outline, overhang=20))[0, 0, 20]
    reached = -outline[20] + moved
    assert reached[3:11].min() > 19 and reached[3:11].max() < 21 and reached[11:43].max() < 32
    assert moved[11] > 18 and moved[43:].max() < 0.01
    assert moved.diff().min() > -1.01, "it hardly folds over itself, however far it would move"


def test_stronger_wind_makes_higher_waves_but_the_displacement_is_the_strongest_winds() -> None:
    rest_shape = rest_shape_of(flag_photo(), flag_mask())
    gusts = [predict_cycles(rest_shape.surfaces, STAND_INS, Wind(30, strength))[0] for strength in (0.1, 0.3, 0.6, 1.0)]
    shades = [float(gust[:, 2].std(0).mean()) for gust in gusts]
    assert shades == sorted(shades) and shades[3] > 3 * shades[0]
    assert all(torch.equal(gust[:, :2], gusts[3][:, :2]) for gust in gusts)
    shares = [relative_displacement(strength) for strength in (0.0, 0.1, 0.3, 0.6, 1.0)]
    assert shares[0] == 0 and shares == sorted(shares) and shares[4] == 1


def test_displacements_are_inverted() -> None:
    """A displaced place leads back to where it came from."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    moved = torch.stack((6 * torch.sin(x / 9), 5 * torch.cos(y / 8), x / 50))
    forward = torch.stack((torch.zeros_like(moved), moved))
    backward = invert_displacement(forward, cell=2)
    assert (backward[0] == 0).all()
    inside = slice(8, -8), slice(8, -8)
    source = torch.stack((x, y)) + backward[1, :2] / 2
    grid = torch.stack(((2 * source[0] + 1) / 50 - 1, (2 * source[1] + 1) / 40 - 1), -1)
    there = torch.nn.functional.grid_sample(moved[None], grid[None], align_corners=False)[0]
    assert (there[:2] + backward[1, :2]).abs()[:, *inside].max() < 0.1
