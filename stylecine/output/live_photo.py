"""Apple's Live Photo: a JPEG and a QuickTime movie that share an identifier, as two files or in one archive.

The JPEG has it in Apple's maker note in EXIF, the movie in its metadata, with a track that marks the frame that is the
photo: here the first. Photos pairs the two when they are imported together.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

from stylecine.atomic import PathLike
from stylecine.errors import VideoError
from stylecine.output.quicktime import content_identifier

ENDING, ARCHIVE = ".livephoto", ".livephoto.zip"
PARTS = (".jpg", ".mov")
MEMBERS = ("live-photo.jpg", "live-photo.mov")  # of an archive

MAKER_NOTE = b"Apple iOS\0\0\x01MM"  # begins Apple's maker note; a directory of tags follows, big-endian
IDENTIFIER_TAG = 0x11
SRGB = 1
TIFF = b"MM\0\x2a\0\0\0\x08"  # begins EXIF: big-endian, the first directory follows
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
SIZES = {ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}  # bytes of a value


def is_live_photo(path: PathLike) -> bool:
    """Whether `path` names a Live Photo of two files."""
    return os.fspath(path).lower().endswith(ENDING)


def live_photo_files(path: PathLike) -> tuple[Path, Path]:
    """The two files of the Live Photo `path`: photo.livephoto.jpg and photo.livephoto.mov."""
    photo, movie = (Path(f"{os.fspath(path)}{part}") for part in PARTS)
    return photo, movie


def live_photo_exif(identifier: str, width: int, height: int) -> bytes:
    """The EXIF of the photo, with all tags that a JPEG must have. Pillow would give the maker note another type."""
    value = identifier.encode() + b"\0"
    note = MAKER_NOTE + _directory([(IDENTIFIER_TAG, ASCII, value)], len(MAKER_NOTE))
    image = [
        (Base.XResolution, RATIONAL, struct.pack(">II", 72, 1)),
        (Base.YResolution, RATIONAL, struct.pack(">II", 72, 1)),
        (Base.ResolutionUnit, SHORT, struct.pack(">H", 2)),  # inch
        (Base.YCbCrPositioning, SHORT, struct.pack(">H", 1)),  # centred
        (Base.ExifOffset, LONG, bytes(4)),
    ]
    begin = len(TIFF) + len(_directory(image, len(TIFF)))
    image[-1] = (Base.ExifOffset, LONG, struct.pack(">I", begin))
    photo = [
        (Base.ExifVersion, UNDEFINED, b"0232"),
        (Base.ComponentsConfiguration, UNDEFINED, b"\1\2\3\0"),  # Y, Cb, Cr
        (Base.MakerNote, UNDEFINED, note),
        (Base.FlashPixVersion, UNDEFINED, b"0100"),
        (Base.ColorSpace, SHORT, struct.pack(">H", SRGB)),
        (Base.ExifImageWidth, LONG, struct.pack(">I", width)),
        (Base.ExifImageHeight, LONG, struct.pack(">I", height)),
    ]
    return b"Exif\0\0" + TIFF + _directory(image, len(TIFF)) + _directory(photo, begin)


def _directory(tags: Sequence[tuple[int, int, bytes]], begin: int) -> bytes:
    """A directory of tags, types and values, at offset `begin`, and its values of more than four bytes."""
    entries, values = b"", b""
    offset = begin + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(">I", offset + len(values))
        entries += struct.pack(">HHI", tag, kind, len(value) // SIZES[kind]) + inline
        values += value + bytes(len(value) % 2) if len(value) > 4 else b""
    return struct.pack(">H", len(tags)) + entries + bytes(4) + values


def live_photo_movie(path: PathLike) -> Path:
    """The movie of the Live Photo `path`. Raises VideoError if its files are missing or not a pair."""
    photo, movie = live_photo_files(path)
    for file in (photo, movie):
        if not file.is_file():
            raise VideoError(f"There is no '{file}'; check the path, and copy both files of a Live Photo.")
    identifier = content_identifier(movie)
    if not identifier or _photo_identifier(photo) != identifier:
        raise VideoError(f"'{photo}' and '{movie}' are not the two files of a Live Photo; write them again.")
    return movie


def _photo_identifier(path: Path) -> str:
    """The content identifier of a photo; "" if it has none or is damaged."""
    try:
        with Image.open(path) as image:
            note = image.getexif().get_ifd(IFD.Exif).get(Base.MakerNote, b"")
        if not note.startswith(MAKER_NOTE):
            return ""
        begin = len(MAKER_NOTE)
        (count,) = struct.unpack_from(">H", note, begin)
        for entry in range(begin + 2, begin + 2 + 12 * count, 12):
            tag, kind, length, offset = struct.unpack_from(">HHII", note, entry)
            if (tag, kind) == (IDENTIFIER_TAG, ASCII):
                return str(note[offset : offset + length].decode("ascii").rstrip("\0"))
    except Exception:  # damaged files make Pillow raise anything
        return ""
    return ""
