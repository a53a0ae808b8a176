"""Which plants sway in the wind: crowns, bushes, grass, reeds and flowers that are near enough for it to be seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from stylecine.ops.image import resize
from stylecine.ops.smoothstep import smoothstep
from stylecine.perception.refine import follow_edges, mean_probability

SHORT_SIDES = (448,)  # pixels on the short side of the copy that the network sees, as in training
STILL_BELOW, SWAYS_ABOVE = 0.3, 0.6  # probabilities up to which a place stands still, and from which it sways fully
AGREEMENT_WEIGHT = 4.0  # of places of similar colour beside a place's own prediction
AGREEMENT_CELLS = 2500  # of the grid on which they agree: its matrix has their square
COLOUR_SIGMA = 0.04  # of [0, 1]: standard deviation of the Gaussian of colour differences by which places agree
DISTANCE_SIGMA = 0.1  # of the short side: the same, of distances
MIN_EXPONENT = -60.0  # smaller powers of e do not matter, and are slow where they are denormal
ROUNDS = 5  # of mean-field inference

PlantFinder = Callable[[Tensor], Tensor]  # photos [N,3,H,W] in [-1,1] -> logits [N,1,h,w], as PlantNet


@torch.inference_mode()
def predict_plants(photo: Tensor, net: PlantFinder) -> Tensor:
    """photo [3,H,W] in [-1,1] -> how much each place sways, [H,W] in [0,1].

    The network's prediction is made consistent among places of similar colour and follows the photo's own edges at full
    size; low probabilities become exactly 0. It does not know what else moves: twigs before the sky and reeds in water
    belong to those layers as well.
    """
    own = mean_probability(photo, net, SHORT_SIDES)
    agreed = crf_refine(torch.stack([1 - own, own]), photo)[1:]
    return smoothstep(STILL_BELOW, SWAYS_ABOVE, follow_edges(agreed, photo))


def crf_refine(probabilities: Tensor, photo: Tensor) -> Tensor:
    """Probabilities [K,h,w] refined by a fully connected conditional random field (Kraehenbuehl and Koltun 2011).

    Mean-field inference is exact on a coarse grid; the changes of the logarithms are then interpolated.
    """
    size = probabilities.shape[-2:]
    scale = min(1.0, math.sqrt(AGREEMENT_CELLS / (size[0] * size[1])))
    grid = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    own = resize(probabilities, grid).clamp_min(1e-4).flatten(1).log().log_softmax(0)
    rows, columns = (torch.arange(n, device=photo.device) / min(grid) for n in grid)
    positions = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    features = torch.cat([(resize(photo, grid) / 2).flatten(1) / COLOUR_SIGMA, positions / DISTANCE_SIGMA]).T
    affinity = torch.cdist(features, features).square_()
    affinity = affinity.mul_(-0.5).clamp_(min=MIN_EXPONENT).exp_().fill_diagonal_(0)
    affinity /= affinity.sum(0) + 1e-3
    field = own.softmax(0)
    for _ in range(ROUNDS):
        field = (own + AGREEMENT_WEIGHT * field @ affinity).softmax(0)
    change = (field.clamp_min(1e-4).log() - own).unflatten(1, grid)
    return (probabilities.clamp_min(1e-4).log() + resize(change, size)).softmax(0)
