"""Train the segmenter: which pixels of a photo are sky, water, falls, smoke, or static.

    python pretrained/recipes/train_segmenter.py --photos DIR --backbone efficientnet.safetensors --minutes 100
    python pretrained/recipes/train_segmenter.py --photos DIR --refine pretrained/segmenter.safetensors --minutes 60
    python pretrained/recipes/train_segmenter.py --export OUT.safetensors

The backbone (convert_efficientnet.py writes its pretrained weights) is fine-tuned at a low learning rate together
with the decoder. `--refine` goes on from finished weights and trains their decoder alone, so that the motion network
and the cloth finder, which read the same backbone, need not be trained again. Each call resumes the last one,
evaluates on val.txt and val2.txt and keeps the best mean of both.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, averaged, cosine, save_weights
from data import Sample
from labelled import look, photometric, random_view, read_small, relit, spattered, tinted, transplanted
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import network_size
from stylecine.stages.mask import SHORT_SIDE

SIZE = (352, 512)  # of the views to train on, and its transpose for upright photos
PEAK, PEAK_BACKBONE = 1.2e-3, 2e-4  # learning rates
WHOLE = 0.4  # of the views show the whole photo
SMALLEST, SMALLEST_FALLS, SMALLEST_STILL = 0.45, 0.25, 0.2  # of each side: the closest views, also of falls, of ground
RELIT, TINTED, TRANSPLANTED = 0.3, 0.3, 0.2  # of the views
SPATTERED = 0.4  # of the views with falls
STILL, TRIES = 0.12, 8  # of the views show nothing that moves; crops tried for it
DROPPED = 0.1  # of the feature channels: a few hundred photos are soon learnt by heart
HALF_LIFE = 200  # steps, of the averaged weights
COARSE_WEIGHT = 0.4  # of the coarse branch's own loss
SPLITS = ("val", "val2")
FALLS, FALLS_SHARE = 3, 0.01  # the class, and of a photo: fewer are not counted as a photo with falls
# static, sky, water, falls, smoke: falls and smoke are rare
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 1.5)
COLOURS = np.array([[0, 0, 0], [90, 160, 255], [0, 90, 200], [255, 255, 0], [255, 90, 160]], np.float32)


class Batches:
    """Random views of the photos; those with falls, smoke or little that moves come more often."""

    def __init__(self, photos: list[Sample], seed: int) -> None:
        self.photos, self.rng = photos, np.random.default_rng(seed)
        share = np.array([[float((p.label == c).float().mean()) for c in range(5)] for p in photos])
        self.falls = share[:, FALLS] > FALLS_SHARE
        self.weight = 1 + 4.0 * self.falls + 1.0 * (share[:, 4] > 0.01) + 0.7 * (share[:, 0] > 0.6)
        self.weight += 2.0 * (share[:, 0] > 0.98)
        self.mostly_still = share[:, 0] > 0.35
        self.upright = np.array([p.photo.shape[1] > p.photo.shape[2] for p in photos])

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """photos [n,3,h,w] in [-1,1], targets [n,5,h/2,w/2] summing to 1; all upright or all not."""
        self.allowed = self.upright == (self.rng.random() < self.weight @ self.upright / self.weight.sum())
        pairs = [self._view() for _ in range(count)]
        return torch.stack([p for p, _ in pairs]), torch.stack([t for _, t in pairs])

    def _view(self) -> tuple[Tensor, Tensor]:
        if self.rng.random() < STILL:
            photo, label = self._still_look()
        else:
            photo, label = self._look()
            if self.rng.random() < TRANSPLANTED:
                photo, label = transplanted(self.rng, photo, label, *self._look())
        target = F.avg_pool2d(F.one_hot(label, 5).permute(2, 0, 1).float(), 2)
        return photometric(self.rng, photo) * 2 - 1, target

    def _still_look(self) -> tuple[Tensor, Tensor]:
        """Ground, walls, woods: few photos show nothing else, and what a network takes for water there would run."""
        for _ in range(TRIES):
            photo, label = self._look(self.mostly_still, smallest=SMALLEST_STILL, whole=0.1)
            if (label > 0).float().mean() < 0.02:
                break
        return photo, label

    def _look(
        self, among: np.ndarray | None = None, smallest: float | None = None, whole: float = WHOLE
    ) -> tuple[Tensor, Tensor]:
        weight = self.weight * self.allowed * (1 if among is None else among)
        chosen = self.rng.choice(len(self.photos), p=weight / weight.sum())
        item = self.photos[chosen]
        h, w = SIZE[::-1] if self.upright[chosen] else SIZE
        closest = smallest or (SMALLEST_FALLS if self.falls[chosen] else SMALLEST)
        view = random_view(self.rng, (h, w), closest, whole=whole)
        photo = look(view, item.photo.float() / 255)
        label = look(view, item.label[None].float(), mode="nearest")[0].long()
        if self.falls[chosen] and self.rng.random() < SPATTERED:
            photo = spattered(self.rng, photo, label == FALLS)
        if self.rng.random() < RELIT:
            photo = relit(self.rng, photo, label)
        return (tinted(self.rng, photo) if self.rng.random() < TINTED else photo), label


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Weighted cross-entropy of the classes + soft Dice of what moves, which counts photos alike."""
    logits = logits.float()
    weight = torch.tensor(CLASS_WEIGHTS, device=logits.device).view(1, 5, 1, 1)
    entropy = -(weight * target * logits.log_softmax(1)).sum(1).mean()
    moves, truth = 1 - logits.softmax(1)[:, 0], 1 - target[:, 0]
    overlap, least = (moves * truth).sum((1, 2)), 0.003 * moves[0].numel()
    dice = 1 - (2 * overlap + least) / (moves.sum((1, 2)) + truth.sum((1, 2)) + least)
    return entropy + 0.5 * dice.mean()


@torch.no_grad()
def probabilities(network: nn.Module, item: Sample, run: Run) -> Tensor:
    """[5,H,W] on the CPU in the size of the label: the mean over the photo and its mirror image."""
    size = network_size(item.photo.shape[1:], SHORT_SIDE)
    image = item.photo[None].float().to(run.device) / 127.5 - 1
    image = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    with run.autocast():
        straight, mirrored = network(torch.cat([image, image.flip(3)])).float().softmax(1)
    mean = ((straight + mirrored.flip(2)) / 2)[None]
    return F.interpolate(mean, item.label.shape, mode="bilinear", align_corners=False)[0].cpu()


def evaluate(network: nn.Module, photos: list[Sample], run: Run) -> dict[str, float]:
    """Moving IoU and class accuracy where something moves; the share of falling water that was found; false-positive
    area of the other photos."""
    scores, right, falls, false = [], [], [], []
    for item in photos:
        shares = probabilities(network, item, run)
        predicted, truth = shares[0] < 0.5, item.label > 0
        if truth.float().mean() < 0.005:
            false.append(float(predicted.float().mean()))
            continue
        scores.append(float((predicted & truth).sum() / (predicted | truth).sum()))
        white = item.label == FALLS
        if white.float().mean() > FALLS_SHARE:
            falls.append(float(predicted[white].float().mean()))
        right.append(float((shares[1:].argmax(0) + 1 == item.label)[truth].float().mean()))
    means = {
        "mean": np.mean(scores),
        "worst": np.min(scores),
        "classes": np.mean(right),
        "falls": np.mean(falls or [0]),
        "false": np.mean(false or [0]),
    }
    return {name: float(value) for name, value in means.items()}


def sample_sheet(network: nn.Module, photos: list[Sample], run: Run, path: Path) -> None:
    """Rows of photo | label | prediction, two photos a row."""
    rows = []
    for item in photos:
        shares = probabilities(network, item, run).numpy()
        photo = item.photo.permute(1, 2, 0).numpy()
        painted = [np.tensordot(m, COLOURS, (0, 0)) for m in (np.eye(5)[item.label].transpose(2, 0, 1), shares)]
        tiles = [photo, *(0.5 * photo + 0.5 * p for p in painted)]
        rows.append(np.hstack([np.array(Image.fromarray(t.astype(np.uint8)).resize((270, 180))) for t in tiles]))
    rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
    Image.fromarray(np.hstack([np.vstack(rows[::2]), np.vstack(rows[1::2])])).save(path)


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    network = Segmenter()
    if options.refine:
        network.load_state_dict(load_file(options.refine))
        network.backbone.requires_grad_(False)
    else:
        network.backbone.load_state_dict(load_file(options.backbone))
    network.to(run.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, half_life=HALF_LIFE)
    groups = [
        {"params": network.decoder.parameters(), "peak": PEAK, "weight_decay": 5e-2},
        {"params": network.backbone.parameters(), "peak": PEAK_BACKBONE, "weight_decay": 1e-2},
    ]
    optimiser = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98))
    run.resume(network=network, average=average, optimiser=optimiser)
    torch.manual_seed(options.seed + run.step)
    batches = Batches(read_small(options.photos, "train.txt"), options.seed + run.step)
    held_out = validation_photos(options)
    if options.refine and run.step == 0:  # the weights to surpass
        keep(run, network, average, optimiser, held_out, [math.nan])
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * cosine(run, first, step)
        photos, targets = (x.to(run.device) for x in batches(options.batch))
        with run.autocast():
            features = network.backbone(photos.contiguous(memory_format=torch.channels_last))
            fine, coarse = network.decoder.both([F.dropout2d(maps, DROPPED) for maps in features])
        value = loss(fine, targets) + COARSE_WEIGHT * loss(coarse, F.avg_pool2d(targets, 4))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        values.append(value.item())
        if run.due(6.0):
            keep(run, network, average, optimiser, held_out, values)
            values = []
    keep(run, network, average, optimiser, held_out, values or [math.nan])


def validation_photos(options: argparse.Namespace) -> dict[str, list[Sample]]:
    """The folder's val.txt and val2.txt, or the pack that --val names."""
    if options.val and options.val.suffix == ".npz":
        return {"val": read_small(options.val, "")}
    folder = options.val or options.photos
    splits = [name for name in SPLITS if (folder / f"{name}.txt").exists()]
    return {name: read_small(folder, f"{name}.txt") for name in splits}


def keep(
    run: Run,
    network: Segmenter,
    average: Average,
    optimiser: torch.optim.Optimizer,
    held_out: dict[str, list[Sample]],
    values: list[float],
) -> None:
    """Evaluates the averaged network, keeps it if it is the best so far, and saves the state."""
    now = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(average.shadow[0])
    scores = {name: evaluate(network, photos, run) for name, photos in held_out.items()}
    mean = float(np.mean([score["mean"] for score in scores.values()]))
    flat = {f"{split}_{name}": value for split, score in scores.items() for name, value in score.items()}
    run.log(loss=float(np.mean(values)), both=mean, **flat)
    best = run.folder / "best.txt"
    if not best.exists() or mean > float(best.read_text()):
        best.write_text(str(mean))
        torch.save(average.shadow[0], run.folder / "best.pt")
        for name, photos in held_out.items():
            sample_sheet(network, photos, run, run.folder / f"best_{name}.png")
    network.load_state_dict(now)
    run.save(network=network, average=average, optimiser=optimiser)


def export(options: argparse.Namespace) -> None:
    """As float16, the mean of the best and the last averaged weights (Izmailov et al. 2018)."""
    best = torch.load(options.out / "best.pt", map_location="cpu", weights_only=True)
    last = averaged(options.out / "state.pt")
    save_weights({name: (tensor + last[name]) / 2 for name, tensor in best.items()}, options.export, Segmenter)


def main() -> None:
    parser = arguments(__doc__, ".runs/segmenter", export=True, batch=8)
    parser.add_argument("--backbone", type=Path, default=Path(".runs/efficientnet.safetensors"), help="its weights")
    parser.add_argument("--refine", type=Path, metavar="FILE", help="a segmenter, whose decoder alone is trained")
    options = parser.parse_args()
    if options.export:
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
