"""A temporary folder for as long as a process runs; what killed ones have left of theirs is removed by the next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stylecine.errors import OutputError
from stylecine.machine.atomic import is_own_folder, lock_file, try_lock

LOCK = "running"  # a file that the folder's process holds locked, however it ends
ATTEMPTS = 5  # to make a folder while others sweep


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """Yields a new folder that only this user can read. prefix: of its name, and of those that are removed if they are
    abandoned. Raises OutputError."""
    folder, lock = _claim(prefix)
    for other in folder.parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if not is_own_folder(other):
                continue
            with (other / LOCK).open("rb+") as file:  # one without is being made, and has nothing in it
                abandoned = try_lock(file.fileno())
            if abandoned:
                shutil.rmtree(other, ignore_errors=True)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _claim(prefix: str) -> tuple[Path, int]:
    for _ in range(ATTEMPTS):
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix))
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"No temporary folder can be made ({reason}); set TMPDIR to another place.") from None
        with suppress(OutputError):  # another process may sweep it before it is locked
            lock = lock_file(folder / LOCK, "It is being swept.")
            if (folder / LOCK).exists():
                return folder, lock
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
    raise OutputError(f"No folder can be locked in '{tempfile.gettempdir()}'; set TMPDIR to another.")
