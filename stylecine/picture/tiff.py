"""Which page of a TIFF is the photo: files often begin with a small copy of it, and keep the photo itself for later."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from stylecine.errors import PhotoError

MAX_PAGES, MAX_ENTRIES = 1000, 20_000  # that are looked at
REDUCED, CFA, LINEAR_RAW = 1, 32803, 34892  # a bit of NewSubfileType; kinds of pixels of a camera's sensor
_SUBFILE, _WIDTH, _HEIGHT, _PIXELS, _ORIENTATION, _SUB_IFDS, _DNG = 254, 256, 257, 262, 274, 330, 50706
_TAGS = (_SUBFILE, _WIDTH, _HEIGHT, _PIXELS, _ORIENTATION, _SUB_IFDS, _DNG)
_SIZES = {1: "B", 3: "H", 4: "I", 13: "I"}  # of the types that these tags have


@dataclass(frozen=True)
class Page:
    """One image of a TIFF. offset: of its directory. raw: whether its pixels are a sensor's, still to be developed.
    reduced: whether it is a smaller copy of another. orientation: as in EXIF."""

    offset: int
    width: int
    height: int
    raw: bool
    reduced: bool
    orientation: int


def pages(content: bytes) -> list[Page]:
    """The images of a TIFF, SubIFDs after the page that has them, up to where it is cut short; [] for anything else."""
    return _pages(content)[0]


def main_page(content: bytes, name: str) -> bytes:
    """The file, but with the photo as its first page where that is a reduced copy. Raises PhotoError where the photo
    lies beyond the end of the file."""
    found, complete = _pages(content)
    if not found or not found[0].reduced:
        return content
    whole = [page for page in found if not page.reduced and not page.raw]
    if not whole and not complete:
        raise PhotoError(f"{name} is damaged or cut short; copy or download it again.")
    best = max(whole or found, key=lambda page: page.width * page.height)
    order = "<" if content[:2] == b"II" else ">"
    return content[:4] + struct.pack(order + "I", best.offset) + content[8:]


def _pages(content: bytes) -> tuple[list[Page], bool]:
    """The images, and whether no directory lies beyond the end of the file."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return [], True
    found: list[Page] = []
    seen, entries = set[int](), 0
    try:
        waiting = [*struct.unpack_from(order + "I", content, 4)]
        while waiting and len(seen) < MAX_PAGES:
            offset = waiting.pop()
            if not offset or offset in seen:
                continue
            seen.add(offset)
            (count,) = struct.unpack_from(order + "H", content, offset)
            entries += count
            if entries > MAX_ENTRIES:
                break
            tags = {tag: values for tag, values in _tags(content, order, offset, count).items() if values}
            first = {tag: values[0] for tag, values in tags.items()}
            raw, reduced = first.get(_PIXELS) in (CFA, LINEAR_RAW) or _DNG in first, first.get(_SUBFILE, 0) & REDUCED
            sides = first.get(_WIDTH, 0), first.get(_HEIGHT, 0)
            found.append(Page(offset, *sides, raw, bool(reduced), first.get(_ORIENTATION, 1)))
            waiting += [*struct.unpack_from(order + "I", content, offset + 2 + 12 * count)]
            waiting += reversed(tags.get(_SUB_IFDS, ()))
    except struct.error:
        return found, False
    return found, True


def _tags(content: bytes, order: str, offset: int, count: int) -> dict[int, tuple[int, ...]]:
    tags = {}
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", content, entry)
        if tag in _TAGS and kind in _SIZES and values <= MAX_PAGES:
            form = f"{order}{values}{_SIZES[kind]}"
            fits = struct.calcsize(form) <= 4
            place = entry + 8 if fits else struct.unpack_from(order + "I", content, entry + 8)[0]
            tags[tag] = struct.unpack_from(form, content, place)
    return tags
