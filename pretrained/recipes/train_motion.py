"""Train the motion network: which way clouds, water, falls and smoke go, from hand-drawn arrows.

    python pretrained/recipes/train_motion.py --photos DIR --minutes 10
    python pretrained/recipes/train_motion.py --export pretrained/motion.safetensors

Arrows are spread over the region they lie in, and count less the further away they are. Half the time some
of the arrows are given to the network as hints, so that it learns to follow a user's. A view without hints
is never mirrored: calm skies and lakes could drift either way, and a network that has seen both would say
neither.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments
from data import Sample
from labelled import View, look, photometric, random_view, read_small
from safetensors.torch import save_file
from torch import Tensor

from stylecine.motion import HINT_RADIUS, UNIT
from stylecine.networks.motionnet import MotionNet

SIZE = 128
CLASSES = ("sky", "water", "falls", "smoke")
CLASS_WEIGHTS = (0.0, 0.6, 1.0, 2.5, 1.5)
SPREAD = 0.2  # of the photo: how far an arrow's word carries


@dataclass(frozen=True)
class Target:
    """What a photo's arrows say everywhere: velocity [2,h,w] in fractions of its sides, and its weight."""

    velocity: Tensor
    weight: Tensor  # [1,h,w]


def arrow_array(sample: Sample) -> np.ndarray:
    """[A,5]: x0, y0, x1, y1, class 1..4."""
    rows = [
        [*a["at"], *a["to"], CLASSES.index(a["class"]) + 1] for a in sample.arrows if a["class"] in CLASSES
    ]
    return np.array(rows, np.float32).reshape(-1, 5)


def spread(sample: Sample) -> Target:
    """Inverse-square interpolation of the arrows, each class from its own."""
    h, w = (max(8, round(n * 96 / min(sample.label.shape))) for n in sample.label.shape)
    label = F.interpolate(sample.label[None, None].float(), (h, w), mode="nearest-exact")[0, 0].numpy()
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = (x + 0.5) / w, (y + 0.5) / h
    velocity, weight = np.zeros((2, h, w), np.float32), np.zeros((1, h, w), np.float32)
    arrows = arrow_array(sample)
    for k in (1, 2, 3, 4):
        own = arrows[arrows[:, 4] == k]
        if not len(own):
            continue
        squared = (x - own[:, 0, None, None]) ** 2 + (y - own[:, 1, None, None]) ** 2
        share = 1 / (squared + 0.03**2) ** 1.5
        field = np.tensordot((own[:, 2:4] - own[:, :2]).T, share / share.sum(0), 1)
        certainty = np.exp(-squared.min(0) / (2 * SPREAD**2)) * CLASS_WEIGHTS[k]
        velocity = np.where(label == k, field, velocity).astype(np.float32)
        weight = np.where(label == k, certainty, weight).astype(np.float32)
    return Target(torch.from_numpy(velocity), torch.from_numpy(weight))


def in_view(view: View, velocity: Tensor) -> Tensor:
    """Velocities in fractions of a photo's sides -> of the view's, in UNITs."""
    inverse = torch.from_numpy(np.linalg.inv(view.matrix[:, :2]))
    return torch.einsum("ij,jhw->ihw", inverse, velocity) / UNIT


def hints_of(view: View, arrows: np.ndarray) -> Tensor:
    """Arrows [A,5] drawn as the network reads them: velocity and confidence, [3,S,S]."""
    hints = torch.zeros(3, SIZE, SIZE)
    linear, shift = view.matrix[:, :2], view.matrix[:, 2]
    inverse = np.linalg.inv(linear)
    grid = (torch.arange(SIZE) + 0.5) / SIZE
    for x0, y0, x1, y1, _ in arrows:
        at = (inverse @ (np.array([x0, y0]) * 2 - 1 - shift) + 1) / 2
        motion = inverse @ np.array([x1 - x0, y1 - y0]) / UNIT
        blob = torch.exp(-((grid[None] - at[0]) ** 2 + (grid[:, None] - at[1]) ** 2) / (2 * HINT_RADIUS**2))
        known = torch.cat([blob * motion[0], blob * motion[1], blob]).view(3, SIZE, SIZE).float()
        hints = torch.where(blob > hints[2], known, hints)
    return hints


class Batches:
    def __init__(self, samples: list[Sample], seed: int) -> None:
        self.samples = [s for s in samples if len(arrow_array(s))]
        self.targets = [spread(s) for s in self.samples]
        self.rng = np.random.default_rng(seed)
        falls = np.array([bool((arrow_array(s)[:, 4] == 3).any()) for s in self.samples])
        rivers = np.array([s.id.startswith("w-") for s in self.samples])
        weight = 1 + 2 * falls + 1.5 * rivers
        self.chances = weight / weight.sum()

    def __call__(self, count: int) -> list[Tensor]:
        """photos, layers, hints [n,*,S,S]; targets [n,2,S/2,S/2], weights [n,1,S/2,S/2]."""
        chosen = self.rng.choice(len(self.samples), count, p=self.chances)
        return [torch.stack(part) for part in zip(*(self._view(i) for i in chosen), strict=True)]

    def _view(self, i: int) -> tuple[Tensor, ...]:
        sample, target = self.samples[i], self.targets[i]
        hinted = self.rng.random() < 0.5
        view = random_view(self.rng, SIZE)
        while not hinted and np.linalg.det(view.matrix[:, :2]) < 0:
            view = random_view(self.rng, SIZE)
        photo = photometric(self.rng, look(view, sample.photo.float() / 255)) * 2 - 1
        label = look(view, sample.label[None].float(), mode="nearest")[0].long()
        layers = F.one_hot(label, 5).permute(2, 0, 1)[1:].float()
        arrows = arrow_array(sample)
        given = arrows[self.rng.random(len(arrows)) < self.rng.random()] if hinted else arrows[:0]
        velocity = F.avg_pool2d(in_view(view, look(view, target.velocity)), 2)
        weight = F.avg_pool2d(look(view, target.weight) * (layers.sum(0, keepdim=True) > 0), 2)
        return photo, layers, hints_of(view, given), velocity, weight


def loss(answer: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Distance + direction, weighted; and no jumps where nobody said anything."""
    answer = answer.float()
    distance = (answer - target).square().sum(1, keepdim=True).add(1e-4).sqrt()
    direction = 1 - F.cosine_similarity(answer, target, dim=1, eps=1e-3)[:, None]
    told = (weight * (distance + direction)).sum() / weight.sum().clamp_min(1e-3)
    jumps = (answer[..., 1:] - answer[..., :-1]).square().mean() + (
        answer[..., 1:, :] - answer[..., :-1, :]
    ).square().mean()
    return told + 0.5 * jumps


@torch.no_grad()
def evaluate(network: MotionNet, samples: list[Sample], device: torch.device) -> dict[str, float]:
    """Median angle in degrees between answer and arrow at the arrows' tails, by class; nothing is hinted."""
    errors: dict[str, list[float]] = {name: [] for name in CLASSES}
    identity = View(
        F.affine_grid(torch.eye(2, 3)[None], [1, 1, SIZE, SIZE], align_corners=False),
        np.eye(2, 3, dtype=np.float32),
    )
    for sample in samples:
        photo = look(identity, sample.photo.float() / 255) * 2 - 1
        layers = (
            F.one_hot(look(identity, sample.label[None].float(), "nearest")[0].long(), 5)
            .permute(2, 0, 1)[1:]
            .float()
        )
        answer = network(
            photo[None].to(device), layers[None].to(device), torch.zeros(1, 3, SIZE, SIZE, device=device)
        )[0].cpu()
        for x0, y0, x1, y1, k in arrow_array(sample):
            at = torch.tensor([[[[x0 * 2 - 1, y0 * 2 - 1]]]])
            u, v = (
                F.grid_sample(answer[None], at, align_corners=False, padding_mode="border").flatten().tolist()
            )
            angle = math.degrees(math.atan2(v, u) - math.atan2(y1 - y0, x1 - x0))
            errors[CLASSES[int(k) - 1]].append(abs((angle + 180) % 360 - 180))
    return {name: float(np.median(values)) for name, values in errors.items() if values}


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed)
    network = MotionNet().to(run.device)
    average = Average(network, half_life=100)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    run.resume(network=network, average=average)
    batches = Batches(read_small(options.photos, "train.txt", 320), options.seed + run.step)
    val = read_small(options.val or options.photos, "val.txt", 320)
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = (
                2e-3
                * min(1, (step - first + 1) / 50)
                * (0.02 + 0.49 * (1 + math.cos(math.pi * run.fraction)))
            )
        photos, layers, hints, target, weight = (part.to(run.device) for part in batches(options.batch))
        with run.autocast():
            answer = network(photos.contiguous(memory_format=torch.channels_last), layers, hints)
        value = loss(answer, target, weight)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(step - first)
        values.append(value.item())
        if run.due():
            finish(run, network, average, val, values)
            values = []
    finish(run, network, average, val, values or [math.nan])


def finish(run: Run, network: MotionNet, average: Average, val: list[Sample], values: list[float]) -> None:
    smooth = MotionNet().to(run.device)
    smooth.load_state_dict(average.shadow[0])
    run.log(loss=float(np.mean(values)), **evaluate(smooth, val, run.device))
    run.save(network=network, average=average)


def export(state: Path, path: Path) -> None:
    """The averaged weights as float16 .safetensors."""
    average = torch.load(state, map_location="cpu", weights_only=True)["average"]["0"]
    tensors = {name: tensor.half().contiguous() for name, tensor in average.items()}
    save_file(tensors, path, metadata={"network": "stylecine.networks.motionnet.MotionNet", "format": "pt"})
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = arguments(__doc__, ".runs/motion")
    parser.set_defaults(batch=16)
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the averaged weights and stop")
    next(action for action in parser._actions if action.dest == "photos").required = False
    options = parser.parse_args()
    if options.export:
        export(options.out / "state.pt", options.export)
    else:
        train(options)


if __name__ == "__main__":
    main()
