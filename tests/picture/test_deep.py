"""Sixteen bits a channel reach sRGB, upright and at the size that is asked for."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from stylecine.picture.colour import matrix_profile
from stylecine.picture.deep import deep_pixels, shrunk
from stylecine.picture.photo import load_photo
from tests.photo_files import png
from tests.tiffs import tiff

LINEAR = struct.pack(">I", 100_000)  # of gAMA


def dark(height: int = 80, width: int = 120) -> np.ndarray:
    """uint8 [H,W,3] in sRGB, black to dark: linear light of 8 bits would have three levels for it. Unlike in each
    corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, (x + y) / 2], axis=-1) * 30).astype(np.uint8)


def linear(shown: np.ndarray) -> np.ndarray:
    return np.where(shown <= 10, shown / 255 / 12.92, ((shown / 255 + 0.055) / 1.055) ** 2.4)


def exif(orientation: int) -> bytes:
    told = Image.Exif()
    told[0x0112] = orientation
    return told.tobytes()


def test_dark_parts_of_linear_light_keep_their_levels() -> None:
    assert np.array_equal(load_photo(png(linear(dark()), 16, gAMA=LINEAR)), dark())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_png_becomes_upright(orientation: int) -> None:
    stored = np.rot90(dark(), {1: 0, 3: 2, 6: 1, 8: -1}[orientation])
    content = png(linear(stored), 16, gAMA=LINEAR, eXIf=exif(orientation).removeprefix(b"Exif\0\0"))
    assert np.array_equal(load_photo(content), dark())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_heic_becomes_upright_once(orientation: int) -> None:
    stored = np.rot90(linear(8 * dark()), {1: 0, 3: 2, 6: 1, 8: -1}[orientation])
    samples = np.round(stored * 65535).astype(np.uint16)
    file = pillow_heif.from_bytes("RGB;16", (samples.shape[1], samples.shape[0]), samples.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=95, chroma=444, transfer_characteristics=8, color_primaries=1, exif=exif(orientation))
    photo = load_photo(buffer.getvalue())
    assert photo.shape == dark().shape and np.abs(photo.astype(int) - 8 * dark()).mean() < 3


@pytest.mark.parametrize("size", [None, 100, 64, (90, 70)])
def test_any_size(size: object) -> None:
    large = dark(400, 600)
    deep, plain = load_photo(png(linear(large), 16, gAMA=LINEAR), size), load_photo(large, size)  # type: ignore[arg-type]
    assert deep.shape == plain.shape and np.abs(deep.astype(int) - plain).max() <= 1


def profile_of(curve: bytes) -> bytes:
    """An ICC profile of sRGB's primaries with that curve."""
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (count,) = struct.unpack_from(">I", own, 128)
    tags = {own[at : at + 4]: struct.unpack_from(">II", own, at + 4) for at in range(132, 132 + 12 * count, 12)}
    kept = {name: own[at : at + size] for name, (at, size) in tags.items() if name.endswith((b"XYZ", b"pt"))}
    kept |= {name: own[at : at + size] for name, (at, size) in tags.items() if name in (b"desc", b"cprt")}
    kept |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data = struct.pack(">I", len(kept)), b""
    for name, value in kept.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(kept) + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    content = own[4:128] + table + data
    return struct.pack(">I", 4 + len(content)) + content


LINEAR_CURVE = b"curv" + bytes(8)
TABLE_CURVE = b"curv" + struct.pack(">II3H", 0, 3, 0, 32768, 65535) + bytes(2)
PARAMETRIC = b"para" + struct.pack(">IHHi", 0, 0, 0, 65536)


@pytest.mark.parametrize("curve", [LINEAR_CURVE, TABLE_CURVE, PARAMETRIC], ids=["linear", "table", "parametric"])
@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_scan_in_linear_light_keeps_its_levels(kind: str, curve: bytes) -> None:
    """By its ICC profile, at 16 bits: littleCMS, by Pillow, would take 8."""
    profile, light = profile_of(curve), linear(dark())
    if kind == "PNG":
        content = png(light, 16, iCCP=b"scan\0\0" + zlib.compress(profile))
    else:
        content = tiff(({34675: profile}, np.round(light * 65535).astype(np.uint16)))
    assert np.abs(load_photo(content, None).astype(int) - dark()).max() <= 1


@pytest.mark.parametrize("curve", [b"para" + struct.pack(">IHHi", 0, 9, 0, 1), b"curv" + struct.pack(">II", 0, 9)])
def test_a_profile_that_makes_no_sense_is_left_to_littlecms(curve: bytes) -> None:
    assert matrix_profile(profile_of(curve)) is None and matrix_profile(b"") is None
    flat = profile_of(LINEAR_CURVE)
    assert matrix_profile(flat.replace(b"XYZ " + bytes(4), b"XYZ " + bytes(4)).replace(flat[200:], bytes(9))) is None


def test_squares_become_their_means() -> None:
    pixels = np.arange(7 * 5 * 3, dtype=np.uint16).reshape(7, 5, 3)
    assert shrunk(pixels, 1) is pixels
    small = shrunk(pixels, 2)
    assert small.shape == (3, 2, 3) and small[1, 1, 2] == round(pixels[2:4, 2:4, 2].mean())


def test_eight_bits_are_left_to_pillow() -> None:
    content = png(dark() / 255)
    with Image.open(io.BytesIO(content)) as image:
        assert deep_pixels(image, content) is None
        assert deep_pixels(image, b"") is None, "of an image whose file is unknown"
