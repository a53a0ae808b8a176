"""Writing pictures: what is in the file, and nothing left behind by a failure."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence, features

from stylecine.errors import OptionError, OutputError, WriterUnavailable
from stylecine.options import FileOptions
from stylecine.output.formats import FORMATS, Still
from stylecine.output.images import ENCODERS, frame_ticks
from stylecine.output.writing import write_output
from tests.outputs import write

NEAR = {".gif": 8, ".webp": 6, ".apng": 0}  # mean levels that a decoded frame may be off


def chart(height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth, with saturated corners."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def clip(count: int = 6, height: int = 97, width: int = 131) -> list[np.ndarray]:
    """The chart; a disc goes round in its right half, once."""
    y, x = np.mgrid[0:height, 0:width]
    frames = []
    for angle in 2 * np.pi * np.arange(count) / count:
        inside = np.hypot(x - width * (0.75 + 0.1 * np.cos(angle)), y - height * (0.5 + 0.2 * np.sin(angle))) < 9
        frames.append(np.where(inside[..., None], np.uint8(240), chart(height, width)))
    return frames


def decoded(path: Path) -> tuple[np.ndarray, list[float]]:
    """Frames uint8 [N,H,W,3] as a player shows them, and the milliseconds of each."""
    with Image.open(path) as picture:
        shown = [(np.asarray(part.convert("RGB")), part.info["duration"]) for part in ImageSequence.Iterator(picture)]
    return np.stack([frame for frame, _ in shown]), [duration for _, duration in shown]


@pytest.fixture(params=[e for e in ENCODERS if not isinstance(FORMATS[e], Still) and e != ".avif"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".webp" and not features.check("webp"):
        pytest.skip("this Pillow does not write it")
    return tmp_path / f"loop{request.param}"


# --- animated pictures


def test_frames_survive_the_round_trip(out: Path) -> None:
    frames = clip()
    info = write(frames, str(out), 10)
    shown, durations = decoded(out)
    assert shown.shape == (info.frames, info.height, info.width, 3) == (6, 97, 131, 3)
    assert (info.path, info.bytes, info.cropped, info.fps) == (out, out.stat().st_size, (0, 0), 10)
    assert durations == [100] * 6
    assert np.abs(shown.astype(int) - frames).mean() <= NEAR[out.suffix]
    assert os.listdir(out.parent) == [out.name]


def test_ffmpeg_reads_them_too(out: Path) -> None:
    if out.suffix == ".webp":
        pytest.skip("FFmpeg 8.1 reads no animated WebP")
    frames = clip()
    write(frames, out, 10)
    with av.open(str(out)) as container:
        rate = container.streams.video[0].average_rate
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert rate == 10 and np.abs(shown.astype(int) - frames).mean() <= NEAR[out.suffix]


def test_it_loops_forever(out: Path) -> None:
    write(clip(), out, 10)
    with Image.open(out) as picture:
        assert picture.info["loop"] == 0


def test_rounded_times_do_not_add_up(out: Path) -> None:
    """Neither 1/100 nor 1/1000 s goes into 1/30 s; a loop of a second lasts a second all the same."""
    write(clip(30), out, 30)
    assert sum(decoded(out)[1]) == 1000
    assert frame_ticks(6, 30, 100) == [0, 3, 7, 10, 13, 17, 20]


def test_the_seam_is_a_step_like_any_other(out: Path) -> None:
    write(clip(16), out, 10, quality=None if out.suffix == ".apng" else 95)
    shown = decoded(out)[0].astype(int)
    steps = np.abs(np.roll(shown, -1, axis=0) - shown).mean(axis=(1, 2, 3))
    assert steps[-1] / np.median(steps[:-1]) < 1.5


def test_static_pixels_do_not_change(out: Path) -> None:
    write(clip(), out, 10)
    still = decoded(out)[0][:, :, :48].astype(int)
    assert np.abs(still - still[0]).max() == 0


def test_static_frames_take_little_space(out: Path) -> None:
    ground = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
    frames = [np.where(frame == 240, frame, ground) for frame in clip(12)]
    many = write(frames, out, 10).bytes
    assert many < 2 * write(frames[:2], out, 10).bytes


def test_higher_quality_is_larger(out: Path) -> None:
    texture = [np.random.default_rng(t).integers(0, 256, (64, 64, 3), np.uint8) // 16 for t in range(4)]
    if out.suffix == ".apng":
        with pytest.raises(OptionError, match="is lossless"):
            write(texture, out, 10, quality=90)
    else:
        sizes = [write(texture, out, 10, quality=q).bytes for q in (0, 50, 100)]
        assert sizes[0] < sizes[1] < sizes[2]


def test_frames_are_taken_one_at_a_time(out: Path) -> None:
    """But for a few that are being compressed beside."""
    alive = most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= self.base is None

    class Rendered(list[int]):
        def __getitem__(self, k: Any) -> Any:
            nonlocal alive, most
            frame = np.ndarray.__new__(Counted, (32, 32, 3), np.uint8)
            frame[...] = k
            alive += 1
            most = max(most, alive)
            return frame

        def __iter__(self) -> Any:
            return (self[k] for k in range(len(self)))

    write(Rendered(range(40)), out, 10)  # type: ignore[arg-type]
    assert most <= 10


@pytest.mark.parametrize("wrong", [-1, 101, 50.5, True], ids=str)
def test_impossible_qualities(out: Path, wrong: Any) -> None:
    with pytest.raises(OptionError):
        write(clip(), out, 10, quality=wrong)
    assert not os.listdir(out.parent)


@pytest.mark.parametrize("fps", [0, -1, 0.01, float("nan"), None, "10"], ids=str)
def test_impossible_rates(out: Path, fps: Any) -> None:
    with pytest.raises(OptionError):
        write(clip(), out, fps)
    assert not os.listdir(out.parent)


def test_a_pillow_that_cannot_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(WriterUnavailable, match="pip install"):
        write(clip(), tmp_path / "loop.webp", 10)
    with pytest.raises(WriterUnavailable, match="cannot write AVIF"):  # although FFmpeg can, without alpha
        translucent = [np.dstack((frame, frame[..., :1])) for frame in clip()]
        write_output(translucent, tmp_path / "loop.avif", 10, FileOptions(), alpha=True)


# --- whole or not at all


def every_way(out: Path, finish: Callable[[Path], None] | None = None) -> dict[str, Callable[[Any], Any]]:
    return {
        "animation": lambda frames: write(frames, out, 10, finish=finish),
        "folder": lambda frames: write(frames, out.with_suffix(""), 10),
    }


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("way", ["animation", "folder"])
def test_an_error_while_rendering_keeps_the_existing_file(out: Path, way: str, error: type[BaseException]) -> None:
    class Failing(list[np.ndarray]):
        def __iter__(self) -> Any:
            yield from self[:3]
            assert len(os.listdir(out.parent)) == 2
            raise error("from the frames")

    out.write_bytes(b"an older loop")
    with pytest.raises((error, OutputError), match="from the frames"):
        every_way(out)[way](Failing(clip()))
    assert out.read_bytes() == b"an older loop" and os.listdir(out.parent) == [out.name]


def test_finish_is_called_last(out: Path) -> None:
    def fail(part: Path) -> None:
        assert part.exists() and part != out and not out.exists()
        raise OptionError("no")

    with pytest.raises(OptionError, match="no"):
        write(clip(), out, 10, finish=fail)
    assert not os.listdir(out.parent)


# --- a folder


def test_a_folder_has_the_frames_themselves(tmp_path: Path) -> None:
    frames = clip(3)
    info = write(frames, tmp_path / "frames", 24)
    names = sorted(os.listdir(tmp_path / "frames"))
    assert names == ["frame-0000.png", "frame-0001.png", "frame-0002.png"]
    for name, frame in zip(names, frames, strict=True):
        with Image.open(tmp_path / "frames" / name) as picture:
            assert np.array_equal(np.asarray(picture), frame)
    assert (info.frames, info.fps, info.width, info.height, info.codec) == (3, 24, 131, 97, "png")
    assert info.bytes == sum(file.stat().st_size for file in (tmp_path / "frames").iterdir())
    assert os.listdir(tmp_path) == ["frames"]


def test_the_folder_may_exist_if_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    write(clip(2), tmp_path / "frames", 10)
    with pytest.raises(OutputError, match="not empty"):
        write(clip(2), tmp_path / "frames", 10)
    assert len(os.listdir(tmp_path / "frames")) == 2


# --- a poster


def test_a_poster_is_the_frame_tagged_as_srgb(tmp_path: Path) -> None:
    odd = chart(97, 131)
    info = write([odd], tmp_path / "loop.png", 0, comment='{"größe": 1}')
    with Image.open(tmp_path / "loop.png") as poster:
        assert np.array_equal(np.asarray(poster), odd)
        assert poster.info["srgb"] == 0 and poster.info["Comment"] == '{"größe": 1}'
    assert (info.frames, info.width, info.height, info.cropped) == (1, 131, 97, (0, 0))
    assert info.bytes == (tmp_path / "loop.png").stat().st_size
    assert os.listdir(tmp_path) == ["loop.png"]


def test_an_error_in_finish_leaves_no_poster(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        raise OptionError("no")

    with pytest.raises(OptionError, match="no"):
        write([chart()], tmp_path / "loop.png", 0, finish=fail)
    assert not os.listdir(tmp_path)


def test_webp_takes_the_effort_that_single_images_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    save = Image.Image.save

    def spy(image: Image.Image, *where: Any, **how: Any) -> None:
        given.update(how)
        save(image, *where, **how)

    monkeypatch.setattr(Image.Image, "save", spy)
    write(clip(), tmp_path / "loop.webp", 10)
    assert given["method"] == 4
