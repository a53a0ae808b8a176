"""Apple's Live Photo: a JPEG and a QuickTime movie that share an identifier, as two files or in one archive.

The JPEG has it in Apple's maker note in EXIF, the movie in its metadata, with a track that marks the frame that is the
photo: where the loop in the middle begins. Photos pairs the two when they are imported together.
"""

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import av
from PIL import Image
from PIL.ExifTags import IFD, Base

from stylecine.errors import VideoError
from stylecine.machine.atomic import PathLike
from stylecine.output.exif import ASCII, directory, jpeg_exif
from stylecine.output.formats import files_of
from stylecine.output.origin import Origin
from stylecine.output.quicktime import CONTENT_IDENTIFIER

MEMBERS = ("live-photo.jpg", "live-photo.mov")  # of an archive

MAKER_NOTE = b"Apple iOS\0\0\x01MM"  # begins Apple's maker note; a directory of tags follows, big-endian
IDENTIFIER_TAG = 0x11


def live_photo_exif(identifier: str, width: int, height: int, origin: Origin) -> bytes:
    """The EXIF of the photo, with its identifier in a maker note."""
    value = identifier.encode() + b"\0"
    note = MAKER_NOTE + directory([(IDENTIFIER_TAG, ASCII, value)], len(MAKER_NOTE))
    return jpeg_exif(width, height, origin, note)


def live_photo_movie(path: PathLike) -> Path:
    """The movie of the Live Photo `path`. Raises VideoError if its files are missing or not a pair."""
    photo, movie = files_of(path)
    for file in (photo, movie):
        if not file.is_file():
            raise VideoError(f"There is no '{file}'; check the path, and copy both files of a Live Photo.")
    identifier = content_identifier(movie)
    if not identifier or not _has_identifier(photo, identifier):
        raise VideoError(f"'{photo}' and '{movie}' are not the two files of a Live Photo; write them again.")
    return movie


def content_identifier(path: Path) -> str:
    """The content identifier of a movie; "" if it has none or is damaged."""
    try:
        with av.open(f"file:{path}") as container:
            return container.metadata.get(CONTENT_IDENTIFIER, "")
    except (av.FFmpegError, OSError, ValueError):
        return ""


def archived_movie(path: Path) -> bytes:
    """The movie of a Live Photo's archive. Raises VideoError for any other archive, also one that would grow."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(MEMBERS[1])
            if member.compress_type == zipfile.ZIP_STORED:
                return archive.read(member)
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        pass
    raise VideoError(f"'{path}' is not the archive of a Live Photo; write it again.")


def write_zip(path: Path, files: Sequence[Path]) -> None:
    """An archive of files, uncompressed, which does not tell when they were written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            member = zipfile.ZipInfo(file.name)  # of 1980
            member.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def _has_identifier(path: Path, identifier: str) -> bool:
    """Whether a photo's maker note has a content identifier."""
    try:
        with Image.open(path) as image:
            note = image.getexif().get_ifd(IFD.Exif).get(Base.MakerNote, b"")
        return note.startswith(MAKER_NOTE) and identifier.encode() in note
    except Exception:  # damaged files make Pillow raise anything
        return False
