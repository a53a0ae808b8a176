"""Inpainting of hidden regions: parts of what moves are cut out of photos, filled, and compared with the original.

    python -m benchmarks.studies.plate PHOTOS --split PHOTOS/val.txt --size 768

Holes resemble typical occluders: rocks (blobs inside what moves), masts (strips), shores (a stretch along the border of
what moves) and the frame (the outermost twentieth on each side). Everything static is hidden too, as for a plate. All
methods fill the same holes and are measured inside the holes only: LPIPS from AlexNet's maps, upsampled to the photo's
size, and PSNR. Every smooth fill is measured without and with texture (ops/texture.py); `generator + texture` ships,
at half of the photo's size; `push-pull + texture` does for models without an encoder.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor
from tqdm import tqdm

from benchmarks.lpips import LPIPS, unit
from benchmarks.machine import machine
from benchmarks.photos import Photo, photo_parser, read_label, selected_photos, size_option
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.ops.image import push_pull, to_tensor
from stylecine.ops.texture import copy_texture_
from stylecine.picture import plate as synthesis
from stylecine.picture.inversion import invert
from stylecine.picture.photo import load_photo

Fills = dict[str, Tensor]  # method -> filled photo [3,H,W]

HOLES = {"rock": 3, "mast": 2, "shore": 3}  # of each kind in a photo, if there is room
LABELS = 0.01  # of the short side: accuracy of the labels' borders; nothing closer counts as moving
APART = 0.04  # of the short side: between two holes
BLANK = 0.05  # standard deviation, of 2: holes with less have nothing to continue
AROUND = 32  # pixels around a hole that LPIPS sees as well; both are equal there
RESAMPLED = 2000  # bootstrap
SHIPS = "generator + texture"  # with which the other methods are compared


def methods(animator: Animator) -> Callable[[Tensor, Tensor], Fills]:
    """photo [3,H,W] and visible [H,W] in {0,1} -> the photo filled where visible is 0, by every method."""
    random = random_generator(animator)

    def fill(photo: Tensor, visible: Tensor) -> Fills:
        side = synthesis.coarse_side(visible)
        half, drawn, whole = (
            invert(photo, a.generator, a.encoder, visible=visible, side=side).reconstruction
            for a, side in ((animator, side), (random, side), (animator, None))
        )
        smooth = {
            "generator": synthesis.blend(photo, visible, half),
            "generator, whole size": synthesis.blend(photo, visible, whole),
            "push-pull": push_pull(photo[None], visible[None, None])[0],
            "random weights": synthesis.blend(photo, visible, drawn),
        }
        rough = {f"{name} + texture": copy_texture_(image.clone(), visible) for name, image in smooth.items()}
        return rough | smooth | {"nearest mirror": nearest_mirror(photo, visible)}

    return fill


def random_generator(animator: Animator) -> Animator:
    """The same networks, but random weights in the generator, with each tensor's mean and standard deviation."""
    source = torch.Generator().manual_seed(0)
    generator = copy.deepcopy(animator.generator)
    with torch.no_grad():
        for weight in generator.parameters():
            if weight.numel() > 1:
                sample = torch.randn(weight.shape, generator=source).to(weight)
                weight.copy_(sample * weight.std() + weight.mean())
    other = replace(animator)
    vars(other)["generator"] = generator  # as if it had been read
    return other


def nearest_mirror(photo: Tensor, visible: Tensor) -> Tensor:
    """Hidden places are mirrored at the nearest visible one; push-pull where the mirror image is hidden as well."""
    rows, columns = distance_transform_edt(visible.numpy() == 0, return_distances=False, return_indices=True)
    height, width = visible.shape
    y = torch.from_numpy(2 * rows - np.arange(height)[:, None]).clamp(0, height - 1).long()
    x = torch.from_numpy(2 * columns - np.arange(width)).clamp(0, width - 1).long()
    seen = torch.maximum(visible, visible[y, x])
    return push_pull(torch.where(visible > 0, photo, photo[:, y, x])[None], seen[None, None])[0]


def holes(moving: np.ndarray, random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Kinds and places, bool [H,W], of holes inside `moving` [H,W], with some distance between them."""
    short = min(moving.shape)
    free, placed = moving.copy(), []
    for kind, count in HOLES.items():
        for _ in range(count):
            hole = {"rock": rock, "mast": mast, "shore": shore}[kind](moving, free, random)
            if hole is not None:
                placed.append((kind, hole))
                free &= distance_transform_edt(~hole) > APART * short
    return placed


def rock(moving: np.ndarray, free: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """Three discs in one, a tenth of the short side wide, well inside."""
    radius = min(moving.shape) / 20
    centre = _random_place(_inside(free, 2 * radius), random)
    if centre is None:
        return None
    y, x = np.ogrid[: moving.shape[0], : moving.shape[1]]
    blob = np.zeros(moving.shape, bool)
    for cy, cx in centre + random.uniform(-radius / 2, radius / 2, (3, 2)):
        blob |= (y - cy) ** 2 + (x - cx) ** 2 <= random.uniform(0.6, 1.0) * radius**2
    return blob


def mast(moving: np.ndarray, free: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """An upright or slanting strip, a quarter of the short side long and a fortieth wide."""
    short = min(moving.shape)
    centre = _random_place(_inside(free, short / 16), random)
    if centre is None:
        return None
    y, x = np.mgrid[: moving.shape[0], : moving.shape[1]] - centre[:, None, None]
    angle = random.normal(0, 0.4)
    along, across = y * math.cos(angle) + x * math.sin(angle), x * math.cos(angle) - y * math.sin(angle)
    return (abs(along) < short / 8) & (abs(across) < short / 80) & free


def shore(moving: np.ndarray, free: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """What lies within a twentieth of the short side of something static, over a sixth of it."""
    short = min(moving.shape)
    rim = moving & ~_inside(moving, short / 20)
    frame = np.pad(np.ones(np.subtract(moving.shape, 2), bool), 1)
    centre = _random_place(rim & free & frame & ~binary_erosion(moving, border_value=1), random)
    if centre is None:
        return None
    y, x = np.ogrid[: moving.shape[0], : moving.shape[1]]
    return rim & free & ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (short / 12) ** 2)


def _inside(places: np.ndarray, distance: float) -> np.ndarray:
    """Places further than `distance` from all others; the photo's border does not count."""
    return distance_transform_edt(places) > distance if not places.all() else places


def _random_place(places: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    candidates = np.argwhere(places)
    return candidates[random.integers(len(candidates))] if len(candidates) else None


def hidden_parts(
    truth: Tensor,
    moving: np.ndarray,
    fill: Callable[[Tensor, Tensor], Fills],
    seed: int,
) -> Iterator[tuple[str, np.ndarray, Fills]]:
    """Kind, place and fills of every hole of a photo [3,H,W]; all its holes are filled at once."""
    placed = holes(moving, np.random.default_rng(seed))
    if placed:
        visible = moving & ~np.logical_or.reduce([hole for _, hole in placed])
        fills = fill(truth, torch.from_numpy(visible).float())
        yield from ((kind, hole, fills) for kind, hole in placed)
    inset = min(moving.shape) // 20
    inner = np.pad(moving[inset:-inset, inset:-inset], inset)
    fills = fill(truth, torch.from_numpy(inner).float())
    cut = truth[:, inset:-inset, inset:-inset], torch.from_numpy(inner[inset:-inset, inset:-inset]).float()
    fills["mirrored frame"] = synthesis.canvas(*cut, inset)[0]
    for side in range(4):
        strip = np.zeros(moving.shape, bool)
        np.rot90(strip, side)[:inset, inset:-inset] = True
        if (strip & moving).sum() > 0.3 * strip.sum():
            yield "frame", strip & moving, fills


def score(filled: Tensor, truth: Tensor, hole: np.ndarray, lpips: LPIPS) -> dict[str, float]:
    """LPIPS and PSNR of a fill inside the hole; outside it is replaced by the photo."""
    rows, columns = (_around(np.flatnonzero(hole.any(axis)), hole.shape[1 - axis]) for axis in (1, 0))
    inside = torch.from_numpy(hole[rows, columns])
    original, result = truth[:, rows, columns], filled[:, rows, columns]
    result = torch.where(inside, result, original)
    mse = float((result - original).square().mean(0)[inside].mean()) / 4
    distance = float(lpips_map(result, original, lpips)[inside].mean())
    return {"lpips": distance, "psnr": -10 * math.log10(max(mse, 1e-10))}


def lpips_map(a: Tensor, b: Tensor, lpips: LPIPS) -> Tensor:
    """LPIPS of a and b [3,h,w] per pixel, [h,w]; its mean is about LPIPS."""
    total = torch.zeros(a.shape[1:])
    for fa, fb, weight in zip(lpips.features(a[None]), lpips.features(b[None]), lpips.linear, strict=True):
        difference = (unit(fa) - unit(fb)).square() * weight[:, None, None]
        enlarged = F.interpolate(difference.sum(1, keepdim=True), a.shape[1:], mode="bilinear", align_corners=False)
        total += enlarged[0, 0]
    return total


def _around(line: np.ndarray, length: int) -> slice:
    return slice(max(0, line[0] - AROUND), min(length, line[-1] + 1 + AROUND))


def moving_of(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """bool [H,W]: what is labelled as moving, without the uncertain rim."""
    if photo.label is None:
        return np.zeros(size, bool)
    return _inside(read_label(photo.label, size) > 0, LABELS * min(size))


def difference(rows: Sequence[dict[str, Any]], method: str) -> str:
    """Mean LPIPS of a method − the one that ships over the holes that both filled, with the 95% interval of a bootstrap
    over photos; empty if there are none."""
    photos: dict[str, list[float]] = {}
    for row in rows:
        scores = row["scores"]
        if method in scores and SHIPS in scores:
            photos.setdefault(row["photo"], []).append(scores[method]["lpips"] - scores[SHIPS]["lpips"])
    if not photos:
        return ""
    sums, counts = (np.array([f(values) for values in photos.values()]) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(len(sums), size=(RESAMPLED, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), (0.025, 0.975))
    return f"{sums.sum() / counts.sum():+.3f} [{low:+.3f}, {high:+.3f}]"


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means for every kind of hole and method, and the difference in LPIPS from the one that ships."""
    out = []
    for kind in dict.fromkeys(["inside", *(row["kind"] for row in rows)]):
        those = [r for r in rows if r["kind"] == kind or (kind == "inside" and r["kind"] != "frame")]
        for method in dict.fromkeys(name for row in those for name in row["scores"]):
            figures = [row["scores"][method] for row in those if method in row["scores"]]
            means = {name: float(np.mean([f[name] for f in figures])) for name in ("lpips", "psnr")}
            gap = difference(those, method) if method != SHIPS else ""
            out.append({"hidden": kind, "method": method, "holes": len(figures), **means, f"lpips less {SHIPS}": gap})
    return out


def main() -> None:
    parser = photo_parser(__doc__, "plate")
    parser.add_argument("--size", type=size_option, default=768)
    options = parser.parse_args()
    animator = Animator.from_pretrained(options.model)
    lpips = LPIPS.published()
    fill = methods(animator)
    rows = []
    photos = selected_photos(options)
    for seed, photo in enumerate(tqdm(photos, desc="plate", disable=None)):
        truth = to_tensor(load_photo(photo.path, options.size))
        moving = moving_of(photo, (truth.shape[1], truth.shape[2]))
        with torch.inference_mode():
            for kind, hole, fills in hidden_parts(truth, moving, fill, seed):
                if truth[:, torch.from_numpy(hole)].std(1).mean() < BLANK:
                    continue
                scores = {name: score(image, truth, hole, lpips) for name, image in fills.items()}
                rows.append({"photo": photo.name, "kind": kind, "scores": scores})
    lines = summary(rows)
    photo_count = len({row["photo"] for row in rows})
    result = {"machine": machine(), "size": options.size or "native", "photos": photo_count, "summary": lines}
    save(options.out, result, table(lines, list(lines[0])))


if __name__ == "__main__":
    main()
