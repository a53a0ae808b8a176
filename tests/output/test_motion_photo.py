"""Reading Motion Photos, also those of other programs, and refusing what is damaged or hostile."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.errors import VideoError
from stylecine.output.motion_photo import motion_photo_video, motion_photo_xmp

VIDEO = b"\0\0\0\x10ftypmp42" + bytes(100)
GAIN_MAP = bytes(77)


def written(folder: Path, xmp: str, rest: bytes) -> Path:
    path = folder / "photo.MP.jpg"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path, xmp=xmp.encode())
    path.write_bytes(path.read_bytes() + rest)
    return path


def test_the_video_is_what_the_metadata_say(tmp_path: Path) -> None:
    assert motion_photo_video(written(tmp_path, motion_photo_xmp(len(VIDEO)), VIDEO)) == VIDEO


def test_other_parts_of_the_file_are_skipped(tmp_path: Path) -> None:
    """A phone may put a gain map before the video, and padding behind the photo."""
    item = '<rdf:li><Container:Item Item:Semantic="GainMap" Item:Length="77"/></rdf:li>'
    xmp = motion_photo_xmp(len(VIDEO)).replace("<rdf:Seq>", f"<rdf:Seq>{item}").replace('Padding="0"', 'Padding="5"', 1)
    assert motion_photo_video(written(tmp_path, xmp, bytes(5) + GAIN_MAP + VIDEO)) == VIDEO
    behind = motion_photo_xmp(len(VIDEO)).replace("</rdf:Seq>", f"{item}</rdf:Seq>")
    assert motion_photo_video(written(tmp_path, behind, VIDEO + GAIN_MAP)) == VIDEO


@pytest.mark.parametrize(
    "xmp",
    [
        "",
        "<x/>",
        "<x",
        motion_photo_xmp(len(VIDEO)).replace('MotionPhoto="1"', 'MotionPhoto="0"'),
        motion_photo_xmp(len(VIDEO)).replace('"MotionPhoto"', '"Else"'),
        motion_photo_xmp(len(VIDEO)).replace(f'"{len(VIDEO)}"', '"long"'),
        motion_photo_xmp(-len(VIDEO)),
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + motion_photo_xmp(len(VIDEO)),
        motion_photo_xmp(len(VIDEO)).replace("<", "\0<"),
        '<?xml version="1.0" encoding="none-such"?>' + motion_photo_xmp(len(VIDEO)),
    ],
    ids=["none", "empty", "damaged", "off", "no video", "no number", "negative", "entities", "UTF-16", "encoding"],
)
def test_anything_else_is_a_photo(tmp_path: Path, xmp: str) -> None:
    assert motion_photo_video(written(tmp_path, xmp, VIDEO)) is None


def test_files_that_are_no_jpeg_are_not_searched(tmp_path: Path) -> None:
    path = written(tmp_path, motion_photo_xmp(len(VIDEO)), VIDEO)
    assert motion_photo_video(path.rename(tmp_path / "photo.mp4")) is None
    assert motion_photo_video(tmp_path / "missing.jpg") is None
    (tmp_path / "text.jpg").write_text("no photo")
    assert motion_photo_video(tmp_path / "text.jpg") is None


@pytest.mark.parametrize("length", [0, 1, len(VIDEO) - 1, len(VIDEO) + 1, 10**6, 10**30])
def test_a_video_that_is_not_where_it_should_be_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(VideoError, match=r"photo\.MP\.jpg' is damaged or cut short; copy the file again\."):
        motion_photo_video(written(tmp_path, motion_photo_xmp(length), VIDEO))


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, motion_photo_xmp(len(VIDEO)), VIDEO)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(VideoError, match="cut short"):
        motion_photo_video(path)
