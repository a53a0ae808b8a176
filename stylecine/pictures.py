"""One frame -> PNG, whole or not at all."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylecine.errors import OptionError
from stylecine.files import Finish, PathLike, VideoInfo, check_place, told_plainly, whole
from stylecine.options import check_frame

POSTER = ".png"


def write_poster(frame: np.ndarray, path: PathLike, *, comment: str = "", finish: Finish | None = None) -> VideoInfo:
    """One frame, uint8 [H,W,3] sRGB, as PNG without loss; `comment` and `finish` as for a video.

    Raises OptionError for an ending other than .png or an impossible frame, OutputError where it cannot be written.
    """
    check_frame(frame)
    if not is_poster(path):
        raise OptionError(f"'{os.fspath(path)}' does not end in {POSTER}; rename it.")
    target = check_place(path)
    with whole(target, finish) as part, told_plainly(target):
        part.write_bytes(png(frame, comment))
    height, width = frame.shape[:2]
    return VideoInfo(Path(path), 1, 0.0, width, height, "png", target.stat().st_size, (0, 0))


def png(frame: np.ndarray, comment: str = "") -> bytes:
    """A frame as PNG, marked as sRGB, with a comment in Unicode (an iTXt chunk) if there is one."""
    notes = PngInfo()
    notes.add(b"sRGB", b"\0")  # 0: perceptual
    if comment:
        notes.add_itxt("Comment", comment)
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG", pnginfo=notes)
    return file.getvalue()


def is_poster(path: PathLike) -> bool:
    """Whether the file that `path` names is a single picture."""
    return Path(path).suffix.lower() == POSTER
