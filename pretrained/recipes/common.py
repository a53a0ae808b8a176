"""What the recipes share: options, runs with a time limit that can be resumed, averaged weights, sample sheets,
random crops and occlusions."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a checkout need not be installed to train

from data import Sample

from stylecine.machine.atomic import atomic_write
from stylecine.ops.image import fast_dtype


def arguments(
    doc: str | None, out: str, *, photos: bool = True, weights: bool = False, export: bool = False, batch: int = 4
) -> argparse.ArgumentParser:
    """The options that all recipes have. With `export`, photos may be missing: exporting needs none."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if photos:
        parser.add_argument("--photos", type=Path, required=not export, help="folder of photos, or a pack (.npz)")
        parser.add_argument("--val", type=Path, help="folder or pack of validation photos (default: in --photos)")
    if weights:
        says = "folder with generator. and encoder.safetensors of an earlier stage"
        parser.add_argument("--weights", type=Path, required=True, help=says)
    if export:
        parser.add_argument("--export", type=Path, metavar="FILE", help="write the averaged weights and stop")
    parser.add_argument("--minutes", type=float, default=9.0, help="how long to train; run again to continue")
    parser.add_argument("--steps", type=int, help="stop after this many steps, even if there is time left")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder for state, log and sample sheets")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--seed", type=int, default=0)
    return parser


class Run:
    """One run of a recipe: its clock, its log, and the state from which the next run resumes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder: Path = options.out
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(options.device)
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.minutes: float = options.minutes
        self.max_steps: int | None = options.steps
        self.start = time.monotonic()
        self.step = 0
        self.trained = 0.0  # minutes of earlier runs
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
        with atomic_write(self.state_path) as partial:
            torch.save(state, partial)
        self.saved = time.monotonic()

    def restart_clock(self) -> None:
        """What took time so far counts neither towards the run's minutes nor in its learning rate."""
        self.start = self.saved = time.monotonic()

    @property
    def elapsed(self) -> float:
        return (time.monotonic() - self.start) / 60

    @property
    def fraction(self) -> float:
        """How much of this run's time is over, 0 to 1."""
        return min(1.0, self.elapsed / self.minutes)

    def steps(self) -> Iterator[int]:
        last = None if self.max_steps is None else self.step + self.max_steps
        while self.elapsed < self.minutes and (last is None or self.step < last):
            yield self.step
            self.step += 1

    def loop(self, report: Callable[[], None], **parts: Any) -> Iterator[int]:
        """`steps`; every few minutes and at the end, reports and saves the state."""
        for step in self.steps():
            yield step
            if self.due():
                report()
                self.save(**parts)
        report()
        self.save(**parts)

    def due(self, minutes: float = 3.0) -> bool:
        return time.monotonic() - self.saved > 60 * minutes

    def autocast(self) -> torch.autocast:
        return autocast(self.device)

    def log(self, **values: Any) -> None:
        row = {"step": self.step, "minutes": round(self.trained + self.elapsed, 2)} | {
            k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on GPUs, and on CPUs that compute in it: others are ten times as slow with it."""
    quick = device.type != "cpu" or fast_dtype(device) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=quick)


def decay(run: Run, start: float = 0.6) -> float:
    """Learning-rate factor: 1, then linearly down to 0.05 over the last part of this run."""
    return max(0.05, 1 - max(0.0, run.fraction - start) / (1 - start))


def cosine(run: Run, first: int, step: int) -> float:
    """Learning-rate factor: warms up in the 50 steps after this run's `first`; half a cosine from 1 down to 0.02."""
    return min(1, (step - first + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * run.fraction)))


class Average:
    """Exponential moving averages of networks' tensors, which are what is validated and exported."""

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


class Training:
    """AdamW on one network, with averaged weights. Resumes the run on creation."""

    def __init__(self, run: Run, network: nn.Module, *, rate: float, weight_decay: float, half_life: float) -> None:
        self.run, self.network, self.rate = run, network, rate
        self.average = Average(network, half_life=half_life)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=weight_decay)
        run.resume(network=network, average=self.average, optimiser=self.optimizer)

    def fit(self, loss: Callable[[], Tensor], evaluate: Callable[[dict[str, Tensor]], dict[str, float]]) -> None:
        """Minimises loss() until the run is over. evaluate: from averaged weights to the figures of the log."""
        run, first = self.run, self.run.step
        losses: list[float] = []

        def report() -> None:
            tensors = {name: tensor.cpu() for name, tensor in self.average.shadow[0].items()}
            run.log(loss=float(np.mean(losses or [math.nan])), **evaluate(tensors))
            losses.clear()

        for step in run.loop(report, network=self.network, average=self.average, optimiser=self.optimizer):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * cosine(run, first, step)
            value = loss()
            self.optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.average.update(step - first)
            losses.append(value.item())


def averaged(state: Path) -> dict[str, Tensor]:
    """The tensors of the first averaged network in a run's state.pt."""
    tensors: dict[str, Tensor] = torch.load(state, map_location="cpu", weights_only=True)["average"]["0"]
    return tensors


def save_weights(tensors: dict[str, Tensor], path: Path, kind: type) -> None:
    """.safetensors of halves, with the class of what they make up in the metadata."""
    halves = {name: halved(x).contiguous() for name, x in tensors.items()}
    save_file(halves, path, metadata={"network": f"{kind.__module__}.{kind.__qualname__}", "format": "pt"})
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def halved(x: Tensor) -> Tensor:
    """float16, or as given if that would change it by more than a thousandth: small numbers underflow."""
    half = x.half()
    return half if (half.float() - x).norm() <= 1e-3 * x.norm() else x


def random_crops(samples: list[Sample], batch: int, size: int, rng: np.random.Generator,
                 min_moving: float = 0.0) -> tuple[Tensor, Tensor]:
    """Random crops [N,3,size,size] in [-1,1], mirrored, reduced by up to two, slightly changed in exposure and colour;
    and where they are labelled as moving, [N,1,size,size] in {0,1}: at least `min_moving` of nearly every crop."""
    photos: list[Tensor] = []
    labels: list[Tensor] = []
    while len(photos) < batch:
        sample = samples[rng.integers(len(samples))]
        largest = min(sample.photo.shape[1:]) // size
        scale = rng.uniform(1, max(1.0, min(2.0, largest))) if rng.random() < 0.5 else 1.0
        span = min(int(size * scale), *sample.photo.shape[1:])
        y, x = (rng.integers(0, s - span + 1) for s in sample.photo.shape[1:])
        moving = (sample.label[None, None, y:y + span, x:x + span] > 0).float()
        if moving.mean() < min_moving and rng.random() > 0.05:  # an exception: all photos may be static
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


def random_visibility(batch: int, size: int, probability: float, rng: np.random.Generator) -> Tensor:
    """Visibility masks [N,1,size,size]: 1; with this probability, ellipses, strips, a half plane or borders are 0."""
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.ones((batch, 1, size, size), np.float32)
    for mask in out[:, 0]:
        if rng.random() >= probability:
            continue
        kind = rng.integers(4)
        if kind == 0:  # rocks: ellipses
            for _ in range(rng.integers(1, 5)):
                (cx, cy), (rx, ry) = rng.random(2), rng.uniform(0.04, 0.2, 2)
                mask[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = 0
        elif kind == 1:  # masts and bridges: strips at any angle
            for _ in range(rng.integers(1, 4)):
                angle, width, offset = rng.uniform(0, np.pi), rng.uniform(0.015, 0.08), rng.uniform(-0.5, 0.5)
                mask[abs((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) - offset) < width] = 0
        elif kind == 2:  # a shore or ridge: a wavy half plane
            angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4)
            along = -(x - 0.5) * np.sin(angle) + (y - 0.5) * np.cos(angle)
            wave = 0.04 * np.sin(2 * np.pi * (along * rng.uniform(1, 5) + rng.random()))
            mask[(x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) > offset + wave] = 0
        else:  # beyond the frame: one or two borders
            for side in rng.choice(4, rng.integers(1, 3), replace=False):
                inset = int(size * rng.uniform(0.05, 0.3))
                edge = mask if side < 2 else mask.T
                edge[slice(inset) if side % 2 == 0 else slice(size - inset, size)] = 0
    return torch.from_numpy(out)


def sheet(rows: list[list[Tensor]], path: Path) -> None:
    """Images [3,h,w] in [-1,1] of equal size as one PNG, row by row."""
    grid = torch.cat([torch.cat([image.float().cpu() for image in row], 2) for row in rows], 1)
    pixels = ((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)
