"""Whether static things that a wrong mask tears off are found, on labels that are spoilt on purpose.

    python -m benchmarks.studies.torn PHOTOS --split PHOTOS/val3.txt

torn.csv names pieces of ridges, branches, posts, islands, banks and boats: ellipses, in fractions of the photo. What is
labelled static in them is made to move as its surroundings do. Some stands still all the same, since the engine keeps
thin things and the edges of static ones from moving; the rest is torn. A piece is found if places that are reported
cover 30% of it. A place is right if most of it is torn, and false if most of it is labelled as moving, under the spoilt
mask or under the right one.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, load_networks, photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.options import CLASSES, SKY
from stylecine.perception.doubt import SMALLEST_TORN, torn_regions
from stylecine.perception.edges import erode
from stylecine.perception.layers import HALF_MOVES
from stylecine.perception.refine import follow_edges, soft_threshold
from stylecine.perception.see import see
from stylecine.picture.photo import load_photo

PIECES = Path(__file__).with_suffix(".csv")
SHORT_SIDE = 512
COVERED = 0.3  # of a piece that is found

Box = tuple[float, ...]  # left, top, right, bottom, in fractions of the photo
Row = dict[str, Any]


def main() -> None:
    options = photo_parser(__doc__, "torn").parse_args()
    networks, settings = load_networks(options.model)
    pieces = read_pieces(PIECES)
    photos = tqdm(selected_photos(options), desc="torn", disable=None)
    rows = [measure(photo, pieces.get(photo.name, []), networks) for photo in photos]
    found = {"machine": machine(), "settings": settings, "photos": len(rows), **summary(rows), "rows": rows}
    columns = ("kind", "pieces", "still", "torn_sky", "found_sky", "torn_other")
    save(options.out, found, table(found["kinds"], columns))


def read_pieces(path: Path) -> dict[str, list[tuple[str, Box]]]:
    """The kind and the box of each piece, by photo."""
    pieces: dict[str, list[tuple[str, Box]]] = {}
    with path.open() as file:
        for photo, kind, *box in list(csv.reader(file))[1:]:
            pieces.setdefault(photo, []).append((kind, tuple(map(float, box))))
    return pieces


def measure(photo: Photo, pieces: list[tuple[str, Box]], networks: Networks) -> Row:
    picture = load_photo(photo.path, SHORT_SIDE)
    image = to_tensor(picture)
    assert photo.label is not None
    label = read_label(photo.label, (picture.shape[0], picture.shape[1]))
    seen = see(image, networks.eye, networks.refiner)
    spoilt, ellipses = spoil(label, [box for _, box in pieces])
    layers, spoilt_layers = layers_of(image, label), layers_of(image, spoilt)
    right, wrong = (erode(each, image, stands=seen.stands).moves for each in (layers, spoilt_layers))
    places, alarms = torn_regions(seen.classes, spoilt_layers, wrong), torn_regions(seen.classes, layers, right)
    cover = np.any([place.mask for place in places] + [np.zeros(label.shape, bool)], axis=0)
    torn = (wrong > 0.5).numpy() & (right <= 0.5).numpy()
    found = []
    for (kind, _), ellipse in zip(pieces, ellipses, strict=True):
        left = ellipse & torn
        is_torn = left.mean() >= SMALLEST_TORN
        moving_class = CLASSES[np.bincount(spoilt[left]).argmax() - 1] if is_torn else ""
        found.append({"kind": kind, "torn": moving_class, "found": bool(is_torn and cover[left].mean() > COVERED)})
    return {
        "photo": photo.name,
        "pieces": found,
        "right": sum(bool(torn[place.mask].mean() > 0.5) for place in places),
        "false": sum(bool((label[place.mask] > 0).mean() > 0.5) for place in places),
        "false_under_right_mask": sum(bool((label[place.mask] > 0).mean() > 0.5) for place in alarms),
    }


def spoil(label: np.ndarray, boxes: list[Box]) -> tuple[np.ndarray, list[np.ndarray]]:
    """A label [H,W] in which the static parts of ellipses have the nearest class that moves, and these parts."""
    spoilt, parts = label.copy(), []
    nearest = nearest_classes(label)
    rows, columns = ((np.arange(n) + 0.5) / n for n in label.shape)
    for left, top, right, bottom in boxes:
        x, y = (2 * columns - left - right) / (right - left), (2 * rows - top - bottom) / (bottom - top)
        parts.append((x**2 + y[:, None] ** 2 <= 1) & (label == 0))
        spoilt[parts[-1]] = nearest[parts[-1]]
    return spoilt, parts


def nearest_classes(label: np.ndarray) -> np.ndarray:
    """[H,W]: of each place the nearest class that moves; 0 if nothing does."""
    if not label.any():
        return label
    nearest = ndimage.distance_transform_edt(label == 0, return_distances=False, return_indices=True)
    classes: np.ndarray = label[tuple(nearest)]
    return classes


def layers_of(image: Tensor, label: np.ndarray) -> Tensor:
    """[4,H,W] in [0,1] of a label, its borders on the photo's edges."""
    mask = soft_threshold(follow_edges(torch.from_numpy((label > 0).astype(np.float32))[None], image), HALF_MOVES)
    classes = torch.from_numpy(nearest_classes(label).astype(np.int64))
    return torch.stack([torch.where(classes == k, mask, 0.0) for k in range(1, len(CLASSES) + 1)])


def summary(rows: list[Row]) -> dict[str, Any]:
    """Over all photos: precision of places, recall of pieces before the sky, and the pieces by kind."""
    count = Counter[tuple[str, str]]()
    for piece in (piece for row in rows for piece in row["pieces"]):
        group = "still" if not piece["torn"] else "torn_sky" if piece["torn"] == CLASSES[SKY] else "torn_other"
        for name in ("pieces", group, *(["found_sky"] if piece["found"] and group == "torn_sky" else [])):
            count[piece["kind"], name] += 1
            count["all", name] += 1
    names = ("pieces", "still", "torn_sky", "found_sky", "torn_other")
    kinds = [{"kind": kind, **{name: count[kind, name] for name in names}} for kind in sorted({k for k, _ in count})]
    right, false, quiet = (sum(row[name] for row in rows) for name in ("right", "false", "false_under_right_mask"))
    return {
        "precision": right / max(1, right + false + quiet),
        "recall_sky": count["all", "found_sky"] / max(1, count["all", "torn_sky"]),
        "places": {"right": right, "false": false, "false_under_right_mask": quiet},
        "kinds": kinds,
    }


if __name__ == "__main__":
    main()
