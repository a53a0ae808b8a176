"""Hand-drawn arrows: which way clouds, water, falls and smoke go, interpolated over the region that each lies in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from data import Sample
from labelled import View
from torch import Tensor

CLASSES = ("sky", "water", "falls", "smoke")
SKY, WATER, FALLS, SMOKE = 1, 2, 3, 4
CLASS_WEIGHTS = (0.0, 0.3, 1.0, 2.0, 0.7)
STEEP = 0.3  # arrows of water that rise or sink by more than this share of their run were judged from the photo
SPREAD = 0.2  # of the photo: standard deviation of an arrow's weight


@dataclass(frozen=True)
class Target:
    """A photo's arrows, interpolated."""

    velocity: Tensor  # [2,h,w] in fractions of the photo's sides
    weight: Tensor  # [1,h,w]


def arrow_array(sample: Sample) -> np.ndarray:
    """[A,5]: x0, y0, x1, y1, class 1..4."""
    rows = [[*a["at"], *a["to"], CLASSES.index(a["class"]) + 1] for a in sample.arrows if a["class"] in CLASSES]
    return np.array(rows, np.float32).reshape(-1, 5)


def has_running_water(sample: Sample) -> bool:
    """Whether the direction of its water can be seen: rivers, streams, surf, pools below falls.

    Arrows of lakes are nominal, and level, but where it is said that they were judged from the photo.
    """
    if any(arrow.get("judged") and arrow["class"] in ("water", "falls") for arrow in sample.arrows):
        return True
    arrows = arrow_array(sample)
    h, w = sample.label.shape
    run, rise = np.abs((arrows[:, 2:4] - arrows[:, :2]) * (w, h)).T
    judged = sample.id.startswith("w-") | (rise > STEEP * run)
    return bool((arrows[:, 4] == FALLS).any() or ((arrows[:, 4] == WATER) & judged).any())


def interpolate_arrows(sample: Sample) -> Target:
    """Each class from its own arrows, the nearest ones with the largest weights."""
    h, w = (max(8, round(n * 96 / min(sample.label.shape))) for n in sample.label.shape)
    label = F.interpolate(sample.label[None, None].float(), (h, w), mode="nearest-exact")[0, 0].numpy()
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = (x + 0.5) / w, (y + 0.5) / h
    velocity, weight = np.zeros((2, h, w), np.float32), np.zeros((1, h, w), np.float32)
    arrows = arrow_array(sample)
    for k in (SKY, WATER, FALLS, SMOKE):
        own = arrows[arrows[:, 4] == k]
        if not len(own):
            continue
        squared = (x - own[:, 0, None, None]) ** 2 + (y - own[:, 1, None, None]) ** 2
        share = 1 / (squared + 0.03**2) ** 1.5
        field = np.tensordot((own[:, 2:4] - own[:, :2]).T, share / share.sum(0), 1)
        # a narrow stream has as many arrows as a wide one
        rarity = CLASS_WEIGHTS[k] / math.sqrt((label == k).mean() + 0.01)
        certainty = np.exp(-squared.min(0) / (2 * SPREAD**2)) * rarity * (2 if has_running_water(sample) else 1)
        velocity = np.where(label == k, field, velocity).astype(np.float32)
        weight = np.where(label == k, certainty, weight).astype(np.float32)
    return Target(torch.from_numpy(velocity), torch.from_numpy(weight))


def in_view(view: View, velocity: Tensor) -> Tensor:
    """Velocities [2,...] in fractions of a photo's sides -> in pixels of the view."""
    h, w = view.grid.shape[1:3]
    matrix = np.diag([w, h]) @ np.linalg.inv(view.matrix[:, :2])
    return torch.tensordot(torch.from_numpy(matrix.astype(np.float32)), velocity, 1)
