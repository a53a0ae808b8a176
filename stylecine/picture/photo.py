"""Reads photos of any format as uint8 sRGB, upright, in the requested size; and encodes PNG."""

from __future__ import annotations

import hashlib
import importlib
import io
import math
import os
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo

from stylecine.errors import PhotoError, TooLarge
from stylecine.machine.given import check_file
from stylecine.machine.memory import available_bytes
from stylecine.options import MOVING, Size
from stylecine.picture.colour import PLAIN, Colour, declared_colour, deep_colour, pixels_to_srgb, to_srgb
from stylecine.picture.cut_short import BY_ROWS, decode_part, decode_rows
from stylecine.picture.deep import deep_pixels, shrunk
from stylecine.picture.raw import Preview, develop, is_raw, raw_size
from stylecine.picture.scans import check_scans
from stylecine.picture.size import MAX_PIXELS, MAX_SIDE, MIN_SIDE, checked_size, fitting
from stylecine.picture.tiff import main_page
from stylecine.picture.transparency import continued, split_alpha

Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray"

MAX_DECODED = 128_000_000  # pixels of the file: enough for a phone's 108 megapixels, not for a decompression bomb
MAX_PHONE = 210_000_000  # of a JPEG or HEIC: enough for a phone's 200 megapixels
DECODING = 10  # bytes a pixel that decoders take at most: of a progressive JPEG its coefficients, and the pixels
SHAPE_SIDE = 128  # short side of a copy that only tells a photo's shape
OTHER_SHAPE = 0.03  # of its width: a map that differs by more was made for another picture
MAX_LOST = 0.1  # of the rows of a photo that is cut short; with more missing, it is refused
CROPPED, FULL = b"CroppedAreaImageWidthPixels", b"FullPanoWidthPixels"  # of part of a sphere they differ
EQUIRECTANGULAR = re.compile(rb"ProjectionType(?:=[\"']|>)equirectangular")
XMP_KEYWORD = "XML:com.adobe.xmp"  # of the text in a PNG that is XMP
PNG_LEVEL = 3  # of zlib; 9 took five times as long and saved nothing

# Formats that photos come in. Pillow reads more, and starts other programs for some of them (EPS).
FORMATS = {"AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL", "MPO", "PNG", "PPM", "PSD", "TIFF", "WEBP"}
JXL_STARTS = b"\xff\n", b"\0\0\0\fJXL \r\n\x87\n"
_JPEG = {"JPEG", "MPO"}  # several JPEGs in one are an MPO, such as a photo with its gain map
_FROM_PHONES = _JPEG | {"HEIF"}
_SAVE_AS = "save it as JPEG or PNG and try again"

_UPRIGHT = {  # EXIF orientation -> the transposition that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of a TIFF

_warning_filters = threading.Lock()  # they are global


@dataclass(frozen=True)
class PhotoFile:
    """The file of a photo; `name` is None if it was not read by name. warning: what of the photo is missing. wraps:
    whether it is shown as a whole 360° photo, whose left and right edges meet.

    A .cine file stores only the rest of it, the `digest` as a claim, and no `content`.
    """

    name: str | None
    content: bytes = field(repr=False)
    digest: str | None = None
    warning: str = ""
    wraps: bool = False

    @cached_property
    def sha256(self) -> str:
        return self.digest or hashlib.sha256(self.content).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """For a report; "claimed" is True if there is no content to check the digest against."""
        return {"name": self.name, "sha256": self.sha256} | ({"claimed": True} if self.digest else {})


ReadPhoto: TypeAlias = "tuple[np.ndarray, PhotoFile | None]"  # as `read_photo` gives it


def load_photo(source: Source, size: Size = 1024) -> np.ndarray:
    """Only the colours, uint8 [H,W,3]; see `read_photo`."""
    return split_alpha(read_photo(source, size)[0])[0]


def read_photo(source: Source, size: Size = 1024) -> ReadPhoto:
    """The pixels of a photo, uint8 [H,W,3], or [H,W,4] if some are transparent, sRGB, upright; and its file, None if
    the source is pixels.

    source: path, bytes, binary file object (read from its current position, left open), PIL image, or uint8 array
        [H,W,3], [H,W], [H,W,1] or [H,W,4]. one of FORMATS in any colours that `declared_colour` knows, 8 to 16
        bits, grey, palette or CMYK; the first frame of an animation. Under what is fully transparent lie the colours of
        its surroundings: see `transparency.continued`.
    size: None = the photo's own; an int = pixels of the shorter side, never enlarged; (width, height) = cropped
        around the centre to that shape, and enlarged if necessary. (width, height, (x, y)): around that place, in
        fractions of the photo; (width, height, "moving") is for `engine.framing`, and here the centre. Lanczos.

    The source is read only once. Raises OptionError for an impossible size, TooLarge for one that does not fit,
    PhotoError for anything that is not a readable photo of at least 64 pixels on its shorter side.
    """
    size = checked_size(size)
    name = _describe(source)
    file = None
    if isinstance(source, np.ndarray):
        photo = _Decoded(_from_array(source))
    elif isinstance(source, Image.Image):
        photo = _decoded(source, b"", size, name)
    else:
        file = _read_file(source, name)
        photo = (_from_raw if is_raw(file.content) else _from_image)(file.content, size, name)
        file = replace(file, warning=photo.warning, wraps=photo.wraps)
    # Colours are converted last, as this takes longest and commutes with resampling.
    image = _resized(photo.image, size)
    pixels, alpha = np.array(to_srgb(image, photo.colour)), image.info.get("alpha")
    return (pixels if alpha is None else np.dstack([pixels, np.asarray(alpha)])), file


def photo_size(path: str | os.PathLike[str], size: Size = 1024) -> tuple[int, int]:
    """Width and height of what `read_photo` would return, from the file's header. Raises as that does."""
    size, name = checked_size(size), _describe(path)
    content = _read_path(path, name)
    if is_raw(content):
        found = _raw_size(content, size, name)
        if not isinstance(found, Preview):
            return _target(*found, size)
        content = found.jpeg
    with open_image(io.BytesIO(main_page(content, name)), name) as image:
        width, height = image.size
        found_later = image.format == "PNG" and "exif" not in image.info  # Pillow would decode it to look
        if not (found_later or image.format == "TIFF") and _orientation(image) in range(5, 9):
            width, height = height, width
        _check_result(width, height, size)
        return _target(width, height, size)


def _describe(source: Any) -> str:
    return f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "The photo"


# --- from a source to a decoded, upright image: L, RGB or CMYK, with its colours


def _read_file(source: Any, name: str) -> PhotoFile:
    if isinstance(source, str | os.PathLike):
        file = PhotoFile(os.path.basename(source), _read_path(source, name))
    elif isinstance(source, bytes | bytearray | memoryview):
        file = PhotoFile(None, bytes(source))
    elif hasattr(source, "read"):
        try:
            content = source.read()  # the rest of it; it may be a pipe or an upload, which cannot seek
        except (OSError, ValueError) as error:
            raise PhotoError(f"The file object cannot be read ({error}); give an open binary file.") from None
        if not isinstance(content, bytes | bytearray):
            raise PhotoError("The file object gives text, not bytes; open the photo with mode 'rb'.")
        file = PhotoFile(None, bytes(content))
    else:
        raise PhotoError(f"A {type(source).__name__} is not a photo; give a path, bytes, file, PIL image or array.")
    if not file.content:
        raise PhotoError(f"{name} is empty; copy or download it again.")
    return file


def _read_path(path: str | os.PathLike[str], name: str) -> bytes:
    check_file(path, "photo", PhotoError)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise PhotoError(f"{name} cannot be read ({error.strerror}); copy it again, and check the disk.") from None


def _from_raw(content: bytes, size: Size, name: str) -> _Decoded:
    found = _raw_size(content, size, name)
    if isinstance(found, Preview):
        return replace(_from_image(found.jpeg, size, name), warning=found.warning)
    try:
        return _Decoded(_eight_bits(develop(content, _wanted(size)), 1 << 16, PLAIN, size))
    except Exception:  # LibRaw raises anything at damaged data
        raise _unreadable(*found, name) from None


def _raw_size(content: bytes, size: Size, name: str) -> tuple[int, int] | Preview:
    """`raw_size`, but refuses what is too small or too large."""
    found = raw_size(content, _wanted(size), name)
    if not isinstance(found, Preview):
        _check_result(*found, size)
        if math.prod(found) > MAX_DECODED:
            raise _too_many_pixels(f"{name} is {found[0]}x{found[1]} and", MAX_DECODED)
    return found


def _wanted(size: Size) -> int | None:
    """Pixels a side that are asked for; decoders give twice as many if they can, enough for the Lanczos filter."""
    return max(size[:2]) if isinstance(size, tuple) else size


def _from_image(content: bytes, size: Size, name: str) -> _Decoded:
    content = main_page(content, name)
    with open_image(io.BytesIO(content), name) as image:
        found = _decoded(image, content, size, name)
        return replace(found, wraps=not isinstance(size, tuple) and _wraps_around(image, content))


def _wraps_around(image: Image.Image, content: bytes) -> bool:
    """Whether it is a whole 360° photo, by its XMP (Google's Photo Sphere metadata)."""
    cropped, full = (re.search(rb"%s\W+(\d+)" % name, content) for name in (CROPPED, FULL))
    is_whole = cropped is None or full is None or cropped[1] == full[1]
    is_sphere = EQUIRECTANGULAR.search(content) is not None
    return is_sphere and is_whole and abs(image.width / image.height - 2) < OTHER_SHAPE


def open_image(file: BinaryIO, name: str) -> ImageFile:
    """Decodes nothing. Raises PhotoError for what is no photo, or would take too long to decode, TooLarge for what is
    too large to."""
    start = file.read(12)
    needs = "HEIC or AVIF, which needs pillow-heif; run 'pip install pillow-heif'"
    try:  # most photos need neither
        if start[4:8] == b"ftyp":
            importlib.import_module("pillow_heif").register_heif_opener()
        elif start.startswith(JXL_STARTS):
            needs = "JPEG XL, which needs pillow-jxl-plugin; run 'pip install stylecine[photos]'"
            importlib.import_module("pillow_jxl")  # which has Pillow read it
    except ImportError:
        raise PhotoError(f"{name} is {needs}.") from None
    file.seek(0)
    try:
        with _warning_filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit warns; ours below refuses
            image = _open(file)
    except Image.DecompressionBombError:
        raise _too_many_pixels(name, MAX_DECODED) from None
    except Exception:  # plugins raise anything at hostile headers
        raise PhotoError(f"{name} cannot be read as an image; {_SAVE_AS}.") from None
    limit = MAX_PHONE if image.format in _FROM_PHONES else MAX_DECODED
    if image.width * image.height > limit:
        raise _too_many_pixels(f"{name} is {image.width}x{image.height} and", limit)
    if image.format not in FORMATS:
        raise PhotoError(f"{name} is {image.format}, which is not read; {_SAVE_AS}.")
    if image.format in _JPEG:
        position = file.tell()
        file.seek(0)
        check_scans(file.read(), name)
        file.seek(position)
    return image


def _open(file: BinaryIO) -> ImageFile:
    try:
        return Image.open(file)
    except Image.DecompressionBombError:  # for Pillow, 179 million pixels are one
        file.seek(0)
        start = file.read(16)
        file.seek(0)
        for kind in ("JPEG", "HEIF"):
            factory, accept = Image.OPEN.get(kind, (None, None))
            if factory and accept and accept(start) is True:
                return factory(file, "")
        raise


def _too_many_pixels(name: str, limit: int) -> TooLarge:
    return TooLarge(f"{name} has over {limit // 10**6} million pixels; shrink it to {MAX_SIDE}x{MAX_SIDE} or less.")


@dataclass(frozen=True)
class _Decoded:
    """An upright image of mode L, RGB or CMYK, not below the size that is asked for. warning, wraps: of `PhotoFile`."""

    image: Image.Image
    colour: Colour | None = None
    warning: str = ""
    wraps: bool = False


def _decoded(image: Image.Image, content: bytes, size: Size, name: str) -> _Decoded:
    """content: of the image's file, b"" if unknown."""
    _check_result(image.width, image.height, size)
    (width, height), warning = image.size, ""
    try:
        colour = declared_colour(image, content)
        fits = width * height <= MAX_DECODED  # deep pixels take twice the memory
        encoding = deep_colour(colour)
        if encoding is not None and fits and (deep := deep_pixels(image, content)) is not None:
            orientation = _orientation(image)
            image, colour = _eight_bits(*deep, encoding, size), None
        else:
            image, warning = _loaded(image, content, size, name)
            orientation = _orientation(image)
        upright = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
        return _Decoded(_plain(upright), colour, warning)
    except PhotoError:
        raise
    except Exception:  # decoders raise anything at damaged data
        raise _unreadable(width, height, name) from None


def _unreadable(width: int, height: int, name: str) -> PhotoError | TooLarge:
    """Why decoding failed: some decoders say no more where memory runs out."""
    if width * height * DECODING > available_bytes(None):
        large = f"{name} is {width}x{height} and does not fit into memory"
        return TooLarge(f"{large}; shrink it, free some memory, or raise its limit.")
    return PhotoError(f"{name} is damaged or cut short; copy or download it again.")


def _loaded(image: Image.Image, content: bytes, size: Size, name: str) -> tuple[Image.Image, str]:
    """The image with its pixels, and what is missing of a file that is cut short. Raises PhotoError if it is much."""
    try:
        _draft(image, size)
        image.load()
        return _as_meant(image), ""
    except MemoryError:
        raise
    except Exception:
        if image.format not in _JPEG | BY_ROWS or not content:
            raise

    def decode(content: bytes) -> Image.Image:
        part = open_image(io.BytesIO(content), name)
        _draft(part, size)
        part.load()
        return part

    if image.format in BY_ROWS:
        image, loss = decode_rows(lambda: open_image(io.BytesIO(content), name))
    else:
        image, loss = decode_part(content, decode)
    lost = f"{loss.missing} of its {loss.rows} rows are missing"
    if loss.missing > MAX_LOST * loss.rows:
        raise PhotoError(f"{name} is damaged or cut short, {lost}; copy or download it again.")
    if not loss.missing:
        if not loss.coarse:
            return image, ""
        lost = f"{loss.coarse} of its {loss.rows} rows lack their finest detail"
    return image, f"The photo is damaged or cut short, so {lost}; copy or download it again."


def _as_meant(image: Image.Image) -> Image.Image:
    """What Pillow takes literally: a BMP without any opacity, whose fourth channel nobody filled, is opaque; 16-bit
    grey of a TIFF may count from white."""
    if image.format == "BMP" and image.mode == "RGBA" and not np.asarray(image.getchannel("A")).any():
        return image.convert("RGB")
    if image.format == "TIFF" and image.mode.startswith("I;16") and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        inverted = Image.fromarray(65535 - np.asarray(image))
        inverted.info = image.info
        return inverted
    return image


def _draft(image: Image.Image, size: Size) -> None:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8, which is faster and takes less memory."""
    if (side := _wanted(size)) is not None and image.format in _JPEG:
        image.draft(None, (2 * side, 2 * side))


def _eight_bits(pixels: np.ndarray, levels: int, colour: Colour, size: Size) -> Image.Image:
    """Pixels of more bits as RGB or RGBA in sRGB."""
    side = _wanted(size)
    pixels = shrunk(pixels, 1 if side is None else max(1, min(pixels.shape[:2]) // (2 * side)))
    eight = pixels_to_srgb(pixels[..., :3], levels, colour)
    if pixels.shape[2] == 4:
        eight = np.dstack([eight, np.uint8(pixels[..., 3] * (255 / (levels - 1)) + 0.5)])
    return Image.fromarray(eight)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        raise PhotoError(f"The photo array is {array.dtype}; give uint8, 0 to 255.")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise PhotoError(f"The photo array has shape {list(array.shape)}; give [height, width, 3].")
    if array.size == 0:
        raise PhotoError("The photo array is empty; give [height, width, 3].")
    grey = array.reshape(array.shape[:2]) if array.shape[2:] == (1,) else array
    return _plain(Image.fromarray(np.ascontiguousarray(grey)))


def _check_result(width: int, height: int, size: Size) -> None:
    """Refuses, before any work, photos of a size that cannot be animated."""
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"The photo is {width}x{height} pixels; give one of at least {MIN_SIDE} a side.")
    target = _target(width, height, size)
    if math.prod(target) > MAX_PIXELS:
        fits = min(fitting(width, height))
        if fits < MIN_SIDE:
            raise PhotoError(f"The photo is {width}x{height}, too long and thin; cut a part out of it.")
        raise TooLarge(f"The photo would be {target[0]}x{target[1]} pixels; ask for size {fits} or less.")


# --- pixels


def _plain(image: Image.Image) -> Image.Image:
    """An image of any mode as L, RGB or CMYK of 8 bits; what of it is transparent is its `info`'s "alpha", an L
    image."""
    if image.mode in ("L", "RGB", "CMYK") and not image.has_transparency_data:
        return image
    alpha = None
    if image.mode in ("F", "LAB"):
        raise PhotoError(f"The photo has {image.mode} pixels; save it as 8-bit RGB and try again.")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise PhotoError("The photo has 32-bit pixels; save it with 8 or 16 bits and try again.")
        plain = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    elif image.mode == "1":
        plain = image.convert("L")
    elif image.has_transparency_data:
        plain, alpha = continued(image.convert("RGBA"))
    else:
        plain = image.convert("RGB")
    plain.info = {} if alpha is None or np.asarray(alpha).min() == 255 else {"alpha": alpha}
    return plain


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF is common, and the pixels may be fine
        return 1


def _target(width: int, height: int, size: Size) -> tuple[int, int]:
    if isinstance(size, tuple):
        return size[0], size[1]
    scale = 1.0 if size is None else min(1.0, size / min(width, height))
    return round(width * scale), round(height * scale)


def _resized(image: Image.Image, size: Size) -> Image.Image:
    _check_result(image.width, image.height, size)
    target = _target(image.width, image.height, size)
    if target == image.size:
        return image
    box = _window(image.width, image.height, size)
    resized = image.resize(target, Image.Resampling.LANCZOS, box=box)
    if "alpha" in image.info:  # Lanczos would overshoot at its edges
        resized.info["alpha"] = image.info["alpha"].resize(target, Image.Resampling.BILINEAR, box=box)
    return resized


def _window(width: int, height: int, size: Size) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels, of what a photo of that size shows at a size."""
    target = _target(width, height, size)
    scale = min(width / target[0], height / target[1])
    wide, high = min(target[0] * scale, width), min(target[1] * scale, height)
    place = size[2] if isinstance(size, tuple) and len(size) == 3 else MOVING
    x, y = (0.5, 0.5) if isinstance(place, str) else place
    left = min(max(width * x - wide / 2, 0.0), width - wide)
    top = min(max(height * y - high / 2, 0.0), height - high)
    return left, top, min(left + wide, width), min(top + high, height)


def cropped_alike(values: np.ndarray, photo: Source, size: Size) -> np.ndarray:
    """What of a map [...,h,w] of a whole photo, no file object, is about the part of it that a size shows; a map that
    does not have the photo's shape as it is."""
    height, width = values.shape[-2:]
    if not isinstance(size, tuple):
        return values
    whole = load_photo(photo, SHAPE_SIDE)
    if not has_shape(width, height, whole.shape[1], whole.shape[0]):
        return values
    left, top, right, bottom = map(round, _window(width, height, size))
    return values[..., top : max(bottom, top + 1), left : max(right, left + 1)]


def has_shape(width: int, height: int, photo_width: int, photo_height: int) -> bool:
    """Whether a map has the shape of a photo, give or take a pixel."""
    expected = height * photo_width / photo_height
    return abs(width - expected) <= max(1.0, OTHER_SHAPE * expected)


class _Checked(io.BytesIO):
    def __init__(self, check: Callable[[], object]) -> None:
        super().__init__()
        self.check = check

    def write(self, content: Any) -> int:
        self.check()
        return super().write(content)


def encode_png(
    pixels: np.ndarray, comment: str = "", check: Callable[[], object] = lambda: None, xmp: str = ""
) -> bytes:
    """Pixels, uint8 [H,W,3] or [H,W,4], as PNG, marked as sRGB; a comment and XMP, in Unicode, are iTXt chunks.

    check: called again and again, to raise Cancelled.
    """
    notes = PngInfo()
    notes.add(b"sRGB", b"\0")  # 0: perceptual
    for keyword, text in (("Comment", comment), (XMP_KEYWORD, xmp)):
        if text:
            notes.add_itxt(keyword, text)
    file = _Checked(check)
    Image.fromarray(pixels).save(file, "PNG", pnginfo=notes, compress_level=PNG_LEVEL)
    return file.getvalue()
