"""What every recipe needs: a clock, a resumable state, a log, sample sheets, random crops and hidden parts."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))   # a checkout need not be installed to train

from data import Sample


def arguments(doc: str | None, out: str, photos: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if photos:
        parser.add_argument("--photos", type=Path, required=True, help="folder of photos and labels, or a pack (.npz)")
        parser.add_argument("--val", type=Path,
                            help="folder or pack of validation photos (default: the folder's val.txt)")
    parser.add_argument("--minutes", type=float, default=9.0, help="how long to train; run again to go on")
    parser.add_argument("--steps", type=int, help="stop after so many steps, however few minutes they take")
    parser.add_argument("--out", type=Path, default=Path(out), help="state, log and sample sheets")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser


class Run:
    """The clock, the log and the saved state of one recipe."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder: Path = options.out
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(options.device)
        torch.set_num_threads(options.threads)
        self.minutes: float = options.minutes
        self.limit: int | None = options.steps
        self.start = time.monotonic()
        self.step = 0
        self.trained = 0.0          # minutes of earlier runs
        self.saved = self.start

    @property
    def state_path(self) -> Path:
        return self.folder / "state.pt"

    def resume(self, **parts: Any) -> None:
        if not self.state_path.exists():
            return
        state = torch.load(self.state_path, map_location=self.device, weights_only=True)
        self.step, self.trained = state.pop("step"), state.pop("trained")
        for name, part in parts.items():
            if name in state:
                part.load_state_dict(state[name])
        self.log(event="resumed")

    def save(self, **parts: Any) -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"step": self.step, "trained": self.trained + self.elapsed}
        partial = self.state_path.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, self.state_path)
        self.saved = time.monotonic()

    @property
    def elapsed(self) -> float:
        return (time.monotonic() - self.start) / 60

    @property
    def fraction(self) -> float:
        """Of this run's minutes, 0 to 1."""
        return min(1.0, self.elapsed / self.minutes)

    def steps(self) -> Iterator[int]:
        last = None if self.limit is None else self.step + self.limit
        while self.elapsed < self.minutes and (last is None or self.step < last):
            yield self.step
            self.step += 1

    def due(self, minutes: float = 3.0) -> bool:
        return time.monotonic() - self.saved > 60 * minutes

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def log(self, **values: Any) -> None:
        row = {"step": self.step, "minutes": round(self.trained + self.elapsed, 2)} | {
            k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def decay(run: Run, start: float = 0.6) -> float:
    """Learning-rate factor: 1, then a cosine-free straight line to 0.05 over the last part of this run."""
    return max(0.05, 1 - max(0.0, run.fraction - start) / (1 - start))


def cosine(run: Run, first: int, step: int) -> float:
    """Learning-rate factor: up to 1 in the 50 steps after this run's `first`, then half a cosine down to 0.02."""
    return min(1, (step - first + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * run.fraction)))


class Average:
    """Exponential moving average of a network's parameters, which is what gets exported."""

    def __init__(self, *modules: nn.Module, half_life: float = 50) -> None:
        self.modules = modules
        self.half_life = half_life
        self.shadow = [{k: v.detach().clone() for k, v in m.state_dict().items()} for m in modules]

    @torch.no_grad()
    def update(self, step: int) -> None:
        beta = 0.5 ** (1 / min(self.half_life, 1 + step / 4))
        for module, shadow in zip(self.modules, self.shadow, strict=True):
            for k, v in module.state_dict().items():
                shadow[k].lerp_(v, 1 - beta) if v.is_floating_point() else shadow[k].copy_(v)

    def state_dict(self) -> dict[str, Any]:
        return {str(i): s for i, s in enumerate(self.shadow)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shadow = [state[str(i)] for i in range(len(self.shadow))]


def averaged(state: Path) -> dict[str, Tensor]:
    """The first averaged network's tensors in a run's state.pt."""
    tensors: dict[str, Tensor] = torch.load(state, map_location="cpu", weights_only=True)["average"]["0"]
    return tensors


def save_weights(tensors: dict[str, Tensor], path: Path, network: type[nn.Module]) -> None:
    """As float16 .safetensors, which names the network they belong to."""
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    save_file(halves, path, metadata={"network": f"{network.__module__}.{network.__qualname__}", "format": "pt"})
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def crops(samples: list[Sample], batch: int, size: int, rng: np.random.Generator,
          flowing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Random flipped crops [N,3,size,size] in [-1,1], shrunk by up to two, a little exposure and colour changed;
    and where they are labelled as moving, [N,1,size,size] in {0,1}. At least `flowing` of each crop moves."""
    photos: list[Tensor] = []
    labels: list[Tensor] = []
    while len(photos) < batch:
        sample = samples[rng.integers(len(samples))]
        largest = min(sample.photo.shape[1:]) // size
        scale = rng.uniform(1, max(1.0, min(2.0, largest))) if rng.random() < 0.5 else 1.0
        span = min(int(size * scale), *sample.photo.shape[1:])
        y, x = (rng.integers(0, s - span + 1) for s in sample.photo.shape[1:])
        moving = (sample.label[None, None, y:y + span, x:x + span] > 0).float()
        if moving.mean() < flowing and rng.random() > 0.05:       # static photos must not stop the search
            continue
        photo = sample.photo[None, :, y:y + span, x:x + span].float() / 127.5 - 1
        if span != size:
            photo = F.interpolate(photo, (size, size), mode="bilinear", antialias=True, align_corners=False)
            moving = F.interpolate(moving, (size, size), mode="nearest")
        if rng.random() < 0.5:
            photo, moving = photo.flip(3), moving.flip(3)
        gain = torch.tensor(rng.uniform(0.85, 1.15, (1, 3, 1, 1)), dtype=torch.float32)
        photos.append(((photo + 1) * gain - 1).clamp(-1, 1))
        labels.append(moving)
    return torch.cat(photos), torch.cat(labels)


def hidden_parts(batch: int, size: int, probability: float, rng: np.random.Generator) -> Tensor:
    """Visibility [N,1,size,size]: 1, with blobs, poles, half planes and frame borders set to 0 at this probability."""
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.ones((batch, 1, size, size), np.float32)
    for mask in out[:, 0]:
        if rng.random() >= probability:
            continue
        kind = rng.integers(4)
        if kind == 0:      # rocks: a few ellipses
            for _ in range(rng.integers(1, 5)):
                (cx, cy), (rx, ry) = rng.random(2), rng.uniform(0.04, 0.2, 2)
                mask[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = 0
        elif kind == 1:    # masts and bridges: strips at any angle
            for _ in range(rng.integers(1, 4)):
                angle, width, offset = rng.uniform(0, np.pi), rng.uniform(0.015, 0.08), rng.uniform(-0.5, 0.5)
                mask[abs((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) - offset) < width] = 0
        elif kind == 2:    # a shore or ridge: a wavy half plane
            angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4)
            along = -(x - 0.5) * np.sin(angle) + (y - 0.5) * np.cos(angle)
            wave = 0.04 * np.sin(2 * np.pi * (along * rng.uniform(1, 5) + rng.random()))
            mask[(x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) > offset + wave] = 0
        else:              # beyond the frame: one or two borders
            for side in rng.choice(4, rng.integers(1, 3), replace=False):
                inset = int(size * rng.uniform(0.05, 0.3))
                mask[(slice(0, inset), slice(size - inset, size))[side % 2] if side < 2 else slice(None),
                     slice(None) if side < 2 else (slice(0, inset), slice(size - inset, size))[side % 2]] = 0
    return torch.from_numpy(out)


def sheet(rows: list[list[Tensor]], path: Path) -> None:
    """Images [3,h,w] in [-1,1] of equal size as one PNG, row by row."""
    grid = torch.cat([torch.cat([image.float().cpu() for image in row], 2) for row in rows], 1)
    pixels = ((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)
