"""Files: video, animated images, pages, and the metadata and signatures in them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VideoInfo:
    """What was written: frames and pixels as they are in the file."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    codec: str
    bytes: int
    cropped: tuple[int, int]  # columns at the right and rows at the bottom left out: video needs even sizes
    window: tuple[int, int, int, int] | None = None  # what a crop kept of the loop: left, top, width, height
