"""The tasks of a batch, one photo each: which are already done, and running the others on a backend."""

import hashlib
import json
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

from stylecine.batch.journal import Journal, Record, StoreJournal
from stylecine.batch.store import Store, StoredFile, is_url
from stylecine.errors import PhotoError, StylecineError, TooLarge, WeightsError, first_line
from stylecine.machine.workers import Job, PoolClosed, WorkerLost
from stylecine.options import STYLES
from stylecine.output.formats import ending_of
from stylecine.version import __version__
from stylecine.weights import file_sha256, find_model

FILES = ("mask", "motion", "style")  # options that are paths; style may be a name


@dataclass(frozen=True)
class Task:
    """One photo to animate.

    photo: its file, perhaps in an object store. output: path of the loop below the batch's folder, with "/"; its suffix
        determines the format.
    options: of `Animator.invert`, `Animator.render` and `Cinemagraph.save`; mask, motion and the photo of a style are
        paths.
    """

    photo: Path | StoredFile
    output: str
    options: dict[str, Any]

    @property
    def files(self) -> dict[str, Path | StoredFile]:
        """All files that are read: "photo", and "mask", "motion" and "style" if given."""
        given = {name: self.options.get(name) for name in FILES}
        paths = {name: path for name, path in given.items() if path and path not in STYLES}
        files = {name: StoredFile(path) if is_url(path) else Path(path) for name, path in paths.items()}
        return {"photo": self.photo, **files}

    def with_files(self, copies: Mapping[str, Path]) -> Self:
        """The same with other paths for some of `files`: copies, each in a folder of its own, to keep its name."""
        others = {name: str(path) for name, path in copies.items() if name != "photo"}
        return replace(self, photo=copies.get("photo", self.photo), options=self.options | others)

    @property
    def special_file(self) -> Path | None:
        """One of the files that is a pipe, a device or a folder, reading from which might never end."""
        local = (path for path in self.files.values() if isinstance(path, Path))
        return next((path for path in local if path.exists() and not path.is_file()), None)


class Backend(Protocol):
    """Workers with the networks loaded. Each uses one thread, so that frames do not depend on the number of workers.

    `batch.local`: processes on this machine. `batch.ray`: actors of a Ray cluster. `commands.batch` chooses. They are
    made with a model and a folder of this machine, below which they write each loop to its task's output.
    count: of the workers.
    """

    count: int

    def __enter__(self) -> Self:
        """Starts the workers; tasks may be submitted before they have loaded anything."""

    def __exit__(self, *error: object) -> None:
        """Ends them; what is unfinished raises PoolClosed and leaves nothing in the folder."""

    def submit(self, job: Job) -> Job:
        """Queues the job of a task; its result is the record. If its worker dies it is retried, up to three attempts.

        If no worker can load the networks, every job raises the StylecineError that says why.
        """


def run(
    tasks: Sequence[Task],
    folder: Path | Store,
    model: str,
    backend: Callable[[Sequence[Task]], Backend],
    report: Callable[[Record], None],
) -> dict[str, Record]:
    """Runs the tasks that are not yet done, and returns the records of all, by output.

    backend: called with the remaining tasks, if any. report: called with each new record.
    """
    with StoreJournal(folder) if isinstance(folder, Store) else Journal(folder) as journal:

        def add(task: Task, record: Record) -> None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            record = {"output": task.output, "photo": str(task.photo), "at": now} | record
            journal.add(record)
            report(record)

        remaining = []
        for task in tasks:
            if (special := task.special_file) is not None:
                add(task, failed(PhotoError(f"'{special}' is not a regular file; name another one.")))
            elif not _is_done(task, journal, model):
                remaining.append(task)
        if remaining:
            with backend(remaining) as workers:
                for task, record in run_tasks(remaining, workers):
                    add(task, record)
        # the photo may have been moved since
        return {task.output: journal.records[task.output] | {"photo": str(task.photo)} for task in tasks}


def run_tasks(tasks: Sequence[Task], backend: Backend) -> Iterator[tuple[Task, Record]]:
    """Tasks with their records, as they finish."""
    finished: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for task in tasks:
        backend.submit(Job(task)).add_done_callback(finished.put)  # type: ignore[arg-type]
    for _ in tasks:
        job = finished.get()
        try:
            record = job.result()
        except WorkerLost:
            reason = "The process that animated it was killed repeatedly, as happens when memory runs out"
            record = failed(TooLarge(f"{reason}; ask for a smaller size."))
        except (StylecineError, PoolClosed):  # no other photo would get a loop either
            raise
        except Exception as error:
            record = failed(error)
        yield job.request, record | {"attempts": job.attempts}


def failed(error: Exception) -> Record:
    """The record of a photo without a loop; an error that is not a StylecineError is a bug, and called internal."""
    kind, says = type(error).__name__, str(error)
    if not isinstance(error, StylecineError):
        kind, says = "internal", f"Internal error: {kind}: {first_line(error)}"
    return {"state": "failed", "kind": kind, "error": says}


def digest_of(task: Task, model: str) -> str | None:
    """A checksum of the input files, the options and the model's name; None if a file cannot be read."""
    files = task.files.items()
    try:
        checksums = {name: file_sha256(file) if isinstance(file, Path) else file.version for name, file in files}
    except (OSError, StylecineError):
        return None
    inputs = task.options | checksums | {"model": model, "ending": ending_of(task.output)}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@cache
def weights_of(model: str) -> str:
    """A checksum of a model's weights. Raises WeightsError."""
    files = find_model(model).files
    checksums = {role: file.sha256 or file_sha256(file.path) for role, file in files.items()}
    return hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()


def _is_done(task: Task, journal: Journal, model: str) -> bool:
    """Whether the loop exists as recorded, and would be the same if it were rendered again."""
    record = journal.records.get(task.output)
    if record is None or record["state"] != "done" or record.get("stylecine") != __version__:
        return False
    if journal.size_of(task.output) != record["bytes"] or record.get("digest") != digest_of(task, model):
        return False
    try:
        return bool(record.get("weights") == weights_of(model))
    except WeightsError:  # a machine that only directs a cluster may lack the model, and cannot compare
        return True
