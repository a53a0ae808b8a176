"""Thin static things before what moves: posts, masts, railings, wires, rigging, reeds, twigs, branches.

Labels leave them out. They are found by structure: thin, unlike what moves on both sides of them (the top-hats of
mathematical morphology), with sharp edges, and fastened to something static; or joined to it and of its colours. What
learns from labels is shown these as well, or not told what they are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import box_means, dilate, fit_short_side, nearest, resize
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

# What is joined to static things and has their colours:
GRID = 256  # short side of the copy on which local colours are judged
NEIGHBOURHOOD = 0.05  # of the short side: how far around a place they are
MIXED = 0.012  # of the short side: this near to what stands, colours are not those of what moves
UNLIKE = 2.5  # standard deviations from the colours of what moves around a place: more is something else
LEAST_DEVIATION = 0.05  # of [-1, 1]: what plain sky is taken to vary by
LEAST_CONTRAST = 0.1  # of [-1, 1]: between what moves and what stands around a place, if they are to be told apart
TOWARDS = 0.12  # of the way from the colour of what moves to that of what stands: less is neither
BAND = 0.03  # of the short side: how far what is like static things reaches beyond them
SHARP_RADIUS, SHARP_REACH = 2, 16  # pixels: half the width of what is sharp; how far from static things it may be
SHARP_CONTRAST, SHARP_STEP = 0.2, 0.5  # of [-1, 1]; of that contrast, across two pixels


def find_thin_before_sky(photo: Tensor, sky: Tensor, static: Tensor, occluder: Tensor) -> Tensor:
    """Bool [H,W]: what stands before the sky near static things, or is part of them: what is thin and runs straight,
    has their colours, or is thin with sharp edges. sky, static: bool [H,W], by a label that leaves such things out;
    occluder: [H,W], as in `thin_static`."""
    if not bool(sky.any()) or not bool(static.any()):
        return torch.zeros_like(sky)
    thin = thin_static(photo, sky, torch.zeros_like(sky), occluder)
    low, high = top_hats(photo.mean(0), SHARP_RADIUS)
    contrast, step = torch.maximum(low, high), dilate(step_across(photo.mean(0)), 1)
    sharp = dilate(static, SHARP_REACH) & (contrast > SHARP_CONTRAST) & (step > SHARP_STEP * contrast)
    return sky & (thin | like_static(photo, static, static | thin) | sharp)


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


def like_static(photo: Tensor, static: Tensor, still: Tensor) -> Tensor:
    """Bool [H,W]: what is joined to places that are `still` and differs from what moves around it as `static` things
    do: their outlines, where a mask misses them, haloes of what is out of focus, treetops in haze."""
    short = min(still.shape)
    grid = fit_short_side(still.shape, GRID)
    small, radius = resize(photo, grid), max(1, round(NEIGHBOURHOOD * min(grid)))

    def colours(places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Share of cells [1,h,w] within reach that lie in these places, mean of their colours, variance."""
        whole = (F.adaptive_avg_pool2d(places.float()[None], grid) > 0.99).float()
        share = box_means(whole, radius)
        mean, square = (box_means(x * whole, radius) / share.clamp_min(1e-4) for x in (small, small**2))
        return share, mean, (square - mean**2).clamp_min(0)

    some, moving, variance = colours(~dilate(still, max(1, round(MIXED * short))))
    others, standing, _ = colours(static)
    contrast = (standing - moving).square().sum(0)
    told_apart = (some > 0.02)[0] & (others > 0.01)[0] & (contrast > LEAST_CONTRAST**2)
    if not bool(told_apart.any()):
        return torch.zeros_like(still)
    moving, variance, towards = (
        resize(x, still.shape) for x in (moving, variance, (standing - moving) / contrast.clamp_min(1e-4))
    )
    difference = photo - moving
    unlike = (difference.square() / (variance + LEAST_DEVIATION**2)).mean(0) > UNLIKE**2
    alike = (
        unlike & ((difference * towards).sum(0) > TOWARDS) & (resize(told_apart[None].float(), still.shape)[0] > 0.99)
    )
    alike &= dilate(still, max(1, round(BAND * short))) & ~still
    parts = connected(alike.cpu().numpy())
    joined = np.isin(parts.numbers, parts.numbers[(dilate(still, 2) & alike).cpu().numpy()])
    return alike & torch.from_numpy(joined).to(alike.device)


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
