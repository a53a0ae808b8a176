"""Reading a Live Photo: its two files belong together or are refused; of its archive, the movie is read."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stylecine.errors import VideoError
from stylecine.output.live_photo import live_photo_movie, write_zip
from stylecine.output.metadata import read_report
from stylecine.output.video import read_video
from tests.output.test_video import clip
from tests.outputs import write


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write(clip(4, 64, 64), tmp_path / "a.livephoto", 30)
    return tmp_path / "a.livephoto"


def test_the_movie_of_a_pair_is_found(pair: Path) -> None:
    assert live_photo_movie(pair) == pair.with_name("a.livephoto.mov")


@pytest.mark.parametrize("part", [".jpg", ".mov"])
def test_a_missing_half_is_named(pair: Path, part: str) -> None:
    Path(f"{pair}{part}").unlink()
    with pytest.raises(VideoError, match=rf"There is no '.*a\.livephoto{part}'; check the path, and copy both files"):
        live_photo_movie(pair)


@pytest.mark.parametrize("part", [".jpg", ".mov"])
def test_halves_of_two_live_photos_are_no_pair(pair: Path, part: str) -> None:
    other = pair.with_name("b.livephoto")
    write(clip(4, 64, 64), other, 30)
    Path(f"{other}{part}").replace(f"{pair}{part}")
    with pytest.raises(VideoError, match="are not the two files of a Live Photo"):
        live_photo_movie(pair)


@pytest.mark.parametrize("part", [".jpg", ".mov"])
def test_damaged_metadata_are_no_pair_and_nothing_worse(pair: Path, part: str) -> None:
    """The identifier may survive, so either the pair is found or the error says what to do."""
    path, rng = Path(f"{pair}{part}"), random.Random(1)
    whole = path.read_bytes()
    begin = 0 if part == ".jpg" else whole.index(b"moov") - 4
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 4, 30))):
            damaged[rng.randrange(begin, min(len(whole), begin + 1500))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert live_photo_movie(pair).suffix == ".mov"
        except VideoError as error:
            refused += str(error).endswith("; write them again.")
    assert 20 < refused < 300


# --- the archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write(clip(4, 64, 64), tmp_path / "a.livephoto.zip", 30, comment='{"stylecine": "1"}')
    return tmp_path / "a.livephoto.zip"


def test_the_movie_in_an_archive_is_read_and_so_is_its_report(archive: Path, pair: Path) -> None:
    assert np.array_equal(read_video(archive)[0], read_video(pair)[0])
    assert read_report(archive) == {"stylecine": "1"}


@pytest.mark.parametrize("fault", ["no archive", "no movie", "compressed", "encrypted", "cut"])
def test_another_archive_is_refused(archive: Path, fault: str) -> None:
    if fault in ("no movie", "compressed"):
        name = "movie.mov" if fault == "no movie" else "live-photo.mov"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as other:
            other.writestr(name, bytes(1_000_000))
    else:
        whole = archive.read_bytes()
        flagged = bytearray(whole)
        for k in (whole.rindex(b"PK\3\4") + 6, whole.rindex(b"PK\1\2") + 8):
            flagged[k] |= 1
        archive.write_bytes({"no archive": b"PK", "encrypted": bytes(flagged), "cut": whole[:-30]}[fault])
    for read in (read_video, read_report):
        with pytest.raises(VideoError, match="is not the archive of a Live Photo; write it again"):
            read(archive)


def test_an_archive_contains_its_files_but_not_their_times(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name * 1000)
    write_zip(tmp_path / "x.zip", [tmp_path / "b", tmp_path / "a"])
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        members = archive.infolist()
        assert [(member.filename, member.file_size, member.compress_type) for member in members] == [
            ("b", 1000, zipfile.ZIP_STORED),
            ("a", 1000, zipfile.ZIP_STORED),
        ]
        assert archive.read("a") == b"a" * 1000
        assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
