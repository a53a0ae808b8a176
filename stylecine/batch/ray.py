"""A batch's workers on a Ray cluster: actors with the networks loaded once, replaced when they or their nodes die.

Nodes need stylecine and Ray, and no disk in common with this machine: a photo's bytes go there, its loop's come back.
"""

import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from stylecine import __version__
from stylecine.atomic import atomic_write
from stylecine.batch.journal import Record
from stylecine.batch.tasks import Task, animate_one, failed
from stylecine.errors import OptionError, StylecineError

PER_GPU = 4  # actors that share one: while some encode on the processor, others use it
PATIENCE = 120.0  # seconds without any actor until it is said that there is no room
LOADS = 3  # actors that may die while they load the model before no more are begun
TURN = 1.0  # seconds of waiting after which Ctrl-C is heard at the latest


class Actors:
    """Actors of one thread each on the cluster at `address`, for these tasks; see `batch.WorkerPool`.

    count: how many; None: one a core, or where nodes have GPUs PER_GPU for each. Loops are written below `folder`,
    here. Raises OptionError where Ray is not installed or no cluster found.
    """

    def __init__(
        self, address: str, tasks: Sequence[Task], count: int | None, folder: Path, model: str, device: str | None
    ) -> None:
        self._ray = _connected(address)
        self._folder, self._told = folder, (model, device)
        gpus = 0 if device == "cpu" else int(self._ray.cluster_resources().get("GPU", 0))
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        count = max(1, min(len(tasks), count or (PER_GPU * gpus if gpus else cores)))
        actor = self._ray.remote(num_cpus=1, num_gpus=min(1.0, gpus / count), max_restarts=0)(_Animating)
        self._new = lambda: actor.remote(*self._told)
        self._awaited: dict[Any, tuple[Any, Task | None]] = {}  # what an actor owes -> the actor; None: to be loaded
        self._ready: list[Any] = []
        self._since, self._lost = time.monotonic(), 0
        for _ in range(count):
            self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()  # and with it the actors

    @property
    def idle(self) -> bool:
        return len(self._ready) > 0

    @property
    def busy(self) -> bool:
        return any(task is not None for _, task in self._awaited.values())

    def give(self, task: Task) -> None:
        actor = self._ready.pop()
        try:
            files = {name: path.read_bytes() for name, path in task.files.items()}
        except OSError:
            files = {}  # where it is read it is missing, and that is said there as everywhere
        self._awaited[actor.animate.remote(task, files)] = actor, task

    def wait(self) -> list[tuple[Task, Record | None]]:
        """Raises what kept an actor from loading the networks, and OptionError where none has room or can."""
        done, _ = self._ray.wait(list(self._awaited), num_returns=1, timeout=TURN)
        found: list[tuple[Task, Record | None]] = []
        for owed in done:
            actor, task = self._awaited.pop(owed)
            try:
                answer = self._ray.get(owed)
            except self._ray.exceptions.RayError as error:
                self._replace(task, error)
                if task is not None:
                    found.append((task, None))
                continue
            if task is None:
                _check(answer)
                self._lost = 0
            else:
                found.append((task, self._kept(task, *answer)))
            self._ready.append(actor)
        if self._ready or self.busy:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > PATIENCE:
            raise OptionError("The Ray cluster has no room for one actor of one core; wait for it, or add nodes.")
        return found

    def _replace(self, task: Task | None, error: Exception) -> None:
        """An actor that has died. After LOADS that did so while they loaded, in a row, there are fewer from then on."""
        self._lost += task is None
        if task is not None or self._lost < LOADS:
            self._begin()
        elif not self._awaited and not self._ready:
            first = (str(error).splitlines() or [""])[0]
            raise OptionError(
                f"Actors end while they load the model ({first}), as happens where memory runs out; look at the nodes."
            )

    def _begin(self) -> None:
        actor = self._new()
        self._awaited[actor.load.remote()] = actor, None

    def _kept(self, task: Task, record: Record, loop: bytes) -> Record:
        if record["state"] == "done":
            try:
                with atomic_write(self._folder / task.output) as part:
                    part.write_bytes(loop)
            except StylecineError as error:
                return failed(type(error).__name__, str(error))
        return record


class _Animating:
    """What an actor is: `load` first, then `animate`."""

    def __init__(self, model: str, device: str | None) -> None:
        self.model, self.device = model, device

    def load(self) -> StylecineError | str:
        """The version of stylecine on that node, once the networks are loaded; or why they are not."""
        import torch

        from stylecine.animator import Animator

        torch.set_num_threads(1)
        try:
            self.animator = Animator.from_pretrained(self.model, self.device)
        except StylecineError as error:
            return error
        return __version__

    def animate(self, task: Task, files: Mapping[str, bytes]) -> tuple[Record, bytes]:
        """Its record, and the loop's file; the task's files are written down here first."""
        with tempfile.TemporaryDirectory(prefix="stylecine-") as name:
            folder = Path(name)
            path = folder / ("loop" + Path(task.output).suffix)
            record = animate_one(self.animator, _moved(task, files, folder), path, self.model)
            return record, path.read_bytes() if record["state"] == "done" else b""


def _moved(task: Task, files: Mapping[str, bytes], folder: Path) -> Task:
    """The same task with its files in `folder`, each in a folder of its own, for their names to be kept."""
    there = {}
    for kind, content in files.items():
        there[kind] = folder / kind / task.files[kind].name
        there[kind].parent.mkdir()
        there[kind].write_bytes(content)
    photo = there.pop("photo", task.photo)
    return replace(task, photo=photo, options=task.options | {kind: str(path) for kind, path in there.items()})


def _check(answer: StylecineError | str) -> None:
    if isinstance(answer, StylecineError):
        raise answer
    if answer != __version__:
        raise OptionError(f"A node of the cluster has stylecine {answer}, and here is {__version__}; install the same.")


def _connected(address: str) -> Any:
    """Ray, connected to the cluster at that address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a warning about what we do not rely on
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise OptionError("--ray needs Ray; install it with: pip install 'stylecine[ray]'.") from None
    heard = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise OptionError(f"There is no Ray cluster at '{address}' ({first}); start one, or correct --ray.") from None
    finally:
        with suppress(ValueError):  # only the main thread hears signals
            signal.signal(signal.SIGTERM, heard)  # Ray takes it for itself
    return ray


def _knock(address: str) -> None:
    """OSError where nobody listens; Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
