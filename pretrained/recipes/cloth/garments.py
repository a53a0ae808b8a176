"""What hangs in the wind: flags, banners, curtains, skirts, dresses, capes; how they are cut, held and worn.

Every garment is a grid in metres (x right, y down, z towards the viewer) that is seen best from +z.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from cloth.fabrics import Draw, Fabric, random_fabric
from torch import Tensor

Part = tuple[Tensor, Tensor, float, Tensor]     # of a body: start, end, radius, sway


@dataclass
class Garment:
    """One clip's cloth, [·,H,W] with the kind's H and W, and the air it needs."""

    start: Tensor               # [3,H,W] the first position, already folded
    pattern: Tensor             # [3,H,W] as it was cut
    pinned: Tensor              # [H,W] bool
    fabric: Fabric
    base: Tensor                # [3] m/s
    gust: float                 # m/s at strength 1
    turns: tuple[float, float]  # radians: from where it may be looked at, about the upright axis; 0 is from +z
    body: list[Part] = field(default_factory=list)
    both_sides: bool = False    # looks as good from −z


def level(angle: float, speed: float) -> Tensor:
    """A wind [3] of a plan angle in radians."""
    return speed * torch.tensor([math.cos(angle), 0.0, -math.sin(angle)])


def sheet(height: float, width: float, shape: tuple[int, int]) -> Tensor:
    """[3,H,W]: flat and upright, its upper left corner at 0."""
    y, x = torch.meshgrid(torch.linspace(0, height, shape[0]), torch.linspace(0, width, shape[1]), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])


def crumpled(draw: Draw, start: Tensor, pinned: Tensor, amount: float) -> Tensor:
    """start with soft random folds, `amount` metres deep, that leave the pinned points alone."""
    folds = draw.smooth(4, 5, *start.shape[1:]) + 0.4 * draw.smooth(8, 10, *start.shape[1:])
    moved = start.clone()
    moved[2] += folds * amount * ~pinned
    return moved


def flag(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Streams from a pole, upright or at an angle, that holds its hoist, or some points of it."""
    height = draw.uniform(0.6, 1.3)
    pattern = sheet(height, height * draw.uniform(1.1, 1.8), shape)
    rows = torch.arange(shape[0])
    held = draw.choice(["all", "all", "corners", "points"])
    every = {"all": 1, "corners": shape[0] - 1, "points": draw.choice([6, 10, 13])}[held]
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[:, 0] = (rows % every == 0) | (rows == shape[0] - 1)
    start = crumpled(draw, pattern, pinned, 0.03)
    start[1, :, 0] *= draw.uniform(0.93, 1.0)       # a hoist that is a little slack throws folds
    lean = draw.uniform(-0.15, 0.9) if draw.chance(0.4) else 0.0     # radians that the pole leans downwind
    x, y = start[0].clone(), start[1].clone()
    start[0], start[1] = x * math.cos(lean) - y * math.sin(lean), y * math.cos(lean) + x * math.sin(lean)
    fabric = random_fabric(draw, 0.08, 0.22)
    base = level(draw.uniform(-0.4, 0.4), draw.uniform(3.0, 8.0))
    return Garment(start, pattern, pinned, fabric, base, 0.3 * float(base.norm()) + 0.5, (-0.7, 0.7), both_sides=True)


def banner(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Hangs from its top, between corners, or from a pole with a crossbar."""
    held = draw.choice(["top", "top and bottom", "upper corners", "corners", "crossbar"])
    wide = held in ("corners", "upper corners")
    width = draw.uniform(0.8, 1.8) if wide else draw.uniform(0.4, 0.8)
    height = width * draw.uniform(0.5, 1.0) if wide else width * draw.uniform(1.0, 2.2)
    pattern = sheet(height, width, shape)
    pinned = torch.zeros(shape, dtype=torch.bool)
    if held in ("top", "top and bottom", "crossbar"):
        pinned[0] = True
    if held == "crossbar":
        pinned[::3, 0] = True
    if wide:
        pinned[0, [0, -1]] = True
    if held in ("corners", "top and bottom"):
        pinned[-1, [0, -1]] = True
    slack = draw.uniform(0.9, 0.99)
    start = crumpled(draw, pattern, torch.zeros_like(pinned), 0.03)
    start[2] *= ~pinned
    if wide:
        start[0] *= slack
    elif held == "top and bottom":
        start[1] *= slack
    base = level(draw.uniform(0, 2 * math.pi), draw.uniform(0.5, 3.0) if draw.chance(0.7) else 0.0)
    return Garment(start, pattern, pinned, random_fabric(draw), base, 4.0, (-0.8, 0.8), both_sides=True)


def curtain(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Hangs gathered: more cloth than width, so it falls in folds."""
    height, folds = draw.uniform(0.8, 1.6), draw.choice([3, 4, 5, 6, 7])
    width, depth = height * draw.uniform(0.45, 1.1), draw.uniform(0.2, 0.8)
    along = torch.linspace(0, 1, shape[1])
    turn = folds * along + 0.35 / folds * draw.smooth(1, 2 * folds, 1, shape[1])[0]
    curve = torch.stack([width * along, depth * width / folds * 0.5 * torch.sin(2 * math.pi * turn)])
    steps = (curve[:, 1:] - curve[:, :-1]).norm(dim=0)
    arc = torch.cat([torch.zeros(1), steps.cumsum(0)])
    pattern = sheet(height, 1.0, shape)
    pattern[0] = arc
    start = sheet(height, width, shape)
    start[2] = curve[1]
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[0] = True
    if draw.chance(0.4):
        pinned[0] = torch.arange(shape[1]) % 3 == 0
        pinned[0, -1] = True
    free = crumpled(draw, start, pinned, 0.02)
    base = level(draw.uniform(0, 2 * math.pi), draw.uniform(0.3, 1.5) if draw.chance(0.5) else 0.0)
    return Garment(free, pattern, pinned, random_fabric(draw), base, 1.8, (-0.8, 0.8), both_sides=True)


def tube(draw: Draw, shape: tuple[int, int], length: float, radii: tuple[float, float], hem: float, folds: int,
         depth: float) -> tuple[Tensor, Tensor]:
    """start and pattern [3,H,W] of a cloth sewn to a cone: it begins with the radii of the body at its top and bottom,
    in folds, and was cut with `hem` times as much cloth around as that."""
    turn = torch.arange(shape[1]) / shape[1] * 2 * math.pi
    down = torch.linspace(0, 1, shape[0])[:, None]
    plain = radii[0] + (radii[1] - radii[0]) * down
    cut = radii[0] + (radii[1] * hem - radii[0]) * down
    uneven = 0.5 * draw.smooth(2, 2 * folds, *shape, closed=True)
    wave = plain * (1 + depth * down * torch.sin(folds * turn + uneven))
    start = torch.stack([wave * turn.sin(), length * down.expand(shape), wave * turn.cos()])
    flare = math.sqrt(max(length**2 - (float(cut[-1]) - radii[0])**2, (0.3 * length)**2))
    pattern = torch.stack([cut * turn.sin(), flare * down.expand(shape), cut * turn.cos()])
    return start, pattern


def legs(draw: Draw, hips: float, length: float) -> list[Part]:
    """Two legs that begin at a height y = hips and lie `length` down, in a step or beside each other."""
    stride, apart = draw.uniform(-0.16, 0.16), draw.uniform(0.07, 0.12)
    sway = torch.tensor([draw.uniform(-0.012, 0.012), 0.0, draw.uniform(-0.012, 0.012)])
    return [(torch.tensor([0.8 * side * apart, hips, 0.0]),
             torch.tensor([side * apart, hips + length, side * stride]), draw.uniform(0.055, 0.08), sway)
            for side in (-1.0, 1.0)]


def skirt(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Sits on the waist, over hips and legs."""
    length, waist = draw.uniform(0.4, 1.0), draw.uniform(0.12, 0.16)
    start, pattern = tube(draw, shape, length, (waist, waist + draw.uniform(0.1, 0.22) * length + 0.04),
                          draw.uniform(1.15, 2.2), draw.choice([5, 6, 7, 8, 9]), draw.uniform(0.05, 0.2))
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[0] = True
    still = torch.zeros(3)
    body: list[Part] = [(torch.tensor([-0.04, 0.16, 0.0]), torch.tensor([0.04, 0.16, 0.0]), waist * 0.95, still)]
    body += legs(draw, 0.16, length + 0.2)
    base = level(draw.uniform(0, 2 * math.pi), draw.uniform(0.5, 2.5) if draw.chance(0.6) else 0.0)
    return Garment(start, pattern, pinned, random_fabric(draw, 0.1, 0.3), base, 2.0, (-math.pi, math.pi), body)


def dress(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Hangs from the shoulders over the whole body, with a belt or without: a robe."""
    length, shoulders = draw.uniform(0.9, 1.45), draw.uniform(0.15, 0.19)
    start, pattern = tube(draw, shape, length, (shoulders, shoulders + draw.uniform(0.08, 0.22) * length),
                          draw.uniform(1.1, 1.9), draw.choice([5, 6, 7, 8]), draw.uniform(0.05, 0.15))
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[0] = True
    if draw.chance(0.5):
        row = round((shape[0] - 1) * 0.42 / length)
        tight = draw.uniform(0.11, 0.14) / start[::2, row].norm(dim=0)
        start[0, row] *= tight
        start[2, row] *= tight
        pinned[row] = True
        before = torch.linspace(1, 0, row + 1)[:, None]
        for axis in (0, 2):     # above the belt the cloth runs from the shoulders to it
            start[axis, :row + 1] = before * start[axis, 0] + (1 - before) * start[axis, row]
    still = torch.zeros(3)
    body: list[Part] = [(torch.tensor([0.0, 0.05, 0.0]), torch.tensor([0.0, 0.5, 0.0]), 0.105, still)]
    body += legs(draw, 0.55, length - 0.2)
    base = level(draw.uniform(0, 2 * math.pi), draw.uniform(0.5, 2.5) if draw.chance(0.6) else 0.0)
    return Garment(start, pattern, pinned, random_fabric(draw, 0.1, 0.3), base, 2.0, (-math.pi, math.pi), body)


def cape(draw: Draw, shape: tuple[int, int]) -> Garment:
    """Lies around the shoulders and hangs down the back, towards +z."""
    length, shoulders = draw.uniform(0.7, 1.4), draw.uniform(0.17, 0.23)
    opening = draw.uniform(1.2, 2.4)
    flare, folds = draw.uniform(1.2, 2.4), draw.choice([3, 4, 5, 6])
    turn = torch.linspace(-opening, opening, shape[1])
    down = torch.linspace(0, 1, shape[0])[:, None]
    width = 2 * opening * shoulders
    pattern = sheet(length, width, shape)
    pattern[0] = (pattern[0] - width / 2) * (1 + (flare - 1) * down)
    radius = shoulders * (1 + 0.3 * down) * (1 + 0.12 * down * torch.sin(folds * turn + draw.uniform(0, 6)))
    start = torch.stack([radius * turn.sin(), length * down.expand(shape), radius * turn.cos()])
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[0] = True
    still = torch.zeros(3)
    body: list[Part] = [(torch.tensor([-0.03, 0.06, 0.0]), torch.tensor([0.03, 0.5, 0.0]), 0.12, still)]
    body += legs(draw, 0.55, length)
    base = level(draw.uniform(0, 2 * math.pi), draw.uniform(0.5, 2.5) if draw.chance(0.6) else 0.0)
    return Garment(start, pattern, pinned, random_fabric(draw, 0.1, 0.3), base, 2.0, (-1.0, 1.0), body)


@dataclass
class Kind:
    """How a kind's clips are made. H×W points; whether a tube."""

    make: Callable[[Draw, tuple[int, int]], Garment]
    shape: tuple[int, int]
    seconds: float              # a gust cycle: longer than the cloth swings by itself, so that it follows the gust
    closed: bool = False


KINDS = {
    "flag": Kind(flag, (32, 44), 2.2),
    "banner": Kind(banner, (40, 32), 3.0),
    "curtain": Kind(curtain, (32, 56), 3.2),
    "skirt": Kind(skirt, (28, 64), 2.4, closed=True),
    "dress": Kind(dress, (36, 56), 3.0, closed=True),
    "cape": Kind(cape, (36, 36), 3.0),
}
