"""Whether the places that the studio asks to check are wrong, against labels.

    python -m benchmarks.studies.doubts PHOTOS --split PHOTOS/val2.txt

Of the pixels that move, those labelled static are wrong. Chance is their share along the rest of the mask's edge: what
moves within 5% of the short side of what stands still, in all photos and in those with something to check.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine.edits.strokes import fit_stroke, stroke_over
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import to_tensor
from stylecine.stages.doubt import doubtful_regions
from stylecine.stages.mask import erode_moving_edges, predict_layers, predict_probabilities
from stylecine.stages.photo import load_photo
from stylecine.weights import find_model, role_tensors

EDGE = 0.05  # of the short side

Row = dict[str, Any]


def main() -> None:
    options = photo_parser(__doc__, "doubts").parse_args()
    record = find_model(options.model)
    segmenter = Segmenter.from_tensors(role_tensors(record, "segmenter"))
    rows = [measure(photo, segmenter) for photo in tqdm(selected_photos(options), desc="doubts", disable=None)]
    settings = {"model": options.model, "segmenter": record.files["segmenter"].sha256}
    shown = [row for row in rows if row["places"]]
    text = table(sorted(shown, key=lambda row: -sum(row["places"])), ("photo", "places", "frozen", "edge"))
    save(options.out, {"machine": machine(), "settings": settings, **summary(rows), "photos": rows}, text)


def measure(photo: Photo, segmenter: Segmenter) -> Row:
    """places: share of wrong pixels in each; frozen: in what the strokes over them freeze; edge: along the rest of the
    mask's edge; pixels: wrong and all, of places, edge and frozen."""
    picture = load_photo(photo.path, 1024)
    image, size = to_tensor(picture), (picture.shape[0], picture.shape[1])
    assert photo.label is not None
    moves = erode_moving_edges(predict_layers(image, segmenter), image)
    regions = doubtful_regions(predict_probabilities(image, segmenter), moves)
    moving = moves.numpy() > 0.5
    wrong = moving & (read_label(photo.label, size) == 0)
    places = [_enlarged(region, size) & moving for region in regions]
    frozen = np.zeros_like(moving)
    for region in regions:
        points, radius = stroke_over(region)
        (top, left, bottom, right), alpha = fit_stroke(picture, np.array(points) * size[::-1], radius * min(size))
        frozen[top:bottom, left:right] |= alpha > 0.5
    checked = np.any([*places, np.zeros_like(moving)], axis=0)
    near = ndimage.distance_transform_edt(moving) <= EDGE * min(size)
    parts = {"places": checked, "edge": moving & near & ~checked, "frozen": frozen & moving}
    pixels = {name: (int(wrong[part].sum()), int(part.sum())) for name, part in parts.items()}
    shares = {name: round(pixels[name][0] / max(1, pixels[name][1]), 3) for name in ("edge", "frozen")}
    by_place = [round(float(wrong[place].mean()), 2) for place in places]
    return {"photo": photo.name, "places": by_place, **shares, "pixels": pixels}


def summary(rows: list[Row]) -> dict[str, Any]:
    shown = [row for row in rows if row["places"]]
    shares = [share for row in shown for share in row["places"]]

    def share(rows: list[Row], name: str) -> float:
        wrong, all = np.sum([row["pixels"][name] for row in rows], axis=0)
        return float(wrong / max(1, all))

    return {
        "count": {"photos": len(rows), "with_places": len(shown), "places": len(shares)},
        "wrong": {name: share(shown, name) for name in ("places", "frozen")},
        "chance": {"all_photos": share(rows, "edge"), "photos_with_places": share(shown, "edge")},
        "places_mostly_wrong": float(np.mean(np.array(shares) > 0.5)) if shares else None,
    }


def _enlarged(region: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, region.shape, strict=True))
    return region[rows[:, None], columns]


if __name__ == "__main__":
    main()
