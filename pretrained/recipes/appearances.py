"""Random appearances of a photo: other light, weather and season, the structure unchanged.

An appearance is a function of colour, class and height in the picture, so that any crop and any reduction of a photo
can be shown in the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GROUPS = ((1,), (2, 3), (0,), (4,))  # classes of a label that have their colours in common: sky, water, land, mist
MIN_PIXELS = 60  # of a group, for its statistics to mean something
MAX_CONTRAST = 2.0  # times the photo's own, where a group takes another's statistics


@dataclass(frozen=True)
class Picture:
    """A crop or a reduction of a photo."""

    colours: Tensor  # [3,h,w] in [0,1]
    groups: Tensor  # [4,h,w] in [0,1]: the share of each of GROUPS
    rows: Tensor  # [h,1]: height in the whole photo, 0 at the top and 1 at the bottom


Appearance = Callable[[Picture], Tensor]


def picture(photo: Tensor, label: Tensor, top: float = 0.0, bottom: float = 1.0) -> Picture:
    """photo [3,h,w] in [0,1], label [h,w]; the picture reaches from `top` to `bottom` of the whole photo."""
    groups = torch.stack([torch.isin(label, torch.tensor(group, dtype=label.dtype)) for group in GROUPS]).float()
    soft = F.avg_pool2d(groups[None], 3, 1, 1, count_include_pad=False)[0]
    return Picture(photo, soft, torch.linspace(top, bottom, photo.shape[1])[:, None])


def resized(photo: Tensor, label: Tensor, size: tuple[int, int], top: float = 0.0, bottom: float = 1.0) -> Picture:
    """As `picture`, of a photo in bytes, uint8 [3,H,W], reduced to `size`."""
    small = F.interpolate(photo[None].float() / 255, size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    return picture(small, F.interpolate(label[None, None], size, mode="nearest-exact")[0, 0], top, bottom)


def unchanged(view: Picture) -> Tensor:
    return view.colours


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Some of: a light of each group's own, one for the whole, a gradient of dusk, haze, night."""
    steps: list[Appearance] = []
    if rng.random() < 0.6:
        lights = [_random_light(rng, 0.7) for _ in GROUPS]
        steps.append(lambda view: sum(g * light(view.colours) for g, light in zip(view.groups, lights, strict=True)))
    if rng.random() < 0.7:
        steps.append(_on_colours(_random_light(rng, 1.0)))
    if rng.random() < 0.3:
        steps.append(_random_gradient(rng))
    if rng.random() < 0.25:
        steps.append(_random_haze(rng))
    if rng.random() < 0.15:
        steps.append(_on_colours(_random_night(rng)))
    return _chain(steps)


def appearance_of(other: Picture, photo: Picture) -> Appearance:
    """The means and deviations of another photo's groups, each in the photo's own place (Reinhard et al. 2001).

    photo: the whole of what will be shown in it. Groups that one of both lacks take the statistics of all.
    """
    own, target = _statistics(photo), _statistics(other)

    def show(view: Picture) -> Tensor:
        shown = torch.zeros_like(view.colours)
        for i, group in enumerate(view.groups):
            at = i if i in own and i in target else -1
            (mean, deviation), (to_mean, to_deviation) = own[at], target[at]
            gain = (to_deviation / deviation).clamp(1 / MAX_CONTRAST, MAX_CONTRAST)
            shown += group * ((view.colours - mean) * gain + to_mean)
        return shown.clamp(0, 1)

    return show


def _statistics(view: Picture) -> dict[int, tuple[Tensor, Tensor]]:
    """Mean and deviation [3,1,1] of each group that is there, and of all (-1)."""
    found = {}
    for i, group in enumerate((*view.groups, torch.ones_like(view.groups[0]))):
        total = float(group.sum())
        if total < MIN_PIXELS:
            continue
        mean = (view.colours * group).sum((1, 2)) / total
        variance = ((view.colours - mean[:, None, None]).square() * group).sum((1, 2)) / total
        found[-1 if i == len(GROUPS) else i] = mean[:, None, None], (variance.sqrt() + 0.01)[:, None, None]
    return found


def _random_light(rng: np.random.Generator, strength: float) -> Callable[[Tensor], Tensor]:
    gain = torch.tensor(np.exp(rng.normal(0, 0.2 * strength, (3, 1, 1)) + rng.normal(0, 0.25 * strength))).float()
    gamma = math.exp(rng.normal(0, 0.3 * strength))
    saturation = rng.uniform(0.15, 1.5) if rng.random() < 0.5 else 1.0
    contrast = math.exp(rng.normal(0, 0.2 * strength))

    def light(colours: Tensor) -> Tensor:
        lit = (colours * gain).clamp(0, 1) ** gamma
        grey = lit.mean(0, keepdim=True)
        lit = grey + (lit - grey) * saturation
        return ((lit - 0.5) * contrast + 0.5).clamp(0, 1)

    return light


def _random_gradient(rng: np.random.Generator) -> Appearance:
    """From one tint at the top through another at the middle, as at dusk, to a third at the bottom."""
    tints = torch.tensor(np.exp(rng.normal(0, 0.3, (3, 3)))).float()
    middle = rng.uniform(0.3, 0.7)

    def show(view: Picture) -> Tensor:
        up = (1 - view.rows / middle).clamp(0, 1)
        down = ((view.rows - middle) / (1 - middle)).clamp(0, 1)
        tint = tints[0, :, None, None] * up + tints[2, :, None, None] * down
        tint = tint + tints[1, :, None, None] * (1 - up - down)
        return (view.colours * tint).clamp(0, 1)

    return show


def _random_haze(rng: np.random.Generator) -> Appearance:
    """Thickest at the horizon, thin in the foreground."""
    colour = torch.tensor(rng.uniform(0.6, 0.95) + rng.normal(0, 0.04, (3, 1, 1))).float().clamp(0, 1)
    horizon, reach, amount = rng.uniform(0.3, 0.6), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.8)

    def show(view: Picture) -> Tensor:
        veil = amount * torch.exp(-(((view.rows - horizon) / reach) ** 2))
        return view.colours + (colour - view.colours) * veil

    return show


def _random_night(rng: np.random.Generator) -> Callable[[Tensor], Tensor]:
    dark, blue = rng.uniform(0.15, 0.45), torch.tensor([[[0.75]], [[0.9]], [[1.25]]])
    lift = rng.uniform(0.0, 0.06)

    def night(colours: Tensor) -> Tensor:
        grey = colours.mean(0, keepdim=True)
        return ((grey + (colours - grey) * 0.5) * dark * blue + lift).clamp(0, 1)

    return night


def _on_colours(light: Callable[[Tensor], Tensor]) -> Appearance:
    return lambda view: light(view.colours)


def _chain(steps: list[Appearance]) -> Appearance:
    def show(view: Picture) -> Tensor:
        for step in steps:
            view = Picture(step(view), view.groups, view.rows)
        return view.colours

    return show
