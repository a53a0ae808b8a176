"""Clocks of the benchmarks."""

import time

import pytest
import torch

from benchmarks.timing import copy_bandwidth, median_seconds, threads, time_limit

CPU = torch.device("cpu")


def test_the_median_leaves_out_the_first_run_and_the_odd_one() -> None:
    waits = iter([0.1, 0.001, 0.05, 0.001, 0.001, 0.001])
    assert 0.001 <= median_seconds(lambda: time.sleep(next(waits)), CPU, least=0) < 0.02


def test_a_limit_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"), time_limit(0.05):
        time.sleep(5)


def test_a_limit_that_was_kept_does_nothing_later() -> None:
    with time_limit(0.05):
        pass
    time.sleep(0.1)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_copy_has_a_speed() -> None:
    assert 1e8 < copy_bandwidth(CPU) < 1e13
