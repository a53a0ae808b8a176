"""Who may come in and how much they may bring, decided before the app sees a request. Plain ASGI."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylecine.server.limits import LOOPBACK
from stylecine.server.problems import Problem

JSON_BYTES = 4 << 20  # of a body that is no upload
PATIENT = 20.0  # seconds that a body may take in any case, ...
SLOWEST = 20_000  # ... and bytes a second on top of that
STALLED = 60.0  # seconds that a part of an answer may wait for whoever asked for it
PART = 1 << 16  # bytes of an answer that are handed to the server at a time: it holds a few, never the whole
READS = ("GET", "HEAD", "OPTIONS")
OPEN = ("/health", "/ready")  # to everybody

HEADERS = {  # of every answer that does not say otherwise
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class _Stalled(Exception):
    """Whoever asked does not read the answer."""


class Guard:
    """Refuses strangers' hosts, origins and tokens, and bodies that are too long or too slow; adds security headers.

    names: under which it may be called; None: any, which a token makes harmless. tokens: one of them has to
    come, unless there are none. uploads: most bytes of what is posted to /v1/scenes.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None, tokens: Iterable[str], uploads: int) -> None:
        self.app, self.uploads = app, uploads
        self.names = None if names is None else {*LOOPBACK, *(name.lower() for name in names)}
        self.tokens = [_digest(token) for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            try:
                for part in _parts(message):
                    async with asyncio.timeout(STALLED):
                        await send(part)
            except TimeoutError:
                raise _Stalled from None

        try:
            most = self._admitted(scope)
            await self.app(scope, _limited(receive, most), guarded)
        except Problem as problem:
            if not begun:
                await problem.response()(scope, receive, guarded)
        except _Stalled:
            pass  # the server hangs up on who does not read

    def _admitted(self, scope: Scope) -> int:
        """Most bytes that the body may have. Raises a Problem."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        if scope["method"] not in READS:
            _check_origin(headers)
        if self.tokens and scope["path"] not in OPEN:
            self._check_token(headers)
        most = self.uploads if (scope["method"], scope["path"]) == ("POST", "/v1/scenes") else JSON_BYTES
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise _too_large(most)
        return most

    def _check_host(self, headers: Headers) -> None:
        """A page elsewhere can have its own name lead here (DNS rebinding); its name betrays it."""
        if self.names is not None and _host_in(headers.get("host", "")) not in self.names:
            detail = "The service is not called that; use the address it listens on, or tell it its names."
            raise Problem(421, "WrongHost", detail)

    def _check_token(self, headers: Headers) -> None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = _digest(token.strip() if kind.lower() == "bearer" else "")
        if not any([hmac.compare_digest(given, known) for known in self.tokens]):
            detail = "A valid token is needed; send the header 'Authorization: Bearer TOKEN'."
            raise Problem(401, "Unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def _parts(message: Message) -> Iterator[Message]:
    """The same in messages that are short: the server waits for who reads only between two of them."""
    body = message.get("body", b"")
    last = max(0, len(body) - 1) // PART * PART
    for begin in range(0, last, PART):
        yield {**message, "body": body[begin : begin + PART], "more_body": True}
    yield {**message, "body": body[last:]} if last else message


def _host_in(place: str) -> str:
    """The host of what may have a port too; "" in what is neither."""
    try:
        return (urlsplit(f"//{place}").hostname or "").lower()
    except ValueError:
        return ""


def _check_origin(headers: Headers) -> None:
    """Other sites' pages may not have anything changed."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower()
    if foreign or site not in ("same-origin", "none"):
        raise Problem(403, "ForeignOrigin", "Pages of other sites may not change anything here.")


def _limited(receive: Receive, most: int) -> Receive:
    """The same, counted and timed while the body comes in."""
    got, over, begun = 0, False, time.monotonic()

    async def limited() -> Message:
        nonlocal got, over
        if over:
            return await receive()
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + begun - time.monotonic() + PATIENT + got / SLOWEST
            ):
                message = await receive()
        except TimeoutError:
            detail = "The body comes in too slowly; try again on a better line."
            raise Problem(408, "TooSlow", detail, {"Connection": "close"}) from None
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            over = not message.get("more_body", False)
            if got > most:
                raise _too_large(most)
        return message

    return limited


def _too_large(most: int) -> Problem:
    return Problem(413, "TooLarge", f"The body is larger than {most / 1e6:.3g} MB; send a smaller one.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
