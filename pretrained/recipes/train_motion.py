"""Train the motion network: which way clouds, water, falls and smoke go, from hand-drawn arrows.

    python pretrained/recipes/train_motion.py --photos DIR --minutes 60
    python pretrained/recipes/train_motion.py --photos DIR --minutes 30 --refine pretrained/motion.safetensors
    python pretrained/recipes/train_motion.py --export pretrained/motion.safetensors

`--refine` goes on from finished weights, for new arrows or a segmenter whose backbone has changed a little.
Arrows are interpolated over the region they lie in, with a weight that falls with the distance. In three of ten views
some arrows are drawn as hints, often a single one, so that the network learns to follow a user's. Views are mirrored
and tilted. Calm skies and lakes could drift either way, and a network that has seen both would predict neither: in
mirrored views without hints only their axis counts. Running water is rare, and sampled six times as often as lakes.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Run, Training, arguments, save_weights
from data import Sample
from labelled import View, look, photometric, read_small, tinted
from safetensors.torch import load_file
from torch import Tensor

from stylecine.movement.motion import predict_motion
from stylecine.networks.motionnet import MotionNet, cues
from stylecine.networks.segmenter import Segmenter
from stylecine.perception.directions import HINT_RADIUS, NETWORK_SHORT, UNIT
from stylecine.perception.look import perceive

SHAPES = ((NETWORK_SHORT, NETWORK_SHORT * 3 // 2), (NETWORK_SHORT * 3 // 2, NETWORK_SHORT), (320, 320))
SHAPE_CHANCES = (0.6, 0.25, 0.15)
SEGMENTER = Path(__file__).resolve().parents[1] / "segmenter.safetensors"
RATE = 1.5e-3
POOL, FIRST, RENEWED = 6000, 1500, 3  # views that are kept, that are there at the start, and that each batch adds
CELL = 8  # pixels of a view per cell of the prediction
LONG_SIDE = 480  # of the photos in memory
CLASSES = ("sky", "water", "falls", "smoke")
SKY, WATER, FALLS, SMOKE = 1, 2, 3, 4
CLASS_WEIGHTS = (0.0, 0.3, 1.0, 2.0, 0.7)
STEEP = 0.3  # arrows of water that rise or sink by more than this share of their run were judged from the photo
SPREAD = 0.2  # of the photo: standard deviation of an arrow's weight


@dataclass(frozen=True)
class Target:
    """A photo's arrows, interpolated."""

    velocity: Tensor  # [2,h,w] in fractions of the photo's sides
    weight: Tensor  # [1,h,w]


def arrow_array(sample: Sample) -> np.ndarray:
    """[A,5]: x0, y0, x1, y1, class 1..4."""
    rows = [[*a["at"], *a["to"], CLASSES.index(a["class"]) + 1] for a in sample.arrows if a["class"] in CLASSES]
    return np.array(rows, np.float32).reshape(-1, 5)


def one_hot(sample: Sample) -> Tensor:
    """The label as layers [4,h,w]."""
    return (sample.label == torch.arange(1, 5)[:, None, None]).float()


def has_running_water(sample: Sample) -> bool:
    """Whether the direction of its water can be seen: rivers, streams, surf, pools below falls.

    Arrows of lakes are nominal, and level.
    """
    arrows = arrow_array(sample)
    h, w = sample.label.shape
    run, rise = np.abs((arrows[:, 2:4] - arrows[:, :2]) * (w, h)).T
    judged = sample.id.startswith("w-") | (rise > STEEP * run)
    return bool((arrows[:, 4] == FALLS).any() or ((arrows[:, 4] == WATER) & judged).any())


def interpolate_arrows(sample: Sample) -> Target:
    """Each class from its own arrows, the nearest ones with the largest weights."""
    h, w = (max(8, round(n * 96 / min(sample.label.shape))) for n in sample.label.shape)
    label = F.interpolate(sample.label[None, None].float(), (h, w), mode="nearest-exact")[0, 0].numpy()
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = (x + 0.5) / w, (y + 0.5) / h
    velocity, weight = np.zeros((2, h, w), np.float32), np.zeros((1, h, w), np.float32)
    arrows = arrow_array(sample)
    for k in (SKY, WATER, FALLS, SMOKE):
        own = arrows[arrows[:, 4] == k]
        if not len(own):
            continue
        squared = (x - own[:, 0, None, None]) ** 2 + (y - own[:, 1, None, None]) ** 2
        share = 1 / (squared + 0.03**2) ** 1.5
        field = np.tensordot((own[:, 2:4] - own[:, :2]).T, share / share.sum(0), 1)
        # a narrow stream has as many arrows as a wide one
        rarity = CLASS_WEIGHTS[k] / math.sqrt((label == k).mean() + 0.01)
        certainty = np.exp(-squared.min(0) / (2 * SPREAD**2)) * rarity * (2 if has_running_water(sample) else 1)
        velocity = np.where(label == k, field, velocity).astype(np.float32)
        weight = np.where(label == k, certainty, weight).astype(np.float32)
    return Target(torch.from_numpy(velocity), torch.from_numpy(weight))


def tilted_view(rng: np.random.Generator, photo: tuple[int, int], view: tuple[int, int], tilt: float) -> View:
    """A random window of size `view` (h, w) in a photo of (h, w): 0.5 to 1 of the largest, mirrored half the time,
    hardly stretched, rotated with a standard deviation of `tilt` degrees."""
    largest = min(photo[0] / view[0], photo[1] / view[1])
    scale = largest * math.exp(rng.uniform(math.log(0.5), 0)) if rng.random() < 0.7 else largest
    stretch = math.exp(rng.normal(0, 0.06))
    sx, sy = min(scale * stretch, photo[1] / view[1]), min(scale / stretch, photo[0] / view[0])
    room = np.array([1 - sx * view[1] / photo[1], 1 - sy * view[0] / photo[0]])
    angle = math.radians(rng.normal(0, tilt))
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scales = np.diag([sx * (-1 if rng.random() < 0.5 else 1), sy])
    linear = np.diag([1 / photo[1], 1 / photo[0]]) @ rotation @ scales @ np.diag(view[::-1])
    matrix = np.concatenate([linear, (room * rng.uniform(-1, 1, 2))[:, None]], 1).astype(np.float32)
    return View(_grid_of(matrix, view), matrix)


def _grid_of(matrix: np.ndarray, size: tuple[int, int]) -> Tensor:
    return F.affine_grid(torch.from_numpy(matrix)[None], [1, 1, *size], align_corners=False)


def in_view(view: View, velocity: Tensor) -> Tensor:
    """Velocities [2,...] in fractions of a photo's sides -> in UNITs of the view's short side."""
    h, w = view.grid.shape[1:3]
    matrix = np.diag([w, h]) @ np.linalg.inv(view.matrix[:, :2]) / (UNIT * min(h, w))
    return torch.tensordot(torch.from_numpy(matrix.astype(np.float32)), velocity, 1)


def hints_of(view: View, arrows: np.ndarray) -> Tensor:
    """Arrows [A,5] as the network's input: direction and confidence, [3,h,w]."""
    h, w = view.grid.shape[1:3]
    hints = torch.zeros(3, h, w)
    inverse, shift = np.linalg.inv(view.matrix[:, :2]), view.matrix[:, 2]
    y, x = torch.arange(h)[:, None] + 0.5, torch.arange(w)[None] + 0.5
    for x0, y0, x1, y1, _ in arrows:
        column, row = (inverse @ (np.array([x0, y0]) * 2 - 1 - shift) + 1) / 2 * (w, h)
        velocity = in_view(view, torch.tensor([x1 - x0, y1 - y0]))
        blob = torch.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * (HINT_RADIUS * min(h, w)) ** 2))
        hint = torch.cat([velocity / velocity.norm().clamp_min(1e-6), torch.ones(1)])[:, None, None] * blob
        hints = torch.where(blob > hints[2], hint.float(), hints)
    return hints


class Batches:
    """Random views of photos with arrows."""

    def __init__(self, samples: list[Sample], seed: int) -> None:
        self.samples = [s for s in samples if len(arrow_array(s))]
        self.targets = [interpolate_arrows(s) for s in self.samples]
        self.running = [has_running_water(s) for s in self.samples]
        self.rng = np.random.default_rng(seed)
        classes = [set(arrow_array(s)[:, 4]) for s in self.samples]
        only_sky = np.array([c == {SKY} for c in classes])
        self.chances = np.where(self.running, 6.0, np.where(only_sky, 0.1, 1.0))

    def __call__(self, count: int, shape: tuple[int, int]) -> list[Tensor]:
        """photos, layers, hints [n,*,h,w]; velocities [n,2,h/8,w/8], their weights and whether only their axis counts
        [n,1,h/8,w/8]."""
        aspects = np.array([s.label.shape[0] / s.label.shape[1] for s in self.samples])
        aspect = shape[0] / shape[1]
        chances = self.chances * np.minimum(aspects / aspect, aspect / aspects) ** 1.5
        chosen = self.rng.choice(len(self.samples), count, p=chances / chances.sum())
        return [torch.stack(part) for part in zip(*(self._view(i, shape) for i in chosen), strict=True)]

    def _view(self, i: int, shape: tuple[int, int]) -> tuple[Tensor, ...]:
        rng, sample, target = self.rng, self.samples[i], self.targets[i]
        arrows = arrow_array(sample)
        hints = self._hints(arrows) if rng.random() < 0.3 else arrows[:0]
        hinted = set(hints[:, 4].astype(int))
        view = tilted_view(rng, (sample.label.shape[0], sample.label.shape[1]), shape, 12.0 if hinted else 4.0)
        coarse = View(_grid_of(view.matrix, (shape[0] // CELL, shape[1] // CELL)), view.matrix)

        drifting = [SKY, SMOKE] if self.running[i] else [SKY, SMOKE, WATER]
        label = look(coarse, sample.label[None].float(), "nearest")
        velocity, weight = in_view(view, look(coarse, target.velocity)), look(coarse, target.weight) * (label > 0)
        mirrored = bool(np.linalg.det(view.matrix[:, :2]) < 0)
        only_axis = mirrored * torch.isin(label, torch.tensor([float(k) for k in drifting if k not in hinted]))
        reversed_ = [float(k) for k in drifting if k in hinted and rng.random() < 0.3]
        velocity = torch.where(torch.isin(label, torch.tensor(reversed_)), -velocity, velocity)
        opposite = np.isin(hints[:, 4], reversed_)
        hints[opposite, 2:4] = (2 * hints[:, :2] - hints[:, 2:4])[opposite]

        photo = look(view, sample.photo.float() / 255)
        photo = photometric(rng, tinted(rng, photo) if rng.random() < 0.15 else photo) * 2 - 1
        return photo, self._layers(view, sample), hints_of(view, hints), velocity, weight, only_axis

    def _hints(self, arrows: np.ndarray) -> np.ndarray:
        """Some arrows: mostly one each of a class or two, at times any number."""
        if self.rng.random() < 0.3:
            return arrows[self.rng.random(len(arrows)) < self.rng.random()]
        order = arrows[self.rng.permutation(len(arrows))]
        first = [int(np.flatnonzero(order[:, 4] == k)[0]) for k in set(order[:, 4])]
        return order[[at for at in first if self.rng.random() < 0.7]]

    def _layers(self, view: View, sample: Sample) -> Tensor:
        """As if predicted: with soft borders, and falls at times taken for water."""
        layers = one_hot(sample)
        if self.rng.random() < 0.15:
            layers[WATER - 1] += layers[FALLS - 1]
            layers[FALLS - 1] = 0
        return look(view, layers)


def loss(predicted: Tensor, target: Tensor, weight: Tensor, only_axis: Tensor) -> Tensor:
    """Angle (its size, which is robust, and 1 - cosine, which weighs large errors more) and a little distance, both
    weighted; and smoothness everywhere."""
    predicted = predicted.float()
    opposite = only_axis & ((predicted * target).sum(1, keepdim=True) < 0)
    target = torch.where(opposite, -target, target)
    distance = (predicted - target).square().sum(1, keepdim=True).add(1e-4).sqrt()
    cosine = F.cosine_similarity(predicted, target, dim=1, eps=1e-3)[:, None]
    angle = (2 - 2 * cosine).clamp_min(0).add(1e-3).sqrt()
    error = (weight * (angle + 1 - cosine + 0.3 * distance)).sum() / weight.sum().clamp_min(1e-3)
    return error + 0.2 * sum(predicted.diff(dim=axis).square().mean() for axis in (3, 2))


@torch.no_grad()
def evaluate(network: MotionNet, samples: list[Sample]) -> dict[str, float]:
    """Median angle in degrees between the predicted motion and the arrows, by class; running water apart."""
    errors: dict[str, list[float]] = {"running": [], "falls": []}
    for sample in samples:
        flow = predict_motion(perceive(sample.photo.float() / 127.5 - 1, one_hot(sample), network, edges=False))
        h, w = flow.shape[1:]
        for x0, y0, x1, y1, k in arrow_array(sample):
            u, v = flow[:, min(h - 1, int(y0 * h)), min(w - 1, int(x0 * w))].tolist()
            angle = math.degrees(math.atan2(v, u) - math.atan2((y1 - y0) * h, (x1 - x0) * w))
            name = "running" if k == WATER and has_running_water(sample) else CLASSES[int(k) - 1]
            errors.setdefault(name, []).append(abs((angle + 180) % 360 - 180))
    return {name: float(np.median(values or [math.nan])) for name, values in sorted(errors.items())}


class Pool:
    """Random views with their features, which cost many times what a step of the decoder does: each is used several
    times, and every batch replaces the oldest."""

    def __init__(self, batches: Batches, network: MotionNet, run: Run) -> None:
        self.batches, self.network, self.run = batches, network, run
        self.rng = np.random.default_rng(run.step)
        self.views: list[list[tuple[Tensor, ...]]] = [[] for _ in SHAPES]

    def __call__(self, count: int) -> list[Tensor]:
        """`count` views of one shape: features at 1/8, 1/16 and 1/32, cues, velocities, weights, only_axis."""
        shape = int(self.rng.choice(len(SHAPES), p=SHAPE_CHANCES))
        views = self.views[shape]
        while len(views) < max(count, FIRST * SHAPE_CHANCES[shape]):
            views.extend(self._new_views(shape, count))
        views.extend(self._new_views(shape, RENEWED))
        del views[: max(0, len(views) - round(POOL * SHAPE_CHANCES[shape]))]
        chosen = self.rng.choice(len(views), count, replace=False)
        parts = zip(*(views[i] for i in chosen), strict=True)
        return [torch.stack(part).to(self.run.device).float() for part in parts]

    @torch.no_grad()
    def _new_views(self, shape: int, count: int) -> list[tuple[Tensor, ...]]:
        photos, layers, hints, *target = (part.to(self.run.device) for part in self.batches(count, SHAPES[shape]))
        with self.run.autocast():
            features = self.network.features(photos)
        parts = *features, cues(photos, layers, hints), *target
        return [tuple(part.half().cpu() for part in view) for view in zip(*parts, strict=True)]


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    segmenter = Segmenter.from_tensors({name: t.float() for name, t in load_file(options.segmenter).items()})
    network = MotionNet(segmenter.backbone).to(run.device)
    if options.refine:
        network.decoder.load_state_dict(load_file(options.refine))
    training = Training(run, network.decoder, rate=RATE, weight_decay=0.1, half_life=200)
    samples = read_small(options.photos, "train.txt", LONG_SIDE)
    pool = Pool(Batches(samples, options.seed + run.step), network, run)
    folder = options.val or options.photos
    splits = [name for name in ("val.txt", "val2.txt") if (folder / name).exists()]
    held_out = [sample for name in splits or ["val.txt"] for sample in read_small(folder, name, LONG_SIDE)]

    def batch_loss() -> Tensor:
        *features, given, velocity, weight, only_axis = pool(options.batch)
        with run.autocast():
            predicted = network.decoder(features, given)
        return loss(predicted, velocity, weight, only_axis > 0)

    def judged(tensors: dict[str, Tensor]) -> dict[str, float]:
        figures = evaluate(MotionNet.from_tensors(tensors, segmenter.backbone), held_out)
        keep_best(run.folder, tensors, figures["running"] + figures["falls"])
        return figures

    training.fit(batch_loss, judged)


def keep_best(folder: Path, tensors: dict[str, Tensor], error: float) -> None:
    """Hundreds of photos are learnt by heart in time: best.pt holds the averaged weights with the lowest error."""
    best = folder / "best.txt"
    if not best.exists() or error < float(best.read_text()):
        best.write_text(str(error))
        torch.save(tensors, folder / "best.pt")


def main() -> None:
    parser = arguments(__doc__, ".runs/motion", export=True, batch=24)
    parser.add_argument("--segmenter", type=Path, default=SEGMENTER, help="weights of the backbone to decode")
    parser.add_argument("--refine", type=Path, metavar="FILE", help="a motion network to go on from")
    options = parser.parse_args()
    if options.export:
        best = torch.load(options.out / "best.pt", map_location="cpu", weights_only=True)
        save_weights(best, options.export, MotionNet)
    else:
        train(options)


if __name__ == "__main__":
    main()
