"""Sort by eye what the program takes for something that stands before the sky, or in water: the clouds and the foam
among it teach the refiner.

    python pretrained/recipes/sort_patches.py find PHOTOS DIR --around water --minutes 20    # DIR/NNN.png, of 36
    python pretrained/recipes/sort_patches.py apply DIR                       # DIR/NNN.txt -> photos/patches/ID.png

A patch is small, stands still in a loop, and has sky, or water, all around. A sheet shows each as it is, and outlined;
a file NNN.txt beside it says what they are, with a letter each, in rows of four:

    m   part of what is around it: a cloud, mist, smoke, glow, noise; foam, spray, a ripple, a glint, a reflection
    t   a thing: a twig, a wire, a mast, a bird, a star, lettering; a rock, a reed, a boat, a buoy
    g   ground, and what is around it is ground, too, that is taken for water: stored as a thing
    x   both;  ?  cannot be told

photos/patches/ID.png has them at a short side of 1024 pixels: 0 no patch, 1 part of what is around it, 2 a thing, 3 a
patch of which nothing is known, since it is one of many of its photo, or was not clear.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from data import label_of
from PIL import Image
from scipy import ndimage

from stylecine.engine.model_networks import Networks
from stylecine.networks.eye import CLASSES
from stylecine.ops.image import resize, to_tensor
from stylecine.ops.regions import connected
from stylecine.perception.look import look
from stylecine.perception.patches import SHORT_SIDE, patches_of
from stylecine.picture.photo import load_photo

PATCHES = Path(__file__).parent / "photos" / "patches"
CLASSES_AROUND = {"sky": ("sky",), "water": ("water", "falls")}
LEAST_AROUND = 0.03  # of a photo that its label has of them
LARGE_ONES, OTHERS = 5, 3  # of a photo: the largest patches, and some of the others
COLUMNS, ROWS, CELL = 4, 9, 160  # of a sheet; pixels of one of a patch's two pictures
CONTEXT, LEAST_CONTEXT = 3, 90  # of a patch's sides that a picture shows; pixels
COLOUR = (255, 0, 180)
MOVING, THING, UNKNOWN = 1, 2, 3  # as which a patch is stored
SAID = {"m": MOVING, "t": THING, "g": THING, "x": UNKNOWN, "?": UNKNOWN}


def find_patches(photo: np.ndarray, networks: Networks, around: str) -> tuple[np.ndarray, list[int]]:
    """Numbers of what stands in a photo [H,W,3], int32 [H,W]; and which of them are patches, the largest first."""
    scenery = look(to_tensor(photo), networks.eye, networks.refiner)
    if scenery.seen is None:
        return np.zeros(photo.shape[:2], np.int32), []
    classes = resize(scenery.seen.classes, photo.shape[:2]).argmax(0).numpy()
    return patches_in((scenery.eroded.moves > 0).numpy(), np.isin(classes, numbers_of(around)))


def numbers_of(around: str) -> list[int]:
    """Of the classes that "sky" or "water" stands for."""
    return [CLASSES.index(name) for name in CLASSES_AROUND[around]]


def patches_in(moves: np.ndarray, around: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The same, of what moves and what the eye takes for sky, or for water, bool [H,W]."""
    parts = connected(~moves)
    found, sizes = [number for number, *_ in patches_of(parts, around)], parts.size
    return parts.numbers, sorted(found, key=lambda number: -sizes[number])


def shown(photo: np.ndarray, patch: np.ndarray) -> Image.Image:
    """A patch, bool [H,W], of a photo [H,W,3]: as it is, and outlined."""
    rows, columns = ndimage.find_objects(patch.astype(np.uint8))[0]
    side = max(LEAST_CONTEXT, CONTEXT * max(rows.stop - rows.start, columns.stop - columns.start))
    top, left = (
        int(np.clip((part.start + part.stop - side) // 2, 0, max(0, whole - side)))
        for part, whole in zip((rows, columns), patch.shape, strict=True)
    )
    here = np.s_[top : top + side, left : left + side]
    outer = ndimage.binary_dilation(patch[here], iterations=3 if side > CELL else 2)
    outlined = photo[here].copy()
    outlined[outer & ~ndimage.binary_dilation(patch[here])] = COLOUR
    both = Image.new("RGB", (2 * CELL, CELL))
    for column, picture in enumerate((photo[here], outlined)):
        both.paste(Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS), (CELL * column, 0))
    return both


def find(photos: Path, out: Path, around: str, minutes: float, rng: np.random.Generator) -> None:
    networks = Networks.from_pretrained(device="cpu", lazily=True)
    names = rng.permutation((photos / "train.txt").read_text().split())
    out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, int, Image.Image]] = []
    count, end = 0, time.monotonic() + 60 * minutes
    for name in names:
        if time.monotonic() > end:
            break
        with Image.open(label_of(photos, name)) as label:
            if np.isin(np.asarray(label), numbers_of(around)).mean() < LEAST_AROUND:
                continue
        photo = load_photo(photos / "images" / f"{name}.jpg", SHORT_SIDE)
        numbers, found = find_patches(photo, networks, around)
        if not found:
            continue
        rest = found[LARGE_ONES:]
        chosen = found[:LARGE_ONES] + [int(n) for n in rng.permutation(rest)[:OTHERS]]
        np.savez_compressed(out / f"{name}.npz", numbers=numbers, patches=found)
        rows += [(name, number, shown(photo, numbers == number)) for number in chosen]
        while len(rows) >= COLUMNS * ROWS:
            write_sheet(out / f"{count:03d}", rows[: COLUMNS * ROWS])
            rows, count = rows[COLUMNS * ROWS :], count + 1
    if rows:
        write_sheet(out / f"{count:03d}", rows)


def write_sheet(path: Path, rows: list[tuple[str, int, Image.Image]]) -> None:
    sheet = Image.new("RGB", (COLUMNS * (2 * CELL + 5), ROWS * (CELL + 6)))
    for number, (_, _, picture) in enumerate(rows):
        sheet.paste(picture, (number % COLUMNS * (2 * CELL + 5), number // COLUMNS * (CELL + 6)))
    sheet.save(path.with_suffix(".png"))
    path.with_suffix(".json").write_text(json.dumps([(name, number) for name, number, _ in rows]))


def apply(folder: Path, out: Path = PATCHES) -> None:
    said: dict[str, dict[int, int]] = {}
    for path in sorted(folder.glob("*.txt")):
        rows, letters = json.loads(path.with_suffix(".json").read_text()), "".join(path.read_text().split())
        if len(rows) != len(letters) or set(letters) - set(SAID):
            raise SystemExit(f"{path} has to have {len(rows)} letters out of {' '.join(SAID)}; it has {letters!r}.")
        for (name, number), letter in zip(rows, letters, strict=True):
            said.setdefault(name, {})[number] = SAID[letter]
    out.mkdir(parents=True, exist_ok=True)
    for name, patches in said.items():
        with np.load(folder / f"{name}.npz") as found:
            numbers, all_patches = found["numbers"], found["patches"]
        codes = np.zeros(numbers.max() + 1, np.uint8)
        codes[all_patches] = UNKNOWN
        for number, code in patches.items():
            codes[number] = code
        sorted_now, path = codes[numbers], out / f"{name}.png"
        if path.exists():  # patches in water join those in the sky
            with Image.open(path) as image:
                before = np.asarray(image)
            sorted_now = np.where(np.isin(sorted_now, (MOVING, THING)) | (before == 0), sorted_now, before)
        Image.fromarray(sorted_now).save(path, optimize=True)
    print(f"{out}: {len(said)} photos, {sum(map(len, said.values()))} patches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    finding = tasks.add_parser("find")
    finding.add_argument("photos", type=Path, help="folder of photos, as lay_out_photos.py makes it")
    finding.add_argument("--around", choices=CLASSES_AROUND, default="sky")
    finding.add_argument("--minutes", type=float, default=20)
    finding.add_argument("--seed", type=int, default=0)
    for task in (finding, tasks.add_parser("apply")):
        task.add_argument("folder", type=Path, help="where the sheets are")
    options = parser.parse_args()
    if options.task == "find":
        torch.set_num_threads(1)
        find(options.photos, options.folder, options.around, options.minutes, np.random.default_rng(options.seed))
    else:
        apply(options.folder)


if __name__ == "__main__":
    main()
