"""Sixteen bits a channel reach sRGB, upright and at the size that is asked for."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from stylecine.picture.colour import deep_colour, matrix_profile, pixels_to_srgb, to_srgb
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


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tags_of(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, at) for at in range(132, 132 + 12 * count, 12)]
    return {name: profile[at : at + size] for name, at, size in entries}


def profile_of(**more: bytes) -> bytes:
    """An ICC profile of sRGB's primaries, with more tags in place of its curves."""
    kept = {name: tag for name, tag in tags_of(SRGB).items() if name.endswith((b"XYZ", b"pt", b"desc", b"cprt"))}
    kept |= {name.encode(): tag for name, tag in more.items()}
    table, data = struct.pack(">I", len(kept)), b""
    for name, value in kept.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(kept) + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    content = SRGB[4:128] + table + data
    return struct.pack(">I", 4 + len(content)) + content


def with_curve(curve: bytes) -> bytes:
    return profile_of(rTRC=curve, gTRC=curve, bTRC=curve)


def columns_of(profile: bytes) -> np.ndarray:
    """XYZ of its red, green and blue."""
    tags = tags_of(profile)
    return np.array([struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]) / 65536


SRGB_XYZ = columns_of(SRGB)
PROPHOTO_XYZ = np.array([[0.7977, 0.2880, 0.0], [0.1352, 0.7119, 0.0], [0.0313, 0.0001, 0.8249]])  # under D50


def with_table(exponent: float, primaries: np.ndarray = SRGB_XYZ) -> bytes:
    """An ICC profile that is a lookup table (lut16Type): a curve of 4096 entries, then from RGB to XYZ."""
    corners = np.indices((2, 2, 2)).reshape(3, 8).T @ primaries
    curve = np.round(65535 * np.linspace(0, 1, 4096) ** exponent)
    numbers = (np.tile(curve, 3), np.round(32768 * corners).ravel(), np.tile([0, 65535], 3))
    head = struct.pack(">4s4x4B9iHH", b"mft2", 3, 3, 2, 0, *(65536 * np.eye(3, dtype=int)).ravel(), 4096, 2)
    return profile_of(A2B0=head + np.concatenate(numbers).astype(">u2").tobytes())


def scanned(profile: bytes, light: np.ndarray) -> bytes:
    """A TIFF of 16 bits with that profile."""
    return tiff(({34675: profile}, np.round(light * 65535).astype(np.uint16)))


LINEAR_CURVE = b"curv" + bytes(8)
TABLE_CURVE = b"curv" + struct.pack(">II3H", 0, 3, 0, 32768, 65535) + bytes(2)
PARAMETRIC = b"para" + struct.pack(">IHHi", 0, 0, 0, 65536)


@pytest.mark.parametrize("curve", [LINEAR_CURVE, TABLE_CURVE, PARAMETRIC], ids=["linear", "table", "parametric"])
@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_scan_in_linear_light_keeps_its_levels(kind: str, curve: bytes) -> None:
    """By its ICC profile, at 16 bits: littleCMS, by Pillow, would take 8."""
    profile, light = with_curve(curve), linear(dark())
    if kind == "PNG":
        content = png(light, 16, iCCP=b"scan\0\0" + zlib.compress(profile))
    else:
        content = scanned(profile, light)
    assert np.abs(load_photo(content, None).astype(int) - dark()).max() <= 1


@pytest.mark.parametrize("exponent", [1.0, 1.8])
def test_a_scan_with_a_lookup_table_keeps_its_levels(exponent: float) -> None:
    """Eight bits in linear light would leave nine levels of the 31 that are darkest."""
    photo = load_photo(scanned(with_table(exponent), linear(dark()) ** (1 / exponent)))
    assert np.abs(photo.astype(int) - dark()).max() <= 2 and np.abs(photo.astype(int) - dark()).mean() < 0.5
    assert len(np.unique(photo[..., 0])) >= 29
    ramp = np.broadcast_to(np.linspace(0, 1, 4096)[None, :, None], (64, 4096, 3))
    assert len(np.unique(load_photo(scanned(with_table(exponent), ramp)))) == 256


@pytest.mark.parametrize("exponent", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("primaries", [SRGB_XYZ, PROPHOTO_XYZ], ids=["sRGB", "ProPhoto"])
def test_a_lookup_table_gives_what_littlecms_gives_for_8_bits(primaries: np.ndarray, exponent: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (90, 80, 3)).astype(np.uint8)
    profile = with_table(exponent, primaries)
    exact = np.asarray(to_srgb(Image.fromarray(pixels), profile))
    assert np.array_equal(pixels_to_srgb(pixels * np.uint16(257), 1 << 16, profile), exact)
    between = pixels_to_srgb(pixels * np.uint16(257) + 100, 1 << 16, profile)
    assert 0 < np.abs(between.astype(int) - exact).mean() < 1, "less than half a level brighter"


def test_three_different_curves_keep_their_levels_as_well() -> None:
    """They are no Encoding, which has one."""
    profile = profile_of(rTRC=LINEAR_CURVE, gTRC=TABLE_CURVE, bTRC=PARAMETRIC)
    assert matrix_profile(profile) is None and deep_colour(profile) == profile
    assert np.abs(load_photo(scanned(profile, linear(dark()))).astype(int) - dark()).max() <= 2


def test_a_profile_of_grey_is_left_to_littlecms() -> None:
    table = with_table(1.0)
    assert deep_colour(table[:16] + b"GRAY" + table[20:]) is None and deep_colour(b"no profile") is None


@pytest.mark.parametrize("curve", [b"para" + struct.pack(">IHHi", 0, 9, 0, 1), b"curv" + struct.pack(">II", 0, 9)])
def test_a_profile_that_makes_no_sense_is_left_to_littlecms(curve: bytes) -> None:
    assert matrix_profile(with_curve(curve)) is None and matrix_profile(b"") is None
    flat = with_curve(LINEAR_CURVE)
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
