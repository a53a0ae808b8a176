"""The photo in a TIFF is not always its first page."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.errors import PhotoError
from stylecine.picture.photo import load_photo, photo_size
from stylecine.picture.tiff import MAX_PAGES, main_page, pages
from tests.picture.test_deep import with_curve
from tests.tiffs import tiff

SMALL, LARGE = np.full((64, 80, 3), 90, np.uint8), np.full((128, 160, 3), 180, np.uint8)


@pytest.mark.parametrize("below", [False, True])
def test_a_reduced_copy_before_it_is_skipped(below: bool) -> None:
    copy, photo = ({254: 1}, SMALL), ({254: 0}, LARGE)
    content = tiff(copy, below=[photo]) if below else tiff(copy, photo)
    assert [page.reduced for page in pages(content)] == [True, False]
    assert np.array_equal(load_photo(content, None), LARGE)


def test_otherwise_it_is_the_first_page() -> None:
    content = tiff(({254: 0}, SMALL), ({254: 0}, LARGE))
    assert main_page(content, "it") == content and np.array_equal(load_photo(content, None), SMALL)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08\0\1", b"\x89PNG"])
def test_what_is_no_whole_tiff_has_no_pages(content: bytes) -> None:
    assert not any(page.width for page in pages(content)) and main_page(content, "it") == content


def test_a_directory_that_names_itself_ends() -> None:
    content = bytearray(tiff(({}, SMALL)))
    first = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[first : first + 2], "little")
    content[first + 2 + 12 * count :][:4] = first.to_bytes(4, "little")
    content[first + 2 + 12 * count : first + 6 + 12 * count] = first.to_bytes(4, "little")
    assert len(pages(bytes(content))) == 1


def test_grey_of_16_bits_may_count_from_white() -> None:
    ramp = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (64, 1))
    straight, inverted = load_photo(tiff(({}, ramp)), None), load_photo(tiff(({262: 0}, 65535 - ramp)), None)
    assert np.abs(straight.astype(int) - inverted).max() <= 1 and straight[0, -1, 0] == 255
    assert Image.fromarray(straight).size == (96, 64)


def test_a_photo_beyond_the_end_of_the_file_is_missing() -> None:
    content = tiff(({254: 1}, SMALL), below=[({254: 0}, LARGE)])
    place = content.index(struct.pack("<HHI", 330, 4, 1)) + 8
    cut = content[:place] + struct.pack("<I", len(content) + 8) + content[place + 4 :]
    with pytest.raises(PhotoError, match="cut short"):
        load_photo(cut, None)


def test_nested_and_overlapping_directories_end() -> None:
    """Of a file made to take long."""
    levels = bytearray(b"II*\0\x08\0\0\0")
    for _ in range(5000):
        levels += struct.pack("<HHHIII", 1, 330, 4, 1, len(levels) + 18, 0)
    assert len(pages(bytes(levels))) <= MAX_PAGES
    overlapping = b"II*\0\x08\0\0\0" + b"\xff" * 1_000_000
    assert len(pages(overlapping)) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_at_8_and_at_16_bits(orientation: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :96]
    stored = np.stack([x * 2, y * 3, x + y], -1).astype(np.uint8)
    profile = with_curve(b"para" + struct.pack(">IHHi", 0, 0, 0, 144179))
    eight = tiff(({274: orientation, 34675: profile}, stored))
    sixteen = tiff(({274: orientation, 34675: profile}, stored.astype(np.uint16) * 257))
    (tmp_path / "a.tif").write_bytes(sixteen)
    photo = load_photo(sixteen, None)
    assert np.abs(photo.astype(int) - load_photo(eight, None)).max() <= 3
    assert photo_size(tmp_path / "a.tif", None) == photo.shape[1::-1]
