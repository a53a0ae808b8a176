"""What is hidden, made up again: parts of what moves are cut out of photos, filled, and compared with what was there.

    python benchmarks/plate.py PHOTOS --split PHOTOS/val.txt --size 768

Holes are like what hides things in photos: rocks (blobs inside what moves), masts (strips), shores (a stretch along
the border of what moves) and the frame (the outermost twentieth on each side). Everything static is hidden too, as when
a plate is made. Every way fills the same holes, and a fill is judged inside its hole only: LPIPS from AlexNet's
maps, enlarged to the photo's size, and PSNR. Every smooth fill is judged as it is and with texture (ops/texture.py);
`push-pull + texture` ships: the generator adds nothing to it.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor
from tqdm import tqdm

from benchmarks.ablation import random_generator
from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, read_label
from benchmarks.tables import table, write
from stylecine import Animator
from stylecine.networks.lpips import LPIPS, unit
from stylecine.ops.image import push_pull, to_tensor, to_uint8
from stylecine.ops.texture import copy_texture
from stylecine.stages import plate as synthesis
from stylecine.stages.inversion import invert
from stylecine.stages.photo import load_photo
from stylecine.weights import role_tensors

Fills = dict[str, Tensor]  # way -> filled photo [3,H,W]

HOLES = {"rock": 3, "mast": 2, "shore": 3}  # of each kind in a photo, where there is room
LABELS = 0.01  # of the short side: how far the labels' borders may be off; nothing nearer counts as moving
APART = 0.04  # of the short side: between two holes
BLANK = 0.05  # standard deviation, of 2: in less there is nothing to continue
AROUND = 32  # pixels around a hole that LPIPS sees as well; there the two are equal
SHOWN = 96  # pixels a side of a tile of the sheet
RESAMPLED = 2000  # bootstrap


def ways(animator: Animator) -> Callable[[Tensor, Tensor], Fills]:
    """photo [3,H,W] and visible [H,W] in {0,1} -> the photo filled where visible is 0, in every way."""
    random = random_generator(animator)

    def fill(photo: Tensor, visible: Tensor) -> Fills:
        continued, drawn = (invert(photo, a.generator, a.encoder, visible=visible).reconstruction
                            for a in (animator, random))
        smooth = {
            "generator": synthesis.blend(photo, visible, continued),
            "push-pull": push_pull(photo[None], visible[None, None])[0],
            "random weights": synthesis.blend(photo, visible, drawn),
        }
        rough = {f"{name} + texture": copy_texture(image, visible) for name, image in smooth.items()}
        return rough | smooth | {"nearest mirror": nearest_mirror(photo, visible)}

    return fill


def nearest_mirror(photo: Tensor, visible: Tensor) -> Tensor:
    """What is hidden shows the place as far beyond the nearest visible one as itself is away; push-pull without one."""
    rows, columns = distance_transform_edt(visible.numpy() == 0, return_distances=False, return_indices=True)
    height, width = visible.shape
    y = torch.from_numpy(2 * rows - np.arange(height)[:, None]).clamp(0, height - 1).long()
    x = torch.from_numpy(2 * columns - np.arange(width)).clamp(0, width - 1).long()
    seen = torch.maximum(visible, visible[y, x])
    return push_pull(torch.where(visible > 0, photo, photo[:, y, x])[None], seen[None, None])[0]


def holes(moving: np.ndarray, random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """Kind and place, bool [H,W], of holes inside `moving` [H,W]; no two are near each other."""
    short = min(moving.shape)
    free, found = moving.copy(), []
    for kind, count in HOLES.items():
        for _ in range(count):
            hole = {"rock": rock, "mast": mast, "shore": shore}[kind](moving, free, random)
            if hole is not None:
                found.append((kind, hole))
                free &= distance_transform_edt(~hole) > APART * short
    return found


def rock(moving: np.ndarray, free: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """Three discs in one, a tenth of the short side wide, well inside."""
    radius = min(moving.shape) / 20
    centre = _drawn(_inside(free, 2 * radius), random)
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
    centre = _drawn(_inside(free, short / 16), random)
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
    centre = _drawn(rim & free & frame & ~binary_erosion(moving, border_value=1), random)
    if centre is None:
        return None
    y, x = np.ogrid[: moving.shape[0], : moving.shape[1]]
    return rim & free & ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (short / 12) ** 2)


def _inside(places: np.ndarray, distance: float) -> np.ndarray:
    """What of `places` is further than this from all others; the photo's own border does not count."""
    return distance_transform_edt(places) > distance if not places.all() else places


def _drawn(places: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    found = np.argwhere(places)
    return found[random.integers(len(found))] if len(found) else None


def hidden_parts(truth: Tensor, moving: np.ndarray, fill: Callable[[Tensor, Tensor], Fills], seed: int,
                 ) -> Iterator[tuple[str, np.ndarray, Fills]]:
    """Kind, place and fills of every hole of a photo [3,H,W]; all holes of a photo are filled at once."""
    found = holes(moving, np.random.default_rng(seed))
    if found:
        visible = moving & ~np.logical_or.reduce([hole for _, hole in found])
        fills = fill(truth, torch.from_numpy(visible).float())
        yield from ((kind, hole, fills) for kind, hole in found)
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


def judged(filled: Tensor, truth: Tensor, hole: np.ndarray, lpips: LPIPS) -> dict[str, float]:
    """LPIPS and PSNR of a fill inside the hole; outside it the photo is put back first."""
    rows, columns = (_around(np.flatnonzero(hole.any(axis)), hole.shape[1 - axis]) for axis in (1, 0))
    inside = torch.from_numpy(hole[rows, columns])
    there, made = truth[:, rows, columns], filled[:, rows, columns]
    made = torch.where(inside, made, there)
    mse = float((made - there).square().mean(0)[inside].mean()) / 4
    return {"lpips": float(distances(made, there, lpips)[inside].mean()), "psnr": -10 * math.log10(max(mse, 1e-10))}


def distances(a: Tensor, b: Tensor, lpips: LPIPS) -> Tensor:
    """LPIPS of a and b [3,h,w], place by place: [h,w]; its mean is about LPIPS."""
    total = torch.zeros(a.shape[1:])
    for fa, fb, weight in zip(lpips.features(a[None]), lpips.features(b[None]), lpips.linear, strict=True):
        difference = (unit(fa) - unit(fb)).square() * weight[:, None, None]
        enlarged = F.interpolate(difference.sum(1, keepdim=True), a.shape[1:], mode="bilinear", align_corners=False)
        total += enlarged[0, 0]
    return total


def _around(line: np.ndarray, length: int) -> slice:
    return slice(max(0, line[0] - AROUND), min(length, line[-1] + 1 + AROUND))


def moving_of(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """bool [H,W]: what the photo's label calls moving, less a rim that may be wrong."""
    if photo.label is None:
        return np.zeros(size, bool)
    return _inside(read_label(photo.label, size) > 0, LABELS * min(size))


def difference(rows: Sequence[dict[str, Any]], way: str, other: str, figure: str) -> dict[str, float] | None:
    """Mean of way − other over the holes that both have filled, with the 95% interval of a bootstrap over photos."""
    photos: dict[str, list[float]] = {}
    for row in rows:
        if way in row["ways"] and other in row["ways"]:
            photos.setdefault(row["photo"], []).append(row["ways"][way][figure] - row["ways"][other][figure])
    if not photos:
        return None
    sums, counts = (np.array([f(values) for values in photos.values()]) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(len(sums), size=(RESAMPLED, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), (0.025, 0.975))
    return {"mean": float(sums.sum() / counts.sum()), "low": float(low), "high": float(high)}


def summary(rows: Sequence[dict[str, Any]], against: str) -> list[dict[str, Any]]:
    """For every kind of hole and way: means, and how the LPIPS differs from the way `against`."""
    out = []
    for kind in dict.fromkeys(["inside", *(row["kind"] for row in rows)]):
        those = [r for r in rows if r["kind"] == kind or (kind == "inside" and r["kind"] != "frame")]
        for way in dict.fromkeys(name for row in those for name in row["ways"]):
            figures = [row["ways"][way] for row in those if way in row["ways"]]
            gap = difference(those, way, against, "lpips") if way != against else None
            out.append({
                "hidden": kind, "way": way, "holes": len(figures),
                **{name: float(np.mean([f[name] for f in figures])) for name in ("lpips", "psnr")},
                f"lpips less {against}": f"{gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]" if gap else "",
            })
    return out


def tiles(truth: Tensor, hole: np.ndarray, fills: Fills) -> np.ndarray:
    """A row of the sheet: the photo, the hole in it, and what each way has put there: uint8 [h,w,3]."""
    y, x = np.argwhere(hole).mean(0).round().astype(int)
    side = max(SHOWN, 2 * int(math.sqrt(hole.sum())))
    corner = [min(max(c - side // 2, 0), n - side) for c, n in zip((y, x), hole.shape, strict=True)]
    at = (slice(None), *(slice(c, c + side) for c in corner))
    inside = torch.from_numpy(hole)
    images = [truth, torch.where(inside, -1.0, truth), *(torch.where(inside, f, truth) for f in fills.values())]
    cut = (Image.fromarray(to_uint8(image[at].contiguous()).numpy()) for image in images)
    return np.hstack([np.asarray(image.resize((2 * SHOWN, 2 * SHOWN))) for image in cut])


def main() -> None:
    options = _options()
    animator = Animator.from_pretrained(options.model)
    lpips = LPIPS.from_tensors(role_tensors(animator.model, "lpips"))
    fill = ways(animator)
    rows, strips = [], []
    photos = find_photos(options.folder, options.split, options.labels)[: options.limit]
    for seed, photo in enumerate(tqdm(photos, desc="plate", disable=None)):
        truth = to_tensor(load_photo(photo.path, options.size))
        moving = moving_of(photo, (truth.shape[1], truth.shape[2]))
        with torch.inference_mode():
            for kind, hole, fills in hidden_parts(truth, moving, fill, seed):
                if truth[:, torch.from_numpy(hole)].std(1).mean() < BLANK:
                    continue
                figures = {name: judged(image, truth, hole, lpips) for name, image in fills.items()}
                rows.append({"photo": photo.name, "kind": kind, "pixels": int(hole.sum()), "ways": figures})
                if kind != "frame":
                    strips.append(tiles(truth, hole, fills))
    lines = summary(rows, options.against)
    result = {"machine": machine(), "size": options.size or "native", "photos": len({r["photo"] for r in rows}),
              "summary": lines, "holes": rows}
    write(options.out, json.dumps(result, indent=1))
    write(options.out.with_suffix(".md"), table(lines, list(lines[0])))
    print(table(lines, list(lines[0])))
    if options.sheet:
        chosen = np.linspace(0, len(strips) - 1, 12).round().astype(int)
        Image.fromarray(np.vstack([strips[i] for i in chosen])).save(options.sheet)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels beside images)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/plate.json"))
    parser.add_argument("--sheet", type=Path, help="also write a picture of twelve hidden parts, a column a way")
    parser.add_argument("--size", type=lambda text: None if text == "native" else int(text), default=768)
    parser.add_argument("--model", default="default")
    parser.add_argument("--against", default="generator + texture", help="the way that the others are compared with")
    parser.add_argument("--limit", type=int, help="photos (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
