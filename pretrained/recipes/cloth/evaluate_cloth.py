"""Compares the predicted motion of held-out simulated cloth with baselines: the table of pretrained/cards/cloth.md.

    python pretrained/recipes/cloth/evaluate_cloth.py --clips DIR [--motion FILE ...]

`measure` explains the columns.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Clips, Views, at_phases, load

from stylecine.networks.clothnet import CHANNELS, ClothNet
from stylecine.weights import PRETRAINED, read_tensors

Predict = Callable[[Views], Tensor]
"""Views -> displacement and normal change at their phases, [N,P,5,S,S]."""

MIN_DISPLACEMENT = 0.005  # of the side: a smaller mean has no reliable direction
MAX_CLOSURE = 0.2  # of the clips that are measured
SIZE = 64  # of the clips: the network's internal resolution
COLUMNS = {
    "normals": "normals, mean error (°)", "displacement": "displacement, RMS error (% of the side)",
    "relief": "amplitude of normals (× true)", "travel": "amplitude of displacement (× true)",
    "direction": "direction, median error (°)", "within_30": "within 30°",
}


def predictor(network: ClothNet) -> Predict:
    """The network's prediction for views of SIZE."""
    return lambda views: at_phases(network.coarse(views.still, views.mask, views.wind), views.phases)


def moved_normals(views: Views, predicted: Tensor) -> Tensor:
    """Unit normals [N,P,3,S,S]: those at rest plus the predicted change."""
    return F.normalize(views.still[:, None] + predicted[:, :, 2:], dim=2)


@torch.no_grad()
def measure(predict: Predict, clips: Clips, limit: int | None = None) -> dict[str, float]:
    """Means over clips (at most `limit`, evenly chosen), each at all phases except rest:

    normals: mean angle in degrees to the simulated normals, where the cloth is visible both then and at rest;
    displacement: RMS error in % of the side;
    relief, travel: RMS of the predicted normal change and displacement, relative to the simulation's;
    direction, within_30: median angle in degrees between predicted and simulated mean displacement over the cycle, and
    the share of clips within 30°, among the share `directed` of clips in which the simulated one is not tiny.
    """
    phases = torch.arange(1, clips.normals.shape[1])
    angles, errors, direction_errors, powers = [], [], [], torch.zeros(4, dtype=torch.float64)
    count = min(len(clips), limit or len(clips))
    for i in range(count):
        views = clips.views([i * len(clips) // count], phases)
        predicted = predict(views)
        displacement, normals = predicted[:, :, :2], moved_normals(views, predicted)
        weight, area, still = views.weight, views.weight.sum(), views.still[:, None]
        if area == 0:
            continue
        cosine = (normals * views.normals).sum(2, keepdim=True).clamp(-1, 1)
        angles.append(math.degrees(float((cosine.acos() * weight).sum() / area)))
        errors.append(100 * float(((displacement - views.displacement).square() * weight).sum() / area) ** 0.5)
        changes = (normals - still, views.normals - still, displacement, views.displacement)
        powers += torch.stack([(change.square() * weight).sum() / area for change in changes])
        mean, truth = mean_displacement(displacement, weight), mean_displacement(views.displacement, weight)
        if truth.norm() > MIN_DISPLACEMENT:
            cosine = F.cosine_similarity(mean, truth, 0).clamp(-1, 1)
            direction_errors.append(math.degrees(math.acos(float(cosine))))
    directions = torch.tensor(direction_errors or [math.nan])
    relief, travel = (powers[::2] / powers[1::2].clamp_min(1e-12)).sqrt().tolist()
    return {
        "normals": sum(angles) / len(angles), "displacement": sum(errors) / len(errors), "relief": relief,
        "travel": travel, "direction": float(directions.median()), "within_30": float((directions < 30).float().mean()),
        "directed": len(direction_errors) / count,
    }


def mean_displacement(displacement: Tensor, weight: Tensor) -> Tensor:
    """Mean [2] over cloth and cycle, rest included, of one view's displacement [1,P,2,S,S] and weight [1,P,1,S,S]."""
    phases = displacement.shape[1]
    return (displacement * weight).sum((0, 1, 3, 4)) / weight.sum().clamp_min(1e-6) * phases / (phases + 1)


def at_rest(views: Views) -> Tensor:
    """No motion."""
    return torch.zeros(*views.normals.shape[:2], CHANNELS, *views.mask.shape[2:])


def own_mean(views: Views) -> Tensor:
    """An oracle: each pixel's mean over the cycle of the clip itself, at all phases."""
    return views.changes().mean(1, keepdim=True).expand(-1, views.normals.shape[1], -1, -1, -1)


def mean_cycles(clips: Clips, use_wind: bool) -> Predict:
    """The training clips' mean at each pixel and phase; with `use_wind` the best linear function of the wind."""
    phases = torch.arange(1, clips.normals.shape[1])
    winds = _features(clips.wind, use_wind)
    size, terms = clips.normals.shape[-1], winds.shape[1]
    moments = torch.zeros(terms, len(phases), CHANNELS, size, size)
    squares = torch.zeros(terms, terms, size, size)
    for i in range(len(clips)):
        views = clips.views([i], phases)
        truth = views.changes()[0] * views.mask[0]
        moments += winds[i][:, None, None, None, None] * truth
        squares += (winds[i][:, None] * winds[i])[:, :, None, None] * views.mask[0]
    ridge = 0.1 * torch.eye(terms)  # for pixels that few clips cover
    inverse = torch.linalg.inv(squares.permute(2, 3, 0, 1) + ridge).permute(2, 3, 0, 1)
    cycle = torch.einsum("abhw,bpchw->apchw", inverse, moments)
    return lambda views: torch.einsum("na,apchw->npchw", _features(views.wind, use_wind), cycle)


def _features(wind: Tensor, use_wind: bool) -> Tensor:
    return torch.cat([wind.norm(dim=1, keepdim=True), wind], 1) if use_wind else torch.ones(len(wind), 1)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--motion", type=Path, nargs="+", default=[PRETRAINED / "cloth.safetensors"],
                        help="weights of motion networks")
    options = parser.parse_args()
    train, val = load(options.clips, "train", SIZE), load(options.clips, "held out", SIZE).closed(MAX_CLOSURE)
    predictions = {
        "no motion": at_rest,
        f"mean cycle of {len(train)} training views": mean_cycles(train, use_wind=False),
        "the same, linear in the wind": mean_cycles(train, use_wind=True),
    }
    for path in options.motion:
        predictions[str(path)] = predictor(ClothNet.from_tensors(read_tensors(path)))
    predictions["oracle: each view's own mean"] = own_mean
    print(f"{len(val)} held-out views\n\n| | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for name, predict in predictions.items():
        row = measure(predict, val)
        cells = [f"{row[key]:.0%}" if key == "within_30" else f"{row[key]:.2f}" for key in COLUMNS]
        print(f"| {name} | {' | '.join('–' if cell.startswith('nan') else cell for cell in cells)} |")


if __name__ == "__main__":
    main()
