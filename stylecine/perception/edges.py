"""What of the moving layers moves for sure: not a rim along static things, nor the sun, stars and what is thin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.machine.threads import one_thread
from stylecine.ops.image import box_means, dilate, fit_short_side, resize
from stylecine.ops.regions import connected
from stylecine.options import SKY
from stylecine.perception.layers import at_pixels, likeliest, moving
from stylecine.perception.see import STANDS

RIM = 0.0015  # of the short side: this far inside what moves its border stands still
MAX_RADIUS = 0.009  # of the short side: half the width of posts, masts, ropes and twigs, at most
CROWN_SHARE = 0.2  # of the surroundings that is thin things: more is the crown of a tree
CROWN_REACH = 0.03  # of the short side: radius of these surroundings
CROWN_GAP = 0.01  # of the short side: half the width of the gaps of a crown that stand still with it
GRID = 256  # short side of the copy on which local colours are judged
NEIGHBOURHOOD = 0.05  # of the short side: how far around a place they are
MIXED = 0.012  # of the short side: this near to what stands, colours are not those of what moves
UNLIKE = 2.5  # standard deviations from the colours of what moves around a place: more is something else
LEAST_DEVIATION = 0.05  # of [-1, 1]: what plain sky is taken to vary by
LEAST_CONTRAST = 0.1  # of [-1, 1]: between what moves and what stands around a place, if they are to be told apart
TOWARDS = 0.12  # of the way from the colour of what moves to that of what stands: less is neither
BAND = 0.03  # of the short side: how far what is like static things reaches beyond them
OPEN_SKY = 0.03  # of the short side: this far from static things the sky is nothing but sky
SUN_WHITE = 0.85  # of [-1, 1]: darkest channel of the whitest place in the sky; below, there is no sun
SUN_CONTRAST = 0.35  # of [-1, 1]: how far below that the surroundings of a sun stay on average
SUN_EDGE, SUN_RIM = 0.45, 0.97  # by how much, and for which share, the rim of a sun is darker; a cloud's is whiter
OVEREXPOSED, LEAST_ROUND_SUN = 0.975, 0.001  # of [-1, 1], of the photo: a round sun, as white and large, may have rays
MAX_SMALL_SUN = 0.005  # of the photo: area of a sun of any shape, where at most MAX_SMALL_PARTS are as white
MAX_SMALL_PARTS = 12
MAX_ROUND_SUN = 0.02  # of the photo: area of a larger, overexposed sun, which must be round
MIN_ROUNDNESS = 0.65  # its area over that of a circle as wide as its longer side
STAR_RINGS = (0.003, 0.0045, 0.007)  # of the short side: radii of rings around a star; it outshines one of them
STAR_DIRECTIONS = 16  # places on a ring; another star may be at one of them
STAR_MIN_CONTRAST = 0.12  # of [-1, 1]: brightness of a star over its ring
STAR_MAX_UNEVENNESS = 0.4  # of that contrast: range of brightness along the ring; clouds are less even


@dataclass(frozen=True, eq=False)
class Eroded:
    """moves: `moving` of layers, eroded along static things, [H,W]. thin: those that are thin, bool [H,W]."""

    moves: Tensor
    thin: Tensor


@torch.no_grad()
@one_thread()
def erode(
    layers: Tensor,
    photo: Tensor,
    forced: Tensor | None = None,
    starts: Sequence[tuple[float, float]] = (),
    stands: Tensor | None = None,
) -> Eroded:
    """What of layers [4,H,W] moves for sure in a photo [3,H,W] in [-1,1]. stands: [h,w], `Seen.stands`, if known.

    forced: bool [H,W], where nothing stands. starts: places (x, y), in fractions, of which the same is true, together
    with all that stands there in one piece.

    Masks are never quite at the edge; a ridge's outermost pixels would be torn off and drift into the sky. So a thin
    rim is removed; what is narrow of given layers and seen to stand; the sky between the branches of a crown, and what
    is joined to static things there and has their colours; the sun and stars.
    """
    mask = moving(layers)
    static, sky = mask == 0, (mask > 0) & (likeliest(layers) == SKY)
    thin = torch.zeros_like(sky)
    if stands is not None:
        thin = _thin(at_pixels(stands, photo) > STANDS, ~static)
    if bool(thin.any()) and bool(sky.any()):
        thin |= _gaps_of_crowns(thin, static, sky)
    still = thin | _bright_in_sky(photo, static, sky)
    if forced is not None:
        still &= ~forced
    for start in starts:
        still &= ~_piece_at(still, start)
    thin &= still
    rim = max(1, round(RIM * min(mask.shape)))
    around = dilate(static | still, rim)
    alike = dilate(like_static(photo, static, around) & sky, rim)
    if forced is not None:
        alike &= ~forced
    return Eroded(torch.where(around | alike, 0.0, mask), thin)


def _thin(stands: Tensor, moves: Tensor) -> Tensor:
    """Bool [H,W]: what `stands`, of itself or of what `moves`, and is narrow, before or beside what moves."""
    radius = max(1, round(MAX_RADIUS * min(moves.shape)))
    torn = stands & moves
    in_wide = torn & ~_opened(torn, radius) & _opened(moves, radius)  # a narrow mask is meant as it is
    return in_wide | (stands & ~_opened(stands, radius) & dilate(moves, radius) & ~moves)


def _opened(places: Tensor, radius: int) -> Tensor:
    """Bool [H,W] without what is narrower than 2·radius."""
    return dilate(~dilate(~places, radius), radius)


def _gaps_of_crowns(thin: Tensor, static: Tensor, sky: Tensor) -> Tensor:
    """The sky between the branches of a crown, bool [H,W]: where they are dense all of it stands still. thin: branches
    and the like, static: all that stands, and sky: what moves, bool [H,W] each."""
    short = min(sky.shape)
    reach, gap = round(CROWN_REACH * short), max(1, round(CROWN_GAP * short))
    share = ndimage.uniform_filter(thin.cpu().numpy().astype(np.float32), 2 * reach + 1, mode="nearest")
    crown = torch.from_numpy(share > CROWN_SHARE).to(thin.device)
    closed = ~dilate(~dilate(thin | static, gap), gap)
    return sky & crown & closed


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


def _piece_at(places: Tensor, point: tuple[float, float]) -> Tensor:
    """Bool [H,W]: the connected part of bool [H,W] at a point (x, y), in fractions; nothing where there is none."""
    height, width = places.shape
    row, column = min(height - 1, max(0, int(point[1] * height))), min(width - 1, max(0, int(point[0] * width)))
    if not bool(places[row, column]):
        return torch.zeros_like(places)
    numbers = connected(places.cpu().numpy()).numbers
    return torch.from_numpy(numbers == numbers[row, column]).to(places.device)


def _bright_in_sky(photo: Tensor, static: Tensor, sky: Tensor) -> Tensor:
    """Bool [H,W]: sun, moon and stars, which clouds pass, and which would be seen twice in the middle of a loop.

    A disc is white, as bright as anything in the sky, small or round, and much whiter than the sky around it, on all
    sides unless it is round and overexposed, whatever its own class. Stars are points in a dark sky, brighter than an
    even ring around them.
    """
    bright, reach = torch.zeros_like(sky), round(OPEN_SKY * min(sky.shape))
    open_sky = sky & ~dilate(static, reach)
    if not bool(open_sky.any()):
        return bright
    white, near_sky = photo.amin(0), dilate(sky, reach)
    whitest = float(white[near_sky].max())
    if whitest > SUN_WHITE:
        for disc, is_round in _discs(near_sky & (white > whitest - 0.15)):
            radius = math.sqrt(float(disc.sum()) / math.pi)
            wide = dilate(disc, 3 + round(1.5 * radius))
            around, rim = wide & ~disc, wide & ~dilate(disc, 2 + round(radius))
            alone = float((white[rim] < whitest - SUN_EDGE).float().mean()) > SUN_RIM
            overexposed = is_round and whitest > OVEREXPOSED and float(disc.float().mean()) > LEAST_ROUND_SUN
            contrasts = float(white[around].mean()) < whitest - SUN_CONTRAST
            if (alone or overexposed) and contrasts and float(sky[around].float().mean()) > 0.5:
                bright |= dilate(disc, 2)
    grey = photo.mean(0)
    night = float(grey[open_sky][:: max(1, int(open_sky.sum()) // 20_000)].median()) < 0
    return bright | _stars(grey, sky) if night else bright


def _stars(grey: Tensor, sky: Tensor) -> Tensor:
    """Bool [H,W]: points of `grey` [H,W] in the sky, brighter than an even ring around them.

    A streak or an edge of cloud crosses the ring in two directions, another star in one; the smallest ring counts.
    """
    radii = [max(2.0, share * min(grey.shape)) for share in STAR_RINGS]
    reach = round(radii[-1])
    wide = F.pad(grey[None], (reach,) * 4, mode="replicate")[0]
    width, values = wide.shape[1], wide.flatten()
    rows, columns = torch.nonzero(sky & (grey >= dilate(grey, 1)), as_tuple=True)
    peaks = (rows + reach) * width + columns + reach
    angles = torch.arange(STAR_DIRECTIONS, device=grey.device) * (2 * math.pi / STAR_DIRECTIONS)
    found = torch.zeros_like(sky)
    for radius in radii:
        ring = ((angles.sin() * radius).round() * width + (angles.cos() * radius).round()).long()
        lower = values[peaks, None] - values[peaks[:, None] + ring[:: STAR_DIRECTIONS // 4]] > STAR_MIN_CONTRAST
        likely = peaks[lower.sum(1) >= 3]  # most are not, and need no sorting
        around = values[likely[:, None] + ring].sort(1).values
        height = values[likely] - around[:, -2]
        stars = likely[(height > STAR_MIN_CONTRAST) & (around[:, -2] - around[:, 1] < STAR_MAX_UNEVENNESS * height)]
        centres = torch.zeros_like(wide, dtype=torch.bool)
        centres.view(-1)[stars] = True
        found |= dilate(centres, max(1, round(radius - 1)))[reach:-reach, reach:-reach]
        peaks = peaks[~torch.isin(peaks, stars)]
    return found & sky


def _discs(places: Tensor) -> list[tuple[Tensor, bool]]:
    """Connected parts of bool [H,W] that are round, or small unless there are over MAX_SMALL_PARTS of all sizes; and
    whether each is round."""
    parts = connected(places.cpu().numpy(), corners=False)
    size, circle = parts.size, math.pi / 4 * parts.extent.max(1) ** 2
    is_round = size > MIN_ROUNDNESS * circle
    small = size <= MAX_SMALL_SUN * places.numel()
    large_disc = ~small & (size <= MAX_ROUND_SUN * places.numel()) & is_round
    chosen = large_disc | small if parts.count <= MAX_SMALL_PARTS else large_disc
    chosen[0] = False  # that is no part
    found = (torch.from_numpy(disc).to(places.device) for disc in parts.masks(chosen))
    return list(zip(found, is_round[chosen].tolist(), strict=True))
