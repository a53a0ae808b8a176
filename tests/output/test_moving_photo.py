"""Live Photos and Motion Photos: what other programs find in them, and that nobody finds when they were written."""

import json
import os
import shutil
import subprocess
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks.lpips import psnr
from stylecine.errors import OptionError, OutputError, VideoError
from stylecine.machine.atomic import atomic_write_all
from stylecine.output.motion_photo import XMP
from stylecine.output.video import read_video
from stylecine.picture.photo import load_photo
from tests.output.test_video import clip
from tests.outputs import write

EXIFTOOL = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
MOVING_PHOTOS = ("photo.livephoto", "photo.livephoto.zip", "photo.MP.jpg")
IDENTIFIER = "com.apple.quicktime.content.identifier"
REPORT = '{"größe": 1}'


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write(clip(60), tmp_path / "photo.livephoto", 30, comment=REPORT)
    return tmp_path / "photo.livephoto"


@pytest.fixture
def motion_photo(tmp_path: Path) -> Path:
    write(clip(60), tmp_path / "photo.MP.jpg", 30, comment=REPORT)
    return tmp_path / "photo.MP.jpg"


def exiftool(path: Path) -> dict[str, Any]:
    """Every tag that it finds, after it has found nothing missing or odd."""
    command = ["exiftool", "-j", "-G1", "-ee", "-n", "-a", str(path)]
    tags, checks = (
        json.loads(subprocess.run([*command, *more], capture_output=True, check=True).stdout)[0]
        for more in ([], ["-validate", "-warning", "-error"])
    )
    assert checks.keys() == {"SourceFile", "ExifTool:Validate"} and checks["ExifTool:Validate"] == "0 0 0", checks
    return dict(tags)


def atoms(data: bytes) -> dict[bytes, bytes]:
    """Content by path, as in /moov/trak/tref; read by ISO 14496-12, not as the writer does it."""
    found, offset = {}, 0
    while offset + 8 <= len(data):
        size, kind = int.from_bytes(data[offset : offset + 4]), data[offset + 4 : offset + 8]
        found[b"/" + kind] = content = data[offset + 8 : offset + size]
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"tref"):
            found |= {b"/" + kind + below: inner for below, inner in atoms(content).items()}
        offset += size
    return found


# --- Live Photos


def test_a_live_photo_is_a_photo_and_a_movie_of_whole_loops(tmp_path: Path) -> None:
    frames = clip(60)
    info = write(frames, tmp_path / "photo.livephoto", 30)
    assert sorted(os.listdir(tmp_path)) == ["photo.livephoto.jpg", "photo.livephoto.mov"]
    assert info.path == tmp_path / "photo.livephoto" and info.codec == "h265"
    assert info.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    photo, (movie, fps) = load_photo(tmp_path / "photo.livephoto.jpg"), read_video(tmp_path / "photo.livephoto.mov")
    assert len(movie) == info.frames == 120 and fps == 30  # two loops, as near to 3 s as one is
    assert psnr(photo[None], frames[0][None]) > 40 and psnr(movie[:60], np.stack(frames)) > 30
    assert np.array_equal(movie[:60], movie[60:])
    assert np.array_equal(movie, read_video(tmp_path / "photo.livephoto")[0])


@pytest.mark.parametrize(("count", "fps", "loops"), [(2, 30, 45), (30, 30, 3), (80, 30, 1), (120, 30, 1), (20, 25, 4)])
def test_a_movie_is_about_three_seconds_long_but_never_less_than_a_loop(
    tmp_path: Path, count: int, fps: float, loops: int
) -> None:
    assert write(clip(count, 64, 64), tmp_path / "a.livephoto", fps).frames == loops * count


def test_a_picture_too_small_for_h265_is_h264(tmp_path: Path) -> None:
    assert write(clip(3, 94, 128), tmp_path / "a.livephoto", 30).codec == "h264"
    assert write(clip(3, 96, 128), tmp_path / "a.livephoto", 30).codec == "h265"


def test_photo_and_movie_have_the_same_new_identifier(pair: Path) -> None:
    seen = set()
    for _ in range(2):
        with av.open(f"{pair}.mov") as movie, Image.open(f"{pair}.jpg") as photo:
            identifier = movie.metadata[IDENTIFIER]
            note = photo.getexif().get_ifd(0x8769)[0x927C]
        assert note.startswith(b"Apple iOS\0") and identifier.encode() + b"\0" in note
        seen.add(identifier)
        write(clip(60), pair, 30)
    assert len(seen) == 2


def test_a_track_marks_where_the_second_loop_begins(pair: Path) -> None:
    with av.open(f"{pair}.mov") as movie:
        packets = [packet for packet in movie.demux(movie.streams.data[0]) if packet.size]
    assert [packet.pts * packet.time_base for packet in packets] == [2]  # of two loops of 60 frames at 30 fps
    assert bytes(packets[0])[:9] == b"\0\0\0\x09\0\0\0\x01\xff"  # -1, the value of the first key
    content = Path(f"{pair}.mov").read_bytes()
    for key in (b"still-image-time", b"live-photo-still-image-transform", b"live-photo-info"):
        assert content.count(b"mdtacom.apple.quicktime." + key) == 1
    tracks = atoms(content)  # of several the last one stays in the dict
    assert b"mebx" in tracks[b"/moov/trak/mdia/minf/stbl/stsd"]
    assert int.from_bytes(tracks[b"/moov/trak/tref/cdsc"]) == 1  # it describes the video
    assert int.from_bytes(tracks[b"/moov/mvhd"][-4:]) == 4  # the next track's number


@EXIFTOOL
def test_exiftool_finds_the_pair(pair: Path) -> None:
    movie, photo = exiftool(Path(f"{pair}.mov")), exiftool(Path(f"{pair}.jpg"))
    identifier = movie["Keys:ContentIdentifier"]
    assert identifier in (photo.get("Apple:ContentIdentifier"), photo.get("Apple:MediaGroupUUID"))  # of old versions
    assert (movie["Track2:StillImageTime"], movie["Track2:SampleTime"]) == (-1, 2)
    assert movie["Track2:SampleDuration"] == pytest.approx(1 / 30, abs=0.001)
    assert movie["File:MIMEType"] == "video/quicktime" and movie["UserData:Comment"] == REPORT


def test_an_archive_contains_both(tmp_path: Path) -> None:
    info = write(clip(30), tmp_path / "x.livephoto.zip", 30)
    assert os.listdir(tmp_path) == ["x.livephoto.zip"] and info.bytes == (tmp_path / "x.livephoto.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "x.livephoto.zip") as archive:
        assert archive.testzip() is None
        assert [member.filename for member in archive.infolist()] == ["live-photo.jpg", "live-photo.mov"]
        archive.extractall(tmp_path)
    for part in (".jpg", ".mov"):
        (tmp_path / f"live-photo{part}").rename(tmp_path / f"mine.livephoto{part}")
    assert len(read_video(tmp_path / "mine.livephoto")[0]) == 90


def test_an_older_pair_stays_until_both_are_complete(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in pair.parent.iterdir()}

    def fail(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("stylecine.output.moving_photo._encode_still", fail)
    with pytest.raises(KeyboardInterrupt):
        write(clip(30), pair, 30)
    assert {path: path.read_bytes() for path in pair.parent.iterdir()} == before


def test_a_pair_is_written_by_one_run_at_a_time(pair: Path) -> None:
    targets = [Path(f"{pair}{part}") for part in (".jpg", ".mov")]
    with (
        pytest.raises(OutputError, match="Another run is writing"),
        atomic_write_all(targets),
    ):
        write(clip(30), pair, 30)


# --- Motion Photos


def test_a_motion_photo_is_a_photo_with_a_video_of_whole_loops(tmp_path: Path) -> None:
    frames = clip(60)
    info = write(frames, tmp_path / "photo.MP.jpg", 30)
    assert os.listdir(tmp_path) == ["photo.MP.jpg"] and info.bytes == (tmp_path / "photo.MP.jpg").stat().st_size
    photo, (video, fps) = load_photo(tmp_path / "photo.MP.jpg"), read_video(tmp_path / "photo.MP.jpg")
    assert len(video) == info.frames == 120 and fps == 30
    assert psnr(photo[None], frames[0][None]) > 40 and psnr(video[:60], np.stack(frames)) > 30


def test_a_second_packet_of_metadata_hides_no_video(motion_photo: Path) -> None:
    """Editing programs append one."""
    content, video = motion_photo.read_bytes(), read_video(motion_photo)[0]
    begin = content.index(b"\xff\xdb")  # the first table, after all metadata
    other = XMP + b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    segment = b"\xff\xe1" + (len(other) + 2).to_bytes(2, "big") + other
    motion_photo.write_bytes(content[:begin] + segment + content[begin:])
    assert np.array_equal(read_video(motion_photo)[0], video)


def test_its_metadata_say_where_the_video_is(motion_photo: Path) -> None:
    content = motion_photo.read_bytes()
    begin = content.index(b"<x:xmpmeta")
    packet = ElementTree.fromstring(content[begin : content.index(b"</x:xmpmeta>") + 12])
    values = {name.rpartition("}")[2]: value for node in packet.iter() for name, value in node.items()}
    assert values["MotionPhoto"] == values["MotionPhotoVersion"] == "1"
    assert values["MotionPhotoPresentationTimestampUs"] == "0"  # the photo is the first frame
    items = [
        {name.rpartition("}")[2]: value for name, value in item.items()}
        for item in packet.iter("{http://ns.google.com/photos/1.0/container/}Item")
    ]
    assert [(item["Semantic"], item["Mime"]) for item in items] == [
        ("Primary", "image/jpeg"),
        ("MotionPhoto", "video/mp4"),
    ]
    video = content[-int(items[1]["Length"]) :]
    assert video[4:8] == b"ftyp" and content[: -len(video)].endswith(b"\xff\xd9")  # directly behind the JPEG
    assert {item["Padding"] for item in items} == {"0"}


def test_the_first_segment_is_jfif_as_it_has_to_be(motion_photo: Path) -> None:
    content = motion_photo.read_bytes()
    assert content[:4] == b"\xff\xd8\xff\xe0" and content[6:11] == b"JFIF\0" and content[20:22] == b"\xff\xe1"


@EXIFTOOL
def test_exiftool_finds_the_video(motion_photo: Path, tmp_path: Path) -> None:
    tags = exiftool(motion_photo)
    assert tags["XMP-GCamera:MotionPhoto"] == 1 and tags["File:MIMEType"] == "image/jpeg"
    assert tags["XMP-Container:DirectoryItemSemantic"] == "Primary"
    video = subprocess.run(["exiftool", "-ee", "-b", "-EmbeddedVideo", motion_photo], capture_output=True, check=True)
    (tmp_path / "embedded.mp4").write_bytes(video.stdout)
    assert np.array_equal(read_video(tmp_path / "embedded.mp4")[0], read_video(motion_photo)[0])


# --- both


@pytest.mark.parametrize("name", MOVING_PHOTOS)
def test_odd_sizes_lose_one_column_and_row_in_photo_and_video(tmp_path: Path, name: str) -> None:
    info = write(clip(3, 97, 131), tmp_path / name, 30)
    assert (info.width, info.height, info.cropped) == (130, 96, (1, 1))
    for path in tmp_path.glob("*.jpg"):
        with Image.open(path) as photo:
            assert photo.size == (130, 96)


@pytest.mark.parametrize("name", MOVING_PHOTOS)
def test_nothing_in_a_file_tells_when_it_was_written(tmp_path: Path, name: str) -> None:
    """A file written now differs from one of another time only in its random identifier."""
    contents = []
    for _ in range(2):
        write(clip(9), tmp_path / name, 30)
        if name.endswith(".zip"):
            with zipfile.ZipFile(tmp_path / name) as archive:
                assert {member.date_time[0] for member in archive.infolist()} == {1980}
                archive.extractall(tmp_path)
            (tmp_path / name).unlink()
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    for part in contents[0]:
        first, second = (files[part] for files in contents)
        different = np.flatnonzero(np.frombuffer(first, np.uint8) != np.frombuffer(second, np.uint8))
        assert len(first) == len(second) and len(different) <= 36
        assert not len(different) or different[-1] - different[0] < 36
        for kind in (b"mvhd", b"tkhd", b"mdhd"):
            places = [at + 8 for at, _ in pairwise([*found(first, kind), 0])]
            assert all(first[at : at + 8] == bytes(8) for at in places)  # created, modified


def found(content: bytes, text: bytes) -> list[int]:
    return [at for at in range(len(content)) if content.startswith(text, at)]


@pytest.mark.parametrize("name", MOVING_PHOTOS)
@pytest.mark.parametrize(
    ("frames", "fps", "quality"),
    [([np.zeros((8, 8, 3), np.uint8)], 30, None), (clip(2), 0, None), (clip(2), 30, 52)],
    ids=["tiny", "no rate", "quality"],
)
def test_impossible_frames_and_options_leave_nothing(
    tmp_path: Path, name: str, frames: list[np.ndarray], fps: float, quality: int | None
) -> None:
    with pytest.raises(OptionError):
        write(frames, tmp_path / name, fps, quality=quality)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", MOVING_PHOTOS)
def test_unwritable_destinations_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="no folder") as caught:
        write(clip(2), tmp_path / "missing" / name, 30)
    assert "stylecine-" not in str(caught.value)


def test_damaged_and_foreign_files_are_refused_with_what_to_do(pair: Path, motion_photo: Path) -> None:
    for path in (Path(f"{pair}.mov"), Path(f"{pair}.jpg"), motion_photo):
        whole, name = path.read_bytes(), pair if path != motion_photo else motion_photo
        for length in (0, 1, 30, 200, *([] if path == Path(f"{pair}.jpg") else [len(whole) // 2, len(whole) - 100])):
            path.write_bytes(whole[:length])
            with pytest.raises(VideoError) as caught:
                read_video(name)
            assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
        path.write_bytes(whole)
        assert len(read_video(name)[0]) == 120
