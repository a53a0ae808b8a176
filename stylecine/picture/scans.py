"""The scans of a JPEG: a progressive one has several, and each is decoded for the whole picture, so that a small file
with thousands of them would keep a decoder busy for minutes."""

import re

from stylecine.errors import PhotoError
from stylecine.picture.cut_short import END_OF_IMAGE, START_OF_SCAN

# Encoders write about ten, careful ones a few dozen; libtiff, too, refuses more than this in a TIFF. At 64 megapixels a
# scan takes an eighth of a second or more.
MAX_SCANS = 100
_SEGMENT = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")  # begins with its marker; decoders skip whatever comes before


def check_scans(content: bytes, name: str) -> None:
    """PhotoError for a JPEG of more scans than any photo has. What lies behind the picture's end is not counted."""
    scans, offset = 0, 2
    while (segment := _SEGMENT.search(content, offset)) and segment[1][0] != END_OF_IMAGE:
        offset = segment.end() + int.from_bytes(content[segment.end() : segment.end() + 2], "big")
        scans += segment[1][0] == START_OF_SCAN
        if scans > MAX_SCANS:
            raise PhotoError(f"{name} is a JPEG of more than {MAX_SCANS} scans, as no camera writes; save it again.")
