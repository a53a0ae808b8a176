"""Train the network that predicts how cloth moves in a wind, on simulated clips.

    python pretrained/recipes/cloth/train_cloth_motion.py --clips DIR --minutes 60
    python pretrained/recipes/cloth/train_cloth_motion.py --clips DIR --export pretrained/cloth.safetensors

Views are augmented by mirroring, close-ups, occluders, and normals with errors like those of normals predicted from
photos. An uncertain prediction is smaller than the truth on average (regression to the mean), so --export fits one
factor for displacement and one for normals on a part of the training clips, such that the amplitude equals the
simulation's. It folds the share `--calibrate` of them into the weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Batches, Clips, Views, load, phase_weights, predict_from_picture, with_errors
from cloth.evaluate_cloth import Predict, measure, moved_normals, predictor
from common import Average, Run, Training, arguments, averaged, save_weights, sheet

from stylecine.networks.clothnet import LINEAR_FEATURES, UNITS, ClothNet, linear_features
from stylecine.networks.normalnet import NormalNet
from stylecine.weights import read_tensors

SIZE = 64  # of the views: the network's internal resolution
PHASES = 6  # per view and step
HALF_LIFE = 150  # steps, of the averaged weights
CALIBRATION_EVERY = 20  # of the training clips, every 20th is kept for the calibration
MAX_CLOSURE = 0.4  # open cycles cannot be predicted


def loss(views: Views, predicted: Tensor) -> Tensor:
    """Pseudo-Huber loss of displacement and normals in units of their usual size, of their spatial differences, which
    make folds visible, and of the mean displacement, which shows the wind's direction; where the cloth is visible."""
    units = torch.tensor(UNITS).to(predicted)[:, None, None]
    guess = torch.cat([predicted[:, :, :2], moved_normals(views, predicted)], 2) / units
    truth = torch.cat([views.displacement, views.normals], 2) / units
    error, weight = guess - truth, views.weight
    pointwise = (_pseudo_huber(error[:, :, :2]) + _pseudo_huber(error[:, :, 2:])) * weight
    across = _pseudo_huber(error.diff(dim=4)) * weight[..., 1:] * weight[..., :-1]
    down = _pseudo_huber(error.diff(dim=3)) * weight[..., 1:, :] * weight[..., :-1, :]
    mean = (error[:, :, :2] * weight).sum((3, 4), keepdim=True) / weight.sum((3, 4), keepdim=True).clamp_min(1)
    total = pointwise.sum() + 0.5 * (across.sum() + down.sum())
    return total / weight.sum().clamp_min(1) + _pseudo_huber(mean).mean()


def _pseudo_huber(error: Tensor) -> Tensor:
    return (error.square().sum(2, keepdim=True) + 1).sqrt() - 1


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    network = ClothNet().to(run.device)
    training = Training(run, network, rate=2e-3, weight_decay=0.02, half_life=HALF_LIFE)
    clips, val = (load(options.clips, split, SIZE).closed(MAX_CLOSURE) for split in ("train", "held out"))
    clips = clips.split_off(CALIBRATION_EVERY)[0]
    run.log(event="clips", train=len(clips), val=len(val))
    batches = Batches(clips, options.seed + run.step)
    normals = NormalNet.from_tensors(read_tensors(options.normals)) if options.normals else None
    if run.step == 0:
        phases = clips.normals.shape[1] - 1
        initialise(network, lambda: degrade(batches(8, phases), normals, batches.rng))
        training.average = Average(network, half_life=HALF_LIFE)

    def batch_loss() -> Tensor:
        views = batches(options.batch, PHASES)
        degraded = degrade(views, normals, batches.rng)
        return loss(views.to(run.device), predictor(network)(degraded.to(run.device)))

    def evaluate(tensors: dict[str, Tensor]) -> dict[str, float]:
        predict = predictor(ClothNet.from_tensors(tensors))
        draw(predict, val, run.folder / "samples.png")
        return measure(predict, val, 60)

    training.fit(batch_loss, evaluate)


@torch.no_grad()
def initialise(network: ClothNet, make_views: Callable[[], Views], count: int = 100) -> None:
    """Lets gradient descent start from a linear fit: in the last layer, the weights of the linear features are fitted
    by least squares on `count` batches of views at all phases; those of the U-Net's features are reduced."""
    squares = torch.zeros(LINEAR_FEATURES, LINEAR_FEATURES)
    moments = torch.zeros(LINEAR_FEATURES, network.leave.out_channels)
    for _ in range(count):
        views = make_views()
        strength = views.wind.norm(dim=1)[:, None, None, None]
        direction = views.wind / strength[:, :, 0, 0].clamp_min(1e-6)
        features = linear_features(views.still, views.mask, direction) * strength
        parts = torch.einsum("kp,npchw->nkchw", torch.linalg.pinv(phase_weights(views.phases)), views.changes())
        parts = (parts / network.units.cpu()[:, None, None]).flatten(1, 2) * views.weight.mean(1)
        squares += torch.einsum("nahw,nbhw->ab", features * views.weight.mean(1), features)
        moments += torch.einsum("nahw,nbhw->ab", features, parts)
    ridge = torch.diag(1e-4 * squares.diagonal() + 1e-3)
    weights = torch.linalg.solve(squares + ridge, moments).T
    network.leave.weight[:, -LINEAR_FEATURES:] = weights[:, :, None, None].to(network.leave.weight)
    network.leave.weight[:, :-LINEAR_FEATURES] *= 0.1
    if network.leave.bias is not None:
        network.leave.bias.zero_()


def degrade(views: Views, network: NormalNet | None, rng: np.random.Generator) -> Views:
    """Gives views the errors of real input: a third get normals that the network, if there is one, predicts from a
    rendered picture, a third to two thirds random errors in the normals."""
    chance = rng.random()
    if network is not None and chance < 0.33:
        return replace(views, still=predict_from_picture(views, network, rng))
    return replace(views, still=with_errors(views, rng)) if chance < 0.7 else views


@torch.no_grad()
def draw(predict: Predict, clips: Clips, path: Path) -> None:
    """One row per clip: normals at rest; simulated and predicted ones at three phases; both displacements halfway."""
    rows = []
    for i in range(0, len(clips), max(1, len(clips) // 8)):
        views = clips.views([i], torch.arange(1, 4) * clips.normals.shape[1] // 4)
        predicted, weight = predict(views), views.weight[0]
        pictures = [views.still[0], *(views.normals[0] * weight), *(moved_normals(views, predicted)[0] * weight)]
        for displacement in (views.displacement[0, 1], predicted[0, 1, :2]):
            pictures.append(torch.cat([displacement, torch.zeros_like(displacement[:1])]) * 10 * weight[1])
        rows.append(pictures)
    sheet(rows, path)


def export(options: argparse.Namespace) -> None:
    """The averaged weights as float16 .safetensors, part of the calibration folded into the units."""
    network = ClothNet.from_tensors(averaged(options.out / "state.pt"))
    clips = load(options.clips, "train", SIZE).split_off(CALIBRATION_EVERY)[1]
    amplitudes = measure(predictor(network), clips)
    factors = torch.tensor([1 / amplitudes["travel"]] * 2 + [1 / amplitudes["relief"]] * 3) ** options.calibrate
    print("units times", [round(factor, 3) for factor in factors.tolist()])
    network.units *= factors
    save_weights(network.state_dict(), options.export, ClothNet)


def main() -> None:
    parser = arguments(__doc__, ".runs/cloth", photos=False, export=True, batch=8)
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--normals", type=Path, help="weights of a NormalNet whose predictions replace some normals")
    parser.add_argument("--calibrate", type=float, default=1.0, help="share of the missing amplitude to add")
    options = parser.parse_args()
    if options.export:
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
