"""Train the network that predicts the normals of cloth in a photo, on rendered pictures.

    python pretrained/recipes/cloth/train_cloth_normals.py --clips DIR --minutes 60
    python pretrained/recipes/cloth/train_cloth_normals.py --export pretrained/normals.safetensors

The cloth is simulated and at rest, half of it with finer wrinkles added, or has procedural folds; without --clips it
has only the latter.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Batches, load
from cloth.rendered import add_wrinkles, blur, random_folds, render
from common import Run, Training, arguments, averaged, random_visibility, save_weights, sheet

from stylecine.networks.normalnet import NormalNet

SIZE = 128
PROCEDURAL = 0.3  # share of procedural folds if there are clips


class Pictures:
    """Random pictures of cloth, masks as imprecise as a user's, and normals."""

    def __init__(self, clips: Path | None, split: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.stills = None if clips is None else Batches(load(clips, split), seed)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """photo [N,3,S,S] in [-1,1], imprecise mask [N,1,S,S], normals [N,3,S,S], and the true mask in it."""
        normals, mask = (torch.stack(parts) for parts in zip(*(self._cloth() for _ in range(batch)), strict=True))
        seen = torch.stack([_imprecise(one, self.rng) for one in mask])
        seen = seen * random_visibility(batch, SIZE, 0.2, self.rng)
        return render(normals, mask, self.rng), seen, normals, mask * seen

    def _cloth(self) -> tuple[Tensor, Tensor]:
        if self.stills is None or self.rng.random() < PROCEDURAL:
            return random_folds(SIZE, self.rng)
        views = self.stills(1, 1)
        normals, mask = views.still[0], views.mask[0]
        return (add_wrinkles(normals, mask, self.rng) if self.rng.random() < 0.5 else normals), mask


def _imprecise(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """The mask with its outline up to two pixels off, as with strokes and polygons."""
    return (blur(mask, rng.uniform(0.3, 1.5)) > rng.uniform(0.15, 0.75)).float()


def loss(predicted: Tensor, normals: Tensor, mask: Tensor) -> Tensor:
    """Pseudo-Huber loss of unit normals and of their spatial differences, on the cloth."""
    error = predicted - normals
    pointwise = _norm(error, 0.01) * mask
    across = _norm(error.diff(dim=3), 1e-4) * mask[..., 1:] * mask[..., :-1]
    down = _norm(error.diff(dim=2), 1e-4) * mask[..., 1:, :] * mask[..., :-1, :]
    return (pointwise.sum() + 0.5 * (across.sum() + down.sum())) / mask.sum().clamp_min(1)


def _norm(error: Tensor, softening: float) -> Tensor:
    return (error.square().sum(1, keepdim=True) + softening).sqrt()


@torch.no_grad()
def evaluate(network: NormalNet, pictures: Pictures, count: int = 64) -> dict[str, float]:
    """Mean angle in degrees; that of the best constant normal per picture; relief relative to the true one."""
    figures = []
    for _ in range(count // 8):
        photo, seen, normals, mask = pictures(8)
        predicted = network(photo, seen)
        area = mask.sum((2, 3), keepdim=True).clamp_min(1)
        mean = F.normalize((normals * mask).sum((2, 3), keepdim=True), dim=1)
        cosines = ((guess * normals).sum(1, keepdim=True).clamp(-1, 1) for guess in (predicted, mean))
        angles = [((torch.rad2deg(c.acos()) * mask).sum((2, 3), keepdim=True) / area).mean().item() for c in cosines]
        relief = [((n - (n * mask).sum((2, 3), keepdim=True) / area) * mask)[:, :2].square().mean().sqrt().item()
                  for n in (predicted, normals)]
        figures.append((*angles, relief[0] / max(1e-6, relief[1])))
    return dict(zip(("angle", "flat", "relief"), np.mean(figures, 0).tolist(), strict=True))


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    network = NormalNet().to(run.device)
    training = Training(run, network, rate=2e-3, weight_decay=0.02, half_life=150)
    pictures = Pictures(options.clips, "train", options.seed + run.step)

    def batch_loss() -> Tensor:
        photo, seen, normals, mask = (part.to(run.device) for part in pictures(options.batch))
        return loss(network(photo, seen), normals, mask)

    def evaluate_and_draw(tensors: dict[str, Tensor]) -> dict[str, float]:
        averaged_network = NormalNet.from_tensors(tensors)
        held_out = Pictures(options.clips, "held out", 1)
        figures = evaluate(averaged_network, held_out)
        photo, seen, normals, mask = held_out(10)
        predicted = averaged_network(photo, seen)
        sheet([list(photo), list(normals * mask), list(predicted * mask)], run.folder / "samples.png")
        return figures

    training.fit(batch_loss, evaluate_and_draw)


def main() -> None:
    parser = arguments(__doc__, ".runs/normals", photos=False, export=True, batch=8)
    parser.add_argument("--clips", type=Path, help="folder of simulated clips (simulate.py)")
    options = parser.parse_args()
    if options.export:
        save_weights(averaged(options.out / "state.pt"), options.export, NormalNet)
    else:
        train(options)


if __name__ == "__main__":
    main()
