"""What is found of each kind of water, against stretches of water labelled by eye: whether they run, lie open, mirror
their shore or are surf, whether they have foam, and whether the sun glows in the photo.

    python -m benchmarks.studies.water_rules PHOTOS

Without its rule, nothing mirrors, runs, has foam, is a beach or glows. `right`: the share that is decided as labelled;
`gain`: how much of that the rule adds, with its standard error over photos. Wrong are finds that the label has not,
and the reverse. All but a few of the photos are those that the rules were made on.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, load_networks, photo_parser
from benchmarks.tables import save, table
from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.ops.regions import connected
from stylecine.options import SKY, WATER
from stylecine.perception.look import look
from stylecine.perception.scenery import Scenery
from stylecine.picture.photo import load_photo

LABELS = Path(__file__).parents[2] / "pretrained/recipes/water_kinds.csv"
SHORT_SIDE = 640  # of the copy of each photo
GLOWING = 0.01  # of a sky: with less that stands, no glow was found
FOAMY = 0.1  # mean foam of a stretch that has some
NEAR = 5  # cells by which a label may miss its water, and a beach the water's edge
UNSEEN = ("val", "val2", "val3", "stills-val")  # lists of photos that no network was trained on

# Label of a stretch -> whether it has what the rule finds.
TRUTH: dict[str, Callable[[Mapping[str, str]], bool]] = {
    "mirrors": lambda label: label["kind"] == "mirrors",
    "runs": lambda label: label["kind"] == "runs",
    "foam": lambda label: label["foam"] != "none",
    "beach": lambda label: label["kind"] == "surf",
    "glow": lambda label: label["glow"] == "yes",
}
FIGURES = ("photos", "rule", "stretches", "have", "found", "wrong finds", "right", "gain", "error")

Row = dict[str, Any]


def main() -> None:
    options = photo_parser(__doc__, "water_rules").parse_args()
    networks, settings = load_networks(options.model)
    labels = read_labels()
    unseen = {name for split in UNSEEN for name in (options.folder / f"{split}.txt").read_text().split()}
    photos = [photo for photo in find_photos(options.folder) if photo.name in labels][: options.limit]
    rows = [
        row
        for photo in tqdm(photos, desc="water rules", disable=None)
        for row in measure(photo, labels[photo.name], networks)
    ]
    groups = {"all": rows, "unseen": [row for row in rows if row["photo"] in unseen]}
    found = [{"photos": name, **line} for name, group in groups.items() for line in summary(group)]
    result = {"machine": machine(), "settings": settings, "photos": len(photos), "rules": found}
    save(options.out, result, table(found, FIGURES))


def read_labels() -> dict[str, list[dict[str, str]]]:
    labels: dict[str, list[dict[str, str]]] = {}
    with LABELS.open(newline="", encoding="utf-8") as file:
        for label in csv.DictReader(file):
            labels.setdefault(label["id"], []).append(label)
    return labels


def measure(photo: Photo, labels: list[dict[str, str]], networks: Networks) -> list[Row]:
    """Of each labelled stretch that the program takes for water: what its rules find."""
    scenery = look(to_tensor(load_photo(photo.path, SHORT_SIDE)), networks.eye, networks.refiner)
    parts = connected(scenery.owner == WATER)
    rows = []
    for number, label in enumerate(labels):
        stretch = stretch_at(parts.numbers, float(label["x"]) / 100, float(label["y"]) / 100)
        if stretch is not None and label["kind"] != "stands":
            said = judge(scenery, stretch)
            if number:
                del said["glow"]  # one a photo
            rows.append({"photo": photo.name, "said": said, "true": {rule: TRUTH[rule](label) for rule in said}})
    return rows


def stretch_at(numbers: np.ndarray, x: float, y: float) -> np.ndarray | None:
    """Bool [h,w]: the stretch at a place in fractions of the picture, or near it."""
    h, w = numbers.shape
    row, column = int(y * h), int(x * w)
    near = numbers[max(0, row - NEAR) : row + NEAR + 1, max(0, column - NEAR) : column + NEAR + 1]
    counts = np.bincount(near.ravel(), minlength=2)
    counts[0] = 0
    return numbers == counts.argmax() if counts.any() else None


def judge(scenery: Scenery, stretch: np.ndarray) -> dict[str, bool]:
    """What the rules find in a stretch, bool [h,w], and in the sky."""
    still, beach, sky = scenery.still, scenery.beach, scenery.owner == SKY
    shore = ndimage.binary_dilation(stretch, iterations=NEAR)
    return {
        "mirrors": bool(still.mirror[stretch].mean() > 0.5),
        "runs": bool(scenery.streams.open[stretch].mean() <= 0.5),
        "foam": bool(scenery.foam[stretch].mean() > FOAMY),
        "beach": bool(beach is not None and beach.surely[shore].max() >= 0.5),
        "glow": bool(sky.any() and (still.glow[sky] > 0.5).mean() > GLOWING),
    }


def summary(rows: list[Row]) -> list[Row]:
    lines = []
    for rule in TRUTH:
        cases = [(row["photo"], row["said"][rule], row["true"][rule]) for row in rows if rule in row["said"]]
        said, true = (np.array([case[k] for case in cases], bool) for k in (1, 2))
        gain = (said == true).astype(float) - ~true
        names = [case[0] for case in cases]
        sums = np.array([gain[[n == name for n in names]].sum() for name in sorted(set(names))])
        lines.append(
            {
                "rule": rule,
                "stretches": len(cases),
                "have": int(true.sum()),
                "found": int((said & true).sum()),
                "wrong finds": int((said & ~true).sum()),
                "right": float((said == true).mean()),
                "gain": float(gain.mean()),
                "error": float(sums.std() * len(sums) ** 0.5 / len(cases)),
            }
        )
    return lines


if __name__ == "__main__":
    main()
