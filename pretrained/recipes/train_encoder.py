"""The encoder on the frozen generator: continuing water and sky behind hidden parts (stage 3 of four).

    python pretrained/recipes/train_encoder.py --photos PHOTOS --weights .runs/generator --minutes 9

Half of the crops are unchanged, which preserves the inversion. Of the others the encoder sees only what moves, with
some parts hidden, as when the plate is synthesised. What lies behind static things is unknown and not in the loss.
"""

from __future__ import annotations

import numpy as np
import torch
from common import Run, arguments, random_crops, random_visibility
from data import Sample
from torch import Tensor
from train_generator import load_stage, train

CROP = 256  # larger than for the generator: hidden parts need more context


def half_moving(samples: list[Sample], batch: int, hidden: float, rng: np.random.Generator,
                ) -> tuple[Tensor, Tensor, Tensor]:
    """Unchanged crops and crops of what moves, half each: photo, visible, known (not static parts of the latter)."""
    whole = batch // 2
    photo, _ = random_crops(samples, whole, CROP, rng)
    flowing, moving = random_crops(samples, batch - whole, CROP, rng, min_moving=0.6)
    ones = torch.ones(whole, 1, CROP, CROP)
    visible = torch.cat((ones, moving * random_visibility(batch - whole, CROP, hidden, rng)))
    return torch.cat((photo, flowing)), visible, torch.cat((ones, moving))


def main() -> None:
    parser = arguments(__doc__, ".runs/encoder", weights=True)
    parser.add_argument("--adversarial", type=float, default=0.1, help="weight of the critic's opinion")
    parser.add_argument("--hidden", type=float, default=0.9, help="share of the moving crops with hidden parts")
    options = parser.parse_args()
    run = Run(options)
    generator, encoder = load_stage(options.weights, run.device)
    encoder.requires_grad_(True).train()
    train(run, options, generator, encoder, [], half_moving, warm=0)


if __name__ == "__main__":
    main()
