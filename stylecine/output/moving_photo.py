"""Frames -> photos that phones show as a photo and play when touched: Apple's Live Photo and Google's Motion Photo.

The photo is the first frame. The video is H.264, which every phone plays, and contains whole loops, so that it ends
where it began: at the photo.
"""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stylecine.atomic import PathLike, atomic_write, atomic_write_all, check_destination, translate_os_errors
from stylecine.errors import OptionError
from stylecine.output import VideoInfo
from stylecine.output.archive import write_zip
from stylecine.output.exif import jpeg_exif
from stylecine.output.formats import LIVE_ARCHIVE, ending_of, files_of
from stylecine.output.jpeg import encode_jpeg
from stylecine.output.live_photo import MEMBERS, live_photo_exif
from stylecine.output.motion_photo import motion_photo_xmp
from stylecine.output.origin import Origin
from stylecine.output.quicktime import mark_live_photo
from stylecine.output.video import Encoding, check_encoding, encode, log_changes, video_tags

SECONDS = 3.0  # of the videos that phones record

Frames = Sequence[np.ndarray]


def check_moving_photo(fps: Any, quality: Any) -> None:
    """Raises OptionError for an invalid option, WriterUnavailable without an encoder."""
    check_encoding(MEMBERS[1], fps, quality, None)


def write_live_photo(
    frames: Frames,
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    comment: str = "",
    origin: Origin | None = None,
) -> VideoInfo:
    """Writes frames, uint8 [H,W,3] sRGB, one period of a loop, as a Live Photo: a JPEG and a movie.

    path: ends in .livephoto, for two files beside each other, of which either both or none are written; or in
        .livephoto.zip, for an archive of the two.
    fps, quality, comment: of the movie, as for a video. It contains as many loops as come closest to 3 s.
    origin: of the photo, for both.

    Raises OptionError for an invalid option or frame, OutputError if a file cannot be written, WriterUnavailable
    without an encoder.
    """
    encoding = _encoding(MEMBERS[1], frames, fps, quality)
    if ending_of(path) == LIVE_ARCHIVE:
        target = check_destination(path)
        with atomic_write(target) as part:
            members = [part.with_name(name) for name in MEMBERS]
            info = _write_pair(frames, members, encoding, comment, origin)
            with translate_os_errors(target):
                write_zip(part, members)
        size = target.stat().st_size
    else:
        targets = [check_destination(file) for file in files_of(path)]
        with atomic_write_all(targets) as parts:
            info = _write_pair(frames, parts, encoding, comment, origin)
        size = sum(target.stat().st_size for target in targets)
    info = replace(info, path=Path(path), bytes=size)
    log_changes(info, encoding)
    return info


def write_motion_photo(
    frames: Frames,
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    comment: str = "",
    origin: Origin | None = None,
) -> VideoInfo:
    """Writes frames as a Motion Photo, a JPEG with an MP4 in it; path: ends in .MP.jpg. Otherwise as a Live Photo."""
    encoding = _encoding("motion-photo.mp4", frames, fps, quality)
    target = check_destination(path)
    with atomic_write(target) as part:
        movie = part.with_name("motion-photo.mp4")
        info = encode(frames, movie, encoding, comment, video_tags(origin))
        exif = jpeg_exif(info.width, info.height, origin) if origin else b""
        photo = encode_jpeg(_still(frames, info), exif, motion_photo_xmp(info.bytes))
        with translate_os_errors(target), part.open("wb") as file, movie.open("rb") as video:
            file.write(photo)
            shutil.copyfileobj(video, file)
    info = replace(info, path=Path(path), bytes=target.stat().st_size)
    log_changes(info, encoding)
    return info


def _encoding(name: str, frames: Frames, fps: float, quality: int | None) -> Encoding:
    encoding = check_encoding(name, fps, quality, None)
    if len(frames) == 0:
        raise OptionError("There are no frames to write; give at least one.")
    return replace(encoding, repeat=max(1, round(SECONDS * encoding.rate / len(frames))))


def _write_pair(
    frames: Frames, files: Sequence[Path], encoding: Encoding, comment: str, origin: Origin | None
) -> VideoInfo:
    photo, movie = files
    tags = {"creation_time": origin.taken_utc} if origin and origin.taken_utc else {}
    info = encode(frames, movie, encoding, comment, tags)
    identifier = str(uuid.uuid4()).upper()  # a random one: others contain the time
    with translate_os_errors(movie):
        mark_live_photo(movie, identifier, 1 / info.fps, origin.quicktime if origin else None)
    with translate_os_errors(photo):
        exif = live_photo_exif(identifier, info.width, info.height, origin)
        photo.write_bytes(encode_jpeg(_still(frames, info), exif))
    return info


def _still(frames: Frames, info: VideoInfo) -> np.ndarray:
    """The first frame, of the same size as the video."""
    return np.ascontiguousarray(np.asarray(frames[0])[: info.height, : info.width])
