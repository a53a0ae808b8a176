"""Camera raw files (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2 and others), developed by LibRaw, or their largest preview.

LibRaw comes with rawpy, an extra of this package. Without it, or for a camera that it does not know, the JPEG that the
camera put into the file is taken, if it is large enough: never a thumbnail without a word.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from stylecine.errors import PhotoError
from stylecine.picture.tiff import pages

# How files begin that are no TIFF: Fujifilm, Canon's CR3 (after the size of a box), Olympus, Panasonic, Sigma, Minolta.
STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
CR3 = b"ftypcrx "
CR2 = b"CR\2"  # after the header of a TIFF
SRGB_CURVE = (2.4, 12.92)  # LibRaw's own would be that of BT.709
MAX_PREVIEWS, HEADER = 50, 1 << 18  # JPEGs in a file that are looked at, and bytes of each
_JPEG, _ORIENTATION = b"\xff\xd8\xff", 274


@dataclass(frozen=True)
class Preview:
    """The JPEG that a camera put into its raw file, and why it is shown instead of the raw pixels."""

    jpeg: bytes
    warning: str


def is_raw(content: bytes) -> bool:
    """Whether a file has the pixels of a camera's sensor."""
    start = content[:16]
    if start.startswith(STARTS) or start[4:12] == CR3 or (start[:2] == b"II" and start[8:11] == CR2):
        return True
    return any(page.raw for page in pages(content))


def raw_size(content: bytes, short: int | None, name: str) -> tuple[int, int] | Preview:
    """Width and height of what `develop` makes at full size, or what is shown instead. short: pixels a side that
    suffice, None for all of them. Raises PhotoError where there are neither LibRaw nor a preview of that size."""
    with _opened(content) as (file, why):
        if file is None:
            return _preview(content, short, name, why)
        width, height = file.sizes.width, file.sizes.height
        return (height, width) if file.sizes.flip in (5, 6) else (width, height)


def develop(content: bytes, short: int | None) -> np.ndarray:
    """With the camera's white balance, upright: uint16 [H,W,3] of all 65536 levels in sRGB. For files of which
    `raw_size` gives a size; half of it if that suffices."""
    with _opened(content) as (file, _):
        half = short is not None and min(file.sizes.width, file.sizes.height) >= 2 * short
        pixels = file.postprocess(use_camera_wb=True, half_size=half, output_bps=16, gamma=SRGB_CURVE)
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))  # of a monochrome sensor there is one channel


@contextmanager
def _opened(content: bytes) -> Iterator[tuple[Any, str]]:
    """The file, opened by LibRaw, or None and why not."""
    try:
        import rawpy
    except ImportError:
        yield None, "needs rawpy; run 'pip install stylecine[photos]'"
        return
    try:
        file = rawpy.imread(io.BytesIO(content))
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        yield None, f"cannot be developed by LibRaw ({reason}); convert it to DNG or TIFF"
        return
    with file:
        yield file, ""


def _preview(content: bytes, short: int | None, name: str, why: str) -> Preview:
    """The largest JPEG in the file, if it suffices, turned as the file says."""
    side, place = max(_previews(content), default=(0, 0))
    if not short or side < short:
        raise PhotoError(f"{name} is a camera's raw file, which {why}.")
    jpeg, orientation = content[place:], next((page.orientation for page in pages(content)), 1)
    if orientation != 1 and jpeg[6:10] != b"Exif":  # it has none of its own
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        data = exif.tobytes()
        jpeg = jpeg[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + jpeg[2:]
    return Preview(jpeg, f"The photo is a camera's raw file, which {why}; its preview is shown.")


def _previews(content: bytes) -> Iterator[tuple[int, int]]:
    """Short side and place of each JPEG in a file."""
    place = content.find(_JPEG)
    for _ in range(MAX_PREVIEWS):
        if place < 0:
            return
        try:
            with Image.open(io.BytesIO(content[place : place + HEADER]), formats=["JPEG"]) as image:
                yield min(image.size), place
        except Exception:  # anything may follow these three bytes
            pass
        place = content.find(_JPEG, place + 3)
