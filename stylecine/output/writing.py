"""Checks and writes an output with the writer for its format, and says which frames of a loop a file shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylecine.machine.atomic import Finish, PathLike
from stylecine.options import FileOptions
from stylecine.output import VideoInfo, formats
from stylecine.output.audio import MakeTrack
from stylecine.output.checks import USUAL, check_format, check_writable, has_codec
from stylecine.output.encoders import check_encoders
from stylecine.output.formats import format_of
from stylecine.output.images import frame_ticks, write_folder, write_image
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
) -> VideoInfo:
    """Writes frames, at the times of `frame_times`, with the writer for the ending of `path`; options as there.

    track: makes the sound of so many loops. alpha: whether frames are [H,W,4].
    """
    form = format_of(path)
    described: Any = {"quality": options.quality, "comment": comment}
    assert form is not None  # check_output has been called
    if form.kind is formats.PHOTO:
        return write_moving_photo(frames, path, fps, origin=origin, sound=track, **described)
    if has_codec(path) and not (alpha and form.kind is formats.IMAGE):
        repeat, duration, keyframes = options.length
        video: Any = {"codec": options.codec, "repeat": repeat, "duration": duration, "keyframes": keyframes}
        return write_video(frames, path, fps, origin=origin, sound=track, finish=finish, **described, **video)
    if form.kind is formats.FOLDER:
        return write_folder(frames, path, fps)
    return write_image(frames, path, fps, finish=finish, **described)


def frame_times(path: PathLike, period: int, fps: float) -> tuple[Sequence[float], float]:
    """The times, in frames of a loop, that a file shows, and its frames per second.

    A GIF counts in hundredths of a second, and 30 fps do not divide them: each of its frames is the loop at the exact
    time at which it is shown. If browsers cannot keep up, the file has fewer frames and the same duration.
    """
    form = format_of(path)
    assert form is not None
    if form.kind is formats.POSTER:
        return [0.0], 0.0
    if form.kind is not formats.IMAGE or (fps <= form.max_fps and form.clock == 1000):
        return range(period), fps
    count = min(period, max(2, int(period * form.max_fps / fps)))
    rate = min(form.max_fps, fps * count / period)
    return [k * fps / form.clock for k in frame_ticks(count, rate, form.clock)[:-1]], rate
