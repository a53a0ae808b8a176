"""What moves: soft layers of sky, water, falls and smoke, predicted from the photo or within a given mask."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.errors import NothingMoves
from stylecine.ops.image import box_means, fit_short_side, nearest, resize
from stylecine.ops.regions import Parts, connected
from stylecine.options import CLASSES, SKY, SMOKE, WATER
from stylecine.perception.refine import follow_edges, soft_threshold
from stylecine.perception.see import STANDS, Seen

MIN_COLOUR_RANGE = 4 / 127.5  # of [-1, 1]: a photo whose channels all span less, four levels, shows nothing
HALF_MOVES = 0.5  # probability of moving at which a place moves by half: pretrained/cards/eye.md has others
SURE_MOVES, SURE_SHARE = 0.7, 0.05  # a connected part stands unless so much of it moves with this probability
MIN_MOVING = 0.005  # of the photo: if less moves, there is nothing to animate
CLASS_SMOOTHING = 0.03  # of the short side: radius of the neighbourhood whose class a place takes
CLASS_REACH = 0.1  # of the short side: how far a predicted class extends to places that the user added


def shows_nothing(photo: Tensor) -> bool:
    """Whether a photo [3,H,W] in [-1,1] is of one colour, so that no motion could be seen."""
    return float(photo.amax((1, 2)).sub(photo.amin((1, 2))).max()) < MIN_COLOUR_RANGE


@torch.inference_mode()
def segment(photo: Tensor, seen: Seen) -> Tensor:
    """What moves in a photo [3,H,W] in [-1,1] in which this is seen: layers [4,H,W] in [0,1], in the order of CLASSES.

    Each place belongs to the likeliest class of its neighbourhood alone, so `moving` of the result is the value of that
    layer. It follows the photo's own edges at full size; low probabilities become exactly 0. However thin, what is seen
    to stand does.
    """
    moves, probabilities = 1 - seen.classes[0], seen.classes[1:]
    smooth = box_means(probabilities, max(1, round(CLASS_SMOOTHING * min(moves.shape))))
    smooth = _put_sky_above_water(smooth, moves > HALF_MOVES)
    moves = _without_unsure_parts(moves, smooth)
    classes = likeliest(resize(part[None], photo.shape[-2:])[0] for part in smooth)
    mask = soft_threshold(follow_edges(moves[None], photo), HALF_MOVES)
    if bool((mask > 0).any()):
        mask = torch.where(at_pixels(seen.stands, photo) > STANDS, 0.0, mask)
    return _split_by_class(mask, classes)


def at_pixels(stands: Tensor, photo: Tensor) -> Tensor:
    """`Seen.stands` at the pixels of its photo [3,H,W], along whose edges it is enlarged; what has the colours of its
    surroundings has no edges, and is enlarged as it is."""
    if stands.shape == photo.shape[-2:]:
        return stands
    return torch.maximum(resize(stands[None], photo.shape[-2:])[0], follow_edges(stands[None], photo))


def moving(layers: Tensor) -> Tensor:
    """layers [K,H,W] -> [H,W] in [0,1]: 1 - prod(1 - layer)."""
    return 1 - reduce(torch.mul, (1 - layer for layer in layers))  # one after another, which takes less memory


def likeliest(maps: Iterable[Tensor]) -> Tensor:
    """uint8 [H,W]: which of these maps [H,W] is the largest, the first of equal ones.

    They may be made one at a time: those of a large photo take much memory.
    """
    remaining = iter(maps)
    largest = next(remaining)
    found = torch.zeros_like(largest, dtype=torch.uint8)
    for number, values in enumerate(remaining, start=1):
        found.masked_fill_(values > largest, number)
        largest = torch.maximum(largest, values)
    return found


def require_motion(mask: Tensor) -> Tensor:
    """mask [H,W] as it is; NothingMoves if less than 0.5% of the photo moves."""
    if (mask > 0.5).float().mean() < MIN_MOVING:
        raise NothingMoves(
            "Nothing in this photo seems to move; give a mask that is white where it should move, a wind if it shows"
            " plants, or a weather such as snow."
        )
    return mask


def apply_mask(layers: Tensor, mask: Tensor) -> Tensor:
    """layers [4,H,W] whose `moving` is `mask` [H,W] in [0,1].

    Classes are those of `layers`; a place without one takes that of the nearest place, or is water if none is near.
    """
    grid = fit_short_side(layers.shape[-2:], 256)
    coarse = F.adaptive_avg_pool2d(layers[None], grid)[0]
    known = coarse.amax(0) > 0.1
    classes = coarse.argmax(0)
    if bool(known.any()):
        distance, y, x = nearest(known)
        classes = torch.where(distance > CLASS_REACH * min(grid), WATER, classes[y, x])
    else:
        classes = torch.full_like(classes, WATER)
    full = F.interpolate(classes[None, None].float(), layers.shape[-2:], mode="nearest")[0, 0].long()
    return _split_by_class(mask, torch.where(layers.amax(0) > 0, layers.max(0).indices, full))


def _put_sky_above_water(classes: Tensor, moves: Tensor) -> Tensor:
    """Probabilities [4,h,w] of what `moves`, bool [h,w], in which no water lies over sky: water between sky and sky is
    a cloud seen from above, and sky right below water is a reflection."""
    found = torch.where(moves, classes.argmax(0), -1).cpu().numpy()
    classes = classes.clone()
    for wrong, right, sides in ((WATER, SKY, (-1, 1)), (SKY, WATER, (-1,))):
        parts = connected(found == wrong, corners=False)
        beyond = (SKY, SMOKE) if right == SKY else (WATER,)
        here = parts.keep(np.all([_borders_on(found, parts, side, beyond) for side in sides], axis=0))
        found[here] = right
        places = torch.from_numpy(here).to(classes.device)
        classes[right] += torch.where(places, classes[wrong], 0.0)
        classes[wrong] = torch.where(places, 0.0, classes[wrong])
    return classes


def _without_unsure_parts(moves: Tensor, classes: Tensor) -> Tensor:
    """Moves [h,w], but 0 in connected parts of one of the classes [4,h,w] that nowhere move for sure (Canny 1986)."""
    likely, sure = ((moves > level).cpu().numpy() for level in (HALF_MOVES, SURE_MOVES))
    found = classes.argmax(0).cpu().numpy()
    for k in range(len(CLASSES)):
        parts = connected(likely & (found == k))
        unsure = parts.keep(parts.within(sure).size < SURE_SHARE * parts.size)
        moves = torch.where(torch.from_numpy(unsure).to(moves.device), 0.0, moves)
    return moves


def _borders_on(found: np.ndarray, parts: Parts, side: int, kinds: tuple[int, ...]) -> np.ndarray:
    """Bool [count+1]: parts whose border above (side -1) or below (1) lies mostly at these classes of `found` [h,w]."""
    beyond, other = np.roll(found, -side, axis=0), np.roll(parts.numbers, -side, axis=0)
    edge = 0 if side < 0 else -1
    beyond[edge], other[edge] = -1, 0  # the photo's own border
    border = parts.within(other != parts.numbers)
    mostly: np.ndarray = border.within(np.isin(beyond, kinds)).size > 0.5 * border.size
    return mostly


def _split_by_class(mask: Tensor, classes: Tensor) -> Tensor:
    layers = mask.new_empty((len(CLASSES), *mask.shape))
    for k, layer in enumerate(layers):
        layer.copy_(torch.where(classes == k, mask, 0.0))
    return layers
