"""Writing and reading video: colours, sizes, rates, and nothing left behind by a failure."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stylecine.errors import OptionError, OutputError, StylecineError, VideoError, WriterUnavailable
from stylecine.files import check_place
from stylecine.video import FORMATS, read_video, write_video


def chart(height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth, with saturated corners: red, green, blue ramps that BT.601 and BT.709 tell apart."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def clip(count: int = 5, height: int = 96, width: int = 128) -> list[np.ndarray]:
    return [np.roll(chart(height, width), 3 * t, axis=1) for t in range(count)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "loop.mp4"


@pytest.fixture(params=FORMATS)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"loop{request.param}"


# --- what is written


def test_colours_come_back(either: Path) -> None:
    write_video([chart()] * 3, either, 30, quality=8)
    frames, _ = read_video(either)
    error = np.abs(frames.astype(int) - chart())
    assert error.mean() <= 2


def test_luma_is_bt709_as_the_tags_say(either: Path) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    write_video([red], either, 30, quality=0)
    with av.open(str(either)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        frame = next(container.decode(stream))
        luma = np.frombuffer(frame.planes[0], np.uint8)[0]
    assert tags == (1, 1, 1, 1)  # BT.709 three times, limited range
    assert frame.format.name == "yuv420p"
    assert abs(luma - (16 + 219 * 0.2126)) <= 1  # 63; by BT.601 it would be 81


def test_info_tells_what_is_in_the_file(either: Path) -> None:
    info = write_video(clip(7), str(either), 25)
    frames, fps = read_video(either)
    assert frames.shape == (info.frames, info.height, info.width, 3) == (7, 96, 128, 3)
    assert fps == info.fps == 25
    assert info.path == either and info.codec == {".mp4": "h264", ".webm": "vp9"}[either.suffix]
    assert info.bytes == either.stat().st_size
    assert info.cropped == (0, 0)
    assert os.listdir(either.parent) == [either.name]


def test_the_index_comes_before_the_pictures(out: Path) -> None:
    write_video(clip(), out, 30)
    data = out.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_lose_one_column_and_row_and_it_is_said(either: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = clip(3, 97, 131)
    info = write_video(odd, either, 30, quality=4)
    assert (info.height, info.width, info.cropped) == (96, 130, (1, 1))
    assert len(caplog.records) == 1 and "even sizes" in caplog.text
    frames, _ = read_video(either)
    assert np.abs(frames[0].astype(int) - odd[0][:96, :130]).mean() < 3


def test_repeat_goes_round_again(either: Path) -> None:
    frames = clip(4)
    assert write_video(frames, either, 30, repeat=3).frames == 12
    assert len(read_video(either)[0]) == 12


def test_frames_are_taken_one_at_a_time(out: Path) -> None:
    alive = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def frames() -> Iterator[np.ndarray]:
        nonlocal alive
        for frame in clip(6):
            counted = np.ndarray.__new__(Counted, frame.shape, np.uint8)
            counted[...] = frame
            alive += 1
            yield counted
            del counted
            assert alive <= 1  # the writer's own, at most

    assert write_video(frames(), out, 30).frames == 6


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (30, Fraction(30)),
        (29.97002997, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (Fraction(24000, 1001), Fraction(24000, 1001)),
        (0.5, Fraction(1, 2)),
        (1000, Fraction(1000)),
    ],
)
def test_any_rate(either: Path, fps: float, exact: Fraction) -> None:
    info = write_video(clip(4), either, fps)
    assert info.fps == float(exact)
    with av.open(str(either)) as container:
        assert container.streams.video[0].average_rate == exact
        seconds = container.duration / 1e6
    assert seconds == pytest.approx(float(4 / exact), abs=1e-3)  # both count whole milliseconds


def test_a_comment_goes_along(either: Path) -> None:
    write_video(clip(2), either, 30, comment='{"größe": 1}')
    with av.open(str(either)) as container:
        assert '{"größe": 1}' in container.metadata.values()


def test_finish_has_the_last_word_before_the_file_appears(either: Path) -> None:
    def stamp(part: Path) -> None:
        assert os.listdir(part.parent) == [part.name]
        part.write_bytes(part.read_bytes() + b"stamp")

    info = write_video(clip(2), either, 30, finish=stamp)
    assert either.read_bytes().endswith(b"stamp") and info.bytes == either.stat().st_size


def test_what_fails_in_finish_leaves_nothing(either: Path) -> None:
    def fail(part: Path) -> None:
        raise OptionError("no")

    with pytest.raises(OptionError, match="no"):
        write_video(clip(2), either, 30, finish=fail)
    assert not os.listdir(either.parent)


def test_quality_is_x264s(out: Path) -> None:
    texture = [np.random.default_rng(t).integers(0, 256, (96, 128, 3), np.uint8) for t in range(3)]
    sizes = [write_video(texture, out, 30, quality=q).bytes for q in (10, 18, 30, 51)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_encoded_seam_is_no_jump(out: Path) -> None:
    """A texture that drifts once round: last to first is a step like any other."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.standard_normal((128, 128)))
    ky, kx = np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)
    spectrum *= np.exp(-((np.hypot(ky, kx) / 0.15) ** 2))

    def frame(t: int) -> np.ndarray:
        plane = np.fft.irfft2(spectrum * np.exp(2j * np.pi * kx * t))  # one pixel a frame
        return np.clip(np.round(128 + 200 * plane), 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)

    write_video([frame(t) for t in range(128)], out, 30)
    decoded = read_video(out)[0].astype(np.int16)
    steps = np.abs(np.roll(decoded, -1, axis=0) - decoded).mean(axis=(1, 2, 3))
    assert steps[-1] / np.median(steps[:-1]) <= 1.3


# --- what is refused


@pytest.mark.parametrize(
    "options",
    [
        {"fps": 0},
        {"fps": -30},
        {"fps": float("nan")},
        {"fps": float("inf")},
        {"fps": 1e9},
        {"fps": True},
        {"fps": "fast"},
        {"fps": None},
        {"quality": -1},
        {"quality": 52},
        {"quality": 18.5},
        {"quality": True},
        {"repeat": 0},
        {"repeat": 1.5},
        {"codec": "vp9000"},
    ],
    ids=str,
)
def test_impossible_options(out: Path, options: dict) -> None:
    with pytest.raises(OptionError) as caught:
        write_video(clip(2), out, **{"fps": 30, **options})
    assert "\n" not in str(caught.value)
    assert not os.listdir(out.parent)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [np.zeros((64, 64, 3), np.float32)],
        [np.zeros((64, 64), np.uint8)],
        [np.zeros((64, 64, 4), np.uint8)],
        [np.zeros((4, 4, 3), np.uint8)],
        [np.zeros((64, 64, 3), np.uint8), np.zeros((64, 66, 3), np.uint8)],
    ],
    ids=["none", "float", "grey", "alpha", "tiny", "uneven"],
)
def test_impossible_frames(out: Path, frames: list[np.ndarray]) -> None:
    with pytest.raises(OptionError):
        write_video(frames, out, 30)
    assert not os.listdir(out.parent)


def test_sizes_beyond_the_codec_name_it(either: Path) -> None:
    with pytest.raises(OptionError, match={".mp4": "h264", ".webm": "vp9"}[either.suffix]):
        write_video([np.zeros((4, 4, 3), np.uint8)], either, 30)


def test_a_generator_cannot_go_round_twice(out: Path) -> None:
    with pytest.raises(OptionError, match="once"):
        write_video((frame for frame in clip()), out, 30, repeat=2)


@pytest.mark.parametrize("name", ["loop.avi", "loop", "loop.mp4.txt"])
def test_unknown_extensions(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.mp4"):
        write_video(clip(2), tmp_path / name, 30)


def test_a_codec_belongs_to_its_ending(tmp_path: Path) -> None:
    assert write_video(clip(2), tmp_path / "loop.webm", 30, codec="vp9", quality=63).codec == "vp9"
    with pytest.raises(OptionError, match=r"'h264' in \.mp4, 'vp9' in \.webm"):
        write_video(clip(2), tmp_path / "loop.webm", 30, codec="h264")


def test_no_encoder(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, ".mp4", replace(FORMATS[".mp4"], encoder="no-such-encoder"))
    with pytest.raises(WriterUnavailable, match="pip install"):
        write_video(clip(2), out, 30)


# --- where it cannot be written


def assert_refused(path: Path, match: str) -> None:
    """Early by check_place, and by write_video before it takes the first frame."""

    def frames() -> Iterator[np.ndarray]:
        pytest.fail("work was done for a file that cannot be written")
        yield

    with pytest.raises(OutputError, match=match):
        check_place(path)
    with pytest.raises(OutputError, match=match):
        write_video(frames(), path, 30)


def test_missing_folder(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere" / "loop.mp4", r"no folder .*nowhere'")


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(tmp_path / "file" / "loop.mp4", "no folder")


def test_folder_in_place_of_the_file(out: Path) -> None:
    out.mkdir()
    assert_refused(out, "is a folder")


def test_name_too_long(tmp_path: Path) -> None:
    assert_refused(tmp_path / ("x" * 300 + ".mp4"), "cannot be written")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_pipe_in_place_of_the_file(out: Path) -> None:
    os.mkfifo(out)
    assert_refused(out, "not a regular file")


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may not write to; the superuser steps down for the while."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs POSIX permissions")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        superuser = os.geteuid() == 0
        if superuser:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if superuser:
                os.seteuid(0)
            folder.chmod(0o755)


def test_read_only_folder(read_only_folder: Path) -> None:
    assert_refused(read_only_folder / "loop.mp4", "may not be written")


def test_no_space(tmp_path: Path) -> None:
    """A limit on file size stands for a full disk: the kernel cuts the write short in the same way."""
    pytest.importorskip("resource")
    out = tmp_path / "loop.mp4"
    out.write_bytes(b"an older film")
    code = f"""
import resource, numpy as np
from stylecine.errors import OutputError
from stylecine.video import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
try:
    write_video((rng.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(40)), {str(out)!r}, 30)
except OutputError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "no space left" in run.stdout
    assert out.read_bytes() == b"an older film"
    assert os.listdir(tmp_path) == [out.name]


def test_no_space_for_the_last_bytes(tmp_path: Path) -> None:
    """The index is written when the file is closed: a disk that fills up then must be noticed too."""
    resource = pytest.importorskip("resource")
    out = tmp_path / "loop.mp4"
    noise = [np.random.default_rng(t).integers(0, 256, (64, 64, 3), np.uint8) for t in range(3)]
    whole = write_video(noise, out, 30).bytes
    out.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (whole - 1, whole - 400, whole // 2, 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OutputError):
                write_video(noise, out, 30)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not os.listdir(tmp_path)


# --- whole or not at all


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, KeyboardInterrupt, StylecineError])
def test_a_failure_of_the_frames_leaves_the_older_file(either: Path, error: type[BaseException]) -> None:
    either.write_bytes(b"an older film")

    def frames() -> Iterator[np.ndarray]:
        yield from clip(3)
        assert either.with_name(either.name + ".part").exists()
        raise error("from the frames")

    with pytest.raises(error, match="from the frames") as caught:
        write_video(frames(), either, 30)
    assert not isinstance(caught.value, OutputError)  # none of the writer's business
    assert either.read_bytes() == b"an older film"
    assert os.listdir(either.parent) == [either.name]


def test_a_stale_part_is_overwritten(out: Path) -> None:
    part = out.with_name("loop.mp4.part")
    part.write_bytes(b"x" * 1_000_000)
    write_video(clip(), out, 30)
    assert not part.exists() and len(read_video(out)[0]) == 5


def test_check_place_leaves_nothing(out: Path) -> None:
    assert check_place(out) == out
    out.write_bytes(b"an older film")
    check_place(out)
    assert out.read_bytes() == b"an older film" and os.listdir(out.parent) == [out.name]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    film, link = tmp_path / "film.mp4", tmp_path / "link.mp4"
    film.touch()
    link.symlink_to(film)
    write_video(clip(), link, 30)
    assert link.is_symlink() and len(read_video(film)[0]) == 5


def test_names_with_odd_characters(tmp_path: Path) -> None:
    out = tmp_path / "http: 100% größe #1?.mp4"
    write_video(clip(2), out, 30)
    assert len(read_video(out)[0]) == 2


def test_no_file_stays_open(out: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    write_video(clip(2), out, 30)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        write_video(clip(2), out, 30)
        read_video(out)
        with pytest.raises(OptionError):
            write_video([chart(), chart(64, 64)], out, 30)
    assert len(os.listdir("/proc/self/fd")) == before


# --- reading


def test_what_is_no_video(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    for content in (b"", b"not a video", os.urandom(2000)):
        bad.write_bytes(content)
        with pytest.raises(VideoError, match="not a video"):
            read_video(bad)
    with pytest.raises(VideoError, match="no video at"):
        read_video(tmp_path / "missing.mp4")
    with pytest.raises(VideoError):
        read_video(tmp_path)


def test_a_video_cut_short(out: Path) -> None:
    write_video(clip(), out, 30)
    out.write_bytes(out.read_bytes()[:700])
    with pytest.raises(VideoError):
        read_video(out)
