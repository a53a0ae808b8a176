"""Client of a service on another machine: uploads the photo, follows the job, downloads the loop."""

import errno
import json
import os
import re
import shutil
import ssl
import struct
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import httpx

from stylecine.errors import Cancelled, PhotoError, ServiceError, StylecineError, as_utf8, printable
from stylecine.machine.atomic import atomic_write, atomic_write_all, translate_os_errors
from stylecine.machine.progress import Progress, cancelled
from stylecine.options import STYLES
from stylecine.output.formats import LIVE_PHOTO, ending_of, files_of, find_format
from stylecine.output.images import FRAME
from stylecine.output.live_photo import MEMBERS

if TYPE_CHECKING:
    from stylecine.options import Arrow

WAIT = 30  # seconds that the service may wait for a scene before it responds
TIMEOUT = 90.0  # seconds without data after which a connection is closed
ATTEMPTS = 4  # if the connection breaks, or the service is full or busy
POLL = 1.0  # seconds between two questions how far a job is
INVERSION = {"stage": "inversion", "done": 0, "total": 1}  # the progress of a scene that is not ready
MAX_JSON_BYTES = 16 << 20  # of a response
MAX_RESULT_BYTES = 20_000_000_000  # all that a service stores, unless its operator sets another limit
MAX_TEXT = 1000  # characters of an error or a warning
DELETE_TIMEOUT = 5.0  # seconds; what is not deleted expires
UNREADABLE = (zipfile.BadZipFile, EOFError, OSError, OverflowError, RuntimeError, ValueError, struct.error)

T = TypeVar("T")
Report: TypeAlias = Callable[[str, int, int], None]


class Client:
    """A service at `url`, http or https. Raises ServiceError if it cannot be reached or refuses."""

    def __init__(self, url: str, token: str = "") -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
            raise ServiceError(f"'{url}' is not the address of a service; give one like http://127.0.0.1:8350.")
        self.url, self._base = url, str(parsed).rstrip("/")
        self._http = httpx.Client(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=TIMEOUT,
            verify=ssl.create_default_context() if parsed.scheme == "https" else True,  # the system's certificates
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    def animate(
        self,
        photo: Path,
        output: Path,
        *,
        size: int = 1024,
        refine: int = 0,
        arrows: "Sequence[Arrow]" = (),
        style: str | None = None,
        style_strength: float = 1.0,
        style_drift: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Animates a photo and writes `output`, complete or not at all; returns {"scene", "job"} of the service.

        style: a name, or the path of a photo. options: the others of POST /v1/animations. An output without a suffix
        is a folder of PNG frames. The scene and the job are deleted from the service in any case. Raises Cancelled
        through `progress`, OutputError, PhotoError.
        """

        def report(stage: str, done: int, total: int) -> None:
            if progress is not None and progress(stage, done, total) is False:
                raise cancelled(stage)

        links: list[str] = []
        try:
            report("photo", 0, 1)
            query = {"name": as_utf8(photo.name), "size": size, "refine": refine, "wait": WAIT}
            # not sent again after a broken connection, which may have made a scene
            scene = self._upload(photo, "/v1/scenes", query, _ServiceBusy)
            links.append(scene["links"]["self"])
            scene = self._ended(scene, "ready", report, wait=WAIT)
            report("inversion", 1, 1)
            edits: list[dict[str, Any]] = [{"kind": "push", "arrow": [float(x) for x in arrow]} for arrow in arrows]
            if style is not None:
                named: dict[str, Any] = {"kind": "style", "name": style}
                if style not in STYLES:
                    photo_name = {"name": as_utf8(Path(style).name)}
                    named = self._upload(Path(style), f"{links[0]}/styles", photo_name, _Retryable)
                edits.append({**named, "strength": style_strength, "drift": style_drift})
            if edits:
                scene = _retry(partial(self._json, "PATCH", links[0], json={"edits": edits}))
            form = find_format(output)
            format = form.id if form else ending_of(output).removeprefix(".")
            key = {"Idempotency-Key": str(uuid.uuid4())}  # a repeated request makes no second job
            request = {"scene": scene["id"], "format": format, **options}
            job = _retry(partial(self._json, "POST", "/v1/animations", json=request, headers=key))
            links = 2 * [job["links"]["self"]] + links  # twice: an unfinished job is only cancelled by the first
            job = self._ended(job, "done", report)
            for name in ("width", "height"):
                _count(scene[name])
            _count(job["bytes"], MAX_RESULT_BYTES)
            job["warning"] = None if job["warning"] is None else _text(job["warning"])
            self._download(job, output)
            return {"scene": scene, "job": job}
        except StylecineError:
            raise
        except (KeyError, TypeError, ValueError, RecursionError):
            raise self._not_stylecine() from None
        finally:
            for link in links:
                with suppress(ServiceError), self._response("DELETE", link, timeout=DELETE_TIMEOUT):
                    pass

    def _upload(self, photo: Path, link: str, query: dict[str, Any], again: "type[_Retryable]") -> dict[str, Any]:
        """The response to a photo; again: errors after which it is sent another time."""
        if not photo.is_file():
            raise PhotoError(f"There is no photo at '{photo}'; check the path.")

        def upload() -> dict[str, Any]:
            file.seek(0)
            headers = {"Content-Type": "application/octet-stream"}
            return self._json("POST", link, params=query, content=file, headers=headers)

        try:
            with photo.open("rb") as file:
                return _retry(upload, again)
        except OSError as error:
            raise PhotoError(f"'{photo}' cannot be read ({error.strerror}); check the path.") from None

    def _ended(self, item: dict[str, Any], state: str, report: Report, **wait: Any) -> dict[str, Any]:
        """A scene or a job once it has this state. wait: parameters of the requests for it."""
        link = item["links"]["self"]
        while item["state"] in ("queued", "running"):
            step = item.get("progress", INVERSION)
            report(_text(step["stage"]), _count(step["done"]), _count(step["total"]))
            if not wait:  # or the service waits
                time.sleep(POLL)
            item = _retry(partial(self._json, "GET", link, params=wait))
        if item["state"] == "cancelled":
            raise Cancelled("The service cancelled the work.")
        if item["state"] == "failed":
            raise ServiceError(_text(item["problem"]["detail"]))
        if item["state"] != state:
            raise self._not_stylecine()
        return item

    def _download(self, job: dict[str, Any], output: Path) -> None:
        if ending_of(output) == LIVE_PHOTO:
            with atomic_write_all(files_of(output)) as parts:
                archive = parts[0].with_name("live-photo.zip")
                _retry(partial(self._download_once, job, archive))
                _unpack(archive, dict(zip(MEMBERS, parts, strict=True)))
            return
        folder = not output.suffix
        with atomic_write(output, folder=folder) as part:
            target = part / "frame-0.png" if folder else part
            _retry(partial(self._download_once, job, target))
            if folder:
                _unpack(target, part)

    def _download_once(self, job: dict[str, Any], target: Path) -> None:
        link = job["links"]["result"]
        with self._response("GET", link) as response, translate_os_errors(target), target.open("wb") as file:
            if job["bytes"] > shutil.disk_usage(target.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for chunk in self._chunks(response, job["bytes"]):
                file.write(chunk)
            complete = file.tell() == job["bytes"]
        if not complete:
            raise _Retryable(f"The connection to {self.url} broke before the file was complete; try again.")

    def _json(self, method: str, link: str, **request: Any) -> dict[str, Any]:
        with self._response(method, link, **request) as response:
            content = b"".join(self._chunks(response, MAX_JSON_BYTES))
        try:
            return dict(json.loads(content or b"{}"))
        except (ValueError, RecursionError):
            raise self._not_stylecine() from None

    def _chunks(self, response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
        received = 0
        for chunk in response.iter_raw():
            received += len(chunk)
            if received > max_bytes:
                raise self._not_stylecine()
            yield chunk

    @contextmanager
    def _response(self, method: str, link: str, **request: Any) -> Iterator[httpx.Response]:
        if not (str(link).startswith("/") and str(link).isascii()):  # others may send the token to another host
            raise self._not_stylecine()
        try:
            with self._http.stream(method, self._base + link, **request) as response:
                if response.status_code >= 300:
                    raise self._refusal(response)
                yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            reason = re.sub(r"^\[[^]]*\] *", "", str(error)) or type(error).__name__
            advice = "check the address, and that a service runs there"
            if isinstance(error.__cause__ and error.__cause__.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error):
                advice = "check the address and its certificate"
            raise _Retryable(f"{self.url} cannot be reached ({_text(reason)}); {advice}.") from None

    def _refusal(self, response: httpx.Response) -> ServiceError:
        try:
            detail = _text(json.loads(b"".join(self._chunks(response, MAX_JSON_BYTES)))["detail"])
        except (ValueError, RecursionError, KeyError, TypeError):
            return self._not_stylecine()
        after = response.headers.get("Retry-After", "")
        full = response.status_code in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.INSUFFICIENT_STORAGE)
        if full or (after and response.status_code == httpx.codes.SERVICE_UNAVAILABLE):
            return _ServiceBusy(detail, int(after[:9]) if after.isdecimal() else 0)
        return ServiceError(detail)

    def _not_stylecine(self) -> ServiceError:
        return ServiceError(f"What responds at {self.url} is not a service of stylecine; check the address.")


class _Retryable(ServiceError):
    """Another attempt may succeed: the connection broke, or the service is full or busy."""

    def __init__(self, detail: str, retry_after: int = 0) -> None:
        """retry_after: seconds that the service asks to wait."""
        super().__init__(detail)
        self._retry_after = retry_after

    def wait(self, failures: int) -> None:
        """Waits before the next attempt; raises the error after the last one."""
        if failures == ATTEMPTS:
            raise ServiceError(str(self)) from None
        time.sleep(max(min(self._retry_after, WAIT), 2**failures / 2))


class _ServiceBusy(_Retryable):
    """The service has accepted nothing, because it is full or busy."""


def _retry(work: Callable[[], T], kind: type[_Retryable] = _Retryable) -> T:
    """The result of `work`, repeated after errors of this kind."""
    failures = 0
    while True:
        try:
            return work()
        except kind as error:
            failures += 1
            error.wait(failures)


def _count(value: Any, most: int = 1 << 31) -> int:
    """A whole number in JSON. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError
    return value


def _text(value: Any) -> str:
    """A text in JSON, for a terminal. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError
    return printable(value[:MAX_TEXT])[:MAX_TEXT]


def _unpack(archive: Path, files: Mapping[str, Path] | Path) -> None:
    """Replaces a zip archive with what is in it. files: where its members belong; or the folder of frames."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            if isinstance(files, Path):
                files = {name: files / name for name in map(FRAME.format, range(len(members)))}
            expected = members and sorted(member.filename for member in members) == sorted(files)
            # uncompressed and no larger than the archive, so it cannot be a decompression bomb
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if not (expected and stored and sum(member.file_size for member in members) <= archive.stat().st_size):
                raise zipfile.BadZipFile
            for member in members:
                path = files[member.filename]
                with zipped.open(member) as source, translate_os_errors(path), path.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except UNREADABLE:
        raise ServiceError("The service sent something other than was asked for; nothing is written.") from None
    archive.unlink()
