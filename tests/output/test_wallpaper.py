"""What is known to keep iOS from moving a Live Photo on the lock screen: each condition is named by itself."""

import itertools
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stylecine.errors import VideoError
from stylecine.options import PRESETS, FileOptions, RenderOptions
from stylecine.output.codecs import check_encoding
from stylecine.output.live_photo import content_identifier
from stylecine.output.quicktime import CAMERA, CONTENT_IDENTIFIER, STILL_IMAGE_TIME, mark_live_photo
from stylecine.output.video import encode
from stylecine.output.wallpaper import wallpaper_faults
from tests.output.test_video import clip
from tests.outputs import write

FPS, SECONDS = PRESETS["wallpaper"]["fps"], PRESETS["wallpaper"]["seconds"]
COUNT = RenderOptions(seconds=SECONDS, fps=FPS).period


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wallpaper") / "a.livephoto"
    write(clip(COUNT, 128, 96), path, FPS)
    return path


@pytest.fixture
def wallpaper(written: Path, tmp_path: Path) -> Path:
    for part in (".jpg", ".mov"):
        shutil.copy(f"{written}{part}", tmp_path)
    return tmp_path / written.name


def remade(pair: Path, codec: str = "h264", fps: float = FPS, count: int = 40, still: int = 20) -> list[str]:
    """The faults of a pair with another movie, of H.264 because that is fast."""
    movie = Path(f"{pair}.mov")
    identifier = content_identifier(movie)
    encode(clip(count, 128, 96), movie, check_encoding(movie, fps, FileOptions(codec=codec)))
    mark_live_photo(movie, {CONTENT_IDENTIFIER: identifier}, still)
    return wallpaper_faults(pair)


def rewritten(pair: Path, change: Callable[[bytearray], None]) -> list[str]:
    """The faults of a pair whose movie has other bytes."""
    movie = Path(f"{pair}.mov")
    content = bytearray(movie.read_bytes())
    change(content)
    movie.write_bytes(content)
    return wallpaper_faults(pair)


def test_the_presets_own_size_is_a_phones() -> None:
    assert PRESETS["wallpaper"]["size"][:2] == (1080, 1920)


def test_what_the_preset_writes_has_no_fault(wallpaper: Path, tmp_path: Path) -> None:
    assert wallpaper_faults(wallpaper) == []
    write(clip(COUNT, 128, 96), tmp_path / "b.livephoto.zip", FPS)
    assert wallpaper_faults(tmp_path / "b.livephoto.zip") == []


OTHER_CODEC = "The video is not H.265 of 8 bits (hvc1), the only codec that most converters report as accepted."


@pytest.mark.parametrize("codec", ["h264", "h265-10bit"])
def test_another_codec_is_named(wallpaper: Path, codec: str) -> None:
    assert remade(wallpaper, codec) == [OTHER_CODEC]


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"fps": 30}, "The video has 30 frames per second; iOS is reported to accept 60"),
        ({"count": 200}, "The video lasts 3.33 s; more than 3 s"),
        ({"still": 13}, "13 frames come before the photo, and iOS shows 14"),
        ({"still": 0}, "0 frames come before the photo, and iOS shows 14"),
    ],
    ids=str,
)
def test_times_are_named(wallpaper: Path, other: dict[str, Any], fault: str) -> None:
    found = [name for name in remade(wallpaper, **other) if name != OTHER_CODEC]
    assert len(found) == 1 and found[0].startswith(fault) and found[0].endswith(".")


def test_fourteen_frames_before_the_photo_are_enough(wallpaper: Path) -> None:
    assert remade(wallpaper, still=14) == [OTHER_CODEC]


@pytest.mark.parametrize(
    ("key", "fault"),
    [(STILL_IMAGE_TIME, "marks the time of the photo"), (CAMERA, "says for each frame how the camera")],
)
def test_a_track_of_another_kind_is_missed(wallpaper: Path, key: bytes, fault: str) -> None:
    def change(content: bytearray) -> None:
        at = content.index(b"mdta" + key)
        content[at + 4 : at + 7] = b"org"

    (found,) = rewritten(wallpaper, change)
    assert fault in found


def test_a_frame_without_a_record_of_the_camera_is_missed(wallpaper: Path) -> None:
    def change(content: bytearray) -> None:
        runs = struct.pack(">4sIII", b"stts", 0, 1, 2 * COUNT)
        at = content.rindex(runs) + len(runs) - 4
        content[at : at + 4] = struct.pack(">I", 2 * COUNT - 1)

    (found,) = rewritten(wallpaper, change)
    assert "for each frame" in found


@pytest.mark.parametrize(("size", "named"), [((1080, 2340), "1080x2340"), ((1620, 1920), "1620x1920")])
def test_a_larger_picture_than_phones_accepted_is_named(wallpaper: Path, size: tuple[int, int], named: str) -> None:
    def change(content: bytearray) -> None:
        at = content.index(b"hvc1", content.index(b"stsd")) + 28
        content[at : at + 4] = struct.pack(">HH", *size)

    (found,) = rewritten(wallpaper, change)
    assert f"The video has {named} pixels" in found


def test_two_halves_of_others_and_damaged_movies_are_refused(wallpaper: Path, tmp_path: Path) -> None:
    write(clip(4, 96, 96), tmp_path / "b.livephoto", FPS)
    Path(f"{tmp_path}/b.livephoto.jpg").replace(f"{wallpaper}.jpg")
    with pytest.raises(VideoError, match="are not the two files of a Live Photo"):
        wallpaper_faults(wallpaper)


def test_a_damaged_movie_has_faults_or_is_refused_and_nothing_worse(wallpaper: Path) -> None:
    movie = Path(f"{wallpaper}.mov")
    whole = movie.read_bytes()
    begin, refused = whole.index(b"moov"), 0
    for at, value in itertools.product(range(begin + 4, begin + 700, 9), (0, 255)):
        movie.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        try:
            assert all(fault.endswith(".") for fault in wallpaper_faults(wallpaper))
        except VideoError as error:
            refused += str(error).endswith("write it again.") or str(error).endswith("write them again.")
    assert refused > 10
