"""Clips of cloth in periodic wind, simulated and drawn, into a folder of shards (.npz).

    python pretrained/recipes/cloth/simulate.py --minutes 25            # again: goes on with the next shards
    python pretrained/recipes/cloth/simulate.py --sheet .runs/cloth/clips/flag-00000.npz

A shard is one batch of one kind of garment, seen from a few sides; clips that do not close, tangle or overstretch are
left out. Its number is its seed: it holds the same clips wherever and whenever it is made.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cloth import raster
from cloth.fabrics import Draw
from cloth.garments import KINDS, Garment
from cloth.wind import Wind, uneven_waves
from cloth.xpbd import Cloth, Compliance, area_vectors, stack_capsules

FRAMES, SUBSTEPS = 48, 10
PHASES = 16
WARM = 1.5              # cycles to fall into place, heavily damped and without gust
REST = 1                # cycles to come to rest there
SETTLE = 2              # cycles with gusts before the one that is recorded
GUST = 0.65             # of a garment's own gust, at strength 1
CLOSURE = 0.25          # what counts as a cycle: the way missed at its end, of the way made in it (both RMS)
CREASED = 0.05          # most neighbouring normals, as a share, that may face away from each other
STRAIN = 1.3            # most that a distance may be stretched, at the 99th percentile
ORDER = ("flag", "curtain", "skirt", "banner", "flag", "dress", "cape", "banner")
SIDE = 128
VIEWS = 2


@dataclass
class Batch:
    """The clips of one kind that are simulated together; tensors have the clip on their last axis."""

    kind: str
    garments: list[Garment]
    cloth: Cloth
    wind: Wind
    strength: Tensor        # [N]
    damping: Tensor         # [N] 1/s


def make_batch(kind: str, draws: list[Draw]) -> Batch:
    """Random clips of one kind, one for each source of random numbers."""
    made = [KINDS[kind].make(draw, KINDS[kind].shape) for draw in draws]

    def stacked(values: list[Tensor]) -> Tensor:
        return torch.stack(values, -1).contiguous()

    pattern, start = stacked([g.pattern for g in made]), stacked([g.start for g in made])
    closed = KINDS[kind].closed
    fabric = [g.fabric for g in made]
    area = area_vectors(pattern, closed).norm(dim=0)
    shape = KINDS[kind].shape
    uneven_cut = stacked([1 + draw.uniform(0, 0.035) * draw.smooth(5, 6, *shape, closed=closed) for draw in draws])
    cloth = Cloth(
        start, pattern, area * torch.tensor([f.density for f in fabric]), stacked([g.pinned for g in made]),
        Compliance(*(torch.tensor([getattr(f, name) for f in fabric]) for name in ("stretch", "shear", "bend"))),
        substep=KINDS[kind].seconds / FRAMES / SUBSTEPS, closed=closed, stretched=uneven_cut.clamp(0.85, 1.15),
        body=stack_capsules([g.body for g in made]))
    size = torch.stack([(g.pattern[:, -1, 0] - g.pattern[:, 0, 0]).norm() for g in made])
    strength = torch.tensor([draw.uniform(0.05, 1) for draw in draws])
    speed = GUST * strength**0.75 * torch.tensor([g.gust for g in made])
    wind = Wind(
        base=stacked([g.base for g in made]),
        uneven=stacked([uneven_waves(draw.generator, float(s), draw.uniform(0, 0.5))
                        for draw, s in zip(draws, size, strict=True)]),
        gust=speed, angle=torch.tensor([draw.uniform(0, 2 * math.pi) for draw in draws]),
        origin=start.mean((1, 2)), size=size)
    return Batch(kind, made, cloth, wind, strength, torch.tensor([draw.log_uniform(1.5, 4.0) for draw in draws]))


def play(batch: Batch) -> tuple[Tensor, Tensor]:
    """The cloth in its periodic state: [PHASES,3,H,W,N] and closure [N]."""
    cloth, wind = batch.cloth, batch.wind
    rest(batch)
    recorded = []
    for number in range(SETTLE * FRAMES, 0, -1):
        cloth.step(SUBSTEPS, wind, -number / FRAMES % 1, 1 / FRAMES / SUBSTEPS, batch.damping, wind.steady)
    for number in range(FRAMES):
        if number % (FRAMES // PHASES) == 0:
            recorded.append(cloth.x.clone())
        cloth.step(SUBSTEPS, wind, number / FRAMES, 1 / FRAMES / SUBSTEPS, batch.damping, wind.steady)
    positions = torch.stack(recorded)
    return positions, closure(positions, cloth.x)


def rest(batch: Batch) -> None:
    """Lets the cloth fall into place in the steady wind, then keeps the wind's mean pull, in which it comes to rest."""
    cloth, wind = batch.cloth, batch.wind
    for _ in range(round(WARM * FRAMES)):
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
    """[N]: how far the cloth is from where it was, a cycle later, of how far it was from there on the way (RMS)."""
    moved = (positions - positions[0]).square().sum(1).mean((0, 1, 2)).sqrt()
    return (after - positions[0]).square().sum(0).mean((0, 1)).sqrt() / moved.clamp(min=1e-4)


def creased(x: Tensor, closed: bool) -> Tensor:
    """[N]: share of neighbours in x [3,H,W,N] whose normals face away from each other: folded through, or tangled."""
    normal = torch.nn.functional.normalize(area_vectors(x, closed), dim=0)
    across = ((normal[:, :, 1:] * normal[:, :, :-1]).sum(0) < 0).float().mean((0, 1))
    down = ((normal[:, 1:] * normal[:, :-1]).sum(0) < 0).float().mean((0, 1))
    return torch.maximum(across, down)


def strain(cloth: Cloth) -> Tensor:
    """[N]: length of the threads by what it should be, 99th percentile."""
    along = [((c.a - c.b).square().sum(0).sqrt() / c.rest).flatten(0, 1) for c in cloth.colours[:4]]
    return torch.cat(along).quantile(0.99, dim=0)


def turned(x: Tensor, yaw: float, pitch: float) -> Tensor:
    """x [...,3,H,W] about the upright axis, then towards a camera that looks down by pitch (radians)."""
    c, s, p, q = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    upright = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    tilt = torch.tensor([[1, 0, 0], [0, p, -q], [0, q, p]])
    return torch.einsum("ij,...jhw->...ihw", tilt @ upright, x)


def draw_clip(batch: Batch, positions: Tensor, number: int, draw: Draw) -> Iterator[dict[str, np.ndarray]]:
    """The views of one clip; positions [K,3,H,W]."""
    garment, kind = batch.garments[number], KINDS[batch.kind]
    samples = (max(5, 200 // kind.shape[0]), max(6, (600 if kind.closed else 240) // kind.shape[1]))
    for _ in range(VIEWS):
        yaw = draw.uniform(*garment.turns)
        if garment.both_sides and draw.chance(0.5):
            yaw += math.pi
        views = raster.draw(turned(positions, yaw, draw.uniform(-0.2, 0.3)), SIDE, samples, kind.closed,
                            draw.uniform(0.04, 0.09))
        angle = math.degrees(float(batch.wind.angle[number]) + yaw) % 360
        mask = views.visible[0]
        yield {
            "normals": (views.normals * 127).round().to(torch.int8).numpy(),
            "displacement": views.displacement.half().numpy(),
            "visible": views.visible.numpy(),
            "wind": np.array([angle, float(batch.strength[number])], np.float32),
            "drift": views.way[:, :, mask].mean((0, 2)).numpy(),
        }


def make_shard(kind: str, number: int, clips: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Arrays of a shard, a leading axis over its clips, and what its log says."""
    seeds = [number * 1000 + n for n in range(clips)]
    draws = [Draw(seed) for seed in seeds]
    start = time.monotonic()
    batch = make_batch(kind, draws)
    positions, missed = play(batch)
    simulated = time.monotonic() - start
    worst = torch.stack([creased(x, batch.cloth.closed) for x in positions[::4]]).amax(0)
    stretched = strain(batch.cloth)
    good = (missed < CLOSURE) & (worst < CREASED) & (stretched < STRAIN)
    rows: list[dict[str, Any]] = []
    for n in torch.nonzero(good)[:, 0].tolist():
        for row in draw_clip(batch, positions[..., n], n, draws[n]):
            rows.append(row | {"closure": np.float32(missed[n]), "seed": np.int64(seeds[n]), "kind": np.str_(kind),
                               "split": np.str_("held out" if seeds[n] % 10 == 0 else "train")})
    log = {"clips": len(rows), "simulated_s": round(simulated, 1),
           "drawn_s": round(time.monotonic() - start - simulated, 1),
           "kept": round(float(good.float().mean()), 2), "open": round(float((missed >= CLOSURE).float().mean()), 2),
           "creased": round(float((worst >= CREASED).float().mean()), 2),
           "strained": round(float((stretched >= STRAIN).float().mean()), 2),
           "closure": round(float(missed.median()), 3), "strain": round(float(stretched.median()), 3)}
    return ({name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}), log


def sheet(clips: dict[str, np.ndarray], numbers: list[int]) -> Image.Image:
    """Two rows a clip at 8 phases: normals as colours (hidden points dark), and displacement as colours (grey: none;
    red: right, blue: down; a full colour is 15 % of the side)."""
    rows = []
    for n in numbers:
        mask = clips["visible"][n, 0]
        top, bottom = [], []
        for k in range(0, PHASES, PHASES // 8):
            normal = clips["normals"][n, k].astype(np.float32) / 254 + 0.5
            normal *= np.where(clips["visible"][n, k], 1, 0.4)
            move = clips["displacement"][n, k].astype(np.float32) / 0.3 + 0.5
            top.append(normal.transpose(1, 2, 0) * mask[..., None])
            bottom.append(np.stack([move[0], np.full_like(mask, 0.5, np.float32), move[1]], -1) * mask[..., None])
        rows += [np.concatenate(top, 1), np.concatenate(bottom, 1)]
    return Image.fromarray((np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8))


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)


def fill(out: Path, minutes: float, shards: int | None, first: int, clips: int, kinds: Sequence[str]) -> None:
    """Makes the shards that the folder does not have yet, until the time is up or so many are made."""
    out.mkdir(parents=True, exist_ok=True)
    end, made, number = time.monotonic() + 60 * minutes, 0, first
    while time.monotonic() < end and (shards is None or made < shards):
        kind = kinds[number % len(kinds)]
        path = out / f"{kind}-{number:05d}.npz"
        if not path.exists():
            arrays, log = make_shard(kind, number, clips)
            if arrays:
                save(path, arrays)
            line = json.dumps({"shard": path.name} | log)
            print(line, flush=True)
            with (out / "log.jsonl").open("a") as file:
                file.write(line + "\n")
            made += 1
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".runs/cloth/clips"), help="folder of shards")
    parser.add_argument("--minutes", type=float, default=25.0, help="how long; run again to go on")
    parser.add_argument("--shards", type=int, help="stop after so many shards, however few minutes they take")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard; processes beside each other "
                                                             "need ranges of their own")
    parser.add_argument("--clips", type=int, default=32, help="simulated at a time; a shard has the good ones")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=ORDER)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="only draw clips of this shard, as a picture beside it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.sheet:
        fill(options.out, options.minutes, options.shards, options.first, options.clips, options.kinds)
        return
    with np.load(options.sheet) as file:
        arrays = dict(file)
    sheet(arrays, list(range(0, len(arrays["kind"]), VIEWS))[:8]).save(options.sheet.with_suffix(".png"))


if __name__ == "__main__":
    main()
