"""The records of a batch, one for each photo, written when it is finished: lines of JSON in OUT/batch.jsonl, or objects
below OUT/.batch of a store, where nothing can be appended to."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Self

from stylecine.batch.store import Store
from stylecine.errors import OutputError
from stylecine.machine.atomic import lock_file, translate_os_errors
from stylecine.version import __version__

NAME = "batch.jsonl"
RECORDS = ".batch"  # folder of the records in a store
COUNTS = ("width", "height", "frames", "bytes")
FIGURES = ("fps", "seam", "pulse_excess", "moved_error", "travel", "vividness_moving", "moving")
PICTURES = ("thumbnail", "mask_thumbnail")
LARGEST = 1 << 53  # number that a page can show

Record = dict[str, Any]  # as batch.worker.animate_task returns it; "output" identifies the task


class Journal:
    """The last record of each output in a folder, which is locked while the journal is open.

    A line that a killed run left half-written is removed.
    """

    records: dict[str, Record]

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
        self.records = _records(content[:complete].splitlines())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def size_of(self, output: str) -> int | None:
        """Of a loop in bytes; None without one."""
        file = self._folder / output
        return file.stat().st_size if file.is_file() else None

    def add(self, record: Record) -> None:
        """The record is on the disk, or in the store, on return."""
        self._write(record["output"], json.dumps(record, allow_nan=False).encode())
        self.records[record["output"]] = record

    def _write(self, output: str, content: bytes) -> None:
        with translate_os_errors(Path(NAME)):
            line = content + b"\n"
            if os.write(self._file, line) < len(line):
                raise OutputError("There is no space left for the batch's journal; free some and run it again.")
            os.fsync(self._file)


class StoreJournal(Journal):
    """The same in a store, which has no locks: only one run may use it at a time."""

    def __init__(self, store: Store) -> None:
        """Raises OutputError if nothing can be written there."""
        self._store = store
        store.write(f"{RECORDS}/version", f"stylecine {__version__}\n".encode())
        files = store.files()
        self._sizes = {name: info.get("size") for name, info in files.items()}
        names = [name for name in files if name.startswith(f"{RECORDS}/") and name.endswith(".json")]
        self.records = _records(store.read(names))

    def __exit__(self, *_: object) -> None:
        pass

    def size_of(self, output: str) -> int | None:
        """Of a loop in bytes, when the journal was opened; None without one."""
        return self._sizes.get(output)

    def _write(self, output: str, content: bytes) -> None:
        name = hashlib.sha256(output.encode(errors="surrogateescape")).hexdigest()[:32]
        self._store.write(f"{RECORDS}/{name}.json", content)


def recorded_outputs(folder: Path) -> set[str]:
    """What earlier runs have recorded in a folder; read without its lock, as names of loops are chosen before."""
    try:
        return set(_records((folder / NAME).read_bytes().splitlines()))
    except OSError:
        return set()


def _records(lines: list[bytes]) -> dict[str, Record]:
    """By output. Without what no run wrote, as pages show what is in it; such a photo is animated again."""
    records = {}
    for line in lines:
        try:
            record = json.loads(line)
            json.dumps(record, allow_nan=False)
            if isinstance(record["output"], str) and (record["state"] != "done" or _can_be_shown(record)):
                records[record["output"]] = record
        except (ValueError, RecursionError, KeyError, TypeError):
            continue
    return records


def _can_be_shown(record: Record) -> bool:
    """Whether what a page shows is of the right types; raises KeyError or TypeError if something is missing."""
    figures = [record["seconds"]["total"], *(record[name] for name in FIGURES if record[name] is not None)]
    return (
        all(type(record[name]) is int and 0 <= record[name] < LARGEST for name in COUNTS)
        and all(type(figure) in (int, float) and abs(figure) < LARGEST for figure in figures)
        and all(re.fullmatch("[A-Za-z0-9+/]*=*", record[name]) for name in PICTURES)
        and isinstance(record["photo"], str)
        and isinstance(record["warning"], str | None)
    )
