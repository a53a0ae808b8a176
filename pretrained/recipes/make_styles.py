"""Named styles: w+ of golden hour, dusk, night ..., from photos labelled by their appearance in appearances.csv.

    python pretrained/recipes/make_styles.py --photos PHOTOS --weights pretrained --out pretrained/styles.safetensors

Each begins with the mean w+ of the clearest photos of an appearance. Adam then moves it, at a price for its way, to
where photos of any appearance, decoded with it, have the colours of the photos of that appearance, class by class.
"""

from __future__ import annotations

import argparse
import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from appearances import resized
from common import save_weights
from labelled import read_small
from torch import Tensor
from train_generator import decode, load_stage

from stylecine.ops.image import fit_short_side
from stylecine.options import STYLES
from stylecine.picture.style import StyleNets

LABELS = Path(__file__).with_name("appearances.csv")  # id, appearance, and strength: 3 for textbook examples
CLEAR, CLEAREST = 2, 3
BATCH = 8  # photos of a step
STEPS, RATE = 80, 0.03  # of Adam, on the coefficients of the encoder's basis
PRICE = 2e-3  # of a squared coefficient
SIDE, PIXELS = 128, 400  # short side of a decoded photo; pixels of a group of a photo that are compared
PROJECTIONS, QUANTILES = 32, 41
LONG_SIDE = 384

Colours = dict[int, Tensor]  # [P,3] by group


@dataclass(frozen=True)
class Photo:
    """A small photo: F [1,C,·,·] and groups [4,h,w] in [0,1]."""

    feature: Tensor
    groups: Tensor


def colours_of(image: Tensor, groups: Tensor, rng: np.random.Generator) -> Colours:
    """Some pixels of each group of an image [3,h,w]."""
    found = {}
    for k, group in enumerate(groups.flatten(1) > 0.5):
        places = group.nonzero().flatten()
        if len(places) >= PIXELS:
            found[k] = image.flatten(1)[:, torch.from_numpy(rng.choice(places.numpy(), PIXELS))].T
    return found


def quantiles(colours: list[Colours], lines: Tensor) -> Colours:
    """Of the colours of all, projected on lines [3,J]: [QUANTILES,J] by group."""
    levels = torch.linspace(0, 1, QUANTILES)
    present = {k for each in colours for k in each}
    return {k: torch.quantile(torch.cat([c[k] for c in colours if k in c]) @ lines, levels, dim=0) for k in present}


def distance(a: Colours, b: Colours) -> Tensor:
    """Mean over common groups of the sliced Wasserstein distance, from `quantiles`."""
    return torch.stack([(a[k] - b[k]).abs().mean() for k in a.keys() & b.keys()]).mean()


def optimised(
    start: Tensor, wanted: list[Colours], photos: list[Photo], nets: StyleNets
) -> tuple[Tensor, float]:
    """w+ [L,512] near `start`, and the distance that is left."""
    rng = np.random.default_rng(0)
    lines = torch.from_numpy(rng.normal(size=(3, PROJECTIONS))).float()
    lines /= lines.norm(dim=0)
    target, basis = quantiles(wanted, lines), nets.encoder.basis.detach()
    moved = torch.zeros(len(start), len(basis), requires_grad=True)
    optimizer = torch.optim.Adam([moved], RATE)
    left = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * min(1, 2 * (1 - step / STEPS))
        w_plus = start + moved @ basis / math.sqrt(len(basis))
        made = []
        for k in rng.choice(len(photos), BATCH, replace=False):
            height, width = photos[k].groups.shape[1:]
            image = decode(nets.generator, (w_plus[None], photos[k].feature), (height, width))[0] / 2 + 0.5
            made.append(colours_of(image, photos[k].groups, rng))
        loss = distance(quantiles(made, lines), target)
        optimizer.zero_grad()
        (loss + PRICE * moved.square().sum()).backward()
        optimizer.step()
        left.append(loss.item())
    return w_plus.detach(), float(np.mean(left[-20:]))


def make(folder: Path, nets: StyleNets) -> dict[str, Tensor]:
    with LABELS.open(newline="") as file:
        labels = {row["id"]: (row["appearance"], int(row["strength"])) for row in csv.DictReader(file)}
    samples = read_small(folder, "train.txt", LONG_SIDE)
    views = {s.id: resized(s.photo, s.label, fit_short_side(s.label.shape, SIDE)) for s in samples if s.id in labels}

    def labelled(name: str, least: int) -> list[str]:
        return [id for id in views if labels[id][0] == name and labels[id][1] >= least]

    with torch.no_grad():
        w_plus = {id: nets.encoder.appearance(v.colours[None] * 2 - 1)[0] for id, v in views.items()}
        photos = [Photo(nets.encoder.structure(v.colours[None] * 2 - 1), v.groups) for v in views.values()]
    styles = {}
    for name in STYLES:
        start = torch.stack([w_plus[id] for id in labelled(name, CLEAREST)]).mean(0)
        wanted = [colours_of(views[id].colours, views[id].groups, np.random.default_rng(0))
                  for id in labelled(name, CLEAR)]
        styles[name], left = optimised(start, wanted, photos, nets)
        print(f"{name}: {255 * left:.1f} levels are left", flush=True)
    return styles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder with generator. and encoder.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    nets = StyleNets(*load_stage(options.weights, torch.device("cpu")), {})
    save_weights(make(options.photos, nets), options.out, StyleNets)


if __name__ == "__main__":
    main()
