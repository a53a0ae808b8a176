"""Times the stages of a piece of work, tells the caller of each, and stops when the caller says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import torch

from stylecine.errors import Cancelled

# Called as progress(stage, done, total); what returns False cancels the work.
Progress = Callable[[str, int, int], bool | None]


class Stages:
    """The stages of one piece of work: `timings` holds the seconds each took, in the order they began."""

    def __init__(self, progress: Progress | None = None, device: torch.device | None = None) -> None:
        self.progress = progress
        self.device = device
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[Callable[[int, int], None]]:
        """Times the block; yields a function (done, total) for its steps. Raises Cancelled."""
        start = perf_counter()
        self._tell(name, 0, total)
        yield lambda done, total: self._tell(name, done, total)
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.timings[name] = self.timings.get(name, 0.0) + perf_counter() - start
        self._tell(name, total, total)

    def _tell(self, name: str, done: int, total: int) -> None:
        if self.progress is not None and self.progress(name, done, total) is False:
            raise Cancelled(f"Cancelled during the {name}.")
