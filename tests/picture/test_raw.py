"""Cameras' raw files are developed, or their preview is shown with a warning: never a thumbnail without a word."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.errors import PhotoError
from stylecine.picture.photo import load_photo, photo_size, read_photo
from stylecine.picture.raw import is_raw
from tests.tiffs import raw_file, tiff

MAKERS = ["NIKON CORPORATION", "LEICA CAMERA AG", "RICOH IMAGING COMPANY, LTD.", "Google"]


def with_preview(side: int, orientation: int = 1) -> bytes:
    """A raw file that contains a JPEG with a short side of that length, before a smaller one."""
    jpegs = [io.BytesIO(), io.BytesIO()]
    for jpeg, height in zip(jpegs, (side, 40), strict=True):
        Image.new("RGB", (height * 3 // 2, height), (200, 60, 30)).save(jpeg, "JPEG", quality=95)
    return raw_file("Google", orientation=orientation) + b"".join(jpeg.getvalue() for jpeg in jpegs)


@pytest.mark.parametrize("make", MAKERS)
def test_it_is_developed_as_libraw_does_with_the_cameras_white_balance(make: str, tmp_path: Path) -> None:
    rawpy = pytest.importorskip("rawpy")
    path = tmp_path / "photo.nef"
    path.write_bytes(raw_file(make, dng=make != MAKERS[0]))
    with rawpy.imread(str(path)) as file:
        own = file.postprocess(use_camera_wb=True, gamma=(2.4, 12.92))
    photo = load_photo(path, None)
    assert photo.shape == own.shape == (160, 240, 3)
    assert np.abs(photo.mean((0, 1)) - own.mean((0, 1))).max() < 1.5
    assert photo_size(path, None) == (240, 160)


@pytest.mark.parametrize(("orientation", "size"), [(1, (240, 160)), (6, (160, 240)), (3, (240, 160))])
def test_it_is_upright(orientation: int, size: tuple[int, int], tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "photo.dng"
    path.write_bytes(raw_file("Google", orientation=orientation))
    height, width = load_photo(path, None).shape[:2]
    assert (width, height) == photo_size(path, None) == size


def test_a_small_loop_needs_half_of_the_pixels_only() -> None:
    pytest.importorskip("rawpy")
    whole, half = load_photo(raw_file("Google", 640, 640), None), load_photo(raw_file("Google", 640, 640), 64)
    assert half.shape == (64, 64, 3) and np.abs(whole.mean((0, 1)) - half.mean((0, 1))).max() < 2


@pytest.mark.parametrize(("orientation", "size"), [(1, (192, 128)), (6, (128, 192))])
def test_without_libraw_a_large_preview_is_shown_with_a_warning(
    orientation: int, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    path = tmp_path / "photo.dng"
    path.write_bytes(with_preview(200, orientation))
    photo, file = read_photo(path, 128)
    assert photo.shape[1::-1] == photo_size(path, 128) == size
    assert np.abs(photo.mean((0, 1)) - (200, 60, 30)).max() < 4
    assert file is not None and "its preview is shown" in file.warning and "pip install" in file.warning


def test_a_preview_is_shown_of_a_camera_that_libraw_does_not_know(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "photo.raf"
    path.write_bytes(b"FUJIFILMCCD-RAW" + bytes(2000) + with_preview(200)[-9000:])
    photo, file = read_photo(path, 128)
    assert photo.shape[1::-1] == photo_size(path, 128) and file is not None and "LibRaw" in file.warning


def test_a_sensor_without_colours_is_grey() -> None:
    pytest.importorskip("rawpy")
    ramp = np.tile(np.linspace(0, 60000, 96).astype(np.uint16), (80, 1))
    tags = {254: 0, 262: 34892, 271: "Leica", 272: "Monochrom", 50706: bytes((1, 4, 0, 0))}
    photo = load_photo(tiff((tags, ramp)), None)
    assert photo.shape == (80, 96, 3) and (photo[..., 0] == photo[..., 2]).all() and photo[40, -1, 0] > photo[40, 0, 0]


def test_a_thumbnail_is_no_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for content in (raw_file("NIKON CORPORATION", dng=False), with_preview(100)):
        with pytest.raises(PhotoError, match="The photo is a camera's raw file, which needs rawpy"):
            load_photo(content, 128)


def test_many_markers_of_jpegs_take_no_time() -> None:
    with pytest.raises(PhotoError):
        load_photo(b"FUJIFILMCCD-RAW" + b"\xff\xd8\xff" * 100_000, 128)


def test_one_that_is_damaged_says_so() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(PhotoError, match="cannot be developed"):
        load_photo(b"FUJIFILMCCD-RAW" + bytes(2000), 128)


def test_what_is_raw_is_told_by_its_content() -> None:
    assert is_raw(raw_file("Google")) and is_raw(b"\0\0\0\x18ftypcrx " + bytes(8))
    assert not is_raw(tiff(({}, np.zeros((64, 64, 3), np.uint8)))) and not is_raw(b"\xff\xd8\xff\xe0")
