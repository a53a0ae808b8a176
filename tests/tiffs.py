"""Small TIFFs with any tags, SubIFDs among them, which Pillow does not write."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

RATIONAL, ASCII, BYTES, UNDEFINED = "rational", "ascii", "bytes", "undefined"
CFA = 32803
Tags = dict[int, Any]


def tiff(*pages: tuple[Tags, np.ndarray], below: Sequence[tuple[Tags, np.ndarray]] = ()) -> bytes:
    """Little-endian, not compressed. pages: tags beside those of their size, and pixels uint8 or uint16, [H,W] or
    [H,W,3]. below: SubIFDs of the first."""
    content = bytearray(b"II*\0\0\0\0\0")
    offsets = [_page(content, tags, pixels) for tags, pixels in below]
    previous = 4
    for number, (tags, pixels) in enumerate(pages):
        own = tags | ({330: offsets} if number == 0 and offsets else {})
        start = _page(content, own, pixels)
        struct.pack_into("<I", content, previous, start)
        previous = start + 2 + 12 * struct.unpack_from("<H", content, start)[0]
    return bytes(content)


def _page(content: bytearray, tags: Tags, pixels: np.ndarray) -> int:
    """Adds a page; returns where its directory is."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    strip = len(content)
    content += pixels.tobytes()
    facts: Tags = {
        256: pixels.shape[1], 257: pixels.shape[0], 258: [8 * pixels.itemsize] * channels, 259: 1,
        262: 1 if channels == 1 else 2, 273: strip, 277: channels, 278: pixels.shape[0], 279: pixels.nbytes,
    }  # fmt: skip
    facts |= tags
    entries = b""
    for tag in sorted(facts):
        kind, count, data = _encoded(tag, facts[tag])
        if len(data) > 4:
            content += bytes(len(content) % 2)
            data, place = struct.pack("<I", len(content)), data
            content += place
        entries += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    content += bytes(len(content) % 2)
    start = len(content)
    content += struct.pack("<H", len(facts)) + entries + bytes(4)
    return start


def _encoded(tag: int, value: Any) -> tuple[int, int, bytes]:
    if isinstance(value, str):
        return 2, len(value) + 1, value.encode() + b"\0"
    if isinstance(value, bytes):
        return (7 if tag == 34675 else 1), len(value), value
    values = value if isinstance(value, list) else [value]
    if tag in (254, 256, 257, 273, 278, 279, 330):
        return 4, len(values), struct.pack(f"<{len(values)}I", *values)
    return 3, len(values), struct.pack(f"<{len(values)}H", *values)


def raw_file(make: str, height: int = 160, width: int = 240, orientation: int = 1, dng: bool = True) -> bytes:
    """A camera's raw file: a small RGB copy, and below it 16-bit pixels of a sensor behind red, green and blue."""
    y, x = np.mgrid[:height, :width]
    scene = np.stack([9000 + 60 * x, 12000 + 40 * y, 20000 + 0 * x], -1)
    sensor = np.where(y % 2 == 0, np.where(x % 2 == 0, scene[..., 0], scene[..., 1]),
                      np.where(x % 2 == 0, scene[..., 1], scene[..., 2])).astype(np.uint16)  # fmt: skip
    small = np.zeros((64, 96, 3), np.uint8)
    small[..., 1] = 200
    own: Tags = {254: 1, 271: make, 272: f"{make} X", 274: orientation} | ({50706: bytes((1, 4, 0, 0))} if dng else {})
    below: Tags = {254: 0, 262: CFA, 33421: [2, 2], 33422: bytes((0, 1, 1, 2))}
    return tiff((own, small), below=[(below, sensor)])
