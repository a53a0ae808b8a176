"""Named styles: w+ of golden hour, dusk, night ..., from photos labelled by their appearance in appearances.csv.

    python pretrained/recipes/make_styles.py --photos PHOTOS --weights pretrained --out pretrained/styles.safetensors

The mean w+ of photos by day and that of the clearest photos of an appearance give a direction. How far to go along it
is what brings colours of photos by day, class by class, nearest to those of the photos of that appearance.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from appearances import GROUPS, picture
from common import save_weights
from data import Sample
from labelled import read_small
from torch import Tensor

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.ops.recolour import recolour
from stylecine.options import STYLES
from stylecine.stages.style import StyleNets
from stylecine.weights import read_tensors

LABELS = Path(__file__).with_name("appearances.csv")  # id, appearance, and strength: 3 for textbook examples
INJECTION = "b256.conv1"
DAY, CLEAR, CLEAREST = "day", 2, 3
LABEL_OF = {"sunset": "sunset-pink"}  # of a style, where it is not its name
STEPS = np.arange(0.6, 2.61, 0.2)  # along the direction; 1 is the mean of the appearance
PHOTOS, PIXELS = 24, 400  # photos by day that steps are tried on; pixels of a group of a photo that are compared
PROJECTIONS = 32
LONG_SIDE = 384

Colours = dict[int, Tensor]  # [P,3] by group


def colours_of(sample: Sample, pixels: Tensor, rng: np.random.Generator) -> Colours:
    """Some pixels, uint8 [H,W,3], of each group."""
    groups = picture(pixels.permute(2, 0, 1).float() / 255, sample.label).groups.flatten(1) > 0.5
    found = {}
    for k in range(len(GROUPS)):
        places = groups[k].nonzero().flatten()
        if len(places) >= PIXELS:
            found[k] = pixels.reshape(-1, 3)[places[torch.from_numpy(rng.choice(len(places), PIXELS))]].float() / 255
    return found


def pooled(colours: list[Colours]) -> Colours:
    present = {k for each in colours for k in each}
    return {k: torch.cat([each[k] for each in colours if k in each]) for k in present}


def distance(a: Colours, b: Colours, rng: np.random.Generator) -> float:
    """Mean over common groups of the sliced Wasserstein distance of their colours."""
    lines = torch.from_numpy(rng.normal(size=(3, PROJECTIONS))).float()
    lines /= lines.norm(dim=0)
    levels = torch.linspace(0, 1, 101)
    quantiles = [{k: torch.quantile(x @ lines, levels, dim=0) for k, x in each.items()} for each in (a, b)]
    common = quantiles[0].keys() & quantiles[1].keys()
    return float(np.mean([float((quantiles[0][k] - quantiles[1][k]).abs().mean()) for k in common]))


def tensor_of(sample: Sample) -> Tensor:
    return sample.photo.permute(1, 2, 0).contiguous()


@torch.inference_mode()
def make(photos: Path, nets: StyleNets) -> dict[str, Tensor]:
    with LABELS.open(newline="") as file:
        labels = {row["id"]: (row["appearance"], int(row["strength"])) for row in csv.DictReader(file)}
    samples = [s for s in read_small(photos, "train.txt", LONG_SIDE) if s.id in labels]
    w_plus = {s.id: nets.w_plus_of("", tensor_of(s).numpy()) for s in samples}

    def labelled(name: str, least: int) -> list[Sample]:
        return [s for s in samples if labels[s.id][0] == name and labels[s.id][1] >= least]

    def mean(chosen: list[Sample]) -> Tensor:
        return torch.stack([w_plus[s.id] for s in chosen]).mean(0)

    by_day = labelled(DAY, CLEAR)
    noon, tried = mean(by_day), by_day[:: max(1, len(by_day) // PHOTOS)]
    styles = {}
    for name in STYLES:
        label = LABEL_OF.get(name, name)
        direction = mean(labelled(label, CLEAREST)) - noon
        wanted = pooled([colours_of(s, tensor_of(s), np.random.default_rng(0)) for s in labelled(label, CLEAR)])

        def miss(step: float, direction: Tensor = direction, wanted: Colours = wanted) -> float:
            rng, made = np.random.default_rng(0), []
            for sample in tried:
                photo = tensor_of(sample)
                made.append(colours_of(sample, recolour(photo, nets.change(photo, noon + step * direction)), rng))
            return distance(pooled(made), wanted, np.random.default_rng(1))

        rng = np.random.default_rng(0)
        before = distance(pooled([colours_of(s, tensor_of(s), rng) for s in tried]), wanted, np.random.default_rng(1))
        misses = [miss(step) for step in STEPS]
        best = float(STEPS[int(np.argmin(misses))])
        print(f"{name}: step {best:.1f}, {255 * before:.1f} -> {255 * min(misses):.1f} levels", flush=True)
        styles[name] = noon + best * direction
    return styles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder with generator. and encoder.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    generator = Generator.from_tensors(read_tensors(options.weights / "generator.safetensors"), INJECTION)
    encoder = Encoder.from_tensors(read_tensors(options.weights / "encoder.safetensors"))
    save_weights(make(options.photos, StyleNets(generator, encoder, {})), options.out, StyleNets)


if __name__ == "__main__":
    main()
