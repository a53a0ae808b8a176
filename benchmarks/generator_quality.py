"""How far what the generator makes is from photos: kernel distances (patch-KID), and reconstruction against training.

    python benchmarks/generator_quality.py PHOTOS --split PHOTOS/val.txt --runs .runs/generator .runs/encoder

Patch-KID is the unbiased polynomial-kernel MMD² of Binkowski et al., "Demystifying MMD GANs" (ICLR 2018), between two
sets of 64 px patches, times 1000; its deviation is that over random subsets. Features are those of the network that
finds masks: VGG16 up to conv4_3, rounded to four bits, at 1/8, averaged over the patch. A photo gives one crop as
reference, and another one as it is, reconstructed, blurred, or with a square cut out and filled.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import find_photos, read_label
from benchmarks.tables import table, write
from stylecine import Animator
from stylecine.networks.segmenter import Trunk, normalise
from stylecine.ops.image import to_tensor, to_uint8
from stylecine.stages import plate as synthesis
from stylecine.stages.inversion import invert, reconstruct
from stylecine.stages.photo import load_photo

CROP, PATCH = 256, 64   # pixels a side
HOLE = 128              # pixels a side, in the middle of a crop of which everything moves
SUBSETS, SUBSET = 50, 100
TRUNCATION = 0.8        # of random latents, as on the sample sheets


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
    return photo[:, y:y + side, x:x + side]


def shrunk(image: Tensor, factor: int) -> Tensor:
    """image [3,H,W], shrunk and enlarged again: a blur everyone knows."""
    small = F.interpolate(image[None], scale_factor=1 / factor, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, image.shape[1:], mode="bicubic", align_corners=False)[0]


def versions(photo: Tensor, animator: Animator, random: np.random.Generator) -> dict[str, Tensor]:
    """Crops [3,CROP,CROP] of a photo: one for reference, and what is compared with it."""
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
    """A square of matter that moves, [3,HOLE,HOLE]: as it is and as it is filled; nothing where there is no room."""
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
    """Four crops of each picture that a random z gives."""
    crops = []
    for z in torch.randn(count, 1, 512, generator=torch.Generator().manual_seed(1)):
        image = sample(animator, animator.generator.mapping(z, TRUNCATION))
        places = (128, image.shape[1] - 384)
        crops += [crop_at(image, y, x) for y in places for x in places]
    return crops


def sample(animator: Animator, w: Tensor) -> Tensor:
    """The whole generator's picture of w [1,512]: [3,R,R]."""
    generator = animator.generator
    w_plus = w[:, None].expand(-1, generator.num_ws, -1)
    side = generator.resolution
    return reconstruct(generator, w_plus, generator.feature(w_plus), (side, side))[0]


@torch.inference_mode()
def interpolations(animator: Animator, rows: int = 3, columns: int = 5) -> Image.Image:
    """Random z at both ends of each row, and what lies between them in w; each picture 192 pixels wide."""
    ends = animator.generator.mapping(
        torch.randn(2 * rows, 512, generator=torch.Generator().manual_seed(2)), TRUNCATION).unflatten(0, (rows, 2))
    shares = torch.linspace(0, 1, columns)
    lines = [[sample(animator, torch.lerp(a, b, share)[None]) for share in shares] for a, b in ends]
    sheet = torch.cat([torch.cat(line, 2) for line in lines], 1)
    return Image.fromarray(to_uint8(sheet).numpy()).resize((192 * columns, 192 * rows), Image.Resampling.BOX)


def training(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """What the recipes' logs say of reconstruction, stage by stage: minutes, steps, PSNR and LPIPS."""
    rows = []
    for folder in folders:
        for line in (folder / "log.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "lpips" in row:
                rows.append({"stage": folder.name} | {k: row[k] for k in ("minutes", "step", "psnr", "lpips")})
    return rows


@torch.inference_mode()
def measured(animator: Animator, options: argparse.Namespace) -> list[dict[str, Any]]:
    trunk, random = animator.segmenter.trunk, np.random.default_rng(0)
    sets: dict[str, list[Tensor]] = {}
    photos = find_photos(options.folder, options.split, options.labels)[: options.limit]
    for photo in tqdm(photos, desc="patches", disable=None):
        picture = load_photo(photo.path, None)
        image = to_tensor(picture)
        found = versions(image, animator, random)
        if photo.label is not None:
            moving = torch.from_numpy(read_label(photo.label, picture.shape[:2]) > 0)
            found |= hidden(image, moving, animator, random)
        for name, crop in found.items():
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
    if options.sheet:
        interpolations(animator).save(options.sheet)
    rows, stages = measured(animator, options), training(options.runs)
    write(options.out, json.dumps({"machine": machine(), "patch_kid": rows, "training": stages}, indent=1))
    text = table(rows, list(rows[0]))
    if stages:
        text += "\n" + table(stages, list(stages[0]))
    write(options.out.with_suffix(".md"), text)
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos, or a folder with images/ and labels/")
    parser.add_argument("--split", type=Path, help="text file with the names of the photos to use")
    parser.add_argument("--labels", type=Path, help="folder of label PNGs (default: labels beside images)")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of trainings, whose logs are told")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/generator_quality.json"))
    parser.add_argument("--sheet", type=Path, help="also write a picture of random z and what lies between them")
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, help="photos (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
