"""Errors of a prediction of moving cloth against the simulation, over whole clips."""

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

SIDEWAYS = 0.005  # of the side: a smaller mean displacement has no reliable direction


def predictor(network: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Predict:
    """The prediction of a ClothNet, or of its `coarse` for clips of half the size."""
    return lambda views: at_phases(network(views.still, views.mask, views.wind), views.phases)


def moved_normals(views: Views, answer: Tensor) -> Tensor:
    """Unit normals [N,P,3,S,S]: those at rest plus the predicted change."""
    return F.normalize(views.still[:, None] + answer[:, :, 2:], dim=2)


@torch.no_grad()
def measure(predict: Predict, clips: Clips, most: int | None = None) -> dict[str, float]:
    """Means over clips, each with all its phases except rest:

    normals: mean angle in degrees to the simulated normals, where the cloth is visible then and at rest;
    displacement: root mean square of the error in % of the side;
    relief, travel: root mean square of the predicted normal change and displacement over the simulation's;
    direction, within_30: median angle in degrees between predicted and simulated mean displacement over the cycle, and
    the share of clips within 30°, among the `directed` share of clips where the simulated one is not tiny.
    """
    stages = clips.normals.shape[1]
    at = torch.arange(1, stages)
    angles, errors, direction_errors, powers = [], [], [], torch.zeros(4, dtype=torch.float64)
    count = min(len(clips), most or len(clips))
    for i in range(count):
        views = clips.whole([i * len(clips) // count], at)
        answer = predict(views)
        weight, area = views.weight, views.weight.sum()
        if area == 0:
            continue
        normals = moved_normals(views, answer)
        cosine = (normals * views.normals).sum(2, keepdim=True).clamp(-1, 1)
        angles.append(math.degrees(float((cosine.acos() * weight).sum() / area)))
        errors.append(100 * float((((answer[:, :, :2] - views.displacement) ** 2) * weight).sum() / area) ** 0.5)
        still = views.still[:, None]
        for k, (part, whole) in enumerate(((normals - still, views.normals - still),
                                           (answer[:, :, :2], views.displacement))):
            powers[2 * k] += float((part.square() * weight).sum() / area)
            powers[2 * k + 1] += float((whole.square() * weight).sum() / area)
        mean, truth = mean_displacement(answer[:, :, :2], weight), mean_displacement(views.displacement, weight)
        if truth.norm() > SIDEWAYS:
            direction_errors.append(_angle(mean, truth))
    directions = torch.tensor(direction_errors or [math.nan])
    relief, travel = (powers[::2] / powers[1::2].clamp_min(1e-12)).sqrt().tolist()
    return {
        "normals": sum(angles) / len(angles), "displacement": sum(errors) / len(errors), "relief": relief,
        "travel": travel, "direction": float(directions.median()), "within_30": float((directions < 30).float().mean()),
        "directed": len(direction_errors) / count,
    }


def mean_displacement(displacement: Tensor, weight: Tensor) -> Tensor:
    """Of the cloth over the cycle, [N,P,2,S,S] and [N,P,1,S,S] of one view -> [2]; rest counts with 0."""
    phases = displacement.shape[1]
    return (displacement * weight).sum((0, 1, 3, 4)) / weight.sum().clamp_min(1e-6) * phases / (phases + 1)


def _angle(a: Tensor, b: Tensor) -> float:
    return math.degrees(math.acos(float(F.cosine_similarity(a, b, 0).clamp(-1, 1))))
