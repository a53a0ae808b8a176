"""What each rule of the mask is worth: masks as they are, without each rule, and with others, against labels.

    python -m benchmarks.studies.rules PHOTOS --lists PHOTOS/val.txt PHOTOS/stills-val.txt
    python -m benchmarks.studies.rules PHOTOS --folds DIR --out rules-folds.json

For each fold NAME.txt of the photos DIR has an eye NAME.safetensors that was not trained on it (`folds.py` of the
recipes writes the lists); the refiner that ships was trained on some of them. A rule stays only if masks are better
with it on photos that it was not made on. The eye looks at each photo once; differences are paired, photo by photo,
with standard errors. Measured on a copy of the photo, as most errors of a mask are larger than its pixels.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.mask_measures import false_positive_area, mask_iou, stretch_recalls
from benchmarks.photos import Photo, find_photos, load_networks, photo_parser, read_label
from benchmarks.tables import save, table
from stylecine.networks.eye import Eye
from stylecine.networks.refiner import Refiner
from stylecine.ops.image import to_tensor
from stylecine.options import CLASSES
from stylecine.perception import layers
from stylecine.perception.see import see
from stylecine.picture.photo import load_photo
from stylecine.weights import read_tensors

SHORT_SIDE = 640  # of the copy of each photo
MOVES = 0.01  # of a photo: with less, nothing counts as moving
FALSE = 0.01  # of a photo in which nothing moves: more is an error
BAD = 0.7  # IoU below which a mask is bad

# What takes the place of each rule's name or names in `perception`.
SHIPPED, BY_EYE = "as shipped", "without the refiner"
HALVES = (0.3, 0.4, 0.5, 0.6, 0.7)
VARIANTS: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    BY_EYE: {},
    "without sky above water": {"_put_sky_above_water": lambda classes, moves: classes},
    **{f"half at {half}": {"HALF_MOVES": half} for half in HALVES if half != layers.HALF_MOVES},
}
STILL = "static"
KINDS = (STILL, *CLASSES[:4])
DRAWS = 2000  # of photos, for intervals
FIGURES = ("iou", "recall", "missed", "classes", "bad", "refused", "false", "iou difference", "error")

Row = dict[str, Any]


def main() -> None:
    parser = photo_parser(__doc__, "rules")
    photos_of = parser.add_mutually_exclusive_group(required=True)
    photos_of.add_argument("--lists", type=Path, nargs="+", help="text files with names of photos")
    photos_of.add_argument("--folds", type=Path, metavar="DIR", help="eyes by the fold that they have not seen")
    options = parser.parse_args()
    networks, settings = load_networks(options.model)
    if options.folds:
        photos = by_fold(options.folder, options.folds, options.limit)
    else:
        photos = [(photo, networks.eye) for names in options.lists for photo in find_photos(options.folder, names)]
        photos = photos[: options.limit]
    rows = [measure(photo, eye, networks.refiner) for photo, eye in tqdm(photos, desc="rules", disable=None)]
    variants = [{"variant": name, **summary(rows, name)} for name in VARIANTS]
    kinds = [row for kind in KINDS for name in (SHIPPED, BY_EYE) if (row := of_kind(rows, kind, name))]
    result = {"machine": machine(), "settings": settings, "photos": len(rows), "variants": variants, "kinds": kinds}
    tables = table(variants, ("variant", *FIGURES)), table(kinds, tuple(kinds[0]))
    save(options.out, result, "\n\n".join(tables))


def by_fold(folder: Path, eyes: Path, most: int | None) -> list[tuple[Photo, Eye]]:
    """The photos of each fold, at most so many, evenly spaced, with the eye that was not trained on it."""
    chosen = []
    for names in sorted(eyes.glob("*.txt")):
        eye, photos = Eye.from_tensors(read_tensors(names.with_suffix(".safetensors"))), find_photos(folder, names)
        chosen += [(photo, eye) for photo in photos[:: math.ceil(len(photos) / (most or len(photos)))]]
    return chosen


@torch.inference_mode()
def measure(photo: Photo, eye: Eye, refiner: Refiner) -> Row:
    """The measures of a photo's masks, by variant."""
    picture = to_tensor(load_photo(photo.path, SHORT_SIDE))
    assert photo.label is not None
    label = read_label(photo.label, (picture.shape[1], picture.shape[2]))
    seen = see(picture, eye, refiner)
    by_eye = replace(seen, stands=seen.classes[0])
    masks = {}
    for name, changes in VARIANTS.items():
        with ExitStack() as patches:
            for attribute, value in changes.items():
                patches.enter_context(patch.object(layers, attribute, value))
            masks[name] = _measures(layers.segment(picture, by_eye if name == BY_EYE else seen), label)
    shares = np.bincount(label.ravel(), minlength=len(KINDS))[: len(KINDS)] / label.size
    moves = bool(1 - shares[0] >= MOVES)
    kinds = [k for k, share in zip(KINDS, shares, strict=True) if share >= MOVES and k != STILL] if moves else [STILL]
    return {"photo": photo.name, "moves": moves, "kinds": kinds, "masks": masks}


def _measures(found: Tensor, label: np.ndarray) -> dict[str, Any]:
    mask = layers.moving(found)
    both = (mask.numpy() >= 0.5) & (label > 0)
    right = float((found.argmax(0).numpy() + 1 == label)[both].mean()) if both.any() else 0.0
    return {
        "iou": mask_iou(mask, label),
        "classes": right,
        "recalls": stretch_recalls(mask.numpy() >= 0.5, label),
        "area": float((mask >= 0.5).float().mean()),
        "false_area": false_positive_area(mask, label),
    }


def summary(rows: Sequence[Row], name: str) -> dict[str, float]:
    """Means over photos in which something moves, shares of bad and refused ones, and of stills that move."""
    moving = [row["masks"] for row in rows if row["moves"]]
    still = [row["masks"][name] for row in rows if not row["moves"]]
    ious = np.array([masks[name]["iou"] for masks in moving])
    change = ious - [masks[SHIPPED]["iou"] for masks in moving]
    recalls = np.array([recall for masks in moving for recall in masks[name]["recalls"]])
    return {
        "iou": float(ious.mean()),
        "recall": float(recalls.mean()),  # of stretches of water
        "missed": float((recalls < 0.5).mean()),  # of them: more than half of it stands
        "classes": float(np.mean([masks[name]["classes"] for masks in moving])),
        "bad": float((ious < BAD).mean()),
        "refused": float(np.mean([masks[name]["area"] < layers.MIN_MOVING for masks in moving])),
        "false": float(np.mean([masks["false_area"] > FALSE for masks in still])) if still else 0.0,
        "iou difference": float(change.mean()),
        "error": float(change.std() / len(change) ** 0.5),
    }


def of_kind(rows: Sequence[Row], kind: str, variant: str) -> dict[str, Any] | None:
    """Of the photos that show it: mean IoU with a 95% interval by bootstrap, and how many are bad; of stills the mean
    area that moves, and how many are wrong. None if there are none."""
    masks = [row["masks"][variant] for row in rows if kind in row["kinds"]]
    if not masks:
        return None
    figure, limit, sign = ("false_area", FALSE, 1) if kind == STILL else ("iou", BAD, -1)
    values = np.array([each[figure] for each in masks])
    drawn = np.random.default_rng(0).choice(values, (DRAWS, len(values))).mean(1)
    low, high = (float(np.quantile(drawn, q)) for q in (0.025, 0.975))
    bad = int((sign * (values - limit) > 0).sum())
    return {"kind": kind, "variant": variant, "photos": len(values), "figure": figure, "mean": float(values.mean()),
            "low": low, "high": high, "bad": bad}


if __name__ == "__main__":
    main()
