"""Folders of photos with labels, as the benchmarks read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic")


@dataclass(frozen=True)
class Photo:
    name: str
    path: Path
    label: Path | None


def find_photos(folder: Path, split: Path | None = None, labels: Path | None = None) -> Sequence[Photo]:
    """Photos of `folder` (or of its `images`), sorted by name; only those named in the file `split`, if given.

    A label is `labels`/NAME.png; without `labels`, that beside `images`. Raises FileNotFoundError for a
    name in the split that has no photo.
    """
    images = folder / "images" if (folder / "images").is_dir() else folder
    labels = labels or images.parent / "labels"
    paths = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lower() in ENDINGS}
    names = split.read_text().split() if split else list(paths)
    if missing := [name for name in names if name not in paths]:
        raise FileNotFoundError(f"{images} has no photo named {missing[0]}.")
    found = ((name, labels / f"{name}.png") for name in names)
    return [Photo(name, paths[name], label if label.is_file() else None) for name, label in found]


def read_label(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Classes uint8 [H,W] (0 static, 1 sky, 2 water, 3 falls, 4 smoke) at `size` (H, W)."""
    with Image.open(path) as picture:
        return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
