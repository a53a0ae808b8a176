"""Train the segmenter: which pixels of a photo are sky, water, falls, smoke, or static.

    python pretrained/recipes/train_segmenter.py --photos DIR --backbone efficientnet.safetensors --minutes 100
    python pretrained/recipes/train_segmenter.py --photos DIR --refine pretrained/segmenter.safetensors --minutes 60
    python pretrained/recipes/train_segmenter.py --photos DIR --refine pretrained/segmenter.safetensors --export OUT

The backbone (convert_efficientnet.py writes its pretrained weights) is fine-tuned at a low learning rate together
with the decoder. `--refine` goes on from finished weights: their decoder, and corrections of low rank to the backbone's
1x1 convolutions, so that it forgets little of what it knows, and the motion network and the cloth finder, which read
the same backbone, are soon at home in it again. Each call resumes the last one.

Exported refined weights are the mean of those before and after (Wortsman et al., "Robust fine-tuning of zero-shot
models", 2022): they keep what the former knew, and nearly all of what the latter learnt. What judges whether a class is
in the photo at all is not trained with them: it is fitted to whole photos, to the features that are exported.

In every batch some views come from stills.txt, photos in which nothing moves. Every eighth of these is held out, and
in the log and the sheets beside val.txt and val2.txt.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Average, Run, arguments, autocast, averaged, cosine, save_weights
from data import Sample
from labelled import look, photometric, random_view, read_small, relit, spattered, tinted, transplanted, unfocused
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from stylecine.networks.segmenter import Backbone, Segmenter
from stylecine.ops.image import network_size
from stylecine.perception.layers import SHORT_SIDE

SIZE = (352, 512)  # of the views to train on, and its transpose for upright photos
PEAK, PEAK_BACKBONE = 1.2e-3, 2e-4  # learning rates
PEAK_REFINED, PEAK_CORRECTIONS, RANK = 4e-4, 4e-4, 16  # of finished weights: the decoder's, the backbone's
WHOLE = 0.4  # of the views show the whole photo
SMALLEST, SMALLEST_FALLS, SMALLEST_STILL = 0.45, 0.25, 0.2  # of each side: the closest views, also of falls, of ground
RELIT, TINTED, TRANSPLANTED = 0.3, 0.3, 0.2  # of the views
SPATTERED = 0.4  # of the views with falls
STILLS, HELD_OUT = 0.25, 8  # of a batch are stills; one in so many of them is not trained on
UNFOCUSED = 0.12  # of the views are out of focus in part
STILL, TRIES = 0.08, 8  # of the other views show nothing that moves; crops tried for it
DROPPED = 0.1  # of the feature channels: a few hundred photos are soon learnt by heart
HALF_LIFE = 300  # steps, of the averaged weights
COARSE_WEIGHT = 0.4  # of the loss of the coarse branch
NEUTRAL = 12.0  # logit of presence while it is not judged
PRESENCE_SIDE = 1536  # of the photos that presence is fitted to: as sharp as users'
FOLDS, RIDGE = 5, 1e-3  # of the presence head's logistic regression
KEPT, STEEPER = 3.5, 4.0  # logit above which are nearly all photos with a class; times which it becomes a veto
PRESENT, ABSENT = 0.008, 0.0005  # of a view: with more of a class it is there, with less it is not
SPLITS = ("val", "val2")
FALLS, FALLS_SHARE = 3, 0.01  # the class, and of a photo: fewer are not counted as a photo with falls
# static, sky, water, falls, smoke: falls and smoke are rare
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 1.5)
COLOURS = np.array([[0, 0, 0], [90, 160, 255], [0, 90, 200], [255, 255, 0], [255, 90, 160]], np.float32)


class Corrected(nn.Module):
    """A frozen 1x1 weight plus a product of low rank (Hu et al., "LoRA", 2021)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        outputs, inputs = weight.shape[:2]
        self.left = nn.Parameter(torch.zeros(outputs, RANK))
        self.right = nn.Parameter(torch.randn(RANK, inputs) / math.sqrt(inputs))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.left @ self.right)[:, :, None, None]


def correct(backbone: Backbone) -> list[nn.Parameter]:
    """Freezes the backbone and gives its 1x1 convolutions corrections, which are what is trained."""
    backbone.requires_grad_(False)
    for module in list(backbone.modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            parametrize.register_parametrization(module, "weight", Corrected(module.weight))
    return [parameter for parameter in backbone.parameters() if parameter.requires_grad]


def merged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a segmenter with corrections as those of one without."""
    plain = {name: tensor for name, tensor in tensors.items() if ".parametrizations." not in name}
    for name in [name for name in tensors if name.endswith(".parametrizations.weight.original")]:
        stem = name.removesuffix("original")
        product = tensors[f"{stem}0.left"] @ tensors[f"{stem}0.right"]
        plain[stem.replace(".parametrizations.weight.", ".weight")] = tensors[name] + product[:, :, None, None]
    return plain


class Batches:
    """Random views of the photos; those with falls, smoke or little that moves come more often. Some views in every
    batch are of the stills."""

    def __init__(self, photos: list[Sample], stills: list[Sample], seed: int) -> None:
        self.stills = [[s for s in stills if (s.photo.shape[1] > s.photo.shape[2]) == tall] for tall in (False, True)]
        self.photos, self.rng = photos, np.random.default_rng(seed)
        share = np.array([[float((p.label == c).float().mean()) for c in range(5)] for p in photos])
        self.falls = share[:, FALLS] > FALLS_SHARE
        self.weight = 1 + 4.0 * self.falls + 1.0 * (share[:, 4] > 0.01) + 0.7 * (share[:, 0] > 0.6)
        self.weight += 2.0 * (share[:, 0] > 0.98)
        self.mostly_still = share[:, 0] > 0.35
        self.upright = np.array([p.photo.shape[1] > p.photo.shape[2] for p in photos])

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """photos [n,3,h,w] in [-1,1], targets [n,5,h/2,w/2] summing to 1; all upright or all not."""
        self.tall = bool(self.rng.random() < self.weight @ self.upright / self.weight.sum())
        self.allowed = self.upright == self.tall
        stills = round(STILLS * count) if self.stills[self.tall] else 0
        pairs = [self._view() for _ in range(count - stills)] + [self._still_photo() for _ in range(stills)]
        return torch.stack([p for p, _ in pairs]), torch.stack([t for _, t in pairs])

    def _view(self) -> tuple[Tensor, Tensor]:
        if self.rng.random() < STILL:
            photo, label = self._still_look()
        else:
            photo, label = self._look()
            if self.rng.random() < TRANSPLANTED:
                photo, label = transplanted(self.rng, photo, label, *self._look())
        return self._finished(photo, label)

    def _still_photo(self) -> tuple[Tensor, Tensor]:
        """Mostly whole: what a blurred background is can only be told from the rest."""
        stills = self.stills[self.tall]
        item = stills[int(self.rng.integers(len(stills)))]
        view = random_view(self.rng, SIZE[::-1] if self.tall else SIZE, SMALLEST, whole=0.6)
        photo = look(view, item.photo.float() / 255)
        photo = tinted(self.rng, photo) if self.rng.random() < TINTED else photo
        return self._finished(photo, torch.zeros(photo.shape[1:], dtype=torch.long))

    def _finished(self, photo: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        photo = unfocused(self.rng, photo, label) if self.rng.random() < UNFOCUSED else photo
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


def network_input(item: Sample) -> Tensor:
    """The photo as the network sees it, [1,3,h,w] in [-1,1]."""
    size = network_size(item.photo.shape[1:], SHORT_SIDE)
    return F.interpolate(item.photo[None].float() / 127.5 - 1, size, mode="bilinear", antialias=True)


@torch.no_grad()
def probabilities(network: nn.Module, item: Sample, run: Run) -> Tensor:
    """[5,H,W] on the CPU in the size of the label: the mean over the photo and its mirror image."""
    image = network_input(item).to(run.device)
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
        "mean": np.mean(scores or [0]),
        "worst": np.min(scores or [0]),
        "classes": np.mean(right or [0]),
        "falls": np.mean(falls or [0]),
        "false": np.mean(false or [0]),
        "refused": np.mean([float(share < 0.01) for share in false] or [1]),
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
        network.load_state_dict(load_file(options.refine), strict=False)  # weights of before there was `presence`
        backbone = {"params": correct(network.backbone), "peak": PEAK_CORRECTIONS, "weight_decay": 5e-2}
    else:
        network.backbone.load_state_dict(load_file(options.backbone))
        backbone = {"params": network.backbone.parameters(), "peak": PEAK_BACKBONE, "weight_decay": 1e-2}
    nn.init.zeros_(network.presence.leave.weight)
    nn.init.constant_(network.presence.leave.bias, NEUTRAL)
    network.to(run.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, half_life=HALF_LIFE)
    peak = PEAK_REFINED if options.refine else PEAK
    decoder = {"params": network.decoder.parameters(), "peak": peak, "weight_decay": 5e-2}
    optimiser = torch.optim.AdamW([decoder, backbone], lr=PEAK, betas=(0.9, 0.98))
    run.resume(network=network, average=average, optimiser=optimiser)
    torch.manual_seed(options.seed + run.step)
    stills = still_photos(options)
    learnt = [still for at, still in enumerate(stills) if at % HELD_OUT]
    batches = Batches(read_small(options.photos, "train.txt"), learnt, options.seed + run.step)
    held_out = validation_photos(options) | ({"stills": stills[::HELD_OUT]} if stills else {})
    if options.refine and run.step == 0:  # the weights to surpass
        keep(run, network, average, optimiser, held_out, [math.nan])
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * cosine(run, first, step)
        photos, targets = (x.to(run.device) for x in batches(options.batch))
        with run.autocast():
            features = network.backbone(photos.contiguous(memory_format=torch.channels_last))
            features = [F.dropout2d(maps, DROPPED) for maps in features]
            fine, coarse = network.decoder.both(features)
        value = loss(fine, targets) + COARSE_WEIGHT * loss(coarse, F.avg_pool2d(targets, 4))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        values.append(value.item())
        if run.due(25.0):
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


def still_photos(options: argparse.Namespace, long_side: int = 768) -> list[Sample]:
    """Those of stills.txt, if the folder has it; packs have none."""
    listed = options.photos.is_dir() and (options.photos / "stills.txt").exists()
    return read_small(options.photos, "stills.txt", long_side) if listed else []


def keep(
    run: Run,
    network: Segmenter,
    average: Average,
    optimiser: torch.optim.Optimizer,
    held_out: dict[str, list[Sample]],
    values: list[float],
) -> None:
    """Evaluates the averaged network, shows what it predicts, and saves the state."""
    now = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(average.shadow[0])
    scores = {name: evaluate(network, photos, run) for name, photos in held_out.items()}
    flat = {f"{split}_{name}": value for split, score in scores.items() for name, value in score.items()}
    run.log(loss=float(np.mean(values)), **flat)
    for name, photos in held_out.items():
        sample_sheet(network, photos, run, run.folder / f"{name}.png")
    network.load_state_dict(now)
    run.save(network=network, average=average, optimiser=optimiser)


def export(options: argparse.Namespace) -> None:
    """As float16: the averaged weights, half and half with those they were refined from, and a new presence head."""
    tensors = merged(averaged(options.out / "state.pt"))
    if options.refine:
        former = load_file(options.refine)
        tensors |= {name: (tensors[name] + tensor.float()) / 2 for name, tensor in former.items()}
    network = Segmenter.from_tensors(tensors)
    photos = read_small(options.photos, "train.txt", PRESENCE_SIDE)
    fit_presence(network, photos, still_photos(options, PRESENCE_SIDE))
    save_weights(network.state_dict(), options.export, Segmenter)


@torch.no_grad()
def fit_presence(network: Segmenter, photos: list[Sample], stills: list[Sample]) -> None:
    """Fits the presence head to whole photos: those with a class against those in which nothing moves at all.

    Where something moves, what is what is left to the maps. The bias is such that of photos that a fold has not seen
    all but 2% with the class are above KEPT. Made steeper, the head either lets the maps be or vetoes them.
    """
    learnt = photos + [still for at, still in enumerate(stills) if at % HELD_OUT]
    summaries = torch.cat([summary(network, item) for item in learnt])
    shares = torch.tensor([[float((item.label == k).float().mean()) for k in range(1, 5)] for item in learnt])
    head = network.presence.leave
    for k in range(4):
        known = (shares[:, k] > PRESENT) | (shares.sum(1) < ABSENT)
        x, present = summaries[known], shares[known, k] > PRESENT
        if not FOLDS <= int(present.sum()) <= len(x) - FOLDS:  # too few to learn from: never refused
            head.weight[k], head.bias[k] = 0, KEPT
            continue
        unseen = torch.zeros(len(x))
        for fold in range(FOLDS):
            held = torch.arange(len(x)) % FOLDS == fold
            weight, bias = logistic_regression(x[~held], present[~held])
            unseen[held] = x[held] @ weight + bias
        weight, bias = logistic_regression(x, present)
        head.weight[k] = STEEPER * weight
        head.bias[k] = STEEPER * (bias + KEPT - unseen[present].quantile(0.02))
        rank = (unseen[present][:, None] > unseen[~present]).float().mean()
        refused = (unseen[~present] < unseen[present].quantile(0.02) - KEPT).float().mean()
        print(f"class {k + 1}: {int(present.sum())} of {len(x)} photos, AUC {rank:.4f}, refused {refused:.3f}")


def summary(network: Segmenter, item: Sample) -> Tensor:
    """What the presence head is a linear function of, [1,*]."""
    image = network_input(item)
    with autocast(image.device):
        return network.presence.summary(network.backbone(image.contiguous(memory_format=torch.channels_last)))


def logistic_regression(x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and bias of a logistic regression with a ridge penalty; both outcomes count alike."""
    weight, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    share = present.float().mean()
    balance = torch.where(present, 0.5 / share, 0.5 / (1 - share))
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        entropy = F.binary_cross_entropy_with_logits(x @ weight + bias, present.float(), balance)
        value = entropy + RIDGE * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(objective)
    return weight.detach(), bias.detach()


def main() -> None:
    parser = arguments(__doc__, ".runs/segmenter", export=True, batch=8)
    parser.add_argument("--backbone", type=Path, default=Path(".runs/efficientnet.safetensors"), help="its weights")
    parser.add_argument("--refine", type=Path, metavar="FILE", help="a segmenter to go on from")
    options = parser.parse_args()
    if options.export:
        torch.set_num_threads(options.threads)
        export(options)
    else:
        train(options)


if __name__ == "__main__":
    main()
