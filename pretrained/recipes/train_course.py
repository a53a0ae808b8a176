"""Train on the eye's decoder of directions alone. The rest of the eye stays as it is, and sees each view once.

    python pretrained/recipes/train_course.py --photos DIR --start pretrained/eye.safetensors --minutes 40
    python pretrained/recipes/train_course.py --start pretrained/eye.safetensors --export pretrained/eye.safetensors

A step takes a tenth of one of train_eye.py, so that many arrows, once they are drawn, are learnt in less than an hour.
The `--views` are made first, ten a second on two cores, and take about 1 MB of memory each.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from common import Run, Training, arguments, averaged, save_weights
from eye_data import Examples, EyePhoto, Views, read_photos
from folds import CHOICES
from safetensors.torch import load_file
from torch import Tensor
from train_eye import direction_loss

from stylecine.networks.course import CourseDecoder, cues
from stylecine.networks.eye import Eye, gated

RATE = 5e-4
AT_ONCE = 8  # views that the eye sees together
HELD_OUT = 12  # one photo in so many measures
RUNNING = 4  # views of a photo whose water was seen to run, for one of others, whose arrows are nominal


class Seen(NamedTuple):
    """Views of one shape, float16: what the decoder is given of them, and what it should say."""

    features: tuple[Tensor, ...]  # of the backbone, at 1/8, 1/16 and 1/32
    cues: Tensor
    direction: Tensor  # [N,2,h,w]
    weight: Tensor  # [N,1,h,w]
    only_axis: Tensor  # [N,1,h,w] bool

    def part(self, which: list[int]) -> Seen:
        return Seen(tuple(maps[which] for maps in self.features), *(x[which] for x in self[1:]))


@torch.inference_mode()
def seen_by(eye: Eye, run: Run, examples: list[Examples]) -> Seen:
    """What the decoder is given of views of one shape."""
    photo, direction, weight, only_axis = (
        torch.cat([getattr(example, name) for example in examples])
        for name in ("photo", "direction", "direction_weight", "only_axis")
    )
    photo = photo.to(run.device)
    with run.autocast():
        features = eye.backbone(photo.contiguous(memory_format=torch.channels_last))
        classes = gated(eye.decoder.decoded(features).fine, eye.presence(features))
        moving = F.interpolate(classes[:, 1:].exp(), photo.shape[2:], mode="bilinear", align_corners=False)
        known = cues(photo, moving)
    halves = [maps.half().cpu() for maps in (*features[2:], known)]
    return Seen(tuple(halves[:3]), halves[3], direction.half(), weight.half(), only_axis)


def look_at(photos: list[EyePhoto], eye: Eye, run: Run, count: int, seed: int) -> list[Seen]:
    """So many views of photos with arrows, in a random order: all photos before one comes again."""
    views, rng = Views(photos, 1, seed), np.random.default_rng(seed)
    turns = np.repeat(np.arange(len(photos)), [RUNNING if photo.running else 1 for photo in photos])
    order = np.concatenate([rng.permutation(turns) for _ in range(-(-count // len(turns)))])[:count]
    waiting: dict[tuple[int, ...], list[Examples]] = defaultdict(list)
    seen: list[Seen] = []
    for index in order:
        example = views.of(photos[index])
        group = waiting[example.photo.shape]
        group.append(example)
        if len(group) == AT_ONCE:
            seen.append(seen_by(eye, run, group))
            group.clear()
    return seen + [seen_by(eye, run, group) for group in waiting.values() if group]


class Batches:
    """Random batches of what was seen."""

    def __init__(self, seen: list[Seen], count: int, rng: np.random.Generator) -> None:
        self.count, self.rng = count, rng
        self.shapes: dict[tuple[int, ...], list[Seen]] = defaultdict(list)  # each view by itself
        for group in seen:
            self.shapes[group.direction.shape[2:]] += [group.part([n]) for n in range(len(group.direction))]

    def next(self, device: torch.device) -> Seen:
        shapes = list(self.shapes.values())
        sizes = np.array([len(views) for views in shapes])
        views = shapes[self.rng.choice(len(shapes), p=sizes / sizes.sum())]
        return joined([views[n] for n in self.rng.integers(len(views), size=self.count)], device)


def joined(ones: list[Seen], device: torch.device) -> Seen:
    def cat(parts: tuple[Tensor, ...]) -> Tensor:
        whole = torch.cat(parts).to(device)
        return whole if whole.dtype == torch.bool else whole.float()

    features = tuple(cat(parts) for parts in zip(*(one.features for one in ones), strict=True))
    return Seen(features, *(cat(parts) for parts in list(zip(*ones, strict=True))[1:]))


def loss_of(course: CourseDecoder, run: Run, known: Seen) -> Tensor:
    with run.autocast():
        direction = course(list(known.features), known.cues)
    return direction_loss(direction, known.direction, known.weight, known.only_axis)


def train(options: Namespace) -> None:
    run = Run(options)
    eye = Eye()
    eye.load_state_dict(load_file(options.start))
    eye.to(run.device).eval()
    photos = [photo for photo in read_photos(options.photos, options.fold) if bool((photo.target.weight > 0).any())]
    if len(photos) < 2:
        raise SystemExit(f"Fewer than two photos of {options.photos} have arrows; draw some first.")
    course = eye.course.train()
    averaged_course = copy.deepcopy(course).eval()
    training = Training(run, course, rate=RATE, weight_decay=5e-2, half_life=200)
    kept, shown = photos[::HELD_OUT], [photo for n, photo in enumerate(photos) if n % HELD_OUT]
    seed = options.seed + run.step
    measured = look_at(kept, eye, run, -(-options.views // HELD_OUT), options.seed)
    batches = Batches(look_at(shown, eye, run, options.views, seed), options.batch, np.random.default_rng(seed))
    run.log(event="seen", photos=len(shown), views=options.views)
    run.restart_clock()

    def evaluate(tensors: dict[str, Tensor]) -> dict[str, float]:
        averaged_course.load_state_dict(tensors)
        with torch.inference_mode():
            values = [loss_of(averaged_course, run, joined([group], run.device)).item() for group in measured]
        return {"held_out": float(np.mean(values))}

    training.fit(lambda: loss_of(course, run, batches.next(run.device)), evaluate)


def main() -> None:
    parser = arguments(__doc__, ".runs/course", export=True, batch=24)
    parser.add_argument("--fold", choices=CHOICES, help="photos to leave out")
    parser.add_argument("--start", type=Path, metavar="FILE", required=True, help="the eye")
    parser.add_argument("--views", type=int, default=8000, metavar="N", help="that are made, and learnt from")
    options = parser.parse_args()
    if options.export:
        course = {f"course.{name}": x for name, x in averaged(options.out / "state.pt").items()}
        save_weights({**load_file(options.start), **course}, options.export, Eye)
    else:
        train(options)


if __name__ == "__main__":
    main()
