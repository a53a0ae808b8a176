"""EXIF of the JPEGs of photos that move: all tags that a JPEG must have, and what is kept of the photo's own.

Pillow would give Apple's maker note another type, so the directories are written here.
"""

import struct
from collections.abc import Sequence
from fractions import Fraction

from PIL.ExifTags import GPS, Base

from stylecine.output.origin import DATE, Origin

TIFF = b"MM\0\x2a\0\0\0\x08"  # begins EXIF: big-endian, the first directory follows
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}  # bytes of a value

Tag = tuple[int, int, bytes]  # number, type and values


def jpeg_exif(width: int, height: int, origin: Origin, maker_note: bytes = b"") -> bytes:
    """With its header, for a JPEG of this size."""
    place, camera = _place(origin), ((Base.Make, origin.make), (Base.Model, origin.model))
    image = [
        *((tag, ASCII, f"{text}\0".encode()) for tag, text in camera if text),
        (Base.XResolution, RATIONAL, struct.pack(">II", 72, 1)),
        (Base.YResolution, RATIONAL, struct.pack(">II", 72, 1)),
        (Base.ResolutionUnit, SHORT, struct.pack(">H", 2)),  # inch
        (Base.YCbCrPositioning, SHORT, struct.pack(">H", 1)),  # centred
        (Base.ExifOffset, LONG, bytes(4)),
        *[(Base.GPSInfo, LONG, bytes(4))] * bool(place),
    ]
    photo = [
        (Base.ExifVersion, UNDEFINED, b"0232"),
        *_taken(origin),
        (Base.ComponentsConfiguration, UNDEFINED, b"\1\2\3\0"),  # Y, Cb, Cr
        *[(Base.MakerNote, UNDEFINED, maker_note)] * bool(maker_note),
        (Base.FlashPixVersion, UNDEFINED, b"0100"),
        (Base.ColorSpace, SHORT, struct.pack(">H", 1)),  # sRGB
        (Base.ExifImageWidth, LONG, struct.pack(">I", width)),
        (Base.ExifImageHeight, LONG, struct.pack(">I", height)),
    ]
    begin = len(TIFF) + len(directory(image, len(TIFF)))  # of the photo's directory
    details = directory(photo, begin)
    offsets = {Base.ExifOffset: begin, Base.GPSInfo: begin + len(details)}
    image = [(tag, kind, struct.pack(">I", offsets[tag]) if tag in offsets else value) for tag, kind, value in image]
    places = directory(place, begin + len(details)) if place else b""
    return b"Exif\0\0" + TIFF + directory(image, len(TIFF)) + details + places


def directory(tags: Sequence[Tag], begin: int) -> bytes:
    """A directory of tags, in rising order, at offset `begin`, and its values of more than four bytes."""
    entries, values = b"", b""
    offset = begin + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(">I", offset + len(values))
        entries += struct.pack(">HHI", tag, kind, len(value) // SIZES[kind]) + inline
        values += value + bytes(len(value) % 2) if len(value) > 4 else b""
    return struct.pack(">H", len(tags)) + entries + bytes(4) + values


def _taken(origin: Origin) -> list[Tag]:
    if origin.taken is None:
        return []
    tags: list[Tag] = [(Base.DateTimeOriginal, ASCII, origin.taken.strftime(DATE).encode() + b"\0")]
    if offset := origin.taken.strftime("%z"):
        tags.append((Base.OffsetTimeOriginal, ASCII, f"{offset[:3]}:{offset[3:5]}".encode() + b"\0"))
    return tags


def _place(origin: Origin) -> list[Tag]:
    if origin.place is None:
        return []
    north, east = origin.place
    tags: list[Tag] = [
        (GPS.GPSVersionID, BYTE, b"\2\3\0\0"),
        (GPS.GPSLatitudeRef, ASCII, b"N\0" if north >= 0 else b"S\0"),
        (GPS.GPSLatitude, RATIONAL, _sexagesimal(abs(north))),
        (GPS.GPSLongitudeRef, ASCII, b"E\0" if east >= 0 else b"W\0"),
        (GPS.GPSLongitude, RATIONAL, _sexagesimal(abs(east))),
    ]
    if origin.altitude is not None:
        metres = Fraction(abs(origin.altitude)).limit_denominator(1000)
        tags.append((GPS.GPSAltitudeRef, BYTE, b"\0" if origin.altitude >= 0 else b"\1"))
        tags.append((GPS.GPSAltitude, RATIONAL, struct.pack(">II", metres.numerator, metres.denominator)))
    return tags


def _sexagesimal(degrees: float) -> bytes:
    """Degrees, minutes and seconds, to a ten thousandth of a second: 3 mm."""
    units = round(degrees * 36_000_000)
    whole, rest = divmod(units, 36_000_000)
    minutes, seconds = divmod(rest, 600_000)
    return struct.pack(">6I", whole, 1, minutes, 1, seconds, 10_000)
