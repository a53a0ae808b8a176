"""Which writer is used for which suffix, its options, and which frames of a loop a file shows."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylecine.atomic import Finish, PathLike, check_destination
from stylecine.errors import OptionError
from stylecine.output import VideoInfo
from stylecine.output.codecs import ANIMATED_IMAGES
from stylecine.output.crop import check_crop
from stylecine.output.images import (
    ANIMATIONS,
    MAX_FPS,
    POSTER,
    check_animation,
    check_webp,
    frame_ticks,
    is_poster,
    write_animation,
    write_folder,
    write_poster,
)
from stylecine.output.video import FORMATS, check_encoding, write_video

PAGE = ".html"
SUFFIXES = (*FORMATS, *ANIMATIONS, *ANIMATED_IMAGES, PAGE, POSTER)


def check_output(
    path: PathLike,
    *,
    fps: float = 30,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    crop: str | None = None,
    comment: bool = False,
) -> Path:
    """The file or folder that `path` names, symbolic links resolved. Cheap; call it before minutes of work.

    comment: whether a comment will be embedded. Raises OptionError for an unknown suffix and for an option that is
    invalid or does not apply to it; OutputError if nothing can be written; WriterUnavailable without an encoder.
    """
    if crop is not None:
        check_crop(crop)
    suffix = Path(path).suffix.lower()
    if not is_folder(path) and suffix not in SUFFIXES:
        raise OptionError(
            f"'{os.fspath(path)}' does not end in {', '.join(SUFFIXES[:-1])} or {POSTER}, or in nothing, for a folder;"
            " rename it."
        )
    if is_poster(path) and (quality, codec, repeat) != (None, None, 1):
        raise OptionError("A .png is one lossless frame; omit quality, codec and repeat.")
    if not is_video(path) and (codec, repeat) != (None, 1):
        raise OptionError("codec and repeat are for videos; images and pages play endlessly; omit both.")
    if is_page(path):
        check_webp("a page's images", quality)
        if crop is not None:
            raise OptionError("A page shows the whole photo; omit crop, or crop the photo itself, by size.")
    if suffix in ANIMATIONS:
        check_animation(path, fps, quality)
    if has_codec(path):
        check_encoding(path, fps, quality, codec, repeat)
    if is_folder(path) and quality is not None:
        raise OptionError("A folder of PNG is lossless, so it has no quality; omit it.")
    if comment and (is_folder(path) or suffix in (*ANIMATED_IMAGES, PAGE)):
        what = "A folder" if is_folder(path) else "A page" if is_page(path) else f"An {suffix}"
        raise OptionError(f"{what} has no place for a report; write another format, or omit the report.")
    return check_destination(path, folder=is_folder(path))


def write_output(
    frames: Sequence[np.ndarray],
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    comment: str = "",
    finish: Finish | None = None,
) -> VideoInfo:
    """Writes frames, at the times of `frame_times`, with the writer for the suffix of `path`; options as there."""
    if has_codec(path):
        return write_video(
            frames, path, fps, quality=quality, codec=codec, repeat=repeat, comment=comment, finish=finish
        )
    if is_folder(path):
        return write_folder(frames, path, fps)
    if is_poster(path):
        return write_poster(frames[0], path, comment=comment, finish=finish)
    return write_animation(frames, path, fps, quality=quality, comment=comment, finish=finish)


def frame_times(path: PathLike, period: int, fps: float) -> tuple[Sequence[float], float]:
    """The times, in frames of a loop, that a file shows, and its frames per second.

    A GIF counts in hundredths of a second, and 30 fps do not divide them: each of its frames is the loop at the exact
    time at which it is shown. If browsers cannot keep up, the file has fewer frames and the same duration.
    """
    if is_poster(path):
        return [0.0], 0.0
    form = ANIMATIONS.get(Path(path).suffix.lower())
    clock, max_fps = (form.clock, form.max_fps) if form else (1000, MAX_FPS)
    if is_video(path) or is_folder(path) or (fps <= max_fps and clock == 1000):
        return range(period), fps
    count = min(period, max(2, int(period * max_fps / fps)))
    rate = min(max_fps, fps * count / period)
    return [k * fps / clock for k in frame_ticks(count, rate, clock)[:-1]], rate


def is_video(path: PathLike) -> bool:
    return Path(path).suffix.lower() in FORMATS


def has_codec(path: PathLike) -> bool:
    """Whether a video codec writes it: videos, and AVIF, which uses AV1."""
    return Path(path).suffix.lower() in (*FORMATS, *ANIMATED_IMAGES)


def is_page(path: PathLike) -> bool:
    """Whether `path` names a page, which stylecine.output.html writes."""
    return Path(path).suffix.lower() == PAGE


def is_folder(path: PathLike) -> bool:
    """Whether `path` names a folder of frames: it has no suffix and, unlike `.mp4`, is not one."""
    return not Path(path).suffix and not Path(path).name.startswith(".")
