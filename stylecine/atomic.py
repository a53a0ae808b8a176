"""Files and folders that appear whole or not at all; what the file system complains about, in one sentence."""

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stylecine.errors import OutputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PathLike: TypeAlias = str | os.PathLike[str]
Finish: TypeAlias = Callable[[Path], None]

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_FRAME = re.compile(r"frame-\d+\.png")  # all that is ever in a folder's .part


@dataclass(frozen=True)
class VideoInfo:
    """What was written: frames and pixels as they are in the file."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    codec: str
    bytes: int
    cropped: tuple[int, int]  # columns at the right and rows at the bottom left out: video wants even sizes
    window: tuple[int, int, int, int] | None = None  # what a crop kept of the loop: left, top, width, height


def check_place(path: PathLike, *, folder: bool = False) -> Path:
    """The file or folder that `path` stands for, symbolic links resolved. OutputError where none can be written."""
    target = Path(os.path.realpath(path))
    with told_plainly(target):
        if target.is_dir() and not folder:
            raise OutputError(f"'{target}' is a folder; name a file in it.")
        if target.is_dir() and any(target.iterdir()):
            raise OutputError(f"The folder '{target}' is not empty; empty it or name another one.")
        if target.exists() and not (target.is_dir() if folder else target.is_file()):
            raise OutputError(f"'{target}' is not a {'folder' if folder else 'regular file'}; name another one.")
    with _claimed(target, folder):  # permissions, quotas and mounts have too many rules to foretell: try it
        return target


@contextmanager
def whole(target: Path, finish: Finish | None = None, *, folder: bool = False) -> Iterator[Path]:
    """Gives the .part beside `target`, a file or a folder, which becomes it once complete and on the disk, or goes.

    finish: called with the complete .part before it is renamed. A file that is replaced keeps its permissions. Raises
    OutputError where the .part or its renaming fails, where another run is writing it, or where something is in its
    place that no run has left; what goes wrong in the block, be it an interrupt, is passed on.
    """
    with _claimed(target, folder) as part:
        yield part
        with told_plainly(target):
            if finish:
                finish(part)
            for file in part.iterdir() if folder else (part,):
                _flush_to_disk(file)
            if folder and target.is_dir():
                target.rmdir()  # it is empty; not every system renames over it
            elif target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)


def locked(path: Path, otherwise: str) -> int:
    """An open descriptor of a file, made where it is missing, that nobody else gets until it is closed or this process
    ends, however it ends; not even a child has it. OutputError(otherwise) where somebody else has it."""
    with told_plainly(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        elif not _free(descriptor):
            raise BlockingIOError
    except OSError:
        os.close(descriptor)
        raise OutputError(otherwise) from None
    return descriptor


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


@contextmanager
def _claimed(target: Path, folder: bool) -> Iterator[Path]:
    """An empty .part of `target`, locked so that no other run takes it for one that a crash left; gone afterwards."""
    part = part_of(target)
    held: list[int] = []  # filled before there is a lock: an interrupt may come between any two steps
    try:
        with told_plainly(target):
            private = target.is_file()  # until it gets the permissions of what it replaces
            _lock(part, folder, 0o600 if private else 0o666, held)
            if folder:
                _empty(part)
            else:
                part.open("wb").close()
        yield part
    finally:
        try:
            _let_go(part, held, folder)
        except KeyboardInterrupt:  # just then; the command line lets no second one through
            _let_go(part, held, folder)
            raise


def _let_go(part: Path, held: list[int], folder: bool) -> None:
    for lock in held:
        with suppress(OSError):
            os.close(lock)
    _sweep(part, folder)


def _lock(part: Path, folder: bool, mode: int, held: list[int]) -> None:
    """Adds to `held` an open descriptor of `part`, made where it is missing, and locks it until the process ends at the
    latest."""
    if not _ours(part, folder):
        raise OutputError(f"'{part}' is in the way, and no run has left it; move it or name another output.")
    if folder:
        part.mkdir(exist_ok=True)
    if sys.platform == "win32":  # where what somebody has open cannot be replaced or removed anyway
        return
    held.append(os.open(part, _OPENED[folder] | (0 if folder else os.O_CREAT), mode))
    if not _free(held[-1]):
        os.close(held.pop())
        name = part.with_suffix("")
        raise OutputError(f"Another run is writing '{name}'; wait for it or name another output.")
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(held[-1]), os.lstat(part)):
            return
    os.close(held.pop())
    _lock(part, folder, mode, held)  # whoever had it has finished just now


def _ours(part: Path, folder: bool) -> bool:
    """Whether `part` is missing, or what a run may have left: a file of its own or a folder of frames, never a link."""
    try:
        status = part.lstat()
        if folder:
            return stat.S_ISDIR(status.st_mode) and all(_FRAME.fullmatch(file.name) for file in part.iterdir())
        return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
    except FileNotFoundError:
        return True


def _sweep(part: Path, folder: bool) -> None:
    """Removes `part` if it is what a run has left, and none is writing it."""
    with suppress(OSError):  # its folder may be none
        if not _ours(part, folder):
            return
        lock = None if sys.platform == "win32" else os.open(part, _OPENED[folder])
        try:
            if lock is None or _free(lock):
                if folder:
                    _empty(part)
                    part.rmdir()
                else:
                    part.unlink()
        finally:
            if lock is not None:
                os.close(lock)


def _empty(folder: Path) -> None:
    for frame in folder.iterdir():
        frame.unlink()


if sys.platform != "win32":
    _OPENED = {True: os.O_RDONLY | os.O_NOFOLLOW, False: os.O_RDWR | os.O_NOFOLLOW}  # by whether it is a folder

    def _free(descriptor: int) -> bool:
        """Locks an open file or folder unless another has; a file system without locks has it always free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


@contextmanager
def told_plainly(target: Path) -> Iterator[None]:
    """Turns an OSError of writing `target`, or its .part, into an OutputError."""
    name = target.with_suffix("") if target.suffix == ".part" else target
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            message = f"There is no folder '{name.parent}'; create it first."
        elif error.errno in _NO_PERMISSION:
            message = f"'{name}' may not be written; choose another folder or change its permissions."
        elif error.errno in _NO_SPACE:
            message = f"There is no space left to write '{name}'; free some or choose another disk."
        else:
            message = f"'{name}' cannot be written ({error.strerror or error}); choose another place."
        raise OutputError(message) from error


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
