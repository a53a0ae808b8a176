"""From a photo to a loop: what may be given, what comes out, what is refused before the work starts."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylecine import (
    Animator,
    Cancelled,
    Cinemagraph,
    MaskError,
    MotionError,
    NothingMoves,
    OptionError,
    PhotoError,
    Scene,
    TooLarge,
    WeightsNotFound,
    animate,
    options,
)
from stylecine.machine import memory
from stylecine.movement.motion import predict_motion
from stylecine.ops.image import to_tensor
from stylecine.options import WEATHERS
from stylecine.output.metadata import json_figures
from stylecine.perception.look import perceive
from stylecine.picture.inversion import SLACK
from stylecine.picture.photo import PhotoFile, encode_png, read_photo

Given = dict[str, Any]


@pytest.fixture
def given(water: np.ndarray, drift: np.ndarray) -> Given:
    """What moves and how, so that nothing depends on the random networks; a short loop."""
    return {"mask": water, "motion": drift, "seconds": 0.8, "fps": 10}


def test_a_photo_becomes_a_loop(photo: np.ndarray, water: np.ndarray, small_model: Path, given: Given) -> None:
    loop = animate(photo, model=small_model, **given)
    assert isinstance(loop, Cinemagraph)
    assert (len(loop), loop.fps, loop.width, loop.height) == (8, 10, 96, 72)
    assert np.array_equal(loop[0], photo)
    assert np.array_equal(loop[4][~water], photo[~water])
    assert not np.array_equal(loop[4][water], photo[water])


def test_a_loop_in_another_appearance(photo: np.ndarray, water: np.ndarray, small_model: Path, given: Given) -> None:
    loop = animate(photo, model=small_model, style="night", **given)
    frames = list(loop)
    assert loop[0].mean() < 0.7 * photo.mean(), "night is darker"
    assert all(np.array_equal(frame[~water], frames[0][~water]) for frame in frames)
    assert np.array_equal(loop[len(loop)], frames[0])
    assert loop.report()["settings"]["style"] == "night"
    nothing = animate(photo, model=small_model, style="night", style_strength=0.0, style_drift=True, **given)
    assert np.array_equal(nothing[3], animate(photo, model=small_model, **given)[3])


def test_a_drift_goes_to_the_style_and_back(photo: np.ndarray, small_model: Path, given: Given) -> None:
    loop = animate(photo, model=small_model, style="night", style_drift=True, **given)
    light = [frame.mean() for frame in loop]
    assert np.array_equal(loop[0], photo) and np.array_equal(loop[len(loop)], photo)
    assert light[4] == min(light) < 0.7 * light[0]


def test_the_appearance_of_another_photo(photo: np.ndarray, small_model: Path, given: Given) -> None:
    dark = (photo // 4).astype(np.uint8)
    loop = animate(photo, model=small_model, style=dark, **given)
    assert loop[0].mean() < 0.6 * photo.mean()
    assert loop.report()["settings"]["style"] == "given"
    own = animate(photo, model=small_model, style=photo, **given)
    assert np.abs(own[0].astype(int) - photo).max() <= 1, "its own appearance changes nothing"


@pytest.mark.parametrize("kind", WEATHERS)
def test_weather_before_a_loop(kind: str, photo: np.ndarray, animator: Animator, scene: Scene, given: Given) -> None:
    dry = animator.render(scene, **given)
    loop = animator.render(scene, weather=kind, weather_strength=1, **given)
    assert not np.array_equal(loop[0], photo) and np.array_equal(loop[0], loop[len(loop)])
    assert json_figures(loop.measures) == json_figures(dry.measures), "they are of the loop behind it"
    assert loop.report()["settings"]["weather"] == kind and "weather" not in dry.report()["settings"]


def test_weather_moves_before_a_photo_in_which_nothing_else_does(
    animator: Animator, scene: Scene, tmp_path: Path
) -> None:
    still = replace(scene, layers=0 * scene.layers, mask=0 * scene.mask)
    with pytest.raises(NothingMoves, match="or a weather such as snow"):
        animator.render(still)
    loop = animator.render(still, weather="snow", style="night", seconds=1, fps=10)
    assert (loop[0] != loop[3]).any() and not loop.warning and loop.loop is None
    assert loop[0].mean() < scene.photo.mean() - 10, "night has come"
    assert json_figures(loop.measures)["static_drift"] == 0
    for name in ("loop.mp4", "loop.html", "loop.png"):
        assert loop.save(tmp_path / name).path.stat().st_size > 500


def test_weather_needs_its_name(photo: np.ndarray, small_model: Path) -> None:
    with pytest.raises(OptionError, match="weather must be snow, rain or fog, not 'ash'"):
        animate(photo, model=small_model, weather="ash")
    with pytest.raises(OptionError, match="give a weather, or leave it out"):
        animate(photo, model=small_model, weather_strength=0.8)


@pytest.mark.parametrize("style", ["noon", "", 3])
def test_what_is_no_style(style: Any, photo: np.ndarray, small_model: Path) -> None:
    with pytest.raises((OptionError, PhotoError)):
        animate(photo, model=small_model, style=style)


def test_animate_is_invert_and_render(
    photo: np.ndarray, animator: Animator, scene: Scene, small_model: Path, given: Given
) -> None:
    whole = animate(photo, model=small_model, device="cpu", **given)
    parts = animator.render(scene, **given)
    assert np.array_equal(whole[3], parts[3])


def test_texture_follows_the_motion(photo: np.ndarray, animator: Animator, scene: Scene, given: Given) -> None:
    """Half a pixel per 1/30 s to the right is 1.5 a frame at 10 fps; frame 1 is almost copy A alone."""
    loop = animator.render(scene, **given | {"seconds": 4.0})
    inner = loop[1][50:64, 20:80].astype(float)
    error = {dx: np.abs(inner - photo[50:64, 20 - dx : 80 - dx]).mean() for dx in (-2, -1, 0, 1, 2)}
    assert min(error, key=error.__getitem__) in (1, 2)


def test_motion_without_a_mask_moves_where_it_is_not_slow(scene: Scene, animator: Animator) -> None:
    motion = np.zeros((1, 2, 512, 512), np.float32)  # the shape that StyleCineGAN's files have
    motion[:, 0, 256:] = 1.0
    motion[:, 0, :256] = 0.04
    loop = animator.render(scene, motion=motion, seconds=0.4)
    assert loop.mask[:34].max() == 0 and loop.mask[38:].min() > 0.999


def test_motion_on_a_grid_of_another_shape_is_not_called_a_mask(
    scene: Scene, animator: Animator, caplog: pytest.LogCaptureFixture
) -> None:
    animator.render(scene, motion=np.ones((2, 20, 20), np.float32), seconds=0.4)
    assert "mask" not in caplog.text


def test_a_mask_and_a_motion_of_the_whole_photo_fit_a_part_of_it(photo: np.ndarray, small_model: Path) -> None:
    """The photo of 96x72 is cropped to a square, from column 12 to 84."""
    right, flow = np.zeros((72, 96), bool), np.zeros((2, 72, 96), np.float32)
    right[:, 60:], flow[0] = True, np.linspace(0.1, 1, 96)
    loop = animate(photo, mask=right, motion=flow, size=(72, 72), seconds=0.4, model=small_model, device="cpu")
    moves, expected = loop.mask > 0.5, np.zeros((72, 72), bool)
    expected[:, 48:] = True
    assert (moves.numpy() != expected).mean() < 0.05  # but for a rim along what stands
    assert torch.allclose(loop.motion, torch.from_numpy(flow[:, :, 12:84]))


def test_a_preset_takes_arrays_as_well(photo: np.ndarray, water: np.ndarray, small_model: Path) -> None:
    flow = np.ones((2, 8, 8), np.float32)
    given = {"mask": water, "motion": flow, "size": 64, "seconds": 0.4, "warp": "pixel", "model": small_model}
    loop = animate(photo, preset="wallpaper", device="cpu", **given)
    assert loop.fps == 60 and min(loop.mask.shape) == 64
    assert animate(photo, preset="wallpaper", device="cpu", **given, fps=30).fps == 30  # although that is the default


def test_rendering_again_is_cheap(scene: Scene, animator: Animator, given: Given) -> None:
    slow, fast = (animator.render(scene, **given | {"speed": speed}) for speed in (0.5, 2.0))
    assert torch.equal(fast.motion, 4 * slow.motion)
    assert not np.array_equal(fast[2], slow[2])
    assert np.array_equal(fast[0], slow[0])


def test_the_pace_is_that_of_predicted_motion_only(
    photo: np.ndarray, scene: Scene, animator: Animator, given: Given, small_model: Path
) -> None:
    layers = torch.zeros_like(scene.layers).index_fill_(0, torch.tensor(1), 1.0)
    motion = predict_motion(perceive(to_tensor(photo), layers, animator.seen(scene, None)))
    scene = replace(scene, layers=layers, mask=layers[1], motion=motion)
    short: Given = {"seconds": 0.4, "fps": 10}
    calm, natural, lively = (animator.render(scene, pace=pace, **short).motion.norm(dim=0) for pace in options.PACES)
    assert torch.equal(natural, scene.motion.norm(dim=0))
    assert 1.9 * calm.median() < natural.median() < lively.median() / 1.5
    assert animator.render(scene, pace="lively", **short).report()["settings"]["pace"] == "lively"
    steered = [animator.render(scene, pace=pace, **given).motion for pace in ("calm", "lively")]
    assert torch.equal(*steered)


def test_preview_is_small(animator: Animator) -> None:
    large = np.random.default_rng(0).integers(0, 255, (320, 400, 3), np.uint8)
    mask = np.ones((320, 400), bool)
    scene = animator.invert(large, refine=1, seed=5)
    quick = animator.preview(scene, mask=mask, motion=np.ones((2, 8, 8)), seconds=0.2)
    assert (quick.width, quick.height) == (320, 256)
    assert quick.scene.settings == {"size": "256", "refine": 1, "seed": 5}


def test_without_detail_only_the_generator_is_visible(
    photo: np.ndarray, animator: Animator, scene: Scene, given: Given
) -> None:
    alone = animator.render(scene, **given, detail=0.0)
    assert np.abs(alone[0].astype(int) - scene.reconstruction).max() <= 1
    assert not np.array_equal(scene.reconstruction, photo)


def test_networks_are_read_at_once_unless_that_is_left_for_later(small_model: Path) -> None:
    inverting = {"generator", "encoder"}
    assert inverting <= vars(Animator.from_pretrained(small_model, "cpu")).keys()
    later = Animator.from_pretrained(small_model, "cpu", lazily=True)
    assert not inverting & vars(later).keys()
    assert later.generator is later.generator


def without_encoder(animator: Animator) -> Animator:
    files = {role: file for role, file in animator.model.files.items() if role != "encoder"}
    return replace(animator, model=replace(animator.model, files=files))


def test_pixel_uses_no_generator_and_msdfw_one_where_something_is_hidden(
    scene: Scene, animator: Animator, given: Given
) -> None:
    def frame(animator: Animator = animator, **changed: Any) -> np.ndarray:
        return animator.render(scene, **given | changed)[4]

    pixel = frame(warp="pixel", detail=0.0)
    assert not np.array_equal(pixel, frame()) and not np.array_equal(pixel, frame(detail=0.0))
    assert np.array_equal(pixel, frame(without_encoder(animator))), "no encoder, nothing is continued"
    everything = np.ones_like(given["mask"])
    assert np.array_equal(frame(mask=everything, warp="pixel"), frame(mask=everything))


@pytest.mark.parametrize("warp", options.WARPS)
@pytest.mark.parametrize("sampling", options.SAMPLINGS)
def test_every_warp_starts_with_the_photo_and_moves(
    photo: np.ndarray, water: np.ndarray, animator: Animator, scene: Scene, given: Given, warp: str, sampling: str
) -> None:
    loop = animator.render(scene, **given, warp=warp, sampling=sampling)
    assert np.abs(loop[0].astype(int) - photo).max() <= 1
    assert np.array_equal(loop[3][~water], photo[~water])
    assert np.abs(loop[3].astype(int) - photo)[water].mean() > 1


def test_the_same_call_gives_the_same_bytes(photo: np.ndarray, small_model: Path, given: Given) -> None:
    first, second = (animate(photo, model=small_model, **given)[5] for _ in range(2))
    assert np.array_equal(first, second)


def test_progress_reports_every_stage_and_timings_contain_it(
    photo: np.ndarray, small_model: Path, given: Given
) -> None:
    told: list[tuple[str, int, int]] = []
    loop = animate(photo, model=small_model, progress=lambda *news: told.append(news), **given)
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == list(loop.timings)
    assert stages == ["photo", "weights", "mask", "motion", "plate", "loop"]
    assert all((stage, 1, 1) in told for stage in stages)
    assert all(seconds >= 0 for seconds in loop.timings.values())


def test_only_what_needs_latents_waits_for_them(
    photo: np.ndarray, small_model: Path, animator: Animator, scene: Scene, given: Given
) -> None:
    """The frames are those of an inverted scene."""
    loop, whole = animate(photo, model=small_model, **given), animator.render(scene, **given)
    assert not loop.scene.is_inverted and whole.scene.is_inverted
    assert all(map(np.array_equal, loop, whole))
    assert np.array_equal(loop.scene.reconstruction, whole.scene.reconstruction)
    assert animate(photo, model=small_model, **given, detail=0.5).scene.is_inverted


def test_timings_have_the_reading_of_the_photo(
    photo_file: Path, small_model: Path, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(source: Any, size: Any) -> tuple[np.ndarray, PhotoFile | None]:
        time.sleep(0.3)
        return read_photo(source, size)

    monkeypatch.setattr("stylecine.engine.pipeline.read_photo", slow)
    assert animate(photo_file, model=small_model, **given).timings["photo"] >= 0.3


def test_the_scene_records_the_bytes_that_were_decoded(animator: Animator, photo: np.ndarray) -> None:
    class Replaced(io.BytesIO):
        """A file that is overwritten as soon as it has been read."""

        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            self.seek(0)
            self.write(encode_png(255 - photo))
            return content

    scene = animator.invert(Replaced(encode_png(photo)))
    assert np.array_equal(scene.photo, photo) and scene.source == PhotoFile(None, encode_png(photo))


def test_without_an_encoder_the_plate_of_dfw_is_optimised_as_the_photo_was(
    photo: np.ndarray, animator: Animator, given: Given
) -> None:
    """As many steps, each told, so that it can be cancelled."""
    foreign = without_encoder(animator)
    told: list[tuple[str, int, int]] = []
    scene = foreign.invert(photo, refine=3)
    foreign.render(scene, **given, warp="dfw", progress=lambda *news: told.append(news))
    steps = [(done, total) for stage, done, total in told if stage == "plate"]
    assert list(dict.fromkeys(steps)) == [(0, 3), (1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled, match="while filling in the background"):
        foreign.render(scene, **given, warp="dfw", progress=lambda stage, done, _: (stage, done) != ("plate", 2))


@pytest.mark.parametrize("foreign", [False, True], ids=["refined", "foreign"])
def test_inference_mode_changes_nothing(photo: np.ndarray, small_model: Path, given: Given, foreign: bool) -> None:
    def third_frame() -> np.ndarray:
        animator = Animator.from_pretrained(small_model, "cpu")
        animator = without_encoder(animator) if foreign else animator
        return animator.render(animator.invert(photo, refine=2), **given, warp="dfw")[3]

    outside = third_frame()
    with torch.inference_mode():
        assert np.array_equal(third_frame(), outside)


def test_progress_cancels(photo: np.ndarray, small_model: Path, given: Given) -> None:
    told: list[str] = []

    def stop(stage: str, done: int, total: int) -> bool:
        told.append(stage)
        return stage != "mask"

    with pytest.raises(Cancelled, match="while finding what moves"):
        animate(photo, model=small_model, progress=stop, **given)
    assert told[-1] == "mask" and "plate" not in told


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0},
        {"refine": -1},
        {"refine": 1.5},
        {"refine": True},
        {"seed": -1},
        {"device": "tpu"},
        {"device": "meta"},
        {"device": "cuda:99"},
        {"size": 0},
        {"size": (640, -1)},
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_any_work(photo: np.ndarray, small_model: Path, wrong: Given) -> None:
    told: list[str] = []
    with pytest.raises(OptionError) as caught:
        animate(photo, model=small_model, progress=lambda stage, *_: told.append(stage), **wrong)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert set(told) <= {"photo"}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"mask": np.zeros((8, 8))}, NothingMoves),
        ({"mask": np.full((8, 8), np.nan)}, MaskError),
        ({"mask": "no-such-mask.png"}, MaskError),
        ({"motion": np.full((2, 8, 8), np.inf)}, MotionError),
        ({"motion": np.zeros((3, 8, 8))}, MotionError),
        ({"motion": np.zeros((2, 8, 8))}, NothingMoves),
        ({"arrows": [(0.1, 0.2, 0.3)]}, MotionError),
        ({"model": "no-such-model"}, WeightsNotFound),
        ({"size": 99999}, TooLarge),
    ],
)
def test_unusable_input_is_refused(photo: np.ndarray, small_model: Path, wrong: Given, error: type[Exception]) -> None:
    with pytest.raises(error):
        animate(photo, **Given(model=small_model) | wrong)


def test_an_unreadable_photo_is_refused(tmp_path: Path, small_model: Path) -> None:
    with pytest.raises(PhotoError):
        animate(tmp_path / "nothing.jpg", model=small_model)


def test_a_photo_that_does_not_fit_is_refused_with_a_size_that_does(
    photo: np.ndarray, animator: Animator, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = memory.needed_bytes(256, 256)
    monkeypatch.setattr(memory, "available_bytes", lambda device: room)
    large = np.zeros((512, 512, 3), np.uint8)
    with pytest.raises(TooLarge, match="size=256"):
        animator.invert(large)
    animator.invert(large, size=256)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1e6)
    with pytest.raises(TooLarge, match="free some memory"):
        animator.invert(photo)


def test_deep_features_are_warped_in_photos_of_the_generators_size(animator: Animator, photo: np.ndarray) -> None:
    """However wide the margin is that a quick motion needs; larger photos are refused."""
    side = animator.generator.resolution
    fitting, large = (animator.invert(photo, size=(n, n)) for n in (side, side * 3 // 2))
    given: Given = {"mask": np.ones((8, 8), np.float32), "motion": np.ones((2, 8, 8), np.float32)}
    loop = animator.render(fitting, warp="dfw", seconds=1, **given)
    assert loop.height + 2 * loop.loop.displacement.margin > SLACK * side
    assert np.abs(loop[0].astype(int) - fitting.photo).max() <= 2
    with pytest.raises(TooLarge, match=f"size={side}"):
        animator.render(large, warp="dfw", seconds=1, **given)


def test_memory_is_estimated() -> None:
    assert memory.available_bytes(torch.device("cpu")) > 1e6
    assert memory.needed_bytes(1024, 1024) < 1.5e9  # what the whole run may take
    assert memory.needed_bytes(2048, 2048) < 4 * memory.needed_bytes(1024, 1024)
