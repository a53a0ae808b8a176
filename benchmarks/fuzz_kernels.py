"""The CPU kernels on random cases: `make soak`, or python -m benchmarks.fuzz_kernels --cases 100000

A case is its number: the kernel, the shapes, the types, the values, the instruction set and the threads all come from
it. Its values are of one of three kinds:

    tame   the kernel agrees with the PyTorch reference
    lost   some values are not finite where the result is defined for that: it agrees too
    wild   NaN, infinities, 1e30, 1e-40 anywhere among the numbers: the result may be anything, but the same anything

Every case runs three times, on one thread and twice on several, and must give the same bits. Cases run in a process of
their own, so that a crash counts as a failure and the next case goes on. benchmarks/results/fuzz.json is written on the
way; the same command goes on from there, or begins anew where the kernels have changed. With STYLECINE_LIB naming a
sanitized library (`make soak` does that) memory errors are found as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.tables import write
from stylecine.ops import compare, integrate, native, render, splat, warp_features

RESULT = Path(__file__).parent / "results/fuzz.json"
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
WILD = [math.nan, math.inf, -math.inf, 1e30, -1e30, 1e-40, -1e-40, -0.0]
LOST = [math.nan, math.inf, -math.inf]
SAVED = 1000  # cases between two writings of the result


@dataclass(frozen=True)
class Case:
    """One call: the kernel through its op, the reference with the same arguments, and what may lie between them."""

    kernel: str
    kind: str
    shape: str
    call: Callable[[], Sequence[Tensor]]
    reference: Callable[[], Sequence[Tensor]]
    tolerance: float  # in units of the largest expected value, or 1; of a uint8 frame in levels


class Maker:
    """The random choices of one case."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.noise = torch.Generator().manual_seed(number)
        self.kind = self.random.choice(("tame", "tame", "lost", "wild"))

    def size(self) -> tuple[int, int]:
        """Height and width: mostly a few pixels, at times a long row or column, always small."""
        a = self.random.choice((1, 2, 3, self.random.randint(4, 40), self.random.randint(4, 40)))
        b = self.random.choice((1, 2, self.random.randint(3, 50), self.random.randint(3, 50), 129, 263))
        b = min(b, max(1, 3000 // a))
        return (a, b) if self.random.random() < 0.7 else (b, a)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.noise)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.noise)

    def smooth(self, *shape: int) -> Tensor:
        """Noise without fine detail, about -1 to 1."""
        grid = self.normal(1, math.prod(shape[:-2]), 3, 3)
        return F.interpolate(grid, shape[-2:], mode="bilinear", align_corners=True).view(shape)

    def far(self, field: Tensor) -> Tensor:
        """A displacement of any length."""
        return field * self.random.choice((0.0, 0.3, 3.0, 30.0, 1e4))

    def damaged(self, tensor: Tensor, kinds: Sequence[str], values: Sequence[float] | None = None) -> Tensor:
        """Some of its numbers are others, if the case is of one of these kinds."""
        if self.kind not in kinds:
            return tensor
        values = values or (WILD if self.kind == "wild" else LOST)
        tensor = tensor.clone()
        share = self.random.choice((0.02, 0.3))
        for value in values:
            tensor[self.uniform(*tensor.shape) < share / len(values)] = value
        return tensor

    def layout(self, tensor: Tensor) -> Tensor:
        """The same values, now and then with gaps in memory."""
        return torch.stack((tensor, tensor), dim=-1)[..., 0] if self.random.random() < 0.1 else tensor

    def integrate(self) -> Case:
        h, w = self.size()
        knots, substeps = self.random.randint(1, 5), self.random.randint(1, 3)
        # Slow where it changes from pixel to pixel, at holes and on small grids: rounding errors grow with the change.
        speeds = (0.0, 0.02) if self.kind == "lost" else (0.0, 0.1, 0.5)
        speed = self.random.choice(speeds) * min(1.0, min(n for n in (h, w, 16) if n > 1) / 16)
        flow = self.smooth(self.random.randint(1, 3), 2, h, w) * speed
        flow = self.layout(self.damaged(flow, ("lost", "wild")))
        stride = self.random.choice((1.0, 4.0, -2.5))
        arguments = flow, knots, stride, substeps
        return Case(
            "integrate",
            self.kind,
            f"{tuple(flow.shape)}, {knots} knots",
            lambda: integrate.integrate(*arguments),
            lambda: integrate.reference(*arguments),
            tolerance=2e-4,
        )

    def splat(self) -> Case:
        h, w = self.size()
        copies, channels = self.random.randint(1, 3), self.random.choice((1, 2, 3, 3, 4, 15, 16, 17, 40))
        softmax = self.random.random() < 0.3
        image = self.damaged(self.normal(channels, h, w), ("wild",)).to(self.random.choice(DTYPES))
        displacement = self.damaged(self.far(self.smooth(copies, 2, h, w)), ("lost", "wild"))
        weight = self.uniform(copies, h, w) * (8.0 if softmax else 1.0)
        weight = self.damaged(weight, ("lost", "wild"), [*LOST, *([] if softmax else [-1.0])])
        image, displacement, weight = (self.layout(x) for x in (image, displacement, weight))
        plate = self.random.choice((0.05, 1.0))
        return Case(
            "splat",
            self.kind,
            f"{copies} copies of {image.dtype} {tuple(image.shape)}{', softmax' * softmax}",
            lambda: splat.splat(image, displacement, weight, plate=plate, softmax=softmax),
            lambda: splat.reference(image, displacement, weight, plate, softmax),
            tolerance=1e-3,  # where a source lands is rounded: of a far one 1/1000 of a pixel
        )

    def warp_features(self) -> Case:
        h, w = (min(n, 60) for n in self.size())
        a, b = (h, w) if self.random.random() < 0.7 else (min(n, 60) for n in self.size())
        channels = self.random.choice((1, 2, 3, 4, 7, 8, 16, 19, 33))
        dtype = self.random.choice(DTYPES)
        spline = self.damaged(self.normal(channels, 2 * h, 2 * w), ("wild",)).to(dtype)
        spline = warp_features.channels_last(spline) if self.random.random() < 0.7 else self.layout(spline)
        sources = self.layout(self.damaged(self.far(self.smooth(4, a, b)), ("lost", "wild")))
        weights = self.layout(self.damaged(self.normal(2, a, b), ("wild",)))
        return Case(
            "warp_features",
            self.kind,
            f"{dtype} {tuple(spline.shape)} at {(a, b)}",
            lambda: [warp_features.warp_features(spline, sources, weights)],
            lambda: [warp_features.reference(spline, sources, weights)],
            tolerance={torch.float32: 1e-3, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype],
        )

    def render(self) -> Case:
        h, w = self.size()
        margin, cell = self.random.choice((0, 0, 1, 8, 16)), 2 ** self.random.randint(0, 4)
        kinds, knots = self.random.randint(1, 3), self.random.randint(2, 4)
        height, width = h + 2 * margin, w + 2 * margin
        # Not more than one level of one pixel: pyramids end there.
        count = self.random.randint(1, min(6, 1 + math.ceil(math.log2(max(height, width)))))
        grid = -(-height // cell), -(-width // cell)
        dtype = self.random.choice(DTYPES)
        levels = []
        for i in range(count):
            spline = self.normal(2 * -(-height // 2**i), 2 * -(-width // 2**i), 4) * 0.3
            spline[..., 3] = 0
            levels.append(self.layout(self.damaged(spline, ("wild",)).to(dtype)))
        fields = self.far(self.smooth(2, knots, 2, 2, *grid)) / cell
        positions, rates = (self.damaged(x, ("wild",)) for x in fields)
        if self.kind == "lost":  # one direction, one axis, all of it: between places interpolation would decide
            positions[:, self.random.randint(0, 1), self.random.randint(0, 1)] = math.nan
        angle = self.uniform(count, 3, *grid) * self.random.choice((0.0, 0.02, 3.1))
        contrast_gain = self.damaged(0.8 + 0.4 * self.uniform(count, 2, 3, *grid), ("wild",))
        begin = self.uniform(*grid) * self.random.choice((0.0, 0.5))
        crossfade = self.layout(self.damaged(torch.stack((begin, 1 / (1 - begin))), ("wild",)))
        swell = self.damaged(self.smooth(2, 2, *grid), ("wild",)) if self.random.random() < 0.5 else None
        swell_phase = self.random.uniform(-2, 0), self.random.uniform(-1, 1)
        moving = self.uniform(h, w) * (self.uniform(h, w) < self.random.choice((0.0, 0.5, 1.0)))
        moving = (moving * 2).clamp(max=1)
        photo = torch.randint(0, 256, (h, w, 3), generator=self.noise, dtype=torch.uint8)
        sub_cycle = torch.randint(0, kinds, grid, generator=self.noise, dtype=torch.uint8)
        base = self.damaged(self.uniform(3, height, width) - 0.5, ("wild",)) if self.random.random() < 0.2 else None
        angle, moving = self.damaged(angle, ("wild",)), self.damaged(moving, ("lost", "wild"))
        angle, photo, moving, sub_cycle = (self.layout(x) for x in (angle, photo, moving, sub_cycle))
        lengths = [4.0 * (knots - 1) / (k + 1) for k in range(kinds)]
        phases = [self.random.choice((0.0, 0.25, 0.5, 0.999, self.random.random())) for _ in range(kinds)]

        def call() -> Sequence[Tensor]:
            frame = render.render(
                photo, moving, levels, positions, rates, sub_cycle, angle, contrast_gain, crossfade,
                stride=4.0, lengths=lengths, phases=phases, cell=cell, margin=margin, base=base,
                swell=swell, swell_phase=swell_phase,
            )  # fmt: skip
            assert torch.equal(frame[moving == 0], photo[moving == 0]), "what stands still has changed"
            return [frame]

        def reference() -> Sequence[Tensor]:
            arrays = photo, moving, levels, positions, rates, sub_cycle, angle, contrast_gain, crossfade, swell, base
            return [render.reference(*arrays, 4.0, lengths, phases, swell_phase, cell, margin)]

        shape = f"{count} levels of {dtype}, {(h, w)}, margin {margin}, cell {cell}, {kinds} kinds"
        return Case("render", self.kind, shape, call, reference, tolerance=1)

    def compare(self) -> Case:
        h, w = self.size()
        ratio, side = 2 ** self.random.randint(0, 5), self.random.choice((8, 8, self.random.randint(1, 64)))
        dtype = self.random.choice(DTYPES)
        spline = self.layout(self.damaged(self.normal(2 * h, 2 * w, 4), ("wild",)).to(dtype))
        rows, columns = (-(-n // ratio) + self.random.randint(0, 2) for n in (h, w))
        sources = self.damaged(self.far(self.smooth(4, rows, columns)), ("wild",))
        if self.kind == "lost":  # one axis, all of it: between places interpolation would decide
            sources[self.random.randint(0, 3)] = math.nan
        weight = self.uniform(h, w) * (self.uniform(h, w) < self.random.choice((0.0, 0.5, 1.0)))
        weight, sources = self.layout(self.damaged(weight, ("wild",))), self.layout(sources)
        per_pixel = self.random.choice((0.125, 1.0))
        return Case(
            "compare",
            self.kind,
            f"{dtype} {tuple(spline.shape)}, ratio {ratio}, side {side}",
            lambda: [compare.compare(spline, sources, weight, ratio=ratio, per_pixel=per_pixel, side=side)],
            lambda: [compare.reference(spline, sources, weight, ratio, per_pixel, side)],
            tolerance=1e-3,
        )


def sets() -> list[str]:
    """The instruction sets that this processor has."""
    found = []
    for name in ("portable", "avx2", "avx512"):
        try:
            with native.using(instructions=name):
                native.why("cpu")
            found.append(name)
        except ValueError:
            pass
    return found


def examine(number: int) -> dict[str, Any]:
    """Runs one case: its kernel and kind; "failure" where it failed; for frames how many bytes were one level apart."""
    maker = Maker(number)
    kernel = maker.random.choice(list(native.KERNELS))
    case: Case = getattr(maker, kernel)()
    instructions, threads = maker.random.choice(sets()), maker.random.randint(2, 3)
    told: dict[str, Any] = {"case": number, "kernel": kernel, "kind": case.kind}
    made = []
    try:
        for count in (1, threads, threads):
            with native.using(threads=count, instructions=instructions):
                made.append(case.call())
        for other in made[1:]:
            torch.testing.assert_close(other, made[0], rtol=0, atol=0, equal_nan=True)
        if case.kind != "wild":
            told |= agree(made[0], case.reference(), case.tolerance)
    except Exception as error:
        told["failure"] = f"{instructions}, {threads} threads, {case.shape}: {type(error).__name__}: {error}"[:500]
    return told


def agree(made: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> dict[str, int]:
    if made[0].dtype == torch.uint8:
        apart = (made[0].int() - expected[0].int()).abs()
        assert int(apart.max()) <= tolerance, f"{int(apart.max())} levels apart"
        return {"bytes": apart.numel(), "bytes_apart": int((apart > 0).sum())}
    for ours, theirs in zip(made, expected, strict=True):
        largest = theirs.float().nan_to_num(0, 0, 0).abs().max().clamp(min=1).item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * largest, equal_nan=True)
    return {}


# --- many of them ------------------------------------------------------------------------------------------------


def soak(cases: int, result: Path) -> dict[str, Any]:
    """Runs the cases that `result` does not have yet; what it then has."""
    state = begin(result)
    done = sum(state["cases"].values())
    begun, before = time.monotonic(), state["seconds"]
    while done < cases:
        command = [sys.executable, "-m", "benchmarks.fuzz_kernels", "--from", str(done), "--cases", str(cases)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            assert worker.stdout and worker.stderr
            for line in worker.stdout:
                count(state, json.loads(line))
                done += 1
                if done % SAVED == 0:
                    state["seconds"] = round(before + time.monotonic() - begun)
                    write(result, json.dumps(state, indent=2) + "\n")
                    print(f"{done} cases, {len(state['failures'])} failures, {state['seconds']} s", flush=True)
            said = worker.stderr.read()
        if worker.returncode:
            words = [line for line in said.splitlines() if "ERROR" in line or "runtime error" in line]
            failure = f"the process ended with {worker.returncode}: {' '.join(words[:1]) or said[-300:]}"
            count(state, {"case": done, "kernel": "?", "kind": "?", "failure": failure})
            done += 1
    state["seconds"] = round(before + time.monotonic() - begun)
    write(result, json.dumps(state, indent=2) + "\n")
    return state


def begin(result: Path) -> dict[str, Any]:
    """What an earlier run of the same kernels left, or the start of a new one."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sorted(native.sources()), Path(__file__)]))
    new = {
        "machine": machine(),
        "library": native.built().get("cpu", {}),
        "instructions": sets(),
        "kernels": digest.hexdigest()[:16],
        "cases": {},
        "failures": [],
        "bytes": 0,
        "bytes_apart": 0,
        "seconds": 0,
    }
    try:
        old: dict[str, Any] = json.loads(result.read_text())
    except (OSError, ValueError):
        return new
    return old if all(old.get(name) == new[name] for name in ("kernels", "library", "instructions")) else new


def count(state: dict[str, Any], told: dict[str, Any]) -> None:
    name = f"{told['kernel']}, {told['kind']}"
    state["cases"][name] = state["cases"].get(name, 0) + 1
    for key in ("bytes", "bytes_apart"):
        state[key] += told.get(key, 0)
    if "failure" in told:
        state["failures"].append(told)


def main() -> None:
    parser = argparse.ArgumentParser(description="The CPU kernels on random cases.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument(
        "--from", type=int, dest="first", help="run the cases from this one on here, a line of JSON each"
    )
    options = parser.parse_args()
    if not native.available("cpu"):
        raise SystemExit(native.why("cpu"))
    torch.set_num_threads(1)
    if options.first is not None:
        for number in range(options.first, options.cases):
            print(json.dumps(examine(number)), flush=True)
        return
    state = soak(options.cases, options.output)
    print(f"{sum(state['cases'].values())} cases, {len(state['failures'])} failures, {state['seconds']} s")
    if state["failures"] or state["bytes_apart"] > state["bytes"] / 1000:
        raise SystemExit(1)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
