"""Masks from the generator's features, from a network on the photo, or from both: the same decoder, the same views.

    python pretrained/recipes/compare_features.py --photos DIR --minutes 30

StyleCineGAN (Choi et al., CVPR 2024) reads its masks off the generator's features, which cost nothing once a photo
is inverted. Here three decoders learn side by side: on features of the inverted view (F and what the generator makes
of it up to full size), on VGG16's of the view itself, and on both. The log has each one's scores on val.txt.
"""

from __future__ import annotations

import argparse
import math

import torch
import torch.nn.functional as F
from common import Average, Run, arguments
from data import Sample
from labelled import read_small
from torch import Tensor, nn
from train_segmenter import PEAK, Batches, Replay, add_vgg, evaluate, loss, make_segmenter

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.segmenter import Decoder, normalise
from stylecine.weights import find_model, role_tensors

WIDTHS = (24, 48, 64, 96)  # as the segmenter's decoder


class GeneratorFeatures(nn.Module):
    """Photos [N,3,H,W] in [-1,1], multiples of 16 -> features at 1/2, 1/4, 1/8 and 1/16 of their inversions."""

    def __init__(self) -> None:
        super().__init__()
        record = find_model("default")
        self.generator = Generator.from_tensors(role_tensors(record, "generator"), record.injection)
        self.encoder = Encoder.from_tensors(role_tensors(record, "encoder"))

    def forward(self, photos: Tensor) -> list[Tensor]:
        w_plus, feature = self.encoder(photos)
        quarter, half, full = self.generator.trunk_from_feature(feature, w_plus)
        half = torch.cat([half, F.avg_pool2d(full, 2)], 1)
        eighth = F.avg_pool2d(quarter, 2)
        # the image's style, for what a place alone does not tell
        style = w_plus.mean(1)[:, ::8, None, None].expand(-1, -1, eighth.shape[2] // 2, eighth.shape[3] // 2)
        return [half, quarter, eighth, torch.cat([F.avg_pool2d(eighth, 2), style.to(eighth.dtype)], 1)]


class PhotoFeatures(nn.Module):
    """The same shapes from VGG16 as ImageNet left it."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, photos: Tensor) -> list[Tensor]:
        return self.trunk(normalise(photos))


class Both(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, photos: Tensor) -> list[Tensor]:
        return [torch.cat(maps, 1) for maps in zip(*(part(photos) for part in self.parts), strict=True)]


class Head(nn.Module):
    """A decoder on the last or the first channels of `Both`."""

    def __init__(self, channels: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.ranges = channels
        self.decoder = Decoder(tuple(b - a for a, b in channels), 5, WIDTHS)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.decoder([m[:, a:b] for m, (a, b) in zip(maps, self.ranges, strict=True)])


def heads(features: Both) -> dict[str, Head]:
    with torch.no_grad():
        sizes = [[maps.shape[1] for maps in part(torch.zeros(1, 3, 64, 64))] for part in features.parts]
    first, second = sizes
    both = [a + b for a, b in zip(first, second, strict=True)]
    return {
        "generator": Head(tuple((0, a) for a in first)),
        "photo": Head(tuple((a, c) for a, c in zip(first, both, strict=True))),
        "both": Head(tuple((0, c) for c in both)),
    }


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed)
    features = Both(GeneratorFeatures(), PhotoFeatures(make_segmenter(options.vgg).trunk)).to(run.device).eval()
    decoders = nn.ModuleDict(heads(features)).to(run.device)
    average = Average(decoders, half_life=120)
    run.resume(decoders=decoders, average=average)
    batches = Batches(read_small(options.photos, "train.txt"), options.seed + run.step)
    replay = Replay(features, batches, options.fresh, run)
    val = read_small(options.val or options.photos, "val.txt")
    optimiser = torch.optim.AdamW(decoders.parameters(), lr=PEAK, weight_decay=5e-2, betas=(0.9, 0.98))
    first = run.step
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = (
                PEAK * min(1, (step - first + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * run.fraction)))
            )
        maps, targets = replay(options.batch)
        with run.autocast():
            values = [loss(decoder(maps), targets) for decoder in decoders.values()]
        optimiser.zero_grad()
        torch.stack(values).sum().backward()
        for decoder in decoders.values():
            nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update(step - first)
        if run.due(15.0):
            report(run, features, decoders, average, val)
    report(run, features, decoders, average, val)


def report(run: Run, features: nn.Module, decoders: nn.ModuleDict, average: Average, val: list[Sample]) -> None:
    now = {name: tensor.clone() for name, tensor in decoders.state_dict().items()}
    decoders.load_state_dict(average.shadow[0])
    for name, decoder in decoders.items():
        run.log(features=name, **evaluate(nn.Sequential(features, decoder), val, run))
    decoders.load_state_dict(now)
    run.save(decoders=decoders, average=average)


def main() -> None:
    parser = arguments(__doc__, ".runs/features")
    parser.set_defaults(batch=8)
    add_vgg(parser)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
