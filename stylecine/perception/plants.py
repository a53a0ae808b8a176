"""Which plants sway in the wind: crowns, bushes, grass, reeds and flowers that are near enough for it to be seen."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stylecine.ops.smoothstep import smoothstep
from stylecine.perception.refine import crf_refine, follow_edges, mean_probability

SHORT_SIDE = 448  # pixels on the short side of the copy that the network sees, as in training
STILL_BELOW, SWAYS_ABOVE = 0.3, 0.6  # probabilities up to which a place stands still, and from which it sways fully
AGREEMENT_WEIGHT = 4.0  # of places of similar colour beside a place's own prediction
AGREEMENT_CELLS = 2500  # of the grid on which they agree

PlantFinder = Callable[[Tensor], Tensor]  # photos [N,3,H,W] in [-1,1] -> logits [N,1,h,w], as PlantNet


@torch.inference_mode()
def predict_plants(photo: Tensor, net: PlantFinder) -> Tensor:
    """photo [3,H,W] in [-1,1] -> how much each place sways, [H,W] in [0,1].

    The network's prediction is made consistent among places of similar colour and follows the photo's own edges at full
    size; low probabilities become exactly 0. It does not know what else moves: twigs before the sky and reeds in water
    belong to those layers as well.
    """
    own = plant_probability(photo, net)
    agreed = crf_refine(torch.stack([1 - own, own]), photo, AGREEMENT_WEIGHT, AGREEMENT_CELLS)[1:]
    return smoothstep(STILL_BELOW, SWAYS_ABOVE, follow_edges(agreed, photo))


def plant_probability(photo: Tensor, net: PlantFinder) -> Tensor:
    """[h,w]: the mean over the photo and its mirror image; h or w is 112."""
    return mean_probability(photo, net, (SHORT_SIDE,), shown=SHORT_SIDE)
