"""A batch's workers on a Ray cluster: actors of one thread each, replaced when they or their nodes die.

Nodes need stylecine and Ray but no shared disk: a photo's bytes are sent to an actor, and the loop's bytes come back.
"""

import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from stylecine.batch.journal import Record
from stylecine.batch.tasks import Task, failed
from stylecine.errors import OptionError, first_line
from stylecine.machine.atomic import atomic_write, translate_os_errors
from stylecine.machine.cluster import PLACEMENT_TIMEOUT, Actor, check_version, connect, gpus
from stylecine.machine.workers import ATTEMPTS, Job, PoolClosed, WorkerLost
from stylecine.output.formats import ending_of

ACTORS_PER_GPU = 4  # while some encode on the CPU, others use the GPU
MAX_LOAD_FAILURES = 3  # consecutive actors that die while loading the model, after which no more are started
POLL = 1.0  # seconds


class RayPool:
    """Actors on the cluster at `address`, for these tasks; see `batch.tasks.Backend`.

    count: actors; None: one per core, or ACTORS_PER_GPU per GPU if the nodes have any. Loops are written below
    `folder`, on this machine. Raises OptionError if Ray is not installed or there is no cluster.
    """

    def __init__(
        self, address: str, tasks: Sequence[Task], count: int | None, folder: Path, model: str, device: str | None
    ) -> None:
        self._ray = connect(address)
        self._folder = folder
        cores, cards = int(self._ray.cluster_resources().get("CPU", 1)), gpus(self._ray, device)
        self.count = max(1, min(len(tasks), count or ACTORS_PER_GPU * cards or cores))
        actor = self._ray.remote(num_cpus=1, num_gpus=min(1.0, cards / self.count), max_restarts=0)(_Actor)
        self._new_actor, self._model = actor.remote, (model, device)
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._error: Exception | None = None  # which all further jobs raise
        self._pending: dict[Any, tuple[Any, Job | str]] = {}  # what an actor is doing: a job, "place" or "load"
        self._ready: list[Any] = []
        self._placed_at, self._load_failures = time.monotonic(), 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for _ in range(self.count):
            self._start_actor()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(2 * POLL)
        self._ray.shutdown()  # and with it the actors

    def submit(self, job: Job) -> Job:
        with self._lock:
            if self._error is not None:
                job.set_exception(self._error)
            else:
                self._waiting.append(job)
        return job

    def _run(self) -> None:
        error: Exception = PoolClosed()
        try:
            while not self._closing.is_set():
                self._step()
        except Exception as failure:
            error = failure
        with self._lock:
            self._error = error
            for job in (*self._waiting, *(work for _, work in self._pending.values() if isinstance(work, Job))):
                job.set_exception(error)

    def _step(self) -> None:
        """Raises the error that prevents an actor from loading the networks; OptionError if no actor can be started."""
        while self._ready and self._waiting:
            actor, job = self._ready.pop(), self._waiting.popleft()
            job.attempts += 1
            try:
                files = {name: path.read_bytes() for name, path in job.request.files.items()}
            except OSError:
                files = {}  # the actor will not find the file either and report that
            self._pending[actor.animate.remote(job.request, files)] = actor, job
        if not self._pending:
            self._closing.wait(POLL / 10)
            return
        done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=POLL)
        for result in done:
            self._handle(result)
        if self._ready or any(work != "place" for _, work in self._pending.values()):
            self._placed_at = time.monotonic()
        elif time.monotonic() - self._placed_at > PLACEMENT_TIMEOUT:
            raise OptionError("The Ray cluster has no room for one actor of one core; wait for it, or add nodes.")

    def _handle(self, result: Any) -> None:
        actor, work = self._pending.pop(result)
        try:
            reply = self._ray.get(result)
        except self._ray.exceptions.RayError as error:
            self._replace(work, error)
            return
        if work == "place":
            check_version(reply)
            self._pending[actor.load.remote("stylecine.batch.worker:load_model", self._model)] = actor, "load"
            return
        if isinstance(work, Job):
            self._complete(work, *reply)
        elif reply is not None:
            raise reply
        self._load_failures = 0
        self._ready.append(actor)

    def _start_actor(self) -> None:
        actor = self._new_actor()
        self._pending[actor.version.remote()] = actor, "place"

    def _replace(self, work: Job | str, error: Exception) -> None:
        """Replaces a dead actor, but not the last of MAX_LOAD_FAILURES in a row that died while loading."""
        if isinstance(work, Job):
            if work.attempts < ATTEMPTS:
                self._waiting.append(work)
            else:
                work.set_exception(WorkerLost())
        else:
            self._load_failures += 1
        if isinstance(work, Job) or self._load_failures < MAX_LOAD_FAILURES:
            self._start_actor()
        elif not self._pending and not self._ready:
            died = f"Actors die while they load the model ({first_line(error)})"
            raise OptionError(f"{died}, as happens where memory runs out; look at the nodes.")

    def _complete(self, job: Job, record: Record, loop: bytes) -> None:
        path = self._folder / job.request.output
        try:
            if record["state"] == "done":
                with atomic_write(path) as part, translate_os_errors(path):
                    part.write_bytes(loop)
        except Exception as error:
            record = failed(error)
        job.set_result(record)


class _Actor(Actor):
    def animate(self, task: Task, files: Mapping[str, bytes]) -> tuple[Record, bytes]:
        """The record, and the content of the loop's file; the task's files are written to a temporary folder first."""
        with tempfile.TemporaryDirectory(prefix="stylecine-") as name:
            folder, copies = Path(name), dict[str, Path]()
            for kind, content in files.items():
                copies[kind] = folder / kind / task.files[kind].name
                copies[kind].parent.mkdir()
                copies[kind].write_bytes(content)
            path = folder / ("loop" + ending_of(task.output))
            record = self.handler(task.with_files(copies), path)
            return record, path.read_bytes() if record["state"] == "done" else b""
