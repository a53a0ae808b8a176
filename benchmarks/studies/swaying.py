"""How plants sway in finished frames: their spectrum, how unlike neighbours move, and whether they obey the wind.

    python -m benchmarks.studies.swaying PHOTOS --split plants.txt

Blocks of the first frame in which plants sway are followed through loops of a wind to the right at three strengths,
and to the left. Only what is seen in the frames counts, and only blocks with texture in both directions that a frame
still resembles. Per photo:

- in_band: share of the power of the displacement, its mean taken away, between 0.2 and 1.5 Hz.
- spread: standard deviation (degrees, circular, weighted by power) of blocks' phases at the harmonic with most power.
- amplitude: root mean square of the displacement about its mean, in thousandths of the short side, by strength.
- off: degrees between the mean displacement and the wind, to the right and to the left.
- gusts: speed at which gusts pass over a meadow, along the wind, relative to the speed intended: that which best
  explains, at the frequency of the slowest, by how much later blocks move than those beside them. To the right and to
  the left.
- lean: length of the mean displacement, in thousandths of the short side, to tell where `off` means something.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.photos import Photo, photo_parser, selected_photos
from benchmarks.tables import save, table
from stylecine import Animator
from stylecine.engine.plants import SwayingPlants
from stylecine.movement.sway import GUSTS, gust_speed
from stylecine.ops.image import LUMA, resize
from stylecine.options import PLANTS, Wind
from stylecine.quality.blockmatch import track

SIZE = 512
STRENGTHS = (0.25, 0.5, 1.0)
TO_THE_RIGHT, TO_THE_LEFT = 0.0, 180.0
BAND = (0.2, 1.5)  # Hz
EVERY = 2  # frames
ALIKE = 0.8  # correlation of a block with its match, at least, in all frames
FEWEST = 8  # blocks, or a photo tells nothing

MEADOW = 0.5  # of `meadow` in movement/sway.py, at least
BESIDE = (8, 4, 70)  # pixels: blocks in about one row, at least and at most so far from each other
SPEEDS = np.geomspace(20, 2000, 300)  # pixels a second: those that are tried

Row = dict[str, Any]
Paths = NDArray[np.float64]  # [T,n,2]: displacements of n blocks, x right, y down, in pixels
Centres = NDArray[np.float64]  # [n,2]


def main() -> None:
    options = photo_parser(__doc__, "swaying").parse_args()
    torch.set_num_threads(1)
    animator = Animator.from_pretrained(options.model)
    photos = tqdm(selected_photos(options), desc="swaying", disable=None)
    rows = [row for photo in photos if (row := measure(animator, photo))]
    medians = summary(rows)
    found = {"machine": machine(), "photos": len(rows), "size": SIZE, **medians, "rows": rows}
    columns = ("photo", "blocks", "in_band", "spread", "amplitude", "off_right", "off_left", "gusts", "lean")
    save(options.out, found, table([*rows, medians], columns))


def measure(animator: Animator, photo: Photo) -> Row | None:
    """None where nothing sways that could be followed."""
    scene = animator.invert(photo.path, size=SIZE)
    winds = [Wind(TO_THE_RIGHT, strength) for strength in STRENGTHS] + [Wind(TO_THE_LEFT, STRENGTHS[1])]
    paths, passing, short, rate = [], [], 1, 1.0
    for wind in winds:
        loop = animator.render(scene, wind=(wind.degrees, wind.strength))
        plants = loop.overlay(PLANTS)
        if plants is None or not isinstance(plants.at_rest, SwayingPlants):
            return None
        frames = [_grey(frame) for frame in loop.frames(range(0, loop.period, EVERY))]
        sways = (plants.reach > 0.5).cpu()
        followed = follow(frames, sways)
        if followed is None:
            return None
        paths.append(followed[1])
        short, rate = min(loop.height, loop.width), loop.fps / EVERY
        if wind.strength == STRENGTHS[1]:
            meadow = torch.from_numpy(plants.at_rest.motion.places.meadow.copy())[None].float()
            meadow = resize(meadow, (loop.height, loop.width))[0] > MEADOW
            passing.append(gusts(follow(frames, sways & meadow), loop.period / loop.fps, short, wind))
    middle, left = paths[1], paths[3]
    return {
        "photo": photo.name,
        "blocks": middle.shape[1],
        "in_band": in_band(middle, rate),
        "spread": phase_spread(middle),
        "amplitude": [round(1000 * amplitude(p) / short, 2) for p in paths[:3]],
        "monotone": amplitude(paths[0]) <= amplitude(paths[1]) <= amplitude(paths[2]),
        "off_right": off(middle, TO_THE_RIGHT),
        "off_left": off(left, TO_THE_LEFT),
        "gusts": [round(ratio, 2) for ratio in passing if ratio is not None],
        "lean": 1000 * float(np.hypot(*middle.mean((0, 1)))) / short,
    }


def follow(frames: list[Tensor], places: Tensor) -> tuple[Centres, Paths] | None:
    """Blocks among places bool [H,W], and their displacements since the first frame; None if they are too few."""
    followed = [track([frames[0], frame], places.float()) for frame in frames[1:]]
    clear = torch.stack([blocks.both & (blocks.correlation > ALIKE) for blocks in followed]).all(0)
    if int(clear.sum()) < FEWEST:
        return None
    shifts = torch.stack([blocks.shift[clear] for blocks in followed])
    paths = torch.cat((torch.zeros_like(shifts[:1]), shifts)).double().numpy()
    return followed[0].centre[clear].double().numpy(), paths


def amplitude(paths: Paths) -> float:
    """Root mean square of the displacement about its mean, in pixels."""
    return float(np.sqrt(np.square(paths - paths.mean(0)).sum(2).mean()))


def gusts(followed: tuple[Centres, Paths] | None, seconds: float, short: int, wind: Wind) -> float | None:
    """Speed of the slowest gusts over a meadow relative to the intended one; None where no meadow was followed."""
    if followed is None:
        return None
    cycles = max(1, round(GUSTS[0][0] * seconds))
    speed = travelling(*followed, cycles, seconds) / short
    return None if math.isnan(speed) else speed / (gust_speed(wind) * math.cos(wind.angle))


def travelling(centres: Centres, paths: Paths, cycles: int, seconds: float) -> float:
    """Pixels a second, to the right, of a wave of so many cycles in a loop; NaN if no blocks are beside each other."""
    spectrum = np.fft.fft(paths[..., 0], axis=0)[cycles]
    (x, y), (level, nearest, farthest) = centres.T, BESIDE
    first, second = np.nonzero(
        (np.abs(y[:, None] - y) < level) & (x - x[:, None] > nearest) & (x - x[:, None] < farthest)
    )
    if not len(first):
        return math.nan
    distance, turned = x[second] - x[first], spectrum[second] * spectrum[first].conj()
    speeds = np.concatenate((-SPEEDS, SPEEDS))
    lags = 2 * np.pi * cycles / seconds * distance / speeds[:, None]
    return float(speeds[(turned * np.exp(1j * lags)).real.sum(1).argmax()])


def _grey(frame: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(frame).float() @ torch.tensor(LUMA)


def in_band(paths: Paths, rate: float) -> float:
    """Share of the power in BAND, of displacements `rate` times a second through a whole loop."""
    power = np.square(np.abs(np.fft.rfft(paths, axis=0)[1:])).sum((1, 2))
    frequency = np.arange(1, len(power) + 1) * rate / len(paths)
    return float(power[(frequency >= BAND[0]) & (frequency <= BAND[1])].sum() / max(power.sum(), 1e-12))


def phase_spread(paths: Paths) -> float:
    """Degrees: circular standard deviation, over blocks, of the phase of the strongest harmonic along x."""
    spectrum = np.fft.rfft(paths[..., 0], axis=0)[1:]
    strongest = spectrum[np.square(np.abs(spectrum)).sum(1).argmax()]
    weight = np.square(np.abs(strongest))
    alike = abs((weight * np.exp(1j * np.angle(strongest))).sum()) / max(weight.sum(), 1e-12)
    return math.degrees(math.sqrt(-2 * math.log(min(max(alike, 1e-6), 1.0))))


def off(paths: Paths, angle: float) -> float:
    """Degrees between the mean displacement and a wind's direction (0 to the right, 90 upwards)."""
    x, y = paths.mean((0, 1))
    return abs((math.degrees(math.atan2(-y, x)) - angle + 180) % 360 - 180)


def summary(rows: list[Row]) -> Row:
    """Medians, and how many photos sway more in a stronger wind."""
    names = ("in_band", "spread", "off_right", "off_left", "lean")
    medians = {name: float(np.median([row[name] for row in rows])) for name in names if rows}
    return {"photo": "median", **medians, "amplitude": f"monotone in {sum(row['monotone'] for row in rows)}"}


if __name__ == "__main__":
    main()
