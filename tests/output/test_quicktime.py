"""The identifier and the timed metadata in a QuickTime movie."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from stylecine.options import FileOptions
from stylecine.output.codecs import check_encoding
from stylecine.output.live_photo import content_identifier
from stylecine.output.quicktime import CONTENT_IDENTIFIER, mark_live_photo, read_moov, read_tracks
from stylecine.output.video import encode, read_video
from tests.output.test_video import clip


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    encode(clip(5), tmp_path / "a.mov", check_encoding("a.mov", 30, FileOptions()))
    return tmp_path / "a.mov"


def test_marking_leaves_the_pictures_as_they_are(movie: Path) -> None:
    assert content_identifier(movie) == ""
    before = read_video(movie)[0]
    mark_live_photo(movie, {CONTENT_IDENTIFIER: "ABC"})
    assert content_identifier(movie) == "ABC"
    assert (read_video(movie)[0] == before).all()
    with av.open(str(movie)) as container:
        assert [stream.type for stream in container.streams] == ["video", "data", "data"]
        assert container.streams[1].duration * container.streams[1].time_base == pytest.approx(1 / 30, abs=1e-3)


def test_the_camera_stands_still_in_every_frame(movie: Path) -> None:
    mark_live_photo(movie, {CONTENT_IDENTIFIER: "ABC"})
    with av.open(str(movie)) as container:
        stream = container.streams.data[1]
        records = [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]
    assert [time for time, _ in records] == [Fraction(k, 30) for k in range(5)]
    for time, record in records:
        assert struct.unpack_from(">II", record) == (144, 1) and len(record) == 144
        assert struct.unpack_from("<I", record, 8) == (3,)  # version
        assert struct.unpack_from("<9f", record, 76) == (1, 0, 0, 0, 1, 0, 0, 0, 1)  # homography
        assert struct.unpack_from("<2Q", record, 112) == (round(time * 1e9),) * 2


def test_tracks_are_read_as_they_are_written(movie: Path) -> None:
    mark_live_photo(movie, {CONTENT_IDENTIFIER: "ABC"}, still=3)
    with movie.open("rb") as file:
        video, photo, camera = read_tracks(read_moov(file)[1])
    assert (video.kind, photo.kind, camera.kind) == (b"vide", b"meta", b"meta")
    assert (video.samples, photo.samples, camera.samples) == (5, 1, 5) and video.size == (128, 96)
    assert (video.start, photo.start, camera.start) == (0, pytest.approx(0.1), 0)
    assert camera.seconds == video.seconds == pytest.approx(5 / 30)


def test_an_atom_of_64_bits_is_skipped(movie: Path) -> None:
    """As that of the pictures of a movie above 4 GB."""
    mark_live_photo(movie, {CONTENT_IDENTIFIER: "ABC"})
    content = movie.read_bytes()
    movie.write_bytes(struct.pack(">I4sQ", 1, b"free", 24) + bytes(8) + content)
    assert content_identifier(movie) == "ABC"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        b"text, not a movie",
        struct.pack(">I4s", 0, b"moov"),
        struct.pack(">I4s", 8, b"moov"),
        struct.pack(">I4s", 2**32 - 1, b"moov") + bytes(100),
        struct.pack(">I4sQ", 1, b"moov", 2**63) + bytes(100),
        struct.pack(">I4sQ", 1, b"free", 3),
        struct.pack(">I4s", 1, b"free"),
        struct.pack(">I4sI4s", 16, b"moov", 99, b"meta"),
        struct.pack(">I4sI4sI4s", 24, b"moov", 16, b"meta", 8, b"keys"),
    ],
    ids=repr,
)
def test_hostile_files_have_no_identifier(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mov").write_bytes(content)
    with pytest.raises((ValueError, KeyError, OverflowError, struct.error)):
        read_tracks(read_moov(io.BytesIO(content))[1])
    assert content_identifier(tmp_path / "x.mov") == ""
    assert content_identifier(tmp_path / "missing.mov") == ""
