"""Inversion alone, without the residual: how near the generator's own picture is, and whether F is features.

    python benchmarks/inversion.py PHOTOS --split PHOTOS/val.txt --every 5 --size 1024
    python benchmarks/inversion.py PHOTOS --split PHOTOS/val.txt --every 13 --size 512 --no-encoder \
        --refine 20 60 180 --out benchmarks/results/inversion-foreign.json

For every photo: LPIPS (AlexNet) and PSNR of the encoder's single pass and after `refine` steps, and the seconds both
took, of wall clock and of the processor. Shift test: F moved by one or two cells moves the picture by as many times s
pixels; the figure is by how many dB the PSNR to the photo, moved alike, falls, away from the borders.
--no-encoder treats the model as a foreign one: w+ and F are found by optimisation alone.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import find_photos
from benchmarks.tables import table, write
from stylecine import Animator
from stylecine.networks.lpips import LPIPS
from stylecine.ops.image import to_tensor
from stylecine.stages.inversion import Inversion, invert, reconstruct
from stylecine.stages.photo import load_photo
from stylecine.weights import role_tensors

CELLS = (1, 2)  # of F, in the shift test
BORDER = 64  # pixels that the shift test leaves out: what comes in there is not the photo's


def measure(photo: Tensor, animator: Animator, lpips: LPIPS, steps: int) -> dict[str, float]:
    """Figures of one photo [3,H,W] after so many steps of optimisation."""
    wall, processor = perf_counter(), process_time()
    found = invert(photo, animator.generator, animator.encoder, refine=steps)
    seconds, processor = perf_counter() - wall, process_time() - processor
    with torch.inference_mode():
        distance = float(lpips(found.reconstruction[None], photo[None]))
    return {
        "lpips": distance,
        "psnr": psnr(found.reconstruction, photo),
        "seconds": seconds,
        "processor_seconds": processor,
        "shift_loss": max(shift_loss(photo, found, animator, cells) for cells in CELLS),
    }


def shift_loss(photo: Tensor, found: Inversion, animator: Animator, cells: int) -> float:
    """dB that the PSNR to the photo falls if F is moved by so many cells, and the photo by as many times s pixels.

    Only photos within the generator's own resolution, where a cell is s pixels of the photo.
    """
    moved = found.feature.roll((cells, cells), dims=(1, 2))
    image = reconstruct(animator.generator, found.w_plus[None], moved[None], (photo.shape[1], photo.shape[2]))[0]
    pixels = cells * animator.generator.stride
    expected = photo.roll((pixels, pixels), dims=(1, 2))
    return psnr(inside(found.reconstruction), inside(photo)) - psnr(inside(image), inside(expected))


def inside(image: Tensor) -> Tensor:
    return image[:, BORDER:-BORDER, BORDER:-BORDER]


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def main() -> None:
    options = _options()
    animator = Animator.from_pretrained(options.model)
    if options.no_encoder:
        animator = replace(animator, encoder=None)
    lpips = LPIPS.from_tensors(role_tensors(animator.model, "lpips"))
    rows: list[dict[str, Any]] = []
    for photo in tqdm(find_photos(options.folder, options.split)[:: options.every], desc="inversion", disable=None):
        image = to_tensor(load_photo(photo.path, options.size))
        size = f"{image.shape[2]}x{image.shape[1]}"
        for steps in options.refine:
            rows.append({"photo": photo.name, "size": size, "refine": steps})
            rows[-1] |= measure(image, animator, lpips, steps)
    means = []
    for steps in options.refine:
        chosen = [row for row in rows if row["refine"] == steps]
        figures = {name: float(np.mean([row[name] for row in chosen])) for name in list(chosen[0])[3:]}
        means.append({"photo": f"mean of {len(chosen)}", "refine": steps} | figures)
    head = {"machine": machine(), "size": options.size, "encoder": not options.no_encoder}
    write(options.out, json.dumps(head | {"rows": rows, "means": means}, indent=1) + "\n")
    text = table([*means, *rows], ["photo", *list(rows[0])[1:]])
    write(options.out.with_suffix(".md"), text)
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--every", type=int, default=1, help="only every n-th photo")
    parser.add_argument("--size", type=int, default=1024, help="short side (default 1024)")
    parser.add_argument("--refine", type=int, nargs="+", default=[0, 20], help="steps (default 0 and 20)")
    parser.add_argument("--no-encoder", action="store_true", help="as if the model had none")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/inversion.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
