"""A photo that has been understood, touched up, saved and opened again."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.lpips import psnr
from stylecine import (
    Animator,
    Cinemagraph,
    NothingMoves,
    OptionError,
    Scene,
    SceneError,
    StylecineWarning,
    TooLarge,
    WeightsNotFound,
)
from stylecine.edits.scene_file import edit_cine
from stylecine.engine.scene import Latents, PendingLatents
from stylecine.machine.memory import needed_bytes
from stylecine.picture.photo import PhotoFile

SHORT = {"seconds": 0.4, "fps": 10}


@pytest.fixture(scope="module")
def lake(scene: Scene, water: np.ndarray) -> Scene:
    """Sky above the shore, water below it, which the small model does not know; both drift to the right."""
    layers = torch.zeros_like(scene.layers)
    layers[0, ~water] = layers[1, water] = 1
    motion = torch.zeros(2, 36, 48)
    motion[0] = 0.25
    return replace(scene, layers=layers, mask=layers.sum(0), motion=motion)


def touched_up(scene: Scene) -> Scene:
    """With an edit of every kind."""
    scene = scene.paint(None, [[0.2, 0.8], [0.3, 0.8]], "freeze", radius=0.1).paint("sky", (0.9, 0.1), "erase")
    scene = scene.paint("falls", [[0.7, 0.9]], radius=0.1).push((0.5, 0.8, 0.6, 0.8)).anchor((0.5, 0.3))
    return scene.speed("sky", 2).speed((0.9, 0.9), 0.5)


def frames(loop: Cinemagraph) -> np.ndarray:
    return np.stack(list(loop))


def test_values_have_the_documented_shapes(scene: Scene, photo: np.ndarray) -> None:
    assert np.array_equal(scene.photo, photo)
    assert scene.reconstruction.shape == (72, 96, 3) and scene.reconstruction.dtype == np.uint8
    assert scene.w_plus.shape == (14, 512)  # a generator of 256 x 256 has 14 style vectors
    assert scene.feature.shape == (16, 18, 24)  # 16 channels, a quarter of the photo's grid
    assert scene.layers.shape == (4, 72, 96)
    assert scene.mask.shape == (72, 96)
    assert scene.motion.ndim == 3 and scene.motion.shape[0] == 2
    for values in (scene.w_plus, scene.feature, scene.layers, scene.mask, scene.motion):
        assert values.dtype == torch.float32 and torch.isfinite(values).all()


def test_a_scene_shows_itself_in_one_line(scene: Scene) -> None:
    height, width = scene.photo.shape[:2]
    moves = round(100 * float((scene.mask > 0).float().mean()))
    assert repr(scene) == f"<Scene pixels, {width}x{height}, {moves}% moves, 0 edits>"


def test_an_animator_shows_itself_in_one_line(animator: Animator) -> None:
    assert repr(animator) == f"<Animator {animator.model.name}, cpu>"


def test_what_is_no_scene_and_a_misspelt_option_are_named(animator: Animator, scene: Scene) -> None:
    for make in (animator.render, animator.preview):
        with pytest.raises(SceneError, match=r"made of a scene, as invert\(\) or .* not of 'photo.png'"):
            make("photo.png")  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="There is no option 'second'; did you mean seconds"):
            make(scene, second=4)  # type: ignore[call-arg]


def test_the_mask_is_the_union_of_the_layers(scene: Scene) -> None:
    assert torch.allclose(scene.mask, 1 - (1 - scene.layers).prod(0))


def test_a_scene_never_changes(scene: Scene, photo: np.ndarray) -> None:
    with pytest.raises(FrozenInstanceError):
        scene.photo = photo  # type: ignore[misc]


def test_options_of_the_inversion(photo: np.ndarray, small_model: Path) -> None:
    animator = Animator.from_pretrained(small_model, "cpu")
    plain, refined = (animator.invert(photo, refine=steps) for steps in (0, 3))
    assert not torch.equal(plain.feature, refined.feature)
    assert psnr(refined.reconstruction, photo) > psnr(plain.reconstruction, photo)


@pytest.mark.parametrize("given", [{}, {"sampling": "splat"}, {"warp": "dfw"}, {"mask": np.ones((8, 8))}], ids=str)
def test_frozen_pixels_keep_the_photos_bytes_in_every_frame(
    lake: Scene, animator: Animator, photo: np.ndarray, given: dict[str, Any]
) -> None:
    rock = np.zeros((72, 96), bool)
    rock[50:60, 30:50] = True
    loop = animator.render(lake.paint(None, rock, "freeze"), **SHORT, **given)
    assert (frames(loop)[:, rock] == photo[rock]).all() and not loop.mask[torch.from_numpy(rock)].any()
    assert (frames(animator.render(lake, **SHORT, **given))[2][rock] != photo[rock]).any()


def test_predictions_are_kept_and_edits_are_applied_when_rendering(lake: Scene, animator: Animator) -> None:
    edited = touched_up(lake)
    assert lake.edits == () and len(edited.edits) == 7
    assert edited.layers is lake.layers and edited.motion is lake.motion
    loop = animator.render(edited, **SHORT)
    assert torch.equal(loop.layers, edited.edited_layers) and not torch.equal(loop.layers, lake.layers)
    for _ in edited.edits:
        edited = edited.undo()
    assert np.array_equal(frames(animator.render(edited, **SHORT)), frames(animator.render(lake, **SHORT)))
    with pytest.raises(SceneError, match="nothing to undo"):
        edited.undo()


def test_speeds_and_anchors_leave_the_rest_of_the_motion(lake: Scene, animator: Animator) -> None:
    motion = animator.render(lake.speed("water", 3).anchor((0.5, 0.25), 0.2), **SHORT).motion[0]
    assert motion[24:].allclose(torch.tensor(0.75)) and motion[9, 24] < 0.01 and motion[2, 2] == 0.25


def test_content_moves_where_it_is_pushed(lake: Scene, animator: Animator) -> None:
    motion = animator.render(lake.push((0.5, 0.8, 0.4, 0.85)), **SHORT).motion
    h, w = motion.shape[1:]
    there = motion[:, int(0.8 * h), int(0.5 * w)]
    assert there.allclose(torch.tensor([-0.1 * w / 30, 0.05 * h / 30]), rtol=0.01)


def test_given_masks_and_motion_count_on_top_of_edits(lake: Scene, animator: Animator, water: np.ndarray) -> None:
    loop = animator.render(lake.paint(None, water, "freeze"), mask=np.ones((8, 8)), motion=np.ones((2, 8, 8)), **SHORT)
    assert loop.motion.eq(1).all()
    assert not loop.mask[torch.from_numpy(water)].any() and loop.mask[:30].min() > 0.9


def test_a_scene_with_nothing_left_to_move_is_refused(lake: Scene, animator: Animator) -> None:
    with pytest.raises(NothingMoves, match="undo one"):
        animator.render(lake.paint(None, np.ones((72, 96)), "freeze"))
    with pytest.raises(NothingMoves):
        animator.render(lake.speed("sky", 0).speed("water", 0))


def test_a_small_painted_area_is_enough(lake: Scene, animator: Animator) -> None:
    spring = lake.paint(None, np.ones((72, 96)), "erase").paint("falls", [[0.5, 0.5], [0.5, 0.55]], radius=0.03)
    assert 0 < spring.edited_layers.mean() < 0.002
    assert animator.render(spring, **SHORT).mask.any()


def test_a_preview_shows_the_edits_and_inverts_nothing(
    photo: np.ndarray, lake: Scene, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylecine.engine.animator.invert", None)
    monkeypatch.setattr("stylecine.perception.look.segment", None)
    rock = np.zeros((72, 96), bool)
    rock[48:, 24:48] = True
    loop = animator.preview(lake.paint(None, rock, "freeze").speed("sky", 2), size=64, **SHORT)
    assert (loop.height, loop.width) == (64, 85) and loop.settings["mask"] == "found"
    assert (frames(loop)[:, 46:, 24:40] == loop.scene.photo[46:, 24:40]).all()
    assert (loop[2] != loop.scene.photo).any()


def test_a_scene_without_latents_moves_as_one_with_them(photo: np.ndarray, lake: Scene, animator: Animator) -> None:
    without, whole = animator.invert(photo, seed=3, latents=False), animator.invert(photo, seed=3)
    loops = [animator.preview(replace(scene, edits=lake.edits), size=64, **SHORT) for scene in (without, whole)]
    assert np.array_equal(*map(frames, loops))
    assert not without.is_inverted and whole.is_inverted and without.settings == whole.settings


def test_a_first_impression_looks_at_smaller_copies(
    photo: np.ndarray, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylecine.perception.see.SHORT_SIDE", 192)
    monkeypatch.setattr("stylecine.engine.animator.QUICK", 0.5)
    asked: list[int] = []
    eye = animator.eye
    monkeypatch.setitem(vars(animator), "eye", lambda image: asked.append(min(image.shape[-2:])) or eye(image))
    moves = [animator.invert(photo, quick=quick, latents=False).mask for quick in (True, False)]
    assert sorted(asked[:2]) == [64, 96] and sorted(asked[2:]) == [128, 192]
    assert float((moves[0] - moves[1]).abs().mean()) < 0.2


def test_latents_are_found_when_something_needs_them(photo: np.ndarray, animator: Animator, tmp_path: Path) -> None:
    """Once, even for scenes with further edits; and the same that are found at once."""
    later, whole = animator.invert(photo, seed=3, latents=False), animator.invert(photo, seed=3)
    edited = later.paint("sky", [[0.1, 0.1], [0.4, 0.1]])
    Scene.load(edited.save(tmp_path / "later.cine"))
    assert later.is_inverted and edited.w_plus is later.w_plus
    assert torch.equal(later.w_plus, whole.w_plus) and torch.equal(later.feature, whole.feature)
    assert np.array_equal(later.reconstruction, whole.reconstruction)
    given: dict[str, Any] = SHORT | {"detail": 0.5}
    later = animator.invert(photo, seed=3, latents=False)
    loops = [animator.preview(scene, size=64, **given) for scene in (later, whole)]
    assert np.array_equal(*map(frames, loops))


def test_two_threads_find_latents_once() -> None:
    barrier, times = threading.Barrier(2), []
    pending = PendingLatents(lambda: times.append(time.sleep(0.1)) or Latents(np.zeros(1), *torch.zeros(2, 1)))

    def get() -> Latents:
        barrier.wait()
        return pending.get()

    with ThreadPoolExecutor(2) as threads:
        one, other = (threads.submit(get) for _ in range(2))
        assert one.result() is other.result() and len(times) == 1


@pytest.mark.parametrize("latents", [True, False])
def test_a_scene_can_be_pickled(photo: np.ndarray, animator: Animator, latents: bool) -> None:
    """As it crosses to another process."""
    scene = animator.invert(photo, latents=latents).paint("sky", [[0.1, 0.1], [0.4, 0.1]])
    copy = pickle.loads(pickle.dumps(scene))
    assert copy.is_inverted == scene.is_inverted
    assert np.array_equal(*(frames(animator.render(one, **SHORT)) for one in (copy, scene)))
    assert torch.equal(copy.w_plus, scene.w_plus)


def test_a_preview_matches_render(lake: Scene, animator: Animator) -> None:
    """As large as the scene it is the same to the bit: water swells, and what is very fast may be so."""
    calm, fast = lake.speed("water", 2), touched_up(lake).push((0.8, 0.8, 9.5, 0.8)).speed("water", 10)
    for scene in (calm, fast):
        given: dict[str, Any] = {"seconds": 1, "fps": 10, "arrows": [(0.1, 0.6, 0.12, 0.6)], "detail": 0.5}
        whole, quick = animator.render(scene, **given), animator.preview(scene, size=512, **given)
        assert whole.loop.displacement.swell is not None
        assert np.array_equal(frames(whole), frames(quick))
        told, quickly = whole.report(), quick.report()
        assert len(told["edits"]) == len(scene.edits) and told["edits"] == quickly["edits"]
        assert quickly["settings"] == told["settings"] | {"size": "512"}
    assert float(whole.motion.abs().max()) > 48  # wider than the whole field is


@pytest.mark.parametrize("size", [(96, 72), None, 0, 63, 3.5, "64"], ids=str)
def test_a_preview_has_one_size(lake: Scene, animator: Animator, size: Any) -> None:
    with pytest.raises(OptionError, match="size is a whole number from 64"):
        animator.preview(lake, size=size)


def test_a_preview_in_which_nothing_moves_is_refused(lake: Scene, animator: Animator) -> None:
    wide = [np.repeat(np.repeat(part, 8, 0), 8, 1) for part in (lake.photo, lake.reconstruction)]
    layers, mask = torch.zeros(4, 576, 768), torch.zeros(576, 768)
    inversion = replace(lake.latents, reconstruction=wide[1])
    large = replace(lake, photo=wide[0], inversion=inversion, layers=layers, mask=mask)
    speck = np.zeros((576, 768), bool)
    speck[300, 300] = True
    with pytest.raises(NothingMoves, match="larger preview"):
        animator.preview(large.paint("water", speck), size=64, **SHORT)


def test_a_loop_shares_nothing_with_its_scene(lake: Scene, animator: Animator) -> None:
    for scene in (lake, lake.speed("sky", 2), lake.paint("sky", (0.9, 0.1), "erase")):
        for make in (animator.render, animator.preview):
            loop = make(scene, **SHORT)
            before = [layers.clone() for layers in (lake.layers, scene.edited_layers, loop.scene.layers)]
            for part in (loop.layers, loop.motion, loop.mask):
                part.zero_()
            after = (lake.layers, scene.edited_layers, loop.scene.layers)
            assert all(torch.equal(*pair) for pair in zip(before, after, strict=True)) and lake.motion.any()


def test_the_edit_that_stops_everything_is_named(lake: Scene, animator: Animator) -> None:
    still, water = np.ones((72, 96), bool), np.arange(72)[:, None] >= np.full(96, 40)
    field, speck = np.ones((2, 8, 8), np.float32), np.zeros((2, 288, 384), np.float32)
    speck[:, 100, 100] = 9
    frozen = lake.paint(None, still, "freeze")
    for given, says in (
        ((lake.speed("sky", 0).speed("water", 0), {}), "The speeds hold everything still"),
        ((lake.speed(still, 0).push((0.5, 0.8, 0.6, 0.8)), {}), "The arrows and speeds hold everything still"),
        ((lake, {"mask": water, "arrows": [(0.5, 0.8, 0.50001, 0.8)]}), "The arrows hold everything still"),
        ((replace(lake, motion=torch.zeros(2, 36, 48)), {}), "has no motion, so nothing would; give arrows"),
        ((lake, {"mask": water, "motion": 0 * field}), "The motion is zero where the mask is white"),
        ((lake, {"motion": 0 * field}), "The motion is almost nowhere faster than 0.05"),
        ((lake, {"motion": speck}), "The motion is almost nowhere faster than 0.05"),
        ((frozen, {"mask": still}), "is frozen or transparent; undo the freeze"),
        ((frozen, {"motion": field}), "is frozen or transparent; undo the freeze"),
        ((frozen, {}), "The edits leave nothing that moves"),
    ):
        with pytest.raises(NothingMoves, match=says):
            animator.render(given[0], **given[1])


def test_a_scene_from_a_file_renders_the_same_frames(lake: Scene, animator: Animator, tmp_path: Path) -> None:
    scene = replace(touched_up(lake), source=PhotoFile("lake.jpg", b"as it came"))
    scene.save(tmp_path / "lake.cine")
    opened = Scene.load(tmp_path / "lake.cine")
    for name in ("layers", "mask", "motion", "w_plus", "feature"):
        assert torch.equal(getattr(opened, name), getattr(scene, name)), name
    assert opened.source and scene.source and opened.source.sha256 == scene.source.sha256
    assert animator.render(opened, **SHORT).report()["photo"] == scene.source.facts | {"claimed": True}
    assert opened.settings == scene.settings
    for given in ({}, {"warp": "dfw"}, {"detail": 0.5, "sampling": "splat"}):
        assert np.array_equal(*(frames(animator.render(s, **SHORT, **given)) for s in (scene, opened)))
    assert np.array_equal(frames(animator.preview(opened, **SHORT)), frames(animator.preview(scene, **SHORT)))
    opened.undo().save(tmp_path / "lake.cine")
    assert len(Scene.load(tmp_path / "lake.cine").edits) == 6


def test_the_installed_model_is_recognised(scene: Scene, tmp_path: Path) -> None:
    animator = Animator.from_pretrained("default", "cpu")
    replace(scene, model=animator.model).save(tmp_path / "x.cine")
    opened = Scene.load(tmp_path / "x.cine")
    assert opened.model.installed and opened.made_with(animator.model)


def test_a_scene_too_large_to_render_can_be_edited(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.save(tmp_path / "x.cine")
    monkeypatch.setattr("stylecine.machine.memory.available_bytes", lambda device: needed_bytes(96, 72) - 1)
    assert len(edit_cine(tmp_path / "x.cine", lambda cine: cine.speed("water", 2), tmp_path / "x.cine").edits) == 1
    with pytest.raises(TooLarge, match="make the scene again with size=64"):
        Scene.load(tmp_path / "x.cine")


def test_a_scene_whose_model_nobody_has_renders_with_another(lake: Scene, animator: Animator, tmp_path: Path) -> None:
    missing = {role: replace(file, sha256="0" * 64) for role, file in lake.model.files.items()}
    forgotten = replace(lake.model, name="forgotten", files=missing)
    replace(touched_up(lake), model=forgotten).save(tmp_path / "lake.cine")
    scene = Scene.load(tmp_path / "lake.cine")
    assert scene.model.name == "forgotten" and not scene.model.installed
    with pytest.warns(StylecineWarning, match="made with the model 'forgotten'") as told:
        loop = animator.render(scene, **SHORT)
    assert Path(told[0].filename).name == "test_scene.py"  # the caller's own line
    frozen = scene.frozen.numpy() == 1
    assert frozen.any() and (frames(loop)[:, frozen] == scene.photo[frozen]).all()
    with pytest.raises(WeightsNotFound, match="warp dfw needs them"):
        animator.render(scene, warp="dfw")
