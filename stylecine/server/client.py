"""A loop made by a service elsewhere: sends the photo, follows the work, fetches the file. Standard library only."""

import http.client
import json
import os
import re
import shutil
import ssl
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from stylecine.atomic import atomic_write, translate_os_errors
from stylecine.errors import Cancelled, PhotoError, ServiceError, StylecineError

if TYPE_CHECKING:
    from stylecine.options import Arrow
    from stylecine.progress import Progress

WAIT = 30  # seconds for which the service keeps us waiting for a scene
SILENT = 90.0  # seconds without a word after which it is taken for gone
TRIES = 4  # where the line breaks, or the service has no room
T = TypeVar("T")
Tell: TypeAlias = Callable[[str, int, int], None]

FRAME = re.compile(r"frame-\d{4,6}\.png")


class Client:
    """A service at `url`, http or https. Raises ServiceError where it cannot be reached or refuses."""

    def __init__(self, url: str, token: str = "") -> None:
        try:
            place = urlsplit(url)
            self._host, self._port = place.hostname or "", place.port
            if place.scheme not in ("http", "https") or not self._host or place.query or place.fragment:
                raise ValueError
        except ValueError:
            detail = f"'{url}' is no address of a service; give one like http://127.0.0.1:8350."
            raise ServiceError(detail) from None
        self.url, self._secure, self._path = url, place.scheme == "https", place.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def animate(
        self,
        photo: Path,
        output: Path,
        *,
        size: int = 1024,
        refine: int = 0,
        arrows: "Sequence[Arrow]" = (),
        progress: "Progress | None" = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Has a photo animated and writes `output`, whole or not at all; what the service tells: {"scene", "job"}.

        options: those of POST /v1/animations. A folder, without an ending, gets the frames as PNG. What the service
        keeps of it is deleted again, whatever happens. Raises Cancelled through `progress`, OutputError, PhotoError.
        """

        def tell(stage: str, done: int, total: int) -> None:
            if progress is not None and progress(stage, done, total) is False:
                raise Cancelled(f"Cancelled during the {stage}.")

        links: list[str] = []
        try:
            scene = self._scene(photo, size, refine, tell)
            links.append(str(scene["links"]["self"]))
            if arrows:
                edits = [{"kind": "push", "arrow": [float(value) for value in arrow]} for arrow in arrows]
                scene = _tried(lambda: self._told("PATCH", links[0], {"edits": edits}))
            asked = {"scene": scene["id"], "format": output.suffix.lower().removeprefix(".") or "zip", **options}
            job = self._job(asked)
            links = 2 * [str(job["links"]["self"])] + links  # twice: what is not done is cancelled first
            job = self._finished(job, tell)
            self._fetch(job, output)
            return {"scene": scene, "job": job}
        except StylecineError:
            raise
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile):
            raise self._stranger() from None
        finally:
            for link in links:
                with suppress(ServiceError):
                    self._told("DELETE", link)

    def _scene(self, photo: Path, size: int, refine: int, tell: Tell) -> dict[str, Any]:
        """The photo as a scene of the service, once that is ready."""
        asked = urlencode({"name": photo.name, "size": size, "refine": refine, "wait": WAIT}, quote_via=quote)
        if not photo.is_file():
            raise PhotoError(f"There is no photo at '{photo}'; check the path.")
        tell("photo", 0, 1)
        try:
            with photo.open("rb") as file:  # once only where the line breaks: the scene may have come to be
                scene = _tried(lambda: self._sent(file, f"/v1/scenes?{asked}"), _Full)
        except OSError as error:
            raise PhotoError(f"'{photo}' cannot be read ({error.strerror}); check the path.") from None
        link = scene["links"]["self"]
        try:
            while scene["state"] in ("queued", "running"):
                tell("inversion", 0, 1)
                scene = _tried(lambda: self._told("GET", f"{link}?wait={WAIT}"))
            if scene["state"] == "failed":
                raise ServiceError(_printable(scene["problem"]["detail"]))
        except BaseException:
            with suppress(ServiceError):
                self._told("DELETE", link)
            raise
        tell("inversion", 1, 1)
        return scene

    def _sent(self, file: IO[bytes], link: str) -> dict[str, Any]:
        """What is answered to a file, from its beginning."""
        length = {"Content-Length": str(file.seek(0, os.SEEK_END)), "Content-Type": "application/octet-stream"}
        file.seek(0)
        return self._told("POST", link, file, length)

    def _job(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The job of one key, which may be asked for again."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return _tried(lambda: self._told("POST", "/v1/animations", asked, key))

    def _finished(self, job: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """The job once it is done; a line that breaks is taken up again."""
        silent = 0
        while job["state"] in ("queued", "running"):
            try:
                for told in self._events(job["links"]["events"]):
                    job, silent = told, 0
                    now = job["progress"]
                    tell(now["stage"], now["done"], now["total"])
                if job["state"] in ("queued", "running"):
                    raise _Again(f"{self.url} does not tell how the work goes on; try again.")
            except _Again as again:
                silent += 1
                again.wait(silent)
        if job["state"] == "cancelled":
            raise Cancelled("The service cancelled the work.")
        if job["state"] == "failed":
            raise ServiceError(_printable(job["problem"]["detail"]))
        return job

    def _events(self, link: str) -> Iterator[dict[str, Any]]:
        with self._answer("GET", link) as answer:
            for line in answer:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def _fetch(self, job: dict[str, Any], output: Path) -> None:
        folder = not output.suffix
        with atomic_write(output, folder=folder) as part:
            target = part / "frame-0.png" if folder else part
            _tried(lambda: self._download(job, target))
            if folder:
                _unpack(target, part)

    def _download(self, job: dict[str, Any], target: Path) -> None:
        with translate_os_errors(target), target.open("wb") as file:
            for chunk in self._chunks(job["links"]["result"]):
                file.write(chunk)
        if target.stat().st_size != job["bytes"]:
            raise _Again(f"The line to {self.url} broke before the file was whole; try again.")

    def _chunks(self, link: str) -> Iterator[bytes]:
        """The bytes of an answer; here, and not among whoever writes them, it shows that the line broke."""
        with self._answer("GET", link) as answer:
            while chunk := answer.read(1 << 20):
                yield chunk

    def _told(
        self,
        method: str,
        link: str,
        body: "Mapping[str, Any] | IO[bytes] | None" = None,
        headers: Mapping[str, str] = {},
    ) -> dict[str, Any]:
        """What is answered, as JSON."""
        if isinstance(body, Mapping):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}  # type: ignore[assignment]
        with self._answer(method, link, body, headers) as answer:
            content = answer.read()
        try:
            return dict(json.loads(content or b"{}"))
        except ValueError:
            raise self._stranger() from None

    @contextmanager
    def _answer(
        self, method: str, link: str, body: Any = None, headers: Mapping[str, str] = {}
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=SILENT)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it refused before all was sent, and says why
                connection.request(method, self._path + link, body, {**self._headers, **headers})
            answer = connection.getresponse()
            if answer.status >= 300:
                raise self._refusal(answer)
            yield answer
        except ssl.SSLError as error:
            raise _Again(
                f"{self.url} cannot be trusted ({error.reason}); check the address and its certificate."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise _Again(
                f"{self.url} cannot be reached ({reason}); check the address, and that a service runs there."
            ) from None
        finally:
            connection.close()

    def _refusal(self, answer: http.client.HTTPResponse) -> ServiceError:
        try:
            detail = _printable(json.loads(answer.read(1 << 16))["detail"])
            if answer.status == http.client.TOO_MANY_REQUESTS:
                after = answer.headers.get("Retry-After", "")
                return _Full(detail, int(after) if after.isdecimal() else 0)
            return ServiceError(detail)
        except (ValueError, KeyError, TypeError):
            return self._stranger()

    def _stranger(self) -> ServiceError:
        return ServiceError(f"What answers at {self.url} is no service of stylecine; check the address.")


class _Again(ServiceError):
    """May go well another time: the line broke, or the service has no room."""

    def __init__(self, detail: str, after: int = 0) -> None:
        """after: seconds that the service asks to wait for."""
        super().__init__(detail)
        self._after = after

    def wait(self, tries: int) -> None:
        """Waits for the next try; after the last one raises what went wrong."""
        if tries == TRIES:
            raise ServiceError(str(self)) from None
        time.sleep(max(min(self._after, WAIT), 2**tries / 2))


class _Full(_Again):
    """The service has no room, and has taken nothing in."""


def _tried(work: Callable[[], T], kind: type[_Again] = _Again) -> T:
    """What the work gives, at the first try that does not fail so."""
    tries = 0
    while True:
        try:
            return work()
        except kind as again:
            tries += 1
            again.wait(tries)


def _unpack(archive: Path, folder: Path) -> None:
    """The frames of a zip archive into a folder, in its place."""
    with zipfile.ZipFile(archive) as frames:
        names = frames.namelist()
        if not all(FRAME.fullmatch(name) for name in names):
            raise ServiceError("The service sent something else than frames; nothing is written.")
        for name in names:
            with translate_os_errors(folder / name), frames.open(name) as packed, (folder / name).open("wb") as file:
                shutil.copyfileobj(packed, file)
    archive.unlink()


def _printable(text: Any) -> str:
    """Without what a terminal could take for orders."""
    return "".join(c if c.isprintable() else " " for c in str(text))
