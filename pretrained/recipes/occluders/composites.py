"""Static things pasted before water and sky, and water and sky pasted in the same way, over views of landscapes.

What is pasted has a natural outline (parts of one colour of stones, bushes, animals, roofs), a keyed one (all that
stands before a plain sky), a drawn one (posts, piers, ropes, reeds, twigs, boats) or none in particular (stones).
Pieces of clouds, foam and glitter are pasted too, and do not count: otherwise a pasted edge would give things away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

STATIC, SKY = 0, 1
COLOURS = (5, 9)  # clusters of a source's colours, from which pieces with natural outlines are made
PIECE = (0.0004, 0.04)  # of the view: the size of pieces
KEY_NOISE, KEY_RANGE = 5.0, 0.10  # a keyed thing differs from the sky by so many deviations, then by this for sure
LEAST_SKY, LEAST_KEYED = 0.03, 0.05  # of a view: with less, its colours are not known; nothing is cut out
PLAIN = 0.05  # of [0, 1]: the deviation of a sky that is plain enough to be keyed
COVERED = 0.45  # of a view, at most, is what a keyed foreground covers
OVERSAMPLED = 3  # what is drawn
MIRRORED = 0.5  # of what is pasted over water has a reflection
BORDER, NEAR = 4, 6  # pixels: around the label's borders nothing is known; around what was pasted everything is
STATIC_WEIGHT, PASTED_WEIGHT = 0.3, 4.0  # of what the photo's label has as static; of what was pasted


@dataclass(frozen=True)
class Scene:
    """A view: colours [3,h,w] in [0,1], classes uint8 [h,w] (0 static, then the moving ones), known bool [h,w]."""

    image: Tensor
    label: Tensor
    known: Tensor


@dataclass(frozen=True)
class Composite:
    """image [3,h,w] in [0,1]; and, [h,w] each: the share that is static, the weight of knowing it (0 to 4), and where
    only the photo's label says that a place moves, which may have overlooked something thin."""

    image: Tensor
    static: Tensor
    weight: Tensor
    doubtful: Tensor


@dataclass(frozen=True)
class Layer:
    """What is pasted: colours [3,h,w] in [0,1], opacity [h,w]."""

    image: Tensor
    opacity: Tensor


Drawn = Callable[[np.random.Generator, Scene, Scene], Layer | None]


def add_static(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Something static of the source, to be pasted over what moves in the scene; None if nothing could be made."""
    kind = rng.choice(7, p=(0.26, 0.24, 0.11, 0.14, 0.08, 0.08, 0.09))
    if kind == 0:
        return _placed(rng, scene, source.image, _natural_piece(rng, source, moving=False))
    if kind == 1:
        return _foreground(rng, scene, source)
    if kind == 2:
        return _posts(rng, scene, source)
    if kind in (3, 4, 5):
        drawn: tuple[Drawn, ...] = (_twigs, _ropes, _reeds)
        return drawn[kind - 3](rng, scene, source)
    if rng.random() < 0.5:
        return _stones(rng, scene, source)
    return _placed(rng, scene, _texture(rng, source), _blob(rng, scene.label.shape))


def add_moving(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """A piece of what moves in the source, to be pasted over what moves in the scene."""
    return _placed(rng, scene, source.image, _natural_piece(rng, source, moving=True))


def composite(rng: np.random.Generator, scene: Scene, statics: list[Scene], movings: list[Scene]) -> Composite:
    """The scene with a static thing of each of `statics`, and a moving piece of each of `movings`."""
    image, moves = scene.image, (scene.label != STATIC).float()
    pasted, touched = torch.zeros_like(moves), torch.zeros_like(moves)
    order = [(add_moving, source) for source in movings] + [(add_static, source) for source in statics]
    for add, source in order:
        layer = add(rng, scene, source)
        if layer is None:
            continue
        opacity = layer.opacity * moves
        if add is add_static:
            if rng.random() < MIRRORED:
                image = _mirrored(rng, image, layer, scene.label)
            pasted = torch.maximum(pasted, opacity)
        image = image + opacity * (_matched(rng, layer.image, image, opacity) - image)
        touched = torch.maximum(touched, opacity)
    static, near = torch.maximum(1 - moves, pasted), _dilated(touched > 0.02, NEAR)
    border = _dilated(moves > 0, BORDER) & _dilated(moves == 0, BORDER)
    known = (scene.known & ~border).float() * torch.where(moves > 0, 1.0, STATIC_WEIGHT)
    weight = torch.where(near & (moves > 0), PASTED_WEIGHT / 2, known)
    weight = torch.where(pasted > 0.02, PASTED_WEIGHT, weight)
    return Composite(image.clamp(0, 1), static, weight, (moves > 0) & ~near)


# --- outlines


def _natural_piece(rng: np.random.Generator, source: Scene, moving: bool) -> np.ndarray | None:
    """Bool [h,w]: one or some neighbouring parts of one colour of what moves, or does not, in the source."""
    place = ((source.label != STATIC) == moving).numpy() & source.known.numpy()
    place = ndimage.binary_erosion(place, iterations=3)
    if place.mean() < 0.02:
        return None
    soft = ndimage.gaussian_filter(source.image.numpy(), (0, *(float(rng.uniform(0.7, 3)),) * 2))
    clusters = _clusters(rng, soft, place, int(rng.integers(*COLOURS)))
    parts, count = ndimage.label(clusters[0])
    for cluster in clusters[1:]:
        more, n = ndimage.label(cluster)
        parts[more > 0] = more[more > 0] + count
        count += n
    sizes = np.bincount(parts.ravel(), minlength=count + 1) / parts.size
    inside = np.ones(count + 1, bool)
    for rim in (parts[:2], parts[-2:], parts[:, :2], parts[:, -2:]):
        inside[np.unique(rim)] = False
    good = np.flatnonzero((sizes > PIECE[0]) & (sizes < PIECE[1]) & inside)
    if len(good) == 0:
        return None
    piece = parts == rng.choice(good)
    if rng.random() < 0.5:  # with some of its neighbours, so that things have more than one colour
        reach = int(rng.integers(3, 12))
        touching = np.bincount(parts[ndimage.binary_dilation(piece, iterations=reach)], minlength=count + 1)
        joined = (touching > 0.3 * sizes * parts.size) & (sizes < PIECE[1] / 2)
        joined[0] = False
        piece |= joined[parts]
        piece = ndimage.binary_closing(np.pad(piece, 4), iterations=2)[4:-4, 4:-4]
    return ndimage.binary_fill_holes(piece) if rng.random() < 0.8 else piece


def _clusters(rng: np.random.Generator, image: np.ndarray, place: np.ndarray, count: int) -> list[np.ndarray]:
    """Bool [h,w] each: the places of k-means clusters of colours."""
    colours = image[:, place].T
    sample = colours[rng.choice(len(colours), min(2000, len(colours)), replace=False)]
    centres = sample[rng.choice(len(sample), count, replace=False)]
    for _ in range(4):
        nearest = np.square(sample[:, None] - centres[None]).sum(2).argmin(1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = sample[nearest == k].mean(0)
    index = np.zeros(place.shape, int)
    index[place] = 1 + np.square(colours[:, None] - centres[None]).sum(2).argmin(1)
    return [index == k for k in range(1, count + 1)]


def _blob(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Bool [h,w]: a rough ellipse, such as a stone, a bush or an islet, some flat below."""
    h, w = shape
    height = h * math.exp(rng.uniform(math.log(0.02), math.log(0.2)))
    width = height * math.exp(rng.uniform(-0.4, 1.6))
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    y, x = (y - h / 2) / height * 2, (x - w / 2) / width * 2
    rough = ndimage.gaussian_filter(rng.normal(0, 1, shape), height / rng.uniform(3, 12))
    radius = 1 + rng.uniform(0.05, 0.4) * rough / rough.std()
    piece = np.hypot(y, x) < radius
    return piece & (y < rng.uniform(0.1, 1)) if rng.random() < 0.6 else piece


def _foreground(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """All that stands before a plain sky in the source, keyed, moved until it covers less than half of the view."""
    sky = ndimage.binary_erosion((source.label == SKY).numpy(), iterations=12)
    keyed = key_sky(source, sky)
    if keyed is None or keyed.noise > PLAIN or sky.mean() < LEAST_KEYED:
        return None
    key, image = keyed.opacity, source.image
    if rng.random() < 0.35:  # hanging from above
        key, image = key.flip(0), image.flip(1)
    shift = 0
    while float(key[: key.shape[0] - shift].mean()) * (1 - shift / len(key)) > COVERED and shift < 0.9 * len(key):
        shift += len(key) // 12
    if rng.random() < 0.5:
        shift = int(rng.uniform(shift, 0.9 * len(key)))
    upright = float(key[-1].mean()) > float(key[0].mean())
    by = shift if upright else -shift
    key, image = _moved(key[None], by, 0)[0], _moved(image, by, 0)
    return Layer(image, key) if 0.002 < float(key.mean()) < 0.8 else None


@dataclass(frozen=True)
class Keyed:
    """opacity [h,w] of what stands before a sky; difference [h,w] from that sky's colours; noise: what three quarters
    of the sky differ by at most."""

    opacity: Tensor
    difference: np.ndarray
    noise: float


def key_sky(source: Scene, sky: np.ndarray) -> Keyed | None:
    """What stands before a sky, by how much a place differs from a quadratic fit of its colours; None if there is
    hardly any. sky: bool [h,w], what surely is."""
    h, w = sky.shape
    if sky.mean() < LEAST_SKY:
        return None
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).reshape(6, -1)
    places = np.flatnonzero(sky)[:: max(1, int(sky.sum()) // 4000)]
    colours = source.image.numpy().reshape(3, -1)
    fit, *_ = np.linalg.lstsq(terms[:, places].T, colours[:, places].T, rcond=None)
    difference = np.abs(colours - (terms.T @ fit).T).max(0).reshape(h, w)
    noise = float(np.quantile(difference[sky], 0.75))
    opacity = ((difference - KEY_NOISE * noise) / KEY_RANGE).clip(0, 1)
    far = ndimage.distance_transform_edt(source.label.numpy() != STATIC)
    opacity[far > 0.06 * min(h, w)] = 0  # clouds, birds
    inner = ndimage.binary_erosion((source.label == STATIC).numpy(), iterations=5, border_value=1)
    return Keyed(torch.from_numpy(np.maximum(opacity, inner).astype(np.float32)), difference, noise)


# --- drawn


def _canvas(shape: tuple[int, ...]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("L", (shape[1] * OVERSAMPLED, shape[0] * OVERSAMPLED))
    return picture, ImageDraw.Draw(picture)


def _opacity(picture: Image.Image) -> Tensor:
    return F.avg_pool2d(torch.from_numpy(np.array(picture, np.float32))[None] / 255, OVERSAMPLED)[0]


def _line(draw: ImageDraw.ImageDraw, points: np.ndarray, width: float) -> None:
    """points [n,2] as (x, y), width in pixels of the view."""
    scaled = [tuple(float(v) * OVERSAMPLED for v in p) for p in points]
    draw.line(scaled, fill=255, width=max(1, round(width * OVERSAMPLED)), joint="curve")


def _spot(rng: np.random.Generator, scene: Scene, water: bool) -> tuple[float, float] | None:
    """Row and column of a place that moves; with `water`, one that is no sky if there is such a place."""
    moves = (scene.label != STATIC).numpy()
    if water and ((scene.label > SKY).float().mean() > 0.03):
        moves = (scene.label > SKY).numpy()
    places = np.flatnonzero(moves)
    if len(places) == 0:
        return None
    y, x = np.unravel_index(rng.choice(places), moves.shape)
    return float(y), float(x)


def _posts(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Posts, with or without rails, planks, ropes and roofs; or the hulls and masts of boats."""
    h, w = scene.label.shape
    spot = _spot(rng, scene, water=rng.random() < 0.8)
    if spot is None:
        return None
    picture, draw = _canvas((h, w))
    y, x = spot
    height = h * math.exp(rng.uniform(math.log(0.03), math.log(0.35)))
    width = max(1.0, height * math.exp(rng.uniform(math.log(0.02), math.log(0.2))))
    kind, rows = rng.integers(4), rng.integers(1, 3)
    tilt = rng.normal(0, 0.03, 2)
    if kind == 3:  # a boat
        length = height * rng.uniform(0.3, 2.5)
        hull = np.array([(-0.5, -0.12), (0.5, -0.16), (0.38, 0.06), (-0.4, 0.06)]) * length
        draw.polygon([((x + a) * OVERSAMPLED, (y + b) * OVERSAMPLED) for a, b in hull], fill=255)
        for at in rng.uniform(-0.3, 0.3, rng.integers(0, 3)):
            _line(draw, np.array([(x + at * length, y), (x + at * length, y - height)]), max(0.8, width / 3))
        if rng.random() < 0.5:
            box = np.array([(-0.2, -0.32), (0.15, -0.32), (0.2, -0.1), (-0.25, -0.1)]) * length
            draw.polygon([((x + a) * OVERSAMPLED, (y + b) * OVERSAMPLED) for a, b in box], fill=255)
        return _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))
    count = int(rng.integers(1, 9))
    pace = height * math.exp(rng.uniform(-1.2, 0.7))
    shrink = rng.uniform(0.85, 1.05) if count > 2 else 1.0
    feet = []
    for _ in range(rows):
        at, tall = np.array([x, y]), height
        for _ in range(count):
            lean = rng.normal(tilt[0], 0.03)
            top = at + np.array([lean, -1]) * tall * math.exp(rng.normal(0, 0.15 if kind == 0 else 0.02))
            _line(draw, np.array([at, top]), max(0.8, width * tall / height))
            feet.append((at, top))
            at = at + np.array([pace * tall / height, tilt[1] * pace])
            tall *= shrink
        x, y = x + rng.uniform(-0.5, 0.5) * pace, y + rng.uniform(-0.2, 0.2) * height
    if kind >= 1 and count > 1:
        for share in rng.uniform(0.4, 1.0, rng.integers(1, 4)):
            rail = np.array([foot + share * (top - foot) for foot, top in feet[:count]])
            sag = rng.uniform(0, 0.2) * pace if rng.random() < 0.3 else 0.0
            rail = _sagging(rail, sag)
            thick = width * rng.uniform(0.2, 1.4) if sag == 0 else max(0.7, width * 0.2)
            _line(draw, rail, max(0.7, thick))
    return _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))


def _sagging(points: np.ndarray, sag: float) -> np.ndarray:
    if sag == 0:
        return points
    along = np.linspace(0, 1, 8)[:, None]
    hung = np.array([0, sag]) * (4 * along * (1 - along))
    return np.concatenate([a + along * (b - a) + hung for a, b in pairwise(points)])


def _ropes(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Ropes, chains and wires that sag, one or some from the same place; thin, and twisted ones in two colours."""
    h, w = scene.label.shape
    spot = _spot(rng, scene, water=rng.random() < 0.75)
    if spot is None:
        return None
    picture, draw = _canvas((h, w))
    middle, width = np.array(spot[::-1]), math.exp(rng.uniform(math.log(0.6), math.log(3.5)))
    half = np.array([w, h]) * rng.uniform(0.05, 0.8) * (1, rng.normal(0, 0.35)) * rng.choice([-1, 1])
    first, sag = middle - half, rng.uniform(0, 0.25) * abs(float(half[0]))
    for _ in range(int(rng.integers(1, 4))):
        last = middle + half + rng.normal(0, 0.06, 2) * (w, h)
        _line(draw, _sagging(np.array([first, last]), sag), width)
        first = first + rng.normal(0, 0.02, 2) * (w, h) if rng.random() < 0.6 else first
    layer = _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))
    if rng.random() < 0.4:
        pace = rng.uniform(3, 9)
        turns = torch.from_numpy(np.sin(np.add.outer(np.arange(h), np.arange(w)) * 2 * math.pi / pace)).float()
        layer = Layer((layer.image * (1 + rng.uniform(0.1, 0.5) * turns)).clamp(0, 1), layer.opacity)
    return layer


def _reeds(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Grass or reeds in one or some clumps, some with ears."""
    h, w = scene.label.shape
    spot = _spot(rng, scene, water=rng.random() < 0.75)
    if spot is None:
        return None
    picture, draw = _canvas((h, w))
    length = h * math.exp(rng.uniform(math.log(0.03), math.log(0.4)))
    width, eared = math.exp(rng.uniform(math.log(0.6), math.log(3.0))), rng.random() < 0.3
    spread = np.array([w * rng.uniform(0.01, 0.12), length * 0.15])
    along = np.linspace(0, 1, 6)[:, None]
    for _ in range(int(rng.integers(1, 5))):
        clump, wind = np.array(spot[::-1]) + rng.normal(0, 0.08, 2) * (w, h * 0.3), rng.normal(0, 0.25)
        for _ in range(int(rng.integers(3, 50))):
            tall, lean = length * math.exp(rng.normal(0, 0.3)), wind + rng.normal(0, 0.2)
            blade = clump + rng.normal(0, 1, 2) * spread + along * np.array([0, -tall])
            blade = blade + along**2 * np.array([lean * tall, 0.3 * abs(lean) * tall])
            _line(draw, blade, width)
            if eared:
                _line(draw, blade[-2:], width * rng.uniform(1.5, 4))
    return _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))


def _twigs(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Branches that divide, with or without leaves."""
    h, w = scene.label.shape
    spot = _spot(rng, scene, water=rng.random() < 0.6)
    if spot is None:
        return None
    picture, draw = _canvas((h, w))
    end = np.array(spot[::-1])
    leafy, budget = rng.random() < 0.6, 220
    length = h * math.exp(rng.uniform(math.log(0.08), math.log(0.5)))
    angle = rng.uniform(0, 2 * math.pi)
    start = end - length * np.array([math.cos(angle), math.sin(angle)])
    stack = [(start, angle, length * rng.uniform(0.4, 0.7), max(0.9, length * rng.uniform(0.01, 0.05)), 0)]
    leaf = h * math.exp(rng.uniform(math.log(0.006), math.log(0.04)))
    while stack and budget > 0:
        at, angle, length, width, depth = stack.pop(0)
        budget -= 1
        bends = angle + np.cumsum(rng.normal(0, 0.12, 5))
        path = at + np.cumsum(length / 5 * np.stack([np.cos(bends), np.sin(bends)], 1), 0)
        _line(draw, np.concatenate([at[None], path]), max(0.6, width))
        if leafy and depth > 0:
            for _ in range(int(rng.integers(1, 6))):
                _leaf(rng, draw, path[rng.integers(5)] + rng.normal(0, leaf, 2), leaf * rng.uniform(0.5, 1.3))
        if depth < 5 and length > 4:
            for _ in range(int(rng.integers(1, 4))):
                turn = bends[-1] + rng.normal(0, 0.55)
                stack.append((path[rng.integers(2, 5)], turn, length * rng.uniform(0.45, 0.9), width * 0.65, depth + 1))
    return _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))


def _stones(rng: np.random.Generator, scene: Scene, source: Scene) -> Layer | None:
    """Small stones, tussocks or skerries side by side, rounded above, most of them flat below, lit from above."""
    h, w = scene.label.shape
    spot = _spot(rng, scene, water=rng.random() < 0.9)
    if spot is None:
        return None
    picture, draw = _canvas((h, w))
    size = h * math.exp(rng.uniform(math.log(0.008), math.log(0.05)))
    spread = np.array([rng.uniform(0.02, 0.25) * w, rng.uniform(0.005, 0.08) * h])
    around = np.linspace(0, 2 * math.pi, 15)[:-1]
    for _ in range(int(rng.integers(1, 25))):
        centre = np.array(spot[::-1]) + rng.normal(0, 1, 2) * spread
        radius = size / 2 * math.exp(rng.normal(0, 0.5)) * (1 + rng.normal(0, 0.12, len(around)))
        points = np.stack([np.cos(around) * radius * rng.uniform(0.7, 2.5), -np.sin(around) * radius], 1)
        points[:, 1] = points[:, 1].clip(max=float(rng.uniform(0, 1)) * size / 2)
        draw.polygon([tuple(float(v) * OVERSAMPLED for v in centre + point) for point in points], fill=255)
    layer = _dyed(rng, Layer(_texture(rng, source), _opacity(picture)))
    above = layer.opacity - _moved(layer.opacity[None], max(1, round(size / 4)), 0)[0]
    return Layer((layer.image * (1 + rng.uniform(-0.2, 0.7) * above)).clamp(0, 1), layer.opacity)


def _leaf(rng: np.random.Generator, draw: ImageDraw.ImageDraw, at: np.ndarray, size: float) -> None:
    turn, slim = rng.uniform(0, math.pi), rng.uniform(0.25, 0.8)
    around = np.linspace(0, 2 * math.pi, 9)[:-1]
    x, y = np.cos(around) * size, np.sin(around) * size * slim
    c, s = math.cos(turn), math.sin(turn)
    points = [((at[0] + c * a - s * b) * OVERSAMPLED, (at[1] + s * a + c * b) * OVERSAMPLED)
              for a, b in zip(x, y, strict=True)]
    draw.polygon(points, fill=255)


# --- colours and places


def _texture(rng: np.random.Generator, source: Scene) -> Tensor:
    """[3,h,w]: what is static in the source, and around it its reflection, so that all of the view has a texture."""
    static = (source.label == STATIC).numpy()
    if not static.any():
        return source.image
    rows, columns = ndimage.distance_transform_edt(~static, return_distances=False, return_indices=True)
    h, w = static.shape
    y, x = np.mgrid[0:h, 0:w]
    rows, columns = (2 * rows - y).clip(0, h - 1), (2 * columns - x).clip(0, w - 1)
    image = source.image[:, torch.from_numpy(rows), torch.from_numpy(columns)]
    return _moved(image, int(rng.integers(h)), int(rng.integers(w)), wrap=True)


def _dyed(rng: np.random.Generator, layer: Layer) -> Layer:
    """In one colour, to some degree, with one side in the light, as thin things are; some dark, some sunlit."""
    inside = layer.opacity > 0.5
    if not bool(inside.any()):
        return layer
    mean = layer.image[:, inside].mean(1)[:, None, None]
    flat = rng.uniform(0, 1) ** 0.5
    image = layer.image + flat * (mean - layer.image)
    shade = rng.random()
    if shade < 0.3:
        image = image * rng.uniform(0.05, 0.5)
    elif shade < 0.5:  # in the sun
        image = image * rng.uniform(1.2, 2.4) + torch.tensor((0.1, 0.05, 0.0))[:, None, None] * rng.uniform(0, 1)
    side = layer.opacity - _moved(layer.opacity[None], 0, int(rng.choice([-2, -1, 1, 2])))[0]
    return Layer((image * (1 + rng.uniform(0, 0.5) * side)).clamp(0, 1), layer.opacity)


def _placed(rng: np.random.Generator, scene: Scene, image: Tensor, piece: np.ndarray | None) -> Layer | None:
    """A piece of an image, moved to a random place that moves in the scene."""
    if piece is None or not piece.any():
        return None
    spot = _spot(rng, scene, water=rng.random() < 0.65)
    if spot is None:
        return None
    rows, columns = np.nonzero(piece)
    soft = torch.from_numpy(ndimage.gaussian_filter(piece.astype(np.float32), float(rng.uniform(0.4, 1.0))))
    dy, dx = round(spot[0] - rows.mean()), round(spot[1] - columns.mean())
    return Layer(_moved(image, dy, dx), _moved(soft[None], dy, dx)[0])


def _matched(rng: np.random.Generator, image: Tensor, behind: Tensor, opacity: Tensor) -> Tensor:
    """In a light that is nearer to that of what is behind."""
    weight = opacity / opacity.sum().clamp_min(1e-3)
    own, other = (image * weight).sum((1, 2)), (behind * weight).sum((1, 2))
    gain = ((other + 0.05) / (own + 0.05)).clamp(0.4, 2.0) ** rng.uniform(0, 0.9)
    return (image * gain[:, None, None] * math.exp(rng.normal(0, 0.2))).clamp(0, 1)


def _mirrored(rng: np.random.Generator, image: Tensor, layer: Layer, label: Tensor) -> Tensor:
    """The image with a reflection of the layer in the water below its lowest place: it belongs to the water."""
    rows = torch.nonzero(layer.opacity.amax(1) > 0.5)[:, 0]
    if len(rows) == 0:
        return image
    foot, h = int(rows.max()), image.shape[1]
    if foot >= h - 4:
        return image
    source = (2 * foot - torch.arange(h)).clamp(0, h - 1)
    below = (torch.arange(h) > foot).float()[:, None]
    waves = torch.from_numpy(ndimage.gaussian_filter1d(rng.normal(0, 1, h), 1.5)).float() * rng.uniform(0, 6)
    columns = (torch.arange(image.shape[2])[None] + waves[:, None]).round().long().clamp(0, image.shape[2] - 1)
    opacity = layer.opacity[source].gather(1, columns) * below * (label > SKY) * rng.uniform(0.2, 0.8)
    colours = layer.image[:, source].gather(2, columns.expand(3, -1, -1)) * rng.uniform(0.4, 1.0)
    return image + opacity * (colours - image)


def _moved(image: Tensor, down: int, right: int, wrap: bool = False) -> Tensor:
    """[C,h,w] moved by whole pixels; what comes in is 0, or what leaves."""
    moved = image.roll((down, right), (1, 2))
    if not wrap:
        if down:
            moved[:, slice(0, down) if down > 0 else slice(down, None)] = 0
        if right:
            moved[:, :, slice(0, right) if right > 0 else slice(right, None)] = 0
    return moved


def _dilated(places: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(places.float()[None], 2 * radius + 1, 1, radius)[0] > 0
