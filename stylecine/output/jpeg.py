"""JPEG with metadata: EXIF and XMP."""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

QUALITY = 95
XMP = b"http://ns.adobe.com/xap/1.0/\0"  # begins a segment with XMP
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, 0xD9
MAX_SEGMENT = 65_533  # bytes


def encode_jpeg(pixels: np.ndarray, exif: bytes = b"", xmp: str = "") -> bytes:
    """Pixels, uint8 [H,W,3] sRGB, as JPEG without subsampling. exif: with its header. xmp: up to 65 kB."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True, exif=exif)
    content = file.getvalue()
    if not xmp:
        return content
    packet = XMP + xmp.encode()
    assert len(packet) <= MAX_SEGMENT
    (length,) = struct.unpack_from(">H", content, 4)  # of the first segment, JFIF, which has to stay the first
    end = 4 + length
    return content[:end] + struct.pack(">BBH", 0xFF, APP1, 2 + len(packet)) + packet + content[end:]


def read_xmp(content: bytes) -> bytes:
    """The XMP packet of a JPEG; b"" without one, or if it is damaged."""
    segments = (data for marker, data in _segments(content) if marker == APP1)
    return next((data[len(XMP) :] for data in segments if data.startswith(XMP)), b"")


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and data of the segments before the pixels."""
    offset = 2
    while content[:2] == b"\xff\xd8" and offset + 4 <= len(content):
        fill, marker, length = struct.unpack_from(">BBH", content, offset)
        if fill != 0xFF or marker in (START_OF_SCAN, END_OF_IMAGE) or length < 2:
            return
        yield marker, content[offset + 4 : offset + 2 + length]
        offset += 2 + length
