"""What a notebook shows of a loop or of a scene: HTML with everything in it, small enough to be kept."""

import base64
import html
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from stylecine.errors import WriterUnavailable
from stylecine.output.video import write_video

SHORT_SIDE, LONG_SIDE = 320, 960  # pixels, at most
FPS = 15.0  # at most
MOST_FRAMES = 90
MOST_BYTES = 1_000_000  # of the video
QUALITIES = (26, 32, 38, 44, 50)  # until it is small enough
KINDS = {".mp4": "video/mp4", ".webm": "video/webm"}


def loop_html(frame: Callable[[float], np.ndarray], period: int, fps: float, says: str) -> str:
    """A loop as a <video> that starts by itself; where no encoder is, its first frame.

    frame: makes the frame uint8 [H,W,3] of any time from 0 to `period`.
    """
    seconds = period / fps
    count = max(2, min(period, MOST_FRAMES, round(seconds * FPS)))
    frames = [_shrunk(frame(period * i / count)) for i in range(count)]
    picture, video = picture_html(frames[0], says), _video(frames, count / seconds)
    if video is None:
        return picture
    still = _data("image/jpeg", _jpeg(frames[0]))
    height, width = frames[0].shape[:2]
    title = html.escape(says)
    return (
        f'<video src="{video}" poster="{still}" width="{width}" height="{height}" title="{title}"'
        f" loop autoplay muted playsinline controls>{picture}</video>"
    )


def picture_html(picture: np.ndarray, says: str) -> str:
    """A picture uint8 [H,W,3] as an <img>."""
    small = _shrunk(picture)
    height, width = small.shape[:2]
    source = _data("image/jpeg", _jpeg(small))
    return f'<img src="{source}" width="{width}" height="{height}" alt="{html.escape(says)}">'


def _video(frames: Iterable[np.ndarray], fps: float) -> str | None:
    """As a data URL, in the first format that there is an encoder for, in the best quality that is small enough."""
    with tempfile.TemporaryDirectory() as folder:
        for ending, kind in KINDS.items():
            path = Path(folder) / f"loop{ending}"
            try:
                for quality in QUALITIES:
                    write_video(frames, path, fps, quality=quality)
                    if path.stat().st_size <= MOST_BYTES:
                        break
                return _data(kind, path.read_bytes())
            except WriterUnavailable:
                continue
    return None


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """At most SHORT_SIDE and LONG_SIDE, and of even sizes, which video wants."""
    height, width = picture.shape[:2]
    scale = min(1.0, SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    size = tuple(max(2, round(side * scale / 2) * 2) for side in (width, height))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return file.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
