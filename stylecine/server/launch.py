"""Runs the service until Ctrl-C or SIGTERM."""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
import webbrowser
from asyncio import TimerHandle, Transport
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.server import security
from stylecine.server.app import create_app
from stylecine.server.declared import FIRST_SIZE
from stylecine.server.problems import Problem
from stylecine.server.scenes import plain_name
from stylecine.server.service import Service
from stylecine.server.settings import Settings

HEADER_TIMEOUT = 20.0  # seconds in which the header of a request has to arrive
MAX_CONNECTIONS = 800  # at once; most systems allow a process 1024 open files
RESERVED = 100  # more, which only learn whether the service is healthy
MIN_TOKEN = 16  # characters
NEW_OBJECTS = 10_000  # before the garbage collector looks: requests leave some in cycles
STUDIO_PORT = 8351  # always the same, so that a page that has lost its server finds the next one

Started = Callable[[str, Service], Awaitable[None]]  # called with the address


def serve(settings: Settings, tokens: Iterable[str]) -> None:
    """Serves until Ctrl-C or SIGTERM. Raises OptionError if it cannot listen, OutputError without a data folder."""
    tokens = tuple(tokens)
    if any(len(token) < MIN_TOKEN for token in tokens):
        raise OptionError(f"A token has {MIN_TOKEN} characters or more; use a longer, random one.")
    if not settings.local and not tokens:
        raise OptionError(f"Other machines can reach {settings.host}, so the service needs a token; give --token-file.")

    async def started(address: str, service: Service) -> None:
        _announce(f"stylecine serves at {address} (Ctrl-C ends it)")

    with _listen(settings.host, settings.port) as listener:
        _run(create_app(settings, tokens=tokens), listener, started)


def studio(settings: Settings, photo: Path | None, *, port: int | None, browser: bool) -> None:
    """Serves the studio, and opens its page in a browser, with a photo if one is given.

    port: None for 8351, or any free port if that is taken.
    """

    async def started(address: str, service: Service) -> None:
        if photo is not None:
            address += f"?scene={await _add_photo(service, photo)}"
        _announce(f"stylecine's studio: {address} (Ctrl-C ends it)")
        screen = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
        if browser and screen:  # without one a browser would run in the terminal
            await asyncio.to_thread(webbrowser.open, address)

    with listen_for_studio(settings.host, port) as listener:
        _run(create_app(settings, studio=True), listener, started)


def _announce(text: str) -> None:
    with suppress(OSError):  # of a full disk, where the log lies: the service can do without
        print(text, flush=True)


async def _add_photo(service: Service, photo: Path) -> str:
    """Makes a scene of a photo and returns its id. Raises PhotoError or OutputError."""
    upload = service.store.temporary(".part")
    try:
        await asyncio.to_thread(shutil.copyfile, photo, upload)
        return await service.add_scene(upload, plain_name(photo.name), 1024, 0, FIRST_SIZE)
    except OSError as error:
        raise PhotoError(f"The photo '{photo}' cannot be read or copied ({error.strerror}); check it.") from None
    except Problem as problem:
        raise OutputError(problem.detail) from None


def _run(app: FastAPI, listener: socket.socket, started: Started) -> None:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, app.state.service, started)
    config.app = _limited(app, server.server_state.connections)
    gc.freeze()  # what imports leave stays
    gc.set_threshold(NEW_OBJECTS)  # the command's own threshold is for those that soon end
    server.run(sockets=[listener])
    if server.failure:
        raise server.failure


def _limited(app: ASGIApp, connections: Collection[Any]) -> ASGIApp:
    """Answers 503 where more connections are open than can be served, but for what a monitor asks."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(connections) > MAX_CONNECTIONS and scope["path"] not in security.PUBLIC:
            detail = f"{MAX_CONNECTIONS} requests are being answered; try again later."
            problem = Problem(503, "TooManyConnections", detail, {"Retry-After": "2", "Connection": "close"})
            await problem.response()(scope, receive, send)
        else:
            await app(scope, receive, send)

    return handle


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol's number, for asyncio to set TCP_NODELAY
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"Nothing can listen at {host}, port {port} ({reason}); choose another --port.") from None
    return listener


def listen_for_studio(host: str, port: int | None) -> socket.socket:
    """A socket at that port; for None at the studio's own, or at any free one if that is taken."""
    if port is not None:
        return _listen(host, port)
    try:
        return _listen(host, STUDIO_PORT)
    except OptionError:
        return _listen(host, 0)


class _Server(uvicorn.Server):
    """Calls `started`, and stops the service as soon as a signal arrives, so that open requests end."""

    def __init__(self, config: uvicorn.Config, service: Service, started: Started) -> None:
        super().__init__(config)
        self._service, self._started = service, started
        self.failure: Exception | None = None  # because of which the server has exited

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            host, port = sockets[0].getsockname()[:2]
            try:
                await self._started(f"http://{f'[{host}]' if ':' in host else host}:{port}/", self._service)
            except Exception as error:
                self.failure, self.should_exit = error, True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the base class, does not raise the signal again, as it has ended the server."""
        handled = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal changes nothing."""
        if not self.should_exit:
            self.should_exit = True
            asyncio.get_running_loop().call_soon_threadsafe(self._service.stop)


class _Protocol(H11Protocol):
    """Closes connections when a request's header, or the rest of a refused body, takes too long to arrive; and where
    too many are open, the one that has waited for it longest, so that nobody can keep others out without a token."""

    _timer: TimerHandle | None = None
    _closing: "_ClosingTransport"

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._closing = _ClosingTransport(transport, self.loop)
        super().connection_made(cast(Transport, self._closing))
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """The timer runs while the connection only waits for the client."""
        refused = self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        waits = self.conn.their_state is h11.IDLE or refused
        if waits and self._timer is None:
            self._timer = self.loop.call_later(HEADER_TIMEOUT, self.transport.close)
        elif not waits:
            self._stop_timer()

    def _make_room(self) -> None:
        waiting = [one for one in self.connections if isinstance(one, _Protocol) and one._timer is not None]
        if waiting:
            oldest = min(waiting, key=lambda one: one._timer.when() if one._timer else 0)
            self.connections.discard(oldest)  # now, for the next one to be counted
            oldest.transport.abort()
        elif len(self.connections) > MAX_CONNECTIONS + RESERVED:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        self._closing.lost()


class _ClosingTransport:
    """A transport that after `close` does not wait forever for the client to read the rest."""

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._timer: TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if self._timer is None and self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(security.SEND_TIMEOUT, self._transport.abort)
        self._transport.close()

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
