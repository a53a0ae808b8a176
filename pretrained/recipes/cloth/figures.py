"""Errors of predicted motion of cloth, compared with the simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from cloth.clips import Clips, Views
from torch import Tensor

from stylecine.networks.clothnet import at_phases

Predict = Callable[[Views], Tensor]
"""Views -> displacement and normal change at their phases, [N,P,5,S,S]."""

MIN_DISPLACEMENT = 0.005  # of the side: a smaller mean has no reliable direction


def predictor(network: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Predict:
    """The prediction of a ClothNet, or of its `coarse` for clips of half the size."""
    return lambda views: at_phases(network(views.still, views.mask, views.wind), views.phases)


def moved_normals(views: Views, predicted: Tensor) -> Tensor:
    """Unit normals [N,P,3,S,S]: those at rest plus the predicted change."""
    return F.normalize(views.still[:, None] + predicted[:, :, 2:], dim=2)


@torch.no_grad()
def measure(predict: Predict, clips: Clips, limit: int | None = None) -> dict[str, float]:
    """Means over clips (at most `limit`, evenly chosen), each at all phases except rest:

    normals: mean angle in degrees to the simulated normals, where the cloth is visible both then and at rest;
    displacement: RMS error in % of the side;
    relief, travel: RMS of the predicted normal change and displacement, relative to the simulation's;
    direction, within_30: median angle in degrees between predicted and simulated mean displacement over the cycle, and
    the share of clips within 30°, among the share `directed` of clips in which the simulated one is not tiny.
    """
    phases = torch.arange(1, clips.normals.shape[1])
    angles, errors, direction_errors, powers = [], [], [], torch.zeros(4, dtype=torch.float64)
    count = min(len(clips), limit or len(clips))
    for i in range(count):
        views = clips.views([i * len(clips) // count], phases)
        predicted = predict(views)
        displacement, normals = predicted[:, :, :2], moved_normals(views, predicted)
        weight, area, still = views.weight, views.weight.sum(), views.still[:, None]
        if area == 0:
            continue
        cosine = (normals * views.normals).sum(2, keepdim=True).clamp(-1, 1)
        angles.append(math.degrees(float((cosine.acos() * weight).sum() / area)))
        errors.append(100 * float(((displacement - views.displacement).square() * weight).sum() / area) ** 0.5)
        changes = (normals - still, views.normals - still, displacement, views.displacement)
        powers += torch.stack([(change.square() * weight).sum() / area for change in changes])
        mean, truth = mean_displacement(displacement, weight), mean_displacement(views.displacement, weight)
        if truth.norm() > MIN_DISPLACEMENT:
            cosine = F.cosine_similarity(mean, truth, 0).clamp(-1, 1)
            direction_errors.append(math.degrees(math.acos(float(cosine))))
    directions = torch.tensor(direction_errors or [math.nan])
    relief, travel = (powers[::2] / powers[1::2].clamp_min(1e-12)).sqrt().tolist()
    return {
        "normals": sum(angles) / len(angles), "displacement": sum(errors) / len(errors), "relief": relief,
        "travel": travel, "direction": float(directions.median()), "within_30": float((directions < 30).float().mean()),
        "directed": len(direction_errors) / count,
    }


def mean_displacement(displacement: Tensor, weight: Tensor) -> Tensor:
    """Mean [2] over cloth and cycle, rest included, of one view's displacement [1,P,2,S,S] and weight [1,P,1,S,S]."""
    phases = displacement.shape[1]
    return (displacement * weight).sum((0, 1, 3, 4)) / weight.sum().clamp_min(1e-6) * phases / (phases + 1)
