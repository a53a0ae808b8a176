"""Accuracy of the predicted motion: angles to hand-drawn arrows, effect of one arrow, folds, divergence, shores.

    python -m benchmarks.studies.motion_quality PHOTOS --split PHOTOS/val.txt PHOTOS/val2.txt

PHOTOS holds images, labels and hints/ID.json (arrows). `constant` is the best constant direction of each group on the
photos that `--constants` names, `hindsight` the best one on the measured arrows themselves. Motion is predicted with
the labelled layers, to measure it in isolation, and with predicted ones. Running water is rivers, streams and surf:
water in photos that have falls as well, whose names begin with w-, or of which an arrow is not level (arrows of lakes
are nominal, and level). Sky, and calm water a second time, are measured by axis, since they might as well drift the
other way. For running water and falls, where there is a right direction, the error of the axis and the share of arrows
that run the wrong way (by more than 90 degrees) are told apart, with bootstrap intervals over the photos.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, read_label
from benchmarks.tables import command_line, save, table
from stylecine.engine.model_networks import Networks
from stylecine.movement.displacement import Canvas, integrate, margin_for
from stylecine.movement.motion import predict_motion
from stylecine.ops.displacement import hermite
from stylecine.ops.image import to_tensor
from stylecine.options import CLASSES, FALLS, SKY, WATER
from stylecine.perception.edges import erode
from stylecine.perception.layers import segment
from stylecine.perception.look import perceive
from stylecine.perception.see import Seen, see
from stylecine.picture.photo import load_photo

PERIOD, FPS = 120, 30.0  # the loop that displacements are taken from
GROUPS = ("falls", "running water", "calm water", "calm water by axis", "water", "smoke", "sky by axis")
STEEP = 0.3  # arrows of water that rise or sink by more than this share of their run were judged from the photo
UNMOVED = -1.0  # instead of an angle
DIRECTED = ("running water", "falls")  # groups that have a right direction
WRONG_WAY = 90.0  # degrees
RESAMPLES, COVERAGE = 2000, (2.5, 97.5)  # of the bootstrap; per cent
LIQUID = [WATER, FALLS]
SHAPE = ("unfolded_half", "unfolded_whole", "divergence", "shore_angle", "into_shore")

Predict = Callable[..., Tensor]  # (photo, layers or None for predicted ones, arrows=()) -> flow


@dataclass(frozen=True)
class Arrow:
    """A hand-drawn arrow, in fractions of width and height."""

    kind: str
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def points(self) -> tuple[float, float, float, float]:
        return (*self.start, *self.end)

    def angle(self, h: int, w: int) -> float:
        return math.atan2((self.end[1] - self.start[1]) * h, (self.end[0] - self.start[0]) * w)


def main() -> None:
    parser = command_line(__doc__, "motion")
    parser.add_argument("folder", type=Path, help="folder with images/, labels/ and hints/")
    parser.add_argument("--split", type=Path, nargs="+", help="text files with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels next to images)")
    parser.add_argument("--constants", type=Path, help="names whose arrows give the constants (PHOTOS/train.txt)")
    parser.add_argument("--limit", type=int, help="number of photos (default: all)")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks = Networks.from_pretrained(options.model, "cpu")

    splits = options.split or [None]
    photos = [photo for split in splits for photo in find_photos(options.folder, split, options.labels)]
    constants = constant_angles(find_photos(options.folder, options.constants or options.folder / "train.txt"))
    names = " + ".join(split.name for split in options.split or ()) or None
    settings = {"split": names, "model": networks.model.name, "eye": networks.model.files["eye"].sha256}
    measured = measure(photos[: options.limit], prediction_by(networks), constants)
    report = {"machine": machine(), "settings": settings} | measured
    save(options.out, report, markdown(report))


def measure(
    photos: Sequence[Photo], predict: Predict, constants: dict[str, float]
) -> dict[str, Any]:
    rows = [measure_photo(p, predict) for p in tqdm(photos, desc="motion", disable=None)]
    return {
        "groups": [_group(name, rows, constants) for name in GROUPS],
        "directed": [figure for group in DIRECTED for figure in _directed(group, rows)],
        "shape": _shape_of(rows),
    }


def prediction_by(networks: Networks) -> Predict:
    last: list[tuple[Tensor, Seen]] = []  # photo, and what is seen in it

    def predict(photo: Tensor, layers: Tensor | None, arrows: Sequence[Sequence[float]] = ()) -> Tensor:
        if not last or last[0][0] is not photo:
            last[:] = [(photo, see(photo, networks.eye, networks.refiner))]
        seen = last[0][1]
        layers = segment(photo, seen) if layers is None else layers
        return predict_motion(perceive(photo, layers, seen, arrows=arrows))

    return predict


def measure_photo(photo: Photo, predict: Predict) -> dict[str, Any]:
    """One photo's errors in degrees by group, and the shape of its field; lists and numbers."""
    assert photo.label is not None
    pixels = load_photo(photo.path, None)
    image = to_tensor(pixels)
    labelled = labelled_layers(photo.label, pixels.shape[:2])
    arrows = arrows_of(photo)
    flow, predicted = predict(image, labelled), predict(image, None)
    at_arrow, at_others = errors_with_one_arrow(image, labelled, arrows, predict)
    return {
        "photo": photo.name,
        "arrows": angles_by_group(photo, flow, arrows),
        "labelled": errors_by_group(photo, flow, arrows),
        "predicted": errors_by_group(photo, predicted, arrows),
        "at_one": at_arrow,
        "others_of_one": at_others,
    } | shape_of(image, labelled, flow)


def labelled_layers(label: Path, size: tuple[int, int]) -> Tensor:
    """[4,H,W] in {0,1}."""
    classes = torch.from_numpy(read_label(label, size).astype(np.int64))
    return F.one_hot(classes, 5).permute(2, 0, 1)[1:].float()


def arrows_of(photo: Photo) -> list[Arrow]:
    path = photo.path.parent.parent / "hints" / f"{photo.name}.json"
    hints = json.loads(path.read_text())["arrows"] if path.is_file() else []
    return [Arrow(a["class"], (*a["at"],), (*a["to"],)) for a in hints if a["class"] in CLASSES]


def groups_of(kind: str, running: bool) -> tuple[str, ...]:
    """The groups to which an arrow of this class belongs."""
    if kind == "water":
        return ("water", "running water") if running else ("water", "calm water", "calm water by axis")
    return ("sky by axis",) if kind == "sky" else (kind,)


def has_running_water(photo: Photo, arrows: Sequence[Arrow]) -> bool:
    """Whether the direction of its water can be seen, as in the recipe."""
    with Image.open(photo.path) as image:
        w, h = image.size
    slopes = [abs(math.sin(arrow.angle(h, w))) for arrow in arrows if arrow.kind == "water"]
    has_falls = any(arrow.kind == "falls" for arrow in arrows)
    return has_falls or photo.name.startswith("w-") or max(slopes, default=0) > math.sin(math.atan(STEEP))


def by_group(photo: Photo, arrows: Sequence[Arrow], values: Sequence[float]) -> dict[str, list[float]]:
    running = has_running_water(photo, arrows)
    grouped: dict[str, list[float]] = {}
    for arrow, value in zip(arrows, values, strict=True):
        for group in groups_of(arrow.kind, running):
            grouped.setdefault(group, []).append(value)
    return grouped


def angles_by_group(photo: Photo, flow: Tensor, arrows: Sequence[Arrow]) -> dict[str, list[float]]:
    """The angles of the arrows in degrees, in the flow's proportions."""
    h, w = flow.shape[1:]
    return by_group(photo, arrows, [round(math.degrees(a.angle(h, w)), 2) for a in arrows])


def errors_by_group(photo: Photo, flow: Tensor, arrows: Sequence[Arrow]) -> dict[str, list[float]]:
    """Angle between flow and arrow at each arrow's start, in degrees; UNMOVED where nothing moves."""
    grouped = by_group(photo, arrows, [_error(flow, a) for a in arrows])
    return {group: [_folded(group, v) for v in values] for group, values in grouped.items()}


def _error(flow: Tensor, arrow: Arrow) -> float:
    h, w = flow.shape[1:]
    x, y = flow[:, min(h - 1, int(arrow.start[1] * h)), min(w - 1, int(arrow.start[0] * w))].tolist()
    if math.hypot(x, y) < 1e-6:
        return UNMOVED
    return abs(_wrapped(math.degrees(math.atan2(y, x) - arrow.angle(h, w))))


def _wrapped(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


def _folded(group: str, error: float) -> float:
    return round(min(error, 180 - error) if group.endswith("by axis") and error != UNMOVED else error, 2)


def errors_with_one_arrow(
    image: Tensor, layers: Tensor, arrows: Sequence[Arrow], predict: Predict
) -> tuple[list[float], list[float]]:
    """Errors if only one arrow is given, for each arrow: at that arrow, and at the others of its region."""
    at, others = [], []
    regions = [_region(layers, arrow) for arrow in arrows]
    for arrow, region in zip(arrows, regions, strict=True):
        flow = predict(image, layers, arrows=[arrow.points])
        at.append(round(_error(flow, arrow), 2))
        others += [
            round(_error(flow, other), 2)
            for other, place in zip(arrows, regions, strict=True)
            if place == region and other is not arrow
        ]
    return at, others


def _region(layers: Tensor, arrow: Arrow) -> int:
    """The arrow's region as in `predict_motion`: the whole sky (-1), or connected water, falls and smoke."""
    if arrow.kind == "sky":
        return -1
    h, w = layers.shape[1:]
    small = F.interpolate(layers[None], (256 * h // min(h, w), 256 * w // min(h, w)), mode="area")[0]
    moving = small.amax(0).numpy() > 0.05
    labels = ndimage.label(moving & (small.argmax(0).numpy() != SKY), structure=np.ones((3, 3)))[0]
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    row, column = int(arrow.start[1] * labels.shape[0]), int(arrow.start[0] * labels.shape[1])
    return int(labels[tuple(nearest)][min(row, labels.shape[0] - 1), min(column, labels.shape[1] - 1)])


def shape_of(image: Tensor, layers: Tensor, flow: Tensor) -> dict[str, float]:
    """Properties of a field that need no arrows; empty if nothing moves.

    unfolded_*: share of moving grid points at which the Jacobian of x + D(x) is positive after half and one whole
    sub-cycle. divergence: median change of area in 4 s over water and falls. shore_angle: median angle between flow and
    static border, degrees; into_shore: speed across the border relative to the usual speed.
    """
    moving = erode(layers, image).moves
    if not bool((moving > 0.5).any()):
        return {}
    figures = unfolded(flow, moving)
    owner = F.interpolate(layers[None], flow.shape[1:], mode="area")[0].numpy()
    liquid = owner[LIQUID].sum(0) > 0.5
    inside = ndimage.binary_erosion(liquid, iterations=2, border_value=1)
    if inside.any():
        v = flow.numpy()
        divergence = np.gradient(v[0], axis=1) + np.gradient(v[1], axis=0)
        figures["divergence"] = float(np.median(np.abs(divergence[inside]))) * PERIOD
    return figures | shores(flow.numpy(), liquid, owner.sum(0) > 0.5)


def unfolded(flow: Tensor, moving: Tensor) -> dict[str, float]:
    margin = margin_for(flow, moving, PERIOD, FPS)
    displacement = integrate(flow, moving, period=PERIOD, fps=FPS, margin=margin)
    grid = (displacement.sub_cycle.shape[0], displacement.sub_cycle.shape[1])
    size = (moving.shape[0], moving.shape[1])
    here = Canvas(size, grid, displacement.cell, margin).sampled(moving[None])[0] > 0.5
    shares = {}
    for name, phase in (("half", 0.5), ("whole", 1.0)):
        positive = torch.zeros_like(here)
        for kind, length in enumerate(displacement.lengths):
            forward = displacement.positions[:, 0], displacement.rates[:, 0], displacement.stride
            positive |= (_jacobian(hermite(*forward, length * phase)) > 0) & (displacement.sub_cycle == kind)
        shares[f"unfolded_{name}"] = float(positive[here].float().mean())
    return shares


def _jacobian(displacement: Tensor) -> Tensor:
    (xy, xx), (yy, yx) = (torch.gradient(part) for part in displacement)
    return (1 + xx) * (1 + yy) - xy * yx


def shores(flow: np.ndarray, liquid: np.ndarray, moves: np.ndarray) -> dict[str, float]:
    """At points of water and falls two grid points from what is static."""
    if moves.all():
        return {}
    distance = ndimage.distance_transform_edt(moves)
    at = liquid & (distance > 1) & (distance <= 3)
    at[[0, -1]], at[:, [0, -1]] = False, False
    if not at.any():
        return {}
    normal = np.stack(np.gradient(ndimage.gaussian_filter(distance, 2.0))[::-1])[:, at]
    across = np.abs((flow[:, at] * normal).sum(0)) / (np.linalg.norm(normal, axis=0) + 1e-6)
    speed = np.linalg.norm(flow[:, at], axis=0) + 1e-9
    usual = float(np.median(np.linalg.norm(flow[:, liquid], axis=0))) + 1e-9
    angle = np.degrees(np.arcsin(np.clip(across / speed, 0, 1)))
    return {"shore_angle": float(np.median(angle)), "into_shore": float(across.mean()) / usual}


def constant_angles(photos: Sequence[Photo]) -> dict[str, float]:
    """For each group the direction in degrees with the smallest median angle to its arrows."""
    angles: dict[str, list[float]] = {}
    for photo in photos:
        h, w = load_photo(photo.path, 256).shape[:2]
        for group, values in angles_by_group(photo, torch.empty(2, h, w), arrows_of(photo)).items():
            angles.setdefault(group, []).extend(values)
    return {group: best_constant(group, values) for group, values in angles.items()}


def best_constant(group: str, angles: Sequence[float]) -> float:
    return min(range(-180, 180), key=lambda c: median_to(group, angles, c))


def median_to(group: str, angles: Sequence[float], constant: float) -> float:
    return float(np.median([_folded(group, abs(_wrapped(a - constant))) for a in angles]))


def _group(name: str, rows: Sequence[dict[str, Any]], constants: dict[str, float]) -> dict[str, Any]:
    """One line of the table: the flow compared with constant directions."""
    labelled, predicted, angles = (
        [v for row in rows for v in row[key].get(name, ())] for key in ("labelled", "predicted", "arrows")
    )
    if not angles:
        return {"group": name, "n": 0}
    moved = [v for v in predicted if v != UNMOVED]
    return {
        "group": name,
        "n": len(angles),
        "photos": sum(bool(row["labelled"].get(name)) for row in rows),
        "median": float(np.median(labelled)),
        "mean": float(np.mean(labelled)),
        "constant": median_to(name, angles, constants[name]) if name in constants else None,
        "constant_degrees": constants.get(name),
        "hindsight": median_to(name, angles, best_constant(name, angles)),
        "predicted_layers": float(np.median(moved)) if moved else None,
        "unmoved": len(predicted) - len(moved),
    }


def _directed(group: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of the table of errors with their intervals: with labelled layers and, if there are any, predicted ones."""
    lines = []
    for layers in ("labelled", "predicted"):
        moved = ([v for v in row[layers].get(group, ()) if v != UNMOVED] for row in rows)
        errors = [photo for photo in moved if photo]
        lines += [
            {"group": group, "layers": layers, "figure": figure, "photos": len(errors)} | with_interval(errors, value)
            for figure, value in (("error", np.median), ("axis error", axis_error), ("wrong way", wrong_way))
            if errors
        ]
    return lines


def axis_error(errors: np.ndarray) -> float:
    """The median, in degrees, of what remains of errors if opposite directions count as equal."""
    return float(np.median(np.minimum(errors, 180 - errors)))


def wrong_way(errors: np.ndarray) -> float:
    """The share of errors, in degrees, of more than a right angle."""
    return float((errors > WRONG_WAY).mean())


def with_interval(photos: Sequence[Sequence[float]], figure: Callable[[np.ndarray], Any]) -> dict[str, float]:
    """A figure of the errors of all photos together, and its 95% interval by a bootstrap over photos (Efron 1979)."""
    random = np.random.default_rng(0)
    draws = random.integers(0, len(photos), (RESAMPLES, len(photos)))
    resampled = [float(figure(np.concatenate([photos[i] for i in draw]))) for draw in draws]
    low, high = np.percentile(resampled, COVERAGE)
    return {"value": float(figure(np.concatenate(photos))), "low": float(low), "high": float(high)}


def _shape_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    values = {name: [v for row in rows for v in row[name]] for name in ("at_one", "others_of_one")}
    values |= {name: [row[name] for row in rows if name in row] for name in SHAPE}
    return [
        {
            "figure": name,
            "n": len(each),
            "median": float(np.median(each)),
            "mean": float(np.mean(each)),
            "worst": min(each) if name.startswith("unfolded") else max(each),
        }
        for name, each in values.items()
        if each
    ]


def markdown(report: dict[str, Any]) -> str:
    columns = ("group", "n", "photos", "median", "mean", "constant", "hindsight", "predicted_layers", "unmoved")
    return (
        "Angle between flow and arrow, degrees.\n\n"
        + table(report["groups"], columns)
        + "\nWith 95% intervals; wrong way is a share of the arrows.\n\n"
        + table(report["directed"], ("group", "layers", "figure", "photos", "value", "low", "high"))
        + "\n"
        + table(report["shape"], ("figure", "n", "median", "mean", "worst"))
    )


if __name__ == "__main__":
    main()
