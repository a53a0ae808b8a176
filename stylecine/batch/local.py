"""A batch's workers on this machine: processes of one thread each."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from stylecine.batch.tasks import Task
from stylecine.machine.atomic import remove_stale_temp
from stylecine.machine.memory import available_bytes, needed_bytes
from stylecine.machine.threads import cores
from stylecine.machine.workers import Job, WorkerPool
from stylecine.options import check_device

ASPECT_RATIO = 1.5  # assumed of photos that are resized
NATIVE_SIZE = 6000, 4000  # assumed of photos that are not


class LocalPool(WorkerPool):
    """`count` processes that write their loops below `folder`; see `batch.tasks.Backend`.

    devices: assigned to the processes in turn.
    """

    def __init__(self, count: int, folder: Path, model: str, devices: Sequence[str]) -> None:
        arguments = [(folder, model, device) for device in islice(cycle(devices), count)]
        super().__init__("stylecine.batch.worker:load", arguments)
        self.count, self._folder, self._jobs = count, folder, set[Job]()

    def submit(self, job: Job) -> Job:
        self._jobs.add(job)
        return super().submit(job)

    def close(self) -> None:
        jobs = list(self._jobs)  # threads that fetch photos may still submit some
        unfinished = [job.request for job in jobs if job.attempts and not job.done()]
        super().close()
        for task in unfinished:
            remove_stale_temp(self._folder / task.output)  # of a process that had to be killed


def devices_for(device: str | None) -> list[str]:
    """The devices that an option means: all GPUs for "cuda", and for None if there are any. Raises OptionError."""
    chosen = device if device == "cpu" else str(check_device(device))  # which imports PyTorch
    if chosen != "cuda":
        return [chosen]

    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def count_for(tasks: Sequence[Task], devices: Sequence[str]) -> int:
    """The number of processes for these tasks: one per core, or fewer if memory does not suffice.

    Estimated from the options alone: no photo is opened.
    """
    needed = max(_needed_bytes(task.options["size"]) for task in tasks)
    free = available_bytes(None)
    if devices[0] != "cpu":
        free = min(free, sum(available_bytes(check_device(device)) for device in devices))
    return max(1, min(cores(), len(tasks), int(free / needed)))


def _needed_bytes(size: int | Sequence[int] | None) -> float:
    if isinstance(size, int):
        return needed_bytes(size, round(ASPECT_RATIO * size))
    return needed_bytes(*(size or NATIVE_SIZE)[:2])
