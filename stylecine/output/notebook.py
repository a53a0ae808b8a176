"""Loops and scenes in notebooks: self-contained HTML, small enough to be stored."""

import html
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stylecine.errors import WriterUnavailable
from stylecine.options import FileOptions
from stylecine.output.embed import data_url
from stylecine.output.writing import write_output

MAX_SHORT_SIDE, MAX_LONG_SIDE = 320, 960  # pixels
MAX_FPS = 15.0
MAX_FRAMES = 90
MAX_BYTES = 1_000_000  # of the video
IMAGE_QUALITY = 85
QUALITIES = (26, 32, 38, 44, 50)  # tried until the video is small enough


def loop_html(frame: Callable[[float], np.ndarray], period: int, fps: float, alt: str) -> str:
    """A loop as a <video> that plays automatically; its first frame if no encoder is installed.

    frame: returns the frame uint8 [H,W,3] at any time from 0 to `period`.
    """
    seconds = period / fps
    count = max(2, min(period, MAX_FRAMES, round(seconds * MAX_FPS)))
    frames = [_shrink(frame(period * i / count)) for i in range(count)]
    image, video = image_html(frames[0], alt), _video_url(frames, count / seconds)
    if video is None:
        return image
    poster = _jpeg_url(frames[0])
    height, width = frames[0].shape[:2]
    title = html.escape(alt)
    return (
        f'<video src="{video}" poster="{poster}" width="{width}" height="{height}" title="{title}"'
        f" loop autoplay muted playsinline controls>{image}</video>"
    )


def image_html(image: np.ndarray, alt: str) -> str:
    """An image uint8 [H,W,3] as an <img>."""
    small = _shrink(image)
    height, width = small.shape[:2]
    return f'<img src="{_jpeg_url(small)}" width="{width}" height="{height}" alt="{html.escape(alt)}">'


def _jpeg_url(image: np.ndarray) -> str:
    file = io.BytesIO()  # JPEG, as not every Pillow writes WebP
    Image.fromarray(image).save(file, "JPEG", quality=IMAGE_QUALITY)
    return data_url("image/jpeg", file.getvalue())


def _video_url(frames: Sequence[np.ndarray], fps: float) -> str | None:
    """A data URL, at the best quality that is small enough; None without an encoder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loop.mp4"
        try:
            for quality in QUALITIES:
                if write_output(frames, path, fps, FileOptions(quality=quality)).bytes <= MAX_BYTES:
                    break
        except WriterUnavailable:
            return None
        return data_url("video/mp4", path.read_bytes())


def _shrink(image: np.ndarray) -> np.ndarray:
    """Within the maximum sides, and even, as video needs."""
    height, width = image.shape[:2]
    scale = min(1.0, MAX_SHORT_SIDE / min(height, width), MAX_LONG_SIDE / max(height, width))
    size = tuple(max(2, round(side * scale / 2) * 2) for side in (width, height))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
