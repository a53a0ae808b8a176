"""What the service knows, on the disk: scenes and animations in SQLite, their files beside it.

Reads are short and made where they are wanted; writes are made one after another in a thread, each a transaction that
is on the disk when it returns. Ids are random, unguessable, and the only names that files get.
"""

import asyncio
import json
import os
import re
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from stylecine.atomic import lock_file
from stylecine.errors import OutputError

VERSION = 1
DATABASE = "store.sqlite"
JOURNAL = 16 << 20  # bytes that the database's journal keeps when it is empty
JSON = {"classes", "base", "edits", "problem", "asked"}  # columns that hold it
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

TOLD = "id, scene, state, format, name, asked, bytes, warning, problem, created, started, finished, expires"

Row = dict[str, Any]


def new_id() -> str:
    return secrets.token_urlsafe(16)


def is_id(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{22}", text) is not None


def flushed(path: Path) -> None:
    """Has a file, under the name that it has now, outlive a power cut; takes a moment."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if sys.platform != "win32":  # where no folder can be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Store:
    """The database and the folders `uploads`, `scenes`, `results` and `tmp` of one data folder."""

    def __init__(self, folder: Path) -> None:
        """Raises OutputError where the folder cannot be used, is somebody else's, or another service uses it."""
        self.folder = folder.resolve()
        try:
            _check_ours(folder)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = lock_file(
                folder / "lock", f"Another service uses the data folder '{folder}'; choose another one."
            )
            (folder / DATABASE).touch(mode=0o600)  # as are the files that SQLite adds beside it
            self._writer = self._opened()
            self._reader = self._opened()
            for name in ("uploads", "scenes", "results", "tmp"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"The data folder '{folder}' cannot be used ({error}); choose another one.") from None
        self._thread = ThreadPoolExecutor(1, "store")

    def close(self) -> None:
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()
        os.close(self._lock)

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.folder / DATABASE, check_same_thread=False, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # or it would never shrink
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL}")
        connection.execute("PRAGMA synchronous = FULL")  # what was accepted survives a power cut too
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise OutputError(f"The data in '{self.folder}' are another version's ({version}); choose another folder.")
        return connection

    # --- files

    def upload(self, scene: str) -> Path:
        return self.folder / "uploads" / scene

    def cine(self, scene: str) -> Path:
        return self.folder / "scenes" / f"{scene}.cine"

    def result(self, job: str, form: str) -> Path:
        return self.folder / "results" / f"{job}.{form}"

    def temporary(self, ending: str) -> Path:
        return self.folder / "tmp" / f"{new_id()}{ending}"

    def bytes_used(self) -> int:
        """Of all files; takes a moment."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def orphans(self) -> list[Path]:
        """Files that belong to no row, as a crash may leave them."""
        with_upload = {row["id"] for row in self._all("SELECT id FROM scenes WHERE state IN ('queued', 'running')")}
        scenes = {f"{row['id']}.cine" for row in self._all("SELECT id FROM scenes")}
        results = {f"{row['id']}.{row['format']}" for row in self._all("SELECT id, format FROM animations")}
        kept = {"uploads": with_upload, "scenes": scenes, "results": results, "tmp": set()}
        return [
            path for name, names in kept.items() for path in (self.folder / name).iterdir() if path.name not in names
        ]

    # --- rows

    def scene(self, id: str) -> Row | None:
        return self._one("SELECT * FROM scenes WHERE id = ?", id)

    def animation(self, id: str) -> Row | None:
        """All but the edits, which only its work needs."""
        return self._one(f"SELECT {TOLD} FROM animations WHERE id = ?", id)

    def animation_of_key(self, key: str) -> Row | None:
        return self._one(f"SELECT {TOLD} FROM animations WHERE key = ?", key)

    def unfinished(self, table: str) -> list[Row]:
        return self._all(f"SELECT * FROM {table} WHERE state IN ('queued', 'running') ORDER BY created")

    def animations_of(self, scene: str) -> list[Row]:
        """Unfinished ones."""
        return self._all("SELECT * FROM animations WHERE scene = ? AND state IN ('queued', 'running')", scene)

    def expired(self, table: str) -> list[Row]:
        """Those whose time is over and that nothing waits for."""
        done = "state IN ('done', 'failed', 'cancelled', 'ready')"
        unused = " AND id NOT IN (SELECT scene FROM animations WHERE state IN ('queued', 'running'))"
        return self._all(
            f"SELECT * FROM {table} WHERE expires < ? AND {done}{unused if table == 'scenes' else ''}", time.time()
        )

    def count(self, table: str) -> dict[str, int]:
        """Rows by state."""
        rows = self._reader.execute(f"SELECT state, count(*) FROM {table} GROUP BY state")
        return {state: number for state, number in rows}

    async def insert(self, table: str, row: Row) -> None:
        """Raises sqlite3.IntegrityError where there is one with the same key."""
        names = ", ".join(row)
        await self._write(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", _packed(row))

    async def change(self, table: str, id: str, **changes: Any) -> None:
        told = ", ".join(f"{name} = ?" for name in changes)
        await self._write(f"UPDATE {table} SET {told} WHERE id = ?", (*_packed(changes), id))

    async def delete(self, table: str, id: str) -> None:
        await self._write(f"DELETE FROM {table} WHERE id = ?", (id,))

    async def shrink(self) -> None:
        """Gives the disk back what deleted rows took; `execute` would free one page of it."""
        await self._in_turn(lambda: self._writer.executescript("PRAGMA incremental_vacuum"))

    async def _write(self, sql: str, values: Iterable[Any]) -> None:
        await self._in_turn(lambda: self._writer.execute(sql, tuple(values)))

    async def _in_turn(self, work: Callable[[], Any]) -> None:
        await asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))

    def _one(self, sql: str, value: str) -> Row | None:
        row = self._reader.execute(sql, (value,)).fetchone()
        return _unpacked(row) if row else None

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [_unpacked(row) for row in self._reader.execute(sql, values).fetchall()]


def _check_ours(folder: Path) -> None:
    """Raises OutputError for a folder with files of anybody else's, among which ours would be tidied up."""
    if folder.exists() and not (folder / DATABASE).exists() and {path.name for path in folder.iterdir()} - {"lock"}:
        raise OutputError(f"The folder '{folder}' is not empty, and no service's; choose another one.")


def _packed(row: Row) -> list[Any]:
    return [json.dumps(value) if name in JSON and value is not None else value for name, value in row.items()]


def _unpacked(row: sqlite3.Row) -> Row:
    return {name: json.loads(row[name]) if name in JSON and row[name] is not None else row[name] for name in row.keys()}  # noqa: SIM118
