"""What each rule of the mask is worth: masks with all of them, without each, and without any, against labels.

    python -m benchmarks.studies.rules PHOTOS --lists PHOTOS/val.txt PHOTOS/stills-val.txt

A rule stays only if masks are better with it on photos that it was not made on. The networks look at each photo once;
differences are paired, photo by photo, with standard errors. Measured on a copy of the photo, as most errors of a mask
are larger than its pixels.
"""

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
from benchmarks.mask_measures import false_positive_area, mask_iou
from benchmarks.photos import Photo, find_photos, load_networks, photo_parser, read_label
from benchmarks.tables import save, table
from stylecine.engine.model_networks import Networks
from stylecine.ops.image import resize, to_tensor
from stylecine.perception import layers
from stylecine.perception.refine import crf_refine
from stylecine.perception.see import glance
from stylecine.picture.photo import load_photo

SHORT_SIDE = 640  # of the copy of each photo
MOVES = 0.01  # of a photo: with less, nothing counts as moving
FALSE = 0.01  # of a photo in which nothing moves: more is an error
BAD = 0.7  # IoU below which a mask is bad

# What takes the place of each rule's name or names in `perception`, so that it has no effect.
WITHOUT: dict[str, dict[str, Any]] = {
    "random field": {},
    "photo's edges": {"follow_edges": lambda soft, photo: resize(soft, photo.shape[-2:])[0]},
    "sky above water": {"_put_sky_above_water": lambda classes, moves: classes},
    "occluders": {"OCCLUDER": 2.0},
}
WITHOUT["any"] = {
    key: value for rule in ("random field", "photo's edges", "occluders")
    for key, value in WITHOUT[rule].items()
}
WITHOUT_FIELD = "random field", "any"
FIGURES = ("iou", "classes", "bad", "refused", "false", "iou difference", "error")

Row = dict[str, Any]


def main() -> None:
    parser = photo_parser(__doc__, "rules")
    parser.add_argument("--lists", type=Path, nargs="+", required=True, help="text files with names of photos")
    options = parser.parse_args()
    networks, settings = load_networks(options.model)
    photos = [photo for names in options.lists for photo in find_photos(options.folder, names)][: options.limit]
    rows = [measure(photo, networks) for photo in tqdm(photos, desc="rules", disable=None)]
    variants = [{"without": name, **summary(rows, name)} for name in rows[0]["masks"]]
    result = {"machine": machine(), "settings": settings, "photos": len(rows), "variants": variants}
    save(options.out, result, table(variants, ("without", *FIGURES)))


@torch.inference_mode()
def measure(photo: Photo, networks: Networks) -> Row:
    """The measures of a photo's masks, by what they are without."""
    picture = to_tensor(load_photo(photo.path, SHORT_SIDE))
    assert photo.label is not None
    label = read_label(photo.label, (picture.shape[1], picture.shape[2]))
    plain = glance(picture, networks.eye)
    refined = replace(plain, classes=crf_refine(plain.classes, picture))
    masks = {}
    for name, changes in {"none": {}, **WITHOUT}.items():
        with ExitStack() as patches:
            for attribute, value in changes.items():
                patches.enter_context(patch.object(layers, attribute, value))
            masks[name] = _measures(layers.segment(picture, plain if name in WITHOUT_FIELD else refined), label)
    return {"photo": photo.name, "moves": bool((label > 0).mean() >= MOVES), "masks": masks}


def _measures(found: Tensor, label: np.ndarray) -> dict[str, float]:
    mask = layers.moving(found)
    both = (mask.numpy() >= 0.5) & (label > 0)
    right = float((found.argmax(0).numpy() + 1 == label)[both].mean()) if both.any() else 0.0
    return {
        "iou": mask_iou(mask, label),
        "classes": right,
        "area": float((mask >= 0.5).float().mean()),
        "false_area": false_positive_area(mask, label),
    }


def summary(rows: Sequence[Row], name: str) -> dict[str, float]:
    """Means over photos in which something moves, shares of bad and refused ones, and of stills that move."""
    moving = [row["masks"] for row in rows if row["moves"]]
    still = [row["masks"][name] for row in rows if not row["moves"]]
    ious = np.array([masks[name]["iou"] for masks in moving])
    change = ious - [masks["none"]["iou"] for masks in moving]
    return {
        "iou": float(ious.mean()),
        "classes": float(np.mean([masks[name]["classes"] for masks in moving])),
        "bad": float((ious < BAD).mean()),
        "refused": float(np.mean([masks[name]["area"] < layers.MIN_MOVING for masks in moving])),
        "false": float(np.mean([masks["false_area"] > FALSE for masks in still])) if still else 0.0,
        "iou difference": float(change.mean()),
        "error": float(change.std() / len(change) ** 0.5),
    }


if __name__ == "__main__":
    main()
