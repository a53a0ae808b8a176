"""What moves: soft layers of sky, water, falls and smoke, predicted from the photo or given by its owner."""

from __future__ import annotations

import math
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from stylecine.errors import MaskError, NothingMoves
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import quick_dtype, resize
from stylecine.options import CLASSES, MIN_LAYER_ALPHA

SKY, WATER, FALLS = (CLASSES.index(name) for name in ("sky", "water", "falls"))

SHORT_SIDE = 448  # of what the network sees
LONGEST_ASPECT = 4.0  # panoramas longer than this are squeezed for the network
SPECK = 0.0015  # of the photo: smaller islands of motion are errors
ISLET = 0.008  # of the photo: and so mostly are smaller ones beside one that is ten times as large
LEAST = 0.005  # of the photo must move
PLACES = 4000  # of the grid on which they agree: its matrix has their square
LIKE, NEAR = 0.04, 0.1  # colour (of [0, 1]) and distance (short sides) over which places tend to agree
AGREEMENT = 1.5  # how much all others count beside a place's own answer
FAINT = -60.0  # smaller powers of e count nothing, and are slow where they are too small for normal numbers
CALM = 0.03  # of the short side: over this distance a place's class is its neighbours'
RIM = 0.003  # of the short side: so far inside what moves its border stands still
FRINGE = 0.012  # of the short side: so far from the border an edge in the photo is taken for the border's true place
STEEP = 2.5  # times the steepness that a tenth of what moves exceeds: an edge, not texture
OPEN = 0.03  # of the short side: so far from all that stands still the sky is only sky
THIN = 0.006  # of the short side: half the width of twigs, masts and wires, at most
DARKER = 0.12  # of [-1, 1]: so much darker than the sky around them, and than twice what clouds do
WHITE, WHITER = 0.85, 0.35  # of [-1, 1]: the sun's darkest channel, and how far what is around it stays below
DISC = 0.005  # of the photo: the sun is smaller
SMOOTH = 0.03  # of [-1, 1]: stars rise, four times as far, from a sky that is no rougher
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
REACH = 0.1  # of the short side: how far a predicted class speaks for a place the user added


@torch.inference_mode()
def predict_layers(photo: Tensor, segmenter: Segmenter) -> Tensor:
    """photo [3,H,W] in [-1,1] -> layers [4,H,W] in [0,1], in the order of CLASSES.

    Each place belongs to its neighbourhood's likeliest class, so `moving` of the result is the layer that
    is there. Places of like colour are brought to agree, and the network's answer, at a short side of 448,
    follows the photo's own edges at full size; what is hardly there is exactly 0.
    """
    shares = _agreed(_class_shares(photo, segmenter), photo)
    likely = _mean(shares[1:], max(1, round(CALM * min(shares.shape[1:]))))
    classes = resize(likely, photo.shape[-2:]).max(0).indices  # many times as quick as argmax
    mask = _decided(_follow_edges(1 - shares[:1], photo))
    return _layers(_without_specks(mask, classes == FALLS), classes)


def moving(layers: Tensor) -> Tensor:
    """layers [K,H,W] -> [H,W] in [0,1]: 1 - prod(1 - layer)."""
    return 1 - (1 - layers).prod(0)


def require_motion(mask: Tensor) -> Tensor:
    """mask [H,W] as it is; NothingMoves if less than 0.5% of the photo moves."""
    if (mask > 0.5).float().mean() < LEAST:
        raise NothingMoves(
            "Nothing that moves was found in this photo; give a mask that is white where it should move."
        )
    return mask


def apply_mask(layers: Tensor, mask: Tensor) -> Tensor:
    """layers [4,H,W] whose `moving` is `mask` [H,W] in [0,1].

    Classes are those of `layers`; a place where those say nothing has the class of the nearest one, or is
    water if none is near.
    """
    grid = _small(layers.shape[-2:], 256)
    coarse = F.adaptive_avg_pool2d(layers[None], grid)[0]
    known = coarse.amax(0) > 0.1
    classes = coarse.argmax(0)
    if bool(known.any()):
        distance, nearest = ndimage.distance_transform_edt(~known.cpu().numpy(), return_indices=True)
        y, x = torch.from_numpy(nearest).to(classes.device)
        far = torch.from_numpy(distance > REACH * min(grid)).to(classes.device)
        classes = torch.where(far, WATER, classes[y.long(), x.long()])
    else:
        classes = torch.full_like(classes, WATER)
    full = F.interpolate(classes[None, None].float(), layers.shape[-2:], mode="nearest")[0, 0].long()
    return _layers(mask, torch.where(layers.amax(0) > 0, layers.max(0).indices, full))


def erode_moving_edges(layers: Tensor, photo: Tensor) -> Tensor:
    """layers [4,H,W] -> `moving` [H,W] of them, let stand still along what stands still.

    Masks are never quite at the edge; a ridge's outermost pixels would be torn off and drift into the sky. So a thin
    rim is taken off, and where the photo [3,H,W] has an edge near the border that is much steeper than what moves
    has itself, everything up to that edge; and twigs, masts and wires that reach into the sky, the sun and stars.
    """
    mask = moving(layers)
    short = min(mask.shape)
    still = mask == 0
    sky = (mask > 0) & (layers.max(0).indices == SKY)
    open_sky = sky & ~_grown(still, round(OPEN * short))
    if bool(open_sky.any()):
        still |= _thin_in_sky(photo, sky, open_sky, still) | _shining_in_sky(photo, sky, open_sky)
    near = _grown(still, round(FRINGE * short)) & ~still
    steepness = _steepness(photo)
    edges = torch.zeros_like(still)
    for layer in layers:
        inside = (layer > 0) & ~near
        if bool(inside.any()):
            usual = steepness[inside][:: max(1, int(inside.sum()) // 10_000)].quantile(0.9)
            edges |= (layer > 0) & near & (steepness > STEEP * usual + 0.02)
    gap = max(1, round(FRINGE * short / 2))
    closed = ~_grown(~_grown(still | edges, gap), gap)
    return torch.where(_grown(still | (closed & near), max(1, round(RIM * short))), 0.0, mask)


def _thin_in_sky(photo: Tensor, sky: Tensor, open_sky: Tensor, still: Tensor) -> Tensor:
    """bool [H,W]: thin things darker than the sky around them that hang together with what stands still.

    Found by closing the grey image over their width (the black top-hat of mathematical morphology).
    """
    grey, radius = photo.mean(0), max(2, round(THIN * min(sky.shape)))
    filled = -_grown(-_grown(grey, radius), radius)
    darker = filled - grey
    usual = darker[open_sky][:: max(1, int(open_sky.sum()) // 20_000)].quantile(0.98)
    thin = sky & (darker > torch.clamp(2 * usual, min=DARKER))
    pieces, count = ndimage.label((_grown(thin, 2) | still).cpu().numpy())
    attached = np.bincount(pieces[still.cpu().numpy()], minlength=count + 1) > 0
    return thin & torch.from_numpy(attached[pieces]).to(thin.device)


def _shining_in_sky(photo: Tensor, sky: Tensor, open_sky: Tensor) -> Tensor:
    """bool [H,W]: sun, moon and stars, which clouds pass, and which would be seen twice in the middle of a loop.

    A disc is white, as bright as anything in the sky, small, and much whiter than the sky around it, whatever it is
    itself taken for. Stars are points in a smooth sky at night (the white top-hat).
    """
    shining, white = torch.zeros_like(open_sky), photo.amin(0)
    near_sky = _grown(sky, round(OPEN * min(sky.shape)))
    most = float(white[near_sky].max())
    if most > WHITE:
        for disc in _pieces(near_sky & (white > most - 0.15), DISC * sky.numel()):
            around = _grown(disc, 3 + round(1.5 * math.sqrt(float(disc.sum()) / math.pi))) & ~disc
            if float(sky[around].float().mean()) > 0.5 and float(white[around].mean()) < most - WHITER:
                shining |= _grown(disc, 2)
    grey, radius = photo.mean(0), max(2, round(THIN / 2 * min(open_sky.shape)))
    brighter = grey - _grown(-_grown(-grey, radius), radius)
    step = max(1, int(open_sky.sum()) // 20_000)
    night = float(grey[open_sky][::step].median()) < 0
    if night and float(brighter[open_sky][::step].quantile(0.98)) < SMOOTH:
        shining |= _grown(open_sky & (brighter > 4 * SMOOTH), 1)
    return shining


def given_mask(mask: Any, size: tuple[int, int]) -> Tensor:
    """A user's mask as float32 [H,W] in [0,1] of `size` (H, W); white or 1 moves.

    mask: path of an image or .npy, PIL image, or array (bool, float 0..1, integers 0..255) of any size, shaped [h,w],
    [h,w,1], [1,h,w], [1,1,h,w], or colour [h,w,3] or [h,w,4], of which the luminance (Rec. 601) counts, times alpha.
    Integers of a grey array that are all 0 or 1 are taken for False and True; those of an image never are. Raises
    MaskError if it is none of these, NothingMoves if it is empty.
    """
    values = _grey(_read_mask(mask))
    resized = resize(torch.from_numpy(values)[None], size)[0].clamp(0, 1)
    resized = torch.where(resized < MIN_LAYER_ALPHA, 0.0, resized)
    if not bool((resized > 0.5).any()):
        raise NothingMoves("The mask is empty, so nothing would move; paint white what should move.")
    return resized


def _pieces(places: Tensor, largest: float, most: int = 12) -> list[Tensor]:
    """The connected pieces of bool [H,W] of at most `largest` pixels; none if there are more than `most`."""
    labels, count = ndimage.label(places.cpu().numpy())
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    small = [n + 1 for n in np.flatnonzero(sizes <= largest)] if count <= most else []
    return [torch.from_numpy(labels == n).to(places.device) for n in small]


def _grown(x: Tensor, radius: int) -> Tensor:
    """[H,W] bool or float: largest within `radius` rows and columns, in few steps, each as long as what is reached."""
    nothing = False if x.dtype == torch.bool else -math.inf
    for axis in (0, 1):
        x = F.pad(x, (0, 0, radius, radius) if axis == 0 else (radius, radius), value=nothing)
        reached, wanted = 1, 2 * radius + 1
        while reached < wanted:
            step = min(reached, wanted - reached)
            rest = x.shape[axis] - step
            x = torch.maximum(x.narrow(axis, 0, rest), x.narrow(axis, step, rest))
            reached += step
    return x


def _steepness(photo: Tensor) -> Tensor:
    """[3,H,W] -> [H,W]: largest step of any channel to the next pixel but one, of the place and its neighbours."""
    padded = F.pad(photo[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]).abs().amax(0)
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]).abs().amax(0)
    return F.max_pool2d(torch.maximum(across, down)[None, None], 3, 1, 1)[0, 0]


def _class_shares(photo: Tensor, segmenter: Segmenter) -> Tensor:
    """[5,h,w], summing to 1; static first."""
    h, w = photo.shape[-2:]
    scale = SHORT_SIDE / min(h, w)
    rows, columns = (max(32, round(min(n * scale, LONGEST_ASPECT * SHORT_SIDE) / 16) * 16) for n in (h, w))
    quick = quick_dtype(photo.device)
    with torch.autocast(photo.device.type, quick, enabled=quick != torch.float32):
        return segmenter(resize(photo, (rows, columns))[None])[0].float().softmax(0)


def _agreed(shares: Tensor, photo: Tensor, rounds: int = 5) -> Tensor:
    """shares [5,h,w] after a fully connected conditional random field (Kraehenbuehl and Koltun 2011), [5,h,w].

    Every place asks all others, those of like colour nearby the most; exact, by mean field, on a coarse grid,
    whose changes the fine one takes over.
    """
    grid = _coarse(shares.shape[-2:])
    own = resize(shares, grid).clamp_min(1e-4).flatten(1).log().log_softmax(0)
    rows, columns = (torch.arange(n, device=photo.device) / min(grid) for n in grid)
    where = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    looks = torch.cat([(resize(photo, grid) / 2).flatten(1) / LIKE, where / NEAR]).T
    apart = torch.cdist(looks, looks).square_()
    affinity = apart.mul_(-0.5).clamp_(min=FAINT).exp_().fill_diagonal_(0)
    affinity /= affinity.sum(0) + 1e-3
    field = own.softmax(0)
    for _ in range(rounds):
        field = (own + AGREEMENT * field @ affinity).softmax(0)
    change = (field.clamp_min(1e-4).log() - own).unflatten(1, grid)
    return (shares.clamp_min(1e-4).log() + resize(change, shares.shape[-2:])).softmax(0)


def _coarse(size: torch.Size) -> tuple[int, int]:
    """Rows and columns of a grid of at most PLACES cells, in the proportions of `size`."""
    scale = min(1.0, math.sqrt(PLACES / (size[0] * size[1])))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _follow_edges(soft: Tensor, photo: Tensor, eps: float = 2e-4) -> Tensor:
    """soft [1,h,w] -> [H,W], locally linear in the photo's colours: the fast guided filter (He and Sun 2015).

    The linear coefficients are found at the resolution of `soft` and applied at the photo's.
    """
    guide = photo / 2 + 0.5
    small = resize(guide, soft.shape[-2:])
    radius = max(2, round(0.015 * min(soft.shape[-2:])))

    centre, value = _mean(small, radius), _mean(soft, radius)
    products = _mean((small[:, None] * small[None]).flatten(0, 1), radius).unflatten(0, (3, 3))
    covariance = (products - centre[:, None] * centre[None]).permute(2, 3, 0, 1)
    with_value = (_mean(small * soft, radius) - centre * value).permute(1, 2, 0)
    slope = torch.linalg.solve(covariance + eps * torch.eye(3, device=photo.device), with_value).permute(
        2, 0, 1
    )
    offset = value - (slope * centre).sum(0, keepdim=True)
    slope, offset = (resize(_mean(part, radius), guide.shape[-2:]) for part in (slope, offset))
    return ((slope * guide).sum(0) + offset[0]).clamp(0, 1)


def _mean(x: Tensor, radius: int) -> Tensor:
    """Box mean of [C,h,w], over what of the box is inside."""
    return F.avg_pool2d(x[None], 2 * radius + 1, 1, radius, count_include_pad=False)[0]


def _decided(soft: Tensor) -> Tensor:
    """Soft tails end, and doubt stays still: below 0.5 is 0, above 0.8 is 1, a smooth step between."""
    t = ((soft - 0.5) / 0.3).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _without_specks(mask: Tensor, falls: Tensor) -> Tensor:
    """Small islands of motion become static; small things that stand still in it, and side falls, stay as they are."""
    grid = _small(mask.shape, 512)
    moves = F.adaptive_max_pool2d(mask[None, None], grid)[0, 0].cpu().numpy() > MIN_LAYER_ALPHA
    labels, count = ndimage.label(moves)
    weight = F.adaptive_avg_pool2d(mask[None, None], grid)[0, 0].cpu().numpy()
    area = ndimage.sum_labels(weight, labels, np.arange(count + 1))
    falling = F.adaptive_avg_pool2d(falls[None, None].float(), grid)[0, 0].cpu().numpy()
    fall = ndimage.sum_labels(weight * falling, labels, np.arange(count + 1)) > 0.5 * area
    least = np.where(fall, SPECK * moves.size, min(ISLET * moves.size, 0.1 * float(area[1:].max(initial=0))))
    keep = torch.from_numpy((area >= np.maximum(least, SPECK * moves.size))[labels] & moves).to(mask.device)
    kept = F.interpolate(keep[None, None].float(), mask.shape, mode="nearest")[0, 0]
    return mask * kept


def _layers(mask: Tensor, classes: Tensor) -> Tensor:
    return torch.stack([torch.where(classes == k, mask, 0.0) for k in range(len(CLASSES))])


def _read_mask(mask: Any) -> np.ndarray:
    """The mask as an array of any shape and type; images as floats, as their integers say how large they can be."""
    if isinstance(mask, Tensor):
        return mask.detach().cpu().numpy()
    try:
        if isinstance(mask, (str, PathLike)):
            if str(mask).endswith(".npy"):
                return np.asarray(np.load(mask, allow_pickle=False))
            with Image.open(mask) as image:
                return _from_pil(image)
        return _from_pil(mask) if isinstance(mask, Image.Image) else np.asarray(mask)
    except FileNotFoundError as error:
        raise MaskError(f"There is no mask at {mask}.") from error
    except (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(mask, (str, PathLike)):
            raise MaskError(f"{mask} cannot be read as a mask; give a PNG that is white where it moves.") from error
        raise MaskError("The mask is not an array of numbers; give an image, or an array [height, width].") from error


def _from_pil(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("F"):
        return np.asarray(image)
    if image.mode.startswith("I"):
        return np.asarray(image) / 65535
    if image.mode not in ("1", "L"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image.convert("L") if image.mode == "1" else image) / 255


def _grey(values: np.ndarray) -> np.ndarray:
    """A mask in any of the shapes and types it comes in -> float32 [h,w] in [0,1]."""
    shape = values.shape
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    coloured = values.ndim == 3 and values.shape[2] in (3, 4)
    if values.size == 0 or not (values.ndim == 2 or coloured):
        raise MaskError(f"A mask of shape {list(shape)} is not understood; give [height, width].")
    if values.dtype.kind not in "buif":
        raise MaskError(f"A mask of type {values.dtype} is not understood; give bool, float 0 to 1 or uint8 0 to 255.")
    if not np.isfinite(values).all():
        raise MaskError("The mask holds NaN or infinite numbers; give values from 0 to 1.")
    low, high = float(values.min()), float(values.max())
    scale = 255 if values.dtype.kind in "ui" and (coloured or high > 1) else 1
    if low < -1e-3 or high > scale * (1 + 1e-3):
        raise MaskError(
            f"The mask holds values from {low:g} to {high:g}; give floats from 0 to 1 or uint8 from 0 to 255."
        )
    grey = values.astype(np.float64) / scale
    if coloured:
        alpha = grey[..., 3] if values.shape[2] == 4 else 1.0
        grey = grey[..., :3] @ LUMA * alpha
    return grey.astype(np.float32).clip(0, 1)


def _small(size: tuple[int, ...] | torch.Size, short: int) -> tuple[int, int]:
    scale = min(1.0, short / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
