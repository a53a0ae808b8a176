"""The records of a batch, one for each photo, written when it is finished: lines of JSON in OUT/batch.jsonl, or objects
below OUT/.batch of a store, where nothing can be appended to."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from stylecine.batch.store import Store
from stylecine.errors import OutputError
from stylecine.machine.atomic import lock_file, translate_os_errors
from stylecine.version import __version__

NAME = "batch.jsonl"
RECORDS = ".batch"  # folder of the records in a store

Record = dict[str, Any]  # as batch.worker.animate_task returns it; "output" identifies the task


class Journal:
    """The last record of each output in a folder, which is locked while the journal is open.

    A line that a killed run left half-written is removed.
    """

    def __init__(self, folder: Path) -> None:
        """Creates the folder if it is missing. Raises OutputError, also if another run is using it."""
        with translate_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder, path = folder, folder / NAME
        self._file = lock_file(path, f"Another run is using '{folder}'; wait for it or name another folder.")
        with translate_os_errors(path):
            with open(self._file, "rb", closefd=False) as file:  # on Windows no other descriptor can read a locked file
                content = file.read()
            complete = content.rfind(b"\n") + 1
            os.ftruncate(self._file, complete)
            os.lseek(self._file, 0, os.SEEK_END)
        self.records = {record["output"]: record for record in map(_record, content[:complete].splitlines()) if record}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def size_of(self, output: str) -> int | None:
        """Of a loop in bytes; None without one."""
        file = self._folder / output
        return file.stat().st_size if file.is_file() else None

    def add(self, record: Record) -> None:
        """The record is on the disk on return."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with translate_os_errors(Path(NAME)):
            if os.write(self._file, line) < len(line):
                raise OutputError("There is no space left for the batch's journal; free some and run it again.")
            os.fsync(self._file)
        self.records[record["output"]] = record


class StoreJournal:
    """The same in a store, which has no locks: only one run may use it at a time."""

    def __init__(self, store: Store) -> None:
        """Raises OutputError if nothing can be written there."""
        self._store = store
        store.write(f"{RECORDS}/version", f"stylecine {__version__}\n".encode())
        files = store.files()
        self._sizes = {name: info.get("size") for name, info in files.items()}
        names = [name for name in files if name.startswith(f"{RECORDS}/") and name.endswith(".json")]
        records = (_record(content) for content in store.read(names))
        self.records: dict[str, Record] = {record["output"]: record for record in records if record}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def size_of(self, output: str) -> int | None:
        """Of a loop in bytes, when the journal was opened; None without one."""
        return self._sizes.get(output)

    def add(self, record: Record) -> None:
        """The record is in the store on return."""
        name = hashlib.sha256(record["output"].encode(errors="surrogateescape")).hexdigest()[:32]
        self._store.write(f"{RECORDS}/{name}.json", json.dumps(record, allow_nan=False).encode())
        self.records[record["output"]] = record


def recorded_outputs(folder: Path) -> set[str]:
    """What earlier runs have recorded in a folder; read without its lock, as names of loops are chosen before."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except OSError:
        return set()
    return {record["output"] for record in map(_record, lines) if record}


def open_journal(folder: Path | Store) -> Journal | StoreJournal:
    return StoreJournal(folder) if isinstance(folder, Store) else Journal(folder)


def _record(line: bytes) -> Record | None:
    """None for a line that no run wrote, as pages show what is in it; its photo is animated again."""
    try:
        record = json.loads(line)
        json.dumps(record, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("output"), str) or "state" not in record:
        return None
    if record["state"] == "done" and not all(name in record and check(record[name]) for name, check in DONE.items()):
        return None
    return record


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def _is_figure(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_picture(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Za-z0-9+/]*=*", value) is not None


LARGEST = 1 << 53
FIGURES = ("fps", "seam", "pulse_excess", "moved_error", "travel", "vividness_moving", "moving")
DONE: dict[str, Callable[[Any], bool]] = {  # what the page shows of a loop
    "photo": _is_text,
    **dict.fromkeys(("width", "height", "frames", "bytes"), _is_count),
    **dict.fromkeys(FIGURES, _is_figure),
    "seconds": lambda value: isinstance(value, dict) and _is_number(value.get("total")),
    "warning": lambda value: value is None or _is_text(value),
    **dict.fromkeys(("thumbnail", "mask_thumbnail"), _is_picture),
}
