"""Compares the predicted motion of held-out simulated cloth with baselines: the table of pretrained/cards/cloth.md.

    python pretrained/recipes/cloth/evaluate_cloth.py --clips DIR [--motion FILE ...]

figures.py explains the columns.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Clips, Views, load
from cloth.figures import Predict, measure, predictor

from stylecine.networks.clothnet import CHANNELS, ClothNet
from stylecine.weights import PRETRAINED, read_tensors

MAX_CLOSURE = 0.2  # of the clips that are measured
SIZE = 64  # of the clips: the network's internal resolution
COLUMNS = {
    "normals": "normals, mean error (°)", "displacement": "displacement, RMS error (% of the side)",
    "relief": "amplitude of normals (× true)", "travel": "amplitude of displacement (× true)",
    "direction": "direction, median error (°)", "within_30": "within 30°",
}


def at_rest(views: Views) -> Tensor:
    """No motion."""
    return torch.zeros(*views.normals.shape[:2], CHANNELS, *views.mask.shape[2:])


def own_mean(views: Views) -> Tensor:
    """An oracle: each pixel's mean over the cycle of the clip itself, at all phases."""
    return _truth(views).mean(1, keepdim=True).expand(-1, views.normals.shape[1], -1, -1, -1)


def _truth(views: Views) -> Tensor:
    return torch.cat([views.displacement, views.normals - views.still[:, None]], 2)


def mean_cycles(clips: Clips, use_wind: bool) -> Predict:
    """The training clips' mean at each pixel and phase; with `use_wind` the best linear function of the wind."""
    phases = torch.arange(1, clips.normals.shape[1])
    winds = _features(clips.wind, use_wind)
    size, terms = clips.normals.shape[-1], winds.shape[1]
    moments = torch.zeros(terms, len(phases), CHANNELS, size, size)
    squares = torch.zeros(terms, terms, size, size)
    for i in range(len(clips)):
        views = clips.views([i], phases)
        truth = _truth(views)[0] * views.mask[0]
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
        predictions[str(path)] = predictor(ClothNet.from_tensors(read_tensors(path)).coarse)
    predictions["oracle: each view's own mean"] = own_mean
    print(f"{len(val)} held-out views\n\n| | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for name, predict in predictions.items():
        row = measure(predict, val)
        cells = [f"{row[key]:.0%}" if key == "within_30" else f"{row[key]:.2f}" for key in COLUMNS]
        print(f"| {name} | {' | '.join('–' if cell.startswith('nan') else cell for cell in cells)} |")


if __name__ == "__main__":
    main()
