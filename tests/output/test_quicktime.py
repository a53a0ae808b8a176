"""The identifier and the timed metadata in a QuickTime movie."""

import struct
from pathlib import Path

import av
import pytest

from stylecine.output.encoding import check_encoding
from stylecine.output.quicktime import content_identifier, mark_live_photo
from stylecine.output.video import encode, read_video
from tests.output.test_video import clip


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    encode(clip(5), tmp_path / "a.mov", check_encoding("a.mov", 30, None, None))
    return tmp_path / "a.mov"


def test_marking_leaves_the_pictures_as_they_are(movie: Path) -> None:
    assert content_identifier(movie) == ""
    before = read_video(movie)[0]
    mark_live_photo(movie, "ABC", 1 / 30)
    assert content_identifier(movie) == "ABC"
    assert (read_video(movie)[0] == before).all()
    with av.open(str(movie)) as container:
        assert [stream.type for stream in container.streams] == ["video", "data"]
        assert container.streams[1].duration * container.streams[1].time_base == pytest.approx(1 / 30, abs=1e-3)


def test_an_atom_of_64_bits_is_skipped(movie: Path) -> None:
    """As that of the pictures of a movie above 4 GB."""
    mark_live_photo(movie, "ABC", 1 / 30)
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
    assert content_identifier(tmp_path / "x.mov") == ""
    assert content_identifier(tmp_path / "missing.mov") == ""
