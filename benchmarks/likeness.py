"""What tells pictures that the model does not know from landscapes: photos, and pictures drawn here.

    python -m benchmarks.likeness PHOTOS --split PHOTOS/val.txt

Each is inverted; written are LPIPS, PSNR at full, half and a quarter of the size (the last is `Scene.likeness`) and the
share that would move. `cinemagraph.NO_PHOTO` and `LITTLE` were chosen by these figures.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from benchmarks.machine import ROOT, machine
from benchmarks.photos import find_photos
from stylecine import Animator
from stylecine.cinemagraph import LITTLE, NO_PHOTO
from stylecine.quality.measures import psnr

WIDTH, HEIGHT = 1280, 960
Y, X = np.mgrid[:HEIGHT, :WIDTH]
RNG = np.random.default_rng(0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", metavar="PHOTOS", type=Path)
    options.add_argument("--split", type=Path, help="file with the photos' names")
    options.add_argument("--size", type=int, default=1024)
    options.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/likeness.json")
    given = options.parse_args()
    animator = Animator.from_pretrained()
    photos: list[tuple[str, Any]] = [(photo.name, photo.path) for photo in find_photos(given.folder, given.split)]
    drawn: list[tuple[str, Any]] = [(draw.__name__, np.asarray(draw())) for draw in DRAWN]
    rows = {
        kind: [row(animator, name, picture, given.size) for name, picture in tqdm(pictures, kind)]
        for kind, pictures in {"photos": photos, "drawn": drawn}.items()
    }
    header = {"machine": machine(), "settings": {"size": given.size, "no_photo": NO_PHOTO, "little": LITTLE}}
    given.out.write_text(json.dumps(header | rows, indent=1) + "\n")


def row(animator: Animator, name: str, picture: Any, size: int) -> dict[str, Any]:
    scene = animator.invert(picture, size=size)
    half = psnr(*(np.asarray(Image.fromarray(image).reduce(2)) for image in (scene.reconstruction, scene.photo)))
    figures = {"lpips": scene.score["lpips"], "psnr": scene.score["psnr"], "half": half, "likeness": scene.likeness}
    return {"name": name} | {key: round(value, 3) for key, value in figures.items()} | {
        "moving": round(float(scene.mask.mean()), 4)
    }  # fmt: skip


# --- pictures that are no landscapes


def text() -> Image.Image:
    page, draw = _canvas("white")
    words = ["river", "stone", "cloud", "meadow", "harbour", "light", "evening", "water", "mountain", "forest"]
    for y in range(40, HEIGHT - 40, 32):
        draw.text((60, y), " ".join(RNG.choice(words, 11)), fill="black", font=ImageFont.load_default(22))
    return page


def window() -> Image.Image:
    page, draw = _canvas((230, 230, 230))
    draw.rectangle((0, 0, WIDTH, 60), fill=(50, 50, 60))
    draw.rectangle((0, 60, 260, HEIGHT), fill=(70, 80, 95))
    for k in range(12):
        draw.text((20, 90 + k * 60), f"Menu {k}", fill="white", font=ImageFont.load_default(22))
        draw.rectangle((300, 90 + k * 70, WIDTH - 60, 140 + k * 70), fill="white", outline=(180, 180, 180))
        draw.text((320, 100 + k * 70), f"Row {k}: 12.{k}7", fill="black", font=ImageFont.load_default(22))
    return page


def plot() -> Image.Image:
    page, draw = _canvas("white")
    for k in range(11):
        draw.line((80 + k * 110, 60, 80 + k * 110, 860), fill=(200, 200, 200))
        draw.line((80, 60 + k * 80, 1180, 60 + k * 80), fill=(200, 200, 200))
        draw.text((30, 50 + k * 80), f"{10 - k}", fill="black", font=ImageFont.load_default(20))
    for colour in ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"):
        heights = 460 + 14 * np.cumsum(RNG.standard_normal(300))
        draw.line([(80 + 1100 * i / 299, float(h)) for i, h in enumerate(heights)], fill=colour, width=2)
    return page


def face() -> Image.Image:
    page, draw = _canvas((40, 60, 90))
    draw.ellipse((380, 110, 900, 850), fill=(224, 172, 140))
    draw.chord((370, 80, 910, 400), 180, 360, fill=(50, 30, 20))
    for x in (490, 700):
        draw.ellipse((x, 360, x + 100, 420), fill="white")
        draw.ellipse((x + 35, 370, x + 70, 410), fill=(60, 40, 30))
    draw.polygon([(640, 420), (610, 570), (670, 570)], fill=(200, 150, 120))
    draw.arc((550, 590, 740, 720), 20, 160, fill=(170, 60, 60), width=18)
    return page


def confetti() -> Image.Image:
    page, draw = _canvas("black")
    for x, y, r in zip(RNG.integers(0, WIDTH, 400), RNG.integers(0, HEIGHT, 400), RNG.integers(10, 120, 400)):  # noqa: B905
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(value) for value in RNG.integers(0, 256, 3)))
    return page


def bricks() -> np.ndarray:
    mortar = (Y % 40 < 5) | ((X + (Y // 40) % 2 * 45) % 90 < 5)
    wall = np.where(mortar[..., None], [190, 185, 175], [150, 70, 50])
    return _bytes(wall + RNG.normal(0, 12, (HEIGHT, WIDTH, 1)))


def noise() -> np.ndarray:
    return _bytes(RNG.integers(0, 256, (HEIGHT, WIDTH, 3)))


def chequers() -> np.ndarray:
    return _bytes(np.where(((X // 40 + Y // 40) % 2)[..., None], [255, 0, 0], [255, 255, 0]))


def stripes() -> np.ndarray:
    return _bytes(127 + 127 * np.sin(np.stack([X / 3, (X + Y) / 4, Y / 3], axis=-1)))


def gradient() -> np.ndarray:
    return _bytes(np.stack([X / WIDTH * 255, Y / HEIGHT * 255, np.full(X.shape, 128)], axis=-1))


def nothing() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 2, np.uint8)


DRAWN: list[Callable[[], Any]] = [
    text, window, plot, face, confetti, bricks, noise, chequers, stripes, gradient, nothing,
]  # fmt: skip


def _canvas(colour: str | tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (WIDTH, HEIGHT), colour)
    return page, ImageDraw.Draw(page)


def _bytes(levels: np.ndarray) -> np.ndarray:
    return levels.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
