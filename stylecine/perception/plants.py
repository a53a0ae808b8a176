"""Which plants sway in the wind: crowns, bushes, grass, reeds and flowers that are near enough for it to be seen."""

from __future__ import annotations

import torch
from torch import Tensor

from stylecine.ops.smoothstep import smoothstep
from stylecine.perception.refine import crf_refine, follow_edges

STILL_BELOW, SWAYS_ABOVE = 0.3, 0.6  # probabilities up to which a place stands still, and from which it sways fully
AGREEMENT_WEIGHT = 4.0  # of places of similar colour beside a place's own prediction
AGREEMENT_CELLS = 2500  # of the grid on which they agree


@torch.inference_mode()
def refine_plants(photo: Tensor, probability: Tensor) -> Tensor:
    """photo [3,H,W] in [-1,1], probability [h,w] of swaying -> how much each place sways, [H,W] in [0,1].

    What was seen is made consistent among places of similar colour and follows the photo's own edges at full size; low
    probabilities become exactly 0. What else moves does not count here: twigs before the sky and reeds in water belong
    to those layers as well.
    """
    agreed = crf_refine(torch.stack([1 - probability, probability]), photo, AGREEMENT_WEIGHT, AGREEMENT_CELLS)[1:]
    return smoothstep(STILL_BELOW, SWAYS_ABOVE, follow_edges(agreed, photo))
