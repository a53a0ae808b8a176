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
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from appearances import Appearance, Picture, appearance_of, picture, random_appearance, resized, unchanged
from common import Average, Run, arguments, decay, random_visibility, sheet
from critic import CRITIC_RATE, Critic, separation
from data import Sample
from labelled import read_small
from torch import Tensor, nn
from train_generator import AVERAGE_EVERY, CHANNELS, INJECTION, decode, export, load_stage

from benchmarks.lpips import LPIPS
from stylecine.networks.encoder import APPEARANCE_SIDE, Encoder, Light
from stylecine.networks.generator import Generator
from stylecine.ops.image import fit_short_side, push_pull

CROP = 192
STRIDE = 4  # of F
SMALLEST = 192  # short side to which a photo is reduced before a crop is taken, at most
LONG_SIDE = 1024  # of the photos in memory
RATES = (3e-4, 2e-4, 1e-3)  # of Adam: generator above F, encoder, what leads to w+
CRITIC_WARM = 200  # steps before the generator hears of it
OWN, OWN_AT_LAST = 0.35, 0.65  # of the crops: w+ of the photo as it is; from LAST of the run on
LAST = 0.6  # when the rate falls, too
OF_ANOTHER = 0.55  # of the others: w+ of another photo
PLAIN = 0.5  # of the structures come from the photo as it is, as in use
HIDDEN = 0.5  # of the crops with w+ of their own have hidden parts
COLOUR_WEIGHT, COLOUR_CELL = 2.0, 16  # of the L1 of mean colours over cells of so many pixels
REGION_WEIGHT = 0.1  # of the cross-entropy of regions
MIN_SHARE = 0.05  # of a crop, for a group to be reported
TO_STYLES = ("to_w", "to_appearance", "to_regions", "basis", "w_avg", "affine")


@dataclass(frozen=True)
class Crop:
    structure: Tensor  # [3,CROP,CROP] in [-1,1]: in some appearance
    before: Tensor  # [3,h,w] in [-1,1]: the whole photo in this appearance
    visible: Tensor  # [1,CROP,CROP] in {0,1}
    whole: Tensor  # [3,h,w] in [-1,1]: a whole photo in another appearance
    regions: Tensor  # [4,h,w] in [0,1]: of that
    target: Tensor  # [3,CROP,CROP] in [-1,1]: the crop in that
    real: bool  # whether the target is a photo as it was taken


class Crops:
    """Random crops of photos in two appearances each."""

    def __init__(self, samples: list[Sample], seed: int) -> None:
        self.samples, self.rng = samples, np.random.default_rng(seed)
        self.own = OWN

    def __call__(self, count: int) -> list[Crop]:
        return [self._crop() for _ in range(count)]

    def _crop(self) -> Crop:
        rng, sample = self.rng, self.samples[self.rng.integers(len(self.samples))]
        crop, whole = self._region(sample), reduced(sample)
        before: Appearance = unchanged if rng.random() < PLAIN else random_appearance(rng)
        shown, regions, visible = whole, whole.groups, torch.ones(1, 1, CROP, CROP)
        own = rng.random() < self.own
        if own:
            after, seen = before, before(whole)
            visible = random_visibility(1, CROP, HIDDEN, rng)
        elif rng.random() < OF_ANOTHER:
            shown = reduced(self.samples[rng.integers(len(self.samples))])
            after, seen, regions = appearance_of(shown, whole), shown.colours, shown.groups
        else:
            after = random_appearance(rng)
            seen = after(whole)
        flip = [2] if rng.random() < 0.5 else []
        structure, before_all, target, seen, regions = (
            x.flip(flip) for x in (before(crop), before(whole), after(crop), seen, regions)
        )
        real = own and before is unchanged
        return Crop(structure * 2 - 1, before_all * 2 - 1, visible[0], seen * 2 - 1, regions, target * 2 - 1, real)

    def _region(self, sample: Sample) -> Picture:
        """CROP pixels square of the photo at a random scale."""
        rng, (h, w) = self.rng, sample.label.shape
        span = round(CROP * min(h, w) / math.exp(rng.uniform(math.log(SMALLEST), math.log(min(h, w)))))
        y, x = rng.integers(0, h - span + 1), rng.integers(0, w - span + 1)
        square = (slice(y, y + span), slice(x, x + span))
        return resized(sample.photo[:, *square], sample.label[square], (CROP, CROP), y / h, (y + span) / h)


def reduced(sample: Sample) -> Picture:
    """The whole photo as the encoder sees it for w+."""
    return resized(sample.photo, sample.label, fit_short_side(sample.label.shape, APPEARANCE_SIDE))


class Model(nn.Module):
    """From crops to G(F, w+)."""

    def __init__(self, generator: Generator, encoder: Encoder) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(self, crops: list[Crop]) -> tuple[Tensor, Tensor]:
        """Images [N,3,CROP,CROP] and the mean cross-entropy of the regions."""
        device = self.encoder.basis.device
        lights = [light_of(crop.before[None].to(device)) for crop in crops]
        light = Light(*(torch.cat(parts) for parts in zip(*((x.mean, x.deviation) for x in lights), strict=True)))
        visible = torch.stack([crop.visible for crop in crops]).to(device)
        photos = push_pull(torch.stack([crop.structure for crop in crops]).to(device), visible)
        feature = self.encoder.structure(photos, visible, light)
        read = [self.encoder.appearance_and_regions(crop.whole[None].to(device)) for crop in crops]
        told = [cross_entropy(logits, crop.regions.to(device)) for (_, logits), crop in zip(read, crops, strict=True)]
        w_plus = torch.cat([w for w, _ in read])
        return decode(self.generator, (w_plus, feature), (CROP, CROP)), torch.stack(told).mean()


def light_of(photo: Tensor) -> Light:
    return Light.of(photo, photo.new_ones(photo[:, :1].shape))


def cross_entropy(logits: Tensor, regions: Tensor) -> Tensor:
    """logits [1,4,h,w], which may reach past the photo's borders; soft labels [4,H,W]."""
    step = 2 * STRIDE
    labels = F.avg_pool2d(regions[None], step, ceil_mode=True, count_include_pad=False)
    logits = logits[:, :, : labels.shape[2], : labels.shape[3]].float()
    return -(labels * logits.log_softmax(1)).sum(1).mean()


def colour_loss(image: Tensor, target: Tensor) -> Tensor:
    """L1 of pixels and of mean colours."""
    colours = (F.avg_pool2d(image.float(), COLOUR_CELL) - F.avg_pool2d(target, COLOUR_CELL)).abs().mean()
    return 2 * (image - target).abs().mean() + COLOUR_WEIGHT * colours


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
    generator, encoder = load_stage(options.weights, run.device)
    model, critic = Model(generator, encoder).to(run.device).train(), Critic().to(run.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = grouped(generator, encoder)
    trained = [p.requires_grad_() for group in groups for p in group["params"]]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.99))
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=CRITIC_RATE, betas=(0.0, 0.99))
    average = Average(generator, encoder)
    parts: dict[str, Any] = {"generator": generator, "encoder": encoder, "optimizer": optimizer, "average": average,
                             "critic": critic, "critic_optimizer": critic_optimizer}
    run.resume(**parts)
    lpips = LPIPS.published().to(run.device)
    crops = Crops(read_small(options.photos, "train.txt", LONG_SIDE), options.seed + run.step)
    val = read_small(options.val or options.photos, "val.txt", LONG_SIDE)[:16]
    losses: list[list[float]] = []

    def log() -> None:
        names = ("loss", "regions", "critic")
        run.log(**dict(zip(names, np.nanmean(losses or [[math.nan] * 3], 0).tolist(), strict=True)))
        losses.clear()
        report(run, average, critic, val, lpips)

    first = run.step
    for step in run.loop(log, **parts):
        for group, rate in zip(optimizer.param_groups, RATES, strict=True):
            group["lr"] = rate * min(1.0, (step - first + 1) / 50) * decay(run, LAST)
        crops.own = OWN if run.fraction < LAST else OWN_AT_LAST
        batch = crops(options.batch)
        with run.autocast():
            target = torch.stack([crop.target for crop in batch]).to(run.device)
            image, regions = model(batch)
            made, wanted = lpips.features(image), lpips.features(target)
            value = colour_loss(image, target) + lpips.distance(made, wanted).mean()
            total = value + REGION_WEIGHT * regions
            if step >= CRITIC_WARM:
                total = total - options.adversarial * critic.realness(made)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        with run.autocast():
            real = [n for n, crop in enumerate(batch) if crop.real]
            hinge = critic.hinge([x[real] for x in wanted], [x.detach() for x in made]) if real else None
        if hinge is not None:
            critic_optimizer.zero_grad(set_to_none=True)
            hinge.backward()
            critic_optimizer.step()
        losses.append([value.item(), regions.item(), math.nan if hinge is None else hinge.item()])
        if step % AVERAGE_EVERY == 0:
            average.update(step // AVERAGE_EVERY)


@torch.no_grad()
def report(run: Run, average: Average, critic: Critic, val: list[Sample], lpips: LPIPS) -> None:
    """Logs reconstruction of the central 512×512 of each photo, how far w+ of the next photo takes the colours, and how
    well the critic tells photos from what was made; writes sheet and weights."""
    generator = Generator.from_tensors(average.shadow[0], INJECTION).to(run.device)
    encoder = Encoder.from_tensors(average.shadow[1]).to(run.device)
    figures, ways, rows = [], [], []
    real: list[list[float]] = []
    made: list[list[float]] = []
    with run.autocast():
        styles = [encoder.appearance(photo[None].to(run.device) / 127.5 - 1) for photo in (s.photo for s in val)]
        for i, sample in enumerate(val):
            y, x = ((n - 512) // 2 for n in sample.photo.shape[1:])
            whole = sample.photo[None].to(run.device) / 127.5 - 1
            photo = whole[:, :, y:y + 512, x:x + 512]
            feature = encoder.structure(photo, light=light_of(whole))
            own, swapped = (decode(generator, (w, feature), (512, 512)).float().clamp(-1, 1)
                            for w in (styles[i], styles[i - 1]))
            figures.append((-10 * math.log10((own - photo).square().mean().item() / 4), lpips(own, photo).item()))
            crop = picture(photo[0].cpu() / 2 + 0.5, sample.label[y:y + 512, x:x + 512])
            target = appearance_of(reduced(val[i - 1]), reduced(sample))(crop)
            ways.append(way(crop, swapped[0].cpu() / 2 + 0.5, target))
            rows.append([photo[0], own[0], swapped[0], target * 2 - 1])
            for scores, image in ((real, photo), (made, swapped)):
                scores.append([float(head.mean()) for head in critic(lpips.features(image))])
    psnr, distance = np.mean(figures, 0).tolist()
    mean, groups, cells = np.nanmedian(ways, 0).tolist()
    run.log(psnr=psnr, lpips=distance, mean_colour=mean, groups=groups, cells=cells,
            **separation(*(list(np.array(scores).T) for scores in (real, made))))
    sheet([[F.avg_pool2d(image.cpu(), 2) for image in row] for row in rows], run.folder / "samples.png")
    export(average, ("generator", "encoder"), run)


def way(before: Picture, after: Tensor, target: Tensor) -> tuple[float, float, float]:
    """How far colours [3,h,w] have come from `before` to `target`, 1 being all the way: that of the whole, the mean of
    its groups, and cell by cell."""
    groups = [group for group in before.groups if group.mean() > MIN_SHARE]
    whole, *each = (
        _share(*((image * group).sum((1, 2)) / group.sum() for image in (before.colours, after, target)))
        for group in (torch.ones_like(target[0]), *groups)
    )
    return whole, float(np.mean(each)), _share(*(F.avg_pool2d(x, COLOUR_CELL) for x in (before.colours, after, target)))


def _share(before: Tensor, after: Tensor, target: Tensor) -> float:
    wanted = target - before
    return float(((after - before) * wanted).sum() / wanted.square().sum().clamp_min(1e-6))


def main() -> None:
    parser = arguments(__doc__, ".runs/appearance", weights=True)
    parser.add_argument("--adversarial", type=float, default=0.05, help="weight of the critic's opinion")
    options = parser.parse_args()
    train(Run(options), options)


if __name__ == "__main__":
    main()
