"""Checks and writes an output, with the writer for its format. Files appear whole or not at all."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stylecine.errors import printable
from stylecine.machine.atomic import Finish, PathLike, atomic_write, atomic_write_all
from stylecine.options import FileOptions, parse_duration
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack, write_sound
from stylecine.output.codecs import check_encoding, count_loops
from stylecine.output.encoders import check_encoders
from stylecine.output.formats import (
    USUAL,
    Folder,
    MovingPhoto,
    Picture,
    Sound,
    Video,
    check_format,
    check_writable,
    format_of,
)
from stylecine.output.images import write_folder, write_image
from stylecine.output.moving_photo import write_moving_photo
from stylecine.output.origin import UNKNOWN, Origin
from stylecine.output.video import encode

LARGE_GIF, GIF_SIDE = 10e6, 480  # bytes of which one is told, and the short side that is then advised

_log = logging.getLogger("stylecine")


def check_output(path: PathLike, options: FileOptions = USUAL, fps: float = 30) -> list[Path]:
    """The files or the folder that `path` names, symbolic links resolved.

    Cheap; call it before minutes of work. Raises as `check_format` does, WriterUnavailable without an encoder, and
    OutputError if nothing can be written.
    """
    check_format(path, options, fps)
    check_encoders(path, options.codec, sound=options.sound)
    return check_writable(path)


def write_output(
    frames: Sequence[np.ndarray],
    path: PathLike,
    fps: float,
    options: FileOptions = USUAL,
    *,
    comment: str = "",
    origin: Origin = UNKNOWN,
    track: MakeTrack | None = None,
    finish: Finish | None = None,
    alpha: bool = False,
    sphere: bool = False,
) -> VideoInfo:
    """Writes frames, uint8 [H,W,3] sRGB, one period of a loop, with the writer for the ending of `path`.

    frames: at the times of `Format.shown`, taken in order, one at a time; videos may need some of them twice, a .gif
        takes eight of them first, by index. uint16 for videos of 10 bits.
    comment: for the file's metadata. origin: when and where the photo was taken, for that of formats that keep it.
    track: makes the sound of so many loops. finish: called with the complete temporary file before it is renamed, and
        may change it; not of a photo that moves. alpha: whether frames are [H,W,4], with a straight alpha. sphere:
        whether they show all directions; the video of an .mp4 is marked by `finish`.

    Raises as `check_output`, and OptionError for frames that are too small for a codec.
    """
    form, files = format_of(path), check_output(path, options, fps)
    if isinstance(form, MovingPhoto):
        with atomic_write_all(files) as parts:
            info = write_moving_photo(frames, parts, form, fps, options.quality, comment, origin, track, sphere)
    else:
        with atomic_write(files[0], finish, folder=isinstance(form, Folder)) as part:
            if isinstance(form, Folder):
                info = write_folder(frames, part, fps)
            elif isinstance(form, Sound):
                assert track is not None
                info = write_sound(track(count_loops(options.repeat, options.duration, len(frames) / fps)), part)
            elif isinstance(form, Picture) and (alpha or not form.has_codec):
                info = write_image(frames, part, form, fps, options.quality, comment, sphere)
            else:
                encoding = check_encoding(path, fps, options)
                info = encode(frames, part, encoding, comment, origin.quicktime | origin.created, track)
    written = [part for file in files for part in (file.iterdir() if file.is_dir() else [file])]
    info = replace(info, path=Path(path), bytes=sum(file.stat().st_size for file in written))
    if isinstance(form, Video) and options.duration is not None:
        lasts, asked = info.frames / info.fps, parse_duration(options.duration)
        if abs(lasts - asked) > 0.001:
            message = "%s: a video contains whole loops, so it lasts %.5g s instead of %.5g."
            _log.warning(message, printable(info.path), lasts, asked)
    if form.ending == ".gif" and info.bytes > LARGE_GIF:
        smaller = f"--size {GIF_SIDE}" if min(info.width, info.height) > GIF_SIDE else "a shorter loop"
        message = "%s has %.0f MB, more than many sites accept; %s would make it smaller, as would another format."
        _log.warning(message, printable(info.path), info.bytes / 1e6, smaller)
    return info
