"""What each part contributes: the same photos with one part taken out or worsened; hidden patches filled again.

    python benchmarks/ablation.py PHOTOS --split PHOTOS/val.txt --limit 8 --size 512

Hidden patches: a blob inside the labelled moving region, like a rock in water, is cut out of the photo;
each way to make the plate fills it, and LPIPS compares the fill with what was there (only the blob
differs between the two).
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos, read_label
from stylecine import Animator, NothingMoves, synthesis
from stylecine.inversion import invert
from stylecine.measures import measure_loop
from stylecine.networks.lpips import LPIPS
from stylecine.ops.mirror import mirrored
from stylecine.ops.pixels import to_tensor
from stylecine.photo import load_photo
from stylecine.weights import role_tensors

FIGURES = ("moved_error", "seam", "pulse_tiles", "pulse_global", "first_frame_error", "lpips", "psnr")
HOLES = 3  # hidden patches a photo
BLANK = 0.05  # standard deviation, of 2: in less there is nothing to continue
LEAST_CROP = 64  # pixels: what LPIPS needs to say something


@dataclass(frozen=True)
class Variant:
    """A name, who renders, with what options, and what is replaced meanwhile."""

    name: str
    animator: Animator
    options: dict[str, Any]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def variants(animator: Animator) -> list[Variant]:
    return [
        Variant("default", animator, {}),
        Variant("detail=0", animator, {"detail": 0.0}),
        Variant("warp=pixel", animator, {"warp": "pixel"}),
        Variant("random-weight generator", random_generator(animator), {}),
        Variant("push-pull plate", animator, {}, push_pull_plate),
    ]


def fills(animator: Animator) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Ways to fill a photo [3,H,W] where visible [H,W] is 0."""

    def by(continuing: Animator) -> Callable[[Tensor, Tensor], Tensor]:
        def fill(photo: Tensor, visible: Tensor) -> Tensor:
            seen = invert(photo, continuing.generator, continuing.encoder, visible=visible)
            return synthesis.fill(photo, visible, seen.reconstruction)

        return fill

    return {
        "default": by(animator),
        "random-weight generator": by(random_generator(animator)),
        "push-pull plate": lambda photo, visible: synthesis.pixel_plate(photo, visible).image,
    }


def random_generator(animator: Animator) -> Animator:
    """The same networks, the generator's weights drawn again with each tensor's own mean and deviation."""
    source = torch.Generator().manual_seed(0)
    generator = copy.deepcopy(animator.generator)
    with torch.no_grad():
        for weight in generator.parameters():
            if weight.numel() > 1:
                drawn = torch.randn(weight.shape, generator=source).to(weight)
                weight.copy_(drawn * weight.std() + weight.mean())
    return replace(animator, generator=generator)


def push_pull_plate() -> AbstractContextManager[Any]:
    """Plates filled without the generator; all else as by default."""

    def fill(photo: Tensor, visible: Tensor, continued: Tensor) -> Tensor:
        return synthesis.pixel_plate(photo, visible).image

    return patch.object(synthesis, "fill", fill)


def measure_variant(variant: Variant, photo: Photo, size: int | None) -> dict[str, float] | None:
    """Figures of the photo's loop; None where nothing moves."""
    with variant.context():
        try:
            scene = variant.animator.invert(photo.path, size=size)
            loop = variant.animator.render(scene, **variant.options)
        except NothingMoves:
            return None
        return measure_loop(loop, scene.photo, loop.mask, loop.motion, loop.fps) | dict(scene.score)


def hidden_patches(
    photo: Photo, size: int | None, ways: dict[str, Callable[[Tensor, Tensor], Tensor]], lpips: LPIPS
) -> Iterator[dict[str, float]]:
    """LPIPS by way of filling, for each hole; photos whose moving region holds no hole give none."""
    if photo.label is None:
        return
    picture = load_photo(photo.path, size)
    truth = to_tensor(picture)
    moving = torch.from_numpy(read_label(photo.label, picture.shape[:2]) > 0)
    for index in range(HOLES):
        hole = blob_inside(moving, np.random.default_rng(index))
        if hole is None:
            return
        if truth[:, hole].std() < BLANK:
            continue
        visible = (moving & ~hole).float()
        with torch.inference_mode():
            yield {name: _distance(way(truth, visible), truth, hole, lpips) for name, way in ways.items()}


def hidden_borders(
    photo: Photo, size: int | None, ways: dict[str, Callable[[Tensor, Tensor], Tensor]], lpips: LPIPS
) -> Iterator[dict[str, float]]:
    """LPIPS by way of continuing what moves past the frame: the photo's outermost twentieth is cut off on each side,
    one after the other."""
    if photo.label is None:
        return
    picture = load_photo(photo.path, size)
    moving = torch.from_numpy(read_label(photo.label, picture.shape[:2]) > 0)
    truth = to_tensor(picture)
    for _ in range(4):
        truth, moving = truth.rot90(1, (1, 2)), moving.rot90(1, (0, 1))
        strip = max(8, truth.shape[2] // 20)
        hole = torch.zeros_like(moving)
        hole[:, -strip:] = moving[:, -strip:]
        if hole.float().mean() < 0.02 or truth[:, hole].std() < BLANK:
            continue
        with torch.inference_mode():
            filled = {name: way(truth, (moving & ~hole).float()) for name, way in ways.items()}
            filled["mirror"] = mirrored(truth[:, :, :-strip], 0, strip, axis=2)
            yield {name: _distance(image, truth, hole, lpips) for name, image in filled.items()}


def blob_inside(moving: Tensor, random: np.random.Generator) -> Tensor | None:
    """Three discs in one, about a tenth of the short side wide, inside what moves: bool [H,W]; None: no room."""
    radius = max(4, min(moving.shape) // 20)
    reach = 2 * radius
    room = -F.max_pool2d(-moving.float()[None, None], 2 * reach + 1, stride=1, padding=reach)[0, 0] > 0
    room[:reach], room[-reach:], room[:, :reach], room[:, -reach:] = False, False, False, False
    places = torch.nonzero(room)
    if not len(places):
        return None
    middle = places[random.integers(len(places))].numpy()
    rows, columns = np.ogrid[: moving.shape[0], : moving.shape[1]]
    blob = np.zeros(moving.shape, bool)
    for y, x in middle + random.uniform(-radius / 2, radius / 2, (3, 2)):
        blob |= (rows - y) ** 2 + (columns - x) ** 2 <= random.uniform(0.6, 1.0) * radius**2
    return torch.from_numpy(blob)


def _distance(filled: Tensor, truth: Tensor, hole: Tensor, lpips: LPIPS) -> float:
    """LPIPS over a box around the hole, half as large again; outside the hole the two are equal."""
    mixed = torch.where(hole, filled.cpu(), truth)
    rows, columns = torch.nonzero(hole, as_tuple=True)
    y, x = _span(rows, hole.shape[0]), _span(columns, hole.shape[1])
    return float(lpips(mixed[None, :, y, x], truth[None, :, y, x]))


def _span(line: Tensor, length: int) -> slice:
    low, high = int(line.min()), int(line.max()) + 1
    side = min(length, max(LEAST_CROP, round(1.5 * (high - low))))
    start = min(max((low + high - side) // 2, 0), length - side)
    return slice(start, start + side)


def table(
    loops: dict[str, list[dict[str, float]]], patches: list[dict[str, float]], borders: list[dict[str, float]]
) -> list[dict[str, Any]]:
    """A row a variant: means of the figures, and of LPIPS over the hidden patches and borders."""
    rows = []
    for name in [*loops, "mirror"]:
        row: dict[str, Any] = {"variant": name}
        for figure in FIGURES:
            values = [f[figure] for f in loops.get(name, []) if np.isfinite(f[figure])]
            row[figure] = float(np.mean(values)) if values else None
        for where, distances in (("hidden_patch_lpips", patches), ("hidden_border_lpips", borders)):
            hidden = [d[name] for d in distances if name in d]
            row[where] = float(np.mean(hidden)) if hidden else None
        rows.append(row)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    names = ["variant", *FIGURES, "hidden_patch_lpips", "hidden_border_lpips"]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for row in rows:
        cells = ["" if row[n] is None else row[n] if n == "variant" else f"{row[n]:.3g}" for n in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = _options()
    photos = find_photos(options.folder, options.split, options.labels)[: options.limit]
    animator = Animator.from_pretrained(options.model)
    lpips = LPIPS.from_tensors(role_tensors(animator.model, "lpips"))
    kinds, ways = variants(animator), fills(animator)
    loops: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in kinds}
    patches: list[dict[str, float]] = []
    borders: list[dict[str, float]] = []
    for photo in tqdm(photos, desc="ablation", disable=None):
        patches += hidden_patches(photo, options.size, ways, lpips)
        borders += hidden_borders(photo, options.size, ways, lpips)
        for variant in [] if options.patches_only else kinds:
            figures = measure_variant(variant, photo, options.size)
            loops[variant.name] += [figures] if figures else []
    rows = table(loops, patches, borders)
    counts = {"photos": len(photos), "hidden_patches": len(patches), "hidden_borders": len(borders),
              "size": options.size or "native"}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine(), **counts, "rows": rows}, indent=1))
    options.out.with_suffix(".md").write_text(markdown(rows))
    print(markdown(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels beside images)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablation.json"))
    parser.add_argument("--size", type=lambda text: None if text == "native" else int(text), default=512)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, default=8, help="photos (default 8)")
    parser.add_argument("--patches-only", action="store_true", help="hidden patches only, no loops")
    return parser.parse_args()


if __name__ == "__main__":
    main()
