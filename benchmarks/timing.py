"""Timing on the CPU or a GPU: medians of repeated runs, and a time limit."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from statistics import median
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

COPIED = 1 << 28  # bytes copied to measure bandwidth: more than any cache holds
QUEUED, QUEUE = 20, 0.1  # calls that a GPU is given at once, and seconds, at most, of those but one
AHEAD = 50_000_000  # clock cycles, about 30 ms, that it waits for all of them to be there


def median_seconds(call: Callable[[], Any], device: torch.device, *, least: float = 0.5, fewest: int = 5) -> float:
    """Median of at least `fewest` runs that take at least `least` seconds, after a warm-up run.

    On CUDA a run is the mean of `QUEUED` calls, of slow ones of fewer, by events on the current stream. They are queued
    behind a wait: on an idle GPU, Python would be measured.
    """
    call()
    taken: list[float] = []
    queued = max(1, min(QUEUED, int(QUEUE / _synchronised(call, device)))) if device.type == "cuda" else 1
    while len(taken) < fewest or sum(taken) < least:
        taken.append(_cuda_seconds(call, device, queued) if device.type == "cuda" else _seconds(call))
    return median(taken)


def rotating(arguments: Sequence[Any], device: torch.device) -> Iterator[Sequence[Any]]:
    """The arguments again and again: on CUDA copies of them in turn, so that none is still in the cache."""
    copies = [arguments]
    if device.type == "cuda":
        tensors = [x for x in tree_leaves(list(arguments)) if isinstance(x, Tensor)]
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        count = 1 + 2 * cache // max(1, sum(x.nbytes for x in tensors))
        copies += [tree_map_only(Tensor, Tensor.clone, list(arguments)) for _ in range(min(count, QUEUED - 1))]
    return cycle(copies)


def _seconds(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def _synchronised(call: Callable[[], Any], device: torch.device) -> float:
    start = now(device)
    call()
    return now(device) - start


def _cuda_seconds(call: Callable[[], Any], device: torch.device, queued: int) -> float:
    with torch.cuda.device(device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(AHEAD)
        start.record()
        for _ in range(queued):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / queued


def now(device: torch.device) -> float:
    """A clock in seconds, after pending work of the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second of a plain copy, counting both reading and writing."""
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / median_seconds(lambda: target.copy_(source), device)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sets the number of threads of PyTorch and the native kernels."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """TimeoutError after `seconds`, in the main thread of a POSIX system; no limit elsewhere."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
