"""The queue of tasks and the processes that do them.

A lane has its own processes and its own bounded queue: one for what somebody waits for, one for animations. A process
that dies or takes too long is replaced; a task whose process died is given to the next one, up to `ATTEMPTS` times.
"""

import asyncio
import heapq
import itertools
import json
import logging
import os
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from stylecine.server.problems import Problem, of_error

LOG = logging.getLogger("uvicorn.error")
ATTEMPTS = 3
GRACE = 5.0  # seconds in which a cancelled task should have stopped
RESTART = 1.0  # seconds before a process that died at once is started again; doubled each time, to a minute
LINE = 16 << 20  # most bytes of a line from a worker: of all edits of a .cine file

Asked = dict[str, Any]


class Cancelled(Exception):
    """The task was cancelled."""


class Ending(Exception):
    """The service ends before the task is done."""


@dataclass(eq=False)
class Task:
    """asked: what the worker is told. limit: seconds. patience: seconds by which others, asked for later, may go first.

    started: called when a process begins with it. progress: called as (stage, done, total).
    """

    asked: Asked
    limit: float
    patience: float = 0.0
    started: Callable[[], Any] = lambda: None
    progress: Callable[[str, int, int], Any] = lambda stage, done, total: None
    attempts: int = 0
    answer: asyncio.Future[Asked] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    worker: "Worker | None" = None
    since: float = field(default_factory=time.monotonic)


class Lane:
    """Some processes and the tasks that wait for them."""

    def __init__(self, name: str, processes: int, most: int, command: Sequence[str]) -> None:
        """most: tasks that may wait. command: what starts a process."""
        self.name, self.most = name, most
        self.workers = [Worker(self, command) for _ in range(processes)]
        self._waiting: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self.closed = False

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def end(self) -> None:
        """Kills the processes; the answer of what waits for them becomes Ending."""
        self.closed = True
        for _, _, task in self._waiting:
            if not task.answer.done():
                task.answer.set_exception(Ending())
        for worker in self.workers:
            worker.end()

    async def ended(self) -> None:
        await asyncio.gather(*(worker.ended() for worker in self.workers))

    @property
    def ready(self) -> bool:
        return any(worker.ready for worker in self.workers)

    @property
    def idle(self) -> bool:
        """Ready, and with nothing to do."""
        return self.ready and not self._waiting and all(worker.task is None for worker in self.workers)

    @property
    def broken(self) -> str:
        """Why a process cannot work, in a sentence; "" where none says so."""
        return next((worker.broken for worker in self.workers if worker.broken), "")

    @property
    def length(self) -> int:
        return len(self._waiting)

    def require_room(self) -> None:
        """Raises a 429 where the queue is full, and a 503 where no process can work."""
        if self.broken and not self.ready:
            raise of_error("NotReady", self.broken)
        if len(self._waiting) >= self.most:
            seconds = str(max(1, min(60, len(self._waiting) // len(self.workers))))
            raise Problem(
                429, "QueueFull", f"{self.most} others wait already; try again later.", {"Retry-After": seconds}
            )

    def submit(self, task: Task) -> Task:
        """Queues a task; its `answer` is what the worker answers, or raises a Problem or Cancelled."""
        if self.closed:
            task.answer.set_exception(Ending())
        else:
            heapq.heappush(self._waiting, (task.since + task.patience, next(self._order), task))
            self.dispatch()
        return task

    def cancel(self, task: Task) -> None:
        """The answer of a task that is not done yet becomes Cancelled, at once or within GRACE seconds."""
        if task.worker is not None:
            task.worker.cancel(task)
        elif not task.answer.done():
            self._waiting = [entry for entry in self._waiting if entry[2] is not task]
            heapq.heapify(self._waiting)
            task.answer.set_exception(Cancelled())

    def dispatch(self) -> None:
        """Gives waiting tasks to idle workers, to one that has the scene at hand where there is a choice."""
        idle = [worker for worker in self.workers if worker.ready and worker.task is None]
        while idle and self._waiting:
            _, _, task = heapq.heappop(self._waiting)
            if not task.answer.done():
                scene = task.asked["scene"]
                worker = next((worker for worker in idle if worker.scene == scene), idle[0])
                idle.remove(worker)
                worker.take(task)


class Worker:
    """A process that does one task at a time, and is started again whenever it ends."""

    def __init__(self, lane: Lane, command: Sequence[str]) -> None:
        self.lane, self.command = lane, command
        self.ready = False
        self.broken = ""  # why it cannot work, in a sentence
        self.restarts = 0
        self.task: Task | None = None
        self.scene = ""
        self._keeper: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._ids = itertools.count()
        self._id = -1
        self._timer: asyncio.TimerHandle | None = None
        self._reason: Exception | None = None  # why its task is over, if it dies

    @property
    def state(self) -> str:
        return "loading" if not self.ready else "idle" if self.task is None else "busy"

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    def end(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()

    async def ended(self) -> None:
        if self._keeper is not None:
            with suppress(asyncio.CancelledError):
                await self._keeper

    def take(self, task: Task) -> None:
        self.task, self.scene, self._id = task, task.asked["scene"], next(self._ids)
        task.worker = self
        task.started()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(task.limit, self._kill, _too_long(task.limit))
        self._say({**task.asked, "id": self._id})

    def cancel(self, task: Task) -> None:
        if self.task is task and self._timer is not None:
            self._timer.cancel()
            self._reason = Cancelled()  # also if it dies meanwhile
            self._timer = asyncio.get_running_loop().call_later(GRACE, self._kill, self._reason)
            self._say({"cancel": self._id})

    async def _keep(self) -> None:
        """Starts the process, hears it out, and starts it again."""
        pause = RESTART
        while True:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=LINE,
                    env={"GOMP_SPINCOUNT": "1000", **os.environ},  # threads that wait leave the cores to others soon
                    # A Ctrl-C in the terminal is the service's to hear. No session of its own: Linux shares the
                    # cores among sessions before it looks at who is nice.
                    process_group=0,
                )
                await self._hear(self._process)
            except OSError as error:  # no memory, process or file is left
                self.broken = f"A process cannot be started ({error.strerror or error}); see to the machine's limits."
                LOG.error("A worker cannot work: %s", self.broken)
            finally:
                worked = self.ready
                await self._bury()
            self.restarts += 1
            pause = RESTART if worked else min(60.0, 2 * pause)
            if not worked:
                await asyncio.sleep(pause)

    async def _hear(self, process: Process) -> None:
        assert process.stdout is not None
        with suppress(ValueError, ConnectionError):  # a line too long, or half of one: take it for dead
            async for line in process.stdout:
                said = json.loads(line)
                if "ready" in said:
                    self.ready, self.broken = True, ""
                    self.lane.dispatch()
                elif "broken" in said:
                    self.broken = said["broken"]
                    LOG.error("A worker cannot work: %s", self.broken)
                elif self.task is not None and said["id"] == self._id:
                    self._told(self.task, said)

    def _told(self, task: Task, said: Asked) -> None:
        if "progress" in said:
            task.progress(*said["progress"])
        elif "done" in said:
            self._finish(task, said["done"])
        elif said["error"] == "Cancelled":
            self._finish(task, Cancelled())
        else:
            self._finish(task, of_error(said["error"], said["detail"]))

    def _finish(self, task: Task, outcome: Asked | Exception) -> None:
        self._release()
        if not task.answer.done():
            if isinstance(outcome, Exception):
                task.answer.set_exception(outcome)
            else:
                task.answer.set_result(outcome)
        self.lane.dispatch()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.task is not None:
            self.task.worker = None
        self.task, self._timer, self._reason = None, None, None

    async def _bury(self) -> None:
        """The process is gone, or has to go: its task goes to another, or is told why not."""
        self.ready, self.scene = False, ""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        task, reason = self.task, self._reason
        self._release()
        if task is None or task.answer.done():
            return
        if self.lane.closed:
            task.answer.set_exception(Ending())
        elif reason is not None:
            task.answer.set_exception(reason)
        else:
            task.attempts += 1
            if task.attempts >= ATTEMPTS:
                detail = f"The work was tried {ATTEMPTS} times and its process died each time; try a smaller size."
                task.answer.set_exception(of_error("WorkerLost", detail))
            else:
                self.lane.submit(task)

    def _kill(self, reason: Exception) -> None:
        self._reason = reason
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _say(self, what: Asked) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, RuntimeError):  # it has just died, which its other pipe will tell
                self._process.stdin.write(json.dumps(what).encode() + b"\n")


def _too_long(limit: float) -> Problem:
    return of_error("TookTooLong", f"It took longer than {limit:g} s; ask for a smaller size or a shorter loop.")
