"""Whether places where the mask may be wrong are wrong, against labels: those that move and that the studio asks to
check, and those that stand still and that `stylecine explain` would have move.

    python -m benchmarks.studies.doubts PHOTOS --split PHOTOS/val2.txt

Of the pixels that move, those labelled static are wrong; of those that stand still, those with another label. Chance is
their share along the rest of the mask's edge: on that side of it, within 5% of the short side, in all photos and in
those with such places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, load_networks, photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine.edits.strokes import cover_region, fit_stroke
from stylecine.engine.model_networks import Networks
from stylecine.explanation.advice import LETTERS
from stylecine.ops.image import to_tensor
from stylecine.perception.doubt import Doubt, doubtful_regions
from stylecine.perception.layers import moving, segment
from stylecine.perception.see import see
from stylecine.picture.photo import load_photo
from stylecine.server.worker import MAX_DOUBTS

EDGE = 0.05  # of the short side
SIDES = ("moving", "standing")

Row = dict[str, Any]


def main() -> None:
    options = photo_parser(__doc__, "doubts").parse_args()
    networks, settings = load_networks(options.model)
    rows = [measure(photo, networks) for photo in tqdm(selected_photos(options), desc="doubts", disable=None)]
    sides = {side: summary([row[side] for row in rows]) for side in SIDES}
    found = {"machine": machine(), "settings": settings, "photos": len(rows), **sides, "rows": rows}
    flat = [{"photo": row["photo"], "side": side, **row[side]} for row in rows for side in SIDES if row[side]["places"]]
    shown = sorted(flat, key=lambda row: (row["side"], -sum(row["places"])))
    save(options.out, found, table(shown, ("photo", "side", "places", "strokes", "edge")))


def measure(photo: Photo, networks: Networks) -> Row:
    picture = load_photo(photo.path, 1024)
    image, size = to_tensor(picture), (picture.shape[0], picture.shape[1])
    assert photo.label is not None
    seen = see(image, networks.eye, networks.refiner)
    layers = segment(image, seen)
    doubts = doubtful_regions(seen.classes, moving(layers), np.zeros(size, bool))
    moves, should = moving(layers).numpy() > 0.5, read_label(photo.label, size) > 0
    asked = [doubt for doubt in doubts if doubt.moving][:MAX_DOUBTS]
    shown = [doubt for doubt in doubts[: len(LETTERS)] if not doubt.moving]
    return {
        "photo": photo.name,
        "moving": measure_side(asked, picture, moves, ~should),
        "standing": measure_side(shown, picture, ~moves, should),
    }


def measure_side(doubts: list[Doubt], picture: np.ndarray, side: np.ndarray, wrong: np.ndarray) -> Row:
    """places: share of wrong pixels in each; strokes: in what strokes over them change; edge: along the rest of the
    mask's edge; pixels: wrong and all, of places, strokes and edge. side: bool [H,W], what moves or what does not."""
    size = side.shape
    places = [_enlarged(doubt.mask, size) & side for doubt in doubts]
    changed = np.zeros_like(side)
    for doubt in doubts:
        points, radius = cover_region(doubt.mask)
        (top, left, bottom, right), alpha = fit_stroke(picture, np.array(points) * size[::-1], radius * min(size))
        changed[top:bottom, left:right] |= alpha > 0.5
    checked = np.any([*places, np.zeros_like(side)], axis=0)
    near = ndimage.distance_transform_edt(side) <= EDGE * min(size)
    parts = {"places": checked, "strokes": changed & side, "edge": side & near & ~checked}
    pixels = {name: (int(wrong[part].sum()), int(part.sum())) for name, part in parts.items()}
    shares = {name: round(pixels[name][0] / max(1, pixels[name][1]), 3) for name in ("strokes", "edge")}
    return {"places": [round(float(wrong[place].mean()), 2) for place in places], **shares, "pixels": pixels}


def summary(rows: list[Row]) -> dict[str, Any]:
    """Of one side, over all photos."""
    shown = [row for row in rows if row["places"]]
    shares = [share for row in shown for share in row["places"]]

    def share(rows: list[Row], name: str) -> float:
        wrong, all = np.sum([row["pixels"][name] for row in rows] or [(0, 0)], axis=0)
        return float(wrong / max(1, all))

    return {
        "count": {"with_places": len(shown), "places": len(shares)},
        "wrong": {name: share(shown, name) for name in ("places", "strokes")},
        "chance": {"all_photos": share(rows, "edge"), "photos_with_places": share(shown, "edge")},
        "places_mostly_wrong": float(np.mean(np.array(shares) > 0.5)) if shares else None,
    }


def _enlarged(region: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, region.shape, strict=True))
    return region[rows[:, None], columns]


if __name__ == "__main__":
    main()
