"""What moves, as the model finds it in a folder of labelled photos: areas, borders, classes.

    python benchmarks/masks.py PHOTOS --split PHOTOS/val.txt --precise PHOTOS/labels_precise

A photo that has a label in `--precise` is scored against that as well, and only there its borders.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, read_label
from benchmarks.tables import table, write
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import to_tensor
from stylecine.quality.measures import boundary_f, false_positive_area, mask_iou
from stylecine.stages.mask import moving, predict_layers
from stylecine.stages.photo import load_photo
from stylecine.weights import find_model, role_tensors

NOTHING_LABELLED = 0.01  # of the photo: less counts as a photo where nothing moves
FIGURES = ("iou", "iou_precise", "boundary_f", "classes", "false_area", "seconds")

Row = dict[str, Any]


def main() -> None:
    options = _options()
    record = find_model(options.model)
    segmenter = Segmenter.from_tensors(role_tensors(record, "segmenter"))
    photos = find_photos(options.folder, options.split)
    rows = [measure(photo, options.precise, segmenter) for photo in tqdm(photos, desc="masks", disable=None)]
    settings = {"model": options.model, "segmenter": record.files["segmenter"].sha256}
    result = {"machine": machine(), "settings": settings, **summary(rows), "photos": rows}
    write(options.out, json.dumps(result, indent=1))
    report = table([*sorted(rows, key=lambda row: row.get("iou", -1)), _means(result)], ("photo", *FIGURES))
    write(options.out.with_suffix(".md"), report)
    print(report)


def measure(photo: Photo, precise: Path | None, segmenter: Segmenter) -> Row:
    """One photo's row; what does not apply to it is left out."""
    picture = load_photo(photo.path, None)
    size = (picture.shape[0], picture.shape[1])
    start = perf_counter()
    layers = predict_layers(to_tensor(picture), segmenter)
    seconds = perf_counter() - start
    assert photo.label is not None
    label, mask = read_label(photo.label, size), moving(layers)
    row: Row = {"photo": photo.name, "false_area": false_positive_area(mask, label), "seconds": seconds}
    if (label > 0).mean() < NOTHING_LABELLED:
        return row
    row |= {"iou": mask_iou(mask, label), "classes": _right_class(layers, label)}
    path = precise / f"{photo.name}.png" if precise else None
    if path is not None and path.is_file():
        close = read_label(path, size)
        row |= {"iou_precise": mask_iou(mask, close), "boundary_f": boundary_f(mask, close)}
    return row


def _right_class(layers: torch.Tensor, label: np.ndarray) -> float:
    """Share of what moves both by mask and label that has its own class."""
    both = (moving(layers).numpy() >= 0.5) & (label > 0)
    return float((layers.argmax(0).numpy() + 1 == label)[both].mean()) if both.any() else math.nan


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean, lowest and highest of each figure, and of how many photos."""
    columns = {name: [row[name] for row in rows if name in row] for name in FIGURES}
    columns = {name: values for name, values in columns.items() if values}
    still = [row["false_area"] for row in rows if "iou" not in row]
    return {
        "count": {name: len(values) for name, values in columns.items()},
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
        "lowest": {name: min(values) for name, values in columns.items()},
        "false_area_where_nothing_moves": float(np.mean(still)) if still else None,
    }


def _means(result: Mapping[str, Any]) -> Row:
    return {"photo": "**mean**", **result["mean"]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--precise", type=Path, help="folder of labels whose borders are exact")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/masks.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
