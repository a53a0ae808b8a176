"""A rough brush stroke, fitted to the edges of the picture under it.

Whoever paints over a rock means the rock, and not the rim of water that the brush took along. Colours under the brush
are told from colours beside it, and a random walker with priors (Grady, "Multilabel random walker image segmentation
using prior models", CVPR 2005) has neighbours of like colour share one answer. Where the brush covers nothing that is
unlike its surroundings, it counts as it was drawn. Nothing further than `BAND` past its border ever changes.

NumPy and SciPy only: editing needs no PyTorch.
"""

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.spatial.distance import cdist

BAND = 0.3  # of the brush's radius: so far past its border may the edge be that was meant
CELLS = 40_000  # of the grid on which the walkers walk
PIXELS = 1 << 20  # of the grid on which distances are counted and between whose points they are interpolated
FINE = 16  # of its cells a radius covers; that grid is finer for a thinner brush
SAMPLES = 300  # colours kept of each side
ALIKE = 0.08  # of [0,1]: distance of colours that count as one
TRUST = 1.0  # logit of the brush itself, in its middle; less towards its border
BRUSH = 12.0  # the same where colours tell nothing
PARTED = 0.75  # logits between unlike colours under the brush, from which on they tell all
CERTAIN = 0.5  # a colour's logit from which on it is certainly unlike those beside the brush
BELIEF = 3.0  # the most that colours say, as a logit
SPREAD = 0.4  # of the radius: how far neighbours of one colour share what they look like, where colours tell

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels


def painted(photo: np.ndarray, points: np.ndarray, radius: float) -> tuple[Box, np.ndarray]:
    """What a stroke over a photo uint8 [H,W,3] means: a box, and in it float32 [h,w] in [0,1].

    points: [n,2], x and y in pixels; one is a dot. radius: of the brush, pixels.
    """
    box, distance = brushed(photo.shape[:2], points, radius, reach=(2 + BAND) * radius)
    picture = photo[box[0] : box[2], box[1] : box[3]]
    scale = min(1.0, math.sqrt(CELLS / distance.size))
    rows, columns = (max(2, round(n * scale)) for n in distance.shape)
    channels = (np.ascontiguousarray(picture[..., k], dtype=np.float32) for k in range(3))
    small = np.stack([_resized(channel, (rows, columns)) / 255 for channel in channels], axis=2)
    depth = 1 - _resized(distance, (rows, columns)) / radius  # 1 in the stroke's middle, 0 at the brush's border
    belief, unlike = _believed(small, depth)
    answer = _walked(small, belief, depth, SPREAD * unlike * radius * scale)
    fine = _enlarged(answer, distance.shape)
    fine[distance >= (1 + BAND) * radius] = 0
    return box, fine


def brushed(
    size: tuple[int, ...], points: np.ndarray, radius: float, reach: float | None = None
) -> tuple[Box, np.ndarray]:
    """The box around a stroke, `reach` pixels wider than its line, and each pixel's distance to the line [h,w]."""
    reach = radius if reach is None else reach
    low = np.floor(points.min(0) - reach).astype(int) - 1
    high = np.ceil(points.max(0) + reach).astype(int) + 2
    left, top = (int(np.clip(low[i], 0, size[1 - i] - 2)) for i in (0, 1))
    right, bottom = (int(np.clip(high[i], (left, top)[i] + 2, size[1 - i])) for i in (0, 1))
    scale = min(1.0, max(math.sqrt(PIXELS / ((bottom - top) * (right - left))), FINE / radius))
    rows, columns = (max(2, round(n * scale)) for n in (bottom - top, right - left))
    margin = math.ceil(scale * radius) + 1  # the line may run outside of the photo
    line = Image.new("L", (columns + 2 * margin, rows + 2 * margin), 255)
    across, down = columns / (right - left), rows / (bottom - top)
    at = [(float(x - left) * across + margin - 0.5, float(y - top) * down + margin - 0.5) for x, y in points]
    draw = ImageDraw.Draw(line)
    draw.line(at, fill=0) if len(at) > 1 else draw.point(at, fill=0)
    draw.point(at[0], fill=0)
    distance = ndimage.distance_transform_edt(np.asarray(line), sampling=(1 / down, 1 / across))
    distance = distance[margin:-margin, margin:-margin].astype(np.float32)
    return (top, left, bottom, right), _resized(distance, (bottom - top, right - left))


def _believed(picture: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, float]:
    """How likely each place [h,w] belongs to what was meant, by its colour and by how deep under the brush it is; and
    how much, in [0,1], colours under the brush are unlike those beside it."""
    colours = picture.reshape(-1, 3)
    inside, outside = (depth > 0).ravel(), (depth < -BAND).ravel()
    place = np.clip(2 * depth, -1, 1).ravel()
    if not (inside.any() and outside.any()):
        return _logistic(BRUSH * place).reshape(depth.shape), 0.0
    under = _density(colours, colours[inside], (0.5 + 0.5 * depth).ravel()[inside])
    beside = _density(colours, colours[outside], np.ones(int(outside.sum())))
    told = np.log((under + 1e-4) / (beside + 1e-4))
    low, high = np.quantile(told[inside], (0.1, 0.9))
    unlike = min(float(high - low) / PARTED, 1.0)
    # water a little darker than that around it is water still: what stands out from it was meant
    told = np.clip(told - np.clip(_middle(told[inside]), 0, CERTAIN), -BELIEF, BELIEF)
    return _logistic(told + (unlike * TRUST + (1 - unlike) * BRUSH) * place).reshape(depth.shape), unlike


def _middle(values: np.ndarray) -> float:
    """Half-way between the means of low and high values, parted as Otsu does (1979)."""
    ranked = np.quantile(values, np.linspace(0.01, 0.99, 99))
    count = np.arange(1, 99)
    below = np.cumsum(ranked)[:-1]
    low, high = below / count, (ranked.sum() - below) / (99 - count)
    best = int(np.argmax(count * (99 - count) * np.square(high - low)))
    return float(low[best] + high[best]) / 2


def _density(colours: np.ndarray, samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Parzen's estimate of how common each of `colours` [n,3] is among `samples` [m,3]."""
    chosen = np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int)
    kernel = np.exp(-0.5 * cdist(colours, samples[chosen], "sqeuclidean").astype(np.float32) / ALIKE**2)
    return kernel @ (weights[chosen] / max(float(weights[chosen].sum()), 1e-6))


def _walked(picture: np.ndarray, belief: np.ndarray, depth: np.ndarray, reach: float) -> np.ndarray:
    """The share of walkers from each place [h,w] that end in what was meant; they get about `reach` cells far."""
    h, w = depth.shape
    number = np.arange(h * w).reshape(h, w)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    first, second = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    colours = picture.reshape(-1, 3)
    unlike = np.square(colours[first] - colours[second]).sum(1)
    ties = reach**2 * (np.exp(-unlike / (2 * float(unlike.mean()) + 1e-8)) + 1e-3)
    joined = sparse.coo_array((ties, (first, second)), shape=(h * w, h * w))
    joined = (joined + joined.T).tocsr()
    own = np.where(depth.ravel() < -BAND, 1e4, 1.0)  # past the band nothing changes
    wanted = np.where(depth.ravel() < -BAND, 0.0, belief.ravel())
    matrix = sparse.diags_array(joined.sum(1) + own) - joined
    jacobi = sparse.diags_array(1 / matrix.diagonal())
    answer, _ = cg(matrix, own * wanted, x0=wanted, rtol=1e-3, maxiter=200, M=jacobi)
    return answer.reshape(h, w)


def _enlarged(answer: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The answer [h,w] at that size, a narrow soft border where it is one half."""
    fine = _resized(answer.astype(np.float32), size)
    t = np.clip((fine - 0.35) / 0.3, 0, 1)
    return t * t * (3 - 2 * t)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _resized(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if image.shape == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
