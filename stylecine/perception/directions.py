"""Where matter is seen to flow, and where the photo and its mirror image contradict each other; arrows on a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from stylecine.errors import MotionError
from stylecine.ops.arrows import start_cells
from stylecine.ops.image import resize
from stylecine.options import SKY, WATER
from stylecine.perception.see import Seen

ARROW_RADIUS = 0.05  # of the short side: standard deviation of an arrow's exact hold on the flow
PER_SECOND = 30.0  # a flow's unit of time is 1/30 s
OFF_CENTRE = 0.03  # of half the width: a sky whose centre lies further to the left drifts to the left


@dataclass(frozen=True)
class PlacedArrow:
    """An arrow, or a leg of one, on a grid: the cell that it starts from, and its velocity there."""

    row: int
    column: int
    velocity: complex  # pixels of the grid per 1/30 s, x + iy


def place_arrows(layers: Tensor, arrows: Sequence[Sequence[float]], grid: tuple[int, int]) -> tuple[PlacedArrow, ...]:
    """arrows: (x0, y0, x1, y1, ...) in fractions of width and height, the way of matter in one second, over layers
    [4,H,W]. MotionError for one that starts further than 5% of the short side from anything that moves."""
    ways = [_along_way(arrow, grid) for arrow in arrows]
    cells = iter(start_cells(layers.cpu().numpy(), [place for way in ways for place, _ in way]))
    placed = []
    for (x, y, *_), way in zip(arrows, ways, strict=True):
        own = [(next(cells), velocity) for _, velocity in way]
        if own[0][0] is None:
            raise MotionError(
                f"The arrow from ({x:g}, {y:g}) starts where nothing moves; start it on sky or water, or give a mask."
            )
        placed += [PlacedArrow(*cell, velocity) for cell, velocity in own if cell]
    return tuple(placed)


def _along_way(arrow: Sequence[float], grid: tuple[int, int]) -> list[tuple[tuple[float, float], complex]]:
    """Places along an arrow's way, in fractions, and the velocities there, in pixels of the grid per 1/30 s: at its
    start, and in the middle of each further leg. The speed is the same all the way."""
    h, w = grid
    points = list(zip(arrow[::2], arrow[1::2], strict=True))
    legs = [complex((x1 - x0) * w, (y1 - y0) * h) for (x0, y0), (x1, y1) in pairwise(points)]
    speed = sum(map(abs, legs)) / PER_SECOND
    middles = [((x0 + x1) / 2, (y0 + y1) / 2) for (x0, y0), (x1, y1) in pairwise(points)]
    places = [points[0], *middles[1:]]
    return [(place, speed * leg / max(abs(leg), 1e-9)) for place, leg in zip(places, legs, strict=True)]


def predict_directions(seen: Seen | None, layers: Tensor, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of a photo with layers [4,H,W]: where matter flows, [2,h,w] on the grid, shorter than 1 where that is uncertain;
    and by how many degrees, 0 to 180, the prediction for the mirror image disagrees, [h,w]. Above 90 it contradicts
    itself: the direction is a guess.
    """
    if seen is None or not layers.any():
        return np.zeros((2, *grid), np.float32), np.zeros(grid, np.float32)
    found = _mirror_averaged(seen.directions, seen.mirrored, layers), _angle(seen.directions, seen.mirrored)[None]
    directions, disagreement = (resize(x, grid).cpu().numpy() for x in found)
    return directions, disagreement[0]


def _mirror_averaged(direct: Tensor, mirrored: Tensor, layers: Tensor) -> Tensor:
    """The mean of the predictions [2,h,w] for a photo with layers [4,H,W] and for its mirror image.

    Where the two contradict each other the eye has not read the picture but has a bias: calm water and clouds drift to
    the right. The bias is kept only where the mean says little, and points to where the sky as a whole drifts, or
    else to the open side of the picture.
    """
    mean, bias = (direct + mirrored) / 2, (direct - mirrored) / 2
    bias = bias * (1 - 2 * mean.norm(dim=0) / bias.norm(dim=0).clamp_min(1e-6)).clamp(0, 1)
    layers = resize(layers, mean.shape[1:])
    side = open_side(layers)
    wind = float(((mean + bias * side)[0] * layers[SKY]).sum())
    if wind:
        side = torch.tensor([math.copysign(1.0, wind), 1.0], device=mean.device)[:, None, None]
    return mean + bias * side


def _angle(first: Tensor, second: Tensor) -> Tensor:
    """Between vectors [2,h,w], in degrees."""
    lengths = (first.norm(dim=0) * second.norm(dim=0)).clamp_min(1e-9)
    return torch.rad2deg(torch.acos(((first * second).sum(0) / lengths).clamp(-1, 1)))


def open_side(layers: Tensor) -> Tensor:
    """Where clouds and calm water without a visible direction drift: [2,1,1], (1, 1) to the right, (-1, 1) to the left.

    To the side with more of the sky, or of the water where there is no sky: away from what closes the picture.
    """
    drifting = layers[SKY] if bool((layers[SKY] > 0.5).any()) else layers[WATER]
    columns = torch.linspace(-1, 1, drifting.shape[1], device=layers.device)
    centre = float((drifting.mean(0) * columns).sum() / drifting.mean(0).sum().clamp_min(1e-6))
    return torch.tensor([-1.0 if centre < -OFF_CENTRE else 1.0, 1.0], device=layers.device)[:, None, None]
