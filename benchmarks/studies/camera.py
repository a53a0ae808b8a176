"""Which of two places in a photo is nearer, and loops in which the camera moves: see docs/notes/camera.md.

    python -m benchmarks.studies.camera PHOTOS [--loops DIR NAME...]

depth_order.csv has twelve points a photo, "x,y" in fractions of it, and their order, the nearest first; those that are
about equally far are not separated. What was ordered by two readers, independently, is for the test, as far as both
agree; the rest is to fit. A place's nearness is a linear function of its row and of what the eye's backbone knows of
it, fitted to the order of pairs (Joachims, "Optimizing search engines using clickthrough data", 2002), as in Chen et
al., "Single-image depth perception in the wild" (2016). --loops writes two videos of each photo, without a camera and
with one that moves on a circle, by the second of the two designs.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import spsolve
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import load_networks, photo_parser, read_label
from benchmarks.tables import save, table
from stylecine import Animator, NothingMoves
from stylecine.networks.eye import Eye
from stylecine.ops.image import blur, dilate, fit_short_side, network_size, resize, to_tensor
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import CLASSES, SKY, WATER
from stylecine.output.writing import write_output
from stylecine.perception.depth import judge_depth
from stylecine.perception.refine import follow_edges
from stylecine.picture.photo import load_photo

ORDER = Path(__file__).with_name("depth_order.csv")
SHORT_SIDE = 640  # of what the eye sees, and of loops
RIDGE = 0.03  # weight of the squared coefficients, of features divided by their deviations
HIGHER = 0.1  # of the height: rows alone do not tell a pair whose nearer point lies at most so much lower, or higher
EXPONENT = 1.6  # from the fitted order, from 0 to 1, to displacements
STRENGTH = 0.015  # of the short side, by which the nearest moves
SECONDS, FPS = 4.0, 12
# Nearness is smoothed over a grid: each place is drawn to what was fitted there, and to its neighbours.
GRID = 128  # its short side
FITTED, FITTED_UPRIGHT, UPRIGHT, COLOUR = 1.0, 0.1, 8.0, 0.1  # weights, and the difference of colours that separates
GROUND = (4, 7, 10, 12, 14, 22, 27, 29, 30)  # classes of PHOTOS/classes that lie flat; all others but 0 and 3 stand
RIM = 0.12  # of the short side: towards the picture's borders what crosses them comes to rest

Pairs = list[tuple[int, int]]  # the first is nearer


class Ordered(NamedTuple):
    points: Tensor  # [12,2], x and y
    pairs: Pairs


class Linear(NamedTuple):
    """A linear function of features [C,...]."""

    mean: Tensor
    deviation: Tensor
    weights: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        scaled = (features.flatten(1).T - self.mean) / self.deviation
        return (scaled @ self.weights).view(features.shape[1:])


def main() -> None:
    parser = photo_parser(__doc__, "camera")
    parser.add_argument("--loops", nargs="+", metavar=("DIR", "NAME"), help="where to write loops, and of which photos")
    options = parser.parse_args()
    networks, settings = load_networks(options.model)
    test, training = read_order(ORDER)
    names = [*test, *training][: options.limit]
    folder, *chosen = options.loops or [""]
    every = tqdm(dict.fromkeys([*names, *chosen]), desc="camera", disable=None)
    seen = {name: look(options.folder, name, networks.eye) for name in every}
    known = {name: training[name] for name in names if name in training}
    order = fit_order({name: (at(seen[name], ordered.points), ordered.pairs) for name, ordered in known.items()})
    judges: dict[str, Callable[[str, Tensor], Tensor]] = {
        "row": lambda name, points: points[:, 1],
        "row, sky last": lambda name, points: points[:, 1] - 2 * (at(sky_of(seen[name])[None], points)[0] > 0.5),
        "perception.depth": lambda name, points: -at(depth_of(options.folder, name, seen[name])[None], points)[0],
        "fitted": lambda name, points: at(order(seen[name])[None], points)[0],
    }
    shown = [name for name in names if name in test]
    rows = [{"judge": name, **accuracy(judge, {n: test[n] for n in shown})} for name, judge in judges.items()]
    columns = ("judge", "pairs", "right", "right_mean_photo", "photos_below_0.8", "hard_pairs", "hard_right")
    save(options.out, {"machine": machine(), "settings": settings, "rows": rows}, table(rows, columns))
    if chosen:
        upright = fit_upright(options.folder, {name: seen[name] for name in known})
        animator = Animator.from_pretrained()
        for name in chosen:
            photo = options.folder / "images" / f"{name}.jpg"
            write_loops(photo, seen[name], animator, order, upright, Path(folder))


def read_order(path: Path) -> tuple[dict[str, Ordered], dict[str, Ordered]]:
    """What is for the test, and what is to fit."""
    test: dict[str, Ordered] = {}
    training: dict[str, Ordered] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            points = torch.tensor([[float(x) for x in point.split(",")] for point in row["points"].split()])
            groups = [[int(point) - 1 for point in group.split()] for group in row["order"].split(";")]
            pairs = [pair for near, far in combinations(groups, 2) for pair in product(near, far)]
            if row["reader"] and row["photo"] in test:
                pairs = sorted(set(pairs) & set(test[row["photo"]].pairs))
            (test if row["reader"] else training)[row["photo"]] = Ordered(points, pairs)
    return test, training


@torch.inference_mode()
def look(folder: Path, name: str, eye: Eye) -> Tensor:
    """Features [C,h/16,w/16]: row, its square, distance from the middle column, share of sky; the eye's backbone at
    1/16 and 1/32; classes. The mean of a photo and its mirror image."""
    image = to_tensor(load_photo(folder / "images" / f"{name}.jpg", SHORT_SIDE))
    image = resize(image, network_size(image.shape[1:], SHORT_SIDE))
    views = []
    for view in (image, image.flip(2)):
        features = eye.backbone(view[None].contiguous(memory_format=torch.channels_last))
        classes = eye.sight(view[None], features, eye.decoder.decoded(features)).classes.float().exp()
        size = (features[3].shape[2], features[3].shape[3])
        maps = [features[3][0].float(), resize(features[4][0].float(), size), resize(classes[0], size)]
        views.append(torch.cat(maps))
    both = (views[0] + views[1].flip(2)) / 2
    height, width = both.shape[1:]
    row = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    column = ((torch.arange(width) + 0.5) / width - 0.5).abs().expand(height, width)
    sky = both[-len(CLASSES) + SKY].mean().expand(height, width)
    return torch.cat([torch.stack([row, row.square(), column, sky]), both])


def sky_of(seen: Tensor) -> Tensor:
    """[h,w]: of what `look` saw."""
    return seen[-len(CLASSES) + SKY]


def depth_of(folder: Path, name: str, seen: Tensor) -> Tensor:
    """The engine's depth, which weather needs, [h,w]."""
    photo = torch.from_numpy(load_photo(folder / "images" / f"{name}.jpg", SHORT_SIDE))
    sky = resize(sky_of(seen)[None], photo.shape[:2])[0]
    return judge_depth(photo, (sky > 0.5).float()).at((seen.shape[1], seen.shape[2]))


def at(maps: Tensor, points: Tensor) -> Tensor:
    """Maps [C,h,w] at points [n,2]: [C,n]."""
    places = (points * 2 - 1)[None, None]
    return F.grid_sample(maps[None], places, padding_mode="border", align_corners=False)[0, :, 0]


def fit_order(known: dict[str, tuple[Tensor, Pairs]]) -> Linear:
    """From features [C,12] of photos, and their pairs."""
    every = torch.cat([features for features, _ in known.values()], 1)
    mean, deviation = every.mean(1), every.std(1) + 1e-3
    differences, weights = [], []
    for features, pairs in known.values():
        if pairs:
            near, far = torch.tensor(pairs).T
            differences.append(((features[:, near] - features[:, far]).T / deviation).numpy())
            weights.append(np.full(len(pairs), len(pairs) ** -0.5))
    matrix, weight = np.concatenate(differences), np.concatenate(weights)
    weight /= weight.sum()
    penalty = np.full(matrix.shape[1], RIDGE)
    penalty[:4] = 1e-5  # of the row and what else is no feature

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = matrix @ w
        slope = -(weight / (1 + np.exp(margin.clip(-50, 50)))) @ matrix + 2 * penalty * w
        return float((weight * np.logaddexp(0, -margin)).sum() + (penalty * w * w).sum()), slope

    found = minimize(loss, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 80}).x
    return Linear(mean, deviation, torch.from_numpy(found).float())


def fit_upright(folder: Path, seen: dict[str, Tensor]) -> Linear:
    """Whether a place stands upright, by the classes that a parser of scenes took it for: a logit."""
    samples, labels = [], []
    for name, features in seen.items():
        size = features.shape[1], features.shape[2]
        classes = torch.from_numpy(read_label(folder / "classes" / f"{name}.png", size).astype(np.int64))
        known = (classes != 0) & (classes != 3)
        samples.append(features[:, known].T)
        labels.append(~torch.isin(classes[known], torch.tensor(GROUND)))
    matrix, upright = torch.cat(samples), torch.cat(labels).float()
    mean, deviation = matrix.mean(0), matrix.std(0) + 1e-3
    matrix = (matrix - mean) / deviation
    weights = torch.zeros(matrix.shape[1], requires_grad=True)
    descent = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        error = F.binary_cross_entropy_with_logits(matrix @ weights, upright) + 1e-3 * weights.square().sum()
        error.backward()
        return error

    descent.step(loss)
    return Linear(mean, deviation, weights.detach())


def accuracy(judge: Callable[[str, Tensor], Tensor], test: dict[str, Ordered]) -> dict[str, Any]:
    """Shares of pairs that are ordered rightly; half of one if both are equal."""
    photos: list[list[float]] = []
    hard: list[float] = []
    for name, (points, pairs) in test.items():
        scores = judge(name, points)
        right = [(float(scores[a] > scores[b]) + float(scores[a] >= scores[b])) / 2 for a, b in pairs]
        hard += [x for x, (a, b) in zip(right, pairs, strict=True) if points[a, 1] < points[b, 1] + HIGHER]
        photos += [right] if right else []
    every, means = np.concatenate(photos), [float(np.mean(right)) for right in photos]
    return {
        "pairs": len(every),
        "right": float(np.mean(every)),
        "right_mean_photo": float(np.mean(means)),
        "photos_below_0.8": sum(x < 0.8 for x in means),
        "hard_pairs": len(hard),
        "hard_right": float(np.mean(hard)),
    }


@torch.inference_mode()
def nearness(photo: np.ndarray, seen: Tensor, mirrors: Tensor, order: Linear, upright: Linear) -> Tensor:
    """How near each place of a photo is, [H,W] in [0,1]; mirrors: [h,w], which water shows what is far away."""
    size = photo.shape[0], photo.shape[1]
    grid = fit_short_side(size, GRID)
    image = to_tensor(photo)
    sky = ((follow_edges(sky_of(seen)[None], image) - 0.3) / 0.5).clamp(0, 1)
    fitted, land = order(seen), sky_of(seen) < 0.3
    low, high = (fitted[land] if land.any() else fitted).quantile(torch.tensor([0.05, 0.98]))
    wanted = resize(((fitted - low) / (high - low)).clamp(0, 1)[None] ** EXPONENT, grid)[0].numpy()
    small, above = resize(image, grid).numpy() / 2, resize(sky[None], grid)[0].numpy()
    stands = resize(upright(seen)[None].sigmoid(), grid)[0].numpy()
    stands = ((stands - 0.5) * 4 + 0.5).clip(0, 1) * (1 - above)
    weight = (FITTED * (1 - stands) + FITTED_UPRIGHT * stands) * (1 - above) + 50 * above
    down = UPRIGHT * stands[:-1] * (1 - above[:-1]) * (1 - above[1:]) + 0.05  # as near as its foot
    colour = np.square(np.diff(small, axis=2)).sum(0)
    across = 4 * np.exp(-colour / COLOUR**2) * (1 - above[:, 1:]) * (1 - above[:, :-1]) + 0.02
    solved = torch.from_numpy(solve(weight, wanted * (1 - above), down, across)).float()
    solved = (solved / solved.quantile(0.99).clamp_min(0.2)).clamp(0, 1)
    near = follow_edges(solved[None], image) * (1 - sky)
    near *= 1 - 0.9 * blur(resize(mirrors[None], size)[0], max(1, round(0.01 * min(size))))
    # what is near takes its surroundings along, so that the rim that is stretched lies behind it
    return blur(dilate(near, max(1, round(0.008 * min(size)))), max(1, round(0.006 * min(size)))).clamp(0, 1)


def solve(weight: np.ndarray, wanted: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """[h,w] that least squares draw to `wanted`, and to their neighbours below and beside."""
    index = np.arange(wanted.size).reshape(wanted.shape)
    first = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    second = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    ties = np.concatenate([down.ravel(), across.ravel()])
    graph = sparse.coo_array((ties, (first, second)), (wanted.size, wanted.size))
    laplacian = sparse.csgraph.laplacian(graph + graph.T)
    found: np.ndarray = spsolve((laplacian + sparse.diags_array(weight.ravel())).tocsc(), (weight * wanted).ravel())
    return found.reshape(wanted.shape)


def moved(frame: np.ndarray, near: Tensor, phase: float) -> np.ndarray:
    """A frame uint8 [H,W,3] as the camera sees it at a phase of its circle; at 0 the frame itself."""
    height, width = near.shape
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    reach = STRENGTH * min(height, width)
    right, down = reach * math.sin(2 * math.pi * phase), -reach / 2 * (1 - math.cos(2 * math.pi * phase))

    def read(image: Tensor, dx: Tensor, dy: Tensor, mode: str) -> Tensor:
        places = torch.stack(((x - dx) * 2 / width - 1, (y - dy) * 2 / height - 1), -1)[None]
        return F.grid_sample(image[None], places, mode, "reflection", align_corners=False)[0]

    here = near
    for _ in range(4):  # what is seen at a place came from where it was nearer
        here = read(near[None], right * here, down * here, "bilinear")[0]
    rim = RIM * min(height, width)
    rests = [
        smoothstep(0, rim, side) * smoothstep(0, rim, size - side)
        for side, size in ((x, width), (y, height))
    ]
    picture = torch.from_numpy(frame).permute(2, 0, 1).float()
    shown = read(picture, right * here * rests[0], down * here * rests[1], "bicubic")
    return (shown + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy() if phase else frame


def write_loops(photo: Path, seen: Tensor, animator: Animator, order: Linear, upright: Linear, out: Path) -> None:
    scene = animator.invert(photo, size=SHORT_SIDE, latents=False)
    count = round(SECONDS * FPS)
    try:
        frames = list(animator.render(scene, seconds=SECONDS, fps=FPS))
    except NothingMoves:
        frames = [scene.photo] * count
    assert scene.scenery is not None
    water = scene.scenery.still.mirror * (scene.scenery.owner == WATER)
    near = nearness(scene.photo, seen, torch.from_numpy(water).float(), order, upright)
    out.mkdir(parents=True, exist_ok=True)
    write_output(frames, out / f"{photo.stem}-without.mp4", FPS)
    write_output([moved(frame, near, t / count) for t, frame in enumerate(frames)], out / f"{photo.stem}-with.mp4", FPS)


if __name__ == "__main__":
    main()
