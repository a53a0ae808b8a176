"""Photos from, and loops into, object stores by fsspec's URLs: s3://, gs://, az://, memory:// and others.

fsspec finds the credentials as it always does. Objects appear whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from stylecine.errors import OptionError, OutputError, PhotoError, StylecineError, first_line, printable

VERSIONS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5")  # what stores call a checksum of the content
SYSTEM_FOLDERS = {  # of Synology, QNAP, Windows, macOS and Linux
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler"),
    *("system volume information", "__macosx", "network trash folder", "temporary items", "lost+found"),
}
TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


def is_url(text: str) -> bool:
    return re.match(r"[A-Za-z][\w+.-]*://", text) is not None


def without_secrets(url: str) -> str:
    """A URL for messages and records, without user and password."""
    return re.sub(r"://[^/@]*@", "://", url)


@contextmanager
def _translated(url: str, error: type[StylecineError] = OutputError) -> Iterator[None]:
    """Raises a StylecineError for what any store's library raises."""
    try:
        yield
    except StylecineError:
        raise
    except ImportError as missing:
        raise OptionError(f"'{without_secrets(url)}' needs another library: {missing}.") from None
    except Exception as reason:
        says = without_secrets(printable(first_line(reason)) or type(reason).__name__)
        message = f"'{without_secrets(url)}' cannot be used ({says}); check address, credentials and network."
        raise error(message) from None


@dataclass(frozen=True)
class StoredFile:
    """A photo, or another file that a task reads. known: its version, where it was listed."""

    url: str
    known: str | None = field(default=None, compare=False)

    @property
    def version(self) -> str:
        """It changes with the content, as far as the store tells. Raises PhotoError."""
        if self.known is not None:
            return self.known
        with _translated(self.url, PhotoError):
            fs, path = _open(self.url)
            return _version(fs.info(path))

    @property
    def name(self) -> str:
        return PurePosixPath(self.url).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def __str__(self) -> str:
        return without_secrets(self.url)

    def fetch(self, folder: Path) -> Path:
        """A local copy, of the same name. Raises PhotoError."""
        target = folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with _translated(self.url, PhotoError):
            fs, path = _open(self.url)
            # not get_file: threads that copy one file of fsspec's memory at once would share a position in it
            target.write_bytes(fs.cat_file(path))
        return target


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one in which servers and systems keep thumbnails and what was deleted."""
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


class Store:
    """What is below a URL. All methods that use it raise OutputError."""

    def __init__(self, url: str) -> None:
        """Raises OptionError if the library for its scheme is missing."""
        self.url = url.rstrip("/")
        with _translated(url, OptionError):
            self._fs, self._root = _open(self.url)

    def __str__(self) -> str:
        return without_secrets(self.url)

    def url_of(self, name: str) -> str:
        return f"{self.url}/{name}"

    def files(self) -> dict[str, Mapping[str, Any]]:
        """What the store tells of each file, by its name below the URL."""
        with _translated(self.url):
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, detail=True)
        start = len(self._root.rstrip("/")) + 1
        return {path[start:]: info for path, info in found.items()}

    def visible(self, excluded: str = "") -> list[tuple[str, StoredFile]]:
        """Name and file of all that is not hidden, nor below the URL `excluded`."""
        found = []
        for name, info in sorted(self.files().items()):
            url = self.url_of(name)
            hidden = any(map(is_hidden, PurePosixPath(name).parts))
            if not hidden and not (excluded and url.startswith(f"{excluded}/")):
                found.append((name, StoredFile(url, _version(info))))
        return found

    def put(self, file: Path, name: str) -> None:
        with _translated(self.url):
            self._fs.put_file(str(file), f"{self._root}/{name}")

    def write(self, name: str, content: bytes) -> None:
        with _translated(self.url):
            self._fs.pipe_file(f"{self._root}/{name}", content)

    def read(self, names: Sequence[str]) -> list[bytes]:
        with _translated(self.url):
            paths = [f"{self._root}/{name}" for name in names]
            content = self._fs.cat(paths) if paths else {}  # all at once, which is many times as fast
        return list(content.values())


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, with the credentials that fsspec finds, and the path in it."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    fs, path = url_to_fs(url)
    if hasattr(fs, "auto_mkdir"):  # of this machine's disks, which, unlike stores, have folders
        fs.auto_mkdir = True
    return fs, path.rstrip("/")


def _version(info: Mapping[str, Any]) -> str:
    checksum = next((info[key] for key in VERSIONS if info.get(key)), None)
    time = next((info[key] for key in TIMES if info.get(key)), None)
    if isinstance(time, datetime):
        time = time.timestamp()
    return str(checksum or (info.get("size"), time))
