"""Which writer is used for which ending, its options, and which frames of a loop a file shows."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylecine.atomic import Finish, PathLike, check_destination
from stylecine.errors import OptionError, OutputError
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
from stylecine.output.live_photo import ARCHIVE, is_live_photo, live_photo_files
from stylecine.output.live_photo import ENDING as LIVE_PHOTO
from stylecine.output.motion_photo import ENDING as MOTION_PHOTO
from stylecine.output.moving_photo import check_moving_photo, write_live_photo, write_motion_photo
from stylecine.output.origin import Origin
from stylecine.output.video import FORMATS, check_encoding, write_video

PAGE = ".html"
MOVING_PHOTOS = (LIVE_PHOTO, ARCHIVE, MOTION_PHOTO)
ONE_LOOP = (1, None, "first")  # repeat, duration and keyframes, where they make no sense
KEEPS_METADATA = (".mp4", *MOVING_PHOTOS)
ENDINGS = (*FORMATS, *ANIMATIONS, *ANIMATED_IMAGES, *MOVING_PHOTOS, PAGE, POSTER)


def check_output(
    path: PathLike,
    *,
    fps: float = 30,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    duration: float | str | None = None,
    keyframes: str = "first",
    crop: str | None = None,
    comment: bool = False,
    keep_metadata: bool = False,
) -> Path:
    """The file or folder that `path` names, of a Live Photo the first file, symbolic links resolved.

    Cheap; call it before minutes of work.

    comment, keep_metadata: whether a comment, or the photo's own metadata, will be embedded.
    Raises OptionError for an unknown suffix and for an option that is invalid or does not apply to it; OutputError if
    nothing can be written; WriterUnavailable without an encoder.
    """
    if not os.fspath(path):  # it would be the current folder
        raise OutputError("The output has no name; give it one, such as loop.mp4.")
    if crop is not None:
        check_crop(crop)
    suffix, length = ending_of(path), (repeat, duration, keyframes)
    if not is_folder(path) and suffix not in ENDINGS:
        raise OptionError(
            f"'{os.fspath(path)}' does not end in {', '.join(ENDINGS[:-1])} or {POSTER}, or in nothing, for a folder;"
            " rename it."
        )
    if is_poster(path) and (quality, codec, *length) != (None, None, *ONE_LOOP):
        raise OptionError("A .png is one lossless frame; omit quality, codec, repeat, duration and keyframes.")
    if is_moving_photo(path) and (codec, *length) != (None, *ONE_LOOP):
        raise OptionError("Phones expect H.264 of about 3 s in a photo; omit codec, repeat, duration and keyframes.")
    if not is_video(path) and (codec, *length) != (None, *ONE_LOOP):
        raise OptionError(
            "codec, repeat, duration and keyframes are for videos; images and pages play endlessly; omit them."
        )
    if is_page(path):
        check_webp("a page's images", quality)
        if crop is not None:
            raise OptionError("A page shows the whole photo; omit crop, or crop the photo itself, by size.")
    if suffix in ANIMATIONS:
        check_animation(path, fps, quality)
    if is_moving_photo(path):
        check_moving_photo(fps, quality)
    elif has_codec(path):
        check_encoding(path, fps, quality, codec, *length)
    if is_folder(path) and quality is not None:
        raise OptionError("A folder of PNG is lossless, so it has no quality; omit it.")
    if comment and (is_folder(path) or suffix in (*ANIMATED_IMAGES, PAGE)):
        what = "A folder" if is_folder(path) else "A page" if is_page(path) else f"An {suffix}"
        raise OptionError(f"{what} has no place for a report; write another format, or omit the report.")
    if keep_metadata and suffix not in KEEPS_METADATA:
        kept = ", ".join(KEEPS_METADATA)
        raise OptionError(f"Only {kept} keep the photo's metadata; write one of these, or omit keep_metadata.")
    destinations = [check_destination(file, folder=is_folder(path)) for file in files_of(path)]
    return destinations[0]


def write_output(
    frames: Sequence[np.ndarray],
    path: PathLike,
    fps: float,
    *,
    quality: int | None = None,
    codec: str | None = None,
    repeat: int = 1,
    duration: float | str | None = None,
    keyframes: str = "first",
    comment: str = "",
    origin: Origin | None = None,
    finish: Finish | None = None,
) -> VideoInfo:
    """Writes frames, at the times of `frame_times`, with the writer for the ending of `path`; options as there."""
    if is_moving_photo(path):
        write = write_motion_photo if ending_of(path) == MOTION_PHOTO else write_live_photo
        return write(frames, path, fps, quality=quality, comment=comment, origin=origin)
    if has_codec(path):
        return write_video(
            frames,
            path,
            fps,
            quality=quality,
            codec=codec,
            repeat=repeat,
            duration=duration,
            keyframes=keyframes,
            comment=comment,
            origin=origin,
            finish=finish,
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
    form = ANIMATIONS.get(ending_of(path))
    clock, max_fps = (form.clock, form.max_fps) if form else (1000, MAX_FPS)
    if is_video(path) or is_moving_photo(path) or is_folder(path) or (fps <= max_fps and clock == 1000):
        return range(period), fps
    count = min(period, max(2, int(period * max_fps / fps)))
    rate = min(max_fps, fps * count / period)
    return [k * fps / clock for k in frame_ticks(count, rate, clock)[:-1]], rate


def ending_of(path: PathLike) -> str:
    """What selects the format: the one of ENDINGS in which a path ends, whatever its case; else its last suffix."""
    name = Path(path).name.lower()
    longest_first = sorted(ENDINGS, key=len, reverse=True)
    found = (ending for ending in longest_first if name.endswith(ending.lower()) and len(name) > len(ending))
    return next(found, Path(path).suffix.lower())


def files_of(path: PathLike) -> tuple[Path, ...]:
    """The files that are written for `path`: itself, or the two of a Live Photo."""
    return live_photo_files(path) if is_live_photo(path) else (Path(path),)


def is_video(path: PathLike) -> bool:
    return ending_of(path) in FORMATS


def is_moving_photo(path: PathLike) -> bool:
    """Whether `path` names a Live Photo or a Motion Photo."""
    return ending_of(path) in MOVING_PHOTOS


def has_codec(path: PathLike) -> bool:
    """Whether a video codec writes it, or a part of it: videos, photos that move, and AVIF, which uses AV1."""
    return ending_of(path) in (*FORMATS, *MOVING_PHOTOS, *ANIMATED_IMAGES)


def is_page(path: PathLike) -> bool:
    """Whether `path` names a page, which stylecine.output.html writes."""
    return ending_of(path) == PAGE


def is_folder(path: PathLike) -> bool:
    """Whether `path` names a folder of frames: it has no suffix and, unlike `.mp4`, is not one."""
    return not Path(path).suffix and not Path(path).name.startswith(".")
