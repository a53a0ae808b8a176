"""Cloth that is found automatically: on photos with hand-made masks, and on landscapes, which should have none.

    python -m benchmarks.studies.finding_cloth CLOTH --landscapes PHOTOS [--split PHOTOS/val.txt] [--pictures PNG]

CLOTH holds images/ID.jpg and labels/ID.png, white on cloth. Precision and recall count pixels; `photos` is the number
of photos with cloth in which any is found. --pictures draws all photos with cloth, and landscapes with a false find.
"""

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, read_label
from benchmarks.tables import command_line, save, table
from stylecine import Animator
from stylecine.picture.photo import load_photo

SHORT_SIDE = 512
TILE = (320, 240)
COLUMNS = 6

Row = dict[str, Any]


def main() -> None:
    parser = command_line(__doc__, "finding_cloth")
    parser.add_argument("cloth", type=Path, help="folder with images/ and labels/ of cloth")
    parser.add_argument("--landscapes", type=Path, required=True, help="folder with images/ without cloth")
    parser.add_argument("--split", type=Path, nargs="+", help="files with the names of the landscapes to use")
    parser.add_argument("--pictures", type=Path, help="write a sheet of what is found")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    animator = Animator.from_pretrained(options.model)
    cloth = [find(photo, animator) for photo in tqdm(find_photos(options.cloth), disable=None)]
    names = sorted({name for split in options.split or () for name in split.read_text().split()})
    landscapes = [photo for photo in find_photos(options.landscapes) if not names or photo.name in names]
    others = [find(photo, animator, labelled=False) for photo in tqdm(landscapes, disable=None)]
    false = [row for row in others if row["found"]]
    total = {name: sum(row[name] for row in cloth) for name in ("found", "cloth", "right")}
    if not total["cloth"]:
        raise SystemExit(f"{options.cloth} has no labelled cloth; it needs images/ID.jpg and labels/ID.png.")
    result = {
        "machine": machine(),
        "settings": {"model": options.model, "size": SHORT_SIDE},
        "precision": total["right"] / total["found"] if total["found"] else None,
        "recall": total["right"] / total["cloth"],
        "photos": sum(row["found"] > 0 for row in cloth),
        "landscapes": len(others),
        "landscapes_with_a_false_find": {row["photo"]: row["found"] for row in false},
        "rows": cloth,
    }
    if options.pictures:
        _draw([*cloth, *false], animator, options)
    columns = ("photo", "cloth", "found", "precision", "confidence", "seconds")
    pixels = f"Precision {result['precision'] or 0:.3f}, recall {result['recall']:.3f}"
    report = f"{table(cloth, columns)}\n{pixels}; false finds in {len(false)} of {len(others)} landscapes.\n"
    save(options.out, result, report)


def find(photo: Photo, animator: Animator, *, labelled: bool = True) -> Row:
    """One row; `cloth`, `found` and `right`, which is both, are shares of the photo."""
    picture = load_photo(photo.path, SHORT_SIDE)
    start = perf_counter()
    found = animator.cloth_in(picture)
    row: Row = {"photo": photo.name, "seconds": perf_counter() - start, "found": 0.0, "cloth": 0.0, "right": 0.0}
    mask = np.zeros(picture.shape[:2], bool) if found is None else found.mask.cpu().numpy() > 0.5
    row["found"] = float(mask.mean())
    if found is not None:
        row["confidence"] = found.confidence
    if labelled and photo.label is not None:
        truth = read_label(photo.label, mask.shape) > 127
        row |= {"cloth": float(truth.mean()), "right": float((truth & mask).mean())}
        if row["found"]:
            row["precision"] = row["right"] / row["found"]
    return row


def _draw(rows: list[Row], animator: Animator, options: argparse.Namespace) -> None:
    paths = {photo.name: photo.path for folder in (options.landscapes, options.cloth) for photo in find_photos(folder)}
    page = Image.new("RGB", (COLUMNS * TILE[0], -(-len(rows) // COLUMNS) * TILE[1]))
    for i, row in enumerate(rows):
        picture = load_photo(paths[row["photo"]], SHORT_SIDE)
        found = animator.cloth_in(picture)
        if found is not None:
            tint = 0.6 * found.mask.cpu().numpy()[..., None]
            picture = (picture * (1 - tint) + tint * np.array((255, 0, 255))).astype(np.uint8)
        tile = Image.fromarray(picture)
        tile.thumbnail(TILE)
        page.paste(tile, (i % COLUMNS * TILE[0], i // COLUMNS * TILE[1]))
    page.save(options.pictures)


if __name__ == "__main__":
    main()
