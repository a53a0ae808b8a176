"""Checks and writes an output, with the writer for its format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylecine.machine.atomic import Finish, PathLike
from stylecine.options import FileOptions
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack
from stylecine.output.encoders import check_encoders
from stylecine.output.formats import USUAL, Folder, MovingPhoto, Picture, check_format, check_writable, format_of
from stylecine.output.images import write_folder, write_image
from stylecine.output.moving_photo import write_moving_photo
from stylecine.output.origin import Origin
from stylecine.output.video import write_video


def check_output(path: PathLike, options: FileOptions = USUAL, fps: float = 30) -> Path:
    """The file or folder that `path` names, of a Live Photo the first file, symbolic links resolved.

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
    origin: Origin | None = None,
    track: MakeTrack | None = None,
    finish: Finish | None = None,
    alpha: bool = False,
    sphere: bool = False,
) -> VideoInfo:
    """Writes frames, at the times of `Format.shown`, with the writer for the ending of `path`; options as there.

    track: makes the sound of so many loops. alpha: whether frames are [H,W,4]. sphere: whether they show all
    directions; the video of an .mp4 is marked by `finish`.
    """
    form = format_of(path)
    described: Any = {"quality": options.quality, "comment": comment}
    if isinstance(form, MovingPhoto):
        return write_moving_photo(frames, path, fps, origin=origin, sound=track, sphere=sphere, **described)
    if isinstance(form, Folder):
        return write_folder(frames, path, fps)
    if isinstance(form, Picture) and not (form.has_codec and not alpha):
        return write_image(frames, path, fps, finish=finish, sphere=sphere, **described)
    repeat, duration, keyframes = options.length
    video: Any = {"codec": options.codec, "repeat": repeat, "duration": duration, "keyframes": keyframes}
    return write_video(frames, path, fps, origin=origin, sound=track, finish=finish, **described, **video)
