"""A pool for tasks that read from object stores, or whose loops go into one.

Its workers see local copies only, so that those on other machines need neither credentials nor libraries for stores.
"""

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from stylecine.batch.journal import Record
from stylecine.batch.store import Store, StoredFile
from stylecine.batch.tasks import Backend, digest_of, failed
from stylecine.errors import StylecineError
from stylecine.machine.workers import Job, PoolClosed

AHEAD = 4  # photos that are fetched, and loops that are sent, beside those that are animated


class StagedPool:
    """Fetches a task's files, has another pool animate it, and sends the loop. See `batch.tasks.Backend`.

    pool: writes loops below `folder`, from where they go to the store, if there is one.
    """

    def __init__(self, pool: Backend, folder: Path, model: str, store: Store | None) -> None:
        self._pool, self._folder, self._model, self._store = pool, folder, model, store
        self.count = pool.count
        self._threads = ThreadPoolExecutor(pool.count + AHEAD, "store")
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._pool.__exit__(*error)
        self._threads.shutdown(cancel_futures=True)

    def submit(self, job: Job) -> Job:
        self._threads.submit(self._work, job)
        return job

    def _work(self, job: Job) -> None:
        try:
            if self._closing.is_set():
                raise PoolClosed
            with tempfile.TemporaryDirectory(prefix="stylecine-") as name:
                job.set_result(self._animate(job, Path(name)))
        except Exception as error:  # otherwise it would be waited for, for ever
            job.set_exception(error)

    def _animate(self, job: Job, folder: Path) -> Record:
        task = job.request
        try:
            stored = {name: file for name, file in task.files.items() if isinstance(file, StoredFile)}
            local = task.with_files({name: file.fetch(folder / name) for name, file in stored.items()})
        except StylecineError as error:
            return failed(error)
        animated = self._pool.submit(Job(local))
        try:
            record: Record = animated.result()
        finally:
            job.attempts = animated.attempts
        if record["state"] != "done":
            return record
        loop = self._folder / task.output
        if self._store is not None:
            try:
                self._store.put(loop, task.output)
            except StylecineError as error:
                return failed(error)
            finally:
                loop.unlink()
        return record | {"digest": digest_of(task, self._model)}
