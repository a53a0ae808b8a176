"""Which page of a TIFF is the photo: files often begin with a small copy of it, and keep the photo itself for later."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PAGES = 1000  # that are looked at
REDUCED, CFA, LINEAR_RAW = 1, 32803, 34892  # a bit of NewSubfileType; kinds of pixels of a camera's sensor
_SUBFILE, _WIDTH, _HEIGHT, _PIXELS, _SUB_IFDS = 254, 256, 257, 262, 330
_SIZES = {1: "B", 3: "H", 4: "I", 13: "I"}  # of the types that these tags have


@dataclass(frozen=True)
class Page:
    """One image of a TIFF. offset: of its directory. raw: whether its pixels are a sensor's, still to be developed.
    reduced: whether it is a smaller copy of another."""

    offset: int
    width: int
    height: int
    raw: bool
    reduced: bool


def pages(content: bytes) -> list[Page]:
    """The images of a TIFF, SubIFDs after the page that has them; [] for anything else."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return []
    try:
        (first,) = struct.unpack_from(order + "I", content, 4)
        return list(_chain(content, order, first, set()))
    except struct.error:  # cut short
        return []


def main_page(content: bytes) -> bytes:
    """The file, but with the photo as its first page where that is a reduced copy."""
    found = pages(content)
    if not found or not found[0].reduced:
        return content
    whole = [page for page in found if not page.reduced and not page.raw] or found
    best = max(whole, key=lambda page: page.width * page.height)
    order = "<" if content[:2] == b"II" else ">"
    return content[:4] + struct.pack(order + "I", best.offset) + content[8:]


def _chain(content: bytes, order: str, offset: int, seen: set[int]) -> Iterator[Page]:
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        (count,) = struct.unpack_from(order + "H", content, offset)
        tags = {}
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", content, entry)
            if tag in (_SUBFILE, _WIDTH, _HEIGHT, _PIXELS, _SUB_IFDS) and kind in _SIZES and values <= MAX_PAGES:
                form = f"{order}{values}{_SIZES[kind]}"
                fits = struct.calcsize(form) <= 4
                place = entry + 8 if fits else struct.unpack_from(order + "I", content, entry + 8)[0]
                tags[tag] = struct.unpack_from(form, content, place)
        one = {tag: values[0] for tag, values in tags.items() if values}
        yield Page(
            offset,
            one.get(_WIDTH, 0),
            one.get(_HEIGHT, 0),
            one.get(_PIXELS) in (CFA, LINEAR_RAW),
            bool(one.get(_SUBFILE, 0) & REDUCED),
        )
        for below in tags.get(_SUB_IFDS, ()):
            yield from _chain(content, order, below, seen)
        (offset,) = struct.unpack_from(order + "I", content, offset + 2 + 12 * count)
