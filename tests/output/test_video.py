"""Writing and reading video: colours, sizes, rates, and nothing left behind by a failure."""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import stylecine
import stylecine.output.video
from benchmarks.lpips import psnr
from stylecine.errors import OptionError, OutputError, StylecineError, TooLarge, VideoError, WriterUnavailable
from stylecine.machine.atomic import check_destination
from stylecine.output.codecs import CODECS, VIDEOS
from stylecine.output.video import copy_blocks, read_video, still_blocks
from stylecine.quality.measures import measure_encoded, seam
from tests.outputs import write


def chart(height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth, with saturated corners: red, green, blue ramps that BT.601 and BT.709 tell apart."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def cube() -> np.ndarray:
    """The cube of all colours, smoothly: red and green ramps, blue going up and down along the diagonal."""
    y, x = np.mgrid[0:1:256j, 0:1:256j]
    return np.round(np.stack([x, y, 0.5 - 0.5 * np.cos(2 * np.pi * (x + y))], axis=-1) * 255).astype(np.uint8)


def slow_sky(count: int = 60, side: int = 128) -> list[np.ndarray]:
    """Soft clouds that go round in a circle, a fifth of a level a frame, above ground that stands still."""
    rng = np.random.default_rng(0)
    ky, kx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * np.exp(-((np.hypot(ky, kx) / 0.06) ** 2))
    ground = 90 + 24 * rng.standard_normal((side - side * 2 // 3, side, 1)).repeat(3, axis=2)

    def frame(t: int) -> np.ndarray:
        angle = 2 * np.pi * t / count
        clouds = np.fft.irfft2(spectrum * np.exp(2j * np.pi * (kx * np.cos(angle) + ky * np.sin(angle))))
        picture = 150 + 18 * clouds[..., None] / clouds.std() * np.array([1.0, 0.8, 0.6])
        picture[side * 2 // 3 :] = ground
        return np.clip(np.round(picture), 0, 255).astype(np.uint8)

    return [frame(t) for t in range(count)]


PLAIN = {
    "h264": {"preset": "veryfast"},
    "h265": {"preset": "fast", "x265-params": "log-level=none"},
    "h265-10bit": {"preset": "fast", "x265-params": "log-level=none"},
    "vp9": {"b": "0", "deadline": "realtime", "cpu-used": "8"},
    "av1": {"preset": "8"},
}


def write_plainly(frames: list[np.ndarray], path: Path, codec: str) -> None:
    """As an encoder does it by itself: the last frame knows nothing of the first."""
    options = PLAIN[codec] | {"crf": str(CODECS[codec].qualities[1])}
    with av.open(str(path), "w", format=VIDEOS[path.suffix].name) as container:
        stream = container.add_stream(CODECS[codec].encoder, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], CODECS[codec].pixels
        stream.codec_context.color_range, stream.codec_context.colorspace = 1, 1
        for t, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format=CODECS[codec].pixels, dst_colorspace=1, dst_color_range=1, interpolation="AREA"
            )
            picture.pts = t
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def clip(count: int = 5, height: int = 96, width: int = 128) -> list[np.ndarray]:
    return [np.roll(chart(height, width), 3 * t, axis=1) for t in range(count)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "loop.mp4"


@pytest.fixture(params=VIDEOS)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"loop{request.param}"


@pytest.fixture(params=[(ending, name) for ending, form in VIDEOS.items() for name in form.codecs], ids="".join)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file and a codec for it."""
    ending, codec = request.param
    return tmp_path / f"loop{ending}", codec


@pytest.fixture(params=CODECS)
def coded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A codec and a file for it, where the container makes no difference."""
    ending = next(ending for ending, form in VIDEOS.items() if request.param in form.codecs)
    return tmp_path / f"loop{ending}", request.param


# --- what is written


def test_colours_survive_the_round_trip(coded: tuple[Path, str]) -> None:
    path, codec = coded
    write([cube()] * 3, path, 30, quality=8, codec=codec)
    frames, _ = read_video(path)
    error = frames.astype(int) - cube()
    assert np.abs(error).mean() <= 2
    assert np.abs(error.mean(axis=(0, 1, 2))).max() <= 0.5  # no tint, neither darker nor lighter


def test_luma_is_bt709_as_the_tags_say(coded: tuple[Path, str]) -> None:
    path, codec = coded
    red = np.zeros((96, 96, 3), np.uint8)
    red[..., 0] = 255
    write([red] * 2, path, 30, quality=1, codec=codec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        frame = next(container.decode(stream))
        bits = frame.format.components[0].bits
        luma = np.frombuffer(frame.planes[0], np.uint8 if bits == 8 else np.uint16)[0] / 2 ** (bits - 8)
    assert tags == (1, 1, 1, 1)  # BT.709 three times, limited range
    # FFmpeg decodes the 10 bits of ProRes 4444 as 12
    assert frame.format.name == CODECS[codec].pixels.replace("444p10", "444p12")
    assert abs(luma - (16 + 219 * 0.2126)) <= 1  # 63; by BT.601 it would be 81


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="schedulers are Linux's")
def test_av1_leaves_cores_to_other_programs(tmp_path: Path) -> None:
    """SVT-AV1 makes the thread that opens it, and its own, real-time ones where it may."""
    seen = set()

    class Rendered(list[np.ndarray]):
        def __iter__(self) -> Iterator[np.ndarray]:
            for frame in self[:]:
                for task in Path("/proc/self/task").iterdir():
                    with suppress(ProcessLookupError):
                        seen.add(os.sched_getscheduler(int(task.name)))
                yield frame

    write(Rendered(clip(40)), tmp_path / "loop.mp4", 25, codec="av1")
    assert seen | {os.sched_getscheduler(0)} == {os.SCHED_OTHER}


@pytest.mark.parametrize("codec", ["prores4444", "prores422hq", "h265-10bit"])
def test_frames_of_16_bits_keep_what_8_bits_would_round(tmp_path: Path, codec: str) -> None:
    """A ramp of two levels: in 8 bits it would have three steps. White is as white as of 8 bits."""
    ramp = np.linspace(100 * 257, 102 * 257, 128).round().astype(np.uint16)
    frame = np.tile(ramp[None, :, None], (96, 1, 3))
    frame[:16] = 65535
    write([frame] * 2, tmp_path / "loop.mov", 30, codec=codec)
    with av.open(str(tmp_path / "loop.mov")) as container:
        picture = next(container.decode(video=0))
    plane = picture.planes[0]
    luma = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:96, :128] / 2 ** (
        picture.format.components[0].bits - 10
    )
    assert len(np.unique(luma[64:].round())) >= 6 and np.abs(luma[64:] - (64 + ramp * (876 / 65535))).max() <= 2
    assert np.abs(luma[:8] - 940).max() <= 1


def test_info_describes_the_file(each: tuple[Path, str]) -> None:
    path, codec = each
    info = write(clip(7), str(path), 25, codec=codec)
    frames, fps = read_video(path)
    assert frames.shape == (info.frames, info.height, info.width, 3) == (7, 96, 128, 3)
    assert fps == info.fps == 25
    assert info.path == path and info.codec == codec
    assert info.bytes == path.stat().st_size
    assert info.cropped == (0, 0)
    assert os.listdir(path.parent) == [path.name]
    with av.open(str(path)) as container:
        names = {"h265": "hevc", "h265-10bit": "hevc", "prores4444": "prores", "prores422hq": "prores"}
        assert container.streams.video[0].codec_context.codec.canonical_name == names.get(codec, codec)


def test_each_ending_has_its_default(either: Path) -> None:
    defaults = {".mp4": "h264", ".webm": "vp9", ".mov": "prores4444"}
    assert write(clip(2), either, 30).codec == defaults[either.suffix]


def test_h265_has_the_tag_that_apples_players_need(out: Path) -> None:
    write(clip(2), out, 30, codec="h265")
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_every_repetition_starts_with_a_keyframe(each: tuple[Path, str]) -> None:
    path, codec = each
    write(clip(150, 96, 96), path, 30, codec=codec, repeat=2)
    with av.open(str(path)) as container:
        keys = [
            packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size and packet.is_keyframe
        ]
        expected = [k / 30 for k in range(300)] if CODECS[codec].options is None else [0, 150 / 30]
        assert [float(key) for key in keys] == pytest.approx(expected, abs=1e-3)
        container.seek(int(1e6 * 150 / 30))
        assert sum(1 for _ in container.decode(video=0)) == 150


def test_the_index_comes_before_the_pictures(out: Path) -> None:
    write(clip(), out, 30)
    data = out.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_lose_one_column_and_row_without_a_word(either: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = clip(3, 97, 131)
    info = write(odd, either, 30, quality=4)
    assert (info.height, info.width, info.cropped) == (96, 130, (1, 1))
    assert not caplog.records  # the size is in `info`, and the command line prints it
    frames, _ = read_video(either)
    assert np.abs(frames[0].astype(int) - odd[0][:96, :130]).mean() < 3


def test_control_characters_of_a_name_are_escaped_in_the_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(clip(4), tmp_path / "a\x1b[31mb\n.mp4", 30, duration=0.2)
    assert "a\\x1b[31mb\\n.mp4: a video contains whole loops" in caplog.text


@pytest.mark.parametrize("count", [1, 2, 21])
def test_repeat_repeats_the_loop(each: tuple[Path, str], count: int) -> None:
    path, codec = each
    assert write(clip(count), path, 30, repeat=3, codec=codec).frames == 3 * count
    frames, fps = read_video(path)
    assert len(frames) == 3 * count and fps == 30
    assert np.array_equal(frames[:count], frames[count : 2 * count])
    assert np.array_equal(frames[:count], frames[2 * count :])


def test_a_single_frame_is_decoded_when_it_is_shown(each: tuple[Path, str]) -> None:
    path, codec = each
    write(clip(1), path, 30, codec=codec)
    with av.open(str(path)) as container:
        assert [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size] == [(0, 0)]


@pytest.mark.parametrize(
    ("duration", "loops"),
    [(0.1, 1), (1, 1), (1.001, 2), ("4s", 4), ("4.5s", 5), ("1m", 60), (30, 30)],
)
def test_a_duration_is_rounded_up_to_whole_loops_with_a_note(
    either: Path, caplog: pytest.LogCaptureFixture, duration: float | str, loops: int
) -> None:
    info = write(clip(10), either, 10, duration=duration)
    assert info.frames == 10 * loops
    with av.open(str(either)) as container:
        assert container.duration / 1e6 == pytest.approx(loops, abs=0.01)
    exact = duration in (1, "4s", "1m", 30)
    assert ("" if exact else f"contains whole loops, so it lasts {loops} s instead of") in caplog.text
    assert len(caplog.records) == (0 if exact else 1)


def test_a_duration_of_whole_loops_gets_no_other_one(out: Path) -> None:
    """Also if neither the rate nor the duration is a whole number."""
    for count, fps, loops in ((7, 29.97002997, 30), (3, 12.5, 999), (11, Fraction(24000, 1001), 77)):
        exact = float(loops * count / Fraction(fps).limit_denominator(1001))
        assert write(clip(count, 64, 64), out, fps, duration=exact).frames == loops * count


GROWTH = """
import sys
import numpy as np
from stylecine.options import FileOptions
from stylecine.output.writing import write_output
noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
frames = [np.roll(noise, t, 0) for t in range(10)]
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
write_output(frames, sys.argv[1], 30, FileOptions(keyframes="all", duration=1))
before = peak()
info = write_output(frames, sys.argv[1], 30, FileOptions(keyframes="all", duration=sys.argv[2]))
print(info.bytes, (peak() - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize(("name", "per_frame"), [("loop.mp4", 200), ("loop.webm", 60)])
def test_memory_grows_by_no_more_than_the_index(tmp_path: Path, name: str, per_frame: int) -> None:
    """A quarter of an hour, of which a frame takes some kilobytes in the file."""
    command = [sys.executable, "-c", GROWTH, str(tmp_path / name), "15m"]
    size, grown = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert size > 27_000 * 2000 and grown < 27_000 * per_frame + 4_000_000


def test_with_key_frames_only_every_frame_stands_for_itself(each: tuple[Path, str]) -> None:
    path, codec = each
    frames = clip(12)
    write(frames, path, 30, codec=codec, keyframes="all", repeat=2)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == 24 and all(packet.is_keyframe for packet in packets)
        assert [packet.pts for packet in packets] == [packet.dts for packet in packets]  # in order: nothing to wait for
    shown = read_video(path)[0]
    assert np.array_equal(shown[:12], shown[12:]) and psnr(shown[:12], np.stack(frames)) > 30


def test_key_frames_of_a_slow_sky_have_an_even_seam_and_lose_little(coded: tuple[Path, str]) -> None:
    path, codec = coded
    frames = slow_sky()
    write(frames, path, 30, codec=codec)
    usual = psnr(read_video(path)[0], np.stack(frames))
    write(frames, path, 30, codec=codec, keyframes="all")
    shown = read_video(path)[0]
    assert seam(shown) <= 1.3 and psnr(shown, np.stack(frames)) > usual - 4.5


def test_a_video_that_does_not_fit_into_memory_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clip(6)
    write(frames, out, 30)
    monkeypatch.setattr(stylecine.output.video, "available_bytes", lambda _: 11 * frames[0].nbytes)  # 12 are needed
    with pytest.raises(TooLarge, match="do not fit into memory"):
        read_video(out)


def test_frames_are_taken_one_at_a_time(out: Path) -> None:
    alive = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    class Rendered(list[np.ndarray]):
        def __iter__(self) -> Iterator[np.ndarray]:
            nonlocal alive
            for frame in self[:]:
                counted = np.ndarray.__new__(Counted, frame.shape, np.uint8)
                counted[...] = frame
                alive += 1
                yield counted
                del counted
                assert alive <= 1  # the writer's own, at most

    assert write(Rendered(clip(6)), out, 30).frames == 6


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
    info = write(clip(4), either, fps)
    assert info.fps == float(exact)
    with av.open(str(either)) as container:
        assert container.streams.video[0].average_rate == exact
        seconds = container.duration / 1e6
    assert seconds == pytest.approx(float(4 / exact), abs=1e-3)  # both count whole milliseconds


def test_a_comment_is_embedded(either: Path) -> None:
    write(clip(2), either, 30, comment='{"größe": 1}')
    with av.open(str(either)) as container:
        assert '{"größe": 1}' in container.metadata.values()


def test_finish_is_called_before_the_file_appears(either: Path) -> None:
    def stamp(part: Path) -> None:
        assert part.name == either.name and not either.exists()
        part.write_bytes(part.read_bytes() + b"stamp")

    info = write(clip(2), either, 30, finish=stamp)
    assert either.read_bytes().endswith(b"stamp") and info.bytes == either.stat().st_size


def test_an_error_in_finish_leaves_nothing(either: Path) -> None:
    def fail(part: Path) -> None:
        raise OptionError("no")

    with pytest.raises(OptionError, match="no"):
        write(clip(2), either, 30, finish=fail)
    assert not os.listdir(either.parent)


def test_quality_is_the_crf_of_x264(out: Path) -> None:
    texture = [np.random.default_rng(t).integers(0, 256, (96, 128, 3), np.uint8) for t in range(3)]
    sizes = [write(texture, out, 30, quality=q).bytes for q in (10, 18, 30, 51)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_encoded_seam_is_a_step_like_any_other(coded: tuple[Path, str]) -> None:
    """In a sky so slow that what an encoder does by itself jumps there; without more bytes or more noise for it."""
    path, codec = coded
    if CODECS[codec].options is None:
        pytest.skip("each frame is coded by itself: there is no seam")
    frames, plain = slow_sky(), path.with_stem("plain")
    write_plainly(frames, plain, codec)
    info = write(frames, path, 30, codec=codec)
    before, after = read_video(plain)[0], read_video(path)[0]
    assert seam(before) > 1.5 and seam(after) <= 1.3
    assert info.bytes <= 1.25 * plain.stat().st_size
    assert psnr(after, np.stack(frames)) >= psnr(before, np.stack(frames)) - 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("as_shipped")
def test_grain_of_what_moves_does_not_blink_at_the_key_frame(out: Path) -> None:
    """Coded without regard to its energy it fades after frame 0: 0.055."""
    loop = stylecine.animate("examples/lake.jpg", size=320)
    loop.save(out)
    frames, fps = read_video(out)
    assert measure_encoded(frames, loop.mask, fps)["pulse_encoded"] < 0.05


def test_the_same_frames_make_the_same_video(coded: tuple[Path, str]) -> None:
    """Or what frame 0 will look like could not be found out beforehand. Memory that was used before is used again."""
    path, codec = coded
    sky, seen = slow_sky(40, 128), set()
    for width in (128, 96, 128, 96, 128):
        write([frame[:, :width] for frame in sky], path, 30, codec=codec)
        seen.add(read_video(path)[0].tobytes())
    assert len(seen) == 2


@pytest.mark.parametrize("count", [2, 3, 17, 18, 19, 33, pytest.param(300, marks=pytest.mark.slow)])
def test_loops_of_any_length_are_closed(each: tuple[Path, str], count: int) -> None:
    path, codec = each
    assert write(slow_sky(count, 96), path, 30, codec=codec).frames == count
    assert len(read_video(path)[0]) == count


def test_only_the_first_frames_are_requested_twice(out: Path) -> None:
    asked = []

    class Loop(list[np.ndarray]):
        def __getitem__(self, t: Any) -> Any:
            asked.append(t)
            return super().__getitem__(t)

    write(Loop(clip(60)), out, 30, codec="h265")
    assert asked == list(range(len(asked))) and 0 < len(asked) <= 60
    asked.clear()
    write(Loop(clip(60)), out, 30, codec="h264")  # whose first frame is the same by itself
    assert not asked


def test_what_follows_does_not_change_how_h264_codes_frame_0(out: Path) -> None:
    """It is encoded by itself to find out how it will look."""
    sky, seen = slow_sky(), set()
    for others in (sky[1:], clip(59, 128, 128), [255 - frame for frame in sky[1:]]):
        write([sky[0], *others], out, 30)
        seen.add(read_video(out, 1)[0].tobytes())
    assert len(seen) == 1


def test_what_stands_still_does_so_in_the_video(out: Path) -> None:
    """But for rims that the encoder's deblocking smooths."""
    write(slow_sky(), out, 30)
    frames, _ = read_video(out)
    change = np.ptp(frames, axis=0).max(-1)
    assert np.median(change[:80]) > 2
    ground = change[96:]  # from the first row of blocks that has no sky
    assert np.mean(ground > 0) < 0.005 and ground.max() <= 3


# --- blocks that stand still


def planes(height: int = 40, width: int = 56, seed: int = 0) -> list[np.ndarray]:
    """Y, U and V, in rows that are longer in memory, as FFmpeg's are."""
    rng = np.random.default_rng(seed)
    sizes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    return [rng.integers(0, 256, (h, 64), np.uint8)[:, :w] for h, w in sizes]


def test_a_block_is_still_where_all_its_samples_are_equal() -> None:
    """Two rows of three whole blocks; what is left over at the right and at the bottom belongs to none."""
    first, second = planes(), planes()
    assert still_blocks(first, second).tolist() == [[True] * 3, [True] * 3]
    second[0][15, 16] ^= 1  # luma of the block in row 0, column 1
    second[2][15, 23] ^= 1  # chroma of that in row 1, column 2
    second[0][39, 55] ^= 1
    assert still_blocks(first, second).tolist() == [[True, False, True], [True, True, False]]


def test_chosen_blocks_are_copied_and_nothing_else() -> None:
    first, second = planes(seed=1), planes(seed=2)
    copy_blocks(first, second, np.array([[False, True, False], [False, False, False]]))
    for plane, other, before, side in zip(first, second, planes(seed=1), (16, 8, 8), strict=True):
        changed = np.zeros(plane.shape, bool)
        changed[:side, side : 2 * side] = True
        assert np.array_equal(plane, np.where(changed, other, before))


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
        {"duration": 0},
        {"duration": "soon"},
        {"duration": "13h"},
        {"duration": 5, "repeat": 2},
        {"keyframes": "some"},
        {"keyframes": None},
    ],
    ids=str,
)
def test_impossible_options(out: Path, options: dict) -> None:
    with pytest.raises(OptionError) as caught:
        write(clip(2), out, **{"fps": 30, **options})
    assert "\n" not in str(caught.value)
    assert not os.listdir(out.parent)


def test_sizes_beyond_the_codec_name_it(coded: tuple[Path, str]) -> None:
    path, codec = coded
    smallest = {"h265": 96, "h265-10bit": 96, "av1": 64}.get(codec, 16)
    with pytest.raises(OptionError, match=f"{codec}; give {smallest} to 16384"):
        write([np.zeros((smallest - 2, 200, 3), np.uint8)], path, 30, codec=codec)
    assert write([np.zeros((smallest, 200, 3), np.uint8)] * 2, path, 30, codec=codec).frames == 2


def test_a_codec_belongs_to_its_ending(tmp_path: Path) -> None:
    assert write(clip(2), tmp_path / "loop.webm", 30, codec="vp9", quality=63).codec == "vp9"
    assert write(clip(2, 96, 96), tmp_path / "loop.mp4", 30, codec="hevc").codec == "h265"
    with pytest.raises(OptionError, match=r"h264, h265, h265-10bit, av1 in \.mp4; vp9, av1 in \.webm"):
        write(clip(2), tmp_path / "loop.webm", 30, codec="h264")


def test_no_encoder(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "h265", replace(CODECS["h265"], encoder="no-such-encoder"))
    with pytest.raises(WriterUnavailable, match="use codec h264 or h265-10bit or av1, or run 'pip install"):
        write(clip(2), out, 30, codec="h265")


# --- where it cannot be written


def refused(path: Path, match: str) -> None:
    """Early by check_destination, and by the writer before it takes the first frame."""

    class Frames(list[np.ndarray]):
        def __iter__(self) -> Iterator[np.ndarray]:
            pytest.fail("work was done for a file that cannot be written")

    with pytest.raises(OutputError, match=match):
        check_destination(path)
    with pytest.raises(OutputError, match=match):
        write(Frames(clip(2)), path, 30)


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "nowhere" / "loop.mp4", r"no folder .*nowhere'")
    refused(tmp_path / "file" / "loop.mp4", "no folder")
    refused(tmp_path / "folder.mp4", "is a folder")
    refused(tmp_path / ("x" * 300 + ".mp4"), "cannot be written")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_pipe_in_place_of_the_file(out: Path) -> None:
    os.mkfifo(out)
    refused(out, "not a regular file")


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


def test_a_video_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    parts = [io.BytesIO() for _ in range(2)]
    for part, width in zip(parts, (64, 96), strict=True):
        Image.fromarray(chart(64, width)).save(part, "JPEG")
    (tmp_path / "film.mjpeg").write_bytes(b"".join(part.getvalue() for part in parts))
    with pytest.raises(VideoError, match="64x64 and 96x64"):
        read_video(tmp_path / "film.mjpeg")


def test_read_only_folder(read_only_folder: Path) -> None:
    refused(read_only_folder / "loop.mp4", "may not be written")


def test_no_space(tmp_path: Path) -> None:
    """A limit on file size stands for a full disk: the kernel cuts the write short in the same way."""
    pytest.importorskip("resource")
    out = tmp_path / "loop.mp4"
    out.write_bytes(b"an older film")
    code = f"""
import resource, numpy as np
from stylecine.errors import DiskFull
from stylecine.output.writing import write_output
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
try:
    write_output([rng.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(40)], {str(out)!r}, 30)
except DiskFull as error:
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
    whole = write(noise, out, 30).bytes
    out.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (whole - 1, whole - 400, whole // 2, 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OutputError):
                write(noise, out, 30)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not os.listdir(tmp_path)


# --- whole or not at all


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, KeyboardInterrupt, StylecineError])
def test_an_error_while_rendering_keeps_the_older_file(either: Path, error: type[BaseException]) -> None:
    either.write_bytes(b"an older film")

    class Failing(list[np.ndarray]):
        def __iter__(self) -> Iterator[np.ndarray]:
            yield from self[:3]
            assert len(os.listdir(either.parent)) == 2
            raise error("from the frames")

    with pytest.raises(error, match="from the frames") as caught:
        write(Failing(clip(4)), either, 30)
    assert not isinstance(caught.value, OutputError)  # none of the writer's business
    assert either.read_bytes() == b"an older film"
    assert os.listdir(either.parent) == [either.name]


def test_check_destination_leaves_nothing(out: Path) -> None:
    assert check_destination(out) == out
    out.write_bytes(b"an older film")
    check_destination(out)
    assert out.read_bytes() == b"an older film" and os.listdir(out.parent) == [out.name]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    film, link = tmp_path / "film.mp4", tmp_path / "link.mp4"
    film.touch()
    link.symlink_to(film)
    write(clip(), link, 30)
    assert link.is_symlink() and len(read_video(film)[0]) == 5


def test_names_with_odd_characters(tmp_path: Path) -> None:
    out = tmp_path / "http: 100% größe #1?.mp4"
    write(clip(2), out, 30)
    assert len(read_video(out)[0]) == 2


def test_no_file_stays_open(out: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")

    class Broken(list[np.ndarray]):
        def __iter__(self) -> Iterator[np.ndarray]:
            yield self[0]
            raise ValueError("no second frame")

    write(clip(2), out, 30)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        write(clip(2), out, 30)
        read_video(out)
        with pytest.raises(ValueError, match="no second frame"):
            write(Broken(clip(2)), out, 30)
    assert len(os.listdir("/proc/self/fd")) == before


# --- reading


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    for content in (b"", b"not a video", os.urandom(2000)):
        bad.write_bytes(content)
        with pytest.raises(VideoError, match="not a readable video"):
            read_video(bad)
    with pytest.raises(VideoError, match="no video at"):
        read_video(tmp_path / "missing.mp4")
    with pytest.raises(VideoError, match="is a folder"):
        read_video(tmp_path)
    for name in ("loop.webp", "loop.avif"):  # FFmpeg would see one still picture, or none
        with pytest.raises(VideoError, match="cannot be read as a video"):
            read_video(tmp_path / name)


def test_a_video_cut_short(out: Path) -> None:
    write(clip(), out, 30)
    out.write_bytes(out.read_bytes()[:700])
    with pytest.raises(VideoError):
        read_video(out)
