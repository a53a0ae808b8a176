"""Label photos by eye: sheets to look at, corrections of what the eye predicts, and the labels that come of them.

    python pretrained/recipes/label_photos.py predict DIR [ID ...]     # DIR/images/ID.jpg -> DIR/predicted/ID.npz
    python pretrained/recipes/label_photos.py sheet DIR OUT.png ID ... # photo with a grid, and the prediction
    python pretrained/recipes/label_photos.py apply DIR [ID ...]       # DIR/edits/ID.json -> DIR/labels/ID.png, hints/
    python pretrained/recipes/label_photos.py check DIR OUT.png ID ... # the labels, over their photos

`predict` also prints, for each photo, how unsure the eye is of it: what it takes for moving in one copy of the photo
but not in the other, and likely water of which it is not sure, as shares of the frame. Label the largest ones first.

DIR/edits/ID.json says how a prediction becomes a label; places are in percent of the width and the height:

    {"base": "prediction",                                 or "nothing": everything stands
     "edits": [{"class": "water", "polygon": [[10, 60], [55, 58], [50, 90]]},   within it, all is water
               {"class": "static", "polygon": [...], "exact": true},            no snapping to the photo's edges
               {"class": "water", "at": [30, 70], "above": 0.2},   the region around a place of which the eye thinks
                                                                   with at least that probability that it moves
               {"class": "static", "at": [80, 20]}],               the region of the label so far around a place
     "arrows": [{"class": "water", "at": [30, 70], "to": [38, 74]}],            only where the direction can be seen
     "water": [{"at": [30, 70], "kind": "runs", "foam": "some"}]}               KINDS and FOAM of networks/eye.py

Edits are applied in order. The border of a polygon snaps to the photo's edges within a band (GrabCut, Rother et al.
2004), for which OpenCV is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

CLASSES = ("static", "sky", "water", "falls", "smoke")
COLOURS = np.array([[0, 0, 0], [40, 120, 255], [0, 200, 90], [255, 40, 40], [255, 220, 0]], np.float32)
MAYBE_COLOUR = np.array([255, 120, 0], np.float32)  # of what may move
PALETTE = [0, 0, 0, 90, 160, 255, 0, 90, 200, 230, 230, 255, 200, 200, 200]
LONG_SIDE = 1024  # of labels
SHOWN = 760  # pixels on the long side of a photo on a sheet
MAYBE, SURE = 0.15, 0.5  # probabilities that are shown
BAND = 0.012  # of the long side: how far a polygon's border may move


def photo_of(folder: Path, name: str, long_side: int) -> Image.Image:
    with Image.open(folder / "images" / f"{name}.jpg") as file:
        image = file.convert("RGB")
    scale = long_side / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def predict(folder: Path, names: list[str]) -> None:
    import torch
    from evaluate_eye import look_with

    from stylecine.ops.image import to_tensor
    from stylecine.weights import PRETRAINED

    torch.set_num_threads(1)
    look = look_with(PRETRAINED / "eye.safetensors")
    (folder / "predicted").mkdir(exist_ok=True)
    for name in names:
        out = folder / "predicted" / f"{name}.npz"
        if out.exists():
            continue
        seen = look(to_tensor(np.array(photo_of(folder, name, LONG_SIDE))))
        classes = seen.classes.numpy()
        moves, water = 1 - classes[0], classes[2:4].sum(0)
        unsure = float(((moves > MAYBE) & (moves < 1 - MAYBE)).mean())
        likely = float(((water > MAYBE) & (moves < SURE)).mean())
        np.savez_compressed(out, classes=(classes * 255).round().astype(np.uint8), unsure=unsure, likely=likely)
        print(f"{name},{unsure:.4f},{likely:.4f},{float(water.mean()):.4f}", flush=True)


def predicted(folder: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """[5,H,W] in [0,1]; size: width and height."""
    with np.load(folder / "predicted" / f"{name}.npz") as file:
        maps = file["classes"]
    return np.stack([np.array(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in maps]) / 255


def label_from(maps: np.ndarray) -> np.ndarray:
    """The likeliest moving class where it is likelier that something moves than that it stands."""
    return np.where(maps[0] < 1 - SURE, 1 + maps[1:].argmax(0), 0).astype(np.uint8)


def with_grid(photo: np.ndarray, name: str) -> Image.Image:
    """The photo with lines every 10 percent, numbered along its borders."""
    h, w = photo.shape[:2]
    image = Image.new("RGB", (w + 24, h + 28), "white")
    image.paste(Image.fromarray(photo), (24, 28))
    draw = ImageDraw.Draw(image, "RGBA")
    draw.text((2, 1), name, fill="black")
    for n in range(0, 101, 10):
        x, y = 24 + round(n / 100 * (w - 1)), 28 + round(n / 100 * (h - 1))
        draw.line([(x, 28), (x, 28 + h)], fill=(255, 255, 255, 70))
        draw.line([(24, y), (24 + w, y)], fill=(255, 255, 255, 70))
        draw.text((min(x - 4, w + 6), 15), str(n), fill="black")
        draw.text((2, min(y - 5, h + 16)), str(n), fill="black")
    return image


def coloured(photo: np.ndarray, label: np.ndarray, maybe: np.ndarray | None = None) -> np.ndarray:
    """The photo, darker, with a tint for each class and bright outlines."""
    shown = 0.8 * photo.astype(np.float32)
    for k in range(1, len(CLASSES)):
        place = label == k
        shown[place] = 0.7 * shown[place] + 0.3 * COLOURS[k]
        shown[place & ~ndimage.binary_erosion(place, iterations=2, border_value=1)] = COLOURS[k]
    if maybe is not None:
        place = maybe & (label == 0)
        shown[place] = 0.65 * shown[place] + 0.35 * MAYBE_COLOUR
    return shown.clip(0, 255).astype(np.uint8)


def sheet(folder: Path, out: Path, names: list[str]) -> None:
    """For each photo: the photo, and what the eye predicts for it (orange: may move)."""
    rows = []
    for name in names:
        photo = np.array(photo_of(folder, name, SHOWN))
        maps = predicted(folder, name, (photo.shape[1], photo.shape[0]))
        seen = coloured(photo, label_from(maps), maps[0] < 1 - MAYBE)
        pair = [with_grid(photo, name), with_grid(seen, "predicted")]
        rows.append(joined(pair, across=photo.shape[0] > photo.shape[1]))
    joined(rows, across=True).save(out)


def check(folder: Path, out: Path, names: list[str]) -> None:
    """Labels over photos, with their arrows, three in a row."""
    shown = []
    for name in names:
        photo = np.array(photo_of(folder, name, 620))
        with Image.open(folder / "labels" / f"{name}.png") as file:
            label = np.array(file.resize((photo.shape[1], photo.shape[0]), Image.Resampling.NEAREST))
        image = with_grid(coloured(photo, label), name)
        draw = ImageDraw.Draw(image)
        for arrow in json.loads((folder / "hints" / f"{name}.json").read_text())["arrows"]:
            ends = [(24 + x * photo.shape[1], 28 + y * photo.shape[0]) for x, y in (arrow["at"], arrow["to"])]
            draw.line(ends, fill="magenta", width=3)
            draw.circle(ends[1], 5, fill="magenta")
        shown.append(image)
    joined([joined(shown[n:n + 3], across=True) for n in range(0, len(shown), 3)], across=False).save(out)


def joined(images: list[Image.Image], *, across: bool) -> Image.Image:
    sizes = [image.size if across else image.size[::-1] for image in images]
    size = sum(length for length, _ in sizes), max(width for _, width in sizes)
    whole, place = Image.new("RGB", size if across else size[::-1], "white"), 0
    for image, (length, _) in zip(images, sizes, strict=True):
        whole.paste(image, (place, 0) if across else (0, place))
        place += length
    return whole


def apply(folder: Path, names: list[str]) -> None:
    for kind in ("labels", "hints"):
        (folder / kind).mkdir(exist_ok=True)
    for name in names:
        said = json.loads((folder / "edits" / f"{name}.json").read_text())
        photo = np.array(photo_of(folder, name, LONG_SIDE))
        image = Image.fromarray(labelled(said, photo, predicted(folder, name, (photo.shape[1], photo.shape[0]))))
        image.putpalette(PALETTE)
        image.save(folder / "labels" / f"{name}.png", optimize=True)
        arrows = [{"class": a["class"], "judged": True, **{end: [v / 100 for v in a[end]] for end in ("at", "to")}}
                  for a in said.get("arrows", [])]
        (folder / "hints" / f"{name}.json").write_text(json.dumps({"arrows": arrows}))
        print(name, *(f"{k} {(np.array(image) == n).mean():.1%}" for n, k in enumerate(CLASSES)))


def labelled(said: dict[str, Any], photo: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """uint8 [H,W]: the label that edits make of a prediction [5,H,W]."""
    h, w = photo.shape[:2]
    label = label_from(maps) if said["base"] == "prediction" else np.zeros((h, w), np.uint8)
    for edit in said.get("edits", []):
        kind = CLASSES.index(edit["class"])
        if "polygon" in edit:
            place = polygon(edit["polygon"], (w, h))
            label[place if edit.get("exact") else snapped(place, photo)] = kind
            continue
        x, y = (min(n - 1, int(v / 100 * n)) for v, n in zip(edit["at"], (w, h), strict=True))
        likely = maps[0] <= 1 - edit["above"] if "above" in edit else label == label[y, x]
        numbers, _ = ndimage.label(likely)
        if not numbers[y, x]:
            print(f"Left out: nothing is that likely at {edit['at']}.")
            continue
        label[(numbers == numbers[y, x]) & ((label == 0) if "above" in edit else True)] = kind
    return label


def polygon(points: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    image = Image.new("1", size)
    ImageDraw.Draw(image).polygon([(x / 100 * size[0], y / 100 * size[1]) for x, y in points], fill=1)
    return np.array(image)


def snapped(place: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Bool [H,W]: the place, whose border follows the photo's edges where there are any nearby."""
    import cv2

    reach = max(2, round(BAND * max(place.shape)))
    wide, core = (f(place, iterations=reach) for f in (ndimage.binary_dilation, ndimage.binary_erosion))
    if not core.any() or wide.all():
        return place
    rows, columns = ndimage.find_objects(wide.astype(int))[0]
    window = tuple(slice(max(0, s.start - 4 * reach), s.stop + 4 * reach) for s in (rows, columns))
    state = np.where(core, cv2.GC_FGD, np.where(~wide, cv2.GC_BGD, np.where(place, cv2.GC_PR_FGD, cv2.GC_PR_BGD)))
    state = np.ascontiguousarray(state[window].astype(np.uint8))
    if not (state == cv2.GC_BGD).any():
        return place
    cv2.setRNGSeed(0)
    models, nowhere = (np.zeros((1, 65)), np.zeros((1, 65))), (0, 0, 1, 1)  # of colours; a rectangle that is not used
    cv2.grabCut(np.ascontiguousarray(photo[window]), state, nowhere, *models, 2, cv2.GC_INIT_WITH_MASK)
    found = place.copy()
    found[window] = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return ndimage.binary_opening(found, iterations=1) | core


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, source in (("predict", "images"), ("apply", "edits"), ("sheet", None), ("check", None)):
        own = commands.add_parser(command)
        own.add_argument("folder", type=Path)
        if source is None:
            own.add_argument("out", type=Path)
        own.add_argument("names", nargs="*" if source else "+", metavar="ID")
    options = parser.parse_args()
    if options.command in ("sheet", "check"):
        {"sheet": sheet, "check": check}[options.command](options.folder, options.out, options.names)
        return
    source = "images" if options.command == "predict" else "edits"
    names = options.names or sorted(path.stem for path in (options.folder / source).iterdir())
    {"predict": predict, "apply": apply}[options.command](options.folder, names)


if __name__ == "__main__":
    main()
