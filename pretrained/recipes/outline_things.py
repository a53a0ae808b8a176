"""Outline small static things before water or sky by eye: ropes, twigs, railings, birds, paddles, boats, posts.

    python pretrained/recipes/outline_things.py crop DIR OUT.png ID X Y       # 256 pixels around a place, with a grid
    python pretrained/recipes/outline_things.py apply DIR [NAME ...]          # DIR/things/NAME.json -> NAME.png
    python pretrained/recipes/outline_things.py check DIR OUT.png NAME ...    # outlines, over their crops

DIR/images/ID.jpg is a photo, X and Y are percent of its sides. Crops are cut from it at a long side of 1536. A file
NAME.json says what stands in a crop; places are pixels of it, 0 to 256, or beyond its edge:

    {"photo": "ID", "at": [41.5, 60],
     "things": [{"polygon": [[10, 60], [55, 58], [50, 90]]},                    a thing's outline
                {"stroke": [[0, 20], [128, 31], [256, 30]], "width": 2},        a rope, a twig, a railing's bar
                {"within": [[0, 0], [256, 0], [256, 120]], "darker": 90},       what is darker than that grey, 0 to 255,
                {"within": [[30, 40], [60, 40], [60, 80]], "brighter": 170},    or brighter, within a polygon
                {"not": [[70, 10], [80, 10], [80, 20]]}]}                       what is none of them

They are drawn in order. What moves itself (water, sky, foam), and land, is no thing: only what stands before water or
sky, and is smaller than about 80 pixels one way. In crops whose names end in -w, though, all that stands within what
the photo's label has as water is outlined, banks, ice and gravel as well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from label_photos import photo_of
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from torch import Tensor

OUTLINES = Path(__file__).parent / "photos" / "things"
LONG_SIDE, CROP = 1536, 256  # pixels: of the photo, and of a crop's sides
SCALE, GRID = 4, 32  # of what is shown; pixels of the crop between the grid's lines
FINE = 4  # parts of a pixel in which outlines are drawn
COLOUR = np.array([255, 0, 200], np.float32)


def corner(at: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """Column and row of a crop's upper left pixel, in a photo of that size."""
    left, top = (
        min(max(round(share / 100 * side - CROP / 2), 0), max(side - CROP, 0))
        for share, side in zip(at, (width, height), strict=True)
    )
    return left, top


def cut(folder: Path, name: str, at: Sequence[float]) -> Image.Image:
    """A crop of a photo."""
    photo = photo_of(folder, name, LONG_SIDE)
    left, top = corner(at, *photo.size)
    return photo.crop((left, top, left + CROP, top + CROP))


def crop_on(path: Path, size: tuple[int, int]) -> Tensor:
    """[2,H,W] in [0,1] of the whole photo at `size`: how much of each pixel is a thing, and in the crop. path: its
    .json, beside which is its .png."""
    import torch
    import torch.nn.functional as F

    scale = LONG_SIDE / max(size)
    height, width = (round(side * scale) for side in size)
    left, top = corner(json.loads(path.read_text())["at"], width, height)
    with Image.open(path.with_suffix(".png")) as image:
        mask = np.array(image)
    maps = np.zeros((2, height, width), np.float32)
    crop = np.stack((mask, np.ones_like(mask)))[:, : height - top, : width - left]  # a photo may be smaller
    maps[:, top : top + CROP, left : left + CROP] = crop
    return F.interpolate(torch.from_numpy(maps)[None], size, mode="area")[0]


def outlines_by_photo() -> dict[str, list[Path]]:
    """The .json files of the crops that are outlined, by photo."""
    found: dict[str, list[Path]] = {}
    for path in sorted(OUTLINES.glob("*.json")):
        found.setdefault(json.loads(path.read_text())["photo"], []).append(path)
    return found


def outlined(crop: Image.Image, things: list[dict[str, Any]]) -> np.ndarray:
    """Bool [CROP,CROP]: where the things are."""
    grey = np.asarray(crop.convert("L"))
    found = np.zeros((CROP, CROP), bool)
    for thing in things:
        kind = next(name for name in ("polygon", "stroke", "within", "not") if name in thing)
        drawn = Image.new("L", (CROP * FINE, CROP * FINE))
        points = [(x * FINE, y * FINE) for x, y in thing[kind]]
        if kind == "stroke":
            ImageDraw.Draw(drawn).line(points, fill=255, width=max(1, round(thing["width"] * FINE)), joint="curve")
        else:
            ImageDraw.Draw(drawn).polygon(points, fill=255)
        here = np.asarray(drawn.reduce(FINE)) > 127
        if "darker" in thing:
            here &= grey < thing["darker"]
        if "brighter" in thing:
            here &= grey > thing["brighter"]
        found = found & ~here if kind == "not" else found | here
    return found


def shown(crop: Image.Image) -> Image.Image:
    """Enlarged, with a grid whose lines are numbered in its pixels."""
    large = crop.resize((CROP * SCALE, CROP * SCALE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(large)
    for at in range(0, CROP, GRID):
        for line in (((at * SCALE, 0), (at * SCALE, CROP * SCALE)), ((0, at * SCALE), (CROP * SCALE, at * SCALE))):
            draw.line(line, fill=(255, 255, 255) if at % (2 * GRID) == 0 else (150, 150, 150))
        draw.text((at * SCALE + 2, 0), str(at), fill=(255, 255, 0))
        draw.text((0, at * SCALE + 1), str(at), fill=(255, 255, 0))
    return large


def read(folder: Path, name: str) -> tuple[dict[str, Any], Image.Image]:
    said = json.loads((folder / "things" / f"{name}.json").read_text())
    return said, cut(folder, said["photo"], said["at"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["crop", "apply", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    if options.task == "crop":
        out, name, x, y = options.rest
        shown(cut(options.folder, name, (float(x), float(y)))).save(out)
    elif options.task == "apply":
        for name in options.rest or sorted(path.stem for path in (options.folder / "things").glob("*.json")):
            said, crop = read(options.folder, name)
            mask = outlined(crop, said["things"])
            Image.fromarray(mask).save(options.folder / "things" / f"{name}.png", optimize=True)
            print(f"{name}: {mask.mean():.1%} of the crop")
    else:
        out, *names = options.rest
        side = CROP * 2
        sheet = Image.new("RGB", (2 * side * min(2, len(names)), side * -(-len(names) // 2)))
        for number, name in enumerate(names):
            at = 2 * side * (number % 2), side * (number // 2)
            crop = read(options.folder, name)[1]
            pixels = np.asarray(crop, np.float32)
            mask = np.asarray(Image.open(options.folder / "things" / f"{name}.png")).astype(bool)
            over = np.where(mask[..., None], 0.35 * pixels + 0.65 * COLOUR, pixels).astype(np.uint8)
            for column, picture in enumerate((crop, Image.fromarray(over))):
                large = picture.resize((side, side), Image.Resampling.BICUBIC)
                sheet.paste(large, (at[0] + side * column, at[1]))
            ImageDraw.Draw(sheet).text((at[0] + 3, at[1] + 3), name, fill=(255, 255, 0))
        sheet.save(out)


if __name__ == "__main__":
    main()
