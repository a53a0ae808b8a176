"""What moves in a loop by default, against labels: areas, stretches of water, borders, classes, ghosts of twigs.

    python -m benchmarks.studies.masks PHOTOS --split PHOTOS/val.txt --precise PHOTOS/labels_precise

Photos with a label in `--precise` are also scored against that, and only there on their borders.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.mask_measures import boundary_f, false_positive_area, ghosts, mask_iou, stretch_recalls
from benchmarks.photos import Photo, load_networks, photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.perception.layers import moving
from stylecine.perception.look import look
from stylecine.picture.photo import load_photo

NOTHING_LABELLED = 0.01  # of the photo: with less, nothing counts as moving
FIGURES = ("iou", "recall", "iou_precise", "boundary_f", "classes", "ghosts", "false_area", "seconds")

Row = dict[str, Any]


def main() -> None:
    parser = photo_parser(__doc__, "masks")
    parser.add_argument("--precise", type=Path, help="folder of labels whose borders are exact")
    options = parser.parse_args()
    networks, settings = load_networks(options.model)
    photos = tqdm(selected_photos(options), desc="masks", disable=None)
    rows = [measure(photo, options.precise, networks) for photo in photos]
    result = {"machine": machine(), "settings": settings, **summary(rows), "photos": rows}
    means = {"photo": "**mean**", **result["mean"]}
    save(options.out, result, table([*sorted(rows, key=lambda row: row.get("iou", -1)), means], ("photo", *FIGURES)))


def measure(photo: Photo, precise: Path | None, networks: Networks) -> Row:
    """One row, without the figures that do not apply."""
    picture = load_photo(photo.path, None)
    size = (picture.shape[0], picture.shape[1])
    start = perf_counter()
    image = to_tensor(picture)
    scenery = look(image, networks.eye, networks.refiner)
    seconds = perf_counter() - start
    assert photo.label is not None
    label, mask = read_label(photo.label, size), scenery.eroded.moves
    row: Row = {"photo": photo.name, "false_area": false_positive_area(mask, label), "seconds": seconds}
    if (label > 0).mean() < NOTHING_LABELLED:
        return row
    row |= {"iou": mask_iou(mask, label), "classes": _right_class(scenery.layers, label)}
    if recalls := stretch_recalls(mask.numpy() > 0.5, label):
        row |= {"recall": float(np.mean(recalls)), "stretches": len(recalls)}
    if not math.isnan(share := ghosts(mask > 0.5, image, label)):
        row |= {"ghosts": share}
    path = precise / f"{photo.name}.png" if precise else None
    if path is not None and path.is_file():
        close = read_label(path, size)
        row |= {"iou_precise": mask_iou(mask, close), "boundary_f": boundary_f(mask, close)}
    return row


def _right_class(layers: torch.Tensor, label: np.ndarray) -> float:
    """Share of the pixels moving in both mask and label whose class is right."""
    both = (moving(layers).numpy() >= 0.5) & (label > 0)
    return float((layers.argmax(0).numpy() + 1 == label)[both].mean()) if both.any() else math.nan


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean and lowest value of each figure, and the number of photos that have it."""
    columns = {name: [row[name] for row in rows if name in row] for name in FIGURES}
    columns = {name: values for name, values in columns.items() if values}
    still = [row["false_area"] for row in rows if "iou" not in row]
    return {
        "count": {name: len(values) for name, values in columns.items()},
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
        "lowest": {name: min(values) for name, values in columns.items()},
        "false_area_where_nothing_moves": float(np.mean(still)) if still else None,
    }


if __name__ == "__main__":
    main()
