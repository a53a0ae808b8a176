"""ASGI middleware in front of the app: allowed hosts and origins, tokens, limits of size and time, security headers."""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylecine.server.problems import Problem
from stylecine.server.settings import LOOPBACK

MAX_JSON_BYTES = 4 << 20  # of a body that is not an upload
BODY_TIMEOUT = 20.0  # seconds in which a body has to arrive
MIN_BODY_RATE = 20_000  # bytes a second; a body that arrives at this rate has more time
SEND_TIMEOUT = 60.0  # seconds in which the client has to read a part of a response
PART = 1 << 16  # bytes of a response that are passed to the server at a time, so that it never buffers all of it
UPLOADS = re.compile("/v1/scenes(/[^/]+/styles)?")  # paths
HOST = re.compile(r"(\[(?P<address>[\da-fA-F:.%]+)\]|(?P<name>[\w.-]*))(:\d{0,5})?", re.ASCII)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PUBLIC = ("/health", "/ready")  # paths that need no token

HEADERS = {  # of every response that does not set them itself
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


class _SendTimeout(Exception):
    """The client does not read the response."""


class SecurityMiddleware:
    """Refuses unknown hosts, origins and tokens, and bodies that are too large or too slow; adds security headers.

    names: host names under which the service may be called; None: any, which is safe with tokens. tokens: a request
    needs one of them, if there are any. upload_bytes: maximum of a photo or scene, a body posted to one of UPLOADS.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None, tokens: Iterable[str], upload_bytes: int) -> None:
        self.app, self.upload_bytes = app, upload_bytes
        self.names = None if names is None else {*LOOPBACK, *(name.lower() for name in names)}
        self.tokens = [_digest(token) for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_parts(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            try:
                for part in _parts(message):
                    async with asyncio.timeout(SEND_TIMEOUT):
                        await send(part)
            except TimeoutError:
                raise _SendTimeout from None

        try:
            max_bytes = self._check(scope)
            await self.app(scope, _limited(receive, max_bytes), send_parts)
        except Problem as problem:
            if not started:
                await problem.response()(scope, receive, send_parts)
        except _SendTimeout:
            pass  # the server closes the connection

    def _check(self, scope: Scope) -> int:
        """Returns how many bytes the body may have. Raises a Problem."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers)
        if self.tokens and scope["path"] not in PUBLIC:
            self._check_token(headers)
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may read either
            raise Problem(400, "TwoLengths", "A body has a Content-Length or a Transfer-Encoding; send one of the two.")
        is_upload = scope["method"] == "POST" and UPLOADS.fullmatch(scope["path"]) is not None
        max_bytes = self.upload_bytes if is_upload else MAX_JSON_BYTES
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > max_bytes:
            raise _too_large(max_bytes)
        return max_bytes

    def _check_host(self, headers: Headers) -> None:
        """Against DNS rebinding: a page of another site can make its own name lead here."""
        match = HOST.fullmatch(headers.get("host", ""))
        if match is None:  # such as user@localhost, which others would read otherwise
            raise Problem(400, "MalformedHost", "The Host header is not a name or an address with a port; correct it.")
        name = (match["name"] or match["address"] or "").lower()
        if self.names is not None and name not in self.names:
            detail = "The service does not have this name; use its address, or add the name to its settings."
            raise Problem(421, "WrongHost", detail)

    def _check_token(self, headers: Headers) -> None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        digest = _digest(token.strip() if kind.lower() == "bearer" else "")
        if not any([hmac.compare_digest(digest, known) for known in self.tokens]):
            detail = "A valid token is needed; send the header 'Authorization: Bearer TOKEN'."
            raise Problem(401, "Unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def _parts(message: Message) -> Iterator[Message]:
    """The message in short parts, because the server waits for slow readers only between messages."""
    body = message.get("body", b"")
    last = max(0, len(body) - 1) // PART * PART
    for begin in range(0, last, PART):
        yield {**message, "body": body[begin : begin + PART], "more_body": True}
    yield {**message, "body": body[last:]} if last else message


def _check_origin(headers: Headers) -> None:
    """Pages of other sites may not change anything."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower()
    if foreign or site not in ("same-origin", "none"):
        raise Problem(403, "ForeignOrigin", "Pages of other sites may not change anything here.")


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """`receive` with limits on the body's size and time."""
    received, complete, start = 0, False, time.monotonic()

    async def limited() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()
        try:
            seconds = start + BODY_TIMEOUT + received / MIN_BODY_RATE - time.monotonic()
            async with asyncio.timeout(max(0.0, seconds)):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > max_bytes:
                raise _too_large(max_bytes)
        return message

    return limited


def too_slow() -> Problem:
    detail = "The body arrives too slowly; try again over a faster connection."
    return Problem(408, "TooSlow", detail, {"Connection": "close"})


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "TooLarge", f"The body is larger than {max_bytes / 1e6:.3g} MB; send a smaller one.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
