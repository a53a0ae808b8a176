"""Five folds of the labelled photos, for figures on photos that a network was not trained on.

All photos of a source (a repository, an album) are in one fold: they resemble each other. `VALIDATION` is none of the
five: it is what the networks of before were not trained on either, and so what they can be compared on.

    python pretrained/recipes/folds.py DIR --out OUT     # writes OUT/fold0.txt to fold4.txt, the IDs of their photos
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FOLDS = 5
VALIDATION = "val"
VALIDATION_LISTS = ("val", "val2", "val3", "val4", "val5", "stills-val")
CHOICES = (*map(str, range(FOLDS)), VALIDATION)
FALLS_SHARE = 0.01  # of a photo: fewer are not counted as a photo with falls


def is_held_out(listed: str, fold: int, left_out: str | None) -> bool:
    """Whether a photo of this list and fold is left out. left_out: one of CHOICES, or None for none."""
    return listed in VALIDATION_LISTS if left_out == VALIDATION else str(fold) == left_out


def read_folds(photos: Path) -> dict[str, int]:
    """The fold of each photo in a folder's manifest.csv, by ID; {} if it has none."""
    manifest = photos / "manifest.csv"
    if not manifest.exists():
        return {}
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return folds_of({row["id"]: (row["source"].split(": ")[0], _kinds(row)) for row in rows})


def _kinds(row: dict[str, str]) -> set[str]:
    if row["split"].startswith("stills"):
        return {"still"}
    return {"landscape", "falls"} if float(row["falls"]) > FALLS_SHARE else {"landscape"}


def folds_of(photos: Mapping[str, tuple[str, set[str]]]) -> dict[str, int]:
    """The fold of each photo by ID, given its source and what it is to be counted as (a landscape, falls, a still).

    Sources, the largest first, go where they leave what is counted most even. The result depends on nothing else.
    """
    sizes: dict[str, Counter[str]] = {}
    for source, kinds in photos.values():
        sizes.setdefault(source, Counter()).update(kinds)
    total = sum(sizes.values(), Counter())
    folds: list[Counter[str]] = [Counter() for _ in range(FOLDS)]
    chosen = {}
    for source in sorted(sizes, key=lambda name: (-sizes[name].total(), name)):
        uneven = [sum(n * (n + 2 * fold[kind]) / total[kind] ** 2 for kind, n in sizes[source].items())
                  for fold in folds]  # by how much the sum of squares grows
        chosen[source] = uneven.index(min(uneven))
        folds[chosen[source]].update(sizes[source])
    return {name: chosen[source] for name, (source, _) in photos.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    folds = read_folds(options.photos)
    for fold in range(FOLDS):
        names = sorted(name for name, own in folds.items() if own == fold)
        (options.out / f"fold{fold}.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
