"""Loops of cloth from photos with hand-made masks: figures, and pictures to judge them by.

    python benchmarks/cloth.py FOLDER [--photos ID ...] [--pictures DIR] [--direction N] [--size 512]
        [--model NAME] [--write]

FOLDER holds images/ID.jpg and labels/ID.png. Of each photo: frame 0 against it, the largest change away from the cloth,
seam, pulse, how far the cloth goes. Of the first N: whether cloth moves to the side that the wind blows to, for six
winds with a sideways part, read from the finished frames alone (blocks of frame 0 looked for in later ones, as
`stylecine.quality.blockmatch` does it), and how much it changes at four strengths. Of the first how long a frame takes
beside one of a landscape of the same size. --pictures writes a sheet of each photo: frames side by side, their
differences from frame 0 eight times, and a row of pixels over time. --write puts the figures into
benchmarks/results/cloth.json.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylecine import Animator, Cinemagraph, Scene
from stylecine.output.report import time_slice
from stylecine.quality.blockmatch import track
from stylecine.quality.measures import LUMA

RESULTS = Path(__file__).parent / "results" / "cloth.json"
PHOTOS = (
    *("maple-leaf", "rainbow-flag", "epa-flag", "water-banner", "nato-flags"),
    *("red-cloak", "whirling-dervishes", "graduates", "bride-father", "button-blankets"),
)
SIDEWAYS = (0, 45, 135, 180, 225, 315)  # degrees: winds that blow to the right or to the left
STRENGTHS = (0.1, 0.3, 0.6, 1.0)
WIND = (0, 0.7)
SECONDS, FPS = 4.0, 30
AWAY = 0.035  # of the long side: the cloth's neighbourhood
LOOKS = 4  # of later frames that are compared with frame 0


@dataclass(frozen=True)
class Example:
    name: str
    scene: Scene
    mask: np.ndarray  # bool [H,W]


def main() -> None:
    options = _options()
    animator = Animator.from_pretrained(options.model)
    examples = list(_examples(animator, options.folder, options.photos, options.size))
    figures: dict[str, Any] = {"size": options.size, "wind": list(WIND), "photos": {}}
    for example in examples:
        loop = _loop(animator, example, WIND)
        figures["photos"][example.name] = measured(loop, example)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet(loop)).save(options.pictures / f"{example.name}.png")
        print(example.name, _plainly(figures["photos"][example.name]), flush=True)
    figures["direction"] = directions(animator, examples[: options.direction])
    figures["amplitude"] = amplitudes(animator, examples[: options.direction])
    figures["time"] = times(animator, examples[0])
    told = _plainly({name: figures[name] for name in ("direction", "amplitude", "time")})
    print(json.dumps(told, indent=1))
    if options.write:
        RESULTS.write_text(json.dumps(_plainly(figures), indent=2) + "\n")


def measured(loop: Cinemagraph, example: Example) -> dict[str, float]:
    """Figures of one loop; differences in levels of 255."""
    away = _away(example.mask)
    drift, furthest = 0, 0.0
    for t in range(0, len(loop), 5):
        drift = max(drift, int(np.abs(loop[t].astype(int) - loop.scene.photo)[away].max(initial=0)))
    assert loop.cloth_layer is not None
    inside = torch.from_numpy(example.mask)
    cell = loop.cloth_layer.cell
    moved = loop.cloth_layer.keyframes[:, :2].norm(dim=1).amax(0)
    small = torch.nn.functional.avg_pool2d(inside[None].float(), cell, ceil_mode=True)[0] > 0.5
    furthest = float(moved[small].quantile(0.95))
    return {
        "first_frame": 255 * loop.measures["first_frame_error"],
        "away": drift,
        "seam": loop.measures["seam"],
        "pulse": loop.measures["pulse_global"],
        "pulse_tiles": loop.measures["pulse_tiles"],
        "furthest": furthest / loop.width,
        "hanging_s": loop.timings["cloth"],
    }


def directions(animator: Animator, examples: list[Example]) -> dict[str, Any]:
    """Of each photo and wind how far the cloth is to the right of where it was in frame 0, on average over the loop, in
    pixels; and the share of those with the wind's sign."""
    found: dict[str, dict[str, float]] = {}
    right = []
    for example in examples:
        found[example.name] = {}
        for degrees in SIDEWAYS:
            drift = sideways(_loop(animator, example, (degrees, WIND[1])), example.mask)
            found[example.name][str(degrees)] = drift
            right.append(drift * math.cos(math.radians(degrees)) > 0)
        print(example.name, _plainly(found[example.name]), flush=True)
    return {"right": sum(right) / max(1, len(right)), "drift": found}


def sideways(loop: Cinemagraph, mask: np.ndarray) -> float:
    """Mean of x that cloth has moved since frame 0, in pixels, over the loop: read from its frames by matching blocks.

    Later frames come from frame 0 in small steps, so that nothing is mistaken for its neighbour.
    """
    weight = torch.from_numpy(mask.astype(np.float32))
    means = []
    for k in range(1, LOOKS):
        t = len(loop) * k / LOOKS / loop_cycles(loop)
        steps = 6
        frames = [_grey(loop[t * i / steps]) for i in range(steps + 1)]
        blocks = track(frames, weight)
        good = (blocks.both & (blocks.alike >= 0.5)).numpy()
        if good.any():
            means.append(float(blocks.shift[good, 0].mean()))
    return float(np.mean(means)) if means else math.nan


def loop_cycles(loop: Cinemagraph) -> int:
    assert loop.cloth_layer is not None
    return loop.cloth_layer.cycles


def amplitudes(animator: Animator, examples: list[Example]) -> dict[str, Any]:
    """Mean absolute change to frame 0 on the cloth, levels of 255, at each strength; whether it grows in every step."""
    found = {}
    for example in examples:
        changes = []
        for strength in STRENGTHS:
            loop = _loop(animator, example, (WIND[0], strength), seconds=2.0)
            looks = [np.abs(loop[t].astype(int) - loop.scene.photo)[example.mask].mean() for t in range(0, 60, 6)]
            changes.append(float(np.mean(looks)))
        found[example.name] = changes
    growing = [all(a < b for a, b in pairwise(each)) for each in found.values()]
    return {"growing": sum(growing) / max(1, len(growing)), "strengths": list(STRENGTHS), "change": found}


def times(animator: Animator, example: Example, count: int = 30) -> dict[str, float]:
    """Seconds of a frame of cloth and of a landscape, all of the same photo moving, and their ratio."""
    everything = np.ones(example.mask.shape, bool)
    cloth = animator.render(example.scene, subject="cloth", mask=everything, wind=WIND, seconds=SECONDS, fps=FPS)
    drift = np.zeros((2, 32, 32), np.float32)
    drift[0] = 0.05
    landscape = animator.render(example.scene, mask=everything, motion=drift, seconds=SECONDS, fps=FPS)
    taken = {}
    for name, loop in (("cloth", cloth), ("landscape", landscape)):
        loop[1]
        start = perf_counter()
        for t in range(count):
            loop[t]
        taken[name] = (perf_counter() - start) / count
    return taken | {"ratio": taken["cloth"] / taken["landscape"]}


def sheet(loop: Cinemagraph) -> np.ndarray:
    """Frames over a gust, what they change of frame 0, eight times, and a row of pixels over time: uint8."""
    seen = [loop[len(loop) * k / 5 / loop_cycles(loop)] for k in range(5)]
    changed = [np.clip(128 + 8 * (frame.astype(int) - seen[0]), 0, 255).astype(np.uint8) for frame in seen[1:]]
    rows = [np.concatenate(seen[1:], 1), np.concatenate(changed, 1), np.concatenate([time_slice(loop)] * 4, 1)]
    return np.concatenate(rows)


def _loop(animator: Animator, example: Example, wind: tuple[float, float], seconds: float = SECONDS) -> Cinemagraph:
    return animator.render(example.scene, subject="cloth", mask=example.mask, wind=wind, seconds=seconds, fps=FPS)


def _examples(animator: Animator, folder: Path, names: list[str], size: int) -> Iterator[Example]:
    for name in names:
        scene = animator.invert(folder / "images" / f"{name}.jpg", size=size)
        height, width = scene.photo.shape[:2]
        with Image.open(folder / "labels" / f"{name}.png") as label:
            mask = np.asarray(label.convert("L").resize((width, height))) > 127
        yield Example(name, scene, mask)


def _away(mask: np.ndarray) -> np.ndarray:
    """Bool [H,W]: further from all cloth than its neighbourhood reaches."""
    reach = round(AWAY * max(mask.shape))
    near = torch.nn.functional.max_pool2d(torch.from_numpy(mask)[None].float(), 2 * reach + 1, 1, reach)[0] > 0
    return ~near.numpy()


def _grey(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame.astype(np.float32) @ LUMA)


def _plainly(value: Any) -> Any:
    """Rounded, and None for what is no number."""
    if isinstance(value, dict):
        return {name: _plainly(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plainly(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", nargs="+", default=list(PHOTOS), metavar="ID")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--direction", type=int, default=5, metavar="N")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--model", default="default", help="its name, or a folder with weights to be tried")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
