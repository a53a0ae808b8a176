"""F is structure, w+ is appearance: generator and encoder go on with swapped appearances (stage 4 of four).

    python pretrained/recipes/train_appearance.py --photos PHOTOS --weights .runs/encoder --minutes 60

F comes from a crop of a photo in one appearance, w+ from the whole photo in another, and G(F, w+) has to be the crop in
the second. Some second appearances are those of other photos, and w+ is read off these. In some batches both are the
photo's own, so that reconstruction stays what it is.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from appearances import Appearance, appearance_of, picture, random_appearance, unchanged
from common import Average, Run, arguments, decay, sheet
from data import Sample
from labelled import read_small
from torch import Tensor, nn
from train_generator import AVERAGE_EVERY, CHANNELS, INJECTION, decode, export

from stylecine.networks.encoder import APPEARANCE_SIDE, Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.lpips import LPIPS
from stylecine.ops.image import fit_short_side
from stylecine.weights import PRETRAINED, read_tensors

CROP = 224
LONG_SIDE = 1024  # of the photos in memory
RATES = (3e-4, 2e-4, 1e-3)  # of Adam: generator above F, encoder, what leads to w+
OWN, OF_ANOTHER = 0.3, 0.35  # of the crops: w+ of the photo as it is; of another photo
PLAIN = 0.5  # of the structures come from the photo as it is, as in use
COLOUR_WEIGHT, COLOUR_CELL = 2.0, 16  # of the L1 of mean colours over cells of so many pixels
TO_STYLES = ("to_w", "basis", "w_avg", "affine")


@dataclass(frozen=True)
class Batch:
    structures: Tensor  # [N,3,CROP,CROP] in [-1,1]: crops in some appearance
    wholes: list[Tensor]  # N times [1,3,h,w] in [-1,1]: whole photos in another one
    targets: Tensor  # [N,3,CROP,CROP] in [-1,1]: the crops in that


class Batches:
    """Random crops of photos in two appearances each."""

    def __init__(self, samples: list[Sample], seed: int) -> None:
        self.samples, self.rng = samples, np.random.default_rng(seed)

    def __call__(self, count: int) -> Batch:
        structures, wholes, targets = zip(*(self._crop() for _ in range(count)), strict=True)
        return Batch(torch.stack(structures), list(wholes), torch.stack(targets))

    def _crop(self) -> tuple[Tensor, Tensor, Tensor]:
        rng, sample = self.rng, self.samples[self.rng.integers(len(self.samples))]
        h, w = sample.label.shape
        y, x = rng.integers(0, h - CROP + 1), rng.integers(0, w - CROP + 1)
        crop = picture(
            sample.photo[:, y : y + CROP, x : x + CROP].float() / 255,
            sample.label[y : y + CROP, x : x + CROP], y / h, (y + CROP) / h,
        )
        whole = reduced(sample)
        before: Appearance = unchanged if rng.random() < PLAIN else random_appearance(rng)
        kind = rng.random()
        if kind < OWN:
            after, seen = before, before(whole)
        elif kind < OWN + OF_ANOTHER:
            other = reduced(self.samples[rng.integers(len(self.samples))])
            after, seen = appearance_of(other, whole), other.colours
        else:
            after = random_appearance(rng)
            seen = after(whole)
        flip = [2] if rng.random() < 0.5 else []
        structure, target = before(crop).flip(flip), after(crop).flip(flip)
        return structure * 2 - 1, seen[None].flip([n + 1 for n in flip]) * 2 - 1, target * 2 - 1


def reduced(sample: Sample) -> Any:
    """The whole photo as the encoder sees it for w+."""
    size = fit_short_side(sample.label.shape, APPEARANCE_SIDE)
    photo = F.interpolate(sample.photo[None].float() / 255, size, mode="bilinear", antialias=True)[0]
    label = F.interpolate(sample.label[None, None], size, mode="nearest-exact")[0, 0]
    return picture(photo.clamp(0, 1), label)


def loss(image: Tensor, target: Tensor, lpips: LPIPS) -> Tensor:
    colours = (F.avg_pool2d(image.float(), COLOUR_CELL) - F.avg_pool2d(target, COLOUR_CELL)).abs().mean()
    return 2 * (image - target).abs().mean() + COLOUR_WEIGHT * colours + lpips(image, target).mean()


def grouped(generator: Generator, encoder: Encoder) -> list[dict[str, Any]]:
    """Groups of parameters by their learning rates; the generator's below F stay as they are."""
    above = [
        (n, p)
        for r in CHANNELS if r >= generator.feature_resolution
        for n, p in generator.block(r).named_parameters()
        if r > generator.feature_resolution or n.startswith("torgb")
    ]
    styles = [p for n, p in (*above, *encoder.named_parameters()) if any(part in n for part in TO_STYLES)]
    others = [[p for n, p in named if not any(part in n for part in TO_STYLES)]
              for named in (above, list(encoder.named_parameters()))]
    return [{"params": p, "lr": rate} for p, rate in zip((*others, styles), RATES, strict=True)]


def train(run: Run, options: argparse.Namespace) -> None:
    generator = Generator.from_tensors(read_tensors(options.weights / "generator.safetensors"), INJECTION)
    encoder = Encoder.from_tensors(read_tensors(options.weights / "encoder.safetensors"))
    for network in (generator, encoder):
        network.to(run.device).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = grouped(generator, encoder)
    trained = [p.requires_grad_() for group in groups for p in group["params"]]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.99))
    average = Average(generator, encoder)
    parts: dict[str, Any] = {"generator": generator, "encoder": encoder, "optimizer": optimizer, "average": average}
    run.resume(**parts)
    lpips = LPIPS.from_tensors(read_tensors(PRETRAINED / "lpips.safetensors")).to(run.device)
    batches = Batches(read_small(options.photos, "train.txt", LONG_SIDE), options.seed + run.step)
    val = read_small(options.val or options.photos, "val.txt", LONG_SIDE)[:16]
    losses: list[float] = []

    def log() -> None:
        run.log(loss=float(np.mean(losses or [math.nan])))
        losses.clear()
        report(run, average, val, lpips)

    first = run.step
    for step in run.loop(log, **parts):
        for group, rate in zip(optimizer.param_groups, RATES, strict=True):
            group["lr"] = rate * min(1.0, (step - first + 1) / 50) * decay(run)
        batch = batches(options.batch)
        with run.autocast():
            feature = encoder.structure(batch.structures.to(run.device))
            w_plus = torch.cat([encoder.appearance(whole.to(run.device)) for whole in batch.wholes])
            image = decode(generator, (w_plus, feature), (CROP, CROP))
            value = loss(image, batch.targets.to(run.device), lpips)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(value.item())
        if step % AVERAGE_EVERY == 0:
            average.update(step // AVERAGE_EVERY)


@torch.no_grad()
def report(run: Run, average: Average, val: list[Sample], lpips: LPIPS) -> None:
    """Logs reconstruction of the central 512×512 of each photo, and how far w+ of the next photo takes the mean colour
    of all and of each group; writes sheet and weights."""
    generator = Generator.from_tensors(average.shadow[0], INJECTION).to(run.device)
    encoder = Encoder.from_tensors(average.shadow[1]).to(run.device)
    figures, shares, rows = [], [], []
    with run.autocast():
        styles = [encoder.appearance(photo[None].to(run.device) / 127.5 - 1) for photo in (s.photo for s in val)]
        for i, sample in enumerate(val):
            y, x = ((n - 512) // 2 for n in sample.photo.shape[1:])
            photo = (sample.photo[:, y:y + 512, x:x + 512].float() / 127.5 - 1)[None].to(run.device)
            feature = encoder.structure(photo)
            own, swapped = (decode(generator, (w, feature), (512, 512)).float().clamp(-1, 1)
                            for w in (styles[i], styles[i - 1]))
            figures.append((-10 * math.log10((own - photo).square().mean().item() / 4), lpips(own, photo).item()))
            crop = picture(photo[0].cpu() / 2 + 0.5, sample.label[y:y + 512, x:x + 512])
            target = appearance_of(reduced(val[i - 1]), reduced(sample))(crop)
            shares.append(moved(crop.colours, swapped[0].cpu() / 2 + 0.5, target))
            rows.append([photo[0], own[0], swapped[0], target * 2 - 1])
    psnr, distance = np.mean(figures, 0).tolist()
    run.log(psnr=psnr, lpips=distance, swapped=float(np.median(shares)))
    sheet([[F.avg_pool2d(image.cpu(), 2) for image in row] for row in rows], run.folder / "samples.png")
    export(average, ("generator", "encoder"), run)


def moved(before: Tensor, after: Tensor, target: Tensor) -> float:
    """How far the colours [3,h,w], averaged over cells, have come from `before` to `target`: 1 is all the way."""
    before, after, target = (F.avg_pool2d(image, COLOUR_CELL) for image in (before, after, target))
    way = target - before
    return float(((after - before) * way).sum() / way.square().sum().clamp_min(1e-6))


def main() -> None:
    parser = arguments(__doc__, ".runs/appearance")
    parser.add_argument("--weights", type=Path, required=True, help="folder with generator. and encoder.safetensors")
    options = parser.parse_args()
    train(Run(options), options)


if __name__ == "__main__":
    main()
