"""Styles: how far colours come, what stays, and whether photos come nearer to those of the appearance.

    python -m benchmarks.studies.styles PHOTOS --split PHOTOS/val.txt --appearances pretrained/recipes/appearances.csv

Pairs: every photo in the appearance of the next one. `mean`, `sky`, `water`, `land`: how far the mean colour of all and
of each class that both have has come to the other photo's (1: all the way, 0: not at all). `edges`: correlation of the
gradients of brightness with the photo's. `own`: largest change by the photo's own w+. The same with a generator of
random weights.

Named styles: the distance (KID: Bińkowski et al. 2018, on AlexNet features of patches of a class) of the photos by day
among them to all photos of the appearance, styled and not. `colours moved over before`: what is left of it if every
class has exactly the colours that a photo of the appearance has (sliced optimal transport): what changes of colour
alone can reach.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.lpips import LPIPS, AlexFeatures
from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.networks.generator import Generator
from stylecine.ops.image import to_tensor
from stylecine.ops.recolour import recolour
from stylecine.options import STYLES
from stylecine.picture.photo import load_photo
from stylecine.picture.style import StyleNets
from stylecine.weights import STYLES as STYLES_ROLE
from stylecine.weights import role_tensors

SIDE = 384  # short side
CLASSES = {"sky": (1,), "water": (2, 3), "land": (0,)}  # in labels
LEAST = 0.05  # of the area of a class, and of the distance between two mean colours
PATCH, PATCHES, PURE = 64, 6, 0.8  # pixels; of a class in a photo; share of the class in each
CLEAR = 2  # strength of a label from which a photo counts
SUBSETS, SUBSET = 40, 60  # of patches, for KID
TRANSPORTS = 12  # along random axes

Row = dict[str, Any]
Picture = tuple[Tensor, np.ndarray]  # pixels and label


def measure_pair(photo: Photo, other: Photo, nets: StyleNets) -> Row:
    pixels, label = read(photo)
    target, target_label = read(other)
    to_target, to_own = nets.grids(pixels, [nets.w_plus_of("", x.numpy()) for x in (target, pixels)])
    made, own = recolour(pixels, to_target), recolour(pixels, to_own)
    row: Row = {"photo": photo.name, "in the appearance of": other.name}
    row["mean"] = way(*(x.float().mean((0, 1)) for x in (pixels, made, target)))
    for name, classes in CLASSES.items():
        here, there = (np.isin(x, classes) for x in (label, target_label))
        if min(here.mean(), there.mean()) >= LEAST:
            row[name] = way(*(x[m].float().mean(0) for x, m in ((pixels, here), (made, here), (target, there))))
    row["edges"] = correlation(gradients(pixels), gradients(made))
    row["own"] = int((own.int() - pixels.int()).abs().max())
    return row


def read(photo: Photo) -> Picture:
    pixels = load_photo(photo.path, SIDE)
    label = np.zeros(pixels.shape[:2]) if photo.label is None else read_label(photo.label, pixels.shape[:2])
    return torch.from_numpy(pixels.copy()), label


def way(before: Tensor, after: Tensor, target: Tensor) -> float:
    """How far colours in bytes have come; NaN if there was hardly a way."""
    wanted = target - before
    return float((after - before) @ wanted / wanted.square().sum()) if wanted.norm() > LEAST * 255 else float("nan")


def gradients(pixels: Tensor) -> Tensor:
    grey = pixels.float().mean(-1)
    return torch.cat((grey.diff(dim=0).flatten(), grey.diff(dim=1).flatten()))


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((a, b)))[0, 1])


def averages(rows: Sequence[Row]) -> Row:
    """Medians of the ways and of edges, and the largest change by a photo's own w+."""
    names = ("mean", *CLASSES, "edges")
    medians = {name: float(np.nanmedian([row.get(name, float("nan")) for row in rows])) for name in names}
    return {"pairs": len(rows), **medians, "own": max(row["own"] for row in rows)}


def random_weights(nets: StyleNets) -> StyleNets:
    """The same sizes, nothing learnt."""
    torch.manual_seed(0)
    generator = Generator(nets.generator.channels, f"b{nets.generator.feature_resolution}.conv1", mapping_layers=4)
    return replace(nets, generator=generator.eval().requires_grad_(False))


def patch_features(pixels: Tensor, label: np.ndarray, features: AlexFeatures) -> dict[str, Tensor]:
    """Of random patches of each class, the means and deviations of four maps: [P,C]."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Tensor]] = {name: [] for name in CLASSES}
    for y, x in rng.integers(0, np.array(label.shape) - PATCH + 1, (400, 2)):
        window = slice(y, y + PATCH), slice(x, x + PATCH)
        for name, classes in CLASSES.items():
            if len(found[name]) < PATCHES and np.isin(label[window], classes).mean() >= PURE:
                found[name].append(to_tensor(pixels[window].numpy()))
    described = {}
    for name, patches in found.items():
        if patches:
            maps = features(torch.stack(patches))[:4]
            described[name] = torch.cat([f(x, (2, 3)) for x in maps for f in (torch.mean, torch.std)], 1)
    return described


def kid(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD with the kernel (x·y/C + 1)³, mean over subsets; features are scaled to unit variance."""
    scale = torch.cat((a, b)).std(0) + 1e-6
    a, b = a / scale, b / scale
    rng, values = np.random.default_rng(0), []
    for _ in range(SUBSETS):
        x, y = (f[torch.from_numpy(rng.choice(len(f), min(SUBSET, len(f)), replace=False))] for f in (a, b))
        xx, yy, xy = (((p @ q.T) / p.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (xx, yy))
        values.append(float(within - 2 * xy.mean()))
    return float(np.mean(values))


def moved_colours(pixels: Tensor, label: np.ndarray, other: Tensor, other_label: np.ndarray) -> Tensor:
    """The photo with the colours of the other's classes; those of the whole where it lacks a class."""
    made, rng = pixels.numpy().astype(np.float64), np.random.default_rng(0)
    for classes in CLASSES.values():
        here, there = (np.isin(x, classes) for x in (label, other_label))
        wanted = other.numpy()[there if there.mean() >= LEAST else ...].reshape(-1, 3)
        made[here] = transported(made[here], wanted.astype(np.float64), rng)
    return torch.from_numpy(made.round().clip(0, 255).astype(np.uint8))


def transported(colours: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours [n,3] with the distribution of others [m,3], by optimal transport along random axes."""
    for _ in range(TRANSPORTS):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        along, target = colours @ axes, np.sort(wanted @ axes, axis=0)
        for k in range(3):
            rank = np.argsort(along[:, k])
            places = np.linspace(0, len(target) - 1, len(along))
            along[rank, k] = np.interp(places, np.arange(len(target)), target[:, k])
        colours = along @ axes.T
    return colours


def measure_style(
    name: str, by_day: Sequence[Photo], appearance: Sequence[Photo], nets: StyleNets, features: AlexFeatures
) -> Row:
    """KID by class, before -> after, and their ratio."""
    other = nets.w_plus_of(name, None)

    def of_class(pictures: Iterable[Picture]) -> dict[str, Tensor]:
        each = [patch_features(pixels, label, features) for pixels, label in pictures]
        return {k: torch.cat([e[k] for e in each if k in e]) for k in CLASSES if any(k in e for e in each)}

    there, here = ([read(photo) for photo in photos] for photos in (appearance, by_day))
    others = np.random.default_rng(0).permutation(len(there))
    styled = ((recolour(pixels, nets.grids(pixels, [other])[0]), label) for pixels, label in here)
    moved = (
        (moved_colours(pixels, label, *there[others[k % len(there)]]), label) for k, (pixels, label) in enumerate(here)
    )
    wanted, before, after, by_colours = (of_class(pictures) for pictures in (there, here, styled, moved))
    row: Row = {"style": name, "photos of it": len(appearance), "photos by day": len(by_day)}
    ratios = []
    for k in (k for k in CLASSES if k in before and len(wanted.get(k, ())) >= SUBSET // 2):
        figures = [kid(x[k], wanted[k]) for x in (before, after, by_colours)]
        row[k] = f"{figures[0]:.2f} -> {figures[1]:.2f}"
        ratios.append([figure / figures[0] for figure in figures[1:]])
    row["after over before"], row["colours moved over before"] = np.mean(ratios, 0).tolist()
    return row


def cost(animator: Animator, photos: Sequence[Path]) -> Iterator[Row]:
    """Milliseconds a frame at 1024 without and with a style, fixed and drifting, the fastest of runs taken in turns."""
    for path in photos:
        scene = animator.invert(path)
        plain = animator.render(scene)
        loops = {
            "plain": plain,
            "styled": animator.render(scene, style="dusk"),
            "drifting": animator.render(scene, style="dusk", style_drift=True),
        }
        times: dict[str, list[float]] = {name: [] for name in loops}
        for k in range(21):
            moments = [4 * k + i * 0.9 for i in range(4)]
            for name, loop in loops.items():
                start = perf_counter()
                list(loop.frames(moments))
                times[name].append((perf_counter() - start) / len(moments))
        row = {name: 1000 * min(each) for name, each in times.items()}
        more = {f"{name} costs": row[name] / row["plain"] - 1 for name in ("styled", "drifting")}
        yield {"photo": path.stem, "moves": float((plain.mask > 0).float().mean())} | row | more


@torch.inference_mode()
def main() -> None:
    parser = photo_parser(__doc__, "styles")
    parser.add_argument("--appearances", type=Path, required=True, help="CSV with id, appearance and strength")
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    animator = Animator.from_pretrained(options.model)
    model = animator.model
    assert animator.encoder is not None
    nets = StyleNets(animator.generator, animator.encoder, role_tensors(model, STYLES_ROLE))
    photos = [photo for photo in selected_photos(options) if photo.label]
    step = max(1, len(photos) // options.pairs)
    pairs = [(photos[k], photos[(k + 1) % len(photos)]) for k in range(0, len(photos), step)][: options.pairs]
    rows = [measure_pair(*pair, nets) for pair in pairs]
    random = [measure_pair(*pair, random_weights(nets)) for pair in pairs]
    summary = [{"generator": "default"} | averages(rows), {"generator": "random weights"} | averages(random)]
    report = "Every photo in the appearance of another:\n\n" + table(summary, list(summary[0]))

    with options.appearances.open(newline="") as file:
        labels = {row["id"]: row["appearance"] for row in csv.DictReader(file) if int(row["strength"]) >= CLEAR}
    features = LPIPS.published().features
    everything = [photo for photo in find_photos(options.folder) if photo.label]
    by_day = [photo for photo in photos if labels.get(photo.name) == "day"]
    styles = []
    for name in STYLES:
        appearance = [photo for photo in everything if labels.get(photo.name) == name]
        styles.append(measure_style(name, by_day, appearance, nets, features))
        print(styles[-1], flush=True)
    columns = ["style", "photos of it", "photos by day", *CLASSES, "after over before", "colours moved over before"]
    report += "\nKID of photos by day to photos of the appearance, before -> after:\n\n" + table(styles, columns)

    costs = list(cost(animator, sorted(Path("examples").glob("*.jpg"))))
    report += "\nMilliseconds a frame:\n\n" + table(costs, list(costs[0]))
    result = {"machine": machine(), "summary": summary, "pairs": rows, "styles": styles, "cost": costs}
    save(options.out, result, report)


if __name__ == "__main__":
    main()
