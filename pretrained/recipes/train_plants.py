"""Train the network that finds which plants sway in the wind, on the cloth finder's backbone.

    python pretrained/recipes/train_plants.py --photos DIR --minutes 30
    python pretrained/recipes/train_plants.py --export pretrained/plants.safetensors [--soup FOLDER]
    python pretrained/recipes/train_plants.py --photos DIR --evaluate pretrained/plants.safetensors

Labels are those of plant_labels.py. The backbone stays as it is, so what is trained on are features of random views of
train.txt and stills.txt; each view is used several times, and every batch replaces the oldest. Close-ups are few, so
their plants are also pasted over other views. Every ninth photo is held out for choosing; its figures are in the log.
`--soup`: export the mean of this run's weights and of those it went on from, which sees more than either (Wortsman et
al. 2022). `--evaluate` measures what `stylecine.perception.plants` makes of the validation photos that somebody has
decided about.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Run, Training, arguments, averaged, save_weights
from data import Sample
from labelled import look, pasted, photometric, random_view, read_small, tinted
from PIL import Image
from plant_labels import STILL, SWAYS, UNKNOWN, by_hand, read_decisions, read_maps, swaying
from torch import Tensor

from stylecine.networks.backbone import Backbone
from stylecine.networks.clothfinder import ClothFinder
from stylecine.networks.eye import Eye
from stylecine.networks.plantnet import PlantNet
from stylecine.ops.image import network_size, to_tensor
from stylecine.perception.plants import predict_plants
from stylecine.weights import PRETRAINED, read_tensors

LONG_SIDE = 800  # of the photos in memory
SHAPES = ((416, 608), (608, 416), (512, 512))  # of views
SHORT_SIDE, LONGEST = 448, 1024  # of held-out photos; of the photos that are evaluated
WHOLE, SMALLEST = 0.5, 0.5  # of views show the whole photo; of each side, the closest views show this much
TINTED = 0.15  # of views
FIRST, RENEWED = 0.25, 3  # of the views that are kept, so many are there at the start; each batch adds three
HELD_OUT = 9  # one in so many photos is not trained on
DROPPED = 0.1  # of the feature channels
WITH = 2.0  # times as often as others come photos in which something sways
RATE = 5e-4  # from the beginning 2e-3
PASTED = 0.35  # of views are behind the plants of a close-up
NEAR_SMALLEST, NEAR_TILT, NEAR_WHOLE = 0.4, 15.0, 0.3  # of the close-ups' views
NEAR_SHARE = 0.02, 0.9  # of a view, plants that are pasted
BORDER = 4  # pixels around what is pasted in which nobody can say
VAGUE = 8  # pixels: plants that are blurred over fewer may still be seen to sway


@dataclass(frozen=True)
class Labelled:
    """A photo, what sways in it (SWAYS, UNKNOWN or STILL) as uint8 [h,w], how often it is to come, and whether it is a
    close-up whose plants can be pasted."""

    sample: Sample
    sways: Tensor
    chance: float
    near: bool


def labelled_photos(photos: Path, split: str) -> list[Labelled]:
    """Those of a split of which classes/ID.png says where plants may be."""
    decisions = read_decisions(f"{Path(split).stem}.txt")
    found = []
    for sample in read_small(photos, split, LONG_SIDE):
        if not (photos / "classes" / f"{sample.id}.png").exists():
            continue
        sways = swaying(photos, sample.id, decisions)
        chance = WITH if (sways == SWAYS).any() else 1.0
        outlined = Path(split).stem == "stills" and sample.id in decisions
        near = outlined and 0.03 < (sways == SWAYS).mean() < 0.85 and (sways == STILL).mean() > 0.1
        found.append(Labelled(sample, torch.from_numpy(sways), chance, bool(near)))
    return found


def counted(sways: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """[H,W] -> of each cell of a grid the share that sways, among what is known, and the share that is known."""
    known = F.adaptive_avg_pool2d((sways != UNKNOWN).float()[None], size)[0]
    return F.adaptive_avg_pool2d((sways == SWAYS).float()[None], size)[0] / known.clamp_min(1e-3), known


class Pool:
    """Features of random views, with what sways in them."""

    def __init__(self, photos: list[Labelled], network: PlantNet, run: Run, seed: int, kept: int) -> None:
        self.network, self.run, self.kept, self.rng = network, run, kept, np.random.default_rng(seed)
        aspects = [p.sample.photo.shape[1] / p.sample.photo.shape[2] for p in photos]
        self.near = [photo for photo in photos if photo.near]
        shape = [int(np.argmin([abs(np.log(a * w / h)) for h, w in SHAPES])) for a in aspects]
        self.photos = [[p for p, s in zip(photos, shape, strict=True) if s == i] for i in range(len(SHAPES))]
        chances = np.array([sum(p.chance for p in group) for group in self.photos])
        self.chances = chances / chances.sum()
        self.views: list[list[tuple[Tensor, ...]]] = [[] for _ in SHAPES]

    def __call__(self, count: int) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features, and of each cell the share that sways and the share that is known [N,h,w]."""
        shape = int(self.rng.choice(len(SHAPES), p=self.chances))
        views, most = self.views[shape], max(count, round(self.kept * self.chances[shape]))
        missing = max(count, round(FIRST * self.kept * self.chances[shape])) - len(views)
        views.extend(self._view(shape) for _ in range(max(RENEWED, missing)))
        del views[: max(0, len(views) - most)]
        chosen = self.rng.choice(len(views), count, replace=False)
        parts = zip(*(views[i] for i in chosen), strict=True)
        *features, sways, known = (torch.stack(part).to(self.run.device).float() for part in parts)
        return features, sways, known

    @torch.no_grad()
    def _view(self, shape: int) -> tuple[Tensor, ...]:
        group = self.photos[shape]
        chances = np.array([p.chance for p in group])
        photo = group[int(self.rng.choice(len(group), p=chances / chances.sum()))]
        view = random_view(self.rng, SHAPES[shape], SMALLEST, whole=WHOLE)
        image = look(view, photo.sample.photo.float() / 255)
        sways = look(view, photo.sways[None].float(), "nearest")[0]
        if self.near and self.rng.random() < PASTED:
            image, sways = self._behind_plants(image, sways)
        image = photometric(self.rng, tinted(self.rng, image) if self.rng.random() < TINTED else image) * 2 - 1
        with self.run.autocast():
            features = self.network.features(image[None].to(self.run.device))
        parts = *(maps[0] for maps in features), *counted(sways, (SHAPES[shape][0] // 4, SHAPES[shape][1] // 4))
        return tuple(part.bfloat16().cpu() for part in parts)


    def _behind_plants(self, image: Tensor, sways: Tensor) -> tuple[Tensor, Tensor]:
        """A view, and what sways in it, behind the plants of a close-up; what sways and is out of focus stands still or
        counts nowhere."""
        near = self.near[int(self.rng.integers(len(self.near)))]
        view = random_view(self.rng, (sways.shape[0], sways.shape[1]), NEAR_SMALLEST, NEAR_TILT, whole=NEAR_WHOLE)
        place = look(view, near.sways[None].float(), "nearest")[0] == SWAYS
        if not NEAR_SHARE[0] < place.float().mean() < NEAR_SHARE[1]:
            return image, sways
        image, wide = pasted(self.rng, image, look(view, near.sample.photo.float() / 255), place)
        if wide > 1:
            vague = STILL if wide >= VAGUE and self.rng.random() < 0.5 else UNKNOWN
            sways = torch.where(sways == SWAYS, float(vague), sways)
        around = F.max_pool2d(place[None].float(), 2 * BORDER + 1, 1, BORDER)[0] > 0
        sways = torch.where(around, float(UNKNOWN), sways)
        return image, torch.where(place, float(SWAYS), sways)


def loss(logits: Tensor, sways: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy + soft Dice of the batch, where it is known what sways."""
    entropy = F.binary_cross_entropy_with_logits(logits, sways, reduction="none")
    found = logits.sigmoid() * known
    dice = 1 - (2 * (found * sways).sum() + 1) / (found.sum() + (sways * known).sum() + 1)
    return (entropy * known).sum() / known.sum().clamp_min(1) + 0.5 * dice


@torch.no_grad()
def held_out_features(photos: list[Labelled], network: PlantNet, run: Run) -> list[tuple[list[Tensor], Tensor, Tensor]]:
    found = []
    for photo in photos:
        size = network_size(photo.sample.photo.shape[1:], SHORT_SIDE)
        image = F.interpolate(photo.sample.photo[None].float() / 127.5 - 1, size, mode="bilinear", antialias=True)
        with run.autocast():
            features = [maps.bfloat16().cpu() for maps in network.features(image.to(run.device))]
        found.append((features, *counted(photo.sways, (size[0] // 4, size[1] // 4))))
    return found


@torch.no_grad()
def figures(decoder: torch.nn.Module, photos: list[tuple[list[Tensor], Tensor, Tensor]]) -> dict[str, float]:
    """Pooled over the cells of photos whose answer is known: intersection over union, precision, recall."""
    both = found_all = true = 0.0
    for features, sways, known in photos:
        found = (decoder([maps.float() for maps in features])[0, 0] > 0) * known
        both += float((found * sways).sum())
        found_all, true = found_all + float(found.sum()), true + float((sways * known).sum())
    iou = both / max(1.0, found_all + true - both)
    return {"iou": iou, "precision": both / max(1.0, found_all), "recall": both / max(1.0, true)}


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    network = PlantNet(backbone_of(options)).to(run.device)
    training = Training(run, network.decoder, rate=RATE, weight_decay=0.05, half_life=200)
    photos = [photo for split in ("train.txt", "stills.txt") for photo in labelled_photos(options.photos, split)]
    held_out = held_out_features(photos[::HELD_OUT], network, run)
    others = [photo for i, photo in enumerate(photos) if i % HELD_OUT]
    pool = Pool(others, network, run, options.seed + run.step, options.views)
    run.restart_clock()  # reading photos does not count

    def batch_loss() -> Tensor:
        features, sways, known = pool(options.batch)
        with run.autocast():
            logits = network.decoder([F.dropout2d(maps, DROPPED) for maps in features])[:, 0]
        return loss(logits.float(), sways, known)

    def judged(tensors: dict[str, Tensor]) -> dict[str, float]:
        decoder = copy.deepcopy(network.decoder).cpu()
        decoder.load_state_dict(tensors)
        return figures(decoder, held_out)

    training.fit(batch_loss, judged)


def backbone_of(options: argparse.Namespace) -> Backbone:
    """The cloth finder's, which its corrections lead back to ImageNet."""
    eye = Eye.from_tensors(read_tensors(options.eye))
    return ClothFinder.from_tensors(read_tensors(options.finder), eye.backbone).backbone


def evaluate(options: argparse.Namespace) -> None:
    """Prints the figures of the card: of what is found at full size, where it is known what sways."""
    network = PlantNet.from_tensors(read_tensors(options.evaluate), backbone_of(options))
    torch.set_num_threads(options.threads)
    counts, without = [], []
    for name, words in read_decisions("val.txt").items():
        sways = by_hand(words, *read_maps(options.photos, name))
        mask = predict_plants(photo_of(options.photos, name), network)
        mask = F.interpolate(mask[None, None], sways.shape, mode="area")[0, 0]
        there, found = sways == SWAYS, (mask.numpy() > 0.5) & (sways != UNKNOWN)
        if there.any():
            counts.append([(found & there).sum(), (found | there).sum(), found.sum(), there.sum()])
        else:
            without.append(found.mean())
    both, either, found_all, true = np.array(counts, float).T
    print(f"{len(counts)} photos: IoU {both.sum() / either.sum():.3f} pooled, {np.mean(both / either):.3f} mean,"
          f" precision {both.sum() / found_all.sum():.3f}, recall {both.sum() / true.sum():.3f}")
    print(f"{len(without)} without: {np.mean(without):.2%} of a photo found, more than 1% in"
          f" {sum(share > 0.01 for share in without)}")


def photo_of(photos: Path, name: str) -> Tensor:
    """[3,H,W] in [-1,1], at most LONGEST on the long side."""
    with Image.open(photos / "images" / f"{name}.jpg") as file:
        image = file.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return to_tensor(np.array(image))


def main() -> None:
    parser = arguments(__doc__, ".runs/plants", export=True, batch=12)
    parser.add_argument("--eye", type=Path, default=PRETRAINED / "eye.safetensors")
    says = "the cloth finder whose backbone to decode"
    parser.add_argument("--finder", type=Path, default=PRETRAINED / "finder.safetensors", help=says)
    parser.add_argument("--views", type=int, default=1500, help="views whose features are kept: 2 MB each")
    says = "other runs whose weights to average with those of --out"
    parser.add_argument("--soup", type=Path, nargs="*", default=[], metavar="FOLDER", help=says)
    parser.add_argument("--evaluate", type=Path, metavar="FILE", help="weights to measure on validation photos")
    options = parser.parse_args()
    if options.evaluate:
        evaluate(options)
    elif options.export:
        runs = [averaged(folder / "state.pt") for folder in (options.out, *options.soup)]
        mean = {name: torch.stack([run[name].float() for run in runs]).mean(0) for name in runs[0]}
        save_weights(mean, options.export, PlantNet)
    else:
        train(options)


if __name__ == "__main__":
    main()
