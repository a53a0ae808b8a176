"""Files: videos, animated images, pages, and their metadata and signatures."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VideoInfo:
    """What was written: the frames and pixels of the file."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    codec: str
    bytes: int
    cropped: tuple[int, int]  # columns at the right and rows at the bottom omitted, since video needs even sizes
    window: tuple[int, int, int, int] | None = None  # of a crop: left, top, width, height
