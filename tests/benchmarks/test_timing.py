"""Clocks of the benchmarks."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import timing
from benchmarks.timing import copy_bandwidth, median_seconds, threads, time_limit

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, which passes only when a test adds to it."""
    now = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    yield now


def test_the_median_ignores_the_first_run_and_an_outlier(clock: list[float]) -> None:
    seconds = iter([100.0, 1.0, 50.0, 2.0, 3.0, 4.0])

    def run() -> None:
        clock[0] += next(seconds)

    assert median_seconds(run, CPU, least=0) == 3


def test_short_runs_are_repeated_until_they_add_up(clock: list[float]) -> None:
    runs = []

    def run() -> None:
        clock[0] += 1.0
        runs.append(clock[0])

    assert median_seconds(run, CPU, least=20) == 1 and len(runs) == 21


@pytest.mark.parametrize(("seconds", "queued"), [(0.001, timing.QUEUED), (0.03, 3), (5.0, 1)])
def test_a_gpu_is_given_all_calls_before_the_first_begins(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], seconds: float, queued: int
) -> None:
    """Many of them, if they are quick."""
    queue: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            queue.append("event")

        def synchronize(self) -> None:
            assert queue == ["wait", "event", *["call"] * queued, "event"]
            queue.clear()

        def elapsed_time(self, end: Any) -> float:
            return 1e3 * queued

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: queue.append("wait"))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: queue.clear())

    def call() -> None:
        clock[0] += seconds
        queue.append("call")

    assert median_seconds(call, torch.device("cuda"), least=0, fewest=3) == 1


def test_arguments_alternate_on_a_gpu_with_copies_that_its_cache_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(L2_cache_size=1000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    arguments = torch.ones(100), [torch.zeros(50)], 3
    turn = timing.rotating(arguments, torch.device("cuda"))
    made = [next(turn) for _ in range(5)]
    assert len({x[0].data_ptr() for x in made}) == len({x[1][0].data_ptr() for x in made}) == 5
    assert all(torch.equal(x[0], arguments[0]) and x[2] == 3 for x in made)
    assert next(timing.rotating(arguments, CPU)) is next(timing.rotating(arguments, CPU)) is arguments


def test_a_time_limit_stops_longer_runs() -> None:
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"), time_limit(0.05):
        time.sleep(60)


def test_a_limit_that_was_kept_has_no_later_effect() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0) and signal.getsignal(signal.SIGALRM) == before


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_bandwidth_of_a_copy_counts_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "COPIED", 1000)
    monkeypatch.setattr(timing, "median_seconds", lambda copy, device: copy() is not None and 0.5)
    assert copy_bandwidth(CPU) == 4000
