"""Reading photos: every kind a user may have, each size, and one plain sentence for what is none."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import stylecine
from stylecine.errors import OptionError, PhotoError, StylecineError, TooLarge
from stylecine.options import Size
from stylecine.picture.photo import PhotoFile, checked_size, load_photo, photo_size, read_photo
from tests.photo_files import ADOBE, png, profile


def picture(height: int = 80, width: int = 120) -> np.ndarray:
    """Smooth, unlike in every corner: red grows to the right, green downwards."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def far(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in levels."""
    assert a.dtype == np.uint8 and a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


# --- where a photo comes from


def test_every_source_gives_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(picture()))
    with path.open("rb") as file, Image.open(path) as image:
        sources = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file, image, picture()]
        for source in sources:
            photo = load_photo(source)
            assert photo.flags.c_contiguous and photo.flags.writeable
            assert np.array_equal(photo, picture())
        assert not file.closed


def test_the_file_is_returned_with_the_pixels_decoded_from_it(tmp_path: Path) -> None:
    path, content = tmp_path / "photo.png", encoded(picture())
    path.write_bytes(content)
    for source in (path, str(path)):
        _, file = read_photo(source)
        assert file and (file.name, file.content) == ("photo.png", content)
        assert file.facts == {"name": "photo.png", "sha256": sha256(content).hexdigest()}
    for nameless in (content, bytearray(content), io.BytesIO(content)):
        assert read_photo(nameless)[1] == PhotoFile(None, content)
    for pixels in (picture(), Image.fromarray(picture())):
        assert read_photo(pixels)[1] is None


def test_a_photo_is_read_only_once() -> None:
    class Replaced(io.BytesIO):
        """A file that is overwritten as soon as it has been read."""

        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            self.seek(0)
            self.write(encoded(255 - picture()))
            return content

    pixels, file = read_photo(Replaced(encoded(picture())))
    assert file and file.content == encoded(picture()) and np.array_equal(pixels, picture())


def test_a_digest_from_a_scene_file_is_marked_as_claimed() -> None:
    assert PhotoFile("a.jpg", b"", "0" * 64).facts == {"name": "a.jpg", "sha256": "0" * 64, "claimed": True}


def test_sources_need_not_seek() -> None:
    class Pipe(io.RawIOBase):
        data = encoded(picture())

        def read(self, size: int = -1) -> bytes:
            data, self.data = self.data, b""
            return data

        def seekable(self) -> bool:
            return False

    assert np.array_equal(load_photo(Pipe()), picture())


def test_arrays_of_other_shapes() -> None:
    grey = picture()[:, :, 0]
    assert np.array_equal(load_photo(grey), load_photo(grey[:, :, None]))
    assert np.array_equal(load_photo(grey), grey[:, :, None].repeat(3, axis=2))
    opaque = np.dstack([picture(), np.full(grey.shape, 255, np.uint8)])
    assert np.array_equal(load_photo(opaque), picture())
    assert np.array_equal(load_photo(picture(80, 160)[::-1, ::2]), picture(80, 160)[::-1, ::2])


def test_the_callers_photo_is_unchanged() -> None:
    array, image = picture(), Image.fromarray(picture())
    load_photo(array, size=64)[:] = 0
    load_photo(image)[:] = 0
    assert np.array_equal(array, picture()) and np.array_equal(np.asarray(image), picture())


# --- formats and pixels


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 90}, 3),
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("JPEG2000", {}, 1),
    ],
)
def test_formats(kind: str, options: dict, tolerance: float) -> None:
    assert far(load_photo(encoded(picture(), kind, **options)), picture()) <= tolerance


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(picture())).save(buffer, quality=95)
    assert far(load_photo(buffer.getvalue()), picture()) <= 3


def test_sixteen_bits() -> None:
    deep = picture().astype(np.uint16) * 257
    assert far(load_photo(png(deep / 65535, 16)), picture()) <= 1
    assert far(load_photo(png(deep[:, :, 0] / 65535, 16)), picture()[:, :, :1].repeat(3, axis=2)) == 0
    grey_tiff = encoded(Image.fromarray(deep[:, :, 0]), "TIFF")
    assert far(load_photo(grey_tiff), picture()[:, :, :1].repeat(3, axis=2)) == 0


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "RGBA"])
def test_modes(mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert far(load_photo(encoded(image, kind)), np.asarray(image.convert("RGB"))) <= 1
    assert far(load_photo(image), np.asarray(image.convert("RGB"))) <= 1


def test_cmyk_jpeg() -> None:
    jpeg = encoded(Image.fromarray(picture()).convert("CMYK"), "JPEG", quality=95)
    assert far(load_photo(jpeg), picture()) <= 5


def test_colours_continue_under_what_is_transparent() -> None:
    clear = np.full((80, 120, 4), (0, 250, 0, 0), np.uint8)  # a green that nobody sees
    clear[:, 60:] = 200, 0, 0, 255
    pixels, _ = read_photo(encoded(clear), None)
    assert far(pixels[..., :3], np.full((80, 120, 3), (200, 0, 0))) <= 3
    assert np.array_equal(pixels[..., 3], clear[..., 3])
    assert np.array_equal(load_photo(clear), pixels[..., :3]), "from an array, and without the alpha"


def test_alpha_is_turned_and_resized_with_the_photo() -> None:
    clear = np.full((200, 300, 4), (200, 100, 0, 255), np.uint8)
    clear[:100, :, 3] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels, _ = read_photo(encoded(clear, exif=exif), (100, 100))
    assert pixels.shape == (100, 100, 4) and set(np.unique(pixels[:, :40, 3])) == {255}
    assert not pixels[:, 60:, 3].any()


def test_an_opaque_alpha_is_none() -> None:
    opaque = np.dstack([picture(), np.full(picture().shape[:2], 255, np.uint8)])
    assert read_photo(encoded(opaque))[0].shape[2] == 3


def test_a_photo_that_is_transparent_everywhere_is_refused() -> None:
    with pytest.raises(PhotoError, match="transparent everywhere"):
        load_photo(np.zeros((80, 120, 4), np.uint8))


def test_transparent_palette() -> None:
    image = Image.fromarray(picture()).quantize(16)
    first = np.asarray(image)[0, 0]
    photo, _ = read_photo(encoded(image, "PNG", transparency=int(first)))
    assert photo[0, 0, 3] == 0 and photo[-1, -1, 3] == 255


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    animation = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(load_photo(animation), picture())


# --- orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind: str, orientation: int) -> None:
    upright = picture()
    stored = {  # what a camera writes so that undoing it gives `upright`
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = load_photo(encoded(np.ascontiguousarray(stored), kind, exif=exif))
    assert far(photo, upright) <= 4


def test_a_rotated_photo_is_cropped_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encoded(np.rot90(picture(240, 120)).copy(), "JPEG", exif=exif, quality=95)
    photo = load_photo(jpeg, (100, 200))
    assert photo.shape == (200, 100, 3)
    assert far(photo, load_photo(picture(240, 120), (100, 200))) <= 4


def test_damaged_exif_is_ignored() -> None:
    jpeg = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken", quality=95)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert far(load_photo(jpeg), picture()) <= 3


# --- size


@pytest.mark.parametrize(
    ("stored", "size", "expected"),
    [
        ((200, 300), None, (200, 300)),
        ((200, 300), 100, (100, 150)),
        ((300, 200), 100, (150, 100)),
        ((200, 300), 1024, (200, 300)),  # never enlarged
        ((201, 301), 100, (100, 150)),
        ((200, 300), (100, 100), (100, 100)),
        ((200, 300), (300, 200), (200, 300)),
        ((80, 120), (256, 128), (128, 256)),  # a pair is (width, height), and may enlarge
        ((80, 120), [64, 64], (64, 64)),
        ((80, 120), np.int64(64), (64, 96)),
    ],
)
def test_sizes(stored: tuple[int, int], size: object, expected: tuple[int, int]) -> None:
    assert load_photo(picture(*stored), size).shape == (*expected, 3)  # type: ignore[arg-type]


def test_resizing_keeps_the_picture() -> None:
    assert far(load_photo(picture(400, 600), 100), picture(100, 150)) <= 1
    assert far(load_photo(encoded(picture(400, 600), "JPEG", quality=95), 100), picture(100, 150)) <= 3


def test_every_size_is_exact() -> None:
    """Shapes whose cut, in floats, might reach past the photo's border."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width, short, w, h = (int(n) for n in rng.integers(64, 400, 5))
        photo = np.zeros((height, width), np.uint8)
        assert min(load_photo(photo, short).shape[:2]) == min(short, height, width)
        assert load_photo(photo, (w, h)).shape == (h, w, 3)


def test_resizing_does_not_alias() -> None:
    board = np.indices((512, 512)).sum(axis=0) % 2 * 255
    photo = load_photo(board.astype(np.uint8), 100)
    assert np.abs(photo.astype(int) - 127).max() <= 12


def test_cropping_keeps_the_centre() -> None:
    photo = load_photo(picture(100, 300), (100, 100))
    assert far(photo, picture(100, 300)[:, 100:200]) <= 1
    photo = load_photo(picture(300, 100), (100, 100))
    assert far(photo, picture(300, 100)[100:200]) <= 1


# --- what is refused


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (0, OptionError),
        (-1024, OptionError),
        (63, OptionError),
        (True, OptionError),
        (512.0, OptionError),
        ("1024", OptionError),
        (float("nan"), OptionError),
        ((512,), OptionError),
        ((512, 512, 3), OptionError),
        ((512, 0), OptionError),
        ((512, None), OptionError),
        ((True, 512), OptionError),
        ((), OptionError),
        (99999, TooLarge),
        ((99999, 99999), TooLarge),
        ((64, 10**9), TooLarge),
    ],
    ids=str,
)
def test_impossible_sizes(size: object, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        load_photo(picture(), size)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_too_large_names_a_size_that_fits() -> None:
    with pytest.raises(TooLarge, match="8192x8192"):
        load_photo(picture(), (99999, 99999))
    with pytest.raises(TooLarge, match="8192"):
        load_photo(picture(), 99999)
    for size in ((10**9, 64), (64, 10**400)):
        with pytest.raises(TooLarge, match="ask for at most 1048576 a side"):
            load_photo(picture(), size)
    assert checked_size((1048576, 64)) == (1048576, 64)


def header_only(width: int, height: int) -> dict[str, bytes]:
    """Files that promise a great many pixels and hold none."""
    bmp = encoded(picture(), "BMP")
    whole = png(np.zeros((1, 1)))
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    jpeg = bytearray(encoded(picture(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", min(height, 65535), min(width, 65535))
    return {
        "bmp": bmp[:18] + struct.pack("<ii", width, height) + bmp[26:],
        "png": whole[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + whole[33:],
        "jpeg": bytes(jpeg),
    }


@pytest.mark.parametrize(
    ("kind", "sides"),
    [
        *((kind, sides) for kind in ("bmp", "png", "jpeg") for sides in ((20000, 20000), (65000, 65000))),
        ("bmp", (12000, 11000)),
        ("png", (12000, 11000)),
        ("jpeg", (15000, 14500)),
    ],
)
@pytest.mark.parametrize("size", [None, 1024])
def test_a_decompression_bomb_is_refused_by_its_header(kind: str, sides: tuple[int, int], size: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TooLarge, match="million pixels; shrink it to 8192x8192"):
            load_photo(header_only(*sides)[kind], size)


def test_a_phones_200_megapixels_are_decoded_at_a_smaller_size() -> None:
    """A JPEG of two of them, since the rest of the picture, which is missing, is grey."""
    content = header_only(16320, 12240)["jpeg"]
    assert load_photo(content, 512).shape == (512, 683, 3)
    with pytest.raises(TooLarge, match="would be 16320x12240 pixels; ask for size 7094 or less"):
        load_photo(content, None)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "HEIF"])
def test_pillows_own_limit_is_not_that_of_phones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    options = {"save_all": True, "append_images": [Image.new("L", (80, 80))]} if kind == "MPO" else {}
    content = encoded(picture(), kind, **options)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert far(load_photo(content), picture()) <= 4
    with pytest.raises(TooLarge, match="over 128 million pixels"):
        load_photo(encoded(picture(), "PNG"))


def test_a_photo_with_a_gain_map_is_decoded_at_a_smaller_size(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(picture(480, 640), "MPO", save_all=True, append_images=[Image.new("L", (80, 80))], quality=95)
    decoded = []
    monkeypatch.setattr("stylecine.picture.photo._plain", lambda image: decoded.append(image.size) or image)
    assert load_photo(content, 100).shape == (100, 133, 3) and decoded == [(320, 240)]


@pytest.mark.parametrize(("size", "expected"), [(None, (80, 120)), (64, (64, 96)), ((100, 90), (100, 90))])
def test_the_size_of_a_photo_is_known_from_its_header(size: Size, expected: tuple[int, int], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(picture(), "JPEG", exif=exif)[:-300])
    assert photo_size(path, size) == expected
    with pytest.raises(PhotoError, match="no photo"):
        photo_size(tmp_path / "other.jpg", size)


def test_a_photo_that_would_be_too_large_names_a_size() -> None:
    with pytest.raises(TooLarge, match="ask for size 7094 or less"):
        load_photo(header_only(12000, 9000)["png"], None)


def test_long_and_thin() -> None:
    with pytest.raises(PhotoError, match="cut a part"):
        load_photo(header_only(64, 1_900_000)["png"])


def test_too_small() -> None:
    for side in ((1, 1), (63, 500), (500, 63)):
        with pytest.raises(PhotoError, match="at least 64"):
            load_photo(encoded(picture(*side)))
        with pytest.raises(PhotoError, match="at least 64"):
            load_photo(picture(*side), (256, 256))
    assert load_photo(picture(64, 64)).shape == (64, 64, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_truncated_files(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    whole = encoded(noise, kind)
    for share in (0.02, 0.5, 0.85):
        with pytest.raises(PhotoError) as caught:
            load_photo(whole[: int(len(whole) * share)])
        assert "\n" not in str(caught.value)


def test_truncated_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(picture())).save(buffer)
    for length in (16, 200, len(buffer.getvalue()) // 2, len(buffer.getvalue()) - 20):
        with pytest.raises(PhotoError):
            load_photo(buffer.getvalue()[:length])


def test_flipped_bits_raise_nothing_else() -> None:
    """Whatever a damaged file makes a decoder raise, the caller sees one family of errors."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        whole = np.frombuffer(encoded(picture(), kind, exif=exif, icc_profile=profile(*ADOBE)), np.uint8)
        for _ in range(30):
            damaged = whole.copy()
            damaged[rng.integers(0, min(600, len(whole)), 4)] = rng.integers(0, 256, 4)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    load_photo(damaged.tobytes(), 64)
                except StylecineError as error:
                    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"<html>not an image</html>", "cannot be read as an image"),
        (bytes(5000), "cannot be read as an image"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n", "EPS"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for source in (path, content, io.BytesIO(content)):
        with pytest.raises(PhotoError, match=match):
            load_photo(source)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of addresses")
def test_a_photo_that_does_not_fit_into_memory_is_not_called_damaged(tmp_path: Path) -> None:
    Image.new("RGB", (8000, 8000)).save(tmp_path / "large.jpg", progressive=True)
    program = """
import resource
from pathlib import Path
from stylecine.errors import TooLarge
from stylecine.picture.photo import load_photo
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), resource.RLIM_INFINITY))
try:
    load_photo("large.jpg")
except TooLarge as error:
    print(error)
"""
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=place, capture_output=True, text=True)
    assert "'large.jpg' is 8000x8000 and does not fit into memory; shrink it" in run.stdout, run.stderr


def test_missing_and_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"no photo at .*missing"):
        load_photo(tmp_path / "missing.jpg")
    with pytest.raises(PhotoError, match="folder"):
        load_photo(tmp_path)
    with pytest.raises(PhotoError, match="cannot be opened"):
        load_photo("nul\0character.jpg")
    with pytest.raises(PhotoError, match="cannot be opened"):
        load_photo("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_pipe_or_device_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: opening it would wait for ever
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(PhotoError, match="not a file"):
            load_photo(path)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (picture().astype(np.float32) / 255, "float32"),
        (np.full((80, 80, 3), np.nan), "float64"),
        (picture().astype(np.uint16), "uint16"),
        (picture() > 100, "bool"),
        (picture().transpose(2, 0, 1), "shape"),
        (picture()[None], "shape"),
        (np.zeros((80, 80, 2), np.uint8), "shape"),
        (np.zeros((0, 0, 3), np.uint8), "empty"),
        (np.zeros(5, np.uint8), "shape"),
    ],
)
def test_impossible_arrays(array: np.ndarray, match: str) -> None:
    with pytest.raises(PhotoError, match=match):
        load_photo(array)


@pytest.mark.parametrize("source", [None, 7, [1, 2], io.StringIO("text"), object()])
def test_not_a_source(source: object) -> None:
    with pytest.raises(PhotoError):
        load_photo(source)  # type: ignore[arg-type]


def test_unsupported_pixel_types() -> None:
    with pytest.raises(PhotoError, match="8-bit"):
        load_photo(Image.new("F", (80, 80)))
    with pytest.raises(PhotoError, match="32-bit"):
        load_photo(Image.new("I", (80, 80), 2_000_000))


def test_no_file_stays_open(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    whole = encoded(picture(), "JPEG")
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(whole)
    bad.write_bytes(whole[:-200])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        load_photo(good)
        with pytest.raises(PhotoError):
            load_photo(bad)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("size", "asked", "wraps"),
    [((256, 128), None, True), ((256, 128), 64, True), ((256, 128), (128, 64), False), ((200, 128), None, False)],
)
def test_a_whole_360_degree_photo_wraps(size: tuple[int, int], asked: Any, wraps: bool) -> None:
    """Part of one, as phones take panoramas or as it is cropped, does not."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description GPano:ProjectionType="equirectangular"/></x:xmpmeta>'
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 140, 200)).save(buffer, "JPEG", xmp=xmp)
    _, file = read_photo(buffer.getvalue(), asked)
    assert file is not None and file.wraps == wraps and not file.warning


def test_part_of_a_360_degree_photo_does_not_wrap_even_if_twice_as_wide_as_high() -> None:
    widths = b'GPano:CroppedAreaImageWidthPixels="256" GPano:FullPanoWidthPixels="%d"'
    for full in (256, 512):
        buffer, facts = io.BytesIO(), b'GPano:ProjectionType="equirectangular" ' + widths % full
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description ' + facts + b"/></x:xmpmeta>"
        Image.new("RGB", (256, 128), (90, 140, 200)).save(buffer, "JPEG", xmp=xmp)
        _, file = read_photo(buffer.getvalue(), None)
        assert file is not None and file.wraps == (full == 256)
