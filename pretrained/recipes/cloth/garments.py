"""Flags, banners, curtains, skirts, dresses and capes: how they are cut, held and worn.

Every garment is a grid in metres (x right, y down, z towards the viewer) that is seen best from +z.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from cloth.fabrics import Fabric, Random, random_fabric
from cloth.xpbd import Part
from torch import Tensor

Point = tuple[float, float, float]


@dataclass
class Garment:
    """The cloth of one clip, a grid of H×W points, and its wind."""

    start: Tensor               # [3,H,W] initial positions, with folds
    pattern: Tensor             # [3,H,W] as it was cut
    pinned: Tensor              # [H,W] bool
    fabric: Fabric
    base: Tensor                # [3] m/s
    gust: float                 # m/s at strength 1
    yaw: tuple[float, float]    # radians: range of the camera's angle about the vertical axis; 0 is from +z
    body: list[Part] = field(default_factory=list)
    both_sides: bool = False    # looks as good from −z


def level_wind(angle: float, speed: float) -> Tensor:
    """A horizontal wind [3] of a plan angle in radians."""
    return speed * torch.tensor([math.cos(angle), 0.0, -math.sin(angle)])


def random_wind(random: Random, probability: float, low: float, high: float) -> Tensor:
    """With this probability a wind of `low` to `high` m/s in any direction, otherwise none."""
    return level_wind(random.uniform(0, 2 * math.pi), random.uniform(low, high) if random.chance(probability) else 0.0)


def sheet(height: float, width: float, shape: tuple[int, int]) -> Tensor:
    """[3,H,W]: flat and upright, its upper left corner at 0."""
    y, x = torch.meshgrid(torch.linspace(0, height, shape[0]), torch.linspace(0, width, shape[1]), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])


def pins(shape: tuple[int, int], top: bool = False) -> Tensor:
    """[H,W] bool: nothing is pinned, or the top row."""
    pinned = torch.zeros(shape, dtype=torch.bool)
    pinned[0] = top
    return pinned


def crumple(random: Random, start: Tensor, pinned: Tensor, depth: float) -> Tensor:
    """`start` with soft random folds, `depth` metres deep, except at pinned points."""
    shape = start.shape[1], start.shape[2]
    folds = random.smooth_noise(4, 5, *shape) + 0.4 * random.smooth_noise(8, 10, *shape)
    crumpled = start.clone()
    crumpled[2] += folds * depth * ~pinned
    return crumpled


def flag(random: Random, shape: tuple[int, int]) -> Garment:
    """Streams from an upright or leaning pole that holds its hoist, or some points of it."""
    height = random.uniform(0.6, 1.3)
    pattern = sheet(height, height * random.uniform(1.1, 1.8), shape)
    rows = torch.arange(shape[0])
    held = random.choice(["all", "all", "corners", "points"])
    every = {"all": 1, "corners": shape[0] - 1, "points": random.choice([6, 10, 13])}[held]
    pinned = pins(shape)
    pinned[:, 0] = (rows % every == 0) | (rows == shape[0] - 1)
    start = crumple(random, pattern, pinned, 0.03)
    start[1, :, 0] *= random.uniform(0.93, 1.0)  # a slightly slack hoist makes folds
    lean = random.uniform(-0.15, 0.9) if random.chance(0.4) else 0.0  # radians, downwind
    x, y = start[0].clone(), start[1].clone()
    start[0], start[1] = x * math.cos(lean) - y * math.sin(lean), y * math.cos(lean) + x * math.sin(lean)
    fabric = random_fabric(random, 0.08, 0.22)
    base = level_wind(random.uniform(-0.4, 0.4), random.uniform(3.0, 8.0))
    return Garment(start, pattern, pinned, fabric, base, 0.3 * float(base.norm()) + 0.5, (-0.7, 0.7), both_sides=True)


def banner(random: Random, shape: tuple[int, int]) -> Garment:
    """Hangs from its top, between corners, or from a pole with a crossbar."""
    held = random.choice(["top", "top and bottom", "upper corners", "corners", "crossbar"])
    wide = held in ("corners", "upper corners")
    width = random.uniform(0.8, 1.8) if wide else random.uniform(0.4, 0.8)
    height = width * random.uniform(0.5, 1.0) if wide else width * random.uniform(1.0, 2.2)
    pattern = sheet(height, width, shape)
    pinned = pins(shape, top=not wide)
    if wide:
        pinned[0, [0, -1]] = True
    if held == "crossbar":
        pinned[::3, 0] = True
    if held in ("corners", "top and bottom"):
        pinned[-1, [0, -1]] = True
    slack = random.uniform(0.9, 0.99)
    start = crumple(random, pattern, pins(shape), 0.03)
    start[2] *= ~pinned
    if wide:
        start[0] *= slack
    elif held == "top and bottom":
        start[1] *= slack
    base = random_wind(random, 0.7, 0.5, 3.0)
    return Garment(start, pattern, pinned, random_fabric(random), base, 4.0, (-0.8, 0.8), both_sides=True)


def curtain(random: Random, shape: tuple[int, int]) -> Garment:
    """Hangs gathered: wider than the rail, so it falls in folds."""
    height, folds = random.uniform(0.8, 1.6), random.choice([3, 4, 5, 6, 7])
    width, depth = height * random.uniform(0.45, 1.1), random.uniform(0.2, 0.8)
    along = torch.linspace(0, 1, shape[1])
    phase = folds * along + 0.35 / folds * random.smooth_noise(1, 2 * folds, 1, shape[1])[0]
    curve = torch.stack([width * along, depth * width / folds * 0.5 * torch.sin(2 * math.pi * phase)])
    pattern = sheet(height, 1.0, shape)
    pattern[0] = torch.cat([torch.zeros(1), curve.diff(dim=1).norm(dim=0).cumsum(0)])
    start = sheet(height, width, shape)
    start[2] = curve[1]
    pinned = pins(shape, top=True)
    if random.chance(0.4):
        pinned[0] = torch.arange(shape[1]) % 3 == 0
        pinned[0, -1] = True
    start = crumple(random, start, pinned, 0.02)
    base = random_wind(random, 0.5, 0.3, 1.5)
    return Garment(start, pattern, pinned, random_fabric(random), base, 1.8, (-0.8, 0.8), both_sides=True)


def tube(random: Random, shape: tuple[int, int], length: float, radii: tuple[float, float], hem: float, folds: int,
         depth: float) -> tuple[Tensor, Tensor]:
    """start and pattern [3,H,W] of a cone of cloth: at first it has the radii of the body at its top and bottom, in
    folds; at the hem it was cut `hem` times as wide."""
    turn = torch.arange(shape[1]) / shape[1] * 2 * math.pi
    down = torch.linspace(0, 1, shape[0])[:, None]
    plain = radii[0] + (radii[1] - radii[0]) * down
    cut = radii[0] + (radii[1] * hem - radii[0]) * down
    uneven = 0.5 * random.smooth_noise(2, 2 * folds, *shape, closed=True)
    radius = plain * (1 + depth * down * torch.sin(folds * turn + uneven))
    start = torch.stack([radius * turn.sin(), length * down.expand(shape), radius * turn.cos()])
    flare = math.sqrt(max(length**2 - (float(cut[-1]) - radii[0])**2, (0.3 * length)**2))
    pattern = torch.stack([cut * turn.sin(), flare * down.expand(shape), cut * turn.cos()])
    return start, pattern


def worn(random: Random, start: Tensor, pattern: Tensor, pinned: Tensor, torso: tuple[Point, Point, float],
         legs: tuple[float, float], yaw: float = math.pi) -> Garment:
    """A garment on a body: a torso (start, end, radius), and two legs from a height y down by a length, in a step or
    side by side."""
    hips, length = legs
    stride, apart = random.uniform(-0.16, 0.16), random.uniform(0.07, 0.12)
    sway = torch.tensor([random.uniform(-0.012, 0.012), 0.0, random.uniform(-0.012, 0.012)])
    body: list[Part] = [(torch.tensor(torso[0]), torch.tensor(torso[1]), torso[2], torch.zeros(3))]
    for side in (-1.0, 1.0):
        foot = torch.tensor([side * apart, hips + length, side * stride])
        body.append((torch.tensor([0.8 * side * apart, hips, 0.0]), foot, random.uniform(0.055, 0.08), sway))
    base = random_wind(random, 0.6, 0.5, 2.5)
    return Garment(start, pattern, pinned, random_fabric(random, 0.1, 0.3), base, 2.0, (-yaw, yaw), body)


def skirt(random: Random, shape: tuple[int, int]) -> Garment:
    """Sits on the waist, over hips and legs."""
    length, waist = random.uniform(0.4, 1.0), random.uniform(0.12, 0.16)
    start, pattern = tube(random, shape, length, (waist, waist + random.uniform(0.1, 0.22) * length + 0.04),
                          random.uniform(1.15, 2.2), random.choice([5, 6, 7, 8, 9]), random.uniform(0.05, 0.2))
    hips = ((-0.04, 0.16, 0.0), (0.04, 0.16, 0.0), waist * 0.95)
    return worn(random, start, pattern, pins(shape, top=True), hips, (0.16, length + 0.2))


def dress(random: Random, shape: tuple[int, int]) -> Garment:
    """Hangs from the shoulders over the whole body, with or without a belt."""
    length, shoulders = random.uniform(0.9, 1.45), random.uniform(0.15, 0.19)
    start, pattern = tube(random, shape, length, (shoulders, shoulders + random.uniform(0.08, 0.22) * length),
                          random.uniform(1.1, 1.9), random.choice([5, 6, 7, 8]), random.uniform(0.05, 0.15))
    pinned = pins(shape, top=True)
    if random.chance(0.5):
        belt = round((shape[0] - 1) * 0.42 / length)
        start[::2, belt] *= random.uniform(0.11, 0.14) / start[::2, belt].norm(dim=0)
        pinned[belt] = True
        above = torch.linspace(1, 0, belt + 1)[:, None]  # the cloth runs from the shoulders to the belt
        start[::2, :belt + 1] = above * start[::2, :1] + (1 - above) * start[::2, belt:belt + 1]
    return worn(random, start, pattern, pinned, ((0.0, 0.05, 0.0), (0.0, 0.5, 0.0), 0.105), (0.55, length - 0.2))


def cape(random: Random, shape: tuple[int, int]) -> Garment:
    """Lies around the shoulders and hangs down the back, towards +z."""
    length, shoulders = random.uniform(0.7, 1.4), random.uniform(0.17, 0.23)
    opening = random.uniform(1.2, 2.4)
    flare, folds = random.uniform(1.2, 2.4), random.choice([3, 4, 5, 6])
    turn = torch.linspace(-opening, opening, shape[1])
    down = torch.linspace(0, 1, shape[0])[:, None]
    width = 2 * opening * shoulders
    pattern = sheet(length, width, shape)
    pattern[0] = (pattern[0] - width / 2) * (1 + (flare - 1) * down)
    radius = shoulders * (1 + 0.3 * down) * (1 + 0.12 * down * torch.sin(folds * turn + random.uniform(0, 6)))
    start = torch.stack([radius * turn.sin(), length * down.expand(shape), radius * turn.cos()])
    torso = ((-0.03, 0.06, 0.0), (0.03, 0.5, 0.0), 0.12)
    return worn(random, start, pattern, pins(shape, top=True), torso, (0.55, length), yaw=1.0)


@dataclass
class Kind:
    """How the clips of one kind of garment are made."""

    make: Callable[[Random, tuple[int, int]], Garment]
    shape: tuple[int, int]      # H, W
    seconds: float              # per gust: longer than the cloth's own swing, so that it follows the gust
    closed: bool = False        # a tube


KINDS = {
    "flag": Kind(flag, (32, 44), 2.2),
    "banner": Kind(banner, (40, 32), 3.0),
    "curtain": Kind(curtain, (32, 56), 3.2),
    "skirt": Kind(skirt, (28, 64), 2.4, closed=True),
    "dress": Kind(dress, (36, 56), 3.0, closed=True),
    "cape": Kind(cape, (36, 36), 3.0),
}
