"""Train the segmenter: which pixels of a photo are sky, water, falls, smoke, or static.

    python pretrained/recipes/train_segmenter.py --photos DIR --vgg vgg16.safetensors --minutes 50
    python pretrained/recipes/train_segmenter.py --photos DIR --vgg vgg16.safetensors --export OUT.safetensors

Only the decoder learns; VGG16's features (convert_lpips.py --vgg writes its weights) stay as they are, and
are rounded to four bits for the export: a few hundred photos are learnt by heart by a trunk that learns too. Each
call goes on from the last one, evaluates on val.txt and keeps the best weights.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, averaged
from data import Sample
from labelled import look, photometric, random_view, read_small, relit, tinted, transplanted
from PIL import Image
from rounding import round_convolutions
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stylecine.mask import SHORT_SIDE
from stylecine.networks.segmenter import Segmenter, normalise

SIZE = 320  # of the views to train on
PEAK = 1.2e-3  # learning rate
RELIT, TINTED, TRANSPLANTED = 0.3, 0.2, 0.25  # of the views
MEMORY = 240  # views
DROPPED = 0.15  # of the feature channels: a few hundred photos are soon learnt by heart
# static, sky, water, falls, smoke: falls and smoke are rare
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 1.5)
COLOURS = np.array([[0, 0, 0], [90, 160, 255], [0, 90, 200], [255, 255, 0], [255, 90, 160]], np.float32)


def make_segmenter(vgg: Path) -> Segmenter:
    """A segmenter whose frozen trunk is VGG16 and whose decoder has learnt nothing yet."""
    segmenter, tensors = Segmenter(), load_file(vgg)
    segmenter.trunk.load_state_dict({name: tensors[name] for name in segmenter.trunk.state_dict()})
    segmenter.trunk.requires_grad_(False)
    return segmenter


class Batches:
    """Random views of the photos; those with falls or smoke, or nothing that moves, come more often."""

    def __init__(self, photos: list[Sample], seed: int) -> None:
        self.photos, self.rng = photos, np.random.default_rng(seed)
        share = np.array([[bool((p.label == c).float().mean() > 0.01) for c in range(5)] for p in photos])
        weight = 1 + 1.5 * share[:, 3] + 1.0 * share[:, 4] + 3.0 * ~share[:, 1:].any(1)
        self.weight = weight / weight.sum()

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """photos [n,3,S,S] in [-1,1], targets [n,5,S/2,S/2] summing to 1."""
        chosen = self.rng.choice(len(self.photos), count, p=self.weight)
        pairs = [self._view(self.photos[i]) for i in chosen]
        return torch.stack([p for p, _ in pairs]), torch.stack([t for _, t in pairs])

    def _view(self, item: Sample) -> tuple[Tensor, Tensor]:
        photo, label = self._look(item)
        if self.rng.random() < TRANSPLANTED:
            other = self.photos[self.rng.choice(len(self.photos), p=self.weight)]
            photo, label = transplanted(self.rng, photo, label, *self._look(other))
        target = F.avg_pool2d(F.one_hot(label, 5).permute(2, 0, 1).float(), 2)
        return photometric(self.rng, photo) * 2 - 1, target

    def _look(self, item: Sample) -> tuple[Tensor, Tensor]:
        view = random_view(self.rng, SIZE)
        photo = look(view, item.photo.float() / 255)
        label = look(view, item.label[None].float(), mode="nearest")[0].long()
        if self.rng.random() < RELIT:
            photo = relit(self.rng, photo, label)
        return (tinted(self.rng, photo) if self.rng.random() < TINTED else photo), label


class Replay:
    """Features of the last views, used a few times each: computing them is four fifths of the work."""

    def __init__(
        self, features: Callable[[Tensor], list[Tensor]], batches: Batches, fresh: int, run: Run
    ) -> None:
        self.features, self.batches, self.fresh, self.run = features, batches, fresh, run
        self.memory: list[tuple[list[Tensor], Tensor]] = []

    def __call__(self, count: int) -> tuple[list[Tensor], Tensor]:
        """Features [n,C,*,*] at 1/2 to 1/16 and targets [n,5,S/2,S/2]: `fresh` new views and some old ones."""
        new = self._views(self.fresh if len(self.memory) >= count else count)
        old = self.batches.rng.permutation(len(self.memory))[: count - len(new)]
        chosen = new + [self.memory[i] for i in old]
        for view in new:
            if len(self.memory) < MEMORY:
                self.memory.append(view)
            else:
                self.memory[self.batches.rng.integers(MEMORY)] = view
        features = [
            torch.stack(maps).contiguous(memory_format=torch.channels_last)
            for maps in zip(*(f for f, _ in chosen), strict=True)
        ]
        return features, torch.stack([target for _, target in chosen])

    @torch.no_grad()
    def _views(self, count: int) -> list[tuple[list[Tensor], Tensor]]:
        views, targets = self.batches(count)
        with self.run.autocast():
            features = self.features(views.to(self.run.device, memory_format=torch.channels_last))
        targets = targets.to(self.run.device)
        return [([f[i].bfloat16().clone() for f in features], targets[i]) for i in range(count)]


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Weighted cross-entropy of the classes + soft Dice of what moves, which counts photos alike."""
    logits = logits.float()
    weight = torch.tensor(CLASS_WEIGHTS, device=logits.device).view(1, 5, 1, 1)
    entropy = -(weight * target * logits.log_softmax(1)).sum(1).mean()
    moves, truth = 1 - logits.softmax(1)[:, 0], 1 - target[:, 0]
    overlap = (moves * truth).sum((1, 2))
    dice = 1 - (2 * overlap + 100) / (moves.sum((1, 2)) + truth.sum((1, 2)) + 100)
    return entropy + 0.5 * dice.mean()


@torch.no_grad()
def probabilities(network: nn.Module, photo: Tensor, run: Run) -> Tensor:
    """uint8 [3,H,W] -> [5,h,w] on the CPU, the mean over the photo and its mirror image."""
    scale = SHORT_SIDE / min(photo.shape[1:])
    size = [max(32, round(n * scale / 16) * 16) for n in photo.shape[1:]]
    image = photo[None].float().to(run.device) / 127.5 - 1
    image = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    with run.autocast():
        straight, mirrored = network(
            torch.cat([image, image.flip(3)]).contiguous(memory_format=torch.channels_last)
        )
    return ((straight.float().softmax(0) + mirrored.float().flip(2).softmax(0)) / 2).cpu()


def full_size(shares: Tensor, item: Sample) -> Tensor:
    return F.interpolate(shares[None], item.label.shape, mode="bilinear", align_corners=False)[0]


def evaluate(network: nn.Module, photos: list[Sample], run: Run) -> dict[str, float]:
    """Moving IoU and class accuracy where something moves; false-positive area of the other photos."""
    scores, right, false = [], [], []
    for item in photos:
        shares = full_size(probabilities(network, item.photo, run), item)
        predicted, truth = shares[0] < 0.5, item.label > 0
        if truth.float().mean() < 0.005:
            false.append(float(predicted.float().mean()))
            continue
        scores.append(float((predicted & truth).sum() / (predicted | truth).sum()))
        right.append(float((shares[1:].argmax(0) + 1 == item.label)[truth].float().mean()))
    means = {
        "mean": np.mean(scores),
        "worst": np.min(scores),
        "classes": np.mean(right),
        "false": np.mean(false or [0]),
    }
    return {name: float(value) for name, value in means.items()}


def sample_sheet(network: nn.Module, photos: list[Sample], run: Run, path: Path) -> None:
    """Rows of photo | label | prediction, two photos a row."""
    rows = []
    for item in photos:
        shares = full_size(probabilities(network, item.photo, run), item).numpy()
        photo = item.photo.permute(1, 2, 0).numpy()
        painted = [
            np.tensordot(m, COLOURS, (0, 0)) for m in (np.eye(5)[item.label].transpose(2, 0, 1), shares)
        ]
        tiles = [photo, *(0.5 * photo + 0.5 * p for p in painted)]
        rows.append(
            np.hstack([np.array(Image.fromarray(t.astype(np.uint8)).resize((270, 180))) for t in tiles])
        )
    rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
    Image.fromarray(np.hstack([np.vstack(rows[::2]), np.vstack(rows[1::2])])).save(path)


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed)
    network = make_segmenter(options.vgg).to(run.device)
    average = Average(network.decoder, half_life=120)
    run.resume(decoder=network.decoder, average=average)
    batches = Batches(read_small(options.photos, "train.txt"), options.seed + run.step)
    replay = Replay(lambda views: network.trunk(normalise(views)), batches, options.fresh, run)
    val = read_small(options.val or options.photos, "val.txt")
    optimiser = torch.optim.AdamW(network.decoder.parameters(), lr=PEAK, weight_decay=5e-2, betas=(0.9, 0.98))
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = (
                PEAK
                * min(1, (step - first + 1) / 50)
                * (0.02 + 0.49 * (1 + math.cos(math.pi * run.fraction)))
            )
        features, targets = replay(options.batch)
        with run.autocast():
            logits = network.decoder([F.dropout2d(maps, DROPPED) for maps in features])
        value = loss(logits, targets)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.decoder.parameters(), 1.0)
        optimiser.step()
        average.update(step - first)
        values.append(value.item())
        if run.due(4.0):
            keep(run, network, average, val, values)
            values = []
    keep(run, network, average, val, values or [math.nan])


def keep(run: Run, network: Segmenter, average: Average, val: list[Sample], values: list[float]) -> None:
    """Evaluates the averaged decoder, keeps it if it is the best so far, and saves the state."""
    now = {name: tensor.clone() for name, tensor in network.decoder.state_dict().items()}
    network.decoder.load_state_dict(average.shadow[0])
    scores = evaluate(network, val, run)
    run.log(loss=float(np.mean(values)), **scores)
    best = run.folder / "best.txt"
    if not best.exists() or scores["mean"] > float(best.read_text()):
        best.write_text(str(scores["mean"]))
        torch.save(average.shadow[0], run.folder / "best.pt")
        sample_sheet(network, val[:18], run, run.folder / "best.png")
    network.decoder.load_state_dict(now)
    run.save(decoder=network.decoder, average=average)


def rounded_trunk(options: argparse.Namespace) -> dict[str, Tensor]:
    """The trunk in four bits; takes a minute or two and is kept in the run's folder."""
    kept = options.out / "trunk.safetensors"
    if not kept.exists():
        views = [
            F.interpolate(
                s.photo[None].float(), (192, 256), mode="bilinear", antialias=True, align_corners=False
            )
            for s in read_small(options.photos, "train.txt", 320)[::7]
        ]
        trunk = make_segmenter(options.vgg).trunk
        last_of_stage = {sum(trunk.DEPTHS[: i + 1]) - 1 for i in range(len(trunk.DEPTHS) - 1)}
        convs = [conv for conv in trunk.convs if isinstance(conv, nn.Conv2d)]
        images = [normalise(view / 127.5 - 1)[0] for view in views]
        stored = round_convolutions(convs, last_of_stage, images)
        save_file({f"trunk.convs.{name}": tensor.contiguous() for name, tensor in stored.items()}, kept)
    return load_file(kept)


def export(options: argparse.Namespace) -> None:
    """The trunk in four bits; the decoder as float16, the mean of the best and the last (Izmailov et al. 2018)."""
    best = torch.load(options.out / "best.pt", map_location="cpu", weights_only=True)
    last = averaged(options.out / "state.pt")
    decoder = {name: (tensor + last[name]) / 2 for name, tensor in best.items()}
    stored = rounded_trunk(options) | {f"decoder.{name}": tensor for name, tensor in decoder.items()}
    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in stored.items()}
    save_file(
        tensors,
        options.export,
        metadata={"network": "stylecine.networks.segmenter.Segmenter", "format": "pt"},
    )
    print(f"{options.export}: {options.export.stat().st_size / 1e6:.2f} MB")


def add_vgg(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fresh", type=int, default=3, help="new views in each batch; the rest are seen again"
    )
    parser.add_argument("--vgg", type=Path, default=Path(".runs/vgg16.safetensors"), help="VGG16's weights")


def main() -> None:
    parser = arguments(__doc__, ".runs/segmenter")
    parser.set_defaults(batch=8)
    add_vgg(parser)
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the best weights and stop")
    next(action for action in parser._actions if action.dest == "photos").required = False
    options = parser.parse_args()
    if options.export:
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
