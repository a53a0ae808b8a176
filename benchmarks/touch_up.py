"""How well rough strokes are fitted to what is under them, and how long touching up takes.

    python -m benchmarks.touch_up PHOTOS --split PHOTOS/val.txt

Strokes: each thing in a labelled photo that stands still and is surrounded by what moves (a rock, a boat, 0.08 to 3% of
the photo) is painted over along its longest axis by a brush a sixth wider than it, with a hand that shakes. Written is
the overlap (intersection over union) of the thing with the brush as it was drawn, and with what the stroke came to.
Other things that stand still do not count: they have nothing to lose.

Times are processor seconds, which other programs on the machine change less than the clock, the least of six: an edit
of each kind, a preview with them at 256 and 512 pixels, its second frame included, saving and opening, on the example
photos. They are of all threads together: OMP_NUM_THREADS=1 leaves one.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.machine import ROOT, machine
from benchmarks.photos import find_photos, read_label
from stylecine import Animator, Scene
from stylecine.edits.strokes import fit_stroke, stroke_distance
from stylecine.stages.photo import load_photo

SMALLEST, LARGEST = 0.0008, 0.03  # of the photo
EXAMPLES = ("lake", "sea", "waterfall")
RUNS = 6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", metavar="PHOTOS", type=Path)
    options.add_argument("--split", type=Path, help="file with the photos' names")
    options.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/touch_up.json")
    given = options.parse_args()
    strokes = [figures for photo in find_photos(given.folder, given.split) for figures in strokes_of(photo)]
    animator = Animator.from_pretrained()
    times = {name: times_of(animator, ROOT / f"examples/{name}.jpg") for name in EXAMPLES}
    means = {
        "strokes": len(strokes),
        "overlap_of_brush": mean(strokes, "brush"),
        "overlap_of_stroke": mean(strokes, "stroke"),
        "worse_than_the_brush": round(float(np.mean([row["stroke"] < row["brush"] - 0.02 for row in strokes])), 3),
        "seconds_of_stroke": mean(strokes, "seconds"),
    }
    print(json.dumps({"means": means, "times": times}, indent=1))
    result = {"machine": machine(), "means": means, "times": times, "strokes": strokes}
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def strokes_of(photo: Any) -> Iterator[dict[str, Any]]:
    picture = load_photo(photo.path, 1024)
    label = read_label(photo.label, (picture.shape[0], picture.shape[1]))
    pieces, _ = ndimage.label(label == 0)
    random = np.random.default_rng(0)
    for number, (rows, columns) in enumerate(ndimage.find_objects(pieces), 1):
        thing = pieces == number
        ends = ((rows, label.shape[0]), (columns, label.shape[1]))
        if all(end.start >= 3 and end.stop <= n - 3 for end, n in ends) and SMALLEST < thing.mean() < LARGEST:
            line, radius = scribbled(thing, random)
            yield {"photo": photo.name} | overlaps(picture, label == 0, thing, line, radius)


def scribbled(thing: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """A stroke over a thing bool [H,W], along its longest axis: points [n,2] in pixels, and the brush's radius."""
    points = np.argwhere(thing)[:, ::-1] + 0.5
    middle = points.mean(0)
    axes = np.linalg.svd((points - middle)[:: max(1, len(points) // 2000)], full_matrices=False)[2]
    along, across = ((points - middle) @ axis for axis in axes)
    radius = 1.15 * float(np.percentile(np.abs(across), 97)) + 3
    first, last = np.percentile(along, (1, 99)) + np.array([0.7, -0.7]) * radius
    stops = np.linspace(first, last, 5) if last > first else np.zeros(1)
    return middle + stops[:, None] * axes[0] + random.normal(0, 0.15 * radius, (len(stops), 2)), radius


def overlaps(
    picture: np.ndarray, still: np.ndarray, thing: np.ndarray, line: np.ndarray, radius: float
) -> dict[str, float]:
    start = time.process_time()
    (top, left, bottom, right), share = fit_stroke(picture, line, radius)
    seconds = time.process_time() - start
    stroke, brush = np.zeros_like(thing), np.zeros_like(thing)
    stroke[top:bottom, left:right] = share > 0.5
    (top, left, bottom, right), distance = stroke_distance(thing.shape, line, radius)
    brush[top:bottom, left:right] = distance < radius
    found = {"brush": brush & (thing | ~still), "stroke": stroke & (thing | ~still)}
    figures = {name: float((part & thing).sum() / (part | thing).sum()) for name, part in found.items()}
    return {name: round(value, 3) for name, value in (figures | {"seconds": seconds}).items()}


def times_of(animator: Animator, path: Path) -> dict[str, Any]:
    """Seconds, and megabytes of the file."""
    scene = animator.invert(path)

    def edited() -> Scene:
        with_paint = scene.paint(None, [[0.45, 0.85], [0.5, 0.85]], "freeze").paint("smoke", (0.2, 0.8))
        return with_paint.push((0.5, 0.9, 0.53, 0.9)).anchor((0.7, 0.9)).speed("sky", 2)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.cine"
        return {
            "size": f"{scene.photo.shape[1]}x{scene.photo.shape[0]}",
            "five_edits": seconds(edited),
            "preview_256": seconds(lambda: animator.preview(edited())[1]),
            "preview_512": seconds(lambda: animator.preview(edited(), size=512)[1]),
            "save": seconds(lambda: edited().save(file)),
            "open": seconds(lambda: Scene.load(file)),
            "megabytes": round(file.stat().st_size / 1e6, 1),
        }


def seconds(work: Callable[[], Any]) -> float:
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return round(min(taken), 3)


def mean(rows: list[dict[str, Any]], name: str) -> float:
    return round(float(np.mean([row[name] for row in rows])), 3)


if __name__ == "__main__":
    main()
