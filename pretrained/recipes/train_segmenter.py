"""Train the segmenter: which pixels of a photo are sky, water, falls, smoke, or static.

    python pretrained/recipes/train_segmenter.py --photos DIR --vgg vgg16.safetensors --minutes 100
    python pretrained/recipes/train_segmenter.py --photos DIR --vgg vgg16.safetensors --export OUT.safetensors

Only the decoder learns; VGG16's features (convert_lpips.py --vgg writes its weights), rounded to four bits, stay as
they are: a few hundred photos are learnt by heart by a trunk that learns too. Most views show the whole photo. Each
call goes on from the last one, evaluates on val.txt and val2.txt and keeps the decoder with the best mean of both.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, averaged, cosine
from data import Sample
from labelled import look, photometric, random_view, read_small, relit, tinted, transplanted
from PIL import Image
from rounding import round_convolutions
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stylecine.networks.segmenter import Segmenter, Trunk, normalise, unpacked

SIZE = 384  # of the views to train on, and of the whole photos to validate on
PEAK = 1.2e-3  # learning rate
WHOLE = 0.5  # of the views show the whole photo
SMALLEST, SMALLEST_FALLS = 0.4, 0.2  # of each side: the closest views, and of photos with falls
RELIT, TINTED, TRANSPLANTED = 0.3, 0.3, 0.2  # of the views
MEMORY = 1500  # views
DROPPED = 0.2  # of the feature channels: a few hundred photos are soon learnt by heart
SPLITS = ("val", "val2")
# static, sky, water, falls, smoke: falls and smoke are rare
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 1.5)
COLOURS = np.array([[0, 0, 0], [90, 160, 255], [0, 90, 200], [255, 255, 0], [255, 90, 160]], np.float32)

Features = list[Tensor]  # at 1/2, 1/4, 1/8 and 1/16, each [N,C,*,*]


def make_trunk(vgg: Path) -> Trunk:
    """VGG16's convolutions, which do not learn."""
    trunk, tensors = Trunk(), load_file(vgg)
    trunk.load_state_dict({name: tensors[name] for name in trunk.state_dict()})
    return trunk.requires_grad_(False)


class Batches:
    """Random views of the photos; those with falls, smoke or little that moves come more often."""

    def __init__(self, photos: list[Sample], seed: int) -> None:
        self.photos, self.rng = photos, np.random.default_rng(seed)
        share = np.array([[float((p.label == c).float().mean()) for c in range(5)] for p in photos])
        self.falls = share[:, 3] > 0.01
        weight = 1 + 2.0 * self.falls + 1.0 * (share[:, 4] > 0.01) + 0.7 * (share[:, 0] > 0.6)
        weight += 2.5 * (share[:, 0] > 0.98)
        self.weight = weight / weight.sum()

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """photos [n,3,S,S] in [-1,1], targets [n,5,S/2,S/2] summing to 1."""
        pairs = [self._view() for _ in range(count)]
        return torch.stack([p for p, _ in pairs]), torch.stack([t for _, t in pairs])

    def _view(self) -> tuple[Tensor, Tensor]:
        photo, label = self._look()
        if self.rng.random() < TRANSPLANTED:
            photo, label = transplanted(self.rng, photo, label, *self._look())
        target = F.avg_pool2d(F.one_hot(label, 5).permute(2, 0, 1).float(), 2)
        return photometric(self.rng, photo) * 2 - 1, target

    def _look(self) -> tuple[Tensor, Tensor]:
        chosen = self.rng.choice(len(self.photos), p=self.weight)
        item, falls = self.photos[chosen], self.falls[chosen]
        view = random_view(self.rng, SIZE, SMALLEST_FALLS if falls else SMALLEST, whole=WHOLE)
        photo = look(view, item.photo.float() / 255)
        label = look(view, item.label[None].float(), mode="nearest")[0].long()
        if self.rng.random() < RELIT:
            photo = relit(self.rng, photo, label)
        return (tinted(self.rng, photo) if self.rng.random() < TINTED else photo), label


def of_one(features: Features, index: int) -> Features:
    """One view's features [H,W,C], to be kept."""
    return [maps[index].permute(1, 2, 0).bfloat16().contiguous() for maps in features]


def together(views: list[Features]) -> Features:
    """Those of several views as the decoder takes them, in the memory format channels_last."""
    return [torch.stack(maps).permute(0, 3, 1, 2) for maps in zip(*views, strict=True)]


class Replay:
    """New views with all their features, and old ones with the coarse branch's alone, which are a sixth as large.

    Computing features is most of the work, and it is the coarse branch that has most to learn.
    """

    def __init__(self, trunk: Trunk, batches: Batches, fresh: int, run: Run) -> None:
        self.trunk, self.batches, self.fresh, self.run = trunk, batches, fresh, run
        self.memory: list[tuple[Features, Tensor]] = []

    def __call__(self, count: int) -> tuple[Features, Tensor, Features, Tensor]:
        """Features at 1/2 and 1/4 and targets at 1/2 of `fresh` new views; features at 1/8 and 1/16 and targets at
        1/8 of `count` views, of which the new ones come first."""
        new = self._views(self.fresh if len(self.memory) >= count else count)
        old = self.batches.rng.permutation(len(self.memory))[: count - len(new)]
        coarse = [(maps[2:], F.avg_pool2d(target, 4)) for maps, target in new]
        chosen = coarse + [self.memory[i] for i in old]
        for view in coarse:
            if len(self.memory) < MEMORY:
                self.memory.append(view)
            else:
                self.memory[self.batches.rng.integers(MEMORY)] = view
        fine = new[: self.fresh]
        return (
            together([maps[:2] for maps, _ in fine]),
            torch.stack([target for _, target in fine]),
            together([maps for maps, _ in chosen]),
            torch.stack([target for _, target in chosen]),
        )

    @torch.no_grad()
    def _views(self, count: int) -> list[tuple[Features, Tensor]]:
        views, targets = self.batches(count)
        with self.run.autocast():
            features = self.trunk(normalise(views.to(self.run.device, memory_format=torch.channels_last)))
        targets = targets.to(self.run.device)
        return [(of_one(features, i), targets[i]) for i in range(count)]


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Weighted cross-entropy of the classes + soft Dice of what moves, which counts photos alike."""
    logits = logits.float()
    weight = torch.tensor(CLASS_WEIGHTS, device=logits.device).view(1, 5, 1, 1)
    entropy = -(weight * target * logits.log_softmax(1)).sum(1).mean()
    moves, truth = 1 - logits.softmax(1)[:, 0], 1 - target[:, 0]
    overlap, least = (moves * truth).sum((1, 2)), 0.003 * moves[0].numel()
    dice = 1 - (2 * overlap + least) / (moves.sum((1, 2)) + truth.sum((1, 2)) + least)
    return entropy + 0.5 * dice.mean()


class Validation:
    """The photos of one split, whole, and their features."""

    @torch.no_grad()
    def __init__(self, trunk: Trunk, photos: list[Sample], run: Run) -> None:
        self.photos, self.run = photos, run
        self.features: list[Features] = []
        for item in photos:
            image = item.photo[None].float().to(run.device) / 127.5 - 1
            image = F.interpolate(image, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
            with run.autocast():
                maps = trunk(normalise(image).contiguous(memory_format=torch.channels_last))
            self.features.append(of_one(maps, 0))

    @torch.no_grad()
    def shares(self, decoder: nn.Module, index: int) -> Tensor:
        """[5,H,W] in the size of the label."""
        with self.run.autocast():
            logits = decoder(together([self.features[index]]))
        size = self.photos[index].label.shape
        return F.interpolate(logits.float().softmax(1), size, mode="bilinear", align_corners=False)[0].cpu()

    def scores(self, decoder: nn.Module) -> dict[str, float]:
        """Moving IoU and class accuracy where something moves; false-positive area of the other photos."""
        found, right, false = [], [], []
        for index, item in enumerate(self.photos):
            shares = self.shares(decoder, index)
            predicted, truth = shares[0] < 0.5, item.label > 0
            if truth.float().mean() < 0.005:
                false.append(float(predicted.float().mean()))
                continue
            found.append(float((predicted & truth).sum() / (predicted | truth).sum()))
            right.append(float((shares[1:].argmax(0) + 1 == item.label)[truth].float().mean()))
        means = {
            "mean": np.mean(found),
            "worst": np.min(found),
            "classes": np.mean(right),
            "false": np.mean(false or [0]),
        }
        return {name: float(value) for name, value in means.items()}

    def sheet(self, decoder: nn.Module, path: Path) -> None:
        """Rows of photo | label | prediction, two photos a row."""
        rows = []
        for index, item in enumerate(self.photos):
            shares = self.shares(decoder, index).numpy()
            photo = item.photo.permute(1, 2, 0).numpy()
            painted = [np.tensordot(m, COLOURS, (0, 0)) for m in (np.eye(5)[item.label].transpose(2, 0, 1), shares)]
            tiles = [photo, *(0.5 * photo + 0.5 * p for p in painted)]
            rows.append(np.hstack([np.array(Image.fromarray(t.astype(np.uint8)).resize((270, 180))) for t in tiles]))
        rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
        Image.fromarray(np.hstack([np.vstack(rows[::2]), np.vstack(rows[1::2])])).save(path)


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed + run.step)
    network = Segmenter()
    trunk, decoder = network.trunk, network.decoder.to(run.device)
    stored = {name.removeprefix("trunk."): tensor for name, tensor in rounded_trunk(options).items()}
    trunk.load_state_dict(unpacked(stored, {name: tensor.shape for name, tensor in trunk.state_dict().items()}))
    trunk.to(run.device).requires_grad_(False)
    average = Average(decoder, half_life=200)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=PEAK, weight_decay=5e-2, betas=(0.9, 0.98))
    run.resume(decoder=decoder, average=average, optimiser=optimiser)
    batches = Batches(read_small(options.photos, "train.txt"), options.seed + run.step)
    replay = Replay(trunk, batches, options.fresh, run)
    held_out = validations(trunk, options, run)
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = PEAK * cosine(run, first, step)
        fine, exact, coarse, rough = replay(options.batch)
        with run.autocast():
            x, logits = decoder.what(*(F.dropout2d(maps, DROPPED) for maps in coarse))
            new = slice(len(exact))
            quarter, half = (F.dropout2d(maps, DROPPED) for maps in reversed(fine))
            corrected = decoder.exactly(x[new], logits[new], quarter, half)
        value = loss(corrected, exact) + loss(logits, rough)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        values.append(value.item())
        if run.due(8.0):
            keep(run, decoder, average, optimiser, held_out, values)
            values = []
    keep(run, decoder, average, optimiser, held_out, values or [math.nan])
    decoder.load_state_dict(torch.load(run.folder / "best.pt", map_location=run.device, weights_only=True))
    for name, split in held_out.items():
        split.sheet(decoder, run.folder / f"best_{name}.png")


def validations(trunk: Trunk, options: argparse.Namespace, run: Run) -> dict[str, Validation]:
    """The folder's val.txt and val2.txt, or what --val names."""
    if options.val and options.val.suffix == ".npz":
        return {"val": Validation(trunk, read_small(options.val, ""), run)}
    folder = options.val or options.photos
    splits = [name for name in SPLITS if (folder / f"{name}.txt").exists()]
    return {name: Validation(trunk, read_small(folder, f"{name}.txt"), run) for name in splits}


def keep(
    run: Run,
    decoder: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    held_out: dict[str, Validation],
    values: list[float],
) -> None:
    """Evaluates the averaged decoder, keeps it if it is the best so far, and saves the state."""
    now = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    decoder.load_state_dict(average.shadow[0])
    scores = {name: split.scores(decoder) for name, split in held_out.items()}
    mean = float(np.mean([score["mean"] for score in scores.values()]))
    run.log(loss=float(np.mean(values)), both=mean, **flat(scores))
    best = run.folder / "best.txt"
    if not best.exists() or mean > float(best.read_text()):
        best.write_text(str(mean))
        torch.save(average.shadow[0], run.folder / "best.pt")
    decoder.load_state_dict(now)
    run.save(decoder=decoder, average=average, optimiser=optimiser)


def flat(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{split}_{name}": value for split, score in scores.items() for name, value in score.items()}


def rounded_trunk(options: argparse.Namespace) -> dict[str, Tensor]:
    """The trunk in four bits; takes a few minutes and is kept in the run's folder."""
    kept = options.out / "trunk.safetensors"
    if not kept.exists():
        views = [
            F.interpolate(s.photo[None].float(), (192, 256), mode="bilinear", antialias=True, align_corners=False)
            for s in read_small(options.photos, "train.txt", 320)[::7]
        ]
        trunk = make_trunk(options.vgg)
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
    parser.set_defaults(batch=16)
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
