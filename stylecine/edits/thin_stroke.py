"""A brush stroke along a post, a mast or a branch: it means the thing, not the band that the brush is wide.

The picture is read along the stroke and across it, and the path of steadily highest contrast is found by dynamic
programming.
"""

import math

import numpy as np
from scipy import ndimage

from stylecine.edits.strokes import Box

MIN_HALF_WIDTH = 1.5  # pixels: half the thing's width at its narrowest
MAX_HALF_WIDTH = 0.4  # of the brush's radius: the same at its widest
MAX_MEAN_WIDTH = 0.5  # of the brush's radius: what is wider in the mean is no thin thing
MIN_LENGTH = 2.5  # of the brush's radius: shorter strokes are dabs
MAX_STEPS = 4000  # along the stroke
MIN_MEAN_CONTRAST = 0.08  # of [0, 1]: of the thing with what is beside it
OUTSTANDING = 2.5  # times the contrast that three quarters of what is beside it do not have: the same
MIN_CONTRAST = 0.03  # of [0, 1]: all along the thing but gaps
MAX_GAPS = 0.2  # of its length
STIFFNESS = 0.5  # of the mean contrast: what a step to the side has to be worth
EDGE_SHARE = 0.4  # of the thing's contrast at a place: less is beside it
SOFT_EDGE = 1.0  # pixels around it that are meant too


def fit_thin(photo: np.ndarray, points: np.ndarray, radius: float) -> tuple[Box, np.ndarray] | None:
    """The thin thing along a stroke over a photo uint8 [H,W,3]: a box, and in it float32 [h,w] in [0,1]; None if there
    is none.

    points: [n,2], x and y in pixels. radius: of the brush, in pixels.
    """
    line = _resampled(points)
    widest = round(MAX_HALF_WIDTH * radius)
    if len(line) < MIN_LENGTH * radius or widest < 2:
        return None
    normal = _normals(line, radius)
    reach = math.ceil(radius)
    across = np.arange(-reach - 2 * widest, reach + 2 * widest + 1)  # beside the brush, too: what is thin ends there
    x, y = (line[:, None, k] + across * normal[:, None, k] for k in (0, 1))
    grey = photo.astype(np.float32).mean(2) / 255
    strip = ndimage.map_coordinates(grey, (y, x), order=1, mode="nearest")
    side = (1, 2 * widest + 1)
    contrasts = ndimage.grey_closing(strip, side) - strip, strip - ndimage.grey_opening(strip, side)
    under = [contrast[:, 2 * widest : -2 * widest] for contrast in contrasts]
    things = [_thing(contrast, _best_path(contrast), widest) for contrast in under]
    thing, clear = max(things, key=lambda found: found[1])
    if clear < 1 or thing.sum() > MAX_MEAN_WIDTH * radius * len(line):
        return None
    return _on_photo(thing, line, normal, photo.shape[:2])


def _resampled(points: np.ndarray) -> np.ndarray:
    """The stroke's line with a point every pixel, [n,2]."""
    length = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    at = np.linspace(0, length[-1], min(MAX_STEPS, max(1, round(float(length[-1])))))
    return np.stack([np.interp(at, length, points[:, k]) for k in (0, 1)], axis=1)


def _normals(line: np.ndarray, radius: float) -> np.ndarray:
    """Unit vectors across the line; it is smoothed, as hands tremble."""
    smooth = ndimage.gaussian_filter1d(line, max(1.0, radius / 2), axis=0, mode="nearest")
    along = np.gradient(smooth, axis=0)
    along /= np.maximum(np.hypot(*along.T)[:, None], 1e-6)
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def _best_path(contrast: np.ndarray) -> np.ndarray:
    """The column at each row [n] of the path of most contrast, which moves by a column a row at most."""
    rows = len(contrast)
    cost = np.array([STIFFNESS, 0, STIFFNESS], np.float32)[:, None] * contrast.mean()
    total, came = contrast[0].copy(), np.zeros(contrast.shape, np.int8)
    for row in range(1, rows):
        padded = np.pad(total, 1, constant_values=-np.inf)
        before = np.stack([padded[:-2], padded[1:-1], padded[2:]]) - cost
        came[row] = before.argmax(0) - 1
        total = before.max(0) + contrast[row]
    path = np.empty(rows, int)
    path[-1] = int(total.argmax())
    for row in range(rows - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return path


def _thing(contrast: np.ndarray, path: np.ndarray, widest: int) -> tuple[np.ndarray, float]:
    """Where the contrast is a good part of that on the path, near it: float32 in [0,1], of the contrast's shape; and
    how clearly it is a thing, from 1 on."""
    rows, columns = contrast.shape
    on_path = contrast[np.arange(rows), path]
    away = np.abs(np.arange(columns) - path[:, None])
    level = ndimage.median_filter(on_path, 2 * widest + 1, mode="nearest")
    thing = (away <= widest) & (contrast > EDGE_SHARE * level[:, None]) | (away <= MIN_HALF_WIDTH)
    beside = float(np.quantile(contrast[away > 2 * widest], 0.75)) if (away > 2 * widest).any() else math.inf
    clear = float(on_path.mean()) / max(MIN_MEAN_CONTRAST, OUTSTANDING * beside)
    whole = float(np.quantile(on_path, MAX_GAPS)) / MIN_CONTRAST
    return ndimage.grey_dilation(thing.astype(np.float32), (1, 2 * round(SOFT_EDGE) + 1)), min(clear, whole)


def _on_photo(thing: np.ndarray, line: np.ndarray, normal: np.ndarray, size: tuple[int, ...]) -> tuple[Box, np.ndarray]:
    """What was found along the line, in the photo: each pixel is beside the nearest point of the line."""
    from scipy.spatial import cKDTree  # takes a while to import, and few loops have strokes

    reach = thing.shape[1] // 2
    low, high = np.floor(line.min(0) - reach).astype(int), np.ceil(line.max(0) + reach).astype(int) + 1
    left, top = np.clip(low, 0, (size[1] - 1, size[0] - 1)).tolist()
    right, bottom = np.clip(high, (left + 1, top + 1), (size[1], size[0])).tolist()
    y, x = np.mgrid[top:bottom, left:right]
    pixels = np.stack([x, y], axis=2)
    distance, row = cKDTree(line).query(pixels, distance_upper_bound=reach + 1)
    known = np.isfinite(distance)
    rows = row[known]
    offset = pixels[known] - line[rows]
    column = (offset * normal[rows]).sum(1) + reach
    beyond = np.hypot(*offset.T) > np.abs(column - reach) + 2 * SOFT_EDGE  # an end of the stroke
    part = np.zeros(known.shape, np.float32)
    part[known] = np.where(beyond, 0, ndimage.map_coordinates(thing, (rows, column), order=1, mode="constant"))
    return (top, left, bottom, right), part
