"""Times the stages of a job, reports progress to the caller, and stops when the caller asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from time import perf_counter

import torch

from stylecine.errors import Cancelled, OptionError

# Called as progress(stage, done, total); returning False cancels the job.
Progress = Callable[[str, int, int], bool | None]


class Stages:
    """The stages of one job; `timings` holds the seconds each took, in the order they began."""

    def __init__(self, progress: Progress | None = None, device: torch.device | None = None) -> None:
        if progress is not None and not callable(progress):
            raise OptionError(f"progress is a function of stage, done and total, not {progress!r}.")
        self.progress = progress
        self.device = device
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 1, *, cancel_at_end: bool = True) -> Iterator[Callable[[int, int], None]]:
        """Times the block; yields a function (done, total) that reports its steps. Raises Cancelled.

        cancel_at_end: whether the report of its end may cancel, which is too late for a file that is in place.
        """
        start = perf_counter()
        self._report(name, 0, total)
        yield lambda done, total: self._report(name, done, total)
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.timings[name] = self.timings.get(name, 0.0) + perf_counter() - start
        with nullcontext() if cancel_at_end else suppress(Cancelled):
            self._report(name, total, total)

    def _report(self, name: str, done: int, total: int) -> None:
        if self.progress is not None and self.progress(name, done, total) is False:
            raise Cancelled(f"Cancelled during the {name}.")
