"""A pool of worker processes that load the networks once, for batches and for the service.

Each process runs one job at a time. A process that dies is replaced and its job retried; one that exceeds a time limit
or ignores a cancellation is killed and replaced. Processes end with their parent, however it ends.

A process is a Python interpreter that runs `main`. Messages are pickled tuples on its standard input and output:

    to the process      (factory, arguments, nice), then ("job", id, request) and ("cancel", id)
    from the process    ("ready",) or ("broken", error), then per job ("progress", id, stage, done, total) any number
                        of times, and ("done", id, result) or ("error", id, error)

The end of its input asks a process to remove partial output and exit.
"""

import logging
import os
import pickle
import pkgutil
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeAlias

from stylecine.errors import Cancelled, DiskFull, StylecineError, TooLarge
from stylecine.machine.atomic import NO_SPACE
from stylecine.machine.interrupts import Interrupts
from stylecine.machine.progress import Progress

LOG = logging.getLogger(__name__)
ATTEMPTS = 3  # processes that a job may crash, unless a pool says otherwise
CANCEL_GRACE = 5.0  # seconds in which a cancelled job should stop before its process is killed
EXIT_GRACE = 1.5  # seconds in which processes should exit before they are killed
ORPHAN_TRIES, ORPHAN_PAUSE = 12, 5.0  # signals to a process without a parent, to remove partial output; seconds between
RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 60.0  # seconds before a process that cannot load is restarted; doubles
PROGRESS_INTERVAL = 0.05  # seconds between two progress messages of a stage
NOBODY = 0  # the id of jobs whose result nobody waits for

# What a factory returns: (request, progress) -> result
Handler: TypeAlias = Callable[[Any, Progress], Any]


class WorkerLost(Exception):
    """A job's process died in each attempt."""


class TimeLimitExceeded(Exception):
    """A job took longer than its limit."""


class PoolClosed(Exception):
    """The pool was closed before the job was done."""


@dataclass(eq=False, repr=False)
class Job(Future[Any]):
    """A request to a pool; its result is the handler's, or raises the handler's error or one of the above.

    key: prefer the process that ran a job with this key last. limit: seconds. delay: seconds by which jobs submitted
    later may overtake it. interrupts: whether it overtakes also one that is running, which then starts again behind it.
    started, progress: called from other threads, the latter as (stage, done, total).
    """

    request: Any
    _: KW_ONLY
    key: str = ""
    limit: float | None = None
    delay: float = 0.0
    interrupts: bool = False
    started: Callable[[], object] = lambda: None
    progress: Callable[[str, int, int], object] = lambda stage, done, total: None
    attempts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # from now on only the pool cancels it
        self.turn = time.monotonic() + self.delay  # by which jobs are sorted


class WorkerPool:
    """Processes that run jobs; submit() may be called before start() and from any thread.

    factory: "module:function", which each process calls with its own tuple of `arguments` and which returns the
    Handler. nice: added to the processes' niceness. retry: whether a process that cannot load is restarted, after
    growing delays. Otherwise an error of the factory fails all jobs, and a process that dies while it loads is not
    replaced: without it the others may have enough memory. attempts: processes that a job may crash.
    """

    def __init__(
        self,
        factory: str,
        arguments: Sequence[Sequence[Any]],
        *,
        nice: int = 0,
        retry: bool = False,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.factory, self.nice, self.retry, self.attempts = factory, nice, retry, attempts
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.failure: Exception | None = None  # of all jobs from now on
        self._workers = [_Worker(self, args) for args in arguments]
        self._waiting: list[Job] = []  # the next one first

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Fails all jobs with PoolClosed and asks the processes to exit, without waiting for them."""
        with self.lock:
            self.closing.set()
            self.fail(PoolClosed())
            for worker in self._workers:
                worker.stop()

    def close(self) -> None:
        """Stops, and waits for the processes; those that take longer than EXIT_GRACE are killed."""
        self.stop()
        deadline = time.monotonic() + EXIT_GRACE
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(0.0, deadline - time.monotonic()))
                worker.kill()
                worker.join()

    @property
    def ready(self) -> bool:
        return any(worker.ready for worker in self._workers)

    @property
    def idle(self) -> bool:
        """Ready, and with nothing to do."""
        return self.ready and not self._waiting and all(worker.job is None for worker in self._workers)

    @property
    def broken(self) -> str:
        """Why a process cannot work, in a sentence; "" if none reports a reason."""
        return next((worker.broken for worker in self._workers if worker.broken), "")

    @property
    def waiting(self) -> int:
        """Jobs that wait for a process."""
        return len(self._waiting)

    @property
    def restarts(self) -> int:
        return sum(worker.restarts for worker in self._workers)

    @property
    def states(self) -> list[str]:
        """Of each process: "loading", "idle" or "busy"."""
        return ["loading" if not worker.ready else "idle" if worker.job is None else "busy" for worker in self._workers]

    def submit(self, job: Job) -> Job:
        with self.lock:
            if self.failure is not None:
                job.set_exception(self.failure)
            else:
                insort(self._waiting, job, key=lambda job: job.turn)
                self.dispatch()
        return job

    def cancel(self, *jobs: Job) -> None:
        """Fails those of the jobs that wait or run with Cancelled, at once or within CANCEL_GRACE seconds."""
        cancelled = set(jobs)
        with self.lock:
            for worker in self._workers:
                if worker.job in cancelled:
                    worker.cancel()
            waiting = cancelled.intersection(self._waiting)
            self._waiting = [job for job in self._waiting if job not in waiting]
            for job in waiting:
                if not job.done():
                    job.set_exception(Cancelled("Cancelled before it began."))

    def broadcast(self, request: Any) -> None:
        """Makes every process handle a request after its current job; there is no result."""
        with self.lock:
            for worker in self._workers:
                if worker.ready:
                    worker.send("job", NOBODY, request)

    def dispatch(self) -> None:
        """Gives waiting jobs to idle processes; for those that still wait, interrupts what they may overtake."""
        idle = [worker for worker in self._workers if worker.ready and worker.job is None]
        while idle and self._waiting and not self.closing.is_set():
            job = self._waiting.pop(0)
            worker = next((worker for worker in idle if worker.key == job.key), idle[0])
            worker.take(job)
            if worker.job is not None:
                idle.remove(worker)
        urgent = [job for job in self._waiting if job.interrupts]
        running = [(worker.job.turn, worker) for worker in self._workers if worker.job is not None]
        for job, (turn, worker) in zip(urgent, sorted(running, key=lambda pair: -pair[0]), strict=False):
            if job.turn < turn:
                worker.interrupt()

    def fail(self, error: Exception) -> None:
        """Fails the waiting jobs and all later ones."""
        with self.lock:
            self.failure = self.failure or error
            for job in self._waiting:
                job.set_exception(self.failure)
            self._waiting.clear()

    def remove(self, worker: "_Worker", exit_code: int | None) -> None:
        """Called when a process has died while loading and is not replaced."""
        self._workers = [other for other in self._workers if other is not worker]  # other threads iterate over the old
        if not self._workers:
            died = f"A process ended while it was loading the model (exit code {exit_code})"
            self.fail(TooLarge(f"{died}, as happens when memory runs out; use fewer processes."))


class _Worker(threading.Thread):
    """Starts a process, reads its messages, and replaces it when it exits. State changes under the pool's lock."""

    def __init__(self, pool: WorkerPool, arguments: Sequence[Any]) -> None:
        super().__init__(name="stylecine-worker", daemon=True)
        self.pool, self.arguments = pool, arguments
        self.ready, self.broken, self.restarts = False, "", 0
        self.job: Job | None = None
        self.key = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._id = NOBODY  # of its last job
        self._timer: threading.Timer | None = None
        self._reason: Exception | None = None  # with which its job fails if the process exits
        self._interrupted = False  # whether its job is to start again

    def run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # the process inherits it: only the parent handles a Ctrl-C
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        delay = RESTART_DELAY
        while not self.pool.closing.is_set():
            try:
                for message in _messages(self._start_process()):
                    with self.pool.lock:
                        self._handle(*message)
            except (OSError, RuntimeError) as error:  # no memory, process, thread or file descriptor is left
                reason = getattr(error, "strerror", None) or error
                self._report(f"A process cannot be started ({reason}); check the machine's limits.")
            loaded, process = self.ready, self._process
            self._handle_exit(process)
            if loaded:
                delay = RESTART_DELAY
            elif self.pool.retry:
                self.pool.closing.wait(delay)
                delay = min(MAX_RESTART_DELAY, 2 * delay)
            else:
                with self.pool.lock:
                    self.pool.remove(self, process.returncode if process else None)
                return
            self.restarts += not self.pool.closing.is_set()

    def take(self, job: Job) -> None:
        self.job, self.key, self._interrupted = job, job.key, False
        self._id += 1
        job.attempts += 1
        _call(job.started)
        if job.limit is not None:
            self._kill_after(job.limit, TimeLimitExceeded(f"It took longer than {job.limit:g} s."))
        try:
            self.send("job", self._id, job.request)
        except Exception as error:  # it cannot be pickled
            self._finish(error)

    def cancel(self) -> None:
        self._reason = Cancelled("The work was cancelled.")
        self._kill_after(CANCEL_GRACE, self._reason)
        self.send("cancel", self._id)

    def interrupt(self) -> None:
        """Asks the process to stop its job, which is then submitted again, unless it ends or is cancelled before."""
        if not self._interrupted:
            self._interrupted = True
            self.send("cancel", self._id)

    def stop(self) -> None:
        """Asks the process to exit; kills it while it loads, as there is no partial output yet."""
        self._unsent.put(None)
        if not self.ready:
            self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def send(self, *message: Any) -> None:
        """Does not wait for the process to read it."""
        self._unsent.put(pickle.dumps(message))

    def _start_process(self) -> subprocess.Popen[bytes]:
        command = f"import sys; sys.path[:] = {sys.path!r}; from stylecine.machine.workers import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"GOMP_SPINCOUNT": "1000", **os.environ},  # idle OpenMP threads soon yield the cores to others
        )
        with self.pool.lock:
            self._process, self._unsent = process, queue.SimpleQueue()
            threading.Thread(target=_write, args=(process.stdin, self._unsent), daemon=True).start()
            self.send(self.pool.factory, tuple(self.arguments), self.pool.nice)
            if self.pool.closing.is_set():  # since a moment ago: stop() has not seen this process
                self.stop()
        return process

    def _handle(self, kind: str, *message: Any) -> None:
        if kind == "ready":
            self.ready, self.broken = True, ""
            self.pool.dispatch()
        elif kind == "broken":
            self._report(str(message[0]))
            if not self.pool.retry:
                self.pool.fail(message[0])
        elif self.job is not None and message[0] == self._id:
            if kind == "progress":
                _call(self.job.progress, *message[1:])
            else:
                outcome = message[1]
                again = self._interrupted and self._reason is None and isinstance(outcome, Cancelled)
                if again:
                    self.job.attempts -= 1
                self._finish(outcome, again)
                self.pool.dispatch()

    def _finish(self, outcome: Any, again: bool = False) -> None:
        """again: whether the job starts again, whatever the outcome."""
        if self._timer is not None:
            self._timer.cancel()
        job, self.job, self._timer, self._reason = self.job, None, None, None
        if job is None:
            return
        if again:
            self.pool.submit(job)
        elif isinstance(outcome, Exception):
            job.set_exception(outcome)
        else:
            job.set_result(outcome)

    def _handle_exit(self, process: "subprocess.Popen[bytes] | None") -> None:
        """Ends the process if it has not exited; its job is retried, or fails."""
        if process is not None:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            self._unsent.put(None)
        with self.pool.lock:
            self.ready, self.key, self._process = False, "", None
            reason = self.pool.failure or self._reason
            again = reason is None and self.job is not None and self.job.attempts < self.pool.attempts
            self._finish(reason or WorkerLost(f"Its process died {self.pool.attempts} times."), again)

    def _kill_after(self, seconds: float, reason: Exception) -> None:
        def kill(job: Job) -> None:
            with self.pool.lock:
                if self.job is job:
                    self._reason = reason
                    self.kill()

        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, kill, (self.job,))
        self._timer.daemon = True
        self._timer.start()

    def _report(self, problem: str) -> None:
        self.broken = problem
        if self.pool.retry:
            LOG.error("A worker process cannot work: %s", problem)


def _call(callback: Callable[..., object], *arguments: Any) -> None:
    """Calls what a job's owner has given; its errors must not end the thread that serves all jobs."""
    try:
        callback(*arguments)
    except Exception:
        LOG.exception("A job's callback failed.")


def _write(pipe: IO[bytes], unsent: "queue.SimpleQueue[bytes | None]") -> None:
    """Writes messages until None, in a thread of its own: a process that does not read must hold up nothing else."""
    with suppress(OSError), pipe:  # it is exiting, as the end of its output will show
        while (content := unsent.get()) is not None:
            pipe.write(content)
            pipe.flush()


def _messages(process: "subprocess.Popen[bytes]") -> Iterator[tuple[Any, ...]]:
    """Until it exits."""
    assert process.stdout is not None
    while True:
        try:
            message = pickle.load(process.stdout)
        except Exception:  # EOFError, or whatever half a message raises
            return
        yield message


# --- in the process


class _Parent:
    """The pipes to the parent. A thread reads the input, so that a cancellation arrives during a job."""

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what libraries print goes to standard error
        self._received: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self.setup: tuple[str, tuple[Any, ...], int] = pickle.load(sys.stdin.buffer)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(Exception):  # EOFError, or whatever half a message raises
            while True:
                kind, id, *request = pickle.load(sys.stdin.buffer)
                if kind == "cancel":
                    self._cancelled.add(id)
                else:
                    self._received.put((id, *request))
        if hasattr(signal, "pthread_kill"):
            for _ in range(ORPHAN_TRIES):  # libraries swallow an interrupt that comes in one of their callbacks
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # which removes partial output
                time.sleep(ORPHAN_PAUSE)
        os._exit(1)

    def send(self, *message: Any) -> None:
        content = pickle.dumps(message)
        with suppress(BrokenPipeError):  # the thread that reads ends this process
            self._output.write(content)
            self._output.flush()

    def serve(self, handle: Handler) -> None:
        self.send("ready")
        while True:
            id, request = self._received.get()
            try:
                self.send("done", id, handle(request, self._progress(id)))
            except StylecineError as error:
                self.send("error", id, error)
            except Exception as error:
                if isinstance(error, OSError) and error.errno in NO_SPACE:
                    self.send("error", id, DiskFull("There is no space left on the disk; free some."))
                else:
                    traceback.print_exc()
                    self.send("error", id, RuntimeError(f"Something went wrong inside ({type(error).__name__})."))
            self._cancelled.discard(id)

    def _progress(self, id: int) -> Progress:
        """A function that reports progress, not too often, and returns whether to continue."""
        last: tuple[str, float] = ("", 0.0)

        def progress(stage: str, done: int, total: int) -> bool:
            nonlocal last
            now = time.monotonic()
            if stage != last[0] or now - last[1] >= PROGRESS_INTERVAL:
                last = stage, now
                self.send("progress", id, stage, done, total)
            return id not in self._cancelled

        return progress


def main() -> None:
    """Runs in a worker process, until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # to be killed first if memory runs out
    with suppress(KeyboardInterrupt), Interrupts():
        parent = _Parent()
        factory, arguments, nice = parent.setup
        if nice and hasattr(os, "nice"):
            os.nice(nice)
        warnings.simplefilter("ignore")  # results contain the warnings for the user
        logging.getLogger("stylecine").setLevel(logging.ERROR)
        try:
            handle = pkgutil.resolve_name(factory)(*arguments)
        except StylecineError as error:
            parent.send("broken", error)
        else:
            parent.serve(handle)
    os._exit(0)  # without waiting for threads and destructors of libraries
