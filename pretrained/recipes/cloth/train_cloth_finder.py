"""Train the network that finds flags and banners, on simulated cloth pasted over landscapes.

    python pretrained/recipes/cloth/train_cloth_finder.py --photos DIR --clips DIR --backbone efficientnet.safetensors
    python pretrained/recipes/cloth/train_cloth_finder.py --backbone efficientnet.safetensors --export OUT.safetensors
    python pretrained/recipes/cloth/train_cloth_finder.py --start finder.safetensors --photos DIR --clips DIR
    python pretrained/recipes/cloth/train_cloth_finder.py --start finder.safetensors --export OUT.safetensors
    python pretrained/recipes/cloth/train_cloth_finder.py --average A.safetensors B.safetensors --export OUT.safetensors
    python pretrained/recipes/cloth/train_cloth_finder.py --refit finder.safetensors --former OLD_EYE --export OUT

The backbone that convert_efficientnet.py writes is the one that the eye's was fine-tuned from: the corrections
lead back to it. With `--start` the decoder of a finder is trained on, with the corrections that it has; `--average`
takes the mean of such finders' decoders. The backbone stays as it is, so features are computed once, of `--composites`
pictures made before training.
`--refit` leaves a finder as it is when the eye was trained on: only the corrections are made anew, from the new
backbone to the one that the finder was trained with.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.composites import Composites, load_clips
from common import Run, Training, arguments, autocast, averaged
from labelled import read_small

from stylecine.networks.backbone import Backbone
from stylecine.networks.clothfinder import DECODER, LEFT, RIGHT, ClothFinder
from stylecine.networks.eye import Eye
from stylecine.weights import PRETRAINED, read_tensors

LONG_SIDE = 1000  # of the landscapes
HELD_OUT = 12  # one in so many composites is not trained on
DROPPED = 0.15  # of the feature channels
RANK = 8  # of corrections
REFIT_RANK = 96  # of corrections: the finder's own and those of an eye that was trained on
SURE = 0.8  # the probability at which precision and recall are measured


def backbone_in(path: Path) -> Backbone:
    return Eye.from_tensors(read_tensors(path)).backbone


def low_rank_corrections(tuned: Backbone, former: Backbone, rank: int = RANK) -> dict[str, tuple[Tensor, Tensor]]:
    """The best factors of that rank from the weights of one backbone to those of another, by 1x1 convolution."""
    before, corrections = dict(former.named_parameters()), {}
    for name, weight in tuned.named_parameters():
        if weight.dim() == 4 and weight.shape[2:] == (1, 1):
            u, s, v = torch.linalg.svd((before[name] - weight).detach()[:, :, 0, 0], full_matrices=False)
            root = s[:rank].sqrt()
            corrections[name.removesuffix(".weight")] = (u[:, :rank] * root, root[:, None] * v[:rank])
    return corrections


def corrected_finder(eye: Path, former: Path) -> tuple[ClothFinder, dict[str, tuple[Tensor, Tensor]]]:
    """A finder with a new decoder, and its corrections as they are saved, in half precision."""
    tuned, before = backbone_in(eye), Backbone()
    before.load_state_dict(load_file(former))
    pairs = low_rank_corrections(tuned, before)
    corrections = {name: (left.half().float(), right.half().float()) for name, (left, right) in pairs.items()}
    return ClothFinder(tuned, corrections), corrections


def started_finder(eye: Path, start: Path) -> tuple[ClothFinder, dict[str, tuple[Tensor, Tensor]]]:
    """A finder to train on, and its corrections."""
    tensors = read_tensors(start)
    names = [name.removesuffix(LEFT) for name in tensors if name.endswith(LEFT)]
    corrections = {name: (tensors[name + LEFT].float(), tensors[name + RIGHT].float()) for name in names}
    finder = ClothFinder.from_tensors(tensors, backbone_in(eye))
    finder.decoder.requires_grad_(True)
    return finder, corrections


def finder_of(options: argparse.Namespace) -> tuple[ClothFinder, dict[str, tuple[Tensor, Tensor]]]:
    if options.start:
        return started_finder(options.eye, options.start)
    return corrected_finder(options.eye, options.backbone)


class Cached:
    """Features of composites, bfloat16, and how much of each of their cells is cloth."""

    def __init__(self, composites: Composites, finder: ClothFinder, count: int, device: torch.device) -> None:
        self.features: list[list[Tensor]] = []
        self.cloth: list[Tensor] = []
        with torch.no_grad(), autocast(device):
            for _ in range(count):
                picture, cloth = composites()
                maps = finder.features(picture[None].to(device).float() / 127.5 - 1)
                self.features.append([one[0].bfloat16() for one in maps])
                self.cloth.append(F.avg_pool2d(cloth[None].to(device), 8)[0])

    def batch(self, which: list[int]) -> tuple[list[Tensor], Tensor]:
        """Features at 1/8, 1/16 and 1/32 and cloth [N,H/8,W/8]."""
        levels = zip(*(self.features[i] for i in which), strict=True)
        return [torch.stack(level).float() for level in levels], torch.stack([self.cloth[i] for i in which])


def loss(logits: Tensor, cloth: Tensor) -> Tensor:
    """Cross-entropy, in which cloth counts twice, + soft Dice, which counts pictures alike."""
    entropy = F.binary_cross_entropy_with_logits(logits, cloth, weight=1 + cloth)
    found, least = logits.sigmoid(), 0.004 * cloth[0].numel()
    overlap = 2 * (found * cloth).sum((1, 2)) + least
    dice = 1 - overlap / (found.sum((1, 2)) + cloth.sum((1, 2)) + least)
    return 3 * entropy + 0.5 * dice.mean()


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    finder, _ = finder_of(options)
    finder.to(run.device)
    training = Training(run, finder.decoder, rate=2e-3, weight_decay=0.05, half_life=100)
    seed = options.seed + run.step
    photos = [sample.photo for sample in read_small(options.photos, "train.txt", LONG_SIDE)]
    composites = Composites(photos, load_clips(options.clips, "train"), seed)
    cached = Cached(composites, finder, options.composites, run.device)
    held_out = list(range(0, options.composites, HELD_OUT))
    others, rng = sorted(set(range(options.composites)) - set(held_out)), np.random.default_rng(seed)
    run.restart_clock()  # making composites does not count

    def batch_loss() -> Tensor:
        features, cloth = cached.batch(rng.choice(others, options.batch).tolist())
        if rng.random() < 0.5:
            features, cloth = [maps.flip(3) for maps in features], cloth.flip(2)
        return loss(finder.decoder([F.dropout2d(maps, DROPPED) for maps in features])[:, 0], cloth)

    @torch.no_grad()
    def evaluate(tensors: dict[str, Tensor]) -> dict[str, float]:
        """Precision and recall of pixels on the composites that are not trained on."""
        decoder = copy.deepcopy(finder.decoder)
        decoder.load_state_dict(tensors)
        sure, true, both = 0.0, 0.0, 0.0
        for i in held_out:
            features, cloth = cached.batch([i])
            found = decoder(features)[:, 0].sigmoid() > SURE
            sure, true, both = sure + float(found.sum()), true + float(cloth.sum()), both + float(cloth[found].sum())
        return {"precision": both / max(1.0, sure), "recall": both / max(1.0, true)}

    training.fit(batch_loss, evaluate)


def export(options: argparse.Namespace) -> None:
    """The averaged decoder and its corrections."""
    _, corrections = finder_of(options)
    save(averaged(options.out / "state.pt"), corrections, options.export)


def average(options: argparse.Namespace) -> None:
    """The mean of the decoders of finders with the same corrections."""
    finders = [started_finder(options.eye, path) for path in options.average]
    decoders = [finder.decoder.state_dict() for finder, _ in finders]
    mean = {name: torch.stack([decoder[name] for decoder in decoders]).mean(0) for name in decoders[0]}
    save(mean, finders[0][1], options.export)


def refit(options: argparse.Namespace) -> None:
    """The same decoder, with corrections from the new eye's backbone to that which it was trained with."""
    tensors = read_tensors(options.refit)
    finder = ClothFinder.from_tensors(tensors, backbone_in(options.former))
    backbone = backbone_in(options.eye)
    corrections = low_rank_corrections(backbone, finder.backbone, REFIT_RANK)
    save(finder.decoder.state_dict(), corrections, options.export)


def save(decoder: dict[str, Tensor], corrections: dict[str, tuple[Tensor, Tensor]], path: Path) -> None:
    """Corrections in float8 and the decoder in float16, in one file."""
    tensors = {f"{DECODER}{name}": x.half().contiguous() for name, x in decoder.items()}
    for name, (left, right) in corrections.items():
        for side, factor in zip((LEFT, RIGHT), balanced(left, right), strict=True):
            tensors[name + side] = factor.to(torch.float8_e4m3fn).contiguous()
    kind = f"{ClothFinder.__module__}.{ClothFinder.__qualname__}"
    save_file(tensors, path, metadata={"network": kind, "format": "pt"})
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def balanced(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Factors [out,r] and [r,in] of the same product, of which neither falls out of float8's range."""
    largest = [factor.abs().amax(axis).clamp_min(1e-12) for factor, axis in ((left, 0), (right, 1))]
    scale = (largest[1] / largest[0]).sqrt()
    return left * scale, right / scale[:, None]


def main() -> None:
    parser = arguments(__doc__, ".runs/finder", export=True, batch=10)
    parser.add_argument("--clips", type=Path, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--backbone", type=Path, help="written by convert_efficientnet.py")
    parser.add_argument("--start", type=Path, metavar="FINDER", help="instead: the finder to train on")
    parser.add_argument("--average", type=Path, nargs="+", metavar="FINDER", help="finders to take the mean of")
    parser.add_argument("--eye", type=Path, default=PRETRAINED / "eye.safetensors")
    parser.add_argument("--composites", type=int, default=1200, help="pictures made in each run")
    parser.add_argument("--refit", type=Path, metavar="FINDER", help="a finder to keep as it is")
    parser.add_argument("--former", type=Path, metavar="EYE", help="the eye of that finder")
    options = parser.parse_args()
    if options.refit:
        refit(options)
    elif options.average:
        average(options)
    elif options.export:
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
