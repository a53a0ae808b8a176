"""A rough brush stroke, fitted to the edges of the photo under it.

A stroke over a rock means the rock, not the rim of water around it. Colours under the brush are compared with those
beside it, and a random walker with priors (Grady, "Multilabel random walker image segmentation
using prior models", CVPR 2005) gives neighbours of similar colour the same answer. If nothing under the brush differs
from its surroundings, the stroke counts as drawn. Nothing further than `BAND` past its border ever changes.
"""

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from stylecine.ops.regions import depth_inside
from stylecine.ops.smoothstep import smoothstep

BAND = 0.3  # of the brush's radius: how far past the brush the fitted border may be
WALK_CELLS = 40_000  # of the random walker's grid
DISTANCE_CELLS = 1 << 20  # of the grid on which distances are computed, to be interpolated
CELLS_PER_RADIUS = 16  # of that grid at least, for thin brushes
MAX_SAMPLES = 300  # colours of each side
COLOUR_BANDWIDTH = 0.08  # of the Parzen density, for colours in [0,1]
BRUSH_LOGIT = 1.0  # at the brush's centre line; decreases towards its border
BRUSH_LOGIT_WITHOUT_CONTRAST = 12.0  # the same if colours do not differ
FULL_CONTRAST = 0.75  # spread of the colours' logits under the brush at which they are fully trusted
CERTAIN_LOGIT = 0.5  # of a colour that certainly differs from those beside the brush
MAX_COLOUR_LOGIT = 3.0
MIN_COVER, MAX_COVER = 0.01, 0.25  # short sides: of the brush that covers a region
MAX_PLACES = 30  # that its stroke visits, a radius or more from each other
DEEP = 0.5  # radii: how far they are from the region's border
WALK_LENGTH = 0.4  # of the radius: how far the walkers get, if colours are fully trusted

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels
Stroke = tuple[list[tuple[float, float]], float]  # points, in fractions of width and height; radius, in short sides


def fit_stroke(photo: np.ndarray, points: np.ndarray, radius: float) -> tuple[Box, np.ndarray]:
    """The area meant by a stroke over a photo uint8 [H,W,3]: a box, and in it float32 [h,w] in [0,1].

    points: [n,2], x and y in pixels; one is a dot. radius: of the brush, in pixels.
    """
    box, distance = stroke_distance(photo.shape[:2], points, radius, reach=2 + BAND)
    part = photo[box[0] : box[2], box[1] : box[3]]
    scale = min(1.0, math.sqrt(WALK_CELLS / distance.size))
    rows, columns = (max(2, round(n * scale)) for n in distance.shape)
    channels = (np.ascontiguousarray(part[..., k], dtype=np.float32) for k in range(3))
    small = np.stack([resize(channel, (rows, columns)) / 255 for channel in channels], axis=2)
    depth = 1 - resize(distance, (rows, columns)) / radius  # 1 on the stroke's centre line, 0 at the brush's border
    prior, contrast = _prior(small, depth)
    walked = _random_walk(small, prior, depth, WALK_LENGTH * contrast * radius * scale)
    alpha = soft_step((resize(walked.astype(np.float32), distance.shape) - 0.35) / 0.3)
    alpha[distance >= (1 + BAND) * radius] = 0
    return box, alpha


def cover_region(region: np.ndarray) -> Stroke:
    """One stroke whose brush covers most of a connected region, bool [h,w], and little else.

    It visits places deep inside of the region along the shortest tree that joins them, there and back.
    """
    from scipy.sparse import csgraph  # takes a while to import, and few loops need it

    depth, short = depth_inside(region), min(region.shape)
    ridge = depth[region & (depth >= ndimage.maximum_filter(depth, 3))]
    radius = float(np.clip(np.median(ridge), MIN_COVER * short, MAX_COVER * short))
    while len(places := _deep_places(depth, radius)) > MAX_PLACES:
        radius *= 1.3  # a broader brush has fewer places to visit
    points = np.array(places, float)
    tree = csgraph.minimum_spanning_tree(np.linalg.norm(points[:, None] - points[None], axis=2))
    start = int(csgraph.shortest_path(tree, directed=False, indices=0).argmax())  # an end: less is gone over twice
    order, before = csgraph.depth_first_order(tree, start, directed=False)
    path = [start]
    for place in order[1:]:
        while path[-1] != before[place]:
            path.append(int(before[path[-1]]))
        path.append(int(place))
    height, width = region.shape
    stroke = [(round((x + 0.5) / width, 3), round((y + 0.5) / height, 3)) for y, x in points[path].tolist()]
    return stroke, round(min(1.0, (radius + 0.5) / short), 3)


def _deep_places(depth: np.ndarray, radius: float) -> list[tuple[int, int]]:
    """Rows and columns of places inside of a region, the deepest first, for a brush of that radius to visit."""
    rows, columns = np.indices(depth.shape)
    left = np.where(depth >= min(DEEP * radius, depth.max()), depth, 0.0)
    places = []
    while left.any():
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        places.append((int(row), int(column)))
        left[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 0
    return places


def stroke_distance(
    size: tuple[int, ...], points: np.ndarray, radius: float, reach: float = 1.0
) -> tuple[Box, np.ndarray]:
    """The box around a stroke's line, `reach` radii larger, and the distance [h,w] of its pixels to the line."""
    reach = reach * radius
    low = np.floor(points.min(0) - reach).astype(int) - 1
    high = np.ceil(points.max(0) + reach).astype(int) + 2
    left, top = (int(np.clip(low[i], 0, size[1 - i] - 2)) for i in (0, 1))
    right, bottom = (int(np.clip(high[i], (left, top)[i] + 2, size[1 - i])) for i in (0, 1))
    cells = math.sqrt(DISTANCE_CELLS / ((bottom - top) * (right - left)))
    scale = min(1.0, max(cells, CELLS_PER_RADIUS / radius))
    rows, columns = (max(2, round(n * scale)) for n in (bottom - top, right - left))
    margin = math.ceil(scale * radius) + 1  # the line may leave the photo
    line = Image.new("L", (columns + 2 * margin, rows + 2 * margin), 255)
    across, down = columns / (right - left), rows / (bottom - top)
    at = [(float(x - left) * across + margin - 0.5, float(y - top) * down + margin - 0.5) for x, y in points]
    draw = ImageDraw.Draw(line)
    draw.line(at, fill=0)
    draw.point(at[0], fill=0)  # of one point there is no line
    distance = ndimage.distance_transform_edt(np.asarray(line), sampling=(1 / down, 1 / across))
    distance = distance[margin:-margin, margin:-margin].astype(np.float32)
    return (top, left, bottom, right), resize(distance, (bottom - top, right - left))


def _prior(picture: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, float]:
    """The probability [h,w] that each cell is meant, by its colour and its depth under the brush; and how much, in
    [0,1], colours under the brush differ from those beside it."""
    from scipy.special import expit  # takes a while to import, and few loops have strokes

    colours = picture.reshape(-1, 3)
    inside, outside = (depth > 0).ravel(), (depth < -BAND).ravel()
    position = np.clip(2 * depth, -1, 1).ravel()
    if not (inside.any() and outside.any()):
        return expit(BRUSH_LOGIT_WITHOUT_CONTRAST * position).reshape(depth.shape), 0.0
    under = _density(colours, colours[inside], (0.5 + 0.5 * depth).ravel()[inside])
    beside = _density(colours, colours[outside], np.ones(int(outside.sum())))
    logit = np.log((under + 1e-4) / (beside + 1e-4))
    low, high = np.quantile(logit[inside], (0.1, 0.9))
    contrast = min(float(high - low) / FULL_CONTRAST, 1.0)
    # slightly darker water is still water: only what stands out was meant
    offset = np.clip(_otsu_midpoint(logit[inside]), 0, CERTAIN_LOGIT)
    logit = np.clip(logit - offset, -MAX_COLOUR_LOGIT, MAX_COLOUR_LOGIT)
    brush = contrast * BRUSH_LOGIT + (1 - contrast) * BRUSH_LOGIT_WITHOUT_CONTRAST
    return expit(logit + brush * position).reshape(depth.shape), contrast


def _otsu_midpoint(values: np.ndarray) -> float:
    """Half-way between the means of low and high values, separated by Otsu's threshold (1979)."""
    ranked = np.quantile(values, np.linspace(0.01, 0.99, 99))
    count = np.arange(1, 99)
    below = np.cumsum(ranked)[:-1]
    low, high = below / count, (ranked.sum() - below) / (99 - count)
    best = int(np.argmax(count * (99 - count) * np.square(high - low)))
    return float(low[best] + high[best]) / 2


def _density(colours: np.ndarray, samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Parzen density of `colours` [n,3] among `samples` [m,3]."""
    from scipy.spatial.distance import cdist  # as above

    chosen = np.linspace(0, len(samples) - 1, min(MAX_SAMPLES, len(samples))).astype(int)
    kernel = np.exp(-0.5 * cdist(colours, samples[chosen], "sqeuclidean").astype(np.float32) / COLOUR_BANDWIDTH**2)
    return kernel @ (weights[chosen] / max(float(weights[chosen].sum()), 1e-6))


def _random_walk(picture: np.ndarray, prior: np.ndarray, depth: np.ndarray, length: float) -> np.ndarray:
    """The share of walkers from each cell [h,w] that end in the area meant; they get about `length` cells far."""
    from scipy import sparse  # as above
    from scipy.sparse.linalg import cg

    h, w = depth.shape
    number = np.arange(h * w).reshape(h, w)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    first, second = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    colours = picture.reshape(-1, 3)
    difference = np.square(colours[first] - colours[second]).sum(1)
    weights = length**2 * (np.exp(-difference / (2 * float(difference.mean()) + 1e-8)) + 1e-3)
    graph = sparse.coo_array((weights, (first, second)), shape=(h * w, h * w))
    graph = (graph + graph.T).tocsr()
    outside = depth.ravel() < -BAND  # held at 0
    own = np.where(outside, 1e4, 1.0)
    target = np.where(outside, 0.0, prior.ravel())
    matrix = sparse.diags_array(graph.sum(1) + own) - graph
    jacobi = sparse.diags_array(1 / matrix.diagonal())
    answer, _ = cg(matrix, own * target, x0=target, rtol=1e-3, maxiter=200, M=jacobi)
    return answer.reshape(h, w)


def soft_step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smoothstep between; float32."""
    return smoothstep(0, 1, x.astype(np.float32))


def resize(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Bilinear, [h,w] -> size, antialiased where it shrinks."""
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
