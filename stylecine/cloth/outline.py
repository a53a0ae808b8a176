"""Where along its outline cloth hangs in front of a background, over which it may move.

Next to cloth there is either background, or an obstacle that holds or covers it: a pole, a hand, hair, an arm. A photo
does not show which, so the outline is taken to be free only where all evidence agrees: the cloth does not bend around
its neighbour, which extends away from the cloth, differs from it in colour, and is not skin.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stylecine.ops.image import LUMA, blur, dilate, nearest
from stylecine.ops.regions import connected

# Differences of colours are Mahalanobis distances, in standard deviations of both.
MIN_DIFFERENCE = 1.8  # of cloth and background: closer ones cannot be told apart, and the cloth is held
MAX_CHANGE = 1.5  # of the background away from the cloth: more where something ends, as a pole; a meadow goes on
MAX_BEND = 0.5  # share of cloth around a place just outside of it: more where it bends around something
COLOUR_NOISE = 0.03  # of [0, 1]: standard deviation of colours at least
SKIN_CB, SKIN_CR = (0.30, 0.50), (0.52, 0.68)  # chroma of skin (BT.601), of every tone with a luma above DARK
# Chroma shrinks with luma, and dark cloth, leaves and wood come into that range. Red over green and green over blue
# stay: skin from DEEPEST to DARK, as deep shades are in shadow, has them in these ranges.
DEEPEST, DARK, DEEP_RED_GREEN, DEEP_GREEN_BLUE = 0.08, 0.15, (1.25, 2.0), (1.0, 1.5)
# Areas of skin, of the picture. Larger regions of skin's colours are walls, floors or sand.
SMALLEST_HAND = 0.0005
LARGEST_LIMB, LARGEST_FACE = 0.03, 0.15  # of what touches the picture's border, and of what does not
MIN_EVIDENCE = 6.0  # twice the log-likelihood ratio at which a place next to cloth counts as cloth
FOREIGN = 3.0  # difference from all mixtures of cloth and background from which a place is something else, as a pole
MAX_FOREIGN = 0.2  # share of such places along a free outline
MIN_KNOWN = 0.02  # share of cells whose colours are looked at; there are fewer at the picture's border
MIN_FREE = 0.6  # share of free places along a stretch of outline that is free


def free_outline(cells: Tensor, inside: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Where something lies behind the cloth, next to it and up to the middle between its outlines; and where, next to
    that, the cloth itself has been missed: both bool [gh,gw].

    cells [3,gh,gw] in [0,1]: colours. inside: bool [gh,gw], the cloth. reach: cells by which its outline may be wrong.
    """
    distance = nearest(inside)[0]
    band = (distance > 0) & (distance <= reach)
    if not bool(band.any()):
        return band, band
    core = inside & ~dilate(~inside, reach)
    beside, away = (distance > reach) & (distance <= 3 * reach), (distance > 3 * reach) & (distance <= 7 * reach)
    cloth = _colours(cells, core if bool(core.any()) else inside, 3 * reach)
    near, far = _colours(cells, beside, 3 * reach), _colours(cells, away, 6 * reach)
    behind = (_difference(cloth, near, band) >= MIN_DIFFERENCE) & _is_near(beside, 3 * reach)[band]
    behind &= (_difference(near, far, band) <= MAX_CHANGE) | ~_is_near(away, 6 * reach)[band]
    behind &= blur(inside[None, None].float(), 2 * reach)[0, 0][band] <= MAX_BEND
    missed, beyond = _cloth_outside(cells, cloth, near, distance, reach)
    foreign = _scattered(_foreign(cells, cloth, near, band), band) | (beyond & band)
    behind &= (share_among(foreign, band, reach)[band] <= MAX_FOREIGN) & ~dilate(_skin(cells, ~inside), 2 * reach)[band]
    stretches = band & (share_among(_scattered(behind, band), band, 2 * reach) >= MIN_FREE)
    free = nearest_value(stretches[None], band)[0] & ~inside
    return free, free & band & missed


def nearest_value(image: Tensor, known: Tensor) -> Tensor:
    """[C,h,w] with the value of the nearest known place, bool [h,w]."""
    _, y, x = nearest(known)
    return image[:, y, x]


def _cloth_outside(
    cells: Tensor, cloth: tuple[Tensor, Tensor], near: tuple[Tensor, Tensor], distance: Tensor, reach: int
) -> tuple[Tensor, Tensor]:
    """Places outside the cloth that look like it, bool [gh,gw]: strips that the mask missed, and objects of their own
    that extend beyond these. distance [gh,gw]: to the cloth, in cells."""
    wide = (distance > 0) & (distance <= 2 * reach)
    ratio = _negative_log_likelihood(cells, near, wide) - _negative_log_likelihood(cells, cloth, wide)
    similar = _scattered(ratio > MIN_EVIDENCE, wide)
    beyond = connected_to(similar, distance > reach)
    return similar & ~beyond & (share_among(similar, wide, 1) > 0.5), beyond


def _scattered(values: Tensor, places: Tensor) -> Tensor:
    """Bool [gh,gw] with values [n] at some places, elsewhere false."""
    scattered = torch.zeros_like(places)
    scattered[places] = values
    return scattered


def _negative_log_likelihood(cells: Tensor, colours: tuple[Tensor, Tensor], places: Tensor) -> Tensor:
    """Twice the negative logarithm of the likelihood of the cells at some places, [n], up to a constant."""
    apart = (cells - colours[0])[:, places].T
    covariance = _regular(colours[1][:, :, places].permute(2, 0, 1))
    return (apart * torch.linalg.solve(covariance, apart)).sum(1) + torch.logdet(covariance)


def _foreign(cells: Tensor, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], places: Tensor) -> Tensor:
    """Which cells of some places are no mixture of two distributions of colours, bool [n]."""
    start, across = one[0][:, places].T, (other[0] - one[0])[:, places].T
    covariance = _regular(((one[1] + other[1]) / 2)[:, :, places].permute(2, 0, 1))
    apart = cells[:, places].T - start
    share = (across * torch.linalg.solve(covariance, apart)).sum(1)
    share = share / (across * torch.linalg.solve(covariance, across)).sum(1).clamp_min(1e-6)
    apart = apart - share.clamp(0, 1)[:, None] * across
    return (apart * torch.linalg.solve(covariance, apart)).sum(1) > FOREIGN**2


def _regular(covariance: Tensor) -> Tensor:
    return covariance + COLOUR_NOISE**2 * torch.eye(3, device=covariance.device)


def connected_to(places: Tensor, target: Tensor) -> Tensor:
    """The connected regions of bool [gh,gw] that overlap `target`: a pole does, a strip that a mask missed does not."""
    parts = connected(places.cpu().numpy())
    return torch.from_numpy(parts.keep(parts.touch(target.cpu().numpy()))).to(places.device)


def share_among(places: Tensor, among: Tensor, radius: int) -> Tensor:
    """Share of some places [gh,gw] among others around each."""
    both = blur(torch.stack((places & among, among))[None].float(), radius)[0]
    return both[0] / both[1].clamp_min(1e-6)


def _is_near(places: Tensor, radius: int) -> Tensor:
    """Where enough of the places are around for their colours to be known; bool [gh,gw]."""
    return blur(places[None, None].float(), radius)[0, 0] > MIN_KNOWN


def _colours(cells: Tensor, known: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean [3,gh,gw] and covariance [3,3,gh,gw] of the known cells around each place; grey where there are none."""
    centred = cells - 0.5
    products = (centred[:, None] * centred[None]).flatten(0, 1)
    weight = known[None].float()
    sums = blur(torch.cat((weight, centred * weight, products * weight))[None], radius)[0]
    moments = sums[1:] / sums[:1].clamp_min(1e-6)
    mean = moments[:3]
    return mean + 0.5, moments[3:].view(3, 3, *mean.shape[1:]) - mean[:, None] * mean[None]


def _difference(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], places: Tensor) -> Tensor:
    """Mahalanobis distance of two distributions of colours at some places, [n]."""
    apart = (one[0] - other[0])[:, places].T
    covariance = _regular(((one[1] + other[1]) / 2)[:, :, places].permute(2, 0, 1))
    return (apart * torch.linalg.solve(covariance, apart)).sum(1).clamp_min(0).sqrt()


def _skin(cells: Tensor, outside: Tensor) -> Tensor:
    """Skin of arms, hands and faces, bool [gh,gw]."""
    red, green, blue = cells
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    cb, cr = 0.5 + (blue - luma) * 0.564, 0.5 + (red - luma) * 0.713
    deep = (luma > DEEPEST) & _within(red, DEEP_RED_GREEN, green) & _within(green, DEEP_GREEN_BLUE, blue)
    like = _within(cb, SKIN_CB) & _within(cr, SKIN_CR) & ((luma > DARK) | deep) & outside
    parts = connected(like.cpu().numpy(), corners=False)
    share, largest = parts.size / like.numel(), np.where(parts.touch_border, LARGEST_LIMB, LARGEST_FACE)
    person = parts.keep((share >= SMALLEST_HAND) & (share <= largest))
    return torch.from_numpy(person).to(cells.device)


def _within(values: Tensor, limits: tuple[float, float], unit: Tensor | float = 1) -> Tensor:
    return (values > limits[0] * unit) & (values < limits[1] * unit)
