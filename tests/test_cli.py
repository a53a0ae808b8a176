"""The command line: what it writes, what it prints, how it ends."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stylecine
from stylecine.cli import main
from stylecine.commands.arguments import with_flags
from stylecine.commands.console import complain
from stylecine.machine.progress import STAGES
from stylecine.output.metadata import read_report
from stylecine.output.video import read_video

WARNING = "stylecine: The photo is damaged or cut short"
CLOSED_OR_FULL = {"2>&-": 0, ">&-": 0, "<&- >&- 2>&-": 0, ">/dev/full": 74, "--json >/dev/full": 74}  # exit codes


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder for the command."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def given(photo_file: Path, mask_file: Path, motion_file: Path, small_model: Path) -> list[str]:
    """`animate PHOTO` with what moves and a short loop."""
    moving = ["--mask", str(mask_file), "--motion", str(motion_file)]
    short = ["--seconds", "0.8", "--fps", "10", "--device", "cpu"]
    return ["animate", str(photo_file), *moving, "--model", str(small_model), *short]


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_animate_writes_a_video_beside_nothing_else(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 0
    out, err = printed(capsys)
    assert out.startswith("photo.mp4: 96x72, 8 frames") and out.count("\n") == 1
    assert err == ""
    assert [path.name for path in work.iterdir()] == ["photo.mp4"]
    frames, fps = read_video(work / "photo.mp4")
    assert frames.shape == (8, 72, 96, 3) and fps == 10


def test_json_is_one_object_with_the_promised_keys(
    given: list[str], work: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", "loop.mp4", "--json"]) == 0
    out, err = printed(capsys)
    figures = json.loads(out)
    assert list(figures) == [
        "output",
        "width",
        "height",
        "frames",
        "fps",
        "seam",
        "pulse",
        "moved",
        "vividness",
        "vividness_moving",
        "malf",
        "static_drift",
        "first_frame_error",
        "encoded",
        "warning",
        "seconds",
        "peak_rss_mb",
        "model",
        "device",
    ]
    assert figures["output"] == "loop.mp4"
    assert (figures["width"], figures["height"], figures["frames"], figures["fps"]) == (96, 72, 8, 10)
    assert figures["static_drift"] == figures["first_frame_error"] == 0
    assert 0 <= figures["vividness"] <= figures["vividness_moving"] <= 1 and figures["malf"] > 0
    assert set(figures["encoded"]) == {"seam_encoded", "pulse_encoded", "vividness_encoded"}
    stages = figures["seconds"]
    total = stages.pop("total")
    assert sum(stages.values()) <= total + 0.01
    assert {"import", "photo", "mask", "motion", "plate", "loop", "video"} <= set(stages)
    assert figures["device"] == "cpu" and figures["peak_rss_mb"] > 10
    assert figures["warning"] is None and err == ""


def test_a_file_that_memory_has_no_room_for_is_reported_without_being_measured(
    given: list[str], work: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stylecine.output.video.available_bytes", lambda _: 0)
    assert main([*given, "-o", "loop.mp4", "--json"]) == 0
    assert json.loads(printed(capsys)[0])["encoded"] is None


def test_every_option_reaches_the_loop(
    photo_file: Path, work: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}

    def animate(photo: Path, **options: object) -> None:
        seen.update(options, photo=photo)
        raise stylecine.NothingMoves("Enough seen.")

    monkeypatch.setattr("stylecine.engine.pipeline.animate", animate)
    for name in ("m.png", "v.npy"):
        Path(name).touch()
    arguments = (
        f"animate {photo_file} --subject auto --wind 270,0.6 --mask m.png --motion v.npy"
        " --arrow 0.1,0.2,0.3,0.2 --arrow 0.5,.5,.6,.7"
        " --pace lively --speed 1.5 --seconds 3 --fps 24 --size 640x480 --warp pixel --sampling gather --detail 0.5"
        " --style dusk --style-strength 0.8 --style-drift --weather rain --weather-strength 0.7"
        f" --refine 7 --seed 9 --model {small_model} --device cpu"
    )
    assert main(arguments.split()) == 2
    seen.pop("progress")
    assert seen == {
        "photo": photo_file,
        "subject": "auto",
        "wind": (270, 0.6),
        "mask": Path("m.png"),
        "motion": Path("v.npy"),
        "arrows": [(0.1, 0.2, 0.3, 0.2), (0.5, 0.5, 0.6, 0.7)],
        "pace": "lively",
        "speed": 1.5,
        "seconds": 3.0,
        "fps": 24.0,
        "size": (640, 480),
        "warp": "pixel",
        "sampling": "gather",
        "detail": 0.5,
        "style": "dusk",
        "style_strength": 0.8,
        "style_drift": True,
        "weather": "rain",
        "weather_strength": 0.7,
        "refine": 7,
        "seed": 9,
        "model": str(small_model),
        "device": "cpu",
    }


@pytest.mark.parametrize(("size", "shape"), [("64", "84x64"), ("80x64", "80x64"), ("own", "96x72"), ("4000", "96x72")])
def test_sizes(given: list[str], work: Path, size: str, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    """85 x 64 would be nearest to the photo's shape; H.264 wants even sizes."""
    assert main([*given, "--size", size]) == 0
    assert shape in printed(capsys)[0]


def test_repeat_and_quality(given: list[str], work: Path) -> None:
    assert main([*given, "-o", "short.mp4", "--quality", "40"]) == 0
    assert main([*given, "-o", "long.mp4", "--repeat", "3"]) == 0
    assert len(read_video(work / "long.mp4")[0]) == 3 * len(read_video(work / "short.mp4")[0])


def test_a_duration_and_key_frames(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main([*given, "-o", "long.mp4", "--duration", "2.5s", "--keyframes", "all"]) == 0
    assert printed(capsys)[0].startswith("long.mp4: 96x72, 32 frames, ")  # four loops of 0.8 s
    assert "lasts 3.2 s instead of 2.5" in caplog.text


def test_a_live_photo_is_named_by_its_two_files(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", "my.livephoto", "--embed-report"]) == 0
    assert printed(capsys)[0].startswith("my.livephoto.jpg and my.livephoto.mov: 96x72, 32 frames, ")
    assert sorted(path.name for path in work.iterdir()) == ["my.livephoto.jpg", "my.livephoto.mov"]
    assert main(["measure", "my.livephoto"]) == main(["report", "my.livephoto"]) == 0
    printed(capsys)
    (work / "my.livephoto.jpg").unlink()
    assert main(["measure", "my.livephoto"]) == 2
    assert "copy both files" in printed(capsys)[1]


def test_a_preset_changes_what_is_not_given(given: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Live Photo contains the whole loops that come nearest to 3 s: at 60 frames per second, twice 1.5 s."""
    photo_and_model = given[: given.index("--seconds")]
    options = "--preset wallpaper --seconds 1.5 --size 96x128 -o my.livephoto"
    assert main([*photo_and_model, *options.split()]) == 0
    assert printed(capsys)[0].startswith("my.livephoto.jpg and my.livephoto.mov: 96x128, 180 frames, ")


def test_the_photo_of_a_live_photo_is_not_overwritten(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", "my.livephoto"]) == 0
    before = (work / "my.livephoto.jpg").read_bytes()
    assert main(["animate", "my.livephoto.jpg", *given[2:], "-o", "my.livephoto"]) == 2
    assert "'my.livephoto.jpg' is the photo itself" in printed(capsys)[1]
    assert (work / "my.livephoto.jpg").read_bytes() == before


@pytest.mark.parametrize("name", ["loop.gif", "loop.webp", "loop.avif", "loop.apng", "frames"])
def test_other_formats_and_crops(given: list[str], work: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([*given, "-o", name, "--crop", "1:1@0.5,0.5"]) == 0
    assert printed(capsys)[0].startswith(f"{name}: 72x72, 8 frames")
    assert [path.name for path in work.iterdir()] == [name]
    if name == "frames":
        assert main(["animate", *given[1:], "-o", "frames"]) == 2  # that is not empty now


def test_what_editors_need(given: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "--format", "prores", "--layer", "moving", "--depth", "16", "--aov", "aov"]) == 0
    assert printed(capsys)[0].startswith("photo.mov: 96x72, 8 frames")
    assert sorted(path.name for path in (work / "aov").iterdir()) == [
        "mask.exr", "mask.npy", "motion.exr", "motion.npy"
    ]  # fmt: skip
    assert main([*given, "-o", "again.webm", "--mask", "aov/mask.npy", "--motion", "aov/motion.npy"]) == 0
    assert main([*given, "-o", "loop.mp4", "--format", "prores"]) == 2
    assert "'loop.mp4' does not end in .mov" in printed(capsys)[1]
    assert main([*given, "--format", "avi"]) == 2 and "'avi' is not one of mp4, webm, mov" in printed(capsys)[1]


def test_a_codec_is_chosen_by_name(given: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "-o", "loop.webm", "--codec", "vp9"]) == 0
    assert main([*given, "-o", "loop.webm", "--codec", "h264"]) == 2
    assert "does not fit 'loop.webm'" in printed(capsys)[1]


def test_one_bar_shows_the_progress_of_the_whole(given: list[str], work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    assert main(given) == 0
    shown = [(stage, int(share)) for stage, share in re.findall(r"([\w ]+): +(\d+)%", terminal.getvalue())]
    assert {STAGES[name].sentence for name in ("mask", "plate", "video")} <= {stage for stage, _ in shown}
    shares = [share for _, share in shown]
    assert shares == sorted(shares) and shares[0] < 5 and max(shares) <= 100
    before = [share for stage, share in shown if stage != STAGES["video"].sentence]
    assert max(before) < 60, "writing the file takes longest"


def test_an_impossible_output_is_reported_before_any_work(
    given: list[str], work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stylecine.engine.pipeline.animate", lambda *_, **__: pytest.fail("work was done"))
    output = ("-o loop.png --quality 20", "-o loop.gif --repeat 2", "-o frames --embed-report", "-o loop.tiff")
    for wrong in ("--quality 52", "--repeat 0", "--crop wide", "--codec x", "--fps 0.001 --seconds 3000", *output):
        assert main([*given, *wrong.split()]) == 2
        assert "Internal" not in printed(capsys)[1]
    Image.new("RGB", (16400, 80)).save(given[1])
    assert main([*given, "--size", "own", "-o", "loop.webp"]) == 2
    assert "holds at most 16383 a side; ask for size 79 or less" in printed(capsys)[1]
    assert not list(work.iterdir())


def test_what_is_missing_of_a_photo_is_told(
    given: list[str], photo: np.ndarray, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = io.BytesIO()
    Image.fromarray(photo).save(content, "PNG")
    Path(given[1]).write_bytes(content.getvalue()[:-200])
    for made in (given, ["scene", given[1], *given[given.index("--model") :][:2], "--device", "cpu"]):
        assert main(made) == 0
        assert "of its 72 rows are missing; copy or download it again." in printed(capsys)[1]
    assert main([*given, "--json"]) == 0
    assert "of its 72 rows are missing" in json.loads(printed(capsys)[0])["warning"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_a_name_that_is_not_unicode_is_printed(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", os.fsdecode(b"caf\xe9.mp4")]) == 0
    assert printed(capsys)[0].startswith(r"caf\udce9.mp4: 96x72")
    assert os.listdir(os.fsencode(work)) == [b"caf\xe9.mp4"]


def test_preview_writes_pictures(given: list[str], work: Path) -> None:
    assert main([*given, "--preview", "look"]) == 0
    pictures = sorted((work / "look").iterdir())
    assert [path.name for path in pictures] == ["difference.png", "mask.png", "motion.png", "sheet.png", "slice.png"]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width >= 64


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((1, ""), "argument PHOTO: the path is empty; give one"),
        ((1, "."), "is a folder"),
        ((-1, "cpu", "-o", ""), "argument -o/--output: the path is empty; give one"),
        ((-1, "cpu", "--mask", ""), "argument --mask: the path is empty; give one"),
        ((1, "https://example.com/a.jpg"), "'https://example.com/a.jpg' is an address; download the file"),
        ((1, "scene.cine"), "'scene.cine' is a scene, not a photo; use `stylecine render`"),
    ],
    ids=str,
)
def test_what_is_no_photo_or_file_is_named(
    given: list[str], work: Path, changes: tuple[int, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place, *values = changes
    given[place:] = [*values, *(given[place + 1 :] if place > 0 else [])]
    assert main(given) == 2
    assert says in printed(capsys)[1] and not list(work.iterdir())


def test_the_command_alone_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out, err = printed(capsys)
    assert out.startswith("usage: stylecine") and "makes a loop from a photo" in out and not err


def test_a_bad_photo_is_one_line_and_leaves_nothing(
    tmp_path: Path, work: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_text("Not a photo at all, whatever its name says.")
    assert main(["animate", str(tmp_path / "bad.jpg"), "--model", str(small_model)]) == 2
    out, err = printed(capsys)
    assert out == "" and err.startswith("stylecine: ") and err.count("\n") == 1
    assert not list(work.iterdir())


def test_messages_are_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain("made with 'x\n\x1b[31mall is lost\x1b]0;\x07' and 'caf\udce9'", 2) == 2
    escaped = r"made with 'x \x1b[31mall is lost\x1b]0;\x07' and 'caf\udce9'"
    assert capsys.readouterr().err == f"stylecine: {escaped}\n"


def test_control_characters_of_the_outputs_name_are_escaped(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", "a\x1b[31m\n.gif"]) == 0
    assert printed(capsys)[0].startswith("a\\x1b[31m\\n.gif: 96x72")
    assert main(["scene", given[1], "-o", "b\x07.cine", *given[-2:], *given[given.index("--model") :][:2]]) == 0
    assert printed(capsys)[0].startswith("b\\x07.cine: 96x72")


def test_the_photo_is_never_overwritten(photo_file: Path, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = photo_file.read_bytes()
    assert main([*given, "-o", str(photo_file)]) == 2
    assert "itself" in printed(capsys)[1]
    assert photo_file.read_bytes() == before


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["--mask", "mask.png"], ["-o", "mask.png"]),
        (["--style", "look.png"], ["-o", "look.png"]),
        (["--mask", "mask.png"], ["-o", "loop.mp4", "--preview", "."]),
        ([], ["-o", "difference.png", "--preview", "."]),
    ],
    ids=str,
)
def test_no_input_is_overwritten(
    inputs: list[str],
    outputs: list[str],
    given: list[str],
    mask_file: Path,
    work: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("mask.png", "look.png"):
        (work / name).write_bytes(mask_file.read_bytes())
    assert main([*given, *inputs, *outputs]) == 2
    assert "choose another output" in printed(capsys)[1]
    assert {path.name: path.read_bytes() for path in work.iterdir()} == dict.fromkeys(
        ("mask.png", "look.png"), mask_file.read_bytes()
    )


def test_the_default_name_replaces_no_film(given: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "photo.mp4").write_bytes(b"the camera's own")
    assert main(given) == 0
    assert printed(capsys)[0].startswith("photo-2.mp4: 96x72")
    assert (work / "photo.mp4").read_bytes() == b"the camera's own"


def test_a_bug_is_one_line_and_exit_code_one(
    given: list[str], work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("stylecine.engine.pipeline.animate", broken)
    assert main(given) == 1
    err = printed(capsys)[1]
    assert "Internal error" in err and "first line" in err and err.count("\n") == 1
    monkeypatch.setenv("STYLECINE_DEBUG", "1")
    assert main(given) == 1
    assert "Traceback" in printed(capsys)[1]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_where_memory_runs_out_it_is_said(
    error: Exception, given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("stylecine.engine.pipeline.animate", exhausted)
    assert main(given) == 2
    assert printed(capsys)[1].startswith("stylecine: Memory ran out; ask for a smaller --size")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
@pytest.mark.parametrize("command", [["models"], ["models", "--json"], ["--help"]], ids=str)
def test_a_reader_that_leaves_early_is_no_bug(command: list[str]) -> None:
    """As in `stylecine models | true`."""
    read, write = os.pipe()
    os.close(read)
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    with open(write, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "stylecine", *command], stdout=pipe, stderr=subprocess.PIPE, env=place
        )
    assert done.returncode in (0, 141) and done.stderr == b""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX shells")
@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("models >&-", 0, "", ""),
        ("models <&- >&- 2>&-", 0, "", ""),
        ("animate missing.jpg 2>&-", 2, "", ""),
        ("animate missing.jpg 2>/dev/full", 2, "", ""),
        ("models --json >/dev/full", 74, "", "stylecine: Standard output cannot be written (No space left on device);"),
    ],
)
def test_streams_that_are_closed_or_full(command: str, code: int, out: str, err: str) -> None:
    done = in_shell(command)
    assert (done.returncode, done.stdout) == (code, out)
    assert done.stderr.startswith(err) and done.stderr.count("\n") == bool(err), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX shells")
def test_the_loop_stands_though_nothing_can_be_printed(given: list[str], work: Path) -> None:
    usual = in_shell(f"{shlex.join(given)} -o usual.mp4")
    assert usual.returncode == 0, usual.stderr
    for streams, code in CLOSED_OR_FULL.items():
        done = in_shell(f"{shlex.join(given)} -o loop.mp4 {streams}")
        assert done.returncode == code, f"{streams}: {done.stderr}"
        assert done.stderr.count("\n") == bool(code) and "Internal" not in done.stderr, streams
        assert (work / "loop.mp4").read_bytes() == (work / "usual.mp4").read_bytes(), streams
        (work / "loop.mp4").unlink()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of addresses")
@pytest.mark.parametrize(("kilobytes", "says"), [(1_300_000, "free some memory"), (3_000_000, "use size=")])
def test_a_loop_that_a_limit_leaves_no_room_for_is_refused(
    kilobytes: int, says: str, work: Path, small_model: Path
) -> None:
    sky = np.linspace(40, 220, 4096)[:, None, None]
    Image.fromarray(np.uint8(np.broadcast_to(sky, (4096, 4096, 3)))).save(work / "large.jpg")
    done = in_shell(f"animate large.jpg --size own --model {small_model}", before=f"ulimit -v {kilobytes}; ")
    assert done.returncode == 2 and "4096x4096 needs about 5.8 GB" in done.stderr and says in done.stderr
    assert [path.name for path in work.iterdir()] == ["large.jpg"]


def in_shell(command: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    place.pop("PYTHONUNBUFFERED", None)
    program = f"{before}{shlex.quote(sys.executable)} -m stylecine {command}"
    return subprocess.run(["sh", "-c", program], capture_output=True, text=True, env=place)


def test_interrupt_is_130(
    given: list[str], work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stylecine.engine.pipeline.animate", interrupted)
    assert main(given) == 130
    assert printed(capsys)[1].count("\n") == 1


def test_measure_distinguishes_a_loop_from_a_cut(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "--seconds", "2", "-o", "loop.mp4"]) == 0
    printed(capsys)
    assert main(["measure", "loop.mp4"]) == 0
    assert "seam" in printed(capsys)[0]
    assert main(["measure", "loop.mp4", "--json"]) == 0
    figures = json.loads(printed(capsys)[0])
    assert figures["frames"] == 20 and figures["fps"] == 10
    assert 0.5 < figures["seam"] < 2 and figures["seconds"] > 0
    assert main(["measure", "missing.mp4"]) == 2


def test_the_measuring_of_a_video_has_a_bar(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*given, "-o", "loop.mp4"]) == 0
    shown: list[tuple[str, int, int]] = []
    bar = nullcontext(lambda *step: shown.append(step))
    monkeypatch.setattr("stylecine.commands.measure.progress_bar", lambda _: bar)
    assert main(["measure", "loop.mp4"]) == 0
    assert {stage for stage, _, _ in shown} == {"measures"} and shown[0][1] == 0
    assert (shown[1][1:], shown[-2][1:]) == ((1, 8), (8, 8)), "each frame is a step"
    assert re.search(r"^seconds +\d", printed(capsys)[0], re.M)


def test_one_picture_is_not_measured(photo_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(photo_file)]) == 2
    assert "has only one frame" in printed(capsys)[1]


def test_a_webm_is_measured_and_its_report_printed(
    given: list[str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "-o", "loop.webm", "--embed-report"]) == 0
    printed(capsys)
    assert main(["measure", "loop.webm", "--json"]) == 0
    figures = json.loads(printed(capsys)[0])
    assert (figures["frames"], figures["fps"]) == (8, 10)
    assert main(["report", "loop.webm"]) == 0
    report = json.loads(printed(capsys)[0])
    assert report["photo"]["name"] == "photo.png" and report["settings"]["mask"] == "given"


def test_a_poster_is_one_frame(given: list[str], work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "-o", "loop.png"]) == 0
    assert printed(capsys)[0].startswith("loop.png: 96x72, 1 frame, ")
    assert main(["report", "loop.png"]) == 2
    assert "no report" in printed(capsys)[1]


def test_models_lists_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert printed(capsys)[0].startswith("default: 1024x1024")
    assert main(["models", "--json"]) == 0
    assert json.loads(printed(capsys)[0])[0]["name"] == "default"


def test_convert_refuses_other_files(photo_file: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(photo_file), "out.safetensors"]) == 2
    assert printed(capsys)[1].count("\n") == 1
    assert not list(work.iterdir())


def test_doctor_examines_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    findings = json.loads(printed(capsys)[0])
    assert {finding["what"] for finding in findings} >= {
        "PyTorch",
        "video writer",
        "default model",
        "native library",
    }
    assert code == (0 if all(finding["good"] for finding in findings) else 1)
    assert main(["doctor"]) == code
    assert "native library: " in printed(capsys)[0]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("animat", "there is no command 'animat'; did you mean animate? (see stylecine --help)"),
        ("dance", "there is no command 'dance'; use animate, explain, "),
    ],
)
def test_a_command_that_does_not_exist(command: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "photo.jpg"]) == 2
    assert printed(capsys)[1].startswith(f"stylecine: {says}")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--style-drift", "--style-drift goes from the photo to a style and back"),
        ("--style dusk --style-strength 2", "--style-strength must be a number from 0 to 1"),
        ("-o loop.gif --keep-metadata", "; write one of these, or omit --keep-metadata."),
        ("--preset wallpapers", "There is no preset 'wallpapers'; did you mean wallpaper?"),
        ("--pace fast", "pace must be calm, natural or lively, not 'fast'."),
        ("--model defalt", "There is no model or file 'defalt'; did you mean default?"),
        ("--arrow -0.1,0.2,0.3,0.3", "Arrow (-0.1, 0.2, 0.3, 0.3) does not start inside the photo"),
        ("--codec x264 -o loop.mp4", "codec 'x264' does not fit 'loop.mp4'; use h264, h265, h265-10bit, av1 in .mp4"),
    ],
)
def test_errors_speak_of_options_as_they_are_typed(
    given: list[str], work: Path, more: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, *more.split()]) == 2
    assert says in printed(capsys)[1] and not list(work.iterdir())


def test_a_file_whose_name_is_an_options_keeps_it() -> None:
    told = with_flags("'style_drift' is a folder; omit style_drift.")
    assert told == "'style_drift' is a folder; omit --style-drift."


@pytest.mark.parametrize("argv", [["dance"], ["animate"]], ids=str)
def test_wrong_usage_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = printed(capsys)
    assert out == "" and err.count("\n") == 1 and "--help" in err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["b.jpg"], "unexpected argument: b.jpg; for several photos, use stylecine batch (see"),
        (["b.jpg", "c.jpg"], "unexpected arguments: b.jpg c.jpg; for several photos, use stylecine batch (see"),
        (["--secnds", "4"], "there is no option --secnds; did you mean --seconds? (see"),
        (["--sped=4"], "there is no option --sped; did you mean --speed? (see"),
        (["--colour", "red"], "there is no option --colour (see"),
        (["-o", "-"], "argument -o/--output: files are not read from or written to pipes; give a path (see"),
        (
            ["-o", "/dev/stdout"],
            "argument -o/--output: '/dev/stdout' is a device, and loops are written to files; give the path of one"
            " (see",
        ),
        (["--seconds", "4s"], "argument --seconds: '4s' is not a number (see"),
        (["--refine", "1.5"], "argument --refine: '1.5' is not a whole number (see"),
    ],
    ids=str,
)
def test_wrong_usage_is_said_in_words_with_the_help_of_the_command(
    more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", "a.jpg", *more]) == 2
    assert printed(capsys)[1] == f"stylecine: {says} stylecine animate --help)\n"


def test_the_command_is_installed(given: list[str], work: Path) -> None:
    """As a process of its own: one line on either stream."""
    command = [sys.executable, "-m", "stylecine"]
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, env=place)
    assert (version.returncode, version.stdout) == (0, f"stylecine {stylecine.__version__}\n")
    photo = Path(given[1])
    with Image.open(photo) as whole:
        whole.save(photo.with_name("cut.jpg"), progressive=True, quality=95)
    photo.with_name("cut.jpg").write_bytes(photo.with_name("cut.jpg").read_bytes()[:-50])
    given[1] = str(photo.with_name("cut.jpg"))
    done = subprocess.run([*command, *given], capture_output=True, text=True, env=place)
    assert done.returncode == 0 and done.stderr.startswith(WARNING) and done.stderr.count("\n") == 1


PAINT_WATER = ["edit", "photo.cine", "--erase", "0.5,0.5@1", "--add", "water:0,0.9 1,0.9 @0.3"]


def test_a_photo_becomes_a_scene_and_a_scene_is_edited(
    photo_file: Path, small_model: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scene", str(photo_file), "--model", str(small_model), "--device", "cpu"]) == 0
    out, err = printed(capsys)
    assert out.startswith("photo.cine: 96x72, ") and out.count("\n") == 1 and not err
    assert os.listdir() == ["photo.cine"]
    assert main(PAINT_WATER) == 0
    assert printed(capsys)[0] == "photo.cine: 2 edits\n"


@pytest.fixture(scope="module")
def painted_scene(photo: np.ndarray, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .cine file with water painted where the photo shows it."""
    folder = tmp_path_factory.mktemp("scene")
    Image.fromarray(photo).save(folder / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["scene", "photo.png", "--model", str(small_model), "--device", "cpu"]) == 0
        assert main(PAINT_WATER) == 0
    return folder / "photo.cine"


@pytest.fixture
def scene_file(painted_scene: Path, work: Path) -> Path:
    """A copy of that file in the current folder."""
    shutil.copy(painted_scene, "photo.cine")
    return Path("photo.cine")


def test_edits_are_applied_in_the_order_of_the_command_line(
    scene_file: Path, mask_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--freeze", "0.2,0.9", "--arrow", "0.5,0.9,0.6,0.9", "--undo", "--anchor", "0.4,0.8@0.2"]
    faster = ["--speed", "water=2", "--speed", "0.1,0.9 0.2,0.9@0.1=0.5"]
    last = ["--erase", "sky:0.1,0.1", "--freeze", str(mask_file), "--list"]
    assert main(["edit", str(scene_file), *given, *faster, *last, "-o", "other.cine"]) == 0
    assert printed(capsys)[0].splitlines()[2:] == [
        "--freeze '0.2,0.9@0.03'",
        "--anchor 0.4,0.8@0.2",
        "--speed water=2",
        "--speed '0.1,0.9 0.2,0.9@0.1'=0.5",
        "--erase sky:'0.1,0.1@0.03'",
        "--freeze (a mask of 96x32 pixels)",
    ]
    assert main(["edit", str(scene_file)]) == 0
    assert printed(capsys)[0] == "photo.cine: 2 edits\n"


def test_styles_are_edits_by_name_or_photo(
    scene_file: Path, photo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photo_file, "a=1.png")
    given = ("dusk=0.8,drift", "night,drift", "storm", f"{photo_file}=0.5", "a=1.png", "a=1.png=0.3,drift")
    styles = [part for style in given for part in ("--style", style)]
    assert main(["edit", str(scene_file), *styles, "--list", "-o", "other.cine"]) == 0
    assert printed(capsys)[0].splitlines()[2:] == [
        "--style dusk=0.8,drift",
        "--style night=1,drift",
        "--style storm=1",
        "--style 'photo.png'=0.5",
        "--style 'a=1.png'=1",
        "--style 'a=1.png'=0.3,drift",
    ]
    for wrong, says in {
        "dusc": "There is no style 'dusc'; did you mean dusk?",
        "dusk=half": "'dusk=half' is not like dusk, dusk=0.7 or dusk=0.7,drift",
        "dusk=2": "strength must be a number from 0",
    }.items():
        assert main(["edit", str(scene_file), "--style", wrong]) == 2
        err = printed(capsys)[1]
        assert says in err and err.count("\n") == 1


def test_a_scene_is_rendered_with_its_edits(
    scene_file: Path, small_model: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edit", str(scene_file), "--freeze", "0.2,0.8 0.3,0.8@0.1"]) == 0
    printed(capsys)
    short = ["--seconds", "0.4", "--fps", "10", "--device", "cpu", "--model", str(small_model)]
    assert main(["render", str(scene_file), *short, "-o", "frames"]) == 0
    frames = np.stack([np.asarray(Image.open(path)) for path in sorted(Path("frames").iterdir())])
    assert frames.shape == (4, 72, 96, 3)
    assert (frames[:, 54:60, 22:26] == photo[54:60, 22:26]).all() and (frames[2, 50:, 40:] != photo[50:, 40:]).any()
    assert main(["render", str(scene_file), *short, "--json"]) == 0
    assert json.loads(printed(capsys)[0].splitlines()[-1])["output"] == "photo.mp4"


def test_metadata_that_a_scene_does_not_have_are_refused_before_the_work(
    scene_file: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stylecine.engine.animator.Animator.from_pretrained", lambda *_: pytest.fail("work was done"))
    assert main(["render", str(scene_file), "--keep-metadata"]) == 2
    assert "use `stylecine animate --keep-metadata` with the photo" in printed(capsys)[1]


def test_a_scene_is_rendered_as_animate_would_render_it(
    scene_file: Path, mask_file: Path, motion_file: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--seconds", "0.4", "--fps", "10", "--device", "cpu", "--model", str(small_model), "--embed-report"]
    given = ["--mask", str(mask_file), "--motion", str(motion_file), "--arrow", "0.5,0.9,0.6,0.9"]
    assert main(["render", str(scene_file), *short, *given, "--size", "64", "--json", "-o", "photo.gif"]) == 0
    told_json = json.loads(printed(capsys)[0])
    assert (told_json["width"], told_json["height"], told_json["frames"]) == (85, 64, 4)
    settings = read_report(Path("photo.gif"))["settings"]
    assert (settings["mask"], settings["motion"], settings["arrows"]) == ("given", "given", ["0.5,0.9,0.6,0.9"])
    assert main(["render", str(scene_file), "--mask", "nosuch.png", "-o", "x.mp4"]) == 2
    assert "There is no mask at 'nosuch.png'; check the path." in printed(capsys)[1] and not Path("x.mp4").exists()


def test_json_counts_the_edits_of_the_file(
    scene_file: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = ["render", str(scene_file), "--seconds", "0.4", "--device", "cpu", "--model", str(small_model), "--json"]
    for more, frames, fps in (
        (["--fps", "10", "--repeat", "3", "-o", "x.mp4"], 12, 10),
        (["--fps", "60", "-o", "x.gif"], 20, 50),
        (["-o", "x.png"], 1, 0),
    ):
        assert main([*loop, *more]) == 0
        facts = json.loads(printed(capsys)[0])
        assert (facts["frames"], facts["fps"]) == (frames, fps)


def test_a_scene_whose_model_is_missing_is_still_rendered(scene_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(scene_file), "--seconds", "0.4", "--fps", "10", "-o", "x.png"]) == 0
    err = printed(capsys)[1]
    assert err.startswith("stylecine: The scene was made with the model 'small-model") and "'default'" in err
    assert main(["render", str(scene_file), "--warp", "dfw", "-o", "y.png"]) == 2
    assert "warp dfw needs them" in printed(capsys)[1] and not Path("y.png").exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--freeze", "0.1"], "neither a stroke like '0.4,0.6 0.5,0.6 @0.03'"),
        (["--freeze", "nosuch.png"], "'nosuch.png' is neither a stroke"),
        (["--freeze", "0.5, 0.5 0.6, 0.6"], "where no space follows a comma, nor a file that exists"),
        (["--freeze", "sky:0.5,0.5"], "but all is frozen; leave it out, or use --erase"),
        (["--freeze", "0.5,0.5@"], "neither a stroke"),
        (["--freeze", ""], "neither a stroke"),
        (["--add", "0.1,0.2"], "put a class before it, like water:"),
        (["--add", "lava:0.1,0.2"], "There is no class 'lava'"),
        (["--add", "Water:0.1,0.2"], "There is no class 'Water'"),
        (["--add", "all:0.1,0.2"], "There is no class 'all'"),
        (["--add", "water:nosuch.png"], "'nosuch.png' is neither a stroke"),
        (["--arrow", "0.5,0.9,0.6"], "is not four numbers"),
        (["--anchor", "0.1,0.2 0.3,0.4"], "is not a point"),
        (["--anchor", "7,0.2"], "from 0 to 1"),
        (["--anchor", "0.1"], "is not a point"),
        (["--speed", "water"], "is not like water=0.5"),
        (["--speed", "0.5"], "is not like water=0.5"),
        (["--speed", "watr=0.5"], "'watr' is neither a class (sky, water, falls, smoke) nor"),
        (["--speed", "nosuch.png=0.5"], "'nosuch.png' is neither a stroke"),
        (["--speed", "water=99"], "from -10 to 10"),
        (["--anchor", "0.1,0.2", "--undo", "--undo", "--undo", "--undo"], "nothing to undo"),
        (["-o", "x.zip", "--undo"], "does not end in .cine"),
    ],
)
def test_a_wrong_edit_changes_nothing(
    scene_file: Path, wrong: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scene_file.read_bytes()
    assert main(["edit", str(scene_file), *wrong]) == 2
    out, err = printed(capsys)
    assert not out and says in err and err.count("\n") == 1
    assert scene_file.read_bytes() == before and os.listdir() == ["photo.cine"]


def test_editing_needs_no_torch(scene_file: Path) -> None:
    code = (
        "import sys; from stylecine.cli import main\n"
        "assert main(['edit', 'photo.cine', '--freeze', '0.2,0.8', '--arrow', '0.5,0.9,0.6,0.9']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
