"""The stages of the engine's work: times them, reports progress to the caller, and stops when the caller asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from time import perf_counter
from typing import TYPE_CHECKING

from stylecine.errors import Cancelled, OptionError

if TYPE_CHECKING:
    import torch

# Called as progress(stage, done, total); returning False cancels the job.
Progress = Callable[[str, int, int], bool | None]


@dataclass(frozen=True)
class Stage:
    """seconds: about how long it takes. sentence: what people read meanwhile."""

    seconds: float
    sentence: str


STAGES = {  # all that the engine reports, in the order of a piece of work that has all of them
    "photo": Stage(0.1, "Reading the photo"),
    "weights": Stage(0.3, "Reading the networks"),
    "inversion": Stage(2.3, "Inverting the photo"),
    "mask": Stage(1.5, "Finding what moves"),
    "motion": Stage(0.5, "Predicting the motion"),
    "cloth": Stage(0.5, "Animating the cloth"),
    "plate": Stage(1.2, "Filling in the background"),
    "loop": Stage(1.7, "Closing the loop"),
    "plants": Stage(0.5, "Swaying the plants"),
    "style": Stage(0.3, "Finding the style"),
    "weather": Stage(0.2, "Making the weather"),
    "evidence": Stage(1.0, "Comparing predictions"),
    "measures": Stage(5.0, "Measuring the loop"),
    "video": Stage(6.0, "Rendering frames"),
    "saving": Stage(0.5, "Saving the scene"),
}


def cancelled(stage: str) -> Cancelled:
    """The error of a caller's progress function that has returned False at a stage."""
    if stage not in STAGES:  # of a server's job, such as waiting in line
        return Cancelled("Cancelled.")
    sentence = STAGES[stage].sentence
    return Cancelled(f"Cancelled while {sentence[0].lower()}{sentence[1:]}.")


def _seconds(*names: str) -> dict[str, float]:
    return {name: STAGES[name].seconds for name in names}


# The parts of a piece of work: their stages, and about the seconds that each takes.
SCENE = _seconds("photo", "weights", "inversion", "mask", "motion")
LOOP = _seconds("motion", "cloth", "plate", "loop", "plants", "style", "weather")
FILE = _seconds("video")
EXPLANATION = _seconds("evidence", "measures")
MEASURES = _seconds("measures")


class Share:
    """The share of a piece of work that is done, in [0,1], told by what is reported of its stages, in their order. It
    never falls: some stages come twice, others are left out."""

    def __init__(self, stages: Mapping[str, float]) -> None:
        ends = [end / sum(stages.values()) for end in accumulate(stages.values())]
        self._spans = dict(zip(stages, pairwise([0.0, *ends]), strict=True))
        self._share = 0.0

    def __call__(self, stage: str, done: int, total: int) -> float:
        begin, end = self._spans.get(stage, (0.0, 0.0))
        self._share = max(self._share, min(1.0, begin + (end - begin) * done / max(1, total)))
        return self._share


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
            import torch

            torch.cuda.synchronize(self.device)
        self.timings[name] = self.timings.get(name, 0.0) + perf_counter() - start
        with nullcontext() if cancel_at_end else suppress(Cancelled):
            self._report(name, total, total)

    def _report(self, name: str, done: int, total: int) -> None:
        if self.progress is not None and self.progress(name, done, total) is False:
            raise cancelled(name)
