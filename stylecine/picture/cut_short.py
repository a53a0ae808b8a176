"""Photos whose end is missing, as an interrupted copy leaves them: what is there is decoded, what is not is counted."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

BY_ROWS = {"BMP", "GIF", "PNG", "PPM", "TIFF"}  # of which a part can be decoded
END = b"\xff\xd9"  # of a JPEG
# Instead of the rest: where the pixels depend on it, they are lost. No byte is 0xFF, which would begin a marker.
FILLERS = bytes(4096), bytes(range(1, 251)) * 16, bytes(range(250, 0, -1)) * 16
NEVER = 99  # bits that are missing of a coefficient that no scan has
START_OF_SCAN, END_OF_IMAGE, FRAMES = 0xDA, 0xD9, (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_NEXT_SEGMENT = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # behind a scan's data, but for its restart markers


@dataclass(frozen=True)
class Loss:
    """Of a picture's rows, how many are missing, and how many lack nothing but their finest detail."""

    rows: int
    missing: int = 0
    coarse: int = 0


def decode_rows(open_image: Callable[[], ImageFile]) -> tuple[Image.Image, Loss]:
    """What is there of a file of one of BY_ROWS; what is not becomes grey: the decoder leaves such pixels as they are.

    Raises ValueError for a GIF with transparent pixels, which what is missing would look like.
    """
    image, other = (_decode_over(open_image(), level) for level in (127, 128))
    missing = (np.asarray(image) != np.asarray(other)).reshape(image.height, -1).any(axis=1)
    return image, Loss(image.height, missing=int(missing.sum()))


def _decode_over(image: ImageFile, level: int) -> ImageFile:
    if image.format == "GIF" and "transparency" in image.info:
        raise ValueError("what is missing would be transparent")
    colour = level if len(image.getbands()) == 1 else (level,) * len(image.getbands())
    image.im = Image.new(image.mode, image.size, colour).im
    try:
        image.load()
    except Exception:  # of any kind, by the format
        image.tile = []  # nothing is left to be decoded
        image.load()
    return image


def decode_part(content: bytes, decode: Callable[[bytes], Image.Image]) -> tuple[Image.Image, Loss]:
    """What is there of a JPEG; what is not becomes grey.

    decode: of a whole file, perhaps at a smaller size. Raises ValueError for a file that is damaged otherwise.
    """
    rows, before, after, end = _parse(content)
    rest = content[:end].rstrip(b"\xff")  # half a marker
    image = decode(rest + END)
    pixels, there = np.asarray(image), image.height
    for filler in FILLERS:
        other = np.asarray(decode(rest + filler + END))
        differs = (pixels[:there] != other[:there]).reshape(there, -1).any(axis=1)
        there = int(differs.argmax()) if differs.any() else there
    below = rows - rows * there // image.height
    if after > 1:
        return image, Loss(rows, missing=rows)
    if before > 1:
        return image, Loss(rows, missing=below)
    return image, Loss(rows, coarse=rows if after else below)


def _parse(content: bytes) -> tuple[int, int, int, int]:
    """The picture's rows; how many bits are missing of the coefficient of which most are, before the last scan that has
    begun and after it; and where the last whole segment ends. A progressive JPEG gives the last bit in scans of their
    own."""
    rows, before, offset = 0, None, 2
    bits: dict[tuple[int, int], int] = {}  # missing of each component's coefficients
    while offset + 4 <= len(content):
        fill, marker, length = struct.unpack_from(">BBH", content, offset)
        if fill != 0xFF or marker == END_OF_IMAGE:
            raise ValueError("the file is not cut short, but damaged")
        if marker == 0xFF:  # any number of these may come before a marker
            offset += 1
            continue
        data = content[offset + 4 : offset + 2 + length]
        if len(data) < length - 2:
            break
        offset += 2 + length
        if marker in FRAMES:
            (rows,) = struct.unpack_from(">H", data, 1)
            bits = dict.fromkeys(product(data[6::3], range(64)), NEVER)
        elif marker == START_OF_SCAN:
            before, count = max(bits.values()), data[0]
            first, last, low = data[1 + 2 * count : 4 + 2 * count]
            bits |= dict.fromkeys(product(data[1 : 1 + 2 * count : 2], range(first, last + 1)), low & 15)
            found = _NEXT_SEGMENT.search(content, offset)
            offset = found.start() if found else len(content)
    if before is None:
        raise ValueError("the picture has not begun")
    return rows, before, max(bits.values()), min(offset, len(content))
