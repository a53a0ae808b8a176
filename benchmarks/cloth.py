"""Cloth loops of photos with hand-made masks: figures, and pictures to judge them by.

    python -m benchmarks.cloth FOLDER [--photos ID ...] [--pictures DIR] [--direction N] [--size 512]
        [--model NAME] [--write]

FOLDER holds images/ID.jpg and labels/ID.png. For each photo: frame 0 against the photo, the largest change away from
the cloth, seam, pulse, how far the cloth moves, and by how much its ripples come later at two thirds of the cloth along
the wind than at one third, in degrees of their own cycle. For the first N: whether cloth moves to the side the wind
blows to, for six winds with a sideways component, judged from the finished frames alone (blocks of frame 0 tracked to
later frames by `stylecine.quality.blockmatch`), and how far it moves at four strengths. For the first: time per
frame relative to a landscape of the same size. --pictures writes a sheet per photo: frames, their differences from
frame 0 times eight, and a row of pixels over time. --write stores the figures in benchmarks/results/cloth.json.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from benchmarks.tables import RESULTS, to_json, write
from stylecine import Animator, Cinemagraph, Scene
from stylecine.cloth.rest_shape import find_pieces
from stylecine.ops.image import LUMA
from stylecine.output.preview import time_slice
from stylecine.quality.blockmatch import track

PHOTOS = (
    *("maple-leaf", "rainbow-flag", "epa-flag", "water-banner", "nato-flags"),
    *("red-cloak", "whirling-dervishes", "graduates", "bride-father", "button-blankets"),
)
SIDEWAYS = (0, 45, 135, 180, 225, 315)  # degrees: winds that blow to the right or to the left
STRENGTHS = (0.1, 0.3, 0.6, 1.0)
WIND = (0, 0.7)
SECONDS, FPS = 4.0, 30
NEIGHBOURHOOD = 0.035  # of the long side: around the cloth
COMPARED = (0.25, 0.5, 0.75)  # phases of a gust compared with frame 0


PHASES = 24  # frames of a gust whose ripples are measured
RIPPLES = slice(2, 6)  # cycles in a gust; one is the gust itself
SMOOTHED, APART = 0.05, 0.04  # of the cloth along the wind: further than prints sway; distance of places compared


@dataclass(frozen=True)
class Example:
    name: str
    scene: Scene
    mask: np.ndarray  # bool [H,W]


def main() -> None:
    options = _options()
    animator = Animator.from_pretrained(options.model)
    examples = list(_examples(animator, options.folder, options.photos, options.size))
    photos: dict[str, Any] = {}
    for example in examples:
        loop = _loop(animator, example, WIND)
        photos[example.name] = measure(loop, example)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet(loop)).save(options.pictures / f"{example.name}.png")
    few = examples[: options.direction]
    result = to_json(
        {
            "size": options.size,
            "wind": list(WIND),
            "photos": photos,
            "direction": directions(animator, few),
            "amplitude": amplitudes(animator, few),
            "time": times(animator, examples[0]),
        }
    )
    print(result)
    if options.write:
        write(RESULTS / "cloth.json", result)


def measure(loop: Cinemagraph, example: Example) -> dict[str, float]:
    """Figures of one loop; differences in levels of 255."""
    (cloth,) = loop.overlays
    radius = round(NEIGHBOURHOOD * max(example.mask.shape))
    mask = torch.from_numpy(example.mask)[None].float()
    away = F.max_pool2d(mask, 2 * radius + 1, 1, radius)[0].numpy() == 0
    drift = max(np.abs(loop[t].astype(int) - loop.scene.photo)[away].max(initial=0) for t in range(0, len(loop), 5))
    displacement = cloth.keyframes[:, :2].norm(dim=1).amax(0)
    on_cloth = F.avg_pool2d(mask, cloth.cell, ceil_mode=True)[0] > 0.5
    return {
        "first_frame": 255 * loop.measures["first_frame_error"],
        "away": int(drift),
        "seam": loop.measures["seam"],
        "pulse": loop.measures["pulse_global"],
        "pulse_tiles": loop.measures["pulse_tiles"],
        "phase_lag": phase_lag(loop, example.mask),
        "furthest": float(displacement[on_cloth].quantile(0.95)) / loop.width,
        "cloth_seconds": loop.timings["cloth"],
    }


def directions(animator: Animator, examples: list[Example]) -> dict[str, Any]:
    """Mean drift of the cloth to the right, in pixels, by photo and wind; and the share with the wind's sign."""
    drifts = {
        example.name: {
            str(degrees): mean_shift(_loop(animator, example, (degrees, WIND[1])), example.mask).right
            for degrees in SIDEWAYS
        }
        for example in examples
    }
    signs = [x * math.cos(math.radians(int(wind))) > 0 for by_wind in drifts.values() for wind, x in by_wind.items()]
    return {"right": sum(signs) / max(1, len(signs)), "drift": drifts}


@dataclass(frozen=True)
class Shift:
    """How far the cloth is from where it was in frame 0, in pixels, on average over a gust."""

    right: float
    distance: float


def mean_shift(loop: Cinemagraph, mask: np.ndarray) -> Shift:
    """By block matching, in small steps, so that folds are not mistaken for their neighbours. NaN if all is lost."""
    weight, steps, right, distance = torch.from_numpy(mask.astype(np.float32)), 6, [], []
    for phase in COMPARED:
        t = phase * _gust(loop)
        frames = [_grey(loop[t * i / steps]) for i in range(steps + 1)]
        blocks = track(frames, weight)
        shift = blocks.shift[blocks.both & (blocks.correlation >= 0.5)]
        if len(shift):
            right.append(float(shift[:, 0].mean()))
            distance.append(float(shift.norm(dim=1).mean()))
    return Shift(float(np.mean(right)), float(np.mean(distance))) if right else Shift(math.nan, math.nan)


def phase_lag(loop: Cinemagraph, mask: np.ndarray) -> float:
    """Degrees by which ripples of the largest piece of cloth come later at two thirds of it along the wind than at one
    third: positive if they run downwind. Of the number of cycles that ripples in step are strongest in.

    From finished frames: each place's brightness over a gust, smoothed, is compared with that of the place a little
    downwind in the middle third, and the angle of their cross-spectrum scaled to the whole third. Squared, as the two
    edges of a print that sways as a whole change in opposite directions, which is no lag.
    """
    piece = find_pieces(torch.from_numpy(mask).float())[0].mask.numpy() > 0.5
    columns = np.flatnonzero(piece.any(0))
    extent = columns[-1] - columns[0] + 1
    apart, radius = max(1, round(APART * extent)), max(1, round(SMOOTHED / 2 * extent))
    inside = ndimage.binary_erosion(piece, iterations=max(1, radius // 2))
    inside[:, : columns[0] + extent // 3] = inside[:, columns[0] + 2 * extent // 3 :] = False
    steady = tuple(replace(overlay, gustiness=0.0) for overlay in loop.overlays)
    loop = replace(loop, overlays=steady)  # so that the first gust is a period
    frames = np.stack([_grey(loop[_gust(loop) * k / PHASES]).numpy() for k in range(PHASES)])
    smooth = ndimage.uniform_filter(np.log(frames + 8), (0, 2 * radius + 1, 2 * radius + 1))
    waves = np.fft.fft(smooth, axis=0)[RIPPLES]
    step = apart if math.cos(math.radians(WIND[0])) > 0 else -apart
    both = inside & np.roll(inside, -step, 1)
    cross = (waves * np.roll(waves, -step, 2).conj())[:, both]
    squared = (cross**2 / np.maximum(np.abs(cross), 1e-9)).sum(1)
    return float(np.degrees(np.angle(squared[np.abs(squared).argmax()]))) / 2 * extent / 3 / apart


def amplitudes(animator: Animator, examples: list[Example]) -> dict[str, Any]:
    """Mean distance that the cloth moves, in pixels, at each strength; and the share of photos where it grows.

    Not the mean change of brightness: once lettering has moved by its own width, that grows no further.
    """
    distances = {}
    for example in examples:
        loops = [_loop(animator, example, (WIND[0], strength), seconds=2.0) for strength in STRENGTHS]
        distances[example.name] = [mean_shift(loop, example.mask).distance for loop in loops]
    growing = [all(a < b for a, b in pairwise(each)) for each in distances.values()]
    return {"growing": sum(growing) / max(1, len(growing)), "strengths": list(STRENGTHS), "pixels": distances}


def times(animator: Animator, example: Example, count: int = 30) -> dict[str, float]:
    """Seconds per frame of cloth and of a landscape, both covering the whole photo, and their ratio."""
    everything = np.ones(example.mask.shape, bool)
    motion = np.zeros((2, 32, 32), np.float32)
    motion[0] = 0.05
    loops = {
        "cloth": animator.render(example.scene, subject="cloth", mask=everything, wind=WIND, seconds=SECONDS, fps=FPS),
        "landscape": animator.render(example.scene, mask=everything, motion=motion, seconds=SECONDS, fps=FPS),
    }
    seconds = {}
    for name, loop in loops.items():
        loop[1]
        start = perf_counter()
        for t in range(count):
            loop[t]
        seconds[name] = (perf_counter() - start) / count
    return seconds | {"ratio": seconds["cloth"] / seconds["landscape"]}


def sheet(loop: Cinemagraph) -> np.ndarray:
    """Frames over a gust, their differences from frame 0 times eight, and a row of pixels over time: uint8."""
    first, *frames = (loop[k / 5 * _gust(loop)] for k in range(5))
    changes = [np.clip(128 + 8 * (frame.astype(int) - first), 0, 255).astype(np.uint8) for frame in frames]
    return np.concatenate([np.concatenate(row, 1) for row in (frames, changes, [time_slice(loop)] * 4)])


def _gust(loop: Cinemagraph) -> float:
    """Frames of one gust."""
    return len(loop) / loop.overlays[0].cycles


def _loop(animator: Animator, example: Example, wind: tuple[float, float], seconds: float = SECONDS) -> Cinemagraph:
    return animator.render(example.scene, subject="cloth", mask=example.mask, wind=wind, seconds=seconds, fps=FPS)


def _examples(animator: Animator, folder: Path, names: list[str], size: int) -> Iterator[Example]:
    for name in names:
        scene = animator.invert(folder / "images" / f"{name}.jpg", size=size)
        height, width = scene.photo.shape[:2]
        with Image.open(folder / "labels" / f"{name}.png") as label:
            mask = np.asarray(label.convert("L").resize((width, height))) > 127
        yield Example(name, scene, mask)


def _grey(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame.astype(np.float32) @ np.array(LUMA, np.float32))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", nargs="+", default=list(PHOTOS), metavar="ID")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--direction", type=int, default=5, metavar="N")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--model", default="default", help="its name, or a folder with candidate weights")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
