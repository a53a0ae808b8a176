"""Camera raw files (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2 and others), developed by LibRaw, or their largest preview.

LibRaw comes with rawpy, an extra of this package. Without it, or for a camera that it does not know, the JPEG that the
camera put into the file is taken, if it is large enough: never a thumbnail without a word.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from stylecine.errors import PhotoError
from stylecine.picture.tiff import pages

# How files begin that are no TIFF: Fujifilm, Canon's CR3 (after the size of a box), Olympus, Panasonic, Sigma, Minolta.
STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
CR3 = b"ftypcrx "
CR2 = b"CR\2"  # after the header of a TIFF
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Developed:
    """The picture of a raw file, upright: uint16 [H,W,3] of all 65536 levels in sRGB, or else a JPEG of the camera's.
    warning: why it is not the raw file's own pixels; "" if it is."""

    pixels: np.ndarray | None = None
    preview: bytes = b""
    warning: str = ""


def is_raw(content: bytes) -> bool:
    """Whether a file has the pixels of a camera's sensor."""
    start = content[:16]
    if start.startswith(STARTS) or start[4:12] == CR3 or (start[:2] == b"II" and start[8:11] == CR2):
        return True
    return any(page.raw for page in pages(content))


def develop(content: bytes, short: int | None, name: str) -> Developed:
    """With the camera's white balance, at 16 bits. short: pixels a side that suffice, None for all of them.

    Raises PhotoError where there are neither LibRaw nor a preview of that size.
    """
    try:
        import rawpy
    except ImportError:
        return _preview(content, short, name, "needs rawpy; run 'pip install stylecine[photos]'")
    try:
        with rawpy.imread(io.BytesIO(content)) as file:
            half = short is not None and min(file.sizes.width, file.sizes.height) >= 2 * short
            pixels = file.postprocess(use_camera_wb=True, half_size=half, output_bps=16)
    except rawpy.LibRawError as error:
        reason = str(error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error)
        return _preview(content, short, name, f"cannot be developed by LibRaw ({reason}); convert it to DNG or TIFF")
    return Developed(pixels)


def raw_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of what `develop` makes at full size; None without LibRaw."""
    try:
        import rawpy

        with rawpy.imread(io.BytesIO(content)) as file:
            width, height = file.sizes.width, file.sizes.height
            return (height, width) if file.sizes.flip in (5, 6) else (width, height)
    except (ImportError, rawpy.LibRawError):
        return None


def _preview(content: bytes, short: int | None, name: str, why: str) -> Developed:
    """The largest JPEG in the file, if it suffices."""
    found = max(_previews(content), default=(0, b""), key=lambda one: one[0])
    if found[0] < (short or 1) or not short:
        raise PhotoError(f"{name} is a camera's raw file, which {why}.")
    return Developed(preview=found[1], warning=f"The photo is a camera's raw file, which {why}; its preview is shown.")


def _previews(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Short side and bytes of each JPEG in a file, to the file's end; what follows one is no harm."""
    place = content.find(_JPEG)
    while place >= 0:
        try:
            with Image.open(io.BytesIO(content[place:]), formats=["JPEG"]) as image:
                yield min(image.size), content[place:]
        except (OSError, SyntaxError, ValueError):
            pass
        place = content.find(_JPEG, place + 1)
