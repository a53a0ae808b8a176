"""Thin static things before the sky, found by rules: posts, masts, wires, rigging, twigs, branches.

Labels leave them out; what these rules find teaches the networks. They go by structure: thin, unlike the sky on both
sides of them (the top-hats of mathematical morphology), with sharp edges, and fastened to something static. Before
water, which has thin things of its own, they are not looked for.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import dilate, fit_short_side, nearest, resize
from stylecine.ops.regions import connected

SHORT_SIDE = 1024  # of the copy that is looked at, at most
MAX_RADIUS = 0.009  # of the short side: half the width of posts, masts, ropes and twigs, at most
# Contrasts are differences of grey from the sky on both sides, of [-1, 1]. From which on something stands out:
MIN_CONTRAST = 0.1  # of what is brighter
FAINT_CONTRAST = 0.03  # of what is darker: the mean along a line, before a clear sky: that of wires in fog
CLOUD_LINE_FACTOR = 6.0  # from there up to MIN_CONTRAST: times that of three quarters of the sky
MIN_SEEN = 0.06  # mean probability with which a thing is seen: there is even less in clouds
DIRECTION_FACTOR = 1.25  # a line stands out if its mean exceeds this many times that of all directions by as much
WEAK_SHARE = 0.5  # of what it stands out by at its clearest: a wire goes on with so much
SHARP_SHARE = 0.45  # of its contrast: the step at its edges, across two pixels; those of clouds are softer
GAP_BLUE = 0.3  # of [-1, 1], blue over red: what is dark and that blue may be a gap between clouds,
GAP_BLUER = 0.1  # if it is bluer than both its sides by this share of its contrast
LINE_LENGTH = 0.045  # of the short side: over this distance to both sides straight things run straight
LINE_DIRECTIONS = 16  # in half a turn
MIN_DEGREES = 20.0  # from the level: what runs more level may be a streak of cloud
MARGIN = 0.01  # of the short side: from the photo's border, where wires may hang from masts outside


def thin_before_sky(photo: Tensor, sky: Tensor, static: Tensor, seen: Tensor | None = None) -> Tensor:
    """photo [3,H,W] in [-1,1] -> bool [H,W]: thin static things in the sky. sky, static: bool [H,W], where it moves,
    and what they may be fastened to.

    seen: [h,w], the probability with which something is seen to stand, if known: where there is none of it, it is a
    cloud.
    """
    size = fit_short_side(sky.shape, SHORT_SIDE)
    small = resize(photo, size)
    sky, static = (resize(part[None].float(), size)[0] > 0.5 for part in (sky, static))
    if not bool(sky.any()) or not bool(static.any()):
        return torch.zeros(photo.shape[1:], dtype=torch.bool, device=photo.device)
    darker, brighter, bluer = _contrasts(small, ~static)
    length = LINE_LENGTH * min(size)
    bright = _straight(brighter, sky)
    found = _attached(bright, static, length)
    gap = (small[2] - small[0] > GAP_BLUE) & (bluer > GAP_BLUER * darker)
    wires = _straight_before_sky(torch.where(gap, 0.0, darker), sky)
    found |= _attached(wires, static | _frame(static), 2 * length)
    if seen is not None:
        found = _seen(found, resize(seen[None], size)[0])
    return resize(found[None].float(), photo.shape[1:])[0] > 0.25


def _contrasts(photo: Tensor, moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """photo [3,H,W], moves bool [H,W] -> by how much thin things with sharp edges differ from both their sides: darker
    or bluer, and brighter or warmer; and how much bluer anything thin is, [H,W] each.

    Wood and leaves before a deep blue are often no darker, but warmer.
    """
    radius = max(2, round(MAX_RADIUS * min(moves.shape)))
    _, rows, columns = nearest(moves)  # what is static is to cast no shadow on what moves
    darker, brighter = torch.zeros_like(photo[0]), torch.zeros_like(photo[0])
    for image in (photo.mean(0), (photo[0] - photo[2]) / 2):
        low, high = top_hats(image[rows, columns], radius)
        step = dilate(step_across(image), radius)
        darker = torch.maximum(darker, torch.where(step > SHARP_SHARE * low, low, 0.0))
        brighter = torch.maximum(brighter, torch.where(step > SHARP_SHARE * high, high, 0.0))
    return darker, brighter, low


def top_hats(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """image [H,W] -> by how much what is thinner than 2·radius is below and above both its sides, [H,W] each."""
    return -dilate(-dilate(image, radius), radius) - image, image - dilate(-dilate(-image, radius), radius)


def step_across(image: Tensor) -> Tensor:
    """[H,W] -> [H,W]: the difference across two pixels, of rows or of columns."""
    padded = F.pad(image[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]).abs()
    return torch.maximum(across, (padded[2:, 1:-1] - padded[:-2, 1:-1]).abs())


def _straight_before_sky(contrast: Tensor, sky: Tensor) -> Tensor:
    """What runs straight and is darker, along a line, than clouds are at most places: wires, and posts in haze."""
    least = min(max(CLOUD_LINE_FACTOR * _quantile(contrast[sky], 0.75), FAINT_CONTRAST), MIN_CONTRAST)
    best, mean = _line_means(contrast)
    return sky & (best > DIRECTION_FACTOR * mean + least) & (contrast > WEAK_SHARE * least)


def _seen(found: Tensor, seen: Tensor) -> Tensor:
    """The connected parts of bool [H,W] of which something is seen, [H,W]."""
    parts = connected(found.cpu().numpy())
    return torch.from_numpy(parts.keep(parts.mean(seen.cpu().numpy()) >= MIN_SEEN)).to(found.device)


def _frame(places: Tensor) -> Tensor:
    """The margin of [H,W], bool: wires may hang from masts outside. They are found up to a little before their ends."""
    frame, width = torch.ones_like(places), max(1, round(MARGIN * min(places.shape)))
    frame[width:-width, width:-width] = False
    return frame


def _straight(contrast: Tensor, moves: Tensor) -> Tensor:
    """What runs straight, not level, and stands out from what is around it, which runs all ways."""
    best, mean = _line_means(contrast)
    return moves & (best > DIRECTION_FACTOR * mean + MIN_CONTRAST) & (contrast > MIN_CONTRAST)


def _line_means(contrast: Tensor) -> tuple[Tensor, Tensor]:
    """[H,W] -> the mean along the best straight line of 2·LINE_LENGTH through each place, of those that are not level,
    and the mean along lines of all directions, [H,W] each; found at half the size."""
    half = _halved(contrast)
    reach = max(3, round(LINE_LENGTH * min(half.shape)))
    padded = F.pad(half[None, None], (reach,) * 4, mode="replicate")[0, 0]
    h, w = half.shape
    best, mean = torch.zeros_like(half), torch.zeros_like(half)
    for k in range(LINE_DIRECTIONS):
        degrees = 180 * k / LINE_DIRECTIONS
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
        places = {(reach + round(at * sine), reach + round(at * cosine)) for at in range(-reach, reach + 1)}
        total = torch.zeros_like(half)
        for row, column in places:
            total += padded[row : row + h, column : column + w]
        mean += total / len(places) / LINE_DIRECTIONS
        if MIN_DEGREES <= degrees <= 180 - MIN_DEGREES:
            best = torch.maximum(best, total / len(places))
    best, mean = resize(torch.stack([best, mean]), contrast.shape)
    return best, mean


def _halved(image: Tensor) -> Tensor:
    """[H,W] -> the largest of each two by two pixels, fewer at the right and at the bottom."""
    rows = torch.maximum(image[:-1:2], image[1::2])
    if image.shape[0] % 2:
        rows = torch.cat((rows, image[-1:]))
    halved = torch.maximum(rows[:, :-1:2], rows[:, 1::2])
    return torch.cat((halved, rows[:, -1:]), 1) if image.shape[1] % 2 else halved


def _attached(found: Tensor, static: Tensor, least: float) -> Tensor:
    """The connected parts of `found` that touch what is static and extend over `least` pixels or more."""
    parts = connected(dilate(found, 1).cpu().numpy())
    attached = parts.touch(dilate(static, 2).cpu().numpy())
    kept = parts.keep(attached & (np.hypot(*parts.extent.T) >= least))
    return found & torch.from_numpy(kept).to(found.device)


def _quantile(values: Tensor, q: float) -> float:
    return float(values[:: max(1, len(values) // 20_000)].quantile(q))
