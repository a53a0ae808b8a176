"""The pool of worker processes: jobs, deaths, time limits, cancellation and closing."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stylecine.errors import Cancelled, DiskFull, PhotoError, TooLarge, WeightsNotFound
from stylecine.machine import workers
from stylecine.machine.atomic import atomic_write
from stylecine.machine.workers import Job, PoolClosed, TimeLimitExceeded, WorkerLost, WorkerPool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


class Unreadable:
    """Pickled without complaint, and an error neither of files nor of memory when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def load(behaviour: str = "") -> Callable[[Any, Any], Any]:
    """The factory that the tests' processes call."""
    if behaviour == "die":
        os._exit(9)
    if behaviour == "fail":
        raise WeightsNotFound("There are no weights.")
    seen: list[Any] = []

    def handle(request: Any, progress: Any) -> Any:
        seen.append(request)
        match request:
            case ("die", path) if not Path(path).exists():
                Path(path).touch()
                os._exit(1)
            case "die":
                os._exit(1)
            case "refuse":
                raise PhotoError("The photo is bad.")
            case "break":
                raise KeyError("a bug")
            case "fill":
                raise OSError(errno.ENOSPC, "No space left on device")
            case "sleep" | "deaf":
                step = 0
                while progress("sleeping", step, 1000) or request == "deaf":
                    step += 1
                    time.sleep(0.01)
                raise Cancelled("Cancelled.")
            case "native":
                sum(range(10**12))  # in C, without the interpreter, as a decoder is
            case ("write", folder):
                with atomic_write(Path(folder, "result")):
                    with suppress(KeyboardInterrupt):  # as in a library's callback or a destructor
                        time.sleep(60)
                    time.sleep(60)
            case "seen":
                return seen
            case "unreadable":
                return Unreadable()
        return request, os.getpid()

    return handle


@contextmanager
def pool(*behaviours: str, **options: Any) -> Iterator[WorkerPool]:
    """A started pool of processes with these behaviours."""
    with WorkerPool(f"{__name__}:load", [(behaviour,) for behaviour in behaviours], **options) as pool:
        yield pool


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "the condition never holds"
        time.sleep(0.01)


def submit(pool: WorkerPool, *requests: Any, **options: Any) -> list[Job]:
    return [pool.submit(Job(request, **options)) for request in requests]


def running(pool: WorkerPool, request: Any, **options: Any) -> Job:
    """A job that a process is working on."""
    started = threading.Event()
    job = pool.submit(Job(request, progress=lambda *_: started.set(), **options))
    assert started.wait(30)
    return job


@contextmanager
def stopped(pool: WorkerPool, number: int) -> Iterator[None]:
    """A context in which a process of the pool does nothing, as if its disk hung."""
    process = pool._workers[number]._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_jobs_return_results_and_raise_errors() -> None:
    with pool("", "") as two:
        one, refused, broken, full = submit(two, {"a": 1}, "refuse", "break", "fill")
        assert one.result(30)[0] == {"a": 1}
        with pytest.raises(PhotoError, match="The photo is bad"):
            refused.result(30)
        with pytest.raises(RuntimeError, match=r"inside \(KeyError\)"):
            broken.result(30)
        with pytest.raises(DiskFull, match="no space left on the disk"):
            full.result(30)
        assert len({job.result(30)[1] for job in submit(two, *range(20))}) <= 2


def test_a_process_that_dies_is_replaced_and_its_job_tried_again(tmp_path: Path) -> None:
    with pool("") as one:
        once, always, after = submit(one, ("die", str(tmp_path / "died")), "die", "after")
        assert once.result(30)[0] == ("die", str(tmp_path / "died")) and once.attempts == 2
        with pytest.raises(WorkerLost):
            always.result(30)
        assert always.attempts == 3 and after.result(30)[0] == "after"
        assert one.restarts == 4


def test_jobs_run_in_order_except_delayed_ones() -> None:
    with pool("") as one:
        running(one, "sleep")
        late, *_ = [*submit(one, 1, delay=60.0), *submit(one, 2, 3)]
        assert one.waiting == 3
        one.cancel(one._workers[0].job)  # type: ignore[arg-type]
        late.result(30)
        assert submit(one, "seen")[0].result(30) == ["sleep", 2, 3, 1, "seen"]


def test_a_job_that_interrupts_overtakes_a_delayed_one_which_then_starts_again() -> None:
    with pool("") as one:
        late = running(one, "sleep", delay=60.0)
        assert submit(one, 1)[0].attempts == 0, "others wait"
        assert submit(one, 2, interrupts=True)[0].result(30)[0] == 2
        wait_until(lambda: one._workers[0].job is late)
        assert not late.done() and late.attempts == 1
        one.cancel(late)
        assert submit(one, "seen")[0].result(30) == ["sleep", 1, 2, "sleep", "seen"]
        first = running(one, "sleep")
        assert submit(one, 3, interrupts=True)[0].attempts == 0 and not one._workers[0]._interrupted, "it came first"
        one.cancel(first)


def test_a_job_that_is_cancelled_while_it_is_interrupted_does_not_start_again() -> None:
    with pool("") as one:
        late = running(one, "sleep", delay=60.0)
        with stopped(one, 0):
            (urgent,) = submit(one, 1, interrupts=True)
            one.cancel(late)
        with pytest.raises(Cancelled):
            late.result(30)
        assert urgent.result(30)[0] == 1 and submit(one, "seen")[0].result(30) == ["sleep", 1, "seen"]


def test_a_job_goes_to_the_process_that_had_its_key_last() -> None:
    with pool("", "") as two:
        wait_until(lambda: two.states == ["idle", "idle"])
        busy = running(two, "sleep", key="a")
        home = submit(two, 1, key="b")[0].result(30)[1]
        two.cancel(busy)
        wait_until(lambda: two.idle)
        assert [submit(two, 1, key="b")[0].result(30)[1] for _ in range(5)] == [home] * 5


def test_jobs_are_cancelled_while_they_wait_and_while_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CANCEL_GRACE", 2.0)
    with pool("") as one:
        for request in ("sleep", "deaf"):
            job = running(one, request)
            (waiting,) = submit(one, 1)
            for cancelled in (waiting, job):
                one.cancel(cancelled)
                with pytest.raises(Cancelled):
                    cancelled.result(30)
        assert one.restarts <= 1 and submit(one, 2)[0].result(30)[0] == 2
        one.cancel(job)  # which is done already


def test_a_job_that_exceeds_its_limit_fails() -> None:
    with pool("") as one:
        for request in ("deaf", "native"):
            with pytest.raises(TimeLimitExceeded):
                submit(one, request, limit=0.2)[0].result(30)
        assert submit(one, 1, limit=60.0)[0].result(30)[0] == 1


def test_a_request_that_cannot_be_sent_fails_alone() -> None:
    with pool("") as one:
        jobs = submit(one, lambda: None, 1)
        with pytest.raises(Exception, match="pickle"):
            jobs[0].result(30)
        assert jobs[1].result(30)[0] == 1


@pytest.mark.parametrize("request_", ["unreadable", Unreadable()], ids=["result", "request"])
def test_a_message_that_cannot_be_read_fails_its_job_alone(request_: Any) -> None:
    with pool("") as one:
        unreadable, after = submit(one, request_, 1)
        with pytest.raises(WorkerLost):
            unreadable.result(60)
        assert unreadable.attempts == 3 and after.result(30)[0] == 1


@pytest.mark.slow
def test_a_process_that_does_not_read_holds_up_its_own_job_only() -> None:
    with pool("", "") as two:
        wait_until(lambda: two.states == ["idle", "idle"])
        with stopped(two, 0):
            large = Job(bytes(1_000_000))  # more than a pipe holds
            submitter = threading.Thread(target=two.submit, args=[large], daemon=True)
            submitter.start()
            submitter.join(30)
            assert not submitter.is_alive() and two.states == ["busy", "idle"]
            two.broadcast("news")
            assert submit(two, "seen")[0].result(30) == ["news", "seen"]
            two.cancel(large)
            with pytest.raises(Cancelled):
                large.result(30)
        assert {job.result(30)[0] for job in submit(two, *range(10))} == {*range(10)}


def test_closing_ends_every_process_even_if_one_is_removed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    with pool("", "") as two:
        wait_until(lambda: two.states == ["idle", "idle"])
        dying, other = two._workers
        process = other._process
        monkeypatch.setattr(dying, "is_alive", lambda: two.remove(dying, 9) or True)
        with stopped(two, 1):
            two.close()
        assert process is not None and process.returncode == -signal.SIGKILL


def test_a_broadcast_reaches_every_process() -> None:
    with pool("", "") as two:
        wait_until(lambda: two.states == ["idle", "idle"])
        two.broadcast("news")
        busy = running(two, "sleep", key="other")
        assert submit(two, "seen")[0].result(30) == ["news", "seen"]
        two.cancel(busy)
        two.broadcast("more")
        wait_until(lambda: two.idle)
        assert all("news" in job.result(30) for job in submit(two, "seen", "seen"))


def test_closing_fails_all_jobs_and_ends_all_processes() -> None:
    with pool("", "") as two:
        jobs = [running(two, "sleep"), running(two, "deaf"), *submit(two, 1, 2)]
        processes = [worker._process for worker in two._workers]
    for job in [*jobs, *submit(two, 3)]:
        with pytest.raises(PoolClosed):
            job.result(0)
    assert all(process is not None and process.returncode is not None for process in processes)


def test_closing_again_while_a_process_dies_leaves_no_job_without_an_outcome() -> None:
    for _ in range(5):
        with pool("") as one:
            jobs = [running(one, "sleep"), *submit(one, 1)]
            process = one._workers[0]._process
            assert process is not None
            process.kill()
            closers = [threading.Thread(target=one.close) for _ in range(3)]
            one.stop()
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join(30)
            assert all(job.done() for job in jobs)


@pytest.mark.slow
def test_a_process_whose_parent_was_killed_removes_partial_output_even_if_an_interrupt_is_lost(tmp_path: Path) -> None:
    code = f"""
import time
from {__name__} import Job, pool
with pool("") as one:
    one.submit(Job(("write", {str(tmp_path)!r})))
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}{code}"]) as parent:
        wait_until(lambda: any(tmp_path.glob(".stylecine-*/result")))
        time.sleep(0.2)
        parent.kill()
    wait_until(lambda: not any(tmp_path.iterdir()))


def test_processes_that_die_while_they_load_are_not_replaced() -> None:
    with pool("die", "") as two:
        assert [job.result(30)[0] for job in submit(two, 1, 2, 3)] == [1, 2, 3]
    with pool("die", "die") as two, pytest.raises(TooLarge, match="exit code 9"):
        submit(two, 1)[0].result(30)


def test_an_error_while_loading_fails_every_job() -> None:
    with pool("fail") as one:
        jobs = submit(one, 1, 2)
        for job in jobs:
            with pytest.raises(WeightsNotFound, match="no weights"):
                job.result(30)
        with pytest.raises(WeightsNotFound):
            submit(one, 3)[0].result(0)


def test_a_pool_that_retries_reports_why_it_cannot_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "RESTART_DELAY", 0.01)
    with pool("fail", retry=True) as one:
        wait_until(lambda: one.restarts >= 1)
        assert one.broken == "There are no weights." and not one.ready
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "no such program")
        with pool("", retry=True) as one:
            wait_until(lambda: "cannot be started" in one.broken)
            patch.undo()
            assert submit(one, 1)[0].result(30)[0] == 1, "it is tried again"


def test_processes_that_were_never_started_are_closed() -> None:
    pool = WorkerPool(f"{__name__}:load", [()])
    job = pool.submit(Job(1))
    pool.close()
    with pytest.raises(PoolClosed):
        job.result(0)


def test_a_job_whose_callback_fails_is_done_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a bug of the caller")

    with pool("") as one:
        failing = {"started": fail, "progress": fail}
        cancelled = one.submit(Job("sleep", **failing))
        assert one.submit(Job(1)).attempts == 0
        wait_until(lambda: cancelled.attempts)
        one.cancel(cancelled)
        with pytest.raises(Cancelled):
            cancelled.result(30)
        assert submit(one, 2, **failing)[0].result(30)[0] == 2
    assert "a bug of the caller" in caplog.text
