"""A photo looks as it does elsewhere, in whatever way its file tells its colours."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base, Interop

from stylecine.picture.colour import KNEE, WHITE
from stylecine.picture.photo import load_photo, read_photo
from tests.photo_files import ADOBE, D65, adapted, png, profile

BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
ADOBE_RGB = (*ADOBE, D65)
D50_WIDE = ((0.7347, 0.2653), (0.1152, 0.8264), (0.1566, 0.0177), (0.3457, 0.3585))

Curve = Callable[[np.ndarray], np.ndarray]


# --- the other direction, written from the standards: what an editor does that saves a picture in other colours


def srgb_light(signal: np.ndarray) -> np.ndarray:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def bt2020(light: np.ndarray) -> np.ndarray:
    return np.where(light < 0.018053968510807, 4.5 * light, 1.09929682680944 * light**0.45 - 0.09929682680944)


def pq(light: np.ndarray) -> np.ndarray:
    """light: 1 is 203 cd/m²."""
    y = (light * WHITE / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(light: np.ndarray) -> np.ndarray:
    """For a display of 1000 cd/m², light [...,3] in BT.2020: 1 is 203 cd/m²."""
    shown = light * WHITE / 1000
    luminance = shown @ (0.2627, 0.6780, 0.0593)
    scene = shown * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def power(exponent: float) -> Curve:
    return lambda light: light**exponent


def to_xyz(primaries: Iterable[tuple[float, float]]) -> np.ndarray:
    *columns, white = (np.array([x, y, 1 - x - y]) / max(y, 1e-9) for x, y in primaries)
    matrix = np.stack(columns, axis=1)
    return matrix * np.linalg.solve(matrix, white)


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    """uint8 [H,W,3] in sRGB, with every hue, smooth, black to white."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    hues = np.stack([0.5 + 0.5 * np.cos(2 * np.pi * (x - k / 3)) for k in range(3)], axis=-1)
    return np.round(255 * (y[..., None] * (0.35 + 0.65 * hues))).astype(np.uint8)


def signals(
    shown: np.ndarray, primaries: tuple, curve: Curve, gain: float = 1.0, adapt: np.ndarray | None = None
) -> np.ndarray:
    """uint8 in sRGB -> floats in [0,1] in another encoding; times a gain in linear light."""
    turned = np.eye(3) if adapt is None else adapt
    matrix = np.linalg.inv(to_xyz(primaries)) @ turned @ to_xyz(BT709)
    light = (srgb_light(shown / 255) @ matrix.T).clip(0) * gain
    return curve(light).clip(0, 1)


def assert_looks_the_same(photo: np.ndarray, expected: np.ndarray, tolerance: float = 1.0) -> None:
    """In levels, the mean difference of pixels; half of it, and at least 1, that of the mean of each channel."""
    assert photo.dtype == np.uint8 and photo.shape == expected.shape
    difference = photo.astype(int) - expected
    assert np.abs(difference.mean(axis=(0, 1))).max() <= max(1, tolerance / 2)
    assert np.abs(difference).mean() <= tolerance


# --- files


def gama(exponent: float) -> bytes:
    return struct.pack(">I", round(exponent * 100_000))


def chrm(primaries: tuple) -> bytes:
    *colours, white = primaries
    return struct.pack(">8I", *(round(value * 100_000) for xy in (white, *colours) for value in xy))


def iccp(profile: bytes) -> bytes:
    return b"profile\0\0" + zlib.compress(profile)


def heic(values: np.ndarray, bits: int, primaries: int, transfer: int, **options: object) -> bytes:
    samples = np.round(values * 255).astype(np.uint8) if bits == 8 else np.round(values * 65535).astype(np.uint16)
    height, width = samples.shape[:2]
    file = pillow_heif.from_bytes("RGB" if bits == 8 else "RGB;16", (width, height), samples.tobytes())
    if profile := options.pop("icc_profile", None):
        file.info["icc_profile"], file.info["icc_profile_type"] = profile, "prof"
    buffer = io.BytesIO()
    codes = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}
    file.save(buffer, quality=95, chroma=444, **codes, **options)
    return buffer.getvalue()


def avif(values: np.ndarray, bits: int, primaries: int, transfer: int) -> bytes:
    """4:2:0, as FFmpeg writes it."""
    pixels = "yuv420p10le" if bits == 10 else "yuv420p"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avif") as container:
        options = {"crf": "6", "preset": "8", "svtav1-params": "avif=1"}
        stream = container.add_stream("libsvtav1", rate=1, options=options)
        stream.height, stream.width = values.shape[:2]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = primaries, transfer, 9, 2
        frame = av.VideoFrame.from_ndarray(np.round(values * 65535).astype(np.uint16), format="rgb48le")
        frame = frame.reformat(format=pixels, dst_colorspace=9, dst_color_range=2)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def saved(values: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """As Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(values: np.ndarray, space: int | None, rule: str = "", **options: object) -> bytes:
    exif = Image.Exif()
    if space is not None:
        exif.get_ifd(IFD.Exif)[Base.ColorSpace] = space
        exif.get_ifd(IFD.Exif)[IFD.Interop] = {Interop.InteropIndex: rule} if rule else {}
    return saved(values, "JPEG", quality=97, subsampling=0, exif=exif, **options)


# --- code points: cICP and nclx

CODED = [
    (P3, 12, 13, srgb),
    (P3, 12, 4, power(1 / 2.2)),
    (P3, 12, 8, power(1)),
    (P3, 12, 1, bt2020),  # the same curve as BT.709's
    (BT709, 1, 8, power(1)),
    (BT2020, 9, 14, bt2020),
    (BT2020, 9, 16, pq),
    (BT2020, 9, 18, hlg),
]
CODED_NAMES = [f"{primaries}/{transfer}" for _, primaries, transfer, _ in CODED]


@pytest.mark.parametrize(("primaries", "number", "transfer", "curve"), CODED, ids=CODED_NAMES)
def test_cicp(primaries: tuple, number: int, transfer: int, curve: Curve) -> None:
    values = signals(picture(), primaries, curve)
    assert_looks_the_same(load_photo(png(values, 16, cICP=bytes([number, transfer, 0, 1]))), picture(), 0.5)


@pytest.mark.parametrize(("primaries", "number", "transfer", "curve"), CODED, ids=CODED_NAMES)
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_nclx(kind: str, primaries: tuple, number: int, transfer: int, curve: Curve) -> None:
    write, tolerance = (heic, 2.5) if kind == "HEIC" else (avif, 3.0)
    content = write(signals(picture(), primaries, curve), 10, number, transfer)
    assert_looks_the_same(load_photo(content), picture(), tolerance)


@pytest.mark.parametrize("write", [heic, avif])
def test_nclx_of_eight_bits(write: Callable[..., bytes]) -> None:
    content = write(signals(picture(), P3, srgb), 8, 12, 13)
    assert_looks_the_same(load_photo(content), picture(), 3)
    with Image.open(io.BytesIO(content)) as image:
        if image.format == "HEIF":  # of AVIF, Pillow does not tell
            assert np.array_equal(load_photo(image), load_photo(content))


def test_video_of_bt709_is_taken_for_srgb() -> None:
    """Encoders of video write 1/1/1 whatever the pixels are; browsers show them unchanged."""
    assert_looks_the_same(load_photo(avif(picture() / 255, 8, 1, 1)), picture(), 3)


def test_narrow_range() -> None:
    """Of PNG, where no decoder undoes it."""
    values = signals(picture(), BT2020, pq)
    narrow = (16 + 219 * values) / 255
    assert_looks_the_same(load_photo(png(narrow, 8, cICP=bytes([9, 16, 0, 0]))), picture(), 2)


@pytest.mark.parametrize("points", [(2, 2, 0, 1), (12, 9, 0, 1), (99, 13, 0, 1)])
def test_unknown_code_points_are_passed_over(points: tuple[int, ...]) -> None:
    assert np.array_equal(load_photo(png(picture() / 255, cICP=bytes(points))), picture())


# --- gAMA and cHRM


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gamma", [1 / 1.4, 1 / 1.8, 1.0])
def test_gama(gamma: float, bits: int) -> None:
    values = signals(picture(), BT709, power(gamma))
    tolerance = 0.5 if bits == 16 else 1.5  # eight bits of linear light have few dark levels
    assert_looks_the_same(load_photo(png(values, bits, gAMA=gama(gamma))), picture(), tolerance)


def test_grey_and_transparent_pixels_have_a_gamma_too() -> None:
    grey = picture()[:, :, 1]
    linear = srgb_light(grey / 255)
    expected = grey[:, :, None].repeat(3, axis=2)
    assert_looks_the_same(load_photo(png(linear, 8, gAMA=gama(1))), expected, 1.5)
    clear = np.dstack([linear, linear, linear, np.ones_like(linear)])
    clear[:40, :, 3] = 0
    photo, _ = read_photo(png(clear, 16, gAMA=gama(1)))
    assert np.array_equal(photo[..., 3] == 0, np.arange(len(photo))[:, None].repeat(photo.shape[1], 1) < 40)
    assert_looks_the_same(photo[40:, :, :3], expected[40:], 0.5)


@pytest.mark.parametrize("primaries", [P3, ADOBE_RGB, BT2020])
def test_chrm(primaries: tuple) -> None:
    content = png(signals(picture(), primaries, power(0.5)), 16, gAMA=gama(0.5), cHRM=chrm(primaries))
    assert_looks_the_same(load_photo(content), picture(), 0.5)
    content = png(signals(picture(), primaries, srgb), 16, cHRM=chrm(primaries))
    assert_looks_the_same(load_photo(content), picture(), 0.5)


def test_another_white_becomes_white() -> None:
    adapt = adapted(to_xyz(BT709).sum(axis=1), to_xyz(D50_WIDE).sum(axis=1))
    values = signals(picture(), D50_WIDE, power(1 / 1.8), adapt=adapt)
    assert_looks_the_same(load_photo(png(values, 16, gAMA=gama(1 / 1.8), cHRM=chrm(D50_WIDE))), picture(), 0.5)


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": gama(0.45455)},
        {"gAMA": gama(0.45)},
        {"gAMA": gama(0.45455), "cHRM": chrm(BT709)},
        {"gAMA": gama(0)},
        {"cHRM": bytes(32)},
        {"cHRM": chrm(((0.3, 0.3),) * 4)},
        {"sRGB": b"\0", "gAMA": gama(1.0), "cHRM": chrm(P3)},
    ],
    ids=["gamma", "nearly", "gamma and primaries", "zero", "nothing", "one point", "sRGB first"],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_srgb_or_impossible_stays_as_it_is(chunks: dict[str, bytes], bits: int) -> None:
    assert np.abs(load_photo(png(picture() / 255, bits, **chunks)).astype(int) - picture()).max() <= bits // 16


# --- ICC profiles


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_wide_profile_becomes_srgb(kind: str) -> None:
    content = saved(signals(picture(), ADOBE_RGB, power(1 / 2.2)), kind, icc_profile=profile(*ADOBE))
    assert_looks_the_same(load_photo(content), picture(), 4)


def test_an_srgb_profile_changes_nothing() -> None:
    srgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert_looks_the_same(load_photo(saved(picture() / 255, icc_profile=srgb_profile)), picture(), 0.5)


def test_grey_pixels_with_a_colour_profile() -> None:
    grey = picture()[:, :, 0]
    photo = load_photo(saved(grey / 255, icc_profile=profile(*ADOBE)))
    assert_looks_the_same(photo, grey[:, :, None].repeat(3, axis=2), 5)


@pytest.mark.parametrize("broken", [b"not a profile", profile(*ADOBE)[:150]])
def test_a_broken_profile_is_ignored(broken: bytes) -> None:
    assert np.array_equal(load_photo(saved(picture() / 255, icc_profile=broken)), picture())


# --- what comes first


def test_png_cicp_then_profile_then_srgb_then_gama() -> None:
    adobe, linear = iccp(profile(*ADOBE)), gama(1.0)
    as_p3, as_adobe = signals(picture(), P3, srgb), signals(picture(), ADOBE_RGB, power(1 / 2.2))
    others = {"iCCP": adobe, "gAMA": linear}
    assert_looks_the_same(load_photo(png(as_p3, 16, cICP=b"\x0c\x0d\0\1", **others)), picture(), 0.5)
    assert_looks_the_same(load_photo(png(as_adobe, 8, **others)), picture(), 2)
    assert_looks_the_same(load_photo(png(as_adobe, 8, cICP=b"\2\2\0\1", **others)), picture(), 2)
    broken = {"iCCP": iccp(b"no profile"), "gAMA": linear}
    assert_looks_the_same(load_photo(png(srgb_light(picture() / 255), 16, **broken)), picture(), 0.5)


def test_heic_and_avif_profile_then_nclx() -> None:
    values, adobe = signals(picture(), ADOBE_RGB, power(1 / 2.2)), profile(*ADOBE)
    assert_looks_the_same(load_photo(heic(values, 8, 12, 8, icc_profile=adobe)), picture(), 3)
    content = saved(values, "AVIF", quality=97, subsampling="4:4:4", icc_profile=adobe)
    assert_looks_the_same(load_photo(content), picture(), 4)


def test_a_profile_comes_before_exif() -> None:
    srgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert_looks_the_same(load_photo(jpeg(picture() / 255, 0xFFFF, "R03", icc_profile=srgb_profile)), picture(), 2)


# --- Adobe RGB by EXIF


@pytest.mark.parametrize(("space", "rule"), [(0xFFFF, "R03"), (2, "")])
def test_adobe_rgb_by_exif(space: int, rule: str) -> None:
    content = jpeg(signals(picture(), ADOBE_RGB, power(256 / 563)), space, rule)
    assert_looks_the_same(load_photo(content), picture(), 2)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(load_photo(image), load_photo(content))


@pytest.mark.parametrize(("space", "rule"), [(None, ""), (1, "R98"), (1, "R03"), (0xFFFF, "R98"), (0xFFFF, "")])
def test_other_exif_changes_nothing(space: int | None, rule: str) -> None:
    content = jpeg(picture() / 255, space, rule)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(load_photo(content), np.asarray(image))


# --- HDR


def ramp(brightest: float) -> np.ndarray:
    """Linear light [64,256,3] of greys from 0 to `brightest`, 1 the reference white."""
    return np.linspace(0, brightest, 256).reshape(1, 256, 1) * np.ones((64, 1, 3))


@pytest.mark.parametrize(("transfer", "curve", "brightest"), [(16, pq, 20.0), (16, pq, 2.0), (18, hlg, 4.0)])
def test_highlights_are_compressed_above_the_knee(transfer: int, curve: Curve, brightest: float) -> None:
    light = ramp(brightest)
    photo = load_photo(png(curve(light), 16, cICP=bytes([9, transfer, 0, 1])))
    assert (np.diff(photo[0].astype(int), axis=0) >= 0).all() and (photo[0, -1] == 255).all()
    below = light[0] <= KNEE
    assert np.abs(photo[0][below] - 255 * srgb(light[0])[below]).max() <= 1
    white = int(np.searchsorted(light[0, :, 0], 1.0))
    assert photo[0, white].min() >= 250  # the reference white is white


def test_bright_colours_keep_their_hue() -> None:
    light = ramp(10.0) * (1.0, 0.5, 0.1)
    photo = load_photo(png(pq(light @ (np.linalg.inv(to_xyz(BT2020)) @ to_xyz(BT709)).T), 16, cICP=b"\x09\x10\0\1"))
    shown = srgb_light(photo[0, 64:] / 255)
    assert np.abs(shown[:, 1] / shown[:, 0] - 0.5).max() <= 0.05


def test_a_few_sparkles_do_not_darken_the_rest() -> None:
    light = srgb_light(np.full((100, 100, 3), 250) / 255)
    light[50, 50] = 40.0
    photo = load_photo(png(pq(light), 16, cICP=b"\x09\x10\0\1"))
    assert np.abs(photo[0].astype(int) - 250).max() <= 1 and photo[50, 50].min() == 255


def test_a_profile_that_tells_hdr_by_code_points() -> None:
    """ICC.1:2022: littleCMS would scale its curves to 10,000 cd/m²."""
    values = signals(picture(), BT2020, pq)
    hdr = profile(*BT2020[:3], cicp=b"\x09\x10\0\1")
    assert_looks_the_same(load_photo(png(values, 16, iCCP=iccp(hdr))), picture(), 0.5)


def test_a_photo_with_a_gain_map_looks_like_its_base_picture() -> None:
    """Several JPEGs in one file, of which the first is the picture, and with a map in the second."""
    base, gains = Image.fromarray(picture()), Image.fromarray(255 - picture()).convert("L")
    buffer = io.BytesIO()
    base.save(buffer, "MPO", save_all=True, append_images=[gains], quality=97, subsampling=0)
    assert_looks_the_same(load_photo(buffer.getvalue()), picture(), 2)
