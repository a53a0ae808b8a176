"""Which writer makes a file of which ending, what each can take, and which moments of a loop it shows."""

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
    FASTEST,
    POSTER,
    check_animation,
    check_webp,
    is_poster,
    moments,
    write_animation,
    write_folder,
    write_poster,
)
from stylecine.output.video import FORMATS, check_encoding, write_video

PAGE = ".html"
ENDINGS = (*FORMATS, *ANIMATIONS, *ANIMATED_IMAGES, PAGE, POSTER)


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
    """The file or folder that `path` stands for, symbolic links resolved. Cheap; to be called before minutes of work.

    comment: whether one is to go along. Raises OptionError for an unknown ending, and for an option that is impossible
    or makes no sense for it; OutputError where nothing can be written; WriterUnavailable without an encoder.
    """
    if crop is not None:
        check_crop(crop)
    ending = Path(path).suffix.lower()
    if not is_folder(path) and ending not in ENDINGS:
        raise OptionError(
            f"'{os.fspath(path)}' does not end in {', '.join(ENDINGS[:-1])} or {POSTER}, or in nothing, for a folder;"
            " rename it."
        )
    if is_poster(path) and (quality, codec, repeat) != (None, None, 1):
        raise OptionError("A .png is one frame without loss; leave quality, codec and repeat out.")
    if not is_video(path) and (codec, repeat) != (None, 1):
        raise OptionError("codec and repeat are for videos; pictures and pages play for ever; leave both out.")
    if is_page(path):
        check_webp("a page's pictures", quality)
        if crop is not None:
            raise OptionError("A page shows the whole photo; leave crop out, or crop the photo itself, by size.")
    if ending in ANIMATIONS:
        check_animation(path, fps, quality)
    if has_codec(path):
        check_encoding(path, fps, quality, codec, repeat)
    if is_folder(path) and quality is not None:
        raise OptionError("A folder of PNG loses nothing, so it has no quality; leave it out.")
    if comment and (is_folder(path) or ending in (*ANIMATED_IMAGES, PAGE)):
        what = "A folder" if is_folder(path) else "A page" if is_page(path) else f"An {ending}"
        raise OptionError(f"{what} has no place for a report; write another format, or leave the report out.")
    return check_destination(path, folder=is_folder(path))


def write(
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
    """Write frames, those of `shown`, by the writer for the ending of `path`; options as there."""
    if has_codec(path):
        return write_video(
            frames, path, fps, quality=quality, codec=codec, repeat=repeat, comment=comment, finish=finish
        )
    if is_folder(path):
        return write_folder(frames, path, fps)
    if is_poster(path):
        return write_poster(frames[0], path, comment=comment, finish=finish)
    return write_animation(frames, path, fps, quality=quality, comment=comment, finish=finish)


def shown(path: PathLike, period: int, fps: float) -> tuple[Sequence[float], float]:
    """The times, in frames of a loop, that a file shows, and how many a second.

    A GIF counts hundredths of a second, which 30 frames a second do not fall on: each of its frames is the loop at the
    very time it is shown. Where browsers are slower than the loop it has fewer frames and lasts as long.
    """
    if is_poster(path):
        return [0.0], 0.0
    form = ANIMATIONS.get(Path(path).suffix.lower())
    clock, fastest = (form.clock, form.fastest) if form else (1000, FASTEST)
    if is_video(path) or is_folder(path) or (fps <= fastest and clock == 1000):
        return range(period), fps
    count = min(period, max(2, int(period * fastest / fps)))
    rate = min(fastest, fps * count / period)
    return [k * fps / clock for k in moments(count, rate, clock)[:-1]], rate


def is_video(path: PathLike) -> bool:
    return Path(path).suffix.lower() in FORMATS


def has_codec(path: PathLike) -> bool:
    """Whether a video codec writes it: the videos, and AVIF, the picture that AV1 makes."""
    return Path(path).suffix.lower() in (*FORMATS, *ANIMATED_IMAGES)


def is_page(path: PathLike) -> bool:
    """Whether `path` names a page that plays the loop; stylecine.output.html writes it."""
    return Path(path).suffix.lower() == PAGE


def is_folder(path: PathLike) -> bool:
    """Whether `path` names a folder of frames: by having no ending, and not being one, as .mp4 is."""
    return not Path(path).suffix and not Path(path).name.startswith(".")
