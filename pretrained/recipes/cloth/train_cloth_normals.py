"""Train the network that predicts the normals of cloth in a photo, on rendered pictures.

    python pretrained/recipes/cloth/train_cloth_normals.py --clips DIR --minutes 60
    python pretrained/recipes/cloth/train_cloth_normals.py --export pretrained/normals.safetensors

Normals are those of simulated cloth at rest, half of them with finer wrinkles added, and of procedural folds; without
--clips only of the latter. --preview DIR draws predictions for photos (images/ID.jpg) with masks (labels/ID.png).
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth.clips import Batches, load
from cloth.rendered import folded, rendered, soft, wrinkled
from common import Average, Run, arguments, averaged, cosine, hidden_parts, save_weights, sheet
from PIL import Image

from stylecine.networks.normalnet import NormalNet

RATE = 2e-3
SIZE = 128
PROCEDURAL = 0.3  # share of procedural folds if there are clips


class Pictures:
    """Random pictures of cloth, masks as imprecise as a user's, and normals."""

    def __init__(self, clips: Path | None, split: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.stills = None if clips is None else Batches(load(clips, split), seed)

    def __call__(self, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """photo [N,3,S,S] in [-1,1], imprecise mask [N,1,S,S], normals [N,3,S,S] and the true mask."""
        made = [self._cloth() for _ in range(batch)]
        normals, mask = (torch.stack(parts) for parts in zip(*made, strict=True))
        seen = torch.stack([_imprecise(one, self.rng) for one in mask])
        seen = seen * hidden_parts(batch, SIZE, 0.2, self.rng)
        return rendered(normals, mask, self.rng), seen, normals, mask * seen

    def _cloth(self) -> tuple[Tensor, Tensor]:
        if self.stills is None or self.rng.random() < PROCEDURAL:
            return folded(SIZE, self.rng)
        views = self.stills(1, 1)
        normals, mask = views.still[0], views.mask[0]
        return (wrinkled(normals, mask, self.rng) if self.rng.random() < 0.5 else normals), mask


def _imprecise(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """The outline up to two pixels off, as with strokes and polygons."""
    return (soft(mask, rng.uniform(0.3, 1.5)) > rng.uniform(0.15, 0.75)).float()


def loss(answer: Tensor, normals: Tensor, mask: Tensor) -> Tensor:
    """Pseudo-Huber loss of unit normals and of their spatial differences, on the cloth."""
    error = answer - normals
    far = ((error.square().sum(1, keepdim=True) + 0.01).sqrt() * mask).sum()
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    jumps = ((across.square().sum(1, keepdim=True) + 1e-4).sqrt() * mask[..., 1:] * mask[..., :-1]).sum() + (
        (down.square().sum(1, keepdim=True) + 1e-4).sqrt() * mask[..., 1:, :] * mask[..., :-1, :]
    ).sum()
    return (far + 0.5 * jumps) / mask.sum().clamp_min(1)


@torch.no_grad()
def evaluate(network: NormalNet, pictures: Pictures, count: int = 64) -> dict[str, float]:
    """Mean angle in degrees; that of the best constant normal per picture; relief relative to the true one."""
    angles: list[float] = []
    flat: list[float] = []
    reliefs: list[float] = []
    for _ in range(count // 8):
        photo, seen, normals, mask = pictures(8)
        answer = network(photo, seen)
        area = mask.sum((2, 3), keepdim=True).clamp_min(1)
        mean = F.normalize((normals * mask).sum((2, 3), keepdim=True), dim=1)
        for guess, out in ((answer, angles), (mean.expand_as(normals), flat)):
            angle = torch.rad2deg((guess * normals).sum(1, keepdim=True).clamp(-1, 1).acos())
            out.append(((angle * mask).sum((1, 2, 3)) / area[:, 0, 0, 0]).mean().item())
        sides = [((n - (n * mask).sum((2, 3), keepdim=True) / area) * mask)[:, :2] for n in (answer, normals)]
        reliefs.append(sides[0].square().mean().sqrt().item() / max(1e-6, sides[1].square().mean().sqrt().item()))
    return {"angle": float(np.mean(angles)), "flat": float(np.mean(flat)), "relief": float(np.mean(reliefs))}


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    torch.manual_seed(options.seed)
    network = NormalNet().to(run.device)
    average = Average(network, half_life=150)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    run.resume(network=network, average=average, optimiser=optimiser)
    pictures = Pictures(options.clips, "train", options.seed + run.step)
    first, values = run.step, []
    for step in run.steps():
        for group in optimiser.param_groups:
            group["lr"] = RATE * cosine(run, first, step)
        photo, seen, normals, mask = (part.to(run.device) for part in pictures(options.batch))
        value = loss(network(photo, seen), normals, mask)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(step - first)
        values.append(value.item())
        if run.due(4.0):
            finish(run, options, (network, average, optimiser), values)
            values = []
    finish(run, options, (network, average, optimiser), values or [math.nan])


def finish(run: Run, options: argparse.Namespace, parts: tuple[NormalNet, Average, torch.optim.Optimizer],
           values: list[float]) -> None:
    network, average, optimiser = parts
    smooth = NormalNet.from_tensors({name: tensor.cpu() for name, tensor in average.shadow[0].items()})
    held_out = Pictures(options.clips, "held out", 1)
    run.log(loss=float(np.mean(values)), **evaluate(smooth, held_out))
    run.save(network=network, average=average, optimiser=optimiser)
    photo, seen, normals, mask = held_out(10)
    answer = smooth(photo, seen)
    sheet([list(photo), list(normals * mask), list(answer * mask)], run.folder / "samples.png")
    if options.preview:
        preview(smooth, options.preview, run.folder / "photos.png")


def preview(network: NormalNet, folder: Path, path: Path) -> None:
    """A sheet of photos and their predicted normals."""
    rows = []
    for image in sorted((folder / "images").glob("*.jpg")):
        photo, mask = cropped(image, folder / f"labels/{image.stem}.png")
        normals = network(photo[None], mask[None])[0] * mask
        rows.append([photo, photo * mask, normals, shaded(normals, mask)])
    rows = [[picture for row in rows[i::5] for picture in row] for i in range(min(5, len(rows)))]
    sheet([row for row in rows if len(row) == len(rows[0])], path)


def cropped(image: Path, label: Path) -> tuple[Tensor, Tensor]:
    """The labelled cloth's square of a photo, [3,S,S] in [-1,1] and mask [1,S,S], with a margin of a tenth."""
    photo = Image.open(image).convert("RGB")
    mask = Image.open(label).convert("L").resize(photo.size)
    left, top, right, bottom = mask.point(lambda value: 255 * (value > 127)).getbbox() or (0, 0, *photo.size)
    side = 0.6 * max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    box = (round(x - side), round(y - side), round(x + side), round(y + side))
    pixels = np.array(photo.crop(box).resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    inside = np.array(mask.crop(box).resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, (torch.from_numpy(inside)[None] > 127).float()


def shaded(normals: Tensor, mask: Tensor) -> Tensor:
    """Grey clay in light from the upper left, [3,S,S] in [-1,1]."""
    light = F.normalize(torch.tensor([-0.6, -0.5, 0.6]), dim=0)
    return (1.4 * (normals * light[:, None, None]).sum(0, keepdim=True) * mask - 1).expand(3, -1, -1)


def main() -> None:
    parser = arguments(__doc__, ".runs/normals", photos=False)
    parser.set_defaults(batch=8)
    parser.add_argument("--clips", type=Path, help="folder of simulated clips (simulate.py)")
    parser.add_argument("--preview", type=Path, help="folder of photos with masks")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the averaged weights and stop")
    options = parser.parse_args()
    if options.export:
        save_weights(averaged(options.out / "state.pt"), options.export, NormalNet)
    else:
        train(options)


if __name__ == "__main__":
    main()
