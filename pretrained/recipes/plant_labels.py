"""Which plants of a photo sway: pieces of what a published network takes for plants, chosen and corrected by hand.

A photo's `classes/ID.png` has ADE20K's classes as MOSAIC (MLCommons Mobile) guesses them, at 512 pixels. Its trees,
grass, plants and fields fall into connected pieces, numbered from 1 by `pieces_of`. Decisions are lines of a text file
in plants/ beside this file, coordinates in percent of the photo's width and height, and applied from left to right:

    ID: 1 4 ?5 +10,20 30,20 30,40 -50,0 60,0 60,99

Pieces 1 and 4 sway, all others do not; of piece 5 nobody can say. Then everything in the first polygon sways (`+`), and
nothing in the second (`-`). `?` before a polygon: nobody can say; `*`: all pieces sway within it; `a`: all pieces.
Photos without a line are labelled by rules, which leave out what is likely to be far.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

KINDS = (5, 10, 18, 30)  # trees, grass, plants, fields
STILL, SWAYS, UNKNOWN = 0, 1, 255
MIN_PIECE = 0.002  # of the photo: smaller pieces have no number, and nobody can say what they are
BAND = 2  # pixels at 512 on both sides of a border that are not counted
DECISIONS = Path(__file__).parent / "plants"
TOKEN = re.compile(r"(?P<piece>\??(\d+|a))$|(?P<mode>[-+*?])(?P<point>\S+,\S+)$")


def read_decisions(name: str) -> dict[str, list[str]]:
    """The words of each photo's line in a file of DECISIONS, by ID; {} if there is no such file."""
    path = DECISIONS / name
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""] for line in lines if line.strip()]
    return {name: words.split() for name, words in rows if not name.startswith("#")}


def pieces_of(classes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Classes [h,w] and moving classes [h,w] -> int [h,w]: the number of the piece of plants, 0 where there is none.

    Numbered by kind in the order of KINDS, within one by rows. What moves (sky, water, falls, smoke) is no plant.
    """
    numbers, count = np.zeros(classes.shape, np.int32), 0
    for kind in KINDS:
        parts, n = ndimage.label(ndimage.binary_opening((classes == kind) & (label == 0), iterations=1))
        sizes = np.bincount(parts.ravel(), minlength=n + 1)
        for part in range(1, n + 1):
            if sizes[part] >= MIN_PIECE * classes.size:
                count += 1
                numbers[parts == part] = count
    return numbers


def by_rules(classes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """uint8 [h,w], for a photo that nobody has decided about: nobody can say where plants may be, the rest is STILL."""
    return finished(np.where(np.isin(classes, KINDS), UNKNOWN, STILL).astype(np.uint8), classes, label)


def by_hand(words: list[str], classes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """uint8 [h,w]: STILL, SWAYS or UNKNOWN, as a photo's line says."""
    pieces = pieces_of(classes, label)
    sways = np.full(classes.shape, STILL, np.uint8)
    sways[np.isin(classes, KINDS) & (pieces == 0)] = UNKNOWN
    for mode, points in _operations(words):
        if isinstance(points, str):
            place = pieces > 0 if points == "a" else pieces == int(points)
        else:
            place = _inside(points, classes.shape) & ((mode != "*") | (pieces > 0))
        sways[place] = {"-": STILL, "?": UNKNOWN}.get(mode, SWAYS)
    return finished(sways, classes, label)


def finished(sways: np.ndarray, classes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Still where sky, water, falls or smoke are; unknown along borders, and where twigs may be before what moves."""
    sways = sways.copy()
    twigs = (label > 0) & (np.isin(classes, KINDS) | (sways == SWAYS))
    sways[label > 0] = STILL
    grown = ndimage.grey_dilation(sways == SWAYS, size=2 * BAND + 1)
    shrunk = ndimage.grey_erosion(sways == SWAYS, size=2 * BAND + 1)
    sways[(grown & ~shrunk) | twigs] = UNKNOWN
    return sways


def _operations(words: list[str]) -> list[tuple[str, str | list[tuple[float, float]]]]:
    """(mode, piece) or (mode, polygon in fractions of the sides), in order."""
    found: list[tuple[str, str | list[tuple[float, float]]]] = []
    for word in words:
        match = TOKEN.match(word)
        if match and match["piece"]:
            piece = match["piece"]
            found.append(("?" if piece.startswith("?") else "+", piece.lstrip("?")))
            continue
        if match:
            found.append((match["mode"], []))
        polygon = found[-1][1] if found else None
        if not isinstance(polygon, list):
            raise SystemExit(f"'{word}' is neither a piece nor a point of a polygon.")
        x, y = word.lstrip("-+*?").split(",")
        polygon.append((float(x) / 100, float(y) / 100))
    return found


def _inside(points: list[tuple[float, float]], size: tuple[int, ...]) -> np.ndarray:
    image = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(image).polygon([(x * size[1], y * size[0]) for x, y in points], fill=1, outline=1)
    return np.array(image)


def read_maps(photos: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A photo's classes and moving classes, uint8 [h,w] of 512 pixels on the long side."""
    with Image.open(photos / "classes" / f"{name}.png") as image:
        classes = np.array(image)
    with Image.open(photos / "labels" / f"{name}.png") as image:
        label = np.array(image.resize(classes.shape[::-1], Image.Resampling.NEAREST))
    return classes, label


def swaying(photos: Path, name: str, decisions: dict[str, list[str]]) -> np.ndarray:
    """uint8 [h,w]: STILL, SWAYS or UNKNOWN: as decided by hand if it was, else by rules."""
    classes, label = read_maps(photos, name)
    return by_hand(decisions[name], classes, label) if name in decisions else by_rules(classes, label)
