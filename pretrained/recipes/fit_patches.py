"""Fit what the eye says of patches in water, foam or things, when the rest is trained.

    python pretrained/recipes/fit_patches.py pretrained/eye.safetensors --photos DIR

A logistic regression on the features of all patches that were sorted by hand (sort_patches.py), averaged within and
around each as the program does, but that only other patches count as what stands around it. Each is seen as it is and
in a smaller mirror image. Prints, for five folds of the photos (folds.py), how well patches are told apart, as the area
under the curve; then fits all, and writes the result into the file. All are of photos that the eye was trained on,
which flatters the folds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import autocast, save_weights
from fit_water import read_eye
from folds import FOLDS, read_folds
from PIL import Image
from scipy.stats import rankdata
from sort_patches import MOVING, PATCHES, THING
from torch import Tensor

from stylecine.networks.eye import Eye
from stylecine.ops.image import network_size, resize, to_tensor
from stylecine.ops.regions import connected
from stylecine.perception import see
from stylecine.perception.patches import SHORT_SIDE, patches_of
from stylecine.picture.photo import load_photo

RIDGE = 0.01  # weight of the squared coefficients, in units of the features' standard deviations


@dataclass(frozen=True)
class Patch:
    """One that was sorted. means: [2,2·n], of features within and around it, in the photo and in its mirror image."""

    photo: str
    means: Tensor
    moves: bool


@torch.inference_mode()
def patches_in(name: str, photo: Tensor, codes: np.ndarray, eye: Eye) -> list[Patch]:
    """Those of a photo [3,H,W] in [-1,1] of which codes [H,W] say what they are."""
    found = [(int(codes[box][patch][0]), box, patch, beside) for _, box, patch, beside in
             patches_of(connected(codes > 0), np.ones(codes.shape, bool))]
    found = [patch for patch in found if patch[0] in (MOVING, THING)]
    if not found:
        return []
    views = []
    for view, short in ((photo, see.SHORT_SIDE), (photo.flip(2), see.MIRRORED * see.SHORT_SIDE)):
        with autocast(photo.device):
            features = eye.backbone(resize(view, network_size(view.shape[1:], short))[None])[1:]
        views.append([x[0].float() if view is photo else x[0].float().flip(2) for x in features])
    patches = []
    for code, box, *places in found:
        where = torch.zeros(2, *codes.shape)
        where[(slice(None), *box)] = torch.from_numpy(np.stack(places)).float()
        patches.append(Patch(name, torch.stack([means_over(where, features) for features in views]), code == MOVING))
    return patches


def means_over(places: Tensor, features: list[Tensor]) -> Tensor:
    """[2n]: means over two places [2,H,W] in {0,1} of features of n channels in all, enlarged to that size."""
    means = []
    for maps in features:
        places = resize(places, maps.shape[1:])  # step by step, by triangles as enlarge the features
        means.append(torch.einsum("khw,chw->kc", places / places.sum((1, 2), keepdim=True), maps))
    return torch.cat(means, 1).flatten()


def fit(patches: list[Patch]) -> tuple[Tensor, Tensor]:
    """Weights [2n] and bias [1] of the logit that a patch moves."""
    x = torch.cat([patch.means for patch in patches])
    truth = torch.tensor([patch.moves for patch in patches]).float().repeat_interleave(2)
    mean, spread = x.mean(0), x.std(0) + 1e-3
    scaled = (x - mean) / spread
    w, b = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    solver = torch.optim.LBFGS([w, b], max_iter=200, line_search_fn="strong_wolfe")

    def price() -> Tensor:
        value = F.binary_cross_entropy_with_logits(scaled @ w + b, truth) + RIDGE * w.square().sum()
        w.grad = b.grad = None
        value.backward()
        return value

    solver.step(price)
    weights = w.detach() / spread
    return weights, b.detach() - mean @ weights


def cross_fitted(patches: list[Patch], folds: dict[str, int]) -> Tensor:
    """Logits of each, by weights that its photo's fold was not fitted to."""
    logits = torch.zeros(len(patches))
    fold = np.array([folds[patch.photo] for patch in patches])
    for number in range(FOLDS):
        weights, bias = fit([patch for patch, own in zip(patches, fold, strict=True) if own != number])
        for at in np.flatnonzero(fold == number):
            logits[at] = (patches[at].means @ weights + bias).mean()
    return logits


def area_under_curve(logits: np.ndarray, truth: np.ndarray) -> float:
    """The share of pairs of one that is true and one that is not in which the former has the larger logit."""
    count = truth.sum()
    return float((rankdata(logits)[truth].sum() - count * (count + 1) / 2) / (count * (len(truth) - count)))


def write(eye: Eye, weights: Tensor, bias: Tensor) -> None:
    """Into the eye."""
    widths = [weight.shape[1] for weight in eye.patches.weights]
    for own, fitted in zip(eye.patches.weights, weights.view(2, -1).split(widths, 1), strict=True):
        own.copy_(fitted)
    eye.patches.bias.copy_(bias)


def read_patches(folder: Path, eye: Eye) -> list[Patch]:
    images = {path: folder / "images" / f"{path.stem}.jpg" for path in sorted(PATCHES.glob("*.png"))}
    print(f"{sum(not image.exists() for image in images.values())} of {len(images)} photos are missing")
    found = []
    for path, image in images.items():
        if image.exists():
            with Image.open(path) as codes:
                found += patches_in(path.stem, to_tensor(load_photo(image, SHORT_SIDE)), np.asarray(codes), eye)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eye", type=Path, help="its weights, which are changed")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    eye = read_eye(options.eye, "patches")
    patches, folds = read_patches(options.photos, eye), read_folds(options.photos)
    moves = np.array([patch.moves for patch in patches])
    logits = cross_fitted(patches, folds).numpy()
    print(f"{len(patches)} patches of {len({patch.photo for patch in patches})} photos, {moves.mean():.0%} move: area"
          f" under the curve {area_under_curve(logits, moves):.3f}, {((logits > 0) == moves).mean():.3f} right")
    write(eye, *fit(patches))
    save_weights(eye.state_dict(), options.eye, Eye)


if __name__ == "__main__":
    main()
