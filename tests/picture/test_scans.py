"""JPEGs whose scans would keep a decoder busy for minutes are refused before they are decoded."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.cli import main
from stylecine.errors import PhotoError
from stylecine.picture.photo import load_photo
from stylecine.picture.scans import MAX_SCANS, check_scans

SCAN = b"\xff\xda"


def progressive(thumbnail: bytes = b"", size: int = 96) -> bytes:
    exif = b"Exif\0\0" + thumbnail if thumbnail else b""
    picture = np.zeros((size, size, 3), np.uint8)
    picture[:96, :96] = np.random.default_rng(0).integers(0, 256, (96, 96, 3))
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", progressive=True, exif=exif)
    return file.getvalue()


def repeated(content: bytes, times: int, before: bytes = b"") -> bytes:
    """With its last scan again and again. before: what lies between two of them."""
    last = content[content.rindex(SCAN) : -2]
    return content[:-2] + (before + last) * times + b"\xff\xd9"


def scans_in(content: bytes) -> int:
    return len(re.findall(SCAN, content))


@pytest.mark.parametrize("between", [b"", b"garbage", b"\xff\xff", b"\xff\xfe\0\4xx", b"\xff\x01"], ids=repr)
def test_more_scans_than_any_photo_has_are_refused(between: bytes) -> None:
    content = progressive()
    most = repeated(content, MAX_SCANS - scans_in(content), between)
    assert load_photo(most).shape == (96, 96, 3)
    with pytest.raises(PhotoError, match="more than 100 scans"):
        load_photo(repeated(content, MAX_SCANS - scans_in(content) + 1, between))


def test_markers_that_decoders_skip_hide_no_scans() -> None:
    """As if a segment of 64 kB began there."""
    with pytest.raises(PhotoError, match="more than 100 scans"):
        check_scans(repeated(progressive(), MAX_SCANS, b"\xff\x02\xff\xff"), "The photo")


def test_what_looks_like_a_scan_is_none() -> None:
    """In a comment, in the picture's thumbnail, and behind its end."""
    content = progressive(thumbnail=SCAN * 200)
    assert load_photo(content[:2] + b"\xff\xfe\1\xf6" + SCAN * 250 + content[2:] + SCAN * 200).shape == (96, 96, 3)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xfe\0\0", b"\xff" * 9], ids=repr
)
def test_damaged_files_are_counted_to_their_end(content: bytes) -> None:
    check_scans(content, "The photo")


def test_the_command_refuses_it_before_it_is_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.jpg").write_bytes(repeated(progressive(size=4000), 4000))
    assert main(["animate", str(tmp_path / "slow.jpg"), "-o", str(tmp_path / "slow.mp4")]) == 2
    assert "more than 100 scans" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["slow.jpg"]
