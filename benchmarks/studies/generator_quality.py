"""The generator against photos: kernel distances (patch-KID), and reconstruction over training.

    python -m benchmarks.studies.generator_quality PHOTOS --split PHOTOS/val.txt --runs .runs/generator .runs/encoder

Patch-KID is the unbiased polynomial-kernel MMD² of Binkowski et al., "Demystifying MMD GANs" (ICLR 2018), between two
sets of 64 px patches, times 1000; its deviation is that over random subsets. Features are those of the
segmenter's trunk: VGG16 up to conv4_3, quantised to four bits, at 1/8, averaged over the patch. Each photo gives one
crop as reference, and another one unchanged, reconstructed, blurred, or with an inpainted square.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import photo_parser, read_label, selected_photos
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.networks.segmenter import Trunk, normalise
from stylecine.ops.image import to_tensor
from stylecine.stages import plate as synthesis
from stylecine.stages.inversion import invert, reconstruct
from stylecine.stages.photo import load_photo

CROP, PATCH = 256, 64  # pixels a side
HOLE = 128  # pixels a side, in the middle of a crop of which everything moves
SUBSETS, SUBSET = 50, 100
TRUNCATION = 0.8  # of random latents


def features(images: Tensor, trunk: Trunk) -> Tensor:
    """Means of VGG16's conv4_3 over the patches of images [N,3,H,W] in [-1,1]: [M,512]."""
    maps = trunk(normalise(images).contiguous(memory_format=torch.channels_last))[2]
    return F.avg_pool2d(maps, PATCH // 8).permute(0, 2, 3, 1).flatten(0, 2)


def kid(a: Tensor, b: Tensor) -> dict[str, float]:
    """1000 times the mean and deviation, over random subsets, of the unbiased MMD² of features [M,C] and [N,C]."""
    random = np.random.default_rng(0)
    size = min(SUBSET, len(a), len(b))
    drawn = [[x[torch.from_numpy(random.permutation(len(x))[:size])].double() for x in (a, b)] for _ in range(SUBSETS)]
    values = 1000 * np.array([mmd(x, y) for x, y in drawn])
    return {"kid": float(values.mean()), "deviation": float(values.std())}


def mmd(x: Tensor, y: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of [n,C] and [n,C] with the kernel (x·y/C + 1)³."""
    n = len(x)
    xx, yy, xy = (((p @ q.T) / p.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    within = sum((k.sum() - k.diagonal().sum()) / (n * (n - 1)) for k in (xx, yy))
    return float(within - 2 * xy.mean())


def crop_at(photo: Tensor, y: int, x: int, side: int = CROP) -> Tensor:
    return photo[:, y : y + side, x : x + side]


def shrunk(image: Tensor, factor: int) -> Tensor:
    """image [3,H,W], downsampled and upsampled: a blur for comparison."""
    small = F.interpolate(image[None], scale_factor=1 / factor, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, image.shape[1:], mode="bicubic", align_corners=False)[0]


def versions(photo: Tensor, animator: Animator, random: np.random.Generator) -> dict[str, Tensor]:
    """Crops [3,CROP,CROP] of a photo: the reference, and what is compared with it."""
    (y, x), (v, u) = (tuple(int(random.integers(n - CROP + 1)) for n in photo.shape[1:]) for _ in range(2))
    crop = crop_at(photo, v, u)
    return {
        "reference": crop_at(photo, y, x),
        "photos again": crop,
        "G(E(photo))": invert(crop, animator.generator, animator.encoder).reconstruction,
        "shrunk by 2": shrunk(crop, 2),
        "shrunk by 4": shrunk(crop, 4),
    }


def hidden(photo: Tensor, moving: Tensor, animator: Animator, random: np.random.Generator) -> dict[str, Tensor]:
    """A square of moving matter, [3,HOLE,HOLE], unchanged and inpainted in several ways; empty if there is no room."""
    room = -F.max_pool2d(-moving.float()[None, None], CROP, 1)[0, 0]
    places = torch.nonzero(room > 0)
    if not len(places):
        return {}
    y, x = places[random.integers(len(places))].tolist()
    crop, visible, inset = crop_at(photo, y, x), torch.ones(CROP, CROP), (CROP - HOLE) // 2
    visible[inset:-inset, inset:-inset] = 0
    continued = invert(crop, animator.generator, animator.encoder, visible=visible).reconstruction
    ways = {
        "hidden: the photo": crop,
        "hidden: generator": synthesis.blend(crop, visible, continued),
        "hidden: generator + texture": synthesis.inpaint(crop, visible, continued),
        "hidden: push-pull + texture": synthesis.plain_plate(crop, visible).image,
    }
    return {name: crop_at(image, inset, inset, HOLE) for name, image in ways.items()}


def random_samples(animator: Animator, count: int) -> list[Tensor]:
    """Four crops of each image of a random z."""
    crops = []
    for z in torch.randn(count, 1, 512, generator=torch.Generator().manual_seed(1)):
        image = sample(animator, animator.generator.mapping(z, TRUNCATION))
        places = (128, image.shape[1] - 384)
        crops += [crop_at(image, y, x) for y in places for x in places]
    return crops


def sample(animator: Animator, w: Tensor) -> Tensor:
    """The generator's image of w [1,512]: [3,R,R]."""
    generator = animator.generator
    w_plus = w[:, None].expand(-1, generator.num_ws, -1)
    side = generator.resolution
    return reconstruct(generator, w_plus, generator.feature(w_plus), (side, side))[0]


@torch.inference_mode()
def training(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Reconstruction over training, from the recipes' logs: minutes, steps, PSNR and LPIPS by stage."""
    rows = []
    for folder in folders:
        for line in (folder / "log.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "lpips" in row:
                rows.append({"stage": folder.name} | {k: row[k] for k in ("minutes", "step", "psnr", "lpips")})
    return rows


@torch.inference_mode()
def measure(animator: Animator, options: argparse.Namespace) -> list[dict[str, Any]]:
    trunk, random = animator.segmenter.trunk, np.random.default_rng(0)
    sets: dict[str, list[Tensor]] = {}
    photos = selected_photos(options)
    for photo in tqdm(photos, desc="patches", disable=None):
        picture = load_photo(photo.path, None)
        image = to_tensor(picture)
        crops = versions(image, animator, random)
        if photo.label is not None:
            moving = torch.from_numpy(read_label(photo.label, picture.shape[:2]) > 0)
            crops |= hidden(image, moving, animator, random)
        for name, crop in crops.items():
            sets.setdefault(name, []).append(features(crop[None], trunk))
    sets["random z"] = [features(crop[None], trunk) for crop in random_samples(animator, -(-len(photos) // 4))]
    known = {name: torch.cat(parts) for name, parts in sets.items()}
    rows = []
    for name, patches in known.items():
        against = "hidden: the photo" if name.startswith("hidden") else "reference"
        if name != against:
            rows.append({"patches": name, "against": against, "count": len(patches)} | kid(patches, known[against]))
    return rows


def main() -> None:
    options = _options()
    animator = Animator.from_pretrained(options.model)
    rows, stages = measure(animator, options), training(options.runs)
    text = table(rows, list(rows[0]))
    if stages:
        text += "\n" + table(stages, list(stages[0]))
    save(options.out, {"machine": machine(), "patch_kid": rows, "training": stages}, text)


def _options() -> argparse.Namespace:
    parser = photo_parser(__doc__, "generator_quality")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of trainings whose logs are listed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
