"""Inversion without the residual: how close the reconstruction is, and whether F is equivariant to shifts.

    python -m benchmarks.studies.inversion PHOTOS --split PHOTOS/val.txt --every 5 --size 1024
    python -m benchmarks.studies.inversion PHOTOS --split PHOTOS/val.txt --every 13 --size 512 --no-encoder \
        --refine 20 60 180 --out benchmarks/results/inversion-foreign.json

For every photo: LPIPS (AlexNet) and PSNR after the encoder's single pass and after `refine` steps, with wall-clock and
processor seconds. Shift test: shifting F by one or two cells of s pixels should shift the image by as many times s
pixels; the figure is the loss of PSNR, in dB, against the photo shifted alike, away from the borders.
--no-encoder treats the model as a third-party one: w+ and F come from optimisation alone.
"""

from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.lpips import LPIPS
from benchmarks.machine import machine
from benchmarks.photos import photo_parser, selected_photos
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.ops.image import to_tensor
from stylecine.picture.inversion import Inversion, invert, reconstruct
from stylecine.picture.photo import load_photo

CELLS = (1, 2)  # of F, in the shift test
BORDER = 64  # pixels that the shift test leaves out


def measure(photo: Tensor, animator: Animator, lpips: LPIPS, steps: int) -> dict[str, float]:
    """Figures of one photo [3,H,W] after `steps` steps of optimisation."""
    wall, processor = perf_counter(), process_time()
    inverted = invert(photo, animator.generator, animator.encoder, refine=steps)
    seconds, processor = perf_counter() - wall, process_time() - processor
    with torch.inference_mode():
        distance = float(lpips(inverted.reconstruction[None], photo[None]))
    return {
        "lpips": distance,
        "psnr": psnr(inverted.reconstruction, photo),
        "seconds": seconds,
        "processor_seconds": processor,
        "shift_loss": max(shift_loss(photo, inverted, animator, cells) for cells in CELLS),
    }


def shift_loss(photo: Tensor, inverted: Inversion, animator: Animator, cells: int) -> float:
    """Loss of PSNR in dB if F is shifted by `cells` and the photo accordingly.

    For photos within the generator's resolution, in which a cell is s pixels.
    """
    shifted = inverted.feature.roll((cells, cells), dims=(1, 2))
    image = reconstruct(animator.generator, inverted.w_plus, shifted, (photo.shape[1], photo.shape[2]))
    pixels = cells * animator.generator.stride
    expected = photo.roll((pixels, pixels), dims=(1, 2))
    return psnr(inside(inverted.reconstruction), inside(photo)) - psnr(inside(image), inside(expected))


def inside(image: Tensor) -> Tensor:
    return image[:, BORDER:-BORDER, BORDER:-BORDER]


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def main() -> None:
    parser = photo_parser(__doc__, "inversion")
    parser.add_argument("--every", type=int, default=1, help="only every n-th photo")
    parser.add_argument("--size", type=int, default=1024, help="short side (default 1024)")
    parser.add_argument("--refine", type=int, nargs="+", default=[0, 20], help="steps (default 0 and 20)")
    parser.add_argument("--no-encoder", action="store_true", help="as if the model had none")
    options = parser.parse_args()
    animator = Animator.from_pretrained(options.model)
    if options.no_encoder:
        files = {role: file for role, file in animator.model.files.items() if role != "encoder"}
        animator = replace(animator, model=replace(animator.model, files=files))
    lpips = LPIPS.published()
    rows: list[dict[str, Any]] = []
    for photo in tqdm(selected_photos(options)[:: options.every], desc="inversion", disable=None):
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
    save(options.out, head | {"rows": rows, "means": means}, table([*means, *rows], ["photo", *list(rows[0])[1:]]))


if __name__ == "__main__":
    main()
