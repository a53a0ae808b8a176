"""A batch's workers on this machine: processes with the networks loaded once, replaced when they die."""

import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from stylecine.atomic import remove_stale_temp
from stylecine.batch.journal import Record
from stylecine.batch.tasks import Task, animate_one
from stylecine.errors import StylecineError, TooLarge
from stylecine.interrupts import Interrupts
from stylecine.memory import available_bytes, needed_bytes
from stylecine.options import check_device

GRACE = 1.5  # seconds for workers to put things away before they are killed
LONG = 1.5  # width to height, or the other way round, that photos are taken to have
OWN = 6000, 4000  # the size that photos are taken to have where they keep their own


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    task: Task | None = None


class Processes:
    """So many workers, one thread each, that write their loops below `folder`; see `batch.WorkerPool`.

    devices: they take turns in choosing one.
    """

    def __init__(self, count: int, folder: Path, model: str, devices: Sequence[str]) -> None:
        self._folder, self._model, self._devices = folder, model, cycle(devices)
        self._failure: StylecineError | None = None  # for which nothing more is waited for
        self._workers = [self._started() for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    @property
    def idle(self) -> bool:
        return any(worker.task is None for worker in self._workers)

    @property
    def busy(self) -> bool:
        return any(worker.task is not None for worker in self._workers)

    def give(self, task: Task) -> None:
        worker = next(worker for worker in self._workers if worker.task is None)
        worker.task = task
        with suppress(OSError):  # it has just died, which wait() finds out
            worker.pipe.send(task)

    def wait(self) -> list[tuple[Task, Record | None]]:
        """Raises what kept a worker from loading the networks; TooLarge where all were killed meanwhile.

        What has been found by then is returned before that is raised.
        """
        found: list[tuple[Task, Record | None]] = []
        if self._failure is None:
            pipes = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(pipes)):
                try:
                    found += self._heard(pipes[pipe])  # type: ignore[index]
                except StylecineError as failure:
                    self._failure = failure
        if self._failure is not None and not found:
            raise self._failure
        return found

    def _heard(self, worker: _Worker) -> Iterator[tuple[Task, Record | None]]:
        """Of a worker that has said something, or has died."""
        task = worker.task
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker)
            if task is not None:
                yield task, None
            return
        if isinstance(message, StylecineError):
            raise message
        if message is None:
            worker.ready = True
        elif task is not None:
            worker.task = None
            yield task, message

    def __exit__(self, *_: object) -> None:
        """Whoever is at work is stopped, and leaves nothing behind."""
        unfinished = [worker.task for worker in self._workers if worker.task is not None]
        for worker in self._workers:
            worker.pipe.close()
            if worker.task is not None or not worker.ready:
                worker.process.terminate()
        until = time.monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            worker.process.kill()
            worker.process.join()
        for task in unfinished:
            remove_stale_temp(self._folder / task.output)  # of workers that had to be killed

    def _replace(self, worker: _Worker) -> None:
        """One that could not even load is not, as memory lasts for fewer."""
        worker.process.join(GRACE)
        worker.pipe.close()
        self._workers.remove(worker)
        if worker.ready:
            self._workers.append(self._started())
        elif not self._workers:
            raise TooLarge(
                f"A process ended while it was loading the model (exit code {worker.process.exitcode}), as happens"
                " where memory runs out; use fewer processes."
            )

    def _started(self) -> _Worker:
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit locks that PyTorch's threads hold
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_work, args=(theirs, self._folder, self._model, next(self._devices)), daemon=True
        )
        with _deaf_children():
            process.start()
        theirs.close()
        return _Worker(process, ours)


def devices_for(device: str | None) -> list[str]:
    """The devices that `device` stands for: "cuda", and None where there is one, for all of them. OptionError."""
    place = device if device == "cpu" else str(check_device(device))  # PyTorch takes seconds to be asked
    if place != "cuda":
        return [place]

    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def count_for(tasks: Sequence[Task], devices: Sequence[str]) -> int:
    """How many processes serve these tasks best: one a core, as far as there is memory for them."""
    most = max((_needed(task) for task in tasks), default=1.0)
    free = available_bytes(None)
    if devices[0] != "cpu":
        free = min(free, sum(available_bytes(check_device(device)) for device in devices))
    return max(1, min(cores(), len(tasks), int(free / most)))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _needed(task: Task) -> float:
    """Bytes, by what the options alone say."""
    size = task.options["size"]
    if isinstance(size, int):
        return needed_bytes(size, round(LONG * size))
    return needed_bytes(*(size or OWN))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started inside never hear Ctrl-C, which a terminal sends to all: it is for the first one to act."""
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, folder: Path, model: str, device: str) -> None:
    """A worker's life: None once the networks are loaded, or why not; then a record for each task."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # as that an odd size was cropped: the record has the size
    with suppress(KeyboardInterrupt, EOFError, OSError), Interrupts():
        import torch

        from stylecine.animator import Animator

        torch.set_num_threads(1)
        try:
            animator = Animator.from_pretrained(model, device)
        except StylecineError as error:
            pipe.send(error)
            return
        pipe.send(None)
        while True:
            task = pipe.recv()
            pipe.send(animate_one(animator, task, folder / task.output, model))


def _end_with_parent() -> None:
    """A worker whose parent was killed puts its half-written loop away and ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * GRACE)
    os._exit(1)
