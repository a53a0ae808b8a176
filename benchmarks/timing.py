"""Timing on the CPU or a GPU: medians of repeated runs, and a time limit."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from types import FrameType
from typing import Any

import torch

COPIED = 1 << 28  # bytes copied to measure bandwidth: more than any cache holds


def median_seconds(call: Callable[[], Any], device: torch.device, *, least: float = 0.5, fewest: int = 5) -> float:
    """Median of at least `fewest` runs that take at least `least` seconds, after a warm-up run.

    On CUDA by events on the current stream, which exclude the time between two launches.
    """
    call()
    taken: list[float] = []
    while len(taken) < fewest or sum(taken) < least:
        taken.append(_cuda_seconds(call, device) if device.type == "cuda" else _seconds(call))
    return median(taken)


def _seconds(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def _cuda_seconds(call: Callable[[], Any], device: torch.device) -> float:
    with torch.cuda.device(device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3


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
