"""The service's data: scenes and animations in an SQLite database, their files next to it.

Reads are short and run in the calling thread. Writes run one after another in a separate thread; each is a transaction
that is on the disk when it returns. Ids are random and unguessable, and files are named only by them.
"""

import asyncio
import json
import logging
import os
import re
import secrets
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stylecine.errors import OutputError, StylecineError
from stylecine.machine.atomic import lock_file

LOG = logging.getLogger(__name__)
VERSION = 1
DATABASE = "store.sqlite"
KEPT = ("uploads", "scenes", "results")  # folders of what clients have sent and asked for
MAX_JOURNAL_BYTES = 16 << 20  # of the journal file while it is empty
CLOCK_JUMP = 60.0  # seconds: smaller steps of the machine's clock are left to later checks
TIMES = {"scenes": ("created", "expires"), "animations": ("created", "started", "finished", "expires")}  # columns
JSON = {"classes", "base", "edits", "problem", "asked"}  # columns of JSON; "asked" is a request's body
SCHEMA = """
CREATE TABLE scenes (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, refine INTEGER NOT NULL,
    width INTEGER, height INTEGER, moving REAL, classes TEXT NOT NULL, warning TEXT, problem TEXT,
    base TEXT NOT NULL, edits TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL
) STRICT;
CREATE TABLE animations (
    id TEXT PRIMARY KEY, scene TEXT NOT NULL, state TEXT NOT NULL, format TEXT NOT NULL, name TEXT NOT NULL,
    asked TEXT NOT NULL, edits TEXT NOT NULL, key TEXT UNIQUE, bytes INTEGER, warning TEXT, problem TEXT,
    created REAL NOT NULL, started REAL, finished REAL, expires REAL NOT NULL
) STRICT;
CREATE INDEX animations_of_scene ON animations (scene);
"""

ANIMATION_COLUMNS = (
    "id, scene, state, format, name, asked, bytes, warning, problem, created, started, finished, expires"
)

Row = dict[str, Any]


def new_id() -> str:
    return secrets.token_urlsafe(16)


def is_id(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{22}", text) is not None


def flush_to_disk(path: Path) -> None:
    """Makes a file and its name survive a power cut; blocks for a moment."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if sys.platform != "win32":  # which cannot open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Store:
    """A data folder: the database and the folders `uploads`, `scenes`, `results` and `tmp`."""

    def __init__(self, folder: Path) -> None:
        """Removes files without a row, as a crash may leave them.

        Raises OutputError if the folder cannot be used, contains other files, or is used by another service.
        """
        self.folder = folder.resolve()
        try:
            _check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = lock_file(
                folder / "lock", f"Another service uses the data folder '{folder}'; choose another one."
            )
            (folder / DATABASE).touch(mode=0o600)  # SQLite gives its further files the same mode
            self._writer = self._open()
            self._reader = self._open()
            for name in (*KEPT, "tmp"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
            self._check_database()
            self._remove_orphans()
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"The data folder '{folder}' cannot be used ({reason}); choose another one.") from None
        self._thread = ThreadPoolExecutor(1, "store")
        self._offset = time.time() - time.monotonic()

    def close(self) -> None:
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()
        os.close(self._lock)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.folder / DATABASE, check_same_thread=False, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # or the file would never shrink
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_JOURNAL_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")  # accepted requests survive a power cut
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            if any(next((self.folder / name).glob("*"), None) for name in KEPT):
                raise OutputError(
                    f"The data folder '{self.folder}' has files, but its {DATABASE} is empty; restore that together"
                    f" with {DATABASE}-wal and {DATABASE}-shm, or empty the folder."
                )
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise OutputError(
                f"The data in '{self.folder}' belong to another version ({version}); choose another folder."
            )
        return connection

    def _check_database(self) -> None:
        """Raises sqlite3.DatabaseError if pages are damaged; otherwise files of rows on them would be removed."""
        if self._reader.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError(f"{DATABASE} is damaged")

    # --- time

    def now(self) -> float:
        """Seconds since 1970 by the machine's clock, without its jumps since the last `follow_clock`."""
        return time.monotonic() + self._offset

    async def follow_clock(self) -> None:
        """If the machine's clock has jumped, all times are set by as much, so that nothing expires early.

        Rows from the jumped clock's future were made before it was wrong, and stay.
        """
        now = self.now()
        jump = time.time() - now
        if abs(jump) < CLOCK_JUMP:
            return

        def shift() -> None:
            with self._writer:  # all of it or nothing
                self._writer.execute("BEGIN")
                for table, columns in TIMES.items():
                    shifted = ", ".join(f"{column} = {column} + :jump" for column in columns)
                    sql = f"UPDATE {table} SET {shifted} WHERE created <= :now"
                    self._writer.execute(sql, {"jump": jump, "now": now})

        await self._in_thread(shift)
        self._offset += jump
        LOG.warning("The machine's clock has jumped by %+.0f s; all times were set by as much.", jump)

    # --- files

    def upload(self, scene: str) -> Path:
        return self.folder / "uploads" / scene

    def cine(self, scene: str) -> Path:
        return self.folder / "scenes" / f"{scene}.cine"

    def result(self, animation: str, format: str) -> Path:
        return self.folder / "results" / f"{animation}.{format}"

    def temporary(self, suffix: str) -> Path:
        return self.folder / "tmp" / f"{new_id()}{suffix}"

    def bytes_used(self) -> int:
        """The size of all files; blocks for a moment."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def _remove_orphans(self) -> None:
        with_upload = {row["id"] for row in self._all("SELECT id FROM scenes WHERE state IN ('queued', 'running')")}
        scenes = {f"{row['id']}.cine" for row in self._all("SELECT id FROM scenes")}
        results = {f"{row['id']}.{row['format']}" for row in self._all("SELECT id, format FROM animations")}
        kept = {"uploads": with_upload, "scenes": scenes, "results": results, "tmp": set()}
        for name, names in kept.items():
            for path in [path for path in (self.folder / name).iterdir() if path.name not in names]:
                try:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                except OSError as error:  # the next start tries again
                    LOG.warning("'%s' is no longer needed, but cannot be removed (%s).", path, error.strerror)

    # --- rows

    def scene(self, id: str) -> Row | None:
        return self._one("SELECT * FROM scenes WHERE id = ?", id)

    def animation(self, id: str) -> Row | None:
        """The row without its edits, which only the worker needs."""
        return self._one(f"SELECT {ANIMATION_COLUMNS} FROM animations WHERE id = ?", id)

    def animation_of_key(self, key: str) -> Row | None:
        return self._one(f"SELECT {ANIMATION_COLUMNS} FROM animations WHERE key = ?", key)

    def unfinished(self, table: str) -> list[Row]:
        return self._all(f"SELECT * FROM {table} WHERE state IN ('queued', 'running') ORDER BY created")

    def animations_of(self, scene: str) -> list[Row]:
        """The unfinished animations of a scene."""
        return self._all("SELECT * FROM animations WHERE scene = ? AND state IN ('queued', 'running')", scene)

    def expired(self, table: str) -> list[Row]:
        """Finished rows past their expiry; of scenes, those without unfinished animations."""
        done = "state IN ('done', 'failed', 'cancelled', 'ready')"
        unused = " AND id NOT IN (SELECT scene FROM animations WHERE state IN ('queued', 'running'))"
        return self._all(
            f"SELECT * FROM {table} WHERE expires < ? AND {done}{unused if table == 'scenes' else ''}", self.now()
        )

    def count(self, table: str) -> dict[str, int]:
        """Rows by state."""
        rows = self._reader.execute(f"SELECT state, count(*) FROM {table} GROUP BY state")
        return {state: number for state, number in rows}

    async def insert(self, table: str, row: Row) -> None:
        """Raises sqlite3.IntegrityError if there is a row with the same key."""
        names = ", ".join(row)
        await self._write(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", _encoded(row))

    async def change(self, table: str, id: str, **changes: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in changes)
        await self._write(f"UPDATE {table} SET {assignments} WHERE id = ?", (*_encoded(changes), id))

    async def delete(self, table: str, id: str) -> None:
        await self._write(f"DELETE FROM {table} WHERE id = ?", (id,))

    async def shrink(self) -> None:
        """Returns the space of deleted rows to the disk; `execute` would return only one page."""
        await self._in_thread(lambda: self._writer.executescript("PRAGMA incremental_vacuum"))

    async def _write(self, sql: str, values: Iterable[Any]) -> None:
        await self._in_thread(lambda: self._writer.execute(sql, tuple(values)))

    async def _in_thread(self, work: Callable[[], Any]) -> None:
        await asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))

    def _one(self, sql: str, value: str) -> Row | None:
        return next(iter(self._all(sql, value)), None)

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [_decoded(row) for row in self._reader.execute(sql, values).fetchall()]


def without_paths(detail: str, folder: Path, name: str) -> str:
    """A message with a name in place of paths in the data folder, which clients must not see."""
    return re.sub(rf"{re.escape(str(folder))}([\w./\\-]*\w)?", lambda _: name, detail)


@contextmanager
def hidden_paths(request: Mapping[str, Any]) -> Iterator[None]:
    """Errors in the block name the client's file in place of paths in the data folder."""
    try:
        yield
    except StylecineError as error:
        folder, name = Path(request["cine"]).parent.parent, request.get("name", "the file")
        raise type(error)(without_paths(str(error), folder, name)) from None


def _check_folder(folder: Path) -> None:
    """Raises OutputError for a folder with other files, because files without a row are removed."""
    if folder.exists() and not (folder / DATABASE).exists() and {path.name for path in folder.iterdir()} - {"lock"}:
        raise OutputError(f"The folder '{folder}' is not empty, and not a service's; choose another one.")


def _encoded(row: Row) -> list[Any]:
    return [json.dumps(value) if name in JSON and value is not None else value for name, value in row.items()]


def _decoded(row: sqlite3.Row) -> Row:
    return {name: json.loads(value) if name in JSON and value else value for name, value in dict(row).items()}
