"""Writes files in tests, the options as arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stylecine.machine.atomic import Finish, PathLike
from stylecine.options import FileOptions
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack
from stylecine.output.origin import UNKNOWN, Origin
from stylecine.output.writing import write_output


def write(
    frames: Sequence[np.ndarray],
    path: PathLike,
    fps: Any,
    *,
    comment: str = "",
    origin: Origin = UNKNOWN,
    track: MakeTrack | None = None,
    finish: Finish | None = None,
    **options: Any,
) -> VideoInfo:
    made = FileOptions(**options)
    return write_output(frames, path, fps, made, comment=comment, origin=origin, track=track, finish=finish)
