"""What moves: soft layers of sky, water, falls and smoke, predicted from the photo or supplied by the user."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from stylecine.errors import MaskError, NothingMoves, PhotoError
from stylecine.networks.occludernet import OccluderNet
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import LUMA, box_means, dilate, fast_dtype, fit_short_side, network_size, resize
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import CLASSES, FALLS, MIN_LAYER_ALPHA, SKY, SMOKE, WATER
from stylecine.stages.photo import open_image
from stylecine.stages.thin import thin_static
from stylecine.threads import another_thread, one_thread

FLAT = 4 / 127.5  # a photo whose channels span less than four levels has nothing in it
SHORT_SIDE = 640  # of what the network sees
MIN_REGION = 0.0015  # of the photo: smaller moving regions are errors
LIKELY, CERTAIN = 0.4, 0.96  # probabilities that something stands before water and sky
CERTAIN_IN_SKY = 0.75  # which has no reflections of twigs
LIKELY_IN_FALLS = 0.7  # which look like rock in places
POSSIBLE, FRINGE = 0.25, 0.004  # probability that suffices so near, in short sides, to what is found, but in falls
CERTAIN_IF_SMALL, SMALL = 0.75, 0.06  # of short side, at most: stones, boats and birds, which float free in water
OCCLUDER = 0.02  # of the short side: half the width, at most, of what is likely and counts
SURE = 0.8  # mean probability of a region's moving: those below are left standing, most are errors
MIN_ISLAND = 0.008  # of the photo: and so, mostly, are smaller ones beside one that is ten times as large
WHITE, BURNT_OUT = 0.94, 0.85  # of [-1,1]; share of a region that is as white, so that only twigs would be seen to move
MIN_MOVING = 0.005  # of the photo
CRF_CELLS = 4000  # of the random field's grid: its matrix has their square
COLOUR_SIGMA, DISTANCE_SIGMA = 0.04, 0.1  # colour (of [0, 1]) and distance (short sides) over which places agree
PAIRWISE_WEIGHT = 1.5  # of all other places beside a place's own prediction
MIN_EXPONENT = -60.0  # smaller powers of e do not matter, and are slow where they are denormal
CLASS_SMOOTHING = 0.03  # of the short side: over this distance places take the class of their neighbourhood
RIM = 0.0015  # of the short side: this far inside what moves its border stands still
EDGE_SEARCH = 0.012  # of the short side: this near the border an edge in the photo is taken for its true place
EDGE_FACTOR = 2.5  # times the 90th percentile of the edge strength in what moves: an edge, not texture
OPEN_SKY = 0.03  # of the short side: this far from static things the sky is nothing but sky
STAR_RINGS = (0.003, 0.0045, 0.007)  # of the short side: a star is brighter than all that is at one of these distances
SUN_WHITE, SUN_CONTRAST = 0.85, 0.35  # of [-1, 1]: the sun's darkest channel, and how far its surroundings stay below
MAX_DISC, MAX_ROUND = 0.005, 0.02  # of the photo: the sun is smaller, or burnt out, and round: it has
ROUND = 0.65  # of a circle that has its longer side
MAX_PARTS = 12  # as white as it, in a sky in which small ones are discs
STAR, EVEN = 0.12, 0.4  # of [-1, 1]: by this, at least; share of that by which the sky around it differs
RING = 16  # directions from a star in which the sky is looked at; another star may be in one of them
STRIP = 64  # rows of a given mask that are converted at a time
CLASS_REACH = 0.1  # of the short side: how far a predicted class extends to places that the user added
OTHER_SHAPE = 0.03  # of its width: a given mask that differs by more was made for another picture

_log = logging.getLogger("stylecine")


@torch.inference_mode()
def predict_layers(
    photo: Tensor, segmenter: Segmenter, load_occluders: Callable[[], OccluderNet | None] | None = None
) -> Tensor:
    """photo [3,H,W] in [-1,1] -> layers [4,H,W] in [0,1], in the order of CLASSES.

    Each place belongs to the likeliest class of its neighbourhood alone, so `moving` of the result is the value of that
    layer. The network's prediction, at a short side of 640, is made consistent among places of similar colour, and
    follows the photo's own edges at full size; low probabilities become exactly 0. What the network of `load_occluders`
    finds before water and sky stands still; it is loaded beside the segmenter's work.
    """
    if float(photo.amax((1, 2)).sub(photo.amin((1, 2))).max()) < FLAT:
        return photo.new_zeros((len(CLASSES), *photo.shape[-2:]))  # one colour: no motion could be seen
    # No network keeps all cores busy by itself.
    with another_thread(photo.device, "stylecine-occluders") as begin:
        occluded_ahead = None if load_occluders is None else begin(lambda: _occluder_probability(photo, load_occluders))
        own = _class_probabilities(photo, segmenter)
        probabilities = crf_refine(own, photo)
        occluded = None if occluded_ahead is None else occluded_ahead.result()
    smooth = box_means(probabilities[1:], max(1, round(CLASS_SMOOTHING * min(probabilities.shape[1:]))))
    smooth = _put_sky_above_water(smooth, probabilities[0] < 0.5)
    classes = resize(smooth, photo.shape[-2:]).max(0).indices  # many times as fast as argmax
    mask = soft_threshold(follow_edges(1 - probabilities[:1], photo))
    evidence = _evidence(photo, 1 - own[0], classes == FALLS)
    mask = _remove_errors(mask, *evidence)
    if occluded is not None and bool((mask > 0).any()):
        mask = _remove_errors(torch.where(_occluded(occluded, classes), 0.0, mask), *evidence)
    return _split_by_class(mask, classes)


@torch.inference_mode()
def predict_probabilities(photo: Tensor, segmenter: Segmenter) -> Tensor:
    """photo [3,H,W] in [-1,1] -> probabilities [5,h,w], summing to 1: static, then CLASSES; what `predict_layers`
    decides on. Its short side is 640."""
    return crf_refine(_class_probabilities(photo, segmenter), photo)


@torch.inference_mode()
def _occluder_probability(photo: Tensor, load_occluders: Callable[[], OccluderNet | None]) -> Tensor | None:
    """[H,W]: that something stands before water or sky; None without a network."""
    occluders = load_occluders()
    if occluders is None:
        return None
    probability = mean_probability(photo, occluders, (SHORT_SIDE,), shown=SHORT_SIDE)[None]
    return torch.maximum(resize(probability, photo.shape[-2:])[0], follow_edges(probability, photo))


def _occluded(seen: Tensor, classes: Tensor) -> Tensor:
    """Bool [H,W]: what stands before water and sky, for sure; and what is thin, likely, and fastened to it, or small.

    seen: [H,W], probabilities. classes: [H,W]. What is long and floats free in water may be a reflection of twigs; of
    large areas the segmenter knows more.
    """
    likely, certain = seen > torch.where(classes == FALLS, LIKELY_IN_FALLS, LIKELY), seen > CERTAIN
    reach = round(OCCLUDER * min(likely.shape))
    large = dilate(~dilate(~likely, reach), 2 * reach)
    sure = certain | ((classes == SKY) & (seen > CERTAIN_IN_SKY))
    found = certain | (likely & ~large & _fastened_or_small(likely, sure, seen))
    beside = dilate(found, max(1, round(FRINGE * min(likely.shape)))) & (classes != FALLS)
    return found | (beside & (seen > POSSIBLE))


def _fastened_or_small(likely: Tensor, sure: Tensor, seen: Tensor) -> Tensor:
    """Bool [H,W]: the connected parts of `likely` in which something is sure, or which are small and of which the
    highest probability is above CERTAIN_IF_SMALL. seen: [H,W], probabilities."""
    regions, count = ndimage.label(dilate(likely, 1).cpu().numpy(), structure=np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    kept[regions[sure.cpu().numpy()]] = True
    highest, inside = np.zeros(count + 1), regions > 0
    np.maximum.at(highest, regions[inside], seen.cpu().numpy()[inside])
    for n, box in enumerate(ndimage.find_objects(regions), 1):
        small = max(side.stop - side.start for side in box) <= SMALL * min(likely.shape)
        kept[n] |= small and highest[n] > CERTAIN_IF_SMALL
    return torch.from_numpy(kept[regions]).to(likely.device)


def moving(layers: Tensor) -> Tensor:
    """layers [K,H,W] -> [H,W] in [0,1]: 1 - prod(1 - layer)."""
    return 1 - (1 - layers).prod(0)


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
        distance, nearest = ndimage.distance_transform_edt(~known.cpu().numpy(), return_indices=True)
        y, x = torch.from_numpy(nearest).to(classes.device)
        far = torch.from_numpy(distance > CLASS_REACH * min(grid)).to(classes.device)
        classes = torch.where(far, WATER, classes[y.long(), x.long()])
    else:
        classes = torch.full_like(classes, WATER)
    full = F.interpolate(classes[None, None].float(), layers.shape[-2:], mode="nearest")[0, 0].long()
    return _split_by_class(mask, torch.where(layers.amax(0) > 0, layers.max(0).indices, full))


@dataclass(frozen=True, eq=False)
class Eroded:
    """layers: [4,H,W]. moves: `moving` of them, eroded along static things, [H,W]. thin: those that are thin, bool
    [H,W]."""

    layers: Tensor
    moves: Tensor
    thin: Tensor


def erode_moving_edges(layers: Tensor, photo: Tensor) -> Tensor:
    """layers [4,H,W] -> `moving` [H,W] of them, eroded along static things, as by `erode`."""
    return erode(layers, photo).moves


@torch.no_grad()
@one_thread()
def erode(layers: Tensor, photo: Tensor) -> Eroded:
    """What of layers [4,H,W] moves for sure in a photo [3,H,W] in [-1,1].

    Masks are never quite at the edge; a ridge's outermost pixels would be torn off and drift into the sky. So a thin
    rim is removed; where the photo [3,H,W] has an edge near the border that is much stronger than the texture of what
    moves, everything up to that edge; and thin static things before it, the sun and stars.
    """
    mask = moving(layers)
    short = min(mask.shape)
    static = mask == 0
    classes = layers.max(0).indices
    sky, water = ((mask > 0) & (classes == k) for k in (SKY, WATER))
    open_sky = sky & ~dilate(static, round(OPEN_SKY * short))
    thin = thin_static(photo, sky, water)
    if bool(open_sky.any()):
        static |= _bright_in_sky(photo, sky, open_sky)
    static |= thin
    near = dilate(static, round(EDGE_SEARCH * short)) & ~static
    strength = _edge_strength(photo)
    edges = torch.zeros_like(static)
    for layer in layers:
        inside = (layer > 0) & ~near
        if bool(inside.any()):
            texture = strength[inside][:: max(1, int(inside.sum()) // 10_000)].quantile(0.9)
            edges |= (layer > 0) & near & (strength > EDGE_FACTOR * texture + 0.02)
    gap = max(1, round(EDGE_SEARCH * short / 2))
    closed = ~dilate(~dilate(static | edges, gap), gap)
    still = dilate(static | (closed & near), max(1, round(RIM * short)))
    return Eroded(layers, torch.where(still, 0.0, mask), thin)


def _bright_in_sky(photo: Tensor, sky: Tensor, open_sky: Tensor) -> Tensor:
    """bool [H,W]: sun, moon and stars, which clouds pass, and which would be seen twice in the middle of a loop.

    A disc is white, as bright as anything in the sky, small or round, and much whiter than the sky around it, whatever
    its own class. Stars are points in a dark sky, brighter than an even ring around them.
    """
    bright, white = torch.zeros_like(open_sky), photo.amin(0)
    near_sky = dilate(sky, round(OPEN_SKY * min(sky.shape)))
    whitest = float(white[near_sky].max())
    if whitest > SUN_WHITE:
        for disc in _discs(near_sky & (white > whitest - 0.15)):
            around = dilate(disc, 3 + round(1.5 * math.sqrt(float(disc.sum()) / math.pi))) & ~disc
            if float(sky[around].float().mean()) > 0.5 and float(white[around].mean()) < whitest - SUN_CONTRAST:
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
    angles = torch.arange(RING, device=grey.device) * (2 * math.pi / RING)
    found = torch.zeros_like(sky)
    for radius in radii:
        ring = ((angles.sin() * radius).round() * width + (angles.cos() * radius).round()).long()
        lower = values[peaks, None] - values[peaks[:, None] + ring[:: RING // 4]] > STAR
        likely = peaks[lower.sum(1) >= 3]  # most are not, and need no sorting
        around = values[likely[:, None] + ring].sort(1).values
        height = values[likely] - around[:, -2]
        stars = likely[(height > STAR) & (around[:, -2] - around[:, 1] < EVEN * height)]
        centres = torch.zeros_like(wide, dtype=torch.bool)
        centres.view(-1)[stars] = True
        found |= dilate(centres, max(1, round(radius - 1)))[reach:-reach, reach:-reach]
        peaks = peaks[~torch.isin(peaks, stars)]
    return found & sky


def read_mask(mask: Any, size: tuple[int, int]) -> Tensor:
    """A user's mask as float32 [H,W] in [0,1] of `size` (H, W); white or 1 moves.

    mask: path of an image or .npy, PIL image, or array (bool, float 0..1, integers 0..255) of any size, shaped [h,w],
    [h,w,1], [1,h,w], [1,1,h,w], or colour [h,w,3] or [h,w,4], of which the luminance (Rec. 601) counts, times alpha.
    Integers of a grey array that are all 0 or 1 are taken for False and True; those of an image never are. A mask of
    another shape is stretched, which is logged. Raises MaskError if it is none of these, TooLarge for an image of too
    many pixels, NothingMoves if it is empty.
    """
    values = _grey(*_to_array(mask))
    (height, width), (photo_height, photo_width) = values.shape, size
    expected = height * photo_width / photo_height
    if abs(width - expected) > max(1.0, OTHER_SHAPE * expected):
        _log.warning(
            "The mask is %dx%d and the photo %dx%d, so the mask is stretched; give one of the photo's shape.",
            *(width, height, photo_width, photo_height),
        )
    resized = resize(torch.from_numpy(values)[None], size)[0].clamp(0, 1)
    resized = torch.where(resized < MIN_LAYER_ALPHA, 0.0, resized)
    if not bool((resized > 0.5).any()):
        raise NothingMoves("The mask is empty, so nothing would move; paint white what should move.")
    return resized


def _discs(places: Tensor) -> list[Tensor]:
    """Connected components of bool [H,W] that are round, or small unless there are over MAX_PARTS of all sizes."""
    labels, count = ndimage.label(places.cpu().numpy())
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    found = []
    for n, box in enumerate(ndimage.find_objects(labels), 1):
        circle = math.pi / 4 * max(side.stop - side.start for side in box) ** 2
        small = count <= MAX_PARTS and sizes[n] <= MAX_DISC * places.numel()
        large = MAX_DISC * places.numel() < sizes[n] <= MAX_ROUND * places.numel()
        if small or (large and sizes[n] > ROUND * circle):
            found.append(torch.from_numpy(labels == n).to(places.device))
    return found


def _edge_strength(photo: Tensor) -> Tensor:
    """[3,H,W] -> [H,W]: largest difference across two pixels, in any channel, at a place and its neighbours."""
    padded = F.pad(photo[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]).abs().amax(0)
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]).abs().amax(0)
    return dilate(torch.maximum(across, down), 1)


def _class_probabilities(photo: Tensor, segmenter: Segmenter) -> Tensor:
    """[5,h,w], summing to 1, static first: the mean over the photo and its mirror image."""
    size = network_size(photo.shape[-2:], SHORT_SIDE)
    dtype = fast_dtype(photo.device)
    small = resize(photo, size)
    with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
        straight, mirrored = (x[0].float().softmax(0) for x in _both_ways(segmenter, small))
    return (straight + mirrored.flip(2)) / 2


def _both_ways(net: Callable[[Tensor], Tensor], photo: Tensor) -> tuple[Tensor, Tensor]:
    """What a network says of a photo [3,H,W] and of its mirror image, [1,C,h,w] each: one by one takes less memory."""
    return net(photo[None]), net(photo.flip(2)[None])


def crf_refine(
    probabilities: Tensor, photo: Tensor, weight: float = PAIRWISE_WEIGHT, cells: int = CRF_CELLS, rounds: int = 5
) -> Tensor:
    """Probabilities [K,h,w] refined by a fully connected conditional random field (Kraehenbuehl and Koltun 2011).

    Mean-field inference is exact on a coarse grid of at most `cells`; the changes of the logarithms are then
    interpolated. weight: of all other places beside a place's own prediction.
    """
    grid = _crf_grid(probabilities.shape[-2:], cells)
    own = resize(probabilities, grid).clamp_min(1e-4).flatten(1).log().log_softmax(0)
    rows, columns = (torch.arange(n, device=photo.device) / min(grid) for n in grid)
    positions = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    features = torch.cat([(resize(photo, grid) / 2).flatten(1) / COLOUR_SIGMA, positions / DISTANCE_SIGMA]).T
    affinity = torch.cdist(features, features).square_()
    affinity = affinity.mul_(-0.5).clamp_(min=MIN_EXPONENT).exp_().fill_diagonal_(0)
    affinity /= affinity.sum(0) + 1e-3
    field = own.softmax(0)
    for _ in range(rounds):
        field = (own + weight * field @ affinity).softmax(0)
    change = (field.clamp_min(1e-4).log() - own).unflatten(1, grid)
    return (probabilities.clamp_min(1e-4).log() + resize(change, probabilities.shape[-2:])).softmax(0)


def _crf_grid(size: torch.Size, cells: int = CRF_CELLS) -> tuple[int, int]:
    """Rows and columns of a grid of at most this many cells, in the proportions of `size`."""
    scale = min(1.0, math.sqrt(cells / (size[0] * size[1])))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def mean_probability(
    photo: Tensor, net: Callable[[Tensor], Tensor], short_sides: Sequence[int], shown: int
) -> Tensor:
    """[h,w]: the mean logit over a photo [3,H,W] in [-1,1] at some sizes and their mirror images, as a probability.

    net: photos [N,3,H,W] -> logits [N,1,h,w]. shown: that of the sizes whose grid it has.
    """
    dtype, logits = fast_dtype(photo.device), {}
    for short in short_sides:
        small = resize(photo, network_size(photo.shape[-2:], short))
        with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            straight, mirrored = (x[0].float() for x in _both_ways(net, small))
        logits[short] = (straight + mirrored.flip(2)) / 2
    grid = logits[shown].shape[-2:]
    return torch.stack([resize(x, grid)[0] for x in logits.values()]).mean(0).sigmoid()


def follow_edges(soft: Tensor, photo: Tensor, eps: float = 2e-4) -> Tensor:
    """soft [1,h,w] -> [H,W], locally linear in the photo's colours: the fast guided filter (He and Sun 2015).

    The linear coefficients are fitted at the resolution of `soft` and applied at the photo's.
    """
    guide = photo / 2 + 0.5
    small = resize(guide, soft.shape[-2:])
    radius = max(2, round(0.015 * min(soft.shape[-2:])))

    mean, value = box_means(small, radius), box_means(soft, radius)
    products = box_means((small[:, None] * small[None]).flatten(0, 1), radius).unflatten(0, (3, 3))
    covariance = (products - mean[:, None] * mean[None]).permute(2, 3, 0, 1)
    with_value = (box_means(small * soft, radius) - mean * value).permute(1, 2, 0)
    slope = torch.linalg.solve(covariance + eps * torch.eye(3, device=photo.device), with_value).permute(2, 0, 1)
    offset = value - (slope * mean).sum(0, keepdim=True)
    slope, offset = (resize(box_means(part, radius), guide.shape[-2:]) for part in (slope, offset))
    return ((slope * guide).sum(0) + offset[0]).clamp(0, 1)


def soft_threshold(soft: Tensor) -> Tensor:
    """0 below 0.5, 1 above 0.8, smoothstep between: without soft tails, and static where in doubt."""
    return smoothstep(0, 1, (soft - 0.5) / 0.3)


def _put_sky_above_water(classes: Tensor, moves: Tensor) -> Tensor:
    """Probabilities [4,h,w] of what `moves`, bool [h,w], in which no water lies over sky: water between sky and sky is
    a cloud seen from above, and sky right below water is a reflection."""
    found = torch.where(moves, classes.argmax(0), -1).cpu().numpy()
    classes = classes.clone()
    for wrong, right, sides in ((WATER, SKY, (-1, 1)), (SKY, WATER, (-1,))):
        regions, count = ndimage.label(found == wrong)
        misplaced = np.ones(count + 1, bool)
        misplaced[0] = False
        for side in sides:
            misplaced &= _borders_on(found, regions, count, side, (SKY, SMOKE) if right == SKY else (WATER,))
        here = misplaced[regions]
        found[here] = right
        places = torch.from_numpy(here).to(classes.device)
        classes[right] += torch.where(places, classes[wrong], 0.0)
        classes[wrong] = torch.where(places, 0.0, classes[wrong])
    return classes


def _borders_on(found: np.ndarray, regions: np.ndarray, count: int, side: int, kinds: tuple[int, ...]) -> np.ndarray:
    """Bool [count + 1]: regions of [h,w] whose border above (side -1) or below (1) lies mostly at these classes."""
    beyond, other = np.roll(found, -side, axis=0), np.roll(regions, -side, axis=0)
    edge = 0 if side < 0 else -1
    beyond[edge], other[edge] = -1, 0  # the photo's own border
    border = np.where(other != regions, regions, 0)
    length = np.bincount(border.ravel(), minlength=count + 1)
    touching = np.bincount(border[np.isin(beyond, kinds)], minlength=count + 1)
    mostly: np.ndarray = touching > 0.5 * length
    return mostly


def _evidence(photo: Tensor, probability: Tensor, falls: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `_remove_errors` decides by, [h,w] each: the network's probability, and how much is white, and in falls."""
    grid = fit_short_side(photo.shape[-2:], 512)
    white, falling = (F.adaptive_avg_pool2d(x[None, None].float(), grid) for x in (photo.amin(0) > WHITE, falls))
    return resize(probability[None], grid)[0].cpu().numpy(), white[0, 0].cpu().numpy(), falling[0, 0].cpu().numpy()


def _remove_errors(mask: Tensor, probability: np.ndarray, white: np.ndarray, falling: np.ndarray) -> Tensor:
    """Small islands of motion, regions of which the network was not sure, and burnt-out ones become static; small
    static islands and side falls stay as they are. All but the mask as from `_evidence`."""
    grid = probability.shape[0], probability.shape[1]
    moves = F.adaptive_max_pool2d(mask[None, None], grid)[0, 0].cpu().numpy() > MIN_LAYER_ALPHA
    labels, count = ndimage.label(moves)
    weight = F.adaptive_avg_pool2d(mask[None, None], grid)[0, 0].cpu().numpy()

    def total(share: np.ndarray) -> np.ndarray:
        return np.bincount(labels.ravel(), share.ravel(), count + 1)

    area = total(weight)
    sure, burnt_out = total(weight * probability) >= SURE * area, total(weight * white) > BURNT_OUT * area
    fall = total(weight * falling) > 0.5 * area
    least = np.where(fall, MIN_REGION * moves.size, min(MIN_ISLAND * moves.size, 0.1 * float(area[1:].max(initial=0))))
    kept = (area >= np.maximum(least, MIN_REGION * moves.size)) & sure & ~burnt_out
    keep = torch.from_numpy(kept[labels] & moves).to(mask.device)
    return mask * F.interpolate(keep[None, None].float(), mask.shape, mode="nearest")[0, 0]


def _split_by_class(mask: Tensor, classes: Tensor) -> Tensor:
    return torch.stack([torch.where(classes == k, mask, 0.0) for k in range(len(CLASSES))])


def _to_array(mask: Any) -> tuple[np.ndarray, int | None]:
    """The mask as an array of any shape and type; and what is white in it, None if its numbers have to say."""
    if isinstance(mask, Tensor):
        return mask.detach().cpu().numpy(), None
    try:
        if isinstance(mask, (str, PathLike)):
            if str(mask).endswith(".npy"):
                return np.asarray(np.load(mask, allow_pickle=False)), None
            with open(mask, "rb") as file, open_image(file, f"'{mask}'") as image:
                return _from_pil(image)
        return _from_pil(mask) if isinstance(mask, Image.Image) else (np.asarray(mask), None)
    except FileNotFoundError as error:
        raise MaskError(f"There is no mask at {mask}; check its path.") from error
    except (OSError, ValueError, EOFError, SyntaxError, PhotoError) as error:
        if isinstance(mask, (str, PathLike)):
            raise MaskError(f"{mask} cannot be read as a mask; give a PNG that is white where it moves.") from error
        raise MaskError("The mask is not an array of numbers; give an image, or an array [height, width].") from error


def _from_pil(image: Image.Image) -> tuple[np.ndarray, int]:
    if image.mode.startswith(("F", "I")):
        return np.asarray(image), 1 if image.mode.startswith("F") else 65535
    if image.mode not in ("1", "L"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image.convert("L") if image.mode == "1" else image), 255


def _grey(values: np.ndarray, white: int | None) -> np.ndarray:
    """A mask in any of the shapes and types it comes in -> float32 [h,w] in [0,1]."""
    shape = values.shape
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    coloured = values.ndim == 3 and values.shape[2] in (3, 4)
    if values.size == 0 or not (values.ndim == 2 or coloured):
        raise MaskError(f"A mask of shape {list(shape)} is not understood; give [height, width].")
    if values.dtype.kind not in "buif":
        raise MaskError(f"A mask of type {values.dtype} is not understood; give bool, float 0 to 1 or uint8 0 to 255.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MaskError("The mask holds NaN or infinite numbers; give values from 0 to 1.")
    low, high = float(values.min()), float(values.max())
    scale = white or (255 if values.dtype.kind in "ui" and (coloured or high > 1) else 1)
    if low < -1e-3 or high > scale * (1 + 1e-3):
        raise MaskError(
            f"The mask holds values from {low:g} to {high:g}; give floats from 0 to 1 or uint8 from 0 to 255."
        )
    grey = np.empty(values.shape[:2], np.float32)
    for top in range(0, len(grey), STRIP):  # or a large mask would take much memory
        strip = values[top : top + STRIP].astype(np.float64) / scale
        if coloured:
            alpha = strip[..., 3] if values.shape[2] == 4 else 1.0
            strip = strip[..., :3] @ LUMA * alpha
        grey[top : top + STRIP] = strip
    return grey.clip(0, 1, out=grey)
