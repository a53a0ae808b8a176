"""Train the network that finds what stands still before water and sky, on the cloth finder's backbone.

    python pretrained/recipes/train_occluders.py --photos DIR --minutes 60
    python pretrained/recipes/train_occluders.py --export pretrained/occluders.safetensors

The backbone stays as it is, so what is trained on are features of composites (occluders/composites.py) of train.txt
and stills.txt; each is used several times, and every batch replaces the oldest. Every ninth photo is held out for
choosing; the figures of composites of those are in the log.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Run, Training, arguments, averaged, compact, save_weights
from data import Sample
from labelled import look, photometric, random_view, read_small, tinted
from occluders.composites import STATIC, Composite, Scene, composite
from torch import Tensor
from train_plants import add_backbone, backbone_of

from stylecine.networks.occludernet import OccluderNet
from stylecine.ops.image import to_tensor
from stylecine.options import FALLS, SKY, SMOKE, WATER
from stylecine.perception.thin import thin_static

LONG_SIDE = 960  # of the photos in memory
SHAPES = ((416, 608), (608, 416), (512, 512))  # of composites
WHOLE, SMALLEST = 0.15, 0.4  # of views show the whole photo; of each side, the closest views show this much
TINTED = 0.15  # of composites
STATICS, MOVINGS = (1, 6), (0, 3)  # how many things are pasted
STILLS = 0.35  # of what is pasted comes from photos in which nothing moves
LEAST_MOVING = 0.1  # of a view: views with less are mostly drawn again
CHANCES = (1.0, 2.0, 5.0)  # how often photos come with sky or smoke alone, with water, with falls
FIRST, RENEWED = 0.2, 3  # of the composites that are kept, so many are there at the start; each batch adds three
HELD_OUT, JUDGED = 9, 36  # one in so many photos is not trained on; composites of them that are judged
DROPPED = 0.1  # of the feature channels
TRUST = 0.5  # exponent of the bounded loss where a label may be wrong: 0 is cross-entropy, 1 the absolute error
UNKNOWN = 255  # in labels: something thin that they have as moving


def read_scenes(photos: Path, split: str) -> list[Sample]:
    """Photos whose labels do not say what thin things are that `perception.thin` finds in what they have as moving."""
    samples = read_small(photos, split, LONG_SIDE)
    for sample in samples:
        mark_thin(sample)
    return samples


def mark_thin(sample: Sample) -> None:
    """Makes its label UNKNOWN where something thin stands in what it has as moving."""
    sky, water = (torch.isin(sample.label, torch.tensor([k + 1 for k in kinds])) for kinds in
                  ((SKY, SMOKE), (WATER, FALLS)))
    if bool((sky | water).any()):
        pixels = sample.photo.permute(1, 2, 0).numpy()
        sample.label[thin_static(to_tensor(pixels), sky, water)] = UNKNOWN


class Composer:
    """Random composites of these photos."""

    def __init__(self, landscapes: list[Sample], stills: list[Sample], seed: int) -> None:
        self.landscapes, self.stills, self.rng = landscapes, stills, np.random.default_rng(seed)
        self.moving = [s for s in landscapes if float(((s.label > 0) & (s.label < UNKNOWN)).float().mean()) > 0.03]
        kinds = [2 * bool((s.label == FALLS + 1).any()) or int((s.label == WATER + 1).any()) for s in self.moving]
        chances = [CHANCES[kind] for kind in kinds]
        self.chances = np.array(chances) / sum(chances)

    def __call__(self, shape: tuple[int, int]) -> Composite:
        statics = [self._source(shape) for _ in range(self.rng.integers(*STATICS))]
        movings = [self._scene(self._landscape(), shape) for _ in range(self.rng.integers(*MOVINGS))]
        made = composite(self.rng, self._background(shape), statics, movings)
        image = tinted(self.rng, made.image) if self.rng.random() < TINTED else made.image
        return Composite(photometric(self.rng, image), made.static, made.weight, made.doubtful)

    def _background(self, shape: tuple[int, int]) -> Scene:
        scene = self._scene(self._landscape(), shape)
        while float((scene.label != STATIC).float().mean()) < LEAST_MOVING and self.rng.random() < 0.8:
            scene = self._scene(self._landscape(), shape)
        return scene

    def _landscape(self) -> Sample:
        return self.moving[self.rng.choice(len(self.moving), p=self.chances)]

    def _source(self, shape: tuple[int, int]) -> Scene:
        group = self.stills if self.stills and self.rng.random() < STILLS else self.landscapes
        return self._scene(group[self.rng.integers(len(group))], shape)

    def _scene(self, sample: Sample, shape: tuple[int, int]) -> Scene:
        view = random_view(self.rng, shape, SMALLEST, whole=WHOLE)
        label = look(view, sample.label[None].float(), "nearest")[0].byte()
        known = label != UNKNOWN
        return Scene(look(view, sample.photo.float() / 255), torch.where(known, label, 1), known)


class Pool:
    """Features of composites, with what is known of them at 1/2."""

    def __init__(self, composer: Composer, network: OccluderNet, run: Run, kept: int) -> None:
        self.composer, self.network, self.run, self.kept = composer, network, run, kept
        self.views: list[list[tuple[Tensor, ...]]] = [[] for _ in SHAPES]

    def __call__(self, count: int) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Features; static, weight, doubtful [N,h,w]."""
        rng = self.composer.rng
        shape = int(rng.integers(len(SHAPES)))
        views, most = self.views[shape], max(count, self.kept // len(SHAPES))
        missing = max(count, round(FIRST * most)) - len(views)
        views.extend(self.view(SHAPES[shape]) for _ in range(max(RENEWED, missing)))
        del views[: max(0, len(views) - most)]
        parts = zip(*(views[i] for i in rng.choice(len(views), count, replace=False)), strict=True)
        *features, static, weight, doubtful = (torch.stack(part).to(self.run.device).float() for part in parts)
        return features, static, weight, doubtful

    @torch.no_grad()
    def view(self, shape: tuple[int, int]) -> tuple[Tensor, ...]:
        made = self.composer(shape)
        with self.run.autocast():
            features = self.network.features((made.image * 2 - 1)[None].to(self.run.device))
        known = torch.stack([made.static * made.weight, made.weight, made.doubtful.float()])
        static, weight, doubtful = F.avg_pool2d(known, 2)
        parts = *(maps[0] for maps in features), static / weight.clamp_min(1e-3), weight, doubtful
        return tuple(part.bfloat16().cpu() for part in parts)


def loss(logits: Tensor, static: Tensor, weight: Tensor, doubtful: Tensor) -> Tensor:
    """Cross-entropy, bounded where it is doubtful that a place moves (Zhang and Sabuncu 2018), + soft Dice of what
    was pasted and of what surely moves."""
    entropy = F.binary_cross_entropy_with_logits(logits, static, reduction="none")
    bounded = (1 - torch.sigmoid(-logits).clamp_min(1e-6) ** TRUST) / TRUST
    each = torch.where(doubtful > 0.5, bounded, entropy)
    clear, found = weight * (weight > 0.6), logits.sigmoid()
    dice = 1 - (2 * (clear * found * static).sum() + 1) / ((clear * (found + static)).sum() + 1)
    return (each * weight).sum() / weight.sum().clamp_min(1) + 0.5 * dice


@torch.no_grad()
def figures(decoder: torch.nn.Module, views: list[tuple[Tensor, ...]]) -> dict[str, float]:
    """Intersection over union of what was pasted, in what is surely known; share of what only the label has as moving
    that is found all the same; share of the photos' own static places that is found."""
    both = either = wrong = doubted = right = still = 0.0
    for *features, static, weight, doubtful in views:
        found = decoder([maps[None].float() for maps in features])[0, 0] > 0
        sure = (weight > 0.6) & (doubtful < 0.5)
        both += float((sure & found & (static > 0.5)).sum())
        either += float((sure & (found | (static > 0.5))).sum())
        open_ = (doubtful > 0.5) & (weight > 0.6)
        wrong, doubted = wrong + float((open_ & found).sum()), doubted + float(open_.sum())
        own = (weight > 0) & (weight <= 0.6) & (static > 0.5)
        right, still = right + float((own & found).sum()), still + float(own.sum())
    return {"iou": both / max(1.0, either), "false": wrong / max(1.0, doubted), "static": right / max(1.0, still)}


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    network = OccluderNet(backbone_of(options)).to(run.device)
    training = Training(run, network.decoder, rate=2e-3, weight_decay=0.05, half_life=200)
    landscapes, stills = (read_scenes(options.photos, split) for split in ("train.txt", "stills.txt"))
    judge = Pool(Composer(landscapes[::HELD_OUT], stills[::HELD_OUT], seed=0), network, run, kept=JUDGED)
    judged_views = [judge.view(SHAPES[n % len(SHAPES)]) for n in range(JUDGED)]
    others = [[s for i, s in enumerate(samples) if i % HELD_OUT] for samples in (landscapes, stills)]
    pool = Pool(Composer(others[0], others[1], seed=options.seed + 1 + run.step), network, run, options.views)
    run.restart_clock()  # reading photos does not count

    def batch_loss() -> Tensor:
        features, static, weight, doubtful = pool(options.batch)
        with run.autocast():
            logits = network.decoder([F.dropout2d(maps, DROPPED) for maps in features])[:, 0]
        return loss(logits.float(), static, weight, doubtful)

    def judged(tensors: dict[str, Tensor]) -> dict[str, float]:
        decoder = copy.deepcopy(network.decoder).cpu()
        decoder.load_state_dict(tensors)
        return figures(decoder, judged_views)

    training.fit(batch_loss, judged)


def main() -> None:
    parser = arguments(__doc__, ".runs/occluders", export=True, batch=8)
    add_backbone(parser)
    parser.add_argument("--views", type=int, default=1000, help="composites whose features are kept: 4 MB each")
    options = parser.parse_args()
    if options.export:
        save_weights(compact(averaged(options.out / "state.pt")), options.export, OccluderNet)
    else:
        train(options)


if __name__ == "__main__":
    main()
