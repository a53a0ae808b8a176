"""Which writer makes a file of which ending, and what is checked before minutes of work."""

import os
from pathlib import Path

from stylecine.errors import OptionError
from stylecine.files import PathLike, check_place
from stylecine.pictures import POSTER, is_poster
from stylecine.video import FORMATS, check_encoding


def check_output(
    path: PathLike, *, fps: float = 30, quality: int | None = None, codec: str | None = None, repeat: int = 1
) -> Path:
    """The file that `path` stands for, symbolic links resolved. Cheap; to be called before minutes of work.

    Options as for `write_video`; a poster has none but passes over `fps`. Raises OptionError for an unknown ending or
    an impossible option, OutputError where no file can be written, WriterUnavailable without an encoder.
    """
    if Path(path).suffix.lower() not in (*FORMATS, POSTER):
        raise OptionError(f"'{os.fspath(path)}' does not end in {', '.join(FORMATS)} or {POSTER}; rename it.")
    if not is_poster(path):
        check_encoding(path, fps, quality, codec, repeat)
    elif (quality, codec, repeat) != (None, None, 1):
        raise OptionError("A .png is one frame without loss; leave quality, codec and repeat out.")
    return check_place(path)
