"""A mask that a user gives: an image, a file or an array of any shape and type."""

from __future__ import annotations

import logging
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylecine.errors import MaskError, NothingMoves, PhotoError
from stylecine.machine.given import check_file
from stylecine.ops.image import LUMA, resize
from stylecine.options import MIN_LAYER_ALPHA
from stylecine.picture.photo import has_shape, open_image

STRIP = 64  # rows of a given mask that are converted at a time
MOVES = 0.5  # a mask that is nowhere above is empty
_log = logging.getLogger("stylecine")


def read_mask(mask: Any, size: tuple[int, int], crop: Callable[[np.ndarray], np.ndarray] | None = None) -> Tensor:
    """A user's mask as float32 [H,W] in [0,1] of `size` (H, W); white or 1 moves. crop: what is done first, such as
    `photo.cropped_alike`.

    mask: path of an image or .npy, PIL image, or array (bool, float 0..1, integers 0..255) of any size, shaped [h,w],
    [h,w,1], [1,h,w], [1,1,h,w], or colour [h,w,3] or [h,w,4], of which the luminance (Rec. 601) counts, times alpha.
    Grey integers that are all 0 or 1 are taken for False and True, as labelling tools write them. In colours of which
    none is light, such as red paint, the strongest channel counts, or else alpha, of paint that has only that. A mask
    of another shape is stretched, which is logged. Raises MaskError if it is none of these, TooLarge for an image of
    too many pixels, NothingMoves if it is empty.
    """
    values = _grey(*_to_array(mask))
    values = values if crop is None else crop(values)
    resized = resize(torch.from_numpy(values)[None], size)[0].clamp(0, 1)
    resized = torch.where(resized < MIN_LAYER_ALPHA, 0.0, resized)
    if not bool((resized > MOVES).any()):
        raise NothingMoves("The mask is empty, so nothing would move; paint white what should move.")
    (height, width), (photo_height, photo_width) = values.shape, size
    if not has_shape(width, height, photo_width, photo_height):
        _log.warning(
            "The mask is %dx%d and the photo %dx%d, so the mask is stretched; give one of the photo's shape.",
            *(width, height, photo_width, photo_height),
        )
    return resized


def _to_array(mask: Any) -> tuple[np.ndarray, int | None]:
    """The mask as an array of any shape and type; and what is white in it, None if its numbers have to say."""
    if isinstance(mask, Tensor):
        return mask.detach().cpu().numpy(), None
    try:
        if isinstance(mask, (str, PathLike)):
            check_file(mask, "mask", MaskError)
            if str(mask).lower().endswith(".npy"):
                return np.asarray(np.load(mask, allow_pickle=False)), None
            with open(mask, "rb") as file, open_image(file, f"'{mask}'") as image:
                return _from_pil(image)
        return _from_pil(mask) if isinstance(mask, Image.Image) else (np.asarray(mask), None)
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
    if not coloured:
        labels = values.dtype.kind in "ui" and high <= 1
        return _in_strips(values, 1 if labels else scale, lambda strip: strip)
    for brightness in (lambda strip: strip[..., :3] @ LUMA, lambda strip: strip[..., :3].max(-1)):
        grey = _in_strips(values, scale, lambda strip, b=brightness: b(strip) * _alpha(strip))  # type: ignore[misc]
        if grey.max() > MOVES:
            return grey
    painted = values.shape[2] == 4 and not values[..., :3].any() and values[..., 3].min() < MOVES * scale
    return _in_strips(values, scale, _alpha) if painted else grey


def _alpha(strip: np.ndarray) -> np.ndarray:
    return strip[..., 3] if strip.shape[-1] == 4 else np.ones(strip.shape[:2])


def _in_strips(values: np.ndarray, scale: float, grey: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `grey` makes of values over their scale, float32 [h,w] in [0,1]; in strips, or a large mask would take much
    memory."""
    found = np.empty(values.shape[:2], np.float32)
    for top in range(0, len(found), STRIP):
        found[top : top + STRIP] = grey(values[top : top + STRIP].astype(np.float64) / scale)
    return found.clip(0, 1, out=found)
