"""The CPU kernels on random arguments: `make soak`, or python -m benchmarks.fuzz_kernels --cases 100000

Hypothesis draws the kernel, shapes, types, instruction set and number of threads; a seed that it draws fills the
tensors. Their values are of one of three kinds:

    finite      the kernel agrees with the PyTorch reference
    non-finite  some values are not finite where the result is defined for that: it agrees as well
    arbitrary   NaN, infinities, 1e30, 1e-40 anywhere: the result is undefined, but the same every time

Every case runs three times, on one thread and twice on several, and must give the same bits. A failure is reduced and
printed. With STYLECINE_LIB naming a sanitized library, as in `make soak`, memory errors end the process; to see the
case, repeat the last seed with --seed N --show. Writes benchmarks/results/fuzz.json.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.tables import RESULTS, write
from stylecine.ops import compare, drape, integrate, native, recolour, render, splat, warp_features, weather
from stylecine.ops.displacement import Displacement, Moment
from stylecine.ops.recolour import Recolouring, recolour_

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
NON_FINITE = (math.nan, math.inf, -math.inf)
ARBITRARY = (*NON_FINITE, 1e30, -1e30, 1e-40, -1e-40, -0.0)
FAR = 1e4  # pixels
CASES_PER_SEED = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One call of a kernel, and of the reference with the same arguments."""

    shape: str
    call: Callable[[], Sequence[Tensor]] = field(repr=False)
    reference: Callable[[], Sequence[Tensor]] = field(repr=False)
    tolerance: float  # relative to the largest expected value, or absolute if that is below 1; in levels for uint8


class Arguments:
    """The random arguments of one call."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.kind = self.choice("finite", "finite", "non-finite", "arbitrary")
        self.noise = torch.Generator().manual_seed(self.integer(0, 2**32 - 1))

    def choice(self, *values: T) -> T:
        return self.draw(st.sampled_from(values))

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, percent: int) -> bool:
        return self.integer(1, 100) > 100 - percent

    def size(self) -> tuple[int, int]:
        """Height and width: mostly a few pixels, sometimes a long row or column, always small."""
        a = self.draw(st.sampled_from((1, 2, 3)) | st.integers(4, 40))
        b = self.draw(st.sampled_from((1, 2, 129, 263)) | st.integers(3, 50))
        b = min(b, max(1, 3000 // a))
        return (b, a) if self.chance(30) else (a, b)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.noise)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.noise)

    def levels(self, *shape: int, end: int = 256) -> Tensor:
        return torch.randint(0, end, shape, generator=self.noise, dtype=torch.uint8)

    def smooth(self, *shape: int) -> Tensor:
        """Noise without fine detail, about -1 to 1."""
        grid = self.normal(1, math.prod(shape[:-2]), 3, 3)
        return F.interpolate(grid, shape[-2:], mode="bilinear", align_corners=True).view(shape)

    def scaled(self, displacement: Tensor) -> Tensor:
        """The displacement with a random length."""
        return displacement * self.choice(0.0, 0.3, 3.0, 30.0, 1e4)

    def damaged(self, tensor: Tensor, *, defined: bool = False, values: Sequence[float] = ()) -> Tensor:
        """The tensor with some of its values replaced: in arbitrary cases, and in non-finite ones if the result is
        defined for such values."""
        if self.kind == "finite" or (self.kind == "non-finite" and not defined):
            return tensor
        values = values or (ARBITRARY if self.kind == "arbitrary" else NON_FINITE)
        tensor = tensor.clone()
        share = self.choice(0.02, 0.3)
        for value in values:
            tensor[self.uniform(*tensor.shape) < share / len(values)] = value
        return tensor

    def layout(self, tensor: Tensor) -> Tensor:
        """The same values, sometimes with gaps in memory."""
        return torch.stack((tensor, tensor), dim=-1)[..., 0] if self.chance(10) else tensor

    def integrate(self) -> Case:
        h, w = self.size()
        knots, substeps = self.integer(1, 5), self.integer(1, 3)
        # Slow at holes and on small grids, where it changes from pixel to pixel: rounding errors grow with the change.
        speeds = (0.0, 0.02) if self.kind == "non-finite" else (0.0, 0.1, 0.5)
        speed = self.choice(*speeds) * min(1.0, min(n for n in (h, w, 16) if n > 1) / 16)
        flow = self.smooth(self.integer(1, 3), 2, h, w) * speed
        flow = self.layout(self.damaged(flow, defined=True))
        stride = self.choice(1.0, 4.0, -2.5)
        arguments = flow, knots, stride, substeps
        return Case(
            f"{tuple(flow.shape)}, {knots} knots",
            lambda: integrate.integrate(*arguments),
            lambda: integrate.reference(*arguments),
            tolerance=2e-4,
        )

    def splat(self) -> Case:
        h, w = self.size()
        copies, channels = self.integer(1, 3), self.choice(1, 2, 3, 3, 4, 15, 16, 17, 40)
        softmax = self.chance(30)
        image = self.damaged(self.normal(channels, h, w)).to(self.choice(*DTYPES))
        displacement = self.damaged(self.scaled(self.smooth(copies, 2, h, w)), defined=True)
        weight = self.uniform(copies, h, w) * (8.0 if softmax else 1.0)
        weight = self.damaged(weight, defined=True, values=[*NON_FINITE, *([] if softmax else [-1.0])])
        image, displacement, weight = (self.layout(x) for x in (image, displacement, weight))
        plate = self.choice(0.05, 1.0)
        return Case(
            f"{copies} copies of {image.dtype} {tuple(image.shape)}{', softmax' * softmax}",
            lambda: splat.splat(image, displacement, weight, plate=plate, softmax=softmax),
            lambda: splat.reference(image, displacement, weight, plate=plate, softmax=softmax),
            tolerance=1e-3,  # targets are rounded, distant ones to 1/1000 pixel
        )

    def warp_features(self) -> Case:
        h, w = (min(n, 60) for n in self.size())
        a, b = (min(n, 60) for n in self.size()) if self.chance(30) else (h, w)
        channels = self.choice(1, 2, 3, 4, 7, 8, 16, 19, 33)
        dtype = self.choice(*DTYPES)
        spline = self.damaged(self.normal(channels, 2 * h, 2 * w)).to(dtype)
        spline = self.layout(spline) if self.chance(30) else warp_features.channels_last(spline)
        sources = self.layout(self.damaged(self.scaled(self.smooth(4, a, b)), defined=True))
        weights = self.layout(self.damaged(self.normal(2, a, b)))
        return Case(
            f"{dtype} {tuple(spline.shape)} at {(a, b)}",
            lambda: [warp_features.warp_features(spline, sources, weights)],
            lambda: [warp_features.reference(spline, sources, weights)],
            tolerance={torch.float32: 1e-3, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype],
        )

    def render(self) -> Case:
        h, w = self.size()
        margin, cell = self.choice(0, 0, 1, 8, 16), 2 ** self.integer(0, 4)
        kinds, knots = self.integer(1, 3), self.integer(2, 4)
        height, width = h + 2 * margin, w + 2 * margin
        # At most one level of a single pixel, where pyramids end.
        count = self.integer(1, min(6, 1 + math.ceil(math.log2(max(height, width)))))
        grid = -(-height // cell), -(-width // cell)
        dtype = self.choice(*DTYPES)
        levels = []
        for i in range(count):
            spline = self.normal(2 * -(-height // 2**i), 2 * -(-width // 2**i), 4) * 0.3
            spline[..., 3] = 0
            levels.append(self.layout(self.damaged(spline).to(dtype)))
        knotted = self.scaled(self.smooth(2, knots, 2, 2, *grid)) / cell
        positions, rates = (self.damaged(x) for x in knotted)
        if self.kind == "non-finite":  # all of one axis, or the result would depend on interpolation
            positions[:, self.integer(0, 1), self.integer(0, 1)] = math.nan
        angle = self.uniform(count, 3, *grid) * self.choice(0.0, 0.02, 3.1)
        contrast_gain = self.damaged(0.8 + 0.4 * self.uniform(count, 2, 3, *grid))
        # A copy of weight 0 may not be read, and its NaN then not seen.
        begin = self.uniform(*grid) * (0.0 if self.kind == "non-finite" else self.choice(0.0, 0.5))
        crossfade = self.layout(self.damaged(torch.stack((begin, 1 / (1 - begin)))))
        clocks = self.choice(0, 0, 1, 2, 4)
        swell = self.damaged(self.smooth(2 * clocks, 2, *grid)) if clocks else None
        # It swaps copies, and NaN in one of them would again depend on interpolation.
        stagger = 2 * self.uniform(*grid) - 1 if self.kind != "non-finite" and self.chance(50) else None
        standing = self.uniform(*grid) if self.kind != "non-finite" and self.chance(50) else None
        shares = [self.choice(0.0, 0.4, 1.0) for _ in range(count)]
        coarsest = (n // 2 for n in levels[-1].shape[:2])
        light = self.layout(self.damaged(self.normal(*coarsest, 4) * 0.3)) if self.chance(30) else None
        frames = self.choice(1, 1, 2, 5)
        shifts = [[self.draw(st.floats(0, 1)) for _ in range(kinds)] for _ in range(frames)]
        swell_weights = [[self.draw(st.floats(-2, 1)) for _ in range(2 * clocks)] for _ in range(frames)]
        moving = self.uniform(h, w) * (self.uniform(h, w) < self.choice(0.0, 0.5, 1.0))
        moving = (moving * 2).clamp(max=1)
        photo = self.levels(h, w, 3)
        sub_cycle = self.levels(*grid, end=kinds)
        generated = self.damaged(self.uniform(frames, 3, height, width) - 0.5) if self.chance(20) else None
        angle, moving = self.damaged(angle), self.damaged(moving, defined=True)
        angle, photo, moving, sub_cycle = (self.layout(x) for x in (angle, photo, moving, sub_cycle))
        least, most = (0.05, 0.95) if self.kind == "non-finite" else (0, 0.999)  # both copies have a weight, as above
        phases = [[self.draw(st.floats(least, most)) for _ in range(kinds)] for _ in range(frames)]
        moments = [Moment(*map(tuple, each)) for each in zip(phases, shifts, swell_weights, strict=True)]
        counts = tuple(range(1, kinds + 1))
        knotted_by = positions, rates, sub_cycle, counts, 4 * (knots - 1), cell, margin
        displacement = Displacement(*knotted_by, stagger=stagger, standing=standing, swell=swell)

        recolouring = self.recolouring(h, w, frames) if self.chance(30) else None

        arrays = photo, moving, levels, displacement, moments, angle, contrast_gain, crossfade
        options: dict[str, Any] = {"generated": generated, "standing_shares": shares, "light": light}

        def call() -> Sequence[Tensor]:
            plain = render.render(*arrays, **options)
            for frame in plain:
                assert torch.equal(frame[moving == 0], photo[moving == 0]), "a static pixel has changed"
            if recolouring:
                styled = recolour_(plain.clone(), recolouring)
                made = render.render(*arrays, **options, recolouring=recolouring)
                assert torch.equal(made, styled), "a style is another one afterwards"
            return [plain]

        def reference() -> Sequence[Tensor]:
            return [render.reference(*arrays, **options)]

        shape = f"{frames} frames, {count} levels of {dtype}, {(h, w)}, margin {margin}, cell {cell}, {kinds} kinds"
        # so far away, rounding moves what is read by hundredths of a pixel
        return Case(shape, call, reference, tolerance=1 if float(knotted.abs().max()) * cell < FAR else 8)

    def compare(self) -> Case:
        h, w = self.size()
        ratio, side = 2 ** self.integer(0, 5), self.draw(st.just(8) | st.integers(1, 64))
        dtype = self.choice(*DTYPES)
        spline = self.layout(self.damaged(self.normal(2 * h, 2 * w, 4)).to(dtype))
        rows, columns = (-(-n // ratio) + self.integer(0, 2) for n in (h, w))
        sources = self.damaged(self.scaled(self.smooth(4, rows, columns)))
        if self.kind == "non-finite":  # all of one axis, or the result would depend on interpolation
            sources[self.integer(0, 3)] = math.nan
        weight = self.uniform(h, w) * (self.uniform(h, w) < self.choice(0.0, 0.5, 1.0))
        weight, sources = self.layout(self.damaged(weight)), self.layout(sources)
        per_pixel = self.choice(0.125, 1.0)
        return Case(
            f"{dtype} {tuple(spline.shape)}, ratio {ratio}, side {side}",
            lambda: [compare.compare(spline, sources, weight, ratio=ratio, per_pixel=per_pixel, side=side)],
            lambda: [compare.reference(spline, sources, weight, ratio=ratio, per_pixel=per_pixel, side=side)],
            tolerance=1e-3,
        )

    def drape(self) -> Case:
        h, w = self.size()
        cell, tiles = 2 ** self.integer(0, 6), (-(-h // drape.TILE), -(-w // drape.TILE))
        photo, background = (self.layout(self.levels(h, w, 3)) for _ in range(2))
        frames, keys = self.levels(self.choice(1, 2, 5), h, w, 3), self.choice(1, 3)
        matte = (self.smooth(1, h, w)[0] * 600 + 128).clamp(0, 255).to(torch.uint8)
        if self.chance(50):  # as if nothing moved behind the cloth
            frames = torch.where(matte[..., None] > 0, photo, frames)
        displaced = self.scaled(self.smooth(2, *(-(-n // cell) + self.integer(0, 2) for n in (h, w))))
        gain = self.smooth(1, *displaced.shape[1:])
        spline = self.damaged(torch.cat((displaced, gain)))
        if self.kind == "non-finite":  # all of one channel, or the result would depend on interpolation
            spline[self.integer(0, 2)] = math.nan
        weights = torch.zeros(len(frames), keys)
        weights[:, self.integer(0, keys - 1)] = 1  # what is no number would be in every frame
        if self.kind == "finite":
            weights = self.normal(len(frames), keys)
        keyframes = self.layout(spline.expand(keys, -1, -1, -1).clone())
        keywords = {"cell": cell, "fine": self.chance(50)}
        arguments = photo, background, self.layout(matte), keyframes, weights, self.levels(*tiles, end=2)
        return Case(
            f"{len(frames)} frames, {keys} keyframes, {(h, w)}, {keywords}",
            lambda: [drape.drape_(frames.clone(), *arguments, **keywords)],
            lambda: [drape.reference(frames, *arguments, **keywords)],
            tolerance=1,
        )

    def recolour(self) -> Case:
        h, w = self.size()
        frames = self.levels(self.choice(1, 1, 3), h, w, 3)
        recolouring = self.recolouring(h, w, len(frames))
        given = ", ".join(name for name in ("moving", "still") if getattr(recolouring, name) is not None)
        return Case(
            f"{len(frames)} frames, {(h, w)}, grid {list(recolouring.grid.shape[:3])}, {given}",
            lambda: [recolour_(frames.clone(), recolouring)],
            lambda: [recolour.reference(frames, recolouring)],
            tolerance=1,
        )

    def weather(self) -> Case:
        h, w = self.size()
        frames = self.levels(self.choice(1, 1, 3), h, w, 3)
        colours = [(self.choice(0.0, 80.5, 255.0), 100.0, 200.25) for _ in frames]
        streaks = [self.streaks(self.choice(0, 1, 40, 600), h, w) for _ in frames]
        veil = self.normal(len(frames), self.integer(1, 40), self.integer(1, 40))
        falling = weather.Precipitation(streaks, colours, self.layout(veil), colours, self.layout(self.levels(h, w)))
        return Case(
            f"{len(frames)} frames, {(h, w)}, veil {list(veil.shape)}, {[len(each) for each in streaks]} streaks",
            lambda: [weather.weather_(frames.clone(), falling)],
            lambda: [weather.reference(frames, falling)],
            tolerance=1,
        )

    def streaks(self, count: int, h: int, w: int) -> Tensor:
        place = self.normal(count, 2) * torch.tensor((w, h)) + torch.tensor((w, h)) / 2
        way = self.normal(count, 2) * self.choice(0.0, 3.0, 100.0)
        squared = way.square().sum(1)
        radius = self.normal(count).abs() * self.choice(1.0, 30.0) + 0.1
        inverse = torch.where(squared > 0, 1 / squared, 0.0)
        opacity = self.normal(count).abs().clamp(max=1)
        return torch.stack((*place.T, *way.T, inverse, radius, radius**-2, opacity), 1)

    def recolouring(self, h: int, w: int, frames: int) -> Recolouring:
        """Of the colours of so many frames."""
        points = self.integer(1, 20), self.integer(1, 40), self.integer(1, 40)
        grid = self.damaged(self.normal(*points, 4, 4) * self.choice(0.0, 0.3, 3.0))
        if self.kind == "non-finite":  # all of one point, or the result would depend on interpolation
            grid[:] = math.nan
        moving, still = self.layout(self.levels(h, w, end=2)), self.layout(self.levels(h, w, 3))
        given = self.choice((None, None), (moving, None), (moving, still))
        return Recolouring(self.layout(grid), [self.choice(0.0, 0.4, 1.0, -2.0) for _ in range(frames)], *given)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, str, int, Case]:
    """Kernel, kind of values, instruction set, threads, and the case."""
    arguments = Arguments(draw)
    kernel = draw(st.sampled_from(list(native.KERNELS)))
    instructions, threads = draw(st.sampled_from(instruction_sets())), draw(st.integers(2, 3))
    return kernel, arguments.kind, instructions, threads, getattr(arguments, kernel)()


@cache
def instruction_sets() -> list[str]:
    """Those of this processor."""
    found = []
    for name in ("portable", "avx2", "avx512"):
        with suppress(ValueError), native.using(instructions=name):
            native.why("cpu")
            found.append(name)
    return found


def check(kind: str, instructions: str, threads: int, case: Case) -> Counter[str]:
    """AssertionError if results differ; for frames the numbers of "bytes" and of "bytes_apart", by one level."""
    results = []
    for count in (1, threads, threads):
        with native.using(threads=count, instructions=instructions):
            results.append(case.call())
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=0, equal_nan=True)
    counts = Counter[str]()
    for actual, expected in zip(results[0], case.reference(), strict=True) if kind != "arbitrary" else ():
        if actual.dtype == torch.uint8:
            difference = (actual.int() - expected.int()).abs()
            assert int(difference.max()) <= case.tolerance, f"{int(difference.max())} levels apart"
            counts += Counter(bytes=difference.numel(), bytes_apart=int((difference > 0).sum()))
        else:
            largest = expected.float().nan_to_num(0, 0, 0).abs().max().clamp(min=1).item()
            torch.testing.assert_close(actual, expected, rtol=0, atol=case.tolerance * largest, equal_nan=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description="The CPU kernels on random arguments.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help=f"the first; each has {CASES_PER_SEED} cases")
    parser.add_argument("--show", action="store_true", help="print every case before it runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    options = parser.parse_args()
    if not native.available("cpu"):
        raise SystemExit(native.why("cpu"))
    torch.set_num_threads(1)
    start, cases, counts = time.monotonic(), Counter[str](), Counter[str]()
    count = min(CASES_PER_SEED, options.cases)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls())
    def agrees(call: tuple[str, str, str, int, Case]) -> None:
        if options.show:
            print(call, flush=True)
        kernel, kind, instructions, threads, case = call
        cases[f"{kernel}, {kind}"] += 1
        with torch.inference_mode():
            counts.update(check(kind, instructions, threads, case))

    for seed in range(options.seed, options.seed + -(-options.cases // count)):
        print(f"seed {seed}, {time.monotonic() - start:.0f} s", flush=True)
        hypothesis.seed(seed)(agrees)()
    result = {
        "machine": machine(),
        "library": native.built().get("cpu", {}),
        "instructions": instruction_sets(),
        "cases": dict(sorted(cases.items())),
        **counts,
        "seconds": round(time.monotonic() - start),
    }
    write(options.out, json.dumps(result, indent=1) + "\n")
    print(f"{sum(cases.values())} cases, no failure; {counts['bytes_apart']} of {counts['bytes']} bytes a level apart")
    if counts["bytes_apart"] > counts["bytes"] / 1000:
        raise SystemExit("Too many bytes are apart.")


if __name__ == "__main__":
    main()
