"""Train the network that predicts how cloth moves in a wind, on simulated clips.

    python pretrained/recipes/cloth/train_cloth_motion.py --clips DIR --minutes 60
    python pretrained/recipes/cloth/train_cloth_motion.py --clips DIR --export pretrained/cloth.safetensors

Views are augmented by mirroring, close-ups, occluders, and normals with errors like those of normals predicted from
photos. An uncertain prediction is smaller than the truth on average (regression to the mean): --export fits one factor
for displacement and one for normals on a part of the training clips, such that the amplitude equals the simulation's,
and folds the share `--calibrate` of it into the weights.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Batches, Clips, Views, load, misjudged, pictured
from cloth.figures import Predict, measure, moved_normals, predictor
from common import Average, Run, arguments, averaged, cosine, save_weights, sheet

from stylecine.networks.clothnet import LINEAR_FEATURES, UNITS, ClothNet, linear_features, phase_weights
from stylecine.networks.normalnet import NormalNet
from stylecine.weights import read_tensors

SIZE = 64  # of the views: the network's internal resolution
PHASES = 6  # per view and step
RATE = 2e-3
TUNING = 20  # one of as many training clips is kept for the calibration
MAX_CLOSURE = 0.4  # gap between a clip's end and start, of its path: open cycles cannot be predicted
ROUND = 1.0  # errors below this many units count quadratically


def loss(views: Views, answer: Tensor) -> Tensor:
    """Pseudo-Huber loss of displacement and normals in units of their usual size, of their spatial differences, which
    make folds visible, and of the mean displacement, which shows the wind's direction; where the cloth is visible."""
    units = torch.tensor(UNITS).to(answer)[:, None, None]
    guess = torch.cat([answer[:, :, :2], moved_normals(views, answer)], 2) / units
    truth = torch.cat([views.displacement, views.normals], 2) / units
    error, weight = guess - truth, views.weight
    far = (_pseudo_huber(error[:, :, :2]) + _pseudo_huber(error[:, :, 2:])) * weight
    along = error[..., 1:] - error[..., :-1]
    down = error[..., 1:, :] - error[..., :-1, :]
    jumps = (_pseudo_huber(along) * weight[..., 1:] * weight[..., :-1]).sum() + (
        _pseudo_huber(down) * weight[..., 1:, :] * weight[..., :-1, :]
    ).sum()
    drift = (error[:, :, :2] * weight).sum((3, 4), keepdim=True) / weight.sum((3, 4), keepdim=True).clamp_min(1)
    return (far.sum() + 0.5 * jumps) / weight.sum().clamp_min(1) + _pseudo_huber(drift).mean()


def _pseudo_huber(error: Tensor) -> Tensor:
    return (error.square().sum(2, keepdim=True) + ROUND**2).sqrt() - ROUND


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed)
    network = ClothNet()
    predict = predictor(network.coarse)
    if options.start:
        network.load_state_dict({name: tensor.float() for name, tensor in read_tensors(options.start).items()})
    network.to(run.device)
    average = Average(network, half_life=150)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    run.resume(network=network, average=average, optimiser=optimiser)
    clips, val = (load(options.clips, split, SIZE).closed(MAX_CLOSURE) for split in ("train", "held out"))
    clips = clips.parted(TUNING)[0]
    run.log(event="clips", train=len(clips), val=len(val))
    batches = Batches(clips, options.seed + run.step)
    seen = Degraded(options.normals, batches.rng)
    if run.step == 0:
        initialise(network, lambda phases: seen(batches(8, phases)), clips.normals.shape[1] - 1)
        average = Average(network, half_life=150)
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = RATE * cosine(run, first, step)
        views = batches(options.batch, PHASES)
        value = loss(views.to(run.device), predict(seen(views).to(run.device)))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(step - first)
        values.append(value.item())
        if run.due(4.0):
            finish(run, options, (network, average, optimiser), val, values)
            values = []
    finish(run, options, (network, average, optimiser), val, values or [math.nan])


@torch.no_grad()
def initialise(network: ClothNet, shown: Callable[[int], Views], phases: int, count: int = 100) -> None:
    """Fits the last layer's weights of the linear features by least squares on `count` batches of views at `phases`
    phases each, and scales down those of the U-Net's features, so that gradient descent starts from the linear fit."""
    squares = torch.zeros(LINEAR_FEATURES, LINEAR_FEATURES)
    moments = torch.zeros(LINEAR_FEATURES, network.leave.out_channels)
    for _ in range(count):
        views = shown(phases)
        strength = views.wind.norm(dim=1)[:, None, None, None]
        direction = views.wind / strength[:, :, 0, 0].clamp_min(1e-6)
        features = linear_features(views.still, views.mask, direction) * strength
        truth = torch.cat([views.displacement, views.normals - views.still[:, None]], 2)
        parts = torch.einsum("kp,npchw->nkchw", torch.linalg.pinv(phase_weights(views.phases)), truth)
        parts = (parts / network.units.cpu()[:, None, None]).flatten(1, 2) * views.weight.mean(1)
        squares += torch.einsum("nahw,nbhw->ab", features * views.weight.mean(1), features)
        moments += torch.einsum("nahw,nbhw->ab", features, parts)
    ridge = torch.diag(1e-4 * squares.diagonal() + 1e-3)
    weights = torch.linalg.solve(squares + ridge, moments).T
    network.leave.weight[:, -LINEAR_FEATURES:] = weights[:, :, None, None].to(network.leave.weight)
    network.leave.weight[:, :-LINEAR_FEATURES] *= 0.1
    if network.leave.bias is not None:
        network.leave.bias.zero_()


class Degraded:
    """Views with the errors of real input: a third with normals that a NormalNet (weights in `path`, if given) predicts
    from a rendered picture, a third to two thirds with random errors in the normals."""

    def __init__(self, path: Path | None, rng: np.random.Generator) -> None:
        self.network = None if path is None else NormalNet.from_tensors(read_tensors(path))
        self.rng = rng

    def __call__(self, views: Views) -> Views:
        chance = self.rng.random()
        if self.network is not None and chance < 0.33:
            return replace(views, still=pictured(views, self.network, self.rng))
        return replace(views, still=misjudged(views, self.rng)) if chance < 0.7 else views


def finish(
    run: Run,
    options: argparse.Namespace,
    parts: tuple[nn.Module, Average, torch.optim.Optimizer],
    val: Clips,
    values: list[float],
) -> None:
    network, average, optimiser = parts
    smooth = ClothNet()
    smooth.load_state_dict(average.shadow[0])
    smooth.to(run.device).eval()
    predict = predictor(smooth.coarse)
    run.log(loss=float(np.mean(values)), **measure(predict, val, 60))
    run.save(network=network, average=average, optimiser=optimiser)
    draw(predict, val, run.folder / "samples.png")


@torch.no_grad()
def draw(predict: Predict, clips: Clips, path: Path) -> None:
    """One row per clip: normals at rest; simulated and predicted ones at three phases; both displacements halfway."""
    rows = []
    for i in range(0, len(clips), max(1, len(clips) // 8)):
        at = torch.arange(1, 4) * clips.normals.shape[1] // 4
        views = clips.whole([i], at)
        answer = predict(views)
        weight = views.weight[0]
        pictures = [views.still[0], *(views.normals[0] * weight), *(moved_normals(views, answer)[0] * weight)]
        for shift in (views.displacement[0, 1], answer[0, 1, :2]):
            pictures.append(torch.cat([shift, torch.zeros_like(shift[:1])]) * 10 * weight[1])
        rows.append(pictures)
    sheet(rows, path)


def amplitude_factors(network: ClothNet, clips: Clips) -> Tensor:
    """Factors [CHANNELS] that make the network's amplitude (RMS over clips) equal to the simulation's."""
    figures = measure(predictor(network.coarse), clips)
    return torch.tensor([1 / figures["travel"]] * 2 + [1 / figures["relief"]] * 3)


def export(options: argparse.Namespace) -> None:
    """The averaged weights as float16 .safetensors, part of the calibration folded into the units."""
    network = ClothNet.from_tensors(averaged(options.out / "state.pt"))
    factors = amplitude_factors(network, load(options.clips, "train", SIZE).parted(TUNING)[1]) ** options.calibrate
    print("units times", [round(factor, 3) for factor in factors.tolist()])
    network.units *= factors
    save_weights(network.state_dict(), options.export, ClothNet)


def main() -> None:
    parser = arguments(__doc__, ".runs/cloth", photos=False)
    parser.set_defaults(batch=8)
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--start", type=Path, help="exported weights to start from (default: random)")
    parser.add_argument("--normals", type=Path, help="weights of a NormalNet whose predictions replace some normals")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the averaged weights and stop")
    parser.add_argument("--calibrate", type=float, default=1.0, help="share of the missing amplitude to add")
    options = parser.parse_args()
    if options.export:
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
