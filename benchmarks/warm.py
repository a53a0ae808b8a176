"""Frames per second of a loop that is ready, and whether repeated frames are identical."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.timing import now, threads
from stylecine import Cinemagraph
from stylecine.ops import native
from stylecine.picture.loop import frames

MAX_BYTES = 400_000_000  # bytes of frames rendered in one pass: a little more than 120 frames of 1024x1024
PASSES = 5
REFERENCE_FRAMES = 3

Row = dict[str, Any]


def warm(loop: Cinemagraph, counts: Sequence[int]) -> list[Row]:
    """The native kernels: one row for each number of threads and, on a GPU, for frames that stay there.

    Frames are rendered in sequence and kept. AssertionError if one differs from loop[t] rendered before, in another
    order and with the default number of threads.
    """
    times = spread(len(loop), max(2, MAX_BYTES // loop[0].nbytes))
    expected = {t: digest(loop[t]) for t in reversed(times)}
    rows = []
    for count in counts:
        with threads(count):
            for into, render in targets(loop).items():
                passes = [_pass(render, times, expected, loop.mask.device) for _ in range(PASSES)]
                rows.append(_row(loop, count, "native", into, passes))
    return rows


def warm_references(loop: Cinemagraph, counts: Sequence[int]) -> list[Row]:
    """The PyTorch references: a few frames, with their differences from the native ones."""
    times = spread(len(loop), REFERENCE_FRAMES + 1)[1:]  # frame 0 is the photo
    expected = [loop[t] for t in times]
    rows = []
    for count in counts:
        with threads(count), native.disabled():
            loop[0]
            start = perf_counter()
            frames = [loop[t] for t in times]
            seconds = (perf_counter() - start) / len(times)
        rows.append(_row(loop, count, "PyTorch", "memory", [seconds]) | difference(frames, expected))
    return rows


def targets(loop: Cinemagraph) -> dict[str, Callable[[Sequence[float]], Any]]:
    """Destinations of frames, and functions that render the frames at some times there."""
    renderers: dict[str, Callable[[Sequence[float]], Any]] = {"memory": lambda times: list(loop.frames(times))}
    if loop.mask.device.type == "cuda":
        renderers["GPU memory"] = partial(frames, loop.loop)
    return renderers


def _pass(
    render: Callable[[Sequence[float]], Any], times: Sequence[int], expected: Mapping[int, str], device: torch.device
) -> float:
    """Mean seconds per frame."""
    render(times[:1])
    start = now(device)
    made = render(times)
    seconds = (now(device) - start) / len(times)
    for t, picture in zip(times, made, strict=True):
        pixels = picture.cpu().numpy() if isinstance(picture, torch.Tensor) else picture
        assert digest(pixels) == expected[t], f"frame {t} differs when rendered again"
    return seconds


def _row(loop: Cinemagraph, count: int, kernels: str, into: str, passes: Sequence[float]) -> Row:
    return {
        "size": loop.width,
        "frames": len(loop),
        "threads": count,
        "kernels": kernels,
        "into": into,
        "frames_per_second": 1 / median(passes),
        "milliseconds": 1e3 * median(passes),
    }


def spread(frames: int, most: int) -> list[int]:
    """At most `most` times, evenly over the loop, from 0 on."""
    count = min(frames, most)
    return [i * frames // count for i in range(count)]


def digest(picture: np.ndarray) -> str:
    assert picture.dtype == np.uint8
    return hashlib.blake2b(picture.data, digest_size=16).hexdigest()


def difference(frames: Iterable[np.ndarray], others: Iterable[np.ndarray]) -> Row:
    """Largest difference in levels of 255, and the share of values that differ."""
    differences = [np.abs(a.astype(np.int16) - b) for a, b in zip(frames, others, strict=True)]
    return {
        "largest_difference": int(max(x.max() for x in differences)),
        "differing_share": float(np.mean([(x > 0).mean() for x in differences])),
    }
