"""How many cores there are; work beside other work; keeps OpenMP's threads from spinning beside a busy program."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CGROUP = Path("/sys/fs/cgroup")
PATIENCE = 10.0  # seconds, of which a thread needs milliseconds

_lock = threading.Lock()
_parked: threading.Thread | None = None
_forks_mended = False


def cores() -> int:
    """The number of cores that this process may use: those it may run on, at most the container's quota, at least one.

    More threads than the quota has cores would use it up early, and then all of them wait for the rest of each period.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return count if quota is None else max(1, min(count, quota))


def _quota() -> int | None:
    """Whole cores that a container may use, of cgroup v2 or v1; None without a limit."""
    own = CGROUP / "cpu"
    for files in ((CGROUP / "cpu.max",), (own / "cpu.cfs_quota_us", own / "cpu.cfs_period_us")):
        try:
            quota, period = map(int, " ".join(file.read_text() for file in files).split())
        except (OSError, ValueError):  # "max" is no number
            continue
        return quota // period if quota > 0 else None
    return None


@contextmanager
def another_thread(device: torch.device, name: str) -> Iterator[Callable[[Callable[[], Any]], Future[Any]]]:
    """Runs functions one after another on a named thread.

    With a GPU each runs at once on this thread instead: cuDNN plans convolutions anew in each thread, which takes
    longer than to compute them.
    """
    if device.type == "cuda":
        yield _called
        return
    with ThreadPoolExecutor(1, name) as pool:
        yield pool.submit


def _called(function: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function())
    return future


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes with one thread here: of many small operations each is done sooner than others are woken."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def share_cores() -> None:
    """Shortens the busy waiting of GNU OpenMP's threads in this process, however early PyTorch was loaded.

    Threads that wait for each other spin for milliseconds after each of thousands of small operations, so next to a
    busy program they mostly spin: seconds become minutes. GNU OpenMP spins 1000 times at most as soon as a process has
    more OpenMP threads than cores (manual, GOMP_SPINCOUNT), which a second, sleeping team of threads brings about.
    Does nothing where the environment decides (GOMP_SPINCOUNT, OMP_WAIT_POLICY), or where PyTorch uses one thread.
    """
    import torch

    global _forks_mended, _parked
    with _lock:
        if not _forks_mended and hasattr(os, "register_at_fork"):
            # GNU OpenMP's threads do not survive a fork, and a child would wait for them for ever
            os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
            _forks_mended = True
        settled = os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
        if _parked is None and not settled and sys.platform == "linux" and torch.get_num_threads() > 1:
            parked = threading.Event()
            _parked = threading.Thread(target=_park, args=(parked,), name="stylecine-openmp", daemon=True)
            # A thread that is inside PyTorch when the interpreter ends, at a Ctrl-C for example, aborts the process.
            atexit.register(parked.wait, PATIENCE)
            _parked.start()
            parked.wait()


def _park(parked: threading.Event) -> None:
    import torch

    try:
        torch.ones(1 << 18).add_(1)  # large enough to be shared among threads, which makes this thread's own team
    finally:
        parked.set()
    threading.Event().wait()
