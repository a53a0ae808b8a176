"""Simulates clips of cloth in periodic wind and renders them into a folder of shards (.npz).

    python pretrained/recipes/cloth/simulate.py --minutes 25            # run again to continue with the next shards
    python pretrained/recipes/cloth/simulate.py --sheet .runs/cloth/clips/flag-00000.npz

A shard is one batch of one kind of garment, seen from a few sides, without the clips that do not close, tangle or
overstretch. Its number is its seed, so it has the same clips wherever and whenever it is simulated.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth import raster
from cloth.fabrics import Random
from cloth.garments import KINDS, Garment
from cloth.wind import Wind, uneven_waves
from cloth.xpbd import Cloth, area_vectors, stack_capsules
from common import sheet

from stylecine.machine.atomic import atomic_write

FRAMES, SUBSTEPS = 48, 10
PHASES = 16
FALL = 1.5              # cycles to fall into place, heavily damped and without gust
REST = 1                # cycles to come to rest there
WARM_UP = 2             # cycles with gusts before the recorded one
GUST = 0.65             # of a garment's own gust, at strength 1
MAX_CLOSURE = 0.25      # of a cycle: distance of its end from its start, over the path in between (both RMS)
MAX_CREASED = 0.05      # share of neighbouring normals that face away from each other
MAX_STRAIN = 1.3        # of the threads, at the 99th percentile
ORDER = ("flag", "curtain", "skirt", "banner", "flag", "dress", "cape", "banner")
SIDE = 128
VIEWS = 2               # per clip


@dataclass
class Batch:
    """The clips of one kind that are simulated together; in tensors, clips are the last axis."""

    kind: str
    garments: list[Garment]
    cloth: Cloth
    wind: Wind
    strength: Tensor        # [N]
    damping: Tensor         # [N] 1/s

    def step(self, phase: float) -> None:
        """One frame of the gust cycle."""
        self.cloth.step(SUBSTEPS, self.wind, phase, 1 / FRAMES / SUBSTEPS, self.damping, self.wind.steady)


def make_batch(kind: str, randoms: list[Random]) -> Batch:
    """Random clips of one kind, one for each source of random numbers."""
    shape, closed = KINDS[kind].shape, KINDS[kind].closed
    garments = [KINDS[kind].make(random, shape) for random in randoms]

    def stacked(values: list[Tensor]) -> Tensor:
        return torch.stack(values, -1).contiguous()

    pattern, start = stacked([g.pattern for g in garments]), stacked([g.start for g in garments])
    area = area_vectors(pattern, closed).norm(dim=0)
    uneven_cut = stacked([1 + random.uniform(0, 0.035) * random.smooth_noise(5, 6, *shape, closed=closed)
                          for random in randoms])
    fabric = {name: torch.tensor([getattr(g.fabric, name) for g in garments])
              for name in ("density", "stretch", "shear", "bend")}
    cloth = Cloth(
        start, pattern, area * fabric["density"], stacked([g.pinned for g in garments]), fabric,
        substep=KINDS[kind].seconds / FRAMES / SUBSTEPS, closed=closed, rest_scale=uneven_cut.clamp(0.85, 1.15),
        body=stack_capsules([g.body for g in garments]))
    size = torch.stack([(g.pattern[:, -1, 0] - g.pattern[:, 0, 0]).norm() for g in garments])
    strength = torch.tensor([random.uniform(0.05, 1) for random in randoms])
    wind = Wind(
        base=stacked([g.base for g in garments]),
        uneven=stacked([uneven_waves(random.generator, float(s), random.uniform(0, 0.5))
                        for random, s in zip(randoms, size, strict=True)]),
        gust=GUST * strength**0.75 * torch.tensor([g.gust for g in garments]),
        angle=torch.tensor([random.uniform(0, 2 * math.pi) for random in randoms]),
        origin=start.mean((1, 2)), size=size)
    damping = torch.tensor([random.log_uniform(1.5, 4.0) for random in randoms])
    return Batch(kind, garments, cloth, wind, strength, damping)


def simulate(batch: Batch) -> tuple[Tensor, Tensor]:
    """One cycle in the periodic state: positions [PHASES,3,H,W,N] and closure [N]."""
    rest(batch)
    for number in range(-WARM_UP * FRAMES, 0):
        batch.step(number / FRAMES % 1)
    recorded = []
    for number in range(FRAMES):
        if number % (FRAMES // PHASES) == 0:
            recorded.append(batch.cloth.x.clone())
        batch.step(number / FRAMES)
    positions = torch.stack(recorded)
    return positions, closure(positions, batch.cloth.x)


def rest(batch: Batch) -> None:
    """Lets the cloth fall into place in the steady wind, then come to rest in the wind's mean pull there."""
    cloth, wind = batch.cloth, batch.wind
    for _ in range(round(FALL * FRAMES)):
        cloth.step(SUBSTEPS, wind.steady, 0.0, 0.0, 4.0)
    pull = torch.zeros_like(cloth.x)
    for _ in range(FRAMES // 2):
        cloth.step(SUBSTEPS, wind.steady, 0.0, 0.0, 6.0)
        pull += cloth.drag(wind.steady(cloth.x, 0.0))
    cloth.settle(pull / (FRAMES // 2))
    for _ in range(round(REST * FRAMES)):
        cloth.step(SUBSTEPS, wind.steady, 0.0, 0.0, 4.0, wind.steady)
    wind.origin = cloth.x.mean((1, 2))


def closure(positions: Tensor, after: Tensor) -> Tensor:
    """[N]: the cloth's distance from its start a cycle later, over its distance from there on the way (RMS)."""
    moved = (positions - positions[0]).square().sum(1).mean((0, 1, 2)).sqrt()
    return (after - positions[0]).square().sum(0).mean((0, 1)).sqrt() / moved.clamp(min=1e-4)


def creased(x: Tensor, closed: bool) -> Tensor:
    """[N]: share of neighbours in x [3,H,W,N] whose normals face away from each other, by tangles or folds."""
    normal = F.normalize(area_vectors(x, closed), dim=0)
    across = ((normal[:, :, 1:] * normal[:, :, :-1]).sum(0) < 0).float().mean((0, 1))
    down = ((normal[:, 1:] * normal[:, :-1]).sum(0) < 0).float().mean((0, 1))
    return torch.maximum(across, down)


def strain(cloth: Cloth) -> Tensor:
    """[N]: length of the threads over their rest length, 99th percentile."""
    ratios = [((c.a - c.b).square().sum(0).sqrt() / c.rest).flatten(0, 1) for c in cloth.colours[:4]]
    return torch.cat(ratios).quantile(0.99, dim=0)


def rotate(x: Tensor, yaw: float, pitch: float) -> Tensor:
    """x [...,3,H,W] about the vertical axis, then for a camera that looks down by `pitch` (radians)."""
    c, s, p, q = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    about_vertical = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    tilt = torch.tensor([[1, 0, 0], [0, p, -q], [0, q, p]])
    return torch.einsum("ij,...jhw->...ihw", tilt @ about_vertical, x)


def render_clip(batch: Batch, positions: Tensor, number: int, random: Random) -> Iterator[dict[str, np.ndarray]]:
    """The views of one clip; positions [K,3,H,W]."""
    garment, kind = batch.garments[number], KINDS[batch.kind]
    samples = (max(5, 200 // kind.shape[0]), max(6, (600 if kind.closed else 240) // kind.shape[1]))
    for _ in range(VIEWS):
        yaw = random.uniform(*garment.yaw)
        if garment.both_sides and random.chance(0.5):
            yaw += math.pi
        view = raster.render(rotate(positions, yaw, random.uniform(-0.2, 0.3)), SIDE, samples, kind.closed,
                             random.uniform(0.04, 0.09))
        angle = math.degrees(float(batch.wind.angle[number]) + yaw) % 360
        yield {
            "normals": (view.normals * 127).round().to(torch.int8).numpy(),
            "displacement": view.displacement[:, :2].half().numpy(),
            "visible": view.visible.numpy(),
            "wind": np.array([angle, float(batch.strength[number])], np.float32),
            "drift": view.displacement[:, :, view.visible[0]].mean((0, 2)).numpy(),
        }


def make_shard(kind: str, number: int, clips: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a shard, with a leading axis of clips, and its line of the log."""
    seeds = [number * 1000 + n for n in range(clips)]
    randoms = [Random(seed) for seed in seeds]
    start = time.monotonic()
    batch = make_batch(kind, randoms)
    positions, gaps = simulate(batch)
    simulated = time.monotonic() - start
    creases = torch.stack([creased(x, batch.cloth.closed) for x in positions[::4]]).amax(0)
    strains = strain(batch.cloth)
    # negated, so that NaN is a fault too
    faults = {"open": ~(gaps < MAX_CLOSURE), "creased": ~(creases < MAX_CREASED), "strained": ~(strains < MAX_STRAIN)}
    good = ~torch.stack(list(faults.values())).any(0)
    rows: list[dict[str, Any]] = []
    for n in torch.nonzero(good)[:, 0].tolist():
        for row in render_clip(batch, positions[..., n], n, randoms[n]):
            rows.append(row | {"closure": np.float32(gaps[n]), "seed": np.int64(seeds[n]), "kind": np.str_(kind),
                               "split": np.str_("held out" if seeds[n] % 10 == 0 else "train")})
    log = {"clips": len(rows), "simulated_s": round(simulated, 1),
           "drawn_s": round(time.monotonic() - start - simulated, 1), "kept": round(float(good.float().mean()), 2)}
    log |= {name: round(float(fault.float().mean()), 2) for name, fault in faults.items()}
    log |= {"closure": round(float(gaps.median()), 3), "strain": round(float(strains.median()), 3)}
    return ({name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}), log


def draw(shard: Path) -> None:
    """A picture beside the shard, two rows for each of 8 clips at 8 phases: normals (hidden points dark), and
    displacements (grey: none; red: right, blue: down; a full colour is 15% of the side)."""
    rows = []
    with np.load(shard) as file:
        clips = {name: torch.from_numpy(file[name]).float() for name in ("normals", "displacement", "visible")}
    for n in range(0, len(clips["normals"]), VIEWS)[:8]:
        normals, displacement, visible = (clips[name][n, ::PHASES // 8] for name in clips)
        shade = torch.where(visible > 0, 1, 0.4)[:, None]
        mask = visible[0]
        rows.append([((normal / 127 + 1) * s - 1) * mask + mask - 1 for normal, s in zip(normals, shade, strict=True)])
        rows.append([torch.stack([x / 0.15, torch.zeros_like(x), y / 0.15]).clamp(-1, 1) * mask + mask - 1
                     for x, y in displacement])
    sheet(rows, shard.with_suffix(".png"))


def fill(out: Path, minutes: float, shards: int | None, first: int, clips: int, kinds: Sequence[str]) -> None:
    """Adds missing shards to the folder until the time is up, or until their number is reached."""
    out.mkdir(parents=True, exist_ok=True)
    end, made, number = time.monotonic() + 60 * minutes, 0, first
    while time.monotonic() < end and (shards is None or made < shards):
        kind = kinds[number % len(kinds)]
        path = out / f"{kind}-{number:05d}.npz"
        if not path.exists():
            arrays, log = make_shard(kind, number, clips)
            if arrays:
                with atomic_write(path) as part:
                    np.savez(part, **arrays)  # type: ignore[arg-type]
            line = json.dumps({"shard": path.name} | log)
            print(line, flush=True)
            with (out / "log.jsonl").open("a") as file:
                file.write(line + "\n")
            made += 1
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".runs/cloth/clips"), help="folder of shards")
    parser.add_argument("--minutes", type=float, default=25.0, help="how long; run again to continue")
    parser.add_argument("--shards", type=int, help="stop after this many shards, even if there is time left")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard; parallel processes need "
                                                             "disjoint ranges")
    parser.add_argument("--clips", type=int, default=32, help="simulated together; a shard has the good ones")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=ORDER)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="only draw the clips of this shard, as a picture beside it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.sheet:
        draw(options.sheet)
    else:
        fill(options.out, options.minutes, options.shards, options.first, options.clips, options.kinds)


if __name__ == "__main__":
    main()
