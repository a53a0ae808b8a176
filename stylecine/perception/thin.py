"""Thin static things before what moves: posts, masts, railings, wires, rigging, reeds, twigs, branches.

The eye sees the photo at a short side of 640 and misses many of them; what it misses is torn off and drifts
along. They are found by structure instead: thin, unlike what moves on both sides of them (the top-hats of mathematical
morphology), with sharp edges, and fastened to something static. Among plants that sway, trunks and posts are found by
their long edges.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import dilate, fit_short_side, nearest, resize
from stylecine.ops.regions import connected

SHORT_SIDE = 1024  # of the copy that is looked at, at most
MAX_RADIUS = 0.009  # of the short side: half the width of posts, masts, ropes and twigs, at most
# Contrasts are differences of grey from what moves on both sides, of [-1, 1]. From which on something stands out:
MIN_CONTRAST = 0.1  # before water and sky
FAINT_CONTRAST = 0.03  # the mean along a line, before a clear sky: that of wires in fog
CLOUD_LINE_FACTOR = 6.0  # from there up to MIN_CONTRAST: times that of three quarters of the sky
MIN_SEEN = 0.06  # mean probability with which the eye sees a thing: it sees even less in clouds and waves
DIRECTION_FACTOR = 1.25  # a line stands out if its mean exceeds this many times that of all directions by as much
WEAK_SHARE = 0.5  # of what it stands out by at its clearest: a wire goes on with so much
SHARP_SHARE = 0.45  # of its contrast: the step at its edges, across two pixels; those of clouds and waves are softer
GAP_BLUE = 0.3  # of [-1, 1], blue over red: what is dark and that blue may be a gap between clouds,
GAP_BLUER = 0.1  # if it is bluer than both its sides by this share of its contrast
LINE_LENGTH = 0.045  # of the short side: over this distance to both sides straight things run straight
LINE_DIRECTIONS = 16  # in half a turn
MIN_DEGREES = 20.0  # from the level: what runs more level may be a wave or a streak of cloud
POST_GAP = 0.005  # of the short side: gaps in posts that are taken for parts of them, at most twice this
CROWN_SHARE = 0.2  # of the surroundings that is thin things: more is the crown of a tree
CROWN_REACH = 0.03  # of the short side: radius of these surroundings
CROWN_GAP = 0.01  # of the short side: half the width of the gaps of a crown that stand still with it
# Trunks and posts among plants:
UPRIGHT_SIDE = 512  # short side of the copy in which they are looked for
UPRIGHT_LENGTH = 0.06  # of the short side: as far up and down an edge is straight
UPRIGHT_DEGREES = 7  # from the upright, at most
UPRIGHT_STEP = 0.1  # of [-1, 1], across three pixels: mean step at an edge
UPRIGHT_SHARE = 0.88  # of the steps along an edge: the mean with signs over that without; among leaves signs change
UPRIGHT_EXTENT = 0.08  # of the short side: height of the whole edge


def thin_static(photo: Tensor, sky: Tensor, water: Tensor, occluder: Tensor | None = None) -> Tensor:
    """photo [3,H,W] in [-1,1], sky and water bool [H,W], where they move -> bool [H,W]: thin static things in them.

    occluder: [h,w], `Seen.occluder`, if the eye has seen the photo: what it sees nothing of is a cloud or a wave.
    """
    size = fit_short_side(sky.shape, SHORT_SIDE)
    small = resize(photo, size)
    sky, water = (resize(part[None].float(), size)[0] > 0.5 for part in (sky, water))
    static = ~(sky | water)
    if bool(static.all()) or not bool(static.any()):
        return torch.zeros(photo.shape[1:], dtype=torch.bool, device=photo.device)
    darker, brighter, bluer = _contrasts(small, ~static)
    length = LINE_LENGTH * min(size)
    bright = _straight(brighter, ~static)
    found = _attached(bright & sky, bright & sky, static, length)
    if bool(sky.any()):
        gap = (small[2] - small[0] > GAP_BLUE) & (bluer > GAP_BLUER * darker)
        wires = _straight_before_sky(torch.where(gap, 0.0, darker), sky)
        found |= _attached(wires, wires, static | _frame(static), 2 * length)
    if bool(water.any()):
        found |= _upright(water & (bright | _straight(darker, water)), water, static, length)
    if occluder is not None:
        found = _seen(found, resize(occluder[None], size)[0])
    found = found | _gaps_of_crowns(found, static, sky)
    return resize(found[None].float(), photo.shape[1:])[0] > 0.25


def upright_static(photo: Tensor, plants: Tensor) -> Tensor:
    """Trunks and posts among plants, photo [3,H,W] in [-1,1], plants bool [H,W] -> bool [H,W].

    Their edges are long, straight and upright, and lighter on the same side all along; among leaves and blades the
    sides change.
    """
    size = fit_short_side(plants.shape, UPRIGHT_SIDE)
    grey, among = resize(photo, size).mean(0), resize(plants[None].float(), size)[0]
    among = ~dilate(among < 0.5, 2)  # the plants' own outline is no edge of this kind
    h, w = size
    wide = F.pad(grey[None], (2, 2, 0, 0), mode="replicate")[0]
    step = (wide[:, 3:-1] - wide[:, 1:-3]) / 2 + (wide[:, 4:] - wide[:, :-4]) / 4
    reach = max(3, round(UPRIGHT_LENGTH * min(size)))
    steps = F.pad(torch.stack((step, step.abs())), (reach,) * 4)
    edges = torch.zeros_like(among)
    for degrees in range(-UPRIGHT_DEGREES, UPRIGHT_DEGREES + 1):
        slope = math.tan(math.radians(degrees))
        columns = [reach + round(at * slope) for at in range(-reach, reach + 1)]
        total = torch.zeros_like(steps[:, :h, :w])
        for row, column in enumerate(columns):
            total += steps[:, row : row + h, column : column + w]
        signed, length = total.abs() / len(columns)
        edges |= (signed > UPRIGHT_STEP) & (signed > UPRIGHT_SHARE * length)
    edges = dilate(edges & among, 1)
    parts = connected(edges.cpu().numpy())
    high = parts.keep(parts.extent[:, 0] >= UPRIGHT_EXTENT * min(size))
    found = torch.from_numpy(high).to(plants.device)
    return resize(found[None].float(), plants.shape)[0] > 0.25


def _contrasts(photo: Tensor, moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """photo [3,H,W], moves bool [H,W] -> by how much thin things with sharp edges differ from both their sides: darker
    or bluer, and brighter or warmer; and how much bluer anything thin is, [H,W] each.

    Wood and leaves before blue water are often no darker, but warmer.
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


def _seen(found: Tensor, occluder: Tensor) -> Tensor:
    """The connected parts of bool [H,W] of which the eye sees something, occluder [H,W]."""
    parts = connected(found.cpu().numpy())
    return torch.from_numpy(parts.keep(parts.mean(occluder.cpu().numpy()) >= MIN_SEEN)).to(found.device)


def _frame(places: Tensor) -> Tensor:
    """The margin of [H,W], bool: wires may hang from masts outside. They are found up to a little before their ends."""
    frame, width = torch.ones_like(places), max(1, round(CROWN_GAP * min(places.shape)))
    frame[width:-width, width:-width] = False
    return frame


def _straight(contrast: Tensor, moves: Tensor) -> Tensor:
    """What runs straight, not level as waves do, and stands out from what is around it, which runs all ways."""
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


def _upright(straight: Tensor, water: Tensor, static: Tensor, length: float) -> Tensor:
    """What of `straight`, in water, is attached, across short gaps down a post: where its shade gives way to its light
    side, or the water behind is as bright, nothing of it is seen."""
    gap = max(1, round(POST_GAP * min(water.shape)))
    bridged = straight | (_down(straight, gap) & _down(straight.flipud(), gap).flipud())
    return _attached(bridged & water, straight, dilate(static, gap), length)


def _down(places: Tensor, reach: int) -> Tensor:
    """Bool [H,W]: those places, and up to `reach` rows below them."""
    below = places.clone()
    for rows in range(1, min(reach, len(places) - 1) + 1):
        below[rows:] |= places[:-rows]
    return below


def _attached(weak: Tensor, strong: Tensor, static: Tensor, least: float = 0.0) -> Tensor:
    """The connected parts of `weak` that contain some of `strong`, touch what is static and extend over `least` pixels
    or more."""
    parts = connected(dilate(weak, 1).cpu().numpy())
    attached = parts.touch(dilate(static, 2).cpu().numpy()) & parts.touch(strong.cpu().numpy())
    kept = parts.keep(attached & (np.hypot(*parts.extent.T) >= least))
    return weak & torch.from_numpy(kept).to(weak.device)


def _gaps_of_crowns(thin: Tensor, static: Tensor, sky: Tensor) -> Tensor:
    """The sky between the branches of a crown: where they are dense all of it stands still."""
    short = min(sky.shape)
    reach, gap = round(CROWN_REACH * short), max(1, round(CROWN_GAP * short))
    share = ndimage.uniform_filter(thin.cpu().numpy().astype(np.float32), 2 * reach + 1, mode="nearest")
    crown = torch.from_numpy(share > CROWN_SHARE).to(thin.device)
    closed = ~dilate(~dilate(thin | static, gap), gap)
    return sky & crown & closed


def _quantile(values: Tensor, q: float) -> float:
    return float(values[:: max(1, len(values) // 20_000)].quantile(q))
