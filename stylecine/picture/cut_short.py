"""Photos whose end is missing, as an interrupted copy leaves them: what is there is decoded, what is not is counted."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Scan:
    """Coefficients first to last of some components, down to a bit."""

    components: bytes
    first: int
    last: int
    bit: int


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
    rows, components, scans, end = _parse(content)
    rest = content[:end].rstrip(b"\xff")  # half a marker
    image = decode(rest + END)
    pixels, there = np.asarray(image), image.height
    for filler in FILLERS:
        other = np.asarray(decode(rest + filler + END))
        differs = (pixels[:there] != other[:there]).reshape(there, -1).any(axis=1)
        there = int(differs.argmax()) if differs.any() else there
    below = rows - rows * there // image.height
    before, after = _missing_bits(components, scans[:-1]), _missing_bits(components, scans)
    if after > 1:
        return image, Loss(rows, missing=rows)
    if before > 1:
        return image, Loss(rows, missing=below)
    return image, Loss(rows, coarse=rows if after else below)


def _missing_bits(components: bytes, scans: Sequence[_Scan]) -> int:
    """Of the coefficient of which most are missing. A progressive JPEG gives the last bit in scans of their own."""
    bits = dict.fromkeys(((component, k) for component in components for k in range(64)), NEVER)
    for scan in scans:
        bits |= {(component, k): scan.bit for component in scan.components for k in range(scan.first, scan.last + 1)}
    return max(bits.values())


def _parse(content: bytes) -> tuple[int, bytes, list[_Scan], int]:
    """The picture's rows and components, the scans that have begun, and where the last whole segment ends."""
    rows, components, scans, offset = 0, b"", [], 2
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
            (rows,), components = struct.unpack_from(">H", data, 1), data[6::3]
        elif marker == START_OF_SCAN:
            count = data[0]
            first, last, bits = data[1 + 2 * count : 4 + 2 * count]
            scans.append(_Scan(data[1 : 1 + 2 * count : 2], first, last, bits & 15))
            found = _NEXT_SEGMENT.search(content, offset)
            offset = found.start() if found else len(content)
    if not scans:
        raise ValueError("the picture has not begun")
    return rows, components, scans, min(offset, len(content))
