"""Lay out the photos that are labelled here but not stored here: from clones of the repositories that have them.

    python pretrained/recipes/lay_out_photos.py PHOTOS --clones DIR

photos/photos.csv beside this file lists them: id, repository, path and commit on GitHub, what is cut off of them,
author, licence, and in which list they are. DIR has a clone of each repository, bare or not, named OWNER+NAME, which
may lack old commits: the file at that path of the newest one is taken then. Photos go to PHOTOS/images, with labels,
arrows, lists and manifest.csv as eye_data.py reads them, beside what is in PHOTOS already, of which some get better
arrows. Repositories that are missing are named and left out.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from label_photos import CLASSES
from PIL import Image, ImageCms, ImageOps

PHOTOS = Path(__file__).parent / "photos"
LONG_SIDE, QUALITY = 1536, 92  # of the JPEGs
COLUMNS = ("id", "source", "author", "licence", "width", "height", *CLASSES, "split")  # of manifest.csv


def git_directory(clones: Path, repository: str) -> Path | None:
    """Where the clone of OWNER/NAME keeps its objects; None if there is none."""
    heads = sorted((clones / repository.replace("/", "+")).rglob("HEAD"), key=lambda path: len(path.parts))
    return heads[0].parent if heads else None


def read_blob(git: Path, commit: str, path: str) -> bytes | None:
    """The file at that commit, or at the newest one if the clone lacks it."""
    for revision in (commit, "HEAD"):
        shown = subprocess.run(["git", f"--git-dir={git}", "show", f"{revision}:{path}"], capture_output=True)
        if shown.returncode == 0:
            return shown.stdout
    return None


def as_stored(data: bytes, crop: str) -> Image.Image:
    """A photo upright, in sRGB, and with a long side of at most LONG_SIDE. crop: the shares of its height that are cut
    off above and below, such as "0.17 0", or nothing."""
    with Image.open(io.BytesIO(data)) as file:
        image = ImageOps.exif_transpose(file)
        if profile := file.info.get("icc_profile"):
            profiles = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, *profiles, outputMode="RGB") or image
        image = image.convert("RGB")
    above, below = map(float, crop.split() or (0, 0))
    image = image.crop((0, round(above * image.height), image.width, round((1 - below) * image.height)))
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    return image


def laid_out(folder: Path, clones: Path) -> Iterator[tuple[dict[str, str], Image.Image]]:
    """Rows of photos.csv with their photos; those that cannot be had are named on standard output."""
    with (PHOTOS / "photos.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            git = git_directory(clones, row["repository"])
            data = read_blob(git, row["commit"], row["path"]) if git else None
            if data is None:
                print(f"{row['id']}: {row['repository']} is not in {clones}, or lacks {row['path']}.")
            else:
                yield row, as_stored(data, row["crop"])


def manifest_row(row: dict[str, str], image: Image.Image, label: np.ndarray) -> dict[str, str]:
    shares = np.bincount(label.ravel(), minlength=len(CLASSES)) / label.size
    return {
        "id": row["id"], "source": f"{row['repository']}: {row['path']}", "author": row["author"],
        "licence": row["licence"], "width": str(image.width), "height": str(image.height),
        **{name: f"{share:.4f}" for name, share in zip(CLASSES, shares, strict=True)}, "split": row["list"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--clones", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    for name in ("images", "labels", "hints"):
        (options.folder / name).mkdir(parents=True, exist_ok=True)
    lists: dict[str, list[str]] = {}
    rows = []
    for row, image in laid_out(options.folder, options.clones):
        name = row["id"]
        image.save(options.folder / "images" / f"{name}.jpg", quality=QUALITY)
        shutil.copyfile(PHOTOS / "labels" / f"{name}.png", options.folder / "labels" / f"{name}.png")
        with Image.open(PHOTOS / "labels" / f"{name}.png") as label:
            rows.append(manifest_row(row, image, np.array(label)))
        lists.setdefault(row["list"], []).append(name)
    for arrows in (PHOTOS / "hints").glob("*.json"):
        if any((options.folder / "images").glob(f"{arrows.stem}.*")):
            shutil.copyfile(arrows, options.folder / "hints" / arrows.name)
    add_rows(options.folder / "manifest.csv", rows)
    for split, names in lists.items():
        path = options.folder / f"{split}.txt"
        known = path.read_text().split() if path.exists() else []
        path.write_text("\n".join(dict.fromkeys(known + names)) + "\n")
    print(f"{options.folder}: {len(rows)} photos")


def add_rows(manifest: Path, rows: list[dict[str, str]]) -> None:
    """Adds rows to a manifest, in place of those with the same ID."""
    known: dict[str, dict[str, str]] = {}
    if manifest.exists():
        with manifest.open(newline="", encoding="utf-8") as file:
            known = {row["id"]: row for row in csv.DictReader(file)}
    known |= {row["id"]: row for row in rows}
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(known.values())


if __name__ == "__main__":
    main()
