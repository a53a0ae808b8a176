"""Files that appear whole or not at all, and what the file system complains about in one sentence."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stylecine.errors import OutputError

PathLike: TypeAlias = str | os.PathLike[str]
Finish: TypeAlias = Callable[[Path], None]

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


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


def check_place(path: PathLike) -> Path:
    """The file that `path` stands for, symbolic links resolved. Raises OutputError where none can be written."""
    target = Path(os.path.realpath(path))
    with told_plainly(target):
        if target.is_dir():
            raise OutputError(f"'{target}' is a folder; name a file in it.")
        if target.exists() and not target.is_file():
            raise OutputError(f"'{target}' is not a regular file; name another one.")
        part = part_of(target)
        part.open("wb").close()  # permissions, quotas and mounts have too many rules to foretell: try it
        part.unlink()
    return target


@contextmanager
def whole(target: Path, finish: Finish | None = None) -> Iterator[Path]:
    """Gives the .part beside `target` to write to, which becomes it once complete and on the disk, or goes.

    finish: called with the complete .part before it is renamed. Raises OutputError where renaming fails; what goes
    wrong in the block, be it an interrupt, is passed on.
    """
    part = part_of(target)
    try:
        yield part
        with told_plainly(target):
            if finish:
                finish(part)
            _flush_to_disk(part)
            os.replace(part, target)
    except BaseException:  # a cancelled or interrupted run leaves nothing behind either
        with suppress(OSError):  # its folder may be none
            part.unlink()
        raise


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


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
