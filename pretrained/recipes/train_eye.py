"""Train the eye: one network that sees what moves in a photo, what stands before it, and which way it goes.

    python pretrained/recipes/train_eye.py --photos DIR --minutes 600 --fold val
    python pretrained/recipes/train_eye.py --photos .pack/eye.npz --minutes 9 --batch 64 --workers 15     # on a GPU
    python pretrained/recipes/train_eye.py --export pretrained/eye.safetensors

`--fold` leaves out a fold of the photos (folds.py), and evaluate_eye.py measures on them. Training begins with a
backbone that was trained on ImageNet (`--backbone`), or goes on from an eye (`--start`). Each call resumes the last
one, and its minutes include those it takes to read the photos. The rate rises at the beginning of a call and falls to
its end, and weights are averaged (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017):
at a constant rate, four times as high, the network had unlearnt after two hours what it began with.

Every view has some of the labels (eye_data.py), and a loss only where it has them. While it is trained, the network
also says what a published parser of scenes took each place for (Hinton et al., "Distilling the knowledge in a neural
network", 2015): that teaches it what ground, walls, trees and roads are, of which labels only say that they stand.
fit_water.py and fit_patches.py come last.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, averaged, cosine, save_weights
from eye_data import UNKNOWN, Examples, Views, read_photos
from folds import CHOICES
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from stylecine.networks.decoder import Decoded
from stylecine.networks.eye import KINDS, Eye, Sight

CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 1.5)  # of static, sky, water, falls, smoke
PRESENT, ABSENT = 0.008, 0.0005  # of a view: with more of a class it is there, with less it is not
TRUST = 0.5  # exponent of the bounded loss where a label may be wrong: 0 is cross-entropy, 1 the absolute error
DROPPED = 0.1  # of the feature channels: a few hundred photos are soon learnt by heart
SCENES = 32  # classes of classes/ID.png
PEAK, PEAK_NEW, PEAK_BACKBONE = 3e-4, 1e-3, 1e-4  # learning rates: of decoders, of new ones, of the backbone
FROZEN = ("eye.backbone.stem", "eye.backbone.stages.0", "eye.backbone.stages.1")  # edges: a seventh of a step's work
HALF_LIFE = 300  # steps, of the averaged weights
COARSE = 0.4  # of the losses of the coarse layers
WEIGHTS = {
    "classes": 1.0, "stretches": 0.4, "presence": 0.2, "still": 0.5, "direction": 0.3, "kind": 0.2, "scene": 0.15,
}
FEW = 0.2  # mean weight of arrows in a batch that is half as important as one with many: skies are nominal
EVERY = 3.0  # minutes between two lines of the log, and two saved states


class Taught(nn.Module):
    """The eye with what is needed in training only."""

    def __init__(self, eye: Eye) -> None:
        super().__init__()
        self.eye = eye
        width = eye.decoder.coarse.in_channels
        self.scene, self.kind = nn.Conv2d(width, SCENES, 1), nn.Conv2d(width, len(KINDS), 1)

    def forward(self, photo: Tensor) -> tuple[Sight, Decoded, Tensor, Tensor]:
        """What it sees, what the classes are decoded from, and logits of the scene's classes [N,32,H/8,W/8] and of the
        kind of water [N,4,H/8,W/8]."""
        features = self.eye.backbone(photo.contiguous(memory_format=torch.channels_last))
        decoded = self.eye.decoder.decoded([F.dropout2d(maps, DROPPED, self.training) for maps in features])
        sight = self.eye.sight(photo, features, decoded)
        return sight, decoded, self.scene(decoded.eighth), self.kind(decoded.eighth)


def begin_with(eye: Eye, options: argparse.Namespace) -> None:
    """Another eye's weights, or those of a backbone that was trained on ImageNet and random decoders."""
    if options.start is not None:
        eye.load_state_dict(load_file(options.start))
    elif options.backbone is not None:
        eye.backbone.load_state_dict(load_file(options.backbone))
    else:
        raise SystemExit("Give --start or --backbone, whose weights to begin with.")


def losses(sight: Sight, decoded: Decoded, scene: Tensor, kind: Tensor, known: Examples) -> dict[str, Tensor]:
    """By the names of WEIGHTS."""
    coarse = F.avg_pool2d(known.classes, 4)
    weight = known.direction_weight
    arrows = weight.mean() / (weight.mean() + FEW)
    return {
        "classes": class_loss(sight.classes, known.classes) + COARSE * class_loss(decoded.coarse, coarse),
        "stretches": stretch_loss(sight.classes, known.classes, known.stretches),
        "presence": presence_loss(sight.presence, known.classes),
        "still": still_loss(sight.occluder[:, 0].float(), known.still, known.still_weight, known.doubtful),
        "direction": arrows * direction_loss(sight.direction, known.direction, weight, known.only_axis),
        "kind": labelled_loss(kind, known.kind),
        "scene": labelled_loss(scene, known.scene),
    }


def class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Weighted cross-entropy of the classes where they are known + soft Dice of what moves, each view alike."""
    shares = logits.float().log_softmax(1)
    weight, known = torch.tensor(CLASS_WEIGHTS, device=logits.device).view(1, -1, 1, 1), target.sum(1)
    entropy = -(weight * target * shares).sum() / known.sum().clamp_min(1)
    moves, truth = (1 - shares[:, 0].exp()) * known, known - target[:, 0]
    overlap, least = (moves * truth).sum((1, 2)), 0.003 * moves[0].numel()
    dice = 1 - (2 * overlap + least) / (moves.sum((1, 2)) + truth.sum((1, 2)) + least)
    return entropy + 0.5 * dice.mean()


def stretch_loss(logits: Tensor, target: Tensor, stretches: Tensor) -> Tensor:
    """Cross-entropy of stretches of water with what is around them, a brook weighing as much as a sea."""
    entropy = -(target * logits.float().log_softmax(1)).sum(1)
    return (stretches * entropy).sum() / stretches.sum().clamp_min(1)


def presence_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of whether each moving class is there, in views where more than a trace of it is or none."""
    areas = target.sum((2, 3))
    shares = areas[:, 1:] / areas.sum(1, keepdim=True).clamp_min(1)
    there, sure = shares > PRESENT, ((shares > PRESENT) | (shares < ABSENT)).float()
    total = F.binary_cross_entropy_with_logits(logits.float(), there.float(), sure, reduction="sum")
    return total / sure.sum().clamp_min(1)


def still_loss(logits: Tensor, static: Tensor, weight: Tensor, doubtful: Tensor) -> Tensor:
    """Cross-entropy, bounded where it is doubtful that a place moves (Zhang and Sabuncu 2018), + soft Dice of what
    was pasted and of what surely moves."""
    entropy = F.binary_cross_entropy_with_logits(logits, static, reduction="none")
    bounded = (1 - torch.sigmoid(-logits).clamp_min(1e-6) ** TRUST) / TRUST
    each = torch.where(doubtful > 0.5, bounded, entropy)
    clear, found = weight * (weight > 0.6), logits.sigmoid()
    dice = 1 - (2 * (clear * found * static).sum() + 1) / ((clear * (found + static)).sum() + 1)
    return (each * weight).sum() / weight.sum().clamp_min(1) + 0.5 * dice


def direction_loss(predicted: Tensor, target: Tensor, weight: Tensor, only_axis: Tensor) -> Tensor:
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


def labelled_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy where the label is known."""
    total = F.cross_entropy(logits.float(), label, ignore_index=UNKNOWN, reduction="sum")
    return total / (label != UNKNOWN).sum().clamp_min(1)


def batches(options: argparse.Namespace, seed: int) -> Iterator[Examples]:
    """Of views of the photos that are not held out, for ever."""
    views = Views(read_photos(options.photos, options.fold), options.batch, seed)
    return iter(DataLoader(views, batch_size=None, num_workers=options.workers))


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.backends.cudnn.benchmark = True  # views have two shapes only
    eye = Eye()
    if not run.state_path.exists():
        begin_with(eye, options)
    network = Taught(eye).to(run.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, half_life=HALF_LIFE)
    optimiser = torch.optim.AdamW(parameter_groups(network, options.start is None), betas=(0.9, 0.98))
    run.resume(network=network, average=average, optimiser=optimiser)
    examples = batches(options, options.seed + run.step)
    began = run.step
    values: list[dict[str, float]] = []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * cosine(run, began, step)
        known = next(examples).to(run.device)
        with run.autocast():
            sight, decoded, scene, kind = network(known.photo)
        parts = losses(sight, decoded, scene, kind, known)
        optimiser.zero_grad()
        torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum().backward()
        for group in optimiser.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        optimiser.step()
        average.update(step)
        values.append({name: part.item() for name, part in parts.items()})
        if run.due(EVERY):
            keep(run, network, average, optimiser, values)
    keep(run, network, average, optimiser, values)


def parameter_groups(network: Taught, new: bool) -> list[dict[str, Any]]:
    """What is trained, with the learning rates; the rest is frozen. new: whether the decoders know nothing yet."""
    for name in FROZEN:
        network.get_submodule(name).requires_grad_(False)
    for module in network.eye.backbone.modules():  # the gradient of depthwise filters: a third of a step's time
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.requires_grad_(False)
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    backbone = [parameter for name, parameter in named if name.startswith("eye.backbone.")]
    others = ("eye.backbone.", "eye.water.", "eye.patches.", "scene.", "kind.")
    decoders = [parameter for name, parameter in named if not name.startswith(others)]
    return [
        {"params": decoders, "peak": PEAK_NEW if new else PEAK, "weight_decay": 5e-2},
        {"params": [*network.scene.parameters(), *network.kind.parameters()], "peak": PEAK_NEW, "weight_decay": 5e-2},
        {"params": backbone, "peak": PEAK_BACKBONE, "weight_decay": 1e-2},
    ]


def keep(run: Run, network: Taught, average: Average, optimiser: torch.optim.Optimizer,
         values: list[dict[str, float]]) -> None:
    """Logs the losses since the last time, and saves the state."""
    run.log(**{name: float(np.mean([row[name] for row in values])) for name in WEIGHTS if values})
    values.clear()
    run.save(network=network, average=average, optimiser=optimiser)


def eye_tensors(state: Path) -> dict[str, Tensor]:
    """The averaged weights of a run, without those that only training needs."""
    return {name.removeprefix("eye."): x for name, x in averaged(state).items() if name.startswith("eye.")}


def main() -> None:
    parser = arguments(__doc__, ".runs/eye", export=True, batch=8)
    parser.add_argument("--fold", choices=CHOICES, help="photos to leave out")
    parser.add_argument("--start", type=Path, metavar="FILE", help="an eye to go on from, if there is no state")
    parser.add_argument("--backbone", type=Path, metavar="FILE", help="the published one, to begin with (README.md)")
    parser.add_argument("--workers", type=int, default=0, help="processes that make views; 0: this one")
    options = parser.parse_args()
    if options.export:
        save_weights(eye_tensors(options.out / "state.pt"), options.export, Eye)
    else:
        train(options)


if __name__ == "__main__":
    main()
