"""What each part contributes to a loop: the same photos with one part taken out or worsened.

    python benchmarks/ablation.py PHOTOS --split PHOTOS/val.txt --limit 8 --size 512

What fills hidden parts best is another question: plate.py.
"""

import argparse
import copy
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, find_photos
from benchmarks.tables import table, write
from stylecine import Animator, NothingMoves
from stylecine.quality.measures import measure_loop

FIGURES = ("moved_error", "seam", "pulse_tiles", "pulse_global", "first_frame_error", "lpips", "psnr")


@dataclass(frozen=True)
class Variant:
    """A name, who renders, and with what options."""

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
    """The same networks, the generator's weights drawn again with each tensor's own mean and deviation."""
    source = torch.Generator().manual_seed(0)
    generator = copy.deepcopy(animator.generator)
    with torch.no_grad():
        for weight in generator.parameters():
            if weight.numel() > 1:
                drawn = torch.randn(weight.shape, generator=source).to(weight)
                weight.copy_(drawn * weight.std() + weight.mean())
    return replace(animator, generator=generator)


def measure_variant(variant: Variant, photo: Photo, size: int | None) -> dict[str, float] | None:
    """Figures of the photo's loop; None where nothing moves."""
    try:
        scene = variant.animator.invert(photo.path, size=size)
        loop = variant.animator.render(scene, **variant.options)
    except NothingMoves:
        return None
    return measure_loop(loop, scene.photo, loop.mask, loop.motion, loop.fps) | dict(scene.score)


def means(loops: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """A row a variant: means of its figures."""
    rows = []
    for name, found in loops.items():
        columns = {figure: [f[figure] for f in found if np.isfinite(f[figure])] for figure in FIGURES}
        rows.append({"variant": name} | {figure: float(np.mean(v)) for figure, v in columns.items() if v})
    return rows


def main() -> None:
    options = _options()
    photos = find_photos(options.folder, options.split)[: options.limit]
    kinds = variants(Animator.from_pretrained(options.model))
    loops: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in kinds}
    for photo in tqdm(photos, desc="ablation", disable=None):
        for variant in kinds:
            figures = measure_variant(variant, photo, options.size)
            loops[variant.name] += [figures] if figures else []
    rows = means(loops)
    header = {"machine": machine(), "photos": len(photos), "size": options.size or "native"}
    write(options.out, json.dumps({**header, "rows": rows}, indent=1))
    write(options.out.with_suffix(".md"), table(rows, ("variant", *FIGURES)))
    print(table(rows, ("variant", *FIGURES)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablation.json"))
    parser.add_argument("--size", type=lambda text: None if text == "native" else int(text), default=512)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, default=8, help="photos (default 8)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
