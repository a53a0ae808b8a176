"""The encoder on the frozen generator, with hidden parts: what continues water and sky (stage 3 of three).

    python pretrained/recipes/train_encoder.py --photos PHOTOS --weights .runs/generator --minutes 9

Half of the crops are whole, which keeps the inversion; of the others the encoder sees what moves only, less some
more hidden parts, as it does when the plate is made. What lies under static things is unknown and counts nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from common import Run, arguments, crops, hidden_parts
from data import Sample
from torch import Tensor
from train_generator import train, trained

CROP = 256          # larger than for the generator: what is hidden takes more context


def half_flowing(samples: list[Sample], batch: int, hidden: float, rng: np.random.Generator,
                 ) -> tuple[Tensor, Tensor, Tensor]:
    """Whole crops and crops of moving matter, half each: photo, visible, known (static parts of the latter are not)."""
    whole = batch // 2
    photo, _ = crops(samples, whole, CROP, rng)
    flowing, moving = crops(samples, batch - whole, CROP, rng, flowing=0.6)
    visible = torch.cat((torch.ones(whole, 1, CROP, CROP), moving * hidden_parts(batch - whole, CROP, hidden, rng)))
    known = torch.cat((torch.ones(whole, 1, CROP, CROP), moving))
    return torch.cat((photo, flowing)), visible, known


def main() -> None:
    parser = arguments(__doc__, ".runs/encoder")
    parser.add_argument("--weights", type=Path, required=True, help="folder with generator. and encoder.safetensors")
    parser.add_argument("--adversarial", type=float, default=0.1, help="weight of the discriminator's loss")
    parser.add_argument("--hidden", type=float, default=0.9, help="share of the flowing crops with hidden parts")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    run = Run(options)
    generator, encoder = trained(options.weights, run.device)
    encoder.requires_grad_(True).train()
    train(run, options, generator, encoder, [], half_flowing, warm=0)


if __name__ == "__main__":
    main()
