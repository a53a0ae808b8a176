"""What is refused before minutes of work, and which moments of a loop a file shows."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylecine.errors import OptionError, OutputError, TooLarge
from stylecine.options import FileOptions
from stylecine.output.formats import ENDINGS, check_size, files_of, format_of
from stylecine.output.writing import check_output, write_output

PICTURES = [".gif", ".webp", ".avif", ".apng"]
PAGE = (("crop", "1:1", "whole photo"), ("quality", 101, "0 to 100"), ("embed_report", True, "no place for a report"))
MOVING_PHOTOS = [".livephoto", ".livephoto.zip", ".MP.jpg"]


# --- what is refused


@pytest.mark.parametrize("name", ["loop.avi", "loop.mp4.txt", "loop.v2", ".mp4", ".livephoto", "loop.jpg", "loop.zip"])
def test_unknown_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.mp4, .* or \.png, or in nothing"):
        check_output(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("loop.mp4", {"quality": 52}, "quality"),
        ("loop.webm", {"codec": "h264"}, "codec"),
        ("loop.png", {"repeat": 2}, "a still not at all"),
        ("loop.png", {"quality": 90}, "is lossless"),
        *((f"loop{ending}", {"codec": "h264"}, "for videos") for ending in PICTURES),
        *((f"loop{ending}", {"repeat": 2}, "endlessly") for ending in PICTURES),
        *((f"loop{ending}", {"duration": "10m"}, "endlessly") for ending in PICTURES),
        *((f"loop{ending}", {"keyframes": "all"}, "are for videos") for ending in PICTURES),
        ("loop.png", {"duration": 5}, "a still not at all"),
        ("loop.mp4", {"duration": "soon"}, "90s, 10m or 1h30m"),
        ("loop.mp4", {"duration": 9, "repeat": 2}, "give one of them"),
        ("loop.mp4", {"keyframes": "none"}, "first or all"),
        *((f"loop{ending}", {"codec": "h264"}, "Phones expect") for ending in MOVING_PHOTOS),
        *((f"loop{ending}", {"duration": "10m"}, "Phones expect") for ending in MOVING_PHOTOS),
        *((f"loop{ending}", {"quality": 52}, "quality") for ending in MOVING_PHOTOS),
        ("loop.gif", {"quality": 101}, "0 to 100"),
        *(("loop.html", wrong, "pages play endlessly") for wrong in ({"codec": "h264"}, {"repeat": 2})),
        *(("loop.html", {name: wrong}, says) for name, wrong, says in PAGE),
        ("loop.apng", {"quality": 90}, "is lossless"),
        ("frames", {"quality": 90}, "is lossless"),
        ("frames", {"repeat": 2}, "repeat"),
        ("frames", {"embed_report": True}, "no place for a report"),
        ("loop.avif", {"embed_report": True}, "no place for a report"),
        ("loop.avif", {"quality": 64}, "0 to 63"),
        ("loop.mp4", {"layer": "moving"}, "no place for the matte"),
        ("loop.mov", {"layer": "below"}, "all or moving"),
        ("loop.mp4", {"depth": 16}, "use codec prores4444, prores422hq, h265-10bit, or omit"),
        ("frames", {"depth": 16}, "Only videos of 10 bits"),
        ("loop.mov", {"depth": 10}, "8 or 16 bits"),
    ],
)
def test_options_that_are_impossible_or_make_no_sense(
    tmp_path: Path, name: str, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says) as caught:
        check_output(tmp_path / name, FileOptions(**wrong))
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", [*(f"loop{ending}" for ending in ENDINGS), "LOOP.GIF", "frames"])
def test_valid_options_pass_and_leave_nothing_behind(tmp_path: Path, name: str) -> None:
    assert check_output(tmp_path / name) == [*files_of(tmp_path / name)]
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "missing" / name)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "width", "height", "crop", "says"),
    [
        ("loop.webp", 16400, 80, None, "holds at most 16383 a side; ask for size 79 or less"),
        ("loop.gif", 90, 20000, None, "ask for size 73 or less"),
        ("loop.avif", 20000, 400, None, "holds at most 16384 a side; ask for size 327 or less"),
        ("loop.mp4", 400, 20000, None, "ask for size 327 or less"),
        ("loop.html", 20000, 400, None, "ask for size 327 or less"),
        ("frames", 20000, 400, None, "a folder of PNG holds"),
        ("loop.webp", 70000, 80, None, "cut a part out of the photo"),
        ("loop.webp", 70000, 20000, "1:1", "ask for size 16383 or less"),
    ],
)
def test_too_large_for_a_format(name: str, width: int, height: int, crop: str | None, says: str) -> None:
    with pytest.raises(TooLarge, match=says):
        check_size(name, width, height, crop)


def test_the_size_that_is_named_fits() -> None:
    check_size("loop.webp", 16195, 79)
    check_size("loop.webp", 70000, 100, "1:1")
    check_size("loop.png", 70000, 100)
    check_size("loop.wav", 70000, 100)


# --- which moments are shown


def test_videos_and_pictures_with_a_fine_clock_show_the_loops_own_frames() -> None:
    for name in ("loop.mp4", "loop.webp", "loop.avif", "loop.apng", "frames"):
        times, rate = format_of(name).shown(120, 30)
        assert list(times) == list(range(120)) and rate == 30
    assert format_of("loop.png").shown(120, 30)[0] == [0.0]


@pytest.mark.parametrize("ending", MOVING_PHOTOS)
def test_photos_that_move_show_the_loops_own_frames_at_any_rate(ending: str) -> None:
    times, rate = format_of(f"loop{ending}").shown(480, 240)
    assert list(times) == list(range(480)) and rate == 240


def test_a_gif_shows_the_loop_as_it_is_when_each_frame_appears() -> None:
    times, rate = format_of("loop.gif").shown(120, 30)
    assert len(times) == 120 and rate == 30
    assert times[:4] == pytest.approx([0, 0.9, 2.1, 3])  # at 0, 3, 7 and 10 hundredths
    assert list(format_of("loop.gif").shown(100, 25)[0]) == list(range(100))


@pytest.mark.parametrize(
    ("name", "fps", "most"),
    [("loop.gif", 60, 50), ("loop.gif", 240, 50), ("loop.webp", 240, 90), ("loop.avif", 240, 90)],
)
def test_a_loop_too_fast_for_a_format_has_fewer_frames_and_the_same_duration(
    name: str, fps: float, most: float
) -> None:
    period = 2 * int(fps)
    times, rate = format_of(name).shown(period, fps)
    assert rate <= most and len(times) / rate == pytest.approx(2)
    assert max(times) < period and len(set(times)) == len(times)
    assert np.diff(times).max() < 1.6 * fps / most


@pytest.mark.parametrize("fps", [7, 12.5, 24, Fraction(30000, 1001), 59.94, 90.5])
@pytest.mark.parametrize("ending", PICTURES)
def test_the_duration_is_exact_to_half_a_tick_at_any_rate(tmp_path: Path, ending: str, fps: float) -> None:
    times, rate = format_of(f"loop{ending}").shown(12, fps)
    frames = [np.full((64, 64, 3), 20 * k, np.uint8) for k in range(len(times))]
    info = write_output(frames, tmp_path / f"loop{ending}", rate)
    assert info.frames == len(times)
    assert info.frames / info.fps == pytest.approx(12 / float(fps), abs=0.0051 if ending == ".gif" else 0.00051)
