"""Folders of photos with labels, and the command-line options that select from them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.tables import command_line
from stylecine.engine.model_networks import Networks

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic")


@dataclass(frozen=True)
class Photo:
    name: str
    path: Path
    label: Path | None


def photo_parser(description: str | None, result: str) -> argparse.ArgumentParser:
    """A parser with the options of `selected_photos`, --model and --out, by default results/`result`.json."""
    parser = command_line(description, result)
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels next to images)")
    parser.add_argument("--limit", type=int, help="number of photos (default: all)")
    parser.add_argument("--model", default="default")
    return parser


def size_option(text: str) -> int | None:
    """A short side in pixels; "native" is None."""
    return None if text == "native" else int(text)


def selected_photos(options: argparse.Namespace) -> Sequence[Photo]:
    return find_photos(options.folder, options.split, options.labels)[: options.limit]


def find_photos(folder: Path, split: Path | None = None, labels: Path | None = None) -> Sequence[Photo]:
    """Photos of `folder` (or of its `images`), sorted by name; only those named in the file `split`, if given.

    Labels are `labels`/NAME.png, by default in the folder next to `images`. Raises FileNotFoundError for a name in the
    split that has no photo.
    """
    images = folder / "images" if (folder / "images").is_dir() else folder
    labels = labels or images.parent / "labels"
    paths = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lower() in ENDINGS}
    names = split.read_text().split() if split else list(paths)
    if missing := [name for name in names if name not in paths]:
        raise FileNotFoundError(f"{images} has no photo named {missing[0]}.")
    pairs = ((name, labels / f"{name}.png") for name in names)
    return [Photo(name, paths[name], label if label.is_file() else None) for name, label in pairs]


def load_networks(model: str) -> tuple[Networks, dict[str, str | None]]:
    """A model's networks, and what a result says of them."""
    networks = Networks.from_pretrained(model, "cpu")
    return networks, {"model": model, "eye": networks.model.files["eye"].sha256}


def read_label(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Classes uint8 [H,W] (0 static, 1 sky, 2 water, 3 falls, 4 smoke) at `size` (H, W)."""
    with Image.open(path) as picture:
        return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
