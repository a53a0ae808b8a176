"""Five folds of the labelled photos, for figures on photos that a network was not trained on.

All photos of a source (a repository, an album) are in one fold: they resemble each other. `VALIDATION` is none of the
five: it is what the networks of before were not trained on either, and so what they can be compared on.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FOLDS = 5
VALIDATION = "val"
VALIDATION_LISTS = ("val", "val2", "val3", "stills-val")
CHOICES = (*map(str, range(FOLDS)), VALIDATION)


def read_sources(photos: Path) -> dict[str, str]:
    """The source of each photo in a folder's manifest, by ID."""
    manifest = photos / "manifest.csv"
    if not manifest.exists():
        return {}
    with manifest.open(newline="", encoding="utf-8") as file:
        return {row["id"]: row["source"].split(": ")[0] for row in csv.DictReader(file)}


def folds_of(kinds: Mapping[str, tuple[str, set[str]]]) -> dict[str, int]:
    """The fold of each photo by ID, given its source and what it is to be counted as (a landscape, falls, a still).

    Sources, the largest first, go where they leave what is counted most even. The result depends on nothing else.
    """
    sizes: dict[str, Counter[str]] = {}
    for source, counted in kinds.values():
        sizes.setdefault(source, Counter()).update(counted)
    total = sum(sizes.values(), Counter())
    folds: list[Counter[str]] = [Counter() for _ in range(FOLDS)]
    chosen = {}
    for source in sorted(sizes, key=lambda name: (-sizes[name].total(), name)):
        growth = [sum(n * (n + 2 * fold[kind]) / total[kind] ** 2 for kind, n in sizes[source].items())
                  for fold in folds]
        chosen[source] = growth.index(min(growth))
        folds[chosen[source]].update(sizes[source])
    return {name: chosen[source] for name, (source, _) in kinds.items()}
