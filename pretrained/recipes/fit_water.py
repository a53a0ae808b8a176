"""Fit what the eye says of stretches of water, its kind and how much foam is on it, when the rest is trained.

    python pretrained/recipes/fit_water.py pretrained/eye.safetensors --photos DIR --fold val

A logistic regression on the features of labelled stretches (water_kinds.csv), averaged over each as the program does:
there is one best answer, which takes seconds to find. Each is seen as a whole and as a smaller mirror image. Prints how
many stretches are told rightly in five folds of the photos (folds.py), then fits all but those of `--fold`, and writes
the result into the file.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import autocast, save_weights
from eye_data import EyePhoto, read_photos
from folds import CHOICES, FOLDS, VALIDATION, is_held_out, read_folds
from safetensors.torch import load_file
from torch import Tensor

from stylecine.networks.eye import FOAM, KINDS, Eye
from stylecine.ops.image import network_size, resize
from stylecine.perception.see import MIRRORED, SHORT_SIDE

LONG_SIDE = 1024  # of the photos
RIDGE = 0.03  # weight of the squared coefficients, in units of the features' standard deviations


@dataclass(frozen=True)
class Stretch:
    """A labelled stretch of water."""

    photo: EyePhoto
    means: Tensor  # [2,n]: of what is at its places, in the photo and in its mirror image
    kind: int
    foam: int


@torch.inference_mode()
def stretches_of(photos: list[EyePhoto], eye: Eye) -> list[Stretch]:
    found = []
    for photo in photos:
        if not photo.stretches:
            continue
        image = photo.sample.photo.float() / 127.5 - 1
        with autocast(image.device):
            views = [eye.backbone(resize(view, network_size(view.shape[1:], short))[None])[-2:]
                     for view, short in ((image, SHORT_SIDE), (image.flip(2), MIRRORED * SHORT_SIDE))]
        for kind, foam, place in photo.stretches:
            means = torch.stack([mean_over(where, view) for view, where in
                                 zip(views, (place, place.flip(1)), strict=True)])
            found.append(Stretch(photo, means, kind, foam))
    return found


def mean_over(place: Tensor, features: list[Tensor]) -> Tensor:
    """[2·c16 + 2·c32]: the mean over bool [H,W] of features at 1/16 and 1/32, and of their squares."""
    size = features[0].shape[2:]
    weight = F.adaptive_avg_pool2d(place[None].float(), (size[0], size[1]))[0]
    maps = [F.interpolate(torch.cat([x.float(), x.float() ** 2], 1), size=size, mode="bilinear", align_corners=False)[0]
            for x in features]
    return (torch.cat(maps) * weight).sum((1, 2)) / weight.sum().clamp_min(1e-6)


def fit(stretches: list[Stretch]) -> tuple[Tensor, Tensor]:
    """Weights [7,n] and biases [7] of the logits of KINDS and of FOAM."""
    x = torch.cat([s.means for s in stretches])
    spread = x.std(0) + 1e-3
    mean, scaled = x.mean(0), (x - x.mean(0)) / spread
    weights, biases = [], []
    for name, count in (("kind", len(KINDS)), ("foam", len(FOAM))):
        truth = torch.tensor([getattr(s, name) for s in stretches]).repeat_interleave(2)
        w, b = torch.zeros(x.shape[1], count, requires_grad=True), torch.zeros(count, requires_grad=True)
        solver = torch.optim.LBFGS([w, b], max_iter=200, line_search_fn="strong_wolfe")

        def price(w: Tensor = w, b: Tensor = b, truth: Tensor = truth) -> Tensor:
            value = F.cross_entropy(scaled @ w + b, truth) + RIDGE * w.square().sum()
            w.grad = b.grad = None
            value.backward()
            return value

        solver.step(price)
        weights.append((w.detach() / spread[:, None]).T)
        biases.append(b.detach() - mean @ weights[-1].T)
    return torch.cat(weights), torch.cat(biases)


def cross_fitted(stretches: list[Stretch], folds: dict[str, int]) -> Tensor:
    """Logits [S,7] of each, by weights that its photo's fold was not fitted to."""
    logits = torch.zeros(len(stretches), len(KINDS) + len(FOAM))
    fold = np.array([folds[s.photo.sample.id] for s in stretches])
    for number in range(FOLDS):
        weights, biases = fit([s for s, f in zip(stretches, fold, strict=True) if f != number])
        for at in np.flatnonzero(fold == number):
            logits[at] = (stretches[at].means @ weights.T + biases).mean(0)
    return logits


def write(eye: Eye, weights: Tensor, biases: Tensor) -> None:
    """Into the eye."""
    fine = eye.water.fine.in_channels
    eye.water.load_state_dict({
        "fine.weight": weights[:, :fine, None, None], "fine.bias": biases,
        "coarse.weight": weights[:, fine:, None, None], "coarse.bias": torch.zeros_like(biases),
    })


def read_eye(path: Path, head: str) -> Eye:
    """An eye of which nothing is missing, unless it is of the head that is to be fitted."""
    eye = Eye().eval().requires_grad_(False)
    missing, _ = eye.load_state_dict({n: x.float() for n, x in load_file(path).items()}, strict=False)
    if lacks := [name for name in missing if not name.startswith(f"{head}.")]:
        raise SystemExit(f"{path} lacks {lacks[0]}.")
    return eye


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eye", type=Path, help="its weights, which are changed")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--fold", choices=CHOICES, default=VALIDATION, help="photos to leave out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    eye = read_eye(options.eye, "water")
    photos = read_photos(options.photos, long_side=LONG_SIDE, only_water=True)
    stretches, folds = stretches_of(photos, eye), read_folds(options.photos)
    logits = cross_fitted(stretches, folds)
    held_out = np.array([is_held_out(s.photo.listed, folds[s.photo.sample.id], options.fold) for s in stretches])
    for name, part in (("kind", logits[:, : len(KINDS)]), ("foam", logits[:, len(KINDS) :])):
        right = part.argmax(1).numpy() == np.array([getattr(s, name) for s in stretches])
        print(f"{name}: {right.mean():.3f} of {len(right)} right in five folds, {right[held_out].mean():.3f} of the"
              f" {held_out.sum()} that are left out")
    write(eye, *fit([s for s, left_out in zip(stretches, held_out, strict=True) if not left_out]))
    save_weights(eye.state_dict(), options.eye, Eye)


if __name__ == "__main__":
    main()
