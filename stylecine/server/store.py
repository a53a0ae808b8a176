"""The service's data: scenes and animations in an SQLite database, their files next to it.

Reads are short and run in the calling thread. Writes run one after another in a separate thread; each is a transaction
that is on the disk when it returns. Ids are random and unguessable, and files are named only by them.

The database and its journal keep room in their files, so that rows can still be changed and deleted when the disk has
no byte left.
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
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stylecine.errors import OutputError, StylecineError
from stylecine.machine.atomic import NO_SPACE, lock_file

LOG = logging.getLogger(__name__)
VERSION = 1
DATABASE = "store.sqlite"
KEPT = ("uploads", "scenes", "results")  # folders of what clients have sent and asked for
LOST = ".lost"  # at the end of the names of files without a row, as a restored backup of the database leaves them
MAX_JOURNAL_BYTES = 16 << 20  # of the journal file while it is empty
RESERVED_PAGES = 1024  # of 4 KB, which the database keeps free; its journal is as long
CHECKPOINT_PAGES = 256  # after which the journal begins again, long before its end
JOURNAL_HEADER_BYTES = 32  # without which SQLite takes its journal for empty
BUSY_SECONDS = 2.0  # to wait for another program that holds the database
CLOCK_JUMP = 60.0  # seconds: smaller steps of the machine's clock are left to later checks
TIMES = {"scenes": ("created", "expires"), "animations": ("created", "started", "finished", "expires")}  # columns
UNFINISHED = "state IN ('queued', 'running')"
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

# What zipfile and Pillow raise for a damaged file.
UNREADABLE = (OSError, SyntaxError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)

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
        """Removes what a crash may leave, but for a while not other files without a row.

        Raises OutputError if the folder cannot be used, contains other files, or is used by another service.
        """
        self.folder = folder.resolve()
        self._started = time.monotonic()
        self._offset = time.time() - self._started
        try:
            names = {path.name for path in folder.iterdir()} if folder.exists() else set()
            if DATABASE not in names and names - {"lock"}:  # in which files without a row would be removed
                raise OutputError(f"The folder '{folder}' is not empty, and not a service's; choose another one.")
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = lock_file(
                folder / "lock", f"Another service uses the data folder '{folder}'; choose another one."
            )
            (folder / DATABASE).touch(mode=0o600)  # SQLite gives its further files the same mode
            self._writer = self._open()
            # it only reads and is closed last, so that the journal stays: a start on a full disk could make no new one
            self._reader = self._connect("?mode=ro")
            for name in (*KEPT, "tmp"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
            # or files of rows on damaged pages would be removed
            if self._reader.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError(f"{DATABASE} is damaged")
            self._clear()
            self._reserve()
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            advice = "free some room on its disk" if is_full(error) else "choose another one"
            raise OutputError(f"The data folder '{folder}' cannot be used ({reason}); {advice}.") from None
        self._thread = ThreadPoolExecutor(1, "store")

    def close(self) -> None:
        """Writes the journal into the database, which is then complete without it, unless that is left to the next
        start."""
        self._thread.shutdown()
        is_copied = False
        with suppress(sqlite3.Error):
            busy, pages, copied = self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            is_copied = not busy and pages == copied
        self._writer.close()
        self._reader.close()
        if is_copied:
            self._empty_journal()
        os.close(self._lock)

    def _empty_journal(self) -> None:
        """Its file keeps its size, but next to a restored backup of the database it does no harm."""
        with suppress(OSError), (self.folder / f"{DATABASE}-wal").open("rb+") as journal:
            journal.write(bytes(JOURNAL_HEADER_BYTES))
            journal.flush()
            os.fsync(journal.fileno())

    def _connect(self, mode: str = "") -> sqlite3.Connection:
        address = (self.folder / DATABASE).as_uri() + mode
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _open(self) -> sqlite3.Connection:
        """The connection that writes, to a database that it makes if need be."""
        connection = self._connect()
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # or the file would never shrink
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_JOURNAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store = MEMORY")  # the folder of temporary files may be on the same disk
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

    def now(self) -> float:
        """Seconds since 1970 by the machine's clock, without its jumps since the last `follow_clock`."""
        return time.monotonic() + self._offset

    async def follow_clock(self) -> None:
        """If the machine's clock has jumped, as when it slept, all times are set by as much, so that nothing expires
        early.

        Rows from the jumped clock's future were made before it was wrong, and stay.
        """
        now = self.now()
        jump = time.time() - now
        if abs(jump) < CLOCK_JUMP:
            return

        def shift() -> None:
            for path in self._lost():
                os.utime(path, 2 * (path.stat().st_mtime + jump,))
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

    def _clear(self) -> None:
        """Removes files that no row needs, and renames those of which there is no row at all: the database may be older
        than they. Those that this one needs get their names back."""
        scenes, animations = ({row["id"] for row in self._all(f"SELECT id FROM {t}")} for t in ("scenes", "animations"))
        unfinished = self._all(f"SELECT id FROM scenes WHERE {UNFINISHED}")
        done = self._all("SELECT id, format FROM animations WHERE state = 'done'")
        needed = {
            "uploads": {row["id"] for row in unfinished},
            "scenes": {f"{id}.cine" for id in scenes},
            "results": {f"{row['id']}.{row['format']}" for row in done},
            "tmp": set(),
        }
        lost = 0
        for name, names in needed.items():
            ids = animations if name == "results" else scenes
            for path in [path for path in (self.folder / name).iterdir() if path.name not in names]:
                id, is_file = path.name.partition(".")[0], path.is_file() and not path.is_symlink()
                try:
                    if is_file and path.name.removesuffix(LOST) in names:
                        path.rename(path.with_name(path.name.removesuffix(LOST)))
                    elif is_file and name in KEPT and is_id(id) and id not in ids:
                        if path.suffix != LOST:
                            os.utime(path, 2 * (self.now(),))
                            path.rename(f"{path}{LOST}")
                            lost += 1
                    else:
                        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                except OSError as error:  # the next start tries again
                    LOG.warning("'%s' is no longer needed, but cannot be removed (%s).", path, error.strerror)
        if lost:
            LOG.warning(
                "%d files in '%s' have no row in %s, which may be an older one; their names now end in %s. They are"
                " removed like what expires; stop the service and restore the right database to have them back.",
                *(lost, self.folder, DATABASE, LOST),
            )

    def _lost(self) -> list[Path]:
        return [path for name in KEPT for path in (self.folder / name).glob(f"*{LOST}")]

    def remove_lost(self, seconds: float) -> None:
        """Removes files of which a start so long ago has found no row; blocks for a moment."""
        for path in self._lost():
            with suppress(OSError):
                if path.stat().st_mtime < self.now() - seconds:
                    path.unlink()

    def without_file(self) -> dict[str, list[str]]:
        """By table, the ids of ready scenes and of done animations whose file is missing or cut short; blocks for a
        moment."""
        scenes = self._all("SELECT id FROM scenes WHERE state = 'ready'")
        animations = self._all("SELECT id, format, bytes FROM animations WHERE state = 'done'")
        return {
            "scenes": [row["id"] for row in scenes if not zipfile.is_zipfile(self.cine(row["id"]))],
            "animations": [
                row["id"] for row in animations if _size(self.result(row["id"], row["format"])) != row["bytes"]
            ],
        }

    # --- rows

    def scene(self, id: str) -> Row | None:
        return self._one("SELECT * FROM scenes WHERE id = ?", id)

    def animation(self, id: str) -> Row | None:
        """The row without its edits, which only the worker needs."""
        return self._one(f"SELECT {ANIMATION_COLUMNS} FROM animations WHERE id = ?", id)

    def animation_of_key(self, key: str) -> Row | None:
        return self._one(f"SELECT {ANIMATION_COLUMNS} FROM animations WHERE key = ?", key)

    def unfinished(self, table: str) -> list[Row]:
        return self._all(f"SELECT * FROM {table} WHERE {UNFINISHED} ORDER BY created")

    def expired(self, table: str) -> list[Row]:
        """Finished rows past their expiry; of scenes, those without unfinished animations."""
        used = f"SELECT scene FROM animations WHERE {UNFINISHED}"
        unused = f" AND id NOT IN ({used})" if table == "scenes" else ""
        return self._all(f"SELECT * FROM {table} WHERE expires < ? AND NOT {UNFINISHED}{unused}", self.now())

    def count(self, table: str) -> dict[str, int]:
        """Rows by state."""
        rows = self._reader.execute(f"SELECT state, count(*) FROM {table} GROUP BY state")
        return {state: number for state, number in rows}

    async def insert(self, table: str, row: Row) -> None:
        """Raises sqlite3.IntegrityError if there is a row with the same key."""
        names = ", ".join(row)
        await self._write(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", _encoded(row))

    async def change(self, table: str, id: str, **changes: Any) -> None:
        await self._update(table, "id = ?", id, changes)

    async def begin(self, table: str, id: str, **changes: Any) -> None:
        """That it is running, unless it has ended meanwhile."""
        await self._update(table, f"id = ? AND {UNFINISHED}", id, {"state": "running", **changes})

    async def _update(self, table: str, condition: str, value: str, changes: Row) -> None:
        assignments = ", ".join(f"{name} = ?" for name in changes)
        await self._write(f"UPDATE {table} SET {assignments} WHERE {condition}", (*_encoded(changes), value))

    async def delete(self, table: str, id: str) -> None:
        await self._write(f"DELETE FROM {table} WHERE id = ?", (id,))

    async def cancel_animations(self, scene: str, expires: float) -> None:
        """All unfinished ones of a scene, at once."""
        changes = {"state": "cancelled", "edits": [], "finished": self.now(), "expires": expires}
        await self._update("animations", f"scene = ? AND {UNFINISHED}", scene, changes)

    async def shrink(self) -> None:
        """Returns the space of deleted rows to the disk, except for what is kept free."""

        def shrink() -> None:
            self._reserve()
            for surplus in range(self._free_pages() - RESERVED_PAGES, 0, -CHECKPOINT_PAGES):
                pages = min(surplus, CHECKPOINT_PAGES)  # in a transaction, which must not fill the journal
                self._writer.executescript(f"PRAGMA incremental_vacuum({pages})")  # `execute` returns only one

        await self._in_thread(shrink)

    def _reserve(self) -> None:
        """Makes room in the database and its journal, if they have less than half of what they should and the disk
        has it: by a row of that size, which is removed."""
        size = RESERVED_PAGES * 4096
        journal = _size(self.folder / f"{DATABASE}-wal") or 0
        enough = 2 * self._free_pages() >= RESERVED_PAGES and 2 * journal >= size
        if enough or shutil.disk_usage(self.folder).free < 4 * size:
            return
        self._writer.execute("DROP TABLE IF EXISTS reserve")
        with self._writer:
            self._writer.execute("BEGIN")
            self._writer.execute("CREATE TABLE reserve (content BLOB)")
            self._writer.execute("INSERT INTO reserve VALUES (zeroblob(?))", (size,))
        self._writer.execute("DROP TABLE reserve")

    def _free_pages(self) -> int:
        return int(self._writer.execute("PRAGMA freelist_count").fetchone()[0])

    async def _write(self, sql: str, values: Iterable[Any]) -> None:
        await self._in_thread(lambda: self._writer.execute(sql, tuple(values)))

    async def _in_thread(self, work: Callable[[], Any]) -> None:
        await asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))

    def _one(self, sql: str, value: str) -> Row | None:
        return next(iter(self._all(sql, value)), None)

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [_decoded(row) for row in self._reader.execute(sql, values).fetchall()]


def is_full(error: Exception) -> bool:
    """Whether an error means that the disk has no room left."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
    return isinstance(error, OSError) and error.errno in NO_SPACE


def is_busy(error: Exception) -> bool:
    """Whether an error means that another program holds the database."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_readable(cine: Path) -> bool:
    """Whether all of a scene's file is as it was written."""
    try:
        with zipfile.ZipFile(cine) as archive:
            return archive.testzip() is None
    except UNREADABLE:
        return False


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


def _size(path: Path) -> int | None:
    """None if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _encoded(row: Row) -> list[Any]:
    return [json.dumps(value) if name in JSON and value is not None else value for name, value in row.items()]


def _decoded(row: sqlite3.Row) -> Row:
    return {name: json.loads(value) if name in JSON and value else value for name, value in dict(row).items()}
