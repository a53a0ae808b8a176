"""Files and folders that appear complete or not at all, and errors of the file system in one sentence."""

import errno
import hashlib
import os
import random
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

from stylecine.errors import DiskFull, OutputError, StylecineError, printable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PathLike: TypeAlias = str | os.PathLike[str]
Finish: TypeAlias = Callable[[Path], None]

ATTEMPTS, PAUSE = 5, 0.02  # to get an output that another run holds, and seconds in between
_TEMP = re.compile(r"\.stylecine-[0-9a-f]{12}-[0-9a-f]{8}")  # hash of the output's name, random
_LOCK = ".lock"

NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


def check_path(path: object, error: type[StylecineError] = OutputError) -> None:
    """The error for what is neither text nor a Path, as a caller may give by mistake."""
    if not isinstance(path, str | os.PathLike):
        raise error(f"{path!r} is not a path; give text or a pathlib.Path.")


def check_destination(path: PathLike, *, folder: bool = False) -> Path:
    """The file or folder that `path` names, symbolic links resolved. OutputError if it cannot be written."""
    check_path(path)
    try:
        target = Path(os.path.realpath(path))
    except ValueError:
        raise OutputError(f"'{printable(path)}' has a character that no name may have; choose another.") from None
    with translate_os_errors(target):
        if target.is_dir() and not folder:
            raise OutputError(f"'{target}' is a folder; name a file in it.")
        if target.is_dir() and any(target.iterdir()):
            raise OutputError(f"The folder '{target}' is not empty; empty it or name another one.")
        if target.exists() and not (target.is_dir() if folder else target.is_file()):
            raise OutputError(f"'{target}' is not a {'folder' if folder else 'regular file'}; name another one.")
    with _temporary(target):  # permissions, quotas and mounts have too many rules to predict: try it
        return target


@contextmanager
def atomic_write(target: Path, finish: Finish | None = None, *, folder: bool = False) -> Iterator[Path]:
    """Yields a temporary file or folder that replaces `target` at the end of the block, and is removed if that fails.

    It lies in a private folder beside `target`, and is flushed to the disk before it is renamed.
    finish: called with the complete temporary file before it is renamed. A file that is replaced keeps its permissions.
    Raises OutputError if `target` cannot be written or another run is writing it; errors and interrupts in the block
    are passed on.
    """
    with _temporary(target) as part:
        with translate_os_errors(target):
            part.mkdir() if folder else part.touch()
        yield part
        with translate_os_errors(target):
            if finish:
                finish(part)
            for file in part.iterdir() if folder else (part,):
                _complete(file, target)
            if folder and target.is_dir():
                target.rmdir()  # it is empty; not every system renames over it
            os.replace(part, target)


@contextmanager
def atomic_write_all(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Like `atomic_write`, for files of one folder that belong together: either all of them are replaced or none.

    Only if the process is killed, or the power fails, between two renames may some be new and others old.
    """
    with _temporary(targets[0]) as first:
        parts = [first.with_name(target.name) for target in targets]
        with translate_os_errors(targets[0]):
            for part in parts:
                part.touch()
        yield parts
        with translate_os_errors(targets[0]):
            for part, target in zip(parts, targets, strict=True):
                _complete(part, target)
            _replace_all(parts, targets)


def remove_stale_temp(target: Path, *, keep: Path | None = None) -> bool:
    """Removes what killed runs left of `target`, but not `keep`; returns False if another run is writing it now."""
    available = True
    for temp in target.parent.glob(f"{_prefix(target)}*"):
        with suppress(OSError):
            if temp == keep or not _TEMP.fullmatch(temp.name) or not is_own_folder(temp):
                continue
            with (temp / _LOCK).open("ab") as file:
                locked = try_lock(file.fileno())
                if locked:
                    shutil.rmtree(temp, ignore_errors=True)
            if locked:
                shutil.rmtree(temp, ignore_errors=True)  # Windows removes no open file
            elif locked is False:
                available = False
    return available


def lock_file(path: Path, if_locked: str) -> int:
    """A descriptor of a file, created if missing, locked until it is closed or the process ends in any way.

    Child processes do not inherit it. Raises OutputError(if_locked) if another process holds the lock.
    """
    with translate_os_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    if try_lock(descriptor) is False:
        os.close(descriptor)
        raise OutputError(if_locked)
    return descriptor


@contextmanager
def translate_os_errors(target: Path) -> Iterator[None]:
    """Turns an OSError while `target`, or its temporary file, is written into an OutputError."""
    temp = next((parent for parent in target.parents if _TEMP.fullmatch(parent.name)), None)
    name = temp.parent / target.relative_to(temp) if temp else target
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and not name.parent.is_dir():
            message = f"There is no folder '{name.parent}'; create it first."
        elif error.errno in _NO_PERMISSION:
            message = f"'{name}' may not be written; choose another folder or change its permissions."
        elif error.errno in NO_SPACE:
            message = f"There is no space left to write '{name}'; free some or choose another disk."
        else:
            message = f"'{name}' cannot be written ({error.strerror or error}); choose another place."
        raise (DiskFull if error.errno in NO_SPACE else OutputError)(message) from error


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A path of the same name in a new, locked folder beside `target`; the folder is removed afterwards."""
    temp = target.with_name(_prefix(target) + secrets.token_hex(4))  # known before it exists: an interrupt may come
    lock: IO[bytes] | None = None
    try:
        with translate_os_errors(target):
            lock = _claim(temp, target)
        yield temp / target.name
    finally:
        try:
            _discard(temp, lock)
        except KeyboardInterrupt:  # the command line lets no second one through
            _discard(temp, lock)
            raise


def _claim(temp: Path, target: Path) -> IO[bytes]:
    """Makes `temp` and returns its locked lock file. OutputError if another run is writing `target`."""
    for _ in range(ATTEMPTS):
        temp.mkdir(0o700, exist_ok=True)
        with suppress(FileNotFoundError), ExitStack() as stack:  # another run may sweep it before it is locked
            lock = stack.enter_context((temp / _LOCK).open("ab"))
            locked = try_lock(lock.fileno()) is not False
            mine = locked and os.path.samestat(os.fstat(lock.fileno()), os.stat(temp / _LOCK))
            if mine and remove_stale_temp(target, keep=temp):
                stack.pop_all()
                return lock
        shutil.rmtree(temp, ignore_errors=True)
        time.sleep(PAUSE * random.uniform(0.5, 1.5))  # it may only be checking, or have started at the same moment
    raise OutputError(f"Another run is writing '{target}'; wait for it or name another output.")


def _discard(temp: Path, lock: IO[bytes] | None) -> None:
    if lock is not None:
        lock.close()
    shutil.rmtree(temp, ignore_errors=True)


def _prefix(target: Path) -> str:
    return f".stylecine-{hashlib.sha256(os.fsencode(os.path.normcase(target.name))).hexdigest()[:12]}-"


def is_own_folder(path: Path) -> bool:
    """Whether it is a folder, and no link to one, of this user."""
    status = path.lstat()
    owner = os.getuid() if sys.platform != "win32" else status.st_uid
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner


def try_lock(descriptor: int) -> bool | None:
    """True: locked until it is closed. False: another process holds the lock. None: the file system has no locks."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _replace_all(parts: Sequence[Path], targets: Sequence[Path]) -> None:
    """Renames parts to targets; if one fails, or at an interrupt, the targets are again what they were."""
    replaced: list[tuple[Path, Path | None]] = []
    try:
        for part, target in zip(parts, targets, strict=True):
            older = part.with_name(f"older-{target.name}") if target.exists() else None
            if older:
                try:
                    os.link(target, older)
                except OSError:  # some file systems have no links
                    shutil.copyfile(target, older)
                    _complete(older, target)
            replaced.append((target, older))
            os.replace(part, target)
    except BaseException:
        for target, older in replaced:
            with suppress(OSError):
                os.replace(older, target) if older else target.unlink()
        raise


def _complete(part: Path, target: Path) -> None:
    """Flushes a file to the disk, with the permissions of the one that it replaces."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    if target.is_file():
        with suppress(OSError, NotImplementedError):  # many shares and memory sticks refuse to set them
            shutil.copymode(target, part)
