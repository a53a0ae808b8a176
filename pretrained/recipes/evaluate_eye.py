"""Measures the eye on photos that it was not trained on, and on films.

    python pretrained/recipes/evaluate_eye.py pretrained/eye.safetensors --photos DIR [--fold val] [--films DIR]

`--fold` names the photos (folds.py). Figures are of what the eye says, without any rule. FILMS has films.csv, and of
each film its first frame NAME.jpg and, measured in the next five seconds, NAME.npz: how grey changes, the mean flow,
and how steady that is. Skies hardly move in five seconds, so they are left out.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from arrows import CLASSES as MOVING
from arrows import arrow_array
from eye_data import UNKNOWN, EyePhoto, read_photos
from folds import CHOICES, VALIDATION
from PIL import Image
from scipy import ndimage
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.mask_measures import stretch_recalls
from stylecine.engine.model_networks import Networks
from stylecine.networks.eye import CLASSES, Eye
from stylecine.ops.image import to_tensor
from stylecine.perception.see import Seen, see
from stylecine.weights import read_tensors

LONG_SIDE = 1024  # of the photos
BINS = 15  # of the calibration error
THRESHOLDS = np.linspace(0.02, 0.98, 49)
MOVES = 0.005  # of a photo in which something moves
LOW, FALSE = 0.7, 0.01  # an IoU below which the mask is bad; of a still, an area that must not move
HALF = 0.5  # of a stretch of water: one of which less moves is missed
DRAWS = 2000  # of photos, for intervals
STEADY, LEAST_CHANGE, LEAST_FLOW = 140, 2.5, 0.01  # of films: see `read_film`
FEW = 60  # cells of a film: with fewer that flow steadily its direction is not counted


Look = Callable[[Tensor], Seen]  # at a photo [3,H,W] in [-1,1]


def look_with(path: Path) -> Look:
    eye, networks = Eye.from_tensors(read_tensors(path)), Networks.from_pretrained(device="cpu", lazily=True)
    return lambda photo: see(photo, eye, networks.refiner)


def direction(seen: Seen) -> Tensor:
    """[2,h,w]: the mean of what the photo and its mirror image say."""
    return (seen.directions + seen.mirrored) / 2


def at_size(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps[None], tuple(size), mode="bilinear", align_corners=False)[0]


class Figures:
    """Of the photos that were added."""

    def __init__(self) -> None:
        self.ious: list[float] = []
        self.best: list[float] = []
        self.false: list[float] = []
        self.recalls: list[float] = []
        self.sums = np.zeros((BINS, 3))  # of pixels: how many, their probabilities, how many of them move
        self.both, self.either = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
        self.angles: dict[str, list[float]] = {"running": [], "falls": []}

    def add(self, photo: EyePhoto, seen: Seen) -> None:
        label = photo.sample.label
        known = (label != UNKNOWN).numpy()
        classes = at_size(seen.classes, label.shape)
        moves, truth = 1 - classes[0].numpy()[known], (label > 0).numpy()[known]
        if truth.mean() < MOVES:
            self.false.append(float((moves > 0.5).mean()))
        else:
            self.ious.append(iou(moves > 0.5, truth))
            self.best.append(max(iou(moves > threshold, truth) for threshold in THRESHOLDS))
        self.recalls += stretch_recalls((classes[0] < 0.5).numpy(), label.numpy())
        bins = np.minimum((moves * BINS).astype(int), BINS - 1)
        for column, weights in enumerate((None, moves, truth)):
            self.sums[:, column] += np.bincount(bins, weights, BINS) / moves.size
        found, true = classes.argmax(0).numpy()[known], label.numpy()[known]
        for k in range(len(CLASSES)):
            self.both[k] += ((found == k) & (true == k)).sum()
            self.either[k] += ((found == k) | (true == k)).sum()
        self._add_arrows(photo, direction(seen))

    def _add_arrows(self, photo: EyePhoto, way: Tensor) -> None:
        (h, w), (rows, columns) = photo.sample.label.shape, way.shape[1:]
        for x0, y0, x1, y1, kind in arrow_array(photo.sample):
            name = "running" if MOVING[int(kind) - 1] == "water" and photo.running else MOVING[int(kind) - 1]
            if name in self.angles:
                u, v = way[:, min(rows - 1, int(y0 * rows)), min(columns - 1, int(x0 * columns))].tolist()
                self.angles[name].append(angle((u, v), ((x1 - x0) * w, (y1 - y0) * h)))

    def lines(self) -> list[str]:
        found = []
        if self.ious:
            ious, low, high = np.array(self.ious), *interval(self.ious)
            found.append(f"{len(ious)} landscapes: IoU {ious.mean():.3f} [{low:.3f}, {high:.3f}],"
                         f" at the best threshold of each {np.mean(self.best):.3f},"
                         f" below {LOW} {(ious < LOW).sum()}, worst {ious.min():.2f}")
            shares = zip(CLASSES, self.both, self.either, strict=True)
            found.append("IoU by class, pooled: " + ", ".join(f"{name} {a / b:.3f}" for name, a, b in shares if b))
        if self.recalls:
            recalls, low, high = np.array(self.recalls), *interval(self.recalls)
            found.append(f"{len(recalls)} stretches of water: recall {recalls.mean():.3f} [{low:.3f}, {high:.3f}],"
                         f" below {HALF} {(recalls < HALF).sum()}")
        if self.false:
            false = np.array(self.false)
            found.append(f"{len(false)} stills: more than {FALSE:.0%} moves in {(false > FALSE).sum()},"
                         f" mean area {false.mean():.2%}")
        count, sure, true = self.sums.T
        found.append(f"expected calibration error {np.abs(sure - true).sum() / count.sum():.4f}")
        for name, angles in self.angles.items():
            if angles:
                found.append(f"{name}: {len(angles)} arrows, {np.median(angles):.1f} degrees off,"
                             f" {np.mean(np.array(angles) > 90):.1%} more than 90")
        return found


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def interval(values: list[float]) -> tuple[float, float]:
    """95% of the mean, by bootstrap."""
    drawn = np.random.default_rng(0).choice(values, (DRAWS, len(values))).mean(1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def angle(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Between two vectors, in degrees."""
    return abs(float(np.degrees(np.angle(complex(*a) * complex(*b).conjugate()))))


@torch.inference_mode()
def photos_lines(look: Look, photos: list[EyePhoto]) -> list[str]:
    figures = Figures()
    for photo in photos:
        figures.add(photo, look(photo.sample.photo.float() / 127.5 - 1))
    return figures.lines()


def read_film(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean flow [2,h,w] in pixels per 1/30 s; bool [h,w] each: where it is steady, what moves."""
    with np.load(path) as film:
        flow, steady, change = film["flow"].astype(np.float32), film["steady"], film["change"].astype(np.float32) / 2
    moves = change > max(LEAST_CHANGE, min(2 * float(np.quantile(change, 0.2)), 6))
    moves = ndimage.binary_opening(ndimage.binary_closing(moves, iterations=2), iterations=1)
    return flow, (steady > STEADY) & moves & (np.hypot(*flow) > LEAST_FLOW), moves


@torch.inference_mode()
def films_lines(look: Look, folder: Path) -> list[str]:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    lines = []
    with (folder / "films.csv").open(newline="") as file:
        films = [row for row in csv.DictReader(file) if row["kind"] not in ("plants", "cloth", "sky")]
    for film in films:
        flow, steady, moves = read_film(folder / f"{film['name']}.npz")
        with Image.open(folder / f"{film['name']}.jpg") as image:
            seen = look(to_tensor(np.array(image.convert("RGB"))))
        classes, (x, y) = (at_size(maps, moves.shape).numpy() for maps in (seen.classes, direction(seen)))
        sky = classes[1] > 0.5
        found, moves = (classes[0] < 0.5) & ~sky, moves & ~sky
        known = steady & found
        turned = np.angle((x + 1j * y) * (flow[0] - 1j * flow[1]))
        angles = np.degrees(np.abs(turned))[known]
        enough = known.sum() > FEW
        row = (iou(found, moves) if film["mask"] == "yes" else np.nan,
               float(np.median(angles)) if enough else np.nan, float((angles > 90).mean()) if enough else np.nan)
        rows.setdefault(film["kind"], []).append(row)
        lines.append("  {}: IoU {:.2f}, {:.0f} degrees off, {:.0%} against".format(film["name"], *row))
    for kind, values in sorted(rows.items()):
        overlaps, medians, against = np.array(values).T
        lines.append(f"{kind}: {len(values)} films, IoU {_mean(overlaps):.3f}, {_median(medians):.0f} degrees off,"
                     f" {_median(against):.1%} against")
    overlaps = np.array([row[0] for group in rows.values() for row in group])
    return [*lines, f"films: IoU outside the sky {_mean(overlaps):.3f}"]


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eye", type=Path, help="its weights")
    parser.add_argument("--photos", type=Path, help="a folder of photos, or a pack")
    parser.add_argument("--fold", choices=CHOICES, default=VALIDATION)
    parser.add_argument("--films", type=Path, help="a folder of films")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    look = look_with(options.eye)
    if options.photos:
        photos = read_photos(options.photos, options.fold, held_out=True, long_side=LONG_SIDE)
        print(*photos_lines(look, photos), sep="\n", flush=True)
    if options.films:
        print(*films_lines(look, options.films), sep="\n")


if __name__ == "__main__":
    main()
