"""The light in which what moves is seen, and which stands: a vignette, a glow, the gradient of a sky.

Clouds and waves pass through it. So what is smooth over a large part of the photo is taken out of the plate before that
is warped, and added again where it was. A local linear regression (Cleveland, "Robust locally weighted regression and
smoothing scatterplots", 1979), unlike a mean, also follows light that falls off towards the photo's corners.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

WIDTH = 0.12  # of the short side: standard deviation of the window that is smooth. Clouds half as large pass as a whole
FEW, FLAT = 1e-3, 0.02  # against noise: weight of a light of 0, and of one without a slope, beside 1 of all places


def standing_light(
    low_pass: Tensor, weight: Tensor, *, scale: int, margin: int, size: tuple[int, int], wraps: bool = False
) -> Tensor:
    """The light of a low-pass [3,h,w] of a canvas, whose pixels are `scale` wide: [h,w,4], the last channel 0.

    weight: [h,w] in [0,1], what is seen in that light. The canvas has `margin` pixels around a photo of `size`, which
    is mirrored there, or goes on at its other side if it `wraps`; so does the light, which is 0 far from all that is
    seen in it.
    """
    inside = [(np.arange(n) + 0.5) * scale - margin for n in weight.shape]
    within = [(at > 0) & (at < n) for at, n in zip(inside, size, strict=True)]
    weights = weight.cpu().numpy().astype(np.float64) * np.outer(*within)
    image = low_pass.cpu().numpy().astype(np.float64)
    sigma, width = WIDTH * min(size) / scale, weight.shape[1]
    beyond = math.ceil(4 * sigma) if wraps else 0  # as far as a window of SciPy's reaches
    read = np.arange(-beyond, width + beyond)
    if wraps:
        read = (read - margin // scale) % round(size[1] / scale) + margin // scale
    smooth = _regression(image[..., read], weights[:, read], sigma)[..., beyond : beyond + width]
    mirror = [np.abs((at + n) % (2 * n) - n) for at, n in zip(inside, size, strict=True)]
    if wraps:
        mirror[1] = inside[1]
    rows, columns = ((at + margin) / scale - 0.5 for at in mirror)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    light = [ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in smooth]
    return torch.from_numpy(np.stack([*light, np.zeros_like(weights)], -1)).to(low_pass)


def _regression(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Local linear regression of [C,h,w] in a Gaussian window, less the mean of all places."""
    mean = (image * weight).sum((1, 2)) / max(weight.sum(), 1e-6)
    values = image - mean[:, None, None]
    y, x = (np.arange(n) / sigma for n in weight.shape)
    y = np.broadcast_to(y[:, None], weight.shape)
    around = [ndimage.gaussian_filter(each, sigma, mode="constant") for each in (
        *(weight * p for p in (np.ones_like(y), x, y, x * x, x * y, y * y)),
        *(weight * p * channel for channel in values for p in (np.ones_like(y), x, y)),
    )]  # fmt: skip
    one, ex, ey, exx, exy, eyy = around[:6]
    # moments about each place
    mx, my = ex - x * one, ey - y * one
    mxx, mxy, myy = exx - 2 * x * ex + x * x * one, exy - x * ey - y * ex + x * y * one, eyy - 2 * y * ey + y * y * one
    normal = np.stack([one + FEW, mx, my, mx, mxx + FLAT, mxy, my, mxy, myy + FLAT], -1).reshape(*weight.shape, 3, 3)
    fitted = []
    for value, by_x, by_y in zip(around[6::3], around[7::3], around[8::3], strict=True):
        right = np.stack([value, by_x - x * value, by_y - y * value], -1)
        fitted.append(np.linalg.solve(normal, right[..., None])[..., 0, 0])
    return np.stack(fitted)
