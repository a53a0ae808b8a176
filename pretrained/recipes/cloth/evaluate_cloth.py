"""The predicted motion of held-out simulated cloth against baselines.

    python pretrained/recipes/cloth/evaluate_cloth.py --clips DIR

Writes benchmarks/results/cloth_simulated.json and .md; figures.py and the card explain the columns.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Clips, Views, load, pictured
from cloth.figures import Predict, mean_displacement, measure, predictor

from stylecine.networks.clothnet import CHANNELS, ClothNet, at_phases, phase_weights
from stylecine.networks.normalnet import NormalNet
from stylecine.weights import read_tensors

ROOT = Path(__file__).resolve().parents[3]
MAX_CLOSURE = 0.2  # of a clip that is measured: others are no cycles
SIZE = 64  # of the clips: the network's internal resolution
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
ANGLES = (0, 45, 135, 180, 225, 315)  # degrees; all have a sideways component
COLUMNS = {
    "normals": "normals, mean error (°)", "displacement": "displacement, RMS error (% of the side)",
    "relief": "amplitude of normals (× true)", "travel": "amplitude of displacement (× true)",
    "direction": "direction, median error (°)", "within_30": "within 30°",
}


def at_rest(views: Views) -> Tensor:
    """No motion."""
    return torch.zeros(*views.normals.shape[:2], CHANNELS, *views.mask.shape[2:])


def own_mean(views: Views) -> Tensor:
    """Hindsight: the mean over the cycle of each pixel of a clip, at all phases."""
    return _truth(views).mean(1, keepdim=True).expand(-1, views.normals.shape[1], -1, -1, -1)


def own_harmonics(views: Views) -> Tensor:
    """Hindsight: the best fit of four harmonics to each clip, a bound for any network that predicts harmonics."""
    fit = torch.linalg.pinv(phase_weights(views.phases))
    return at_phases(torch.einsum("kp,npchw->nkchw", fit, _truth(views)), views.phases)


def _truth(views: Views) -> Tensor:
    return torch.cat([views.displacement, views.normals - views.still[:, None]], 2)


def mean_cycles(clips: Clips, use_wind: bool) -> Predict:
    """The training clips' mean at each pixel and phase; with `use_wind` the best linear function of the wind."""
    at = torch.arange(1, clips.normals.shape[1])
    winds = _features(clips.wind, use_wind)
    size, terms = clips.normals.shape[-1], winds.shape[1]
    moments = torch.zeros(terms, len(at), CHANNELS, size, size)
    squares = torch.zeros(terms, terms, size, size)
    for i in range(len(clips)):
        views = clips.whole([i], at)
        truth = _truth(views)[0] * views.mask[0]
        moments += winds[i][:, None, None, None, None] * truth
        squares += (winds[i][:, None] * winds[i])[:, :, None, None] * views.mask[0]
    ridge = 0.1 * torch.eye(terms)  # pixels that few clips cover
    inverse = torch.linalg.inv(squares.permute(2, 3, 0, 1) + ridge).permute(2, 3, 0, 1)
    cycle = torch.einsum("abhw,bpchw->apchw", inverse, moments)
    return lambda views: torch.einsum("na,apchw->npchw", _features(views.wind, use_wind), cycle)


def _features(wind: Tensor, use_wind: bool) -> Tensor:
    return torch.cat([wind.norm(dim=1, keepdim=True), wind], 1) if use_wind else torch.ones(len(wind), 1)


def from_pictures(network: ClothNet, normals: NormalNet, seed: int = 0) -> Predict:
    """With normals predicted from a rendered picture, as from a photo, instead of the simulated ones."""
    rng = np.random.default_rng(seed)
    return lambda views: predictor(network.coarse)(replace(views, still=pictured(views, normals, rng)))


@torch.no_grad()
def steering(network: ClothNet, clips: Clips) -> dict[str, float]:
    """Shares of clips in which displacement and normal change grow with every step of STRENGTHS, in the direction
    of their own wind; and of clips and ANGLES in which the mean displacement is to the side the wind blows to."""
    stages = clips.normals.shape[1]
    grows, sides = [], []
    for i in range(len(clips)):
        views = clips.whole([i], torch.arange(1, stages))
        direction = views.wind / views.wind.norm().clamp_min(1e-6)
        amplitudes = torch.stack([_amplitude(network, views, direction * strength) for strength in STRENGTHS])
        grows.append((amplitudes.diff(dim=0) > 0).all(0))
        for angle in ANGLES:
            radians = np.radians(angle)
            wind = 0.6 * torch.tensor([[np.cos(radians), np.sin(radians)]], dtype=torch.float32)
            answer = predictor(network.coarse)(replace(views, wind=wind))[:, :, :2]
            sides.append(bool(mean_displacement(answer, views.mask[:, None].expand(-1, stages - 1, -1, -1, -1))[0]
                              * wind[0, 0] > 0))
    displacement, normals = torch.stack(grows).float().mean(0).tolist()
    return {"displacement_grows": displacement, "normals_grow": normals, "side": float(np.mean(sides))}


def _amplitude(network: ClothNet, views: Views, wind: Tensor) -> Tensor:
    """Root mean square over the cycle of displacement and of normal change, [2]."""
    answer = predictor(network.coarse)(replace(views, wind=wind)) * views.mask[:, None]
    return torch.stack([answer[:, :, :2].square().mean().sqrt(), answer[:, :, 2:].square().mean().sqrt()])


def rows(options: argparse.Namespace, loose: Clips) -> dict[str, dict[str, float]]:
    """The table, on held-out clips: closed ones only, except in the last two rows."""
    val = loose.closed(MAX_CLOSURE)
    network = ClothNet.from_tensors(read_tensors(options.motion))
    predictions: dict[str, Predict] = {"no motion": at_rest}
    if options.train_mean:
        train = load(options.clips, "train", SIZE)
        predictions |= {
            "mean cycle of the training clips": mean_cycles(train, use_wind=False),
            "the same, linear in the wind": mean_cycles(train, use_wind=True),
        }
    predictions |= {
        "hindsight: each clip's own mean": own_mean,
        "hindsight: each clip's first four harmonics": own_harmonics,
        "ours, as it comes with the package": predictor(network.coarse),
    }
    if options.plain:
        plain = ClothNet.from_tensors(read_tensors(options.plain))
        predictions["ours, before the calibration of its amplitude"] = predictor(plain.coarse)
    if options.normals.exists():
        normals = NormalNet.from_tensors(read_tensors(options.normals))
        predictions["ours, from a rendered picture instead of normals"] = from_pictures(network, normals)
    table = {name: measure(predict, val) for name, predict in predictions.items()}
    table["all clips, closed or not: no motion"] = measure(at_rest, loose)
    table["all clips, closed or not: ours"] = measure(predictor(network.coarse), loose)
    return table


def markdown(table: dict[str, dict[str, float]]) -> str:
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in table.items():
        cells = [f"{row[key]:.0%}" if key == "within_30" else f"{row[key]:.2f}" for key in COLUMNS]
        lines.append(f"| {name} | {' | '.join('–' if cell.startswith('nan') else cell for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--motion", type=Path, default=ROOT / "pretrained/cloth.safetensors")
    parser.add_argument("--normals", type=Path, default=ROOT / "pretrained/normals.safetensors")
    parser.add_argument("--plain", type=Path, help="the motion network exported with --calibrate 0")
    parser.add_argument("--train-mean", action="store_true", help="also baselines that read the training clips")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/cloth_simulated.json")
    options = parser.parse_args()
    torch.manual_seed(0)
    with torch.no_grad():
        loose = load(options.clips, "held out", SIZE)
        table = rows(options, loose)
    val = loose.closed(MAX_CLOSURE)
    steered = steering(ClothNet.from_tensors(read_tensors(options.motion)), val)
    result = {"clips": len(val), "all": len(loose), "rows": table, "steering": steered}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(table)
    options.out.with_suffix(".md").write_text(text)
    print(text, steered)


if __name__ == "__main__":
    main()
