"""Train the refiner: what stands still, at a photo's own pixels, from the photo and the eye's maps.

    python pretrained/recipes/refiner_data.py PHOTOS --out .pack/views --minutes 14      # first
    python pretrained/recipes/train_refiner.py --photos .pack/views --minutes 60
    python pretrained/recipes/train_refiner.py --export pretrained/refiner.safetensors

It begins as the eye, or goes on from a refiner (`--start`). The loss is cross-entropy, bounded where only a label says
that a place moves (Zhang and Sabuncu 2018), and soft Dice. One view in HELD_OUT measures it: others may show the same
photo, so that figures that count are those of the product.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import Run, Training, arguments, averaged, save_weights
from safetensors.torch import load_file
from torch import Tensor, nn

from stylecine.networks.refiner import Refiner

CROP = 320  # pixels of a view
HELD_OUT = 40  # one view in so many
VARIED, TRIES = (0.005, 0.995), 4  # share of a crop that stands; so many crops are tried
BY_HAND, AROUND, MARGIN = 3.9, 0.7, 30  # weight of what is known by hand; of crops, so many around it; pixels from it
UPSIDE_DOWN, WORSE_MAPS = 0.15, 0.3  # of the crops
TRUST, SURE = 0.6, 0.6  # the bounded loss's exponent; weight from which a place is surely known
THIN_FACTOR = 2.0  # on the weight of what surely stands, which is mostly thin

Crop = tuple[Tensor, ...]  # photo [3,h,w], maps [6,h/2,w/2], static, weight, doubtful [h,w]


class Views:
    """Views of refiner_data.py in memory."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.rng, self.views = rng, []
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as view:
                self.views.append({name: view[name] for name in view.files})
        if len(self.views) < 2:
            raise SystemExit(f"There are no views in {folder}; make some with refiner_data.py.")
        self.held_out, self.shown = self.views[::HELD_OUT], [v for n, v in enumerate(self.views) if n % HELD_OUT]

    def batch(self, count: int) -> Crop:
        crops = [self.crop(self.shown[self.rng.integers(len(self.shown))]) for _ in range(count)]
        return tuple(torch.stack(part) for part in zip(*crops, strict=True))

    def crop(self, view: dict[str, np.ndarray]) -> Crop:
        """A random part, mirrored half the time, with at times coarser maps than the eye's."""
        rng, side = self.rng, view["static"].shape[0]
        by_hand = np.argwhere(view["weight"] > 32 * BY_HAND) if rng.random() < AROUND else np.empty((0, 2), int)
        for _ in range(TRIES):
            y, x = (2 * int(n) for n in rng.integers(0, (side - CROP) // 2 + 1, 2))
            if len(by_hand):
                corner = by_hand[rng.integers(len(by_hand))] - rng.integers(MARGIN, CROP - MARGIN, 2)
                y, x = (2 * int(n) for n in corner.clip(0, side - CROP) // 2)
                break
            if VARIED[0] < (view["static"][y : y + CROP, x : x + CROP] > 127).mean() < VARIED[1]:
                break
        parts = part_of(view, y, x, CROP)
        axes = [axis for axis, chance in ((-1, 0.5), (-2, UPSIDE_DOWN)) if rng.random() < chance]
        photo, maps, *rest = (part.flip(axes) for part in parts)
        if rng.random() < WORSE_MAPS:
            coarse = F.avg_pool2d(maps[None], int(rng.integers(2, 5)))
            maps = F.interpolate(coarse, maps.shape[-2:], mode="bilinear", align_corners=False)[0]
        return photo, maps, *rest


def part_of(view: dict[str, np.ndarray], y: int, x: int, side: int) -> Crop:
    """What is known of a square of a view."""
    here, half = np.s_[..., y : y + side, x : x + side], np.s_[..., y // 2 : (y + side) // 2, x // 2 : (x + side) // 2]
    doubtful = np.unpackbits(view["doubtful"], axis=1).astype(bool)
    pixels = (view[name][here] for name in ("photo", "static", "weight"))
    photo, static, weight, maps, unsure = (
        torch.from_numpy(np.ascontiguousarray(part)) for part in (*pixels, view["maps"][half], doubtful[here])
    )
    return photo.float() / 127.5 - 1, maps.float(), static.float() / 255, weight.float() / 32, unsure


def refining_loss(logits: Tensor, static: Tensor, weight: Tensor, doubtful: Tensor) -> Tensor:
    """All [N,h,w]."""
    entropy = F.binary_cross_entropy_with_logits(logits, static, reduction="none")
    bounded = (1 - torch.sigmoid(-logits).clamp_min(1e-6) ** TRUST) / TRUST
    weight = torch.where((static > 0.5) & (weight > SURE), THIN_FACTOR * weight, weight)
    clear, found = weight * ((weight > SURE) & ~doubtful), logits.sigmoid()
    both, either = (clear * found * static).sum((1, 2)), (clear * (found + static)).sum((1, 2))
    dice = 1 - (2 * both + 50) / (either + 50)
    return (torch.where(doubtful, bounded, entropy) * weight).sum() / weight.sum().clamp_min(1) + 0.5 * dice.mean()


@torch.no_grad()
def mistakes(network: Refiner, views: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Of what surely stands, the share that is missed, and of what surely moves, the share that is held."""
    counts = np.zeros((2, 2))
    for view in views:
        photo, maps, static, weight, doubtful = part_of(view, 0, 0, view["static"].shape[0])
        found = network(photo[None], maps[None])[0, 0] > 0
        sure, stands = (weight > SURE) & ~doubtful, static > 0.5
        for row, places, wrong in ((0, sure & stands, ~found), (1, sure & ~stands, found)):
            counts[row] += float((places & wrong).sum()), float(places.sum())
    missed, held = counts[:, 0] / counts[:, 1].clip(min=1)
    return {"missed": float(missed), "held": float(held)}


def main() -> None:
    parser = arguments(__doc__, ".runs/refiner", export=True, batch=8)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    options = parser.parse_args()
    if options.export:
        save_weights(averaged(options.out / "state.pt"), options.export, Refiner)
        return
    run, rng = Run(options), np.random.default_rng(options.seed)
    views = Views(options.photos, rng)
    network = Refiner()
    nn.init.zeros_(network.leave.weight)  # it begins as the eye
    if options.start:
        network.load_state_dict(load_file(options.start))
    network.to(run.device)
    training = Training(run, network, rate=2e-3, weight_decay=1e-4, half_life=300)
    run.restart_clock()

    def loss() -> Tensor:
        photo, maps, static, weight, doubtful = (part.to(run.device) for part in views.batch(options.batch))
        with run.autocast():
            logits = network(photo, maps)[:, 0]
        return refining_loss(logits.float(), static, weight, doubtful)

    def evaluate(tensors: dict[str, Tensor]) -> dict[str, float]:
        return mistakes(Refiner.from_tensors(tensors), views.held_out)

    training.fit(loss, evaluate)


if __name__ == "__main__":
    main()
