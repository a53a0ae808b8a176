"""Small things before water and sky: how much of them moves, and how much of what moves around them stands still.

    python -m benchmarks.studies.things PHOTOS --lists val val2 val3 val4 val5

PHOTOS is as lay_out_photos.py of the recipes makes it. Outlines are those of recipes/photos/things, drawn by hand in
crops of 256 pixels by outline_things.py; only crops of photos in these lists are measured, and only where the photo's
label has sky or water around a thing.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.machine import ROOT, machine
from benchmarks.photos import load_networks, read_label
from benchmarks.tables import command_line, save, table
from stylecine.engine.model_networks import Networks
from stylecine.ops.image import to_tensor
from stylecine.perception.layers import moving
from stylecine.perception.look import look
from stylecine.picture.photo import load_photo

sys.path.insert(0, str(ROOT / "pretrained" / "recipes"))

from outline_things import crop_on, outlines_by_photo

FIGURES = ("things", "moved", "moved_by_eye", "stands")

Row = dict[str, Any]


def main() -> None:
    parser = command_line(__doc__, "things")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--lists", nargs="+", default=["val", "val2", "val3", "val4", "val5"], metavar="LIST")
    options = parser.parse_args()
    networks, settings = load_networks("default")
    listed = {name for one in options.lists for name in (options.photos / f"{one}.txt").read_text().split()}
    outlines = {photo: paths for photo, paths in outlines_by_photo().items() if photo in listed}
    rows = [
        row
        for photo, paths in tqdm(outlines.items(), desc="things", disable=None)
        for row in measure(photo, paths, options.photos, networks)
    ]
    means = {"crop": "**mean**", **{name: float(np.mean([row[name] for row in rows])) for name in FIGURES}}
    result = {"machine": machine(), "settings": settings, "mean": means, "crops": rows}
    worst = sorted(rows, key=lambda row: -row["moved"])
    save(options.out, result, table([means, *worst], ("crop", *FIGURES)))


def measure(name: str, outlines: Sequence[Path], folder: Path, networks: Networks) -> list[Row]:
    """A row for each crop: share of it that is things, of these what moves, in the product and for the eye alone, and
    of the moving classes around them what stands."""
    picture = load_photo(folder / "images" / f"{name}.jpg")
    size = picture.shape[0], picture.shape[1]
    photo = to_tensor(picture)
    scenery = look(photo, networks.eye, networks.refiner)
    seen, moves = moving(scenery.layers).numpy() > 0.5, scenery.eroded.moves.numpy() > 0.5
    label = read_label(folder / "labels" / f"{name}.png", size) > 0
    rows = []
    for path in outlines:
        things, there = at_size(path, size)
        around = there & label & ~things
        rows.append({
            "crop": path.stem,
            "things": float(things.sum() / there.sum()),
            "moved": float(moves[things].mean()),
            "moved_by_eye": float(seen[things].mean()),
            "stands": float(1 - moves[around].mean()) if around.any() else 0.0,
        })
    return rows


def at_size(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of a photo of that size, bool [H,W] each: its things, and the crop in which they were outlined."""
    things, there = crop_on(path, size).numpy()
    return things > 0.5, there > 0.5


if __name__ == "__main__":
    main()
