"""The records of a batch: a line of JSON in OUT/batch.jsonl for each photo, written when the photo is finished."""

import json
import os
from pathlib import Path
from typing import Any, Self

from stylecine.atomic import lock_file, translate_os_errors
from stylecine.errors import OutputError

NAME = "batch.jsonl"

Record = dict[str, Any]  # as batch.worker.animate_task returns it; "output" identifies the task


class Journal:
    """The last record of each output in a folder, which is locked while the journal is open.

    A line that a killed run left half-written is removed.
    """

    def __init__(self, folder: Path) -> None:
        """Creates the folder if it is missing. Raises OutputError, also if another run is using it."""
        with translate_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
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

    def add(self, record: Record) -> None:
        """The record is on the disk on return."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with translate_os_errors(Path(NAME)):
            if os.write(self._file, line) < len(line):
                raise OutputError("There is no space left for the batch's journal; free some and run it again.")
            os.fsync(self._file)
        self.records[record["output"]] = record


def _record(line: bytes) -> Record | None:
    """None for a line that is not a record; its photo is animated again."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = isinstance(record, dict) and isinstance(record.get("output"), str) and "state" in record
    return record if known else None
