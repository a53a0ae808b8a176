"""What each part contributes to a loop: the same photos with one part removed or degraded.

    python -m benchmarks.studies.ablation PHOTOS --split PHOTOS/val.txt --limit 8 --size 512

Inpainting of hidden parts is measured by plate.py.
"""

import argparse
import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, photo_parser, selected_photos, size_option
from benchmarks.tables import save, table
from stylecine import Animator, NothingMoves
from stylecine.quality.measures import measure_loop

FIGURES = ("moved_error", "seam", "pulse_tiles", "pulse_global", "first_frame_error", "lpips", "psnr")


@dataclass(frozen=True)
class Variant:
    """A name, the animator that renders, and its options."""

    name: str
    animator: Animator
    options: dict[str, Any]


def variants(animator: Animator) -> list[Variant]:
    return [
        Variant("default", animator, {}),
        Variant("detail=0", animator, {"detail": 0.0}),
        Variant("warp=dfw", animator, {"warp": "dfw"}),
        Variant("random-weight generator", random_generator(animator), {}),
    ]


def random_generator(animator: Animator) -> Animator:
    """The same networks, but random weights in the generator, with each tensor's mean and standard deviation."""
    source = torch.Generator().manual_seed(0)
    generator = copy.deepcopy(animator.generator)
    with torch.no_grad():
        for weight in generator.parameters():
            if weight.numel() > 1:
                drawn = torch.randn(weight.shape, generator=source).to(weight)
                weight.copy_(drawn * weight.std() + weight.mean())
    return replace(animator, generator=generator)


def measure_variant(variant: Variant, photo: Photo, size: int | None) -> dict[str, float] | None:
    """Figures of the photo's loop; None if nothing moves."""
    try:
        scene = variant.animator.invert(photo.path, size=size)
        loop = variant.animator.render(scene, **variant.options)
    except NothingMoves:
        return None
    return measure_loop(loop, scene.photo, loop.mask, loop.motion, loop.fps) | dict(scene.score)


def means(loops: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """One row per variant: means of its figures."""
    rows = []
    for name, figures in loops.items():
        columns = {figure: [f[figure] for f in figures if np.isfinite(f[figure])] for figure in FIGURES}
        rows.append({"variant": name} | {figure: float(np.mean(v)) for figure, v in columns.items() if v})
    return rows


def main() -> None:
    options = _options()
    photos = selected_photos(options)
    compared = variants(Animator.from_pretrained(options.model))
    loops: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in compared}
    for photo in tqdm(photos, desc="ablation", disable=None):
        for variant in compared:
            figures = measure_variant(variant, photo, options.size)
            loops[variant.name] += [figures] if figures else []
    rows = means(loops)
    header = {"machine": machine(), "photos": len(photos), "size": options.size or "native"}
    save(options.out, {**header, "rows": rows}, table(rows, ("variant", *FIGURES)))


def _options() -> argparse.Namespace:
    parser = photo_parser(__doc__, "ablation")
    parser.add_argument("--size", type=size_option, default=512)
    parser.set_defaults(limit=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
