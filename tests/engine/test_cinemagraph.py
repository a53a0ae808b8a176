"""The finished loop."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import stylecine
from stylecine import (
    Animator,
    Cancelled,
    Cinemagraph,
    OptionError,
    OutputError,
    Scene,
    StylecineWarning,
    VideoError,
    animate,
)
from stylecine.ops.image import to_tensor
from stylecine.ops.readback import read_back
from stylecine.options import CLASSES
from stylecine.output.metadata import read_report
from stylecine.output.video import read_video
from stylecine.perception.look import perceive
from stylecine.picture.photo import load_photo
from tests.ops.test_readback import CUDA, Gpu
from tests.output.test_origin import photo as photo_of_a_camera
from tests.seen import Everywhere, saying

RIGHT = Everywhere(1, 0)


@pytest.fixture(scope="module")
def rendered(scene: Scene, water: np.ndarray, drift: np.ndarray, animator: Animator) -> Cinemagraph:
    return animator.render(scene, mask=water, motion=drift, seconds=1.2, fps=10)


@pytest.fixture
def loop(rendered: Cinemagraph) -> Cinemagraph:
    """A new object for each test, with nothing measured or saved yet."""
    return replace(rendered, timings=dict(rendered.timings))


def test_a_loop_shows_itself_in_one_line(loop: Cinemagraph) -> None:
    size = f"{loop.width}x{loop.height}"
    assert repr(loop) == f"<Cinemagraph {size}, {len(loop)} frames, {loop.fps:g} fps, of {loop.scene!r}>"


def test_time_is_periodic(loop: Cinemagraph) -> None:
    assert len(loop) == 12
    assert np.array_equal(loop[12], loop[0])
    assert np.array_equal(loop[-1], loop[11])
    assert np.array_equal(loop[27.25], loop[3.25])
    assert not np.array_equal(loop[3.5], loop[3])
    for t in (float("nan"), float("inf")):
        with pytest.raises(IndexError, match="finite"):
            loop[t]


def test_a_slice_is_a_list_of_frames(loop: Cinemagraph) -> None:
    frames = loop[0:3]
    assert [np.array_equal(frame, loop[t]) for t, frame in enumerate(frames)] == [True] * 3
    assert len(loop[::5]) == 3 and np.array_equal(loop[-1:][0], loop[11])
    with pytest.raises(TypeError, match="A time is a number of frames or a slice"):
        loop["first"]  # type: ignore[call-overload]


@pytest.mark.parametrize("eager", [False, True])
def test_a_gpu_makes_the_next_frames_while_the_caller_has_these(
    loop: Cinemagraph, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    expected, asked, render = list(loop), [], Cinemagraph._render

    def noted(loop: Cinemagraph, times: Sequence[float]) -> list[torch.Tensor]:
        asked.append(times)
        return render(loop, times)

    monkeypatch.setattr(Cinemagraph, "_render", noted)
    Gpu(monkeypatch, eager)
    monkeypatch.setattr("stylecine.engine.cinemagraph.read_back", lambda made, _, ahead: read_back(made, CUDA, ahead))
    frames = iter(loop)
    made = [next(frames)]
    assert asked == [[0, 1, 2, 3], [4, 5, 6, 7]]
    made += frames
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))


def test_frames_are_pictures(loop: Cinemagraph) -> None:
    frames = list(loop)
    assert len(frames) == 12
    assert all(frame.shape == (72, 96, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.array_equal(frames[5], loop[5])
    frames[0][:] = 0  # a frame is the caller's own
    assert loop[0].max() > 0


def test_measures_are_computed_once_on_demand(loop: Cinemagraph) -> None:
    assert loop.report()["measures"] is None
    assert loop.seam == pytest.approx(1, abs=0.3)
    assert set(loop.pulse) == {"tiles", "global"}
    assert set(loop.moved) == {"error", "travel"}
    assert loop.measures["first_frame_error"] == loop.measures["static_drift"] == 0
    assert loop.measures is loop.measures


def test_the_report_is_json_and_names_the_models(loop: Cinemagraph, small_model: Path) -> None:
    report = json.loads(json.dumps(loop.report(), allow_nan=False))
    assert report["stylecine"] == stylecine.__version__
    assert (report["width"], report["height"], report["frames"], report["fps"]) == (96, 72, 12, 10)
    assert report["photo"] is None  # it was given as pixels
    assert report["model"]["name"] == small_model.name
    roles = {"generator", "encoder", "eye", "refiner", "cloth", "normals", "finder"}
    assert set(report["model"]["weights"]) == roles
    assert {"python", "torch", "numpy", "Pillow", "av", "native", "platform"} == set(report["versions"])
    assert set(report["seconds"]) == set(loop.timings)
    assert report["warning"] == (loop.warning or None)
    assert report["measures"] is None  # nobody has asked for them yet
    _ = loop.seam
    assert loop.report()["measures"]["seam"] == loop.seam


def test_report_has_the_settings_of_the_call(photo_file: Path, small_model: Path, water: np.ndarray) -> None:
    given = {"size": (96, 72), "seed": 4, "seconds": 0.4, "fps": 10, "arrows": [(0.5, 0.75, 0.625, 0.75)]}
    report = animate(photo_file, mask=water, model=small_model, device="cpu", **given).report()
    assert report["settings"] == {
        "size": "96x72",
        "refine": 0,
        "seed": 4,
        "mask": "given",
        "motion": "found",
        "arrows": ["0.5,0.75,0.625,0.75"],
        "seconds": 0.4,
        "fps": 10,
        "pace": "natural",
        "speed": 1.0,
        "warp": "msdfw",
        "sampling": "gather",
        "detail": 1.0,
    }
    assert report["photo"] == {"name": "photo.png", "sha256": sha256(photo_file.read_bytes()).hexdigest()}


def test_report_lists_the_edits(loop: Cinemagraph, animator: Animator) -> None:
    scene = loop.scene.anchor((0.25, 0.5)).speed("water", 2)
    edited = animator.render(scene, mask=np.ones((8, 8)), seconds=0.2)
    assert edited.report()["edits"] == ["--anchor 0.25,0.5@0.1", "--speed water=2"] and loop.report()["edits"] == []


def test_the_report_is_json_with_any_type_of_number(loop: Cinemagraph) -> None:
    odd = {"seconds": np.float32(1.5), "fps": Fraction(25, 2), "speed": np.int64(2)}
    report = replace(loop, fps=Fraction(25, 2), settings={**loop.settings, **odd}).report()  # type: ignore[arg-type]
    settings = json.loads(json.dumps(report))["settings"]
    assert (report["fps"], settings["seconds"], settings["fps"], settings["speed"]) == (12.5, 1.5, 12.5, 2)


def test_save_writes_the_loop(loop: Cinemagraph, tmp_path: Path) -> None:
    info = loop.save(tmp_path / "loop.mp4", repeat=2)
    frames, fps = read_video(tmp_path / "loop.mp4")
    assert (info.width, info.height) == (96, 72)
    assert frames.shape == (24, 72, 96, 3) and fps == 10
    assert np.abs(frames[0].astype(int) - loop[0]).mean() < 6
    assert loop.timings["video"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["loop.mp4"]


def test_a_duration_and_key_frames_reach_the_video(loop: Cinemagraph, tmp_path: Path) -> None:
    once = loop.save(tmp_path / "once.mp4")
    info = loop.save(tmp_path / "loop.mp4", duration="3s", keyframes="all")
    assert info.frames == 3 * once.frames and info.bytes > 4 * once.bytes


@pytest.mark.parametrize("name", ["loop.livephoto", "loop.MP.jpg"])
def test_a_photo_that_moves_shows_the_photo_and_the_loop(
    loop: Cinemagraph, photo: np.ndarray, tmp_path: Path, name: str
) -> None:
    info = loop.save(tmp_path / name)
    frames, fps = read_video(tmp_path / name)
    assert info.frames == len(frames) == 24 and fps == 10  # two loops of 1.2 s
    assert np.abs(frames[:12].astype(int) - list(loop)).mean() < 6
    shown = load_photo(tmp_path / ("loop.livephoto.jpg" if name == "loop.livephoto" else name))
    assert np.abs(shown.astype(int) - photo).mean() < 1.5


def test_saving_can_be_cancelled_and_leaves_nothing(
    scene: Scene, water: np.ndarray, animator: Animator, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int) -> bool:
        return not (stage == "video" and done == 3)

    loop = animator.render(scene, mask=water, seconds=1, fps=10, progress=stop)
    with pytest.raises(Cancelled, match=r"^Cancelled while rendering frames\.$"):
        loop.save(tmp_path / "loop.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        *("loop.mp4", "loop.webm", "loop.mov", "loop.gif", "loop.webp", "loop.avif", "loop.apng"),
        *("loop.html", "loop.wav", "loop.png", "loop.livephoto", "loop.livephoto.zip", "loop.MP.jpg", "frames"),
    ],
)
def test_saving_reports_its_progress_and_leaves_nothing_if_cancelled_at_any_time(
    loop: Cinemagraph, tmp_path: Path, name: str
) -> None:
    seen: list[tuple[str, int, int]] = []
    loop.save(tmp_path / name, progress=lambda *step: seen.append(step))
    total = seen[0][2]
    assert seen[0] == ("video", 0, total) and seen[-1] == ("video", total, total) and seen == sorted(seen)
    assert len(seen) > 2 or name == "loop.png", "it can be cancelled after the last frame, or the sound, is made"
    for moment in {0, (len(seen) - 1) // 2, len(seen) - 2}:
        (folder := tmp_path / f"{moment}").mkdir()
        reports = iter([True] * moment)
        with pytest.raises(Cancelled, match=r"^Cancelled while rendering frames\.$"):
            loop.save(folder / name, progress=lambda *_: next(reports, False))  # noqa: B023
        assert not list(folder.iterdir())
    (folder := tmp_path / "late").mkdir()
    reports = iter([True] * (len(seen) - 1))
    loop.save(folder / name, progress=lambda *_: next(reports, False))
    assert list(folder.iterdir()), "it is too late to cancel once the file is in place"


def test_save_needs_a_folder(loop: Cinemagraph, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        loop.save(tmp_path / "missing" / "loop.mp4")
    with pytest.raises(OutputError, match="has no name"):
        loop.save("")
    for wrong in (None, 3, b"loop.mp4"):
        with pytest.raises(OutputError, match=f"{wrong!r} is not a path; give text"):
            loop.save(wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="progress is a function of stage, done and total, not 3"):
        loop.save(tmp_path / "loop.mp4", progress=3)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


ANIMATED = ["loop.gif", "loop.webp", "loop.avif", "loop.apng"]


MOVING_PHOTOS = ["loop.livephoto", "loop.MP.jpg"]


@pytest.mark.parametrize(
    "name", ["loop.mp4", "loop.webm", "loop.mov", "loop.gif", "loop.webp", "loop.apng", *MOVING_PHOTOS, "loop.png"]
)
def test_the_report_is_embedded_on_request(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    loop.save(tmp_path / name)
    with pytest.raises(VideoError, match="no report"):
        read_report(tmp_path / name)
    loop.save(tmp_path / name, embed_report=True)
    if name == "loop.livephoto":
        assert read_report(tmp_path / name) == read_report(tmp_path / "loop.livephoto.mov")
    expected = json.loads(json.dumps(loop.report()))
    assert read_report(tmp_path / name) | {"seconds": None} == expected | {"seconds": None}  # saving takes some


WRONG = [("loop.mp4", {"quality": 52}), ("loop.gif", {"repeat": 2}), ("frames", {})]


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_impossible_options_are_reported_before_any_work(
    loop: Cinemagraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: dict[str, Any]
) -> None:
    monkeypatch.setattr(Cinemagraph, "report", lambda _: pytest.fail("the report was made"))
    with pytest.raises(OptionError):
        loop.save(tmp_path / name, embed_report=True, **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["loop.mp4", "loop.MP.jpg"])
def test_date_place_and_camera_of_the_photo_are_kept_only_if_asked(
    tmp_path: Path, small_model: Path, name: str
) -> None:
    photo = tmp_path / "lake.jpg"
    photo.write_bytes(photo_of_a_camera())
    motion = np.full((2, 64, 64), 0.5, np.float32)
    loop = animate(photo, model=small_model, motion=motion, seconds=0.5, fps=10)
    for kept in (False, True):
        loop.save(tmp_path / name, keep_metadata=kept)
        content = (tmp_path / name).read_bytes()
        for fact in (b"NIKON", b"D750", b"+46.5581-008.5611", b"2024"):
            assert (fact in content) == kept, fact


def test_a_poster_is_the_first_frame(loop: Cinemagraph, photo: np.ndarray, tmp_path: Path) -> None:
    info = loop.save(tmp_path / "loop.png")
    assert (info.width, info.height, info.frames, info.codec) == (96, 72, 1, "png")
    with Image.open(tmp_path / "loop.png") as poster:
        assert np.array_equal(np.asarray(poster), photo)


@pytest.mark.parametrize("name", ANIMATED)
def test_an_animated_picture_shows_the_loop(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    info = loop.save(tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        shown = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)])
    assert shown.shape == (info.frames, 72, 96, 3) == (12, 72, 96, 3) and info.fps == 10
    assert np.abs(shown.astype(int) - list(loop)).mean() < 6


def test_a_gif_is_rendered_for_the_times_at_which_it_shows(loop: Cinemagraph, tmp_path: Path) -> None:
    fast = replace(loop, fps=30)
    asked: list[float] = []

    class Listening(Cinemagraph):
        def frames(self, times: Sequence[float]) -> Iterator[np.ndarray]:
            asked.extend(times)
            return super().frames(times)

    Listening(**{name: getattr(fast, name) for name in fast.__dataclass_fields__}).save(tmp_path / "loop.gif")
    assert asked[-12:][:4] == pytest.approx([0, 0.9, 2.1, 3])


def test_a_folder_has_every_frame_exactly(loop: Cinemagraph, tmp_path: Path) -> None:
    info = loop.save(tmp_path / "frames")
    files = sorted((tmp_path / "frames").iterdir())
    assert info.frames == len(files) == 12
    for file, frame in zip(files, loop, strict=True):
        with Image.open(file) as picture:
            assert np.array_equal(np.asarray(picture), frame)


@pytest.mark.parametrize("name", ["loop.mp4", "loop.webm", "loop.mov", *ANIMATED, *MOVING_PHOTOS, "loop.png", "frames"])
def test_a_crop_is_cut_out_of_every_format(loop: Cinemagraph, tmp_path: Path, name: str) -> None:
    info = loop.save(tmp_path / name, crop="1:1@1,0")
    assert (info.width, info.height, info.window) == (72, 72, (24, 0, 72, 72))
    if name == "loop.png":
        with Image.open(tmp_path / name) as poster:
            assert np.array_equal(np.asarray(poster), loop[0][:, 24:])


def test_a_crop_keeps_the_motion_and_has_even_sides_in_a_video(loop: Cinemagraph, tmp_path: Path) -> None:
    """Only the lower 32 of 72 rows move: a wide window goes down to them."""
    info = loop.save(tmp_path / "loop.mp4", crop="3:1")
    assert info.window and info.window[1] >= 36 and info.window[2:] == (96, 32) == (info.width, info.height)
    odd = loop.save(tmp_path / "loop.webp", crop="7:3")
    assert odd.window and odd.window[2:] == (96, 41) == (odd.width, odd.height)
    assert loop.save(tmp_path / "loop.mp4", crop="7:3").height == 40
    with pytest.raises(OptionError, match="shape like 9:16"):
        loop.save(tmp_path / "new.mp4", crop="wide")
    assert not (tmp_path / "new.mp4").exists() and loop.save(tmp_path / "loop.mp4").window is None


# --- when it may disappoint


def test_a_warning_names_the_callers_own_line(photo: np.ndarray, small_model: Path, water: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", progressive=True, quality=95)
    with pytest.warns(StylecineWarning, match="damaged or cut short") as warned:
        loop = animate(file.getvalue()[:-50], mask=water, model=small_model, seconds=0.4)
    assert [Path(warning.filename).name for warning in warned] == ["test_cinemagraph.py"]
    assert str(warned[0].message) == loop.warning == loop.report()["warning"]


def shown_as(picture: np.ndarray, scene: Scene) -> Scene:
    """A scene of which the generator makes this picture."""
    return replace(scene, inversion=replace(scene.latents, reconstruction=picture))


def test_a_plain_sky_gets_a_warning(loop: Cinemagraph) -> None:
    found = replace(loop, settings={**loop.settings, "mask": "found"})
    plain = np.full_like(loop.scene.photo, 250)
    white = replace(found, scene=replace(shown_as(plain, loop.scene), photo=plain))
    assert white.warning.startswith("What moves is nearly plain")
    assert replace(white, settings=loop.settings).warning == ""  # a given mask says what moves
    plain[::4] -= 10
    assert replace(found, scene=replace(shown_as(plain, loop.scene), photo=plain)).warning == ""


def test_a_loop_that_is_almost_still_gets_a_warning(photo: np.ndarray, water: np.ndarray, small_model: Path) -> None:
    said: dict[float, str] = {}
    for speed in (0.001, 10.0):
        loop = animate(photo, mask=water, model=small_model, seconds=0.4, speed=speed)
        known = replace(loop, scene=shown_as(photo, loop.scene), settings={**loop.settings, "mask": "found"})
        said[speed] = known.warning
        assert loop.warning == "", "a given mask says what moves"
    assert said[0.001].startswith("What moves hardly changes, so hardly any motion is seen") and said[10.0] == ""


def test_hardly_any_sky_or_water_gets_a_warning(loop: Cinemagraph) -> None:
    bare = replace(loop, mask=torch.zeros_like(loop.mask), settings={**loop.settings, "mask": "found"})
    assert bare.warning.startswith("Hardly any sky or water was found")
    assert replace(bare, settings=loop.settings).warning == ""  # a given mask says what moves
    painted = bare.scene.paint("water", [[0.5, 0.9]]).edits
    assert replace(bare, edits=painted).warning == ""  # and so does paint
    assert replace(bare, edits=bare.scene.speed("water", 2).edits).warning == bare.warning


def test_a_stroke_that_tears_something_off_gets_a_warning_that_names_the_place(
    animator: Animator, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = torch.tensor([0.95, 0.05, 0, 0, 0])[:, None, None].expand(5, 72, 96)
    monkeypatch.setattr(Animator, "seen", lambda animator, photo, scenery: saying(certain, RIGHT))
    still = replace(scene, layers=torch.zeros_like(scene.layers))
    painted = still.paint("sky", [[0.5, 0.25]], radius=0.2)
    loop = animator.render(painted, seconds=0.4)
    assert re.fullmatch(r"Something static seems to drift with the sky around 0\.[45]\d,0\.[23]\d; .*", loop.warning)
    frozen = painted.paint("water", [[0.5, 0.9]]).paint(None, [[0.5, 0.25]], "freeze", radius=0.3)
    assert animator.render(frozen, seconds=0.4).warning == ""


def test_water_that_moves_by_half_gets_a_warning_that_names_the_place(
    animator: Animator, scene: Scene, water: np.ndarray
) -> None:
    moving, left = torch.from_numpy(water) * 0.9, slice(0, 40)
    moving[:, left] *= 0.5
    layers = torch.zeros_like(scene.layers)
    layers[CLASSES.index("water")] = (moving > 0.5).float()
    likely = torch.stack([1 - moving, *(moving * (name == "water") for name in CLASSES)])
    scenery = perceive(to_tensor(scene.photo), layers, saying(likely, RIGHT))
    half = replace(scene, layers=layers, scenery=scenery)
    warning = animator.render(half, seconds=0.4).warning
    assert re.search(r"Part of the water may be left out, around 0\.[12]\d,0\.[78]\d; paint over what", warning)
    whole = half.paint("water", [[0.1, 0.8], [0.4, 0.8]], radius=0.2)
    assert "left out" not in animator.render(whole, seconds=0.4).warning


def test_every_warning_is_said_and_the_worst_first(loop: Cinemagraph) -> None:
    assert loop.loop is not None and not loop.warning
    torn, still = "Something static seems to drift with the sky.", "Cloth may be here and stand still."
    found = {**loop.settings, "mask": "found"}
    hardly = replace(loop, settings=found, mask=torch.zeros_like(loop.mask))
    assert hardly.warning.startswith("Hardly any sky or water was found")
    several = replace(hardly, mask_warning=torn, cloth_warning=still)
    assert several.warning == f"{torn} {hardly.warning} {still}"
    assert replace(several, loop=None).warning == f"{torn} {still}", "without a landscape there is nothing to find"


def test_another_appearance_keeps_its_own_times(loop: Cinemagraph, tmp_path: Path) -> None:
    other = loop.styled(torch.zeros(2, 3, 3, 4, 4), 1.0, False)
    before = dict(loop.timings)
    other.save(tmp_path / "other.mp4")
    assert loop.timings == before and other.timings["video"] > 0
