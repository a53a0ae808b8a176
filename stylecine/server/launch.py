"""Runs the service until somebody ends it."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import webbrowser
from asyncio import TimerHandle, Transport
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.server import guards
from stylecine.server.app import create_app
from stylecine.server.limits import Settings
from stylecine.server.problems import Problem
from stylecine.server.scenes import plain_name
from stylecine.server.service import Service

HEAD = 20.0  # seconds in which a request's header has to come
CONNECTIONS = 800  # at once; most systems let a process have 1024 files
SHORTEST = 16  # characters of a token
STUDIO = 8351  # the studio's port: always the same, so that a page that lost its server finds the next one


def serve(settings: Settings, tokens: Iterable[str]) -> None:
    """Serves until Ctrl-C or SIGTERM. Raises OptionError where it cannot listen, OutputError without a data folder."""
    tokens = tuple(tokens)
    if any(len(token) < SHORTEST for token in tokens):
        raise OptionError(f"A token has {SHORTEST} characters or more; make a longer one that nobody can guess.")
    if not settings.local and not tokens:
        raise OptionError(f"At {settings.host} other machines reach it, so it needs a token; give --token-file.")

    async def begun(address: str, service: Service) -> None:
        print(f"stylecine serves at {address} (Ctrl-C ends it)", flush=True)

    with _listening(settings.host, settings.port) as listener:
        _run(create_app(settings, tokens=tokens), listener, begun)


def studio(settings: Settings, photo: Path | None, *, port: int | None, browser: bool) -> None:
    """The same with the studio's page, which a browser is told to open, with a photo or without.

    port: None: 8351, or any free one where that is taken.
    """

    async def begun(address: str, service: Service) -> None:
        if photo is not None:
            address += f"?scene={await _opened(service, photo)}"
        print(f"stylecine's studio: {address} (Ctrl-C ends it)", flush=True)
        if browser and _has_screen():
            await asyncio.to_thread(webbrowser.open, address)

    with listening_for_studio(settings.host, port) as listener:
        _run(create_app(settings, studio=True), listener, begun)


async def _opened(service: Service, photo: Path) -> str:
    """The id of a photo's scene. Raises PhotoError or OutputError."""
    upload = service.store.temporary(".part")
    try:
        await asyncio.to_thread(shutil.copyfile, photo, upload)
        return await service.add_scene(upload, plain_name(photo.name), 1024, 0)
    except OSError as error:
        raise PhotoError(f"The photo '{photo}' cannot be read or copied ({error.strerror}); check it.") from None
    except Problem as problem:
        raise OutputError(problem.detail) from None


Begun = Callable[[str, Service], Awaitable[None]]


def _run(app: FastAPI, listener: socket.socket, begun: Begun) -> None:
    config = uvicorn.Config(
        app,
        http=_Prompt,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=CONNECTIONS,
    )
    server = _Server(config, app.state.service, begun)
    server.run(sockets=[listener])
    if server.failure:
        raise server.failure


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # of a socket without its protocol's number asyncio does not know that Nagle's waiting is to be switched off
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


def listening_for_studio(host: str, port: int | None) -> socket.socket:
    """A socket at that port, or at the studio's own, or where that is taken at any that is free."""
    if port is not None:
        return _listening(host, port)
    try:
        return _listening(host, STUDIO)
    except OptionError:
        return _listening(host, 0)


def _has_screen() -> bool:
    """Whether a browser would have a window of its own, and not take the terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class _Server(uvicorn.Server):
    """Says when it has begun, and ends what would go on for long as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, service: Service, begun: Begun) -> None:
        super().__init__(config)
        self._service, self._begun = service, begun
        self.failure: Exception | None = None  # for which it has ended by itself

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            host, port = sockets[0].getsockname()[:2]
            try:
                await self._begun(f"http://{f'[{host}]' if ':' in host else host}:{port}/", self._service)
            except Exception as error:
                self.failure, self.should_exit = error, True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To be ended by a signal is how it ends well, so nobody is told of the signal afterwards."""
        heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What goes on for long ends at once; a second signal changes nothing."""
        if not self.should_exit:
            self.should_exit = True
            asyncio.get_running_loop().call_soon_threadsafe(self._service.hang_up)


class _Prompt(H11Protocol):
    """Hangs up where a request's header takes too long to come, or the rest of a body that was refused."""

    _timer: TimerHandle | None = None
    _impatient: "_Impatient"

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._impatient = _Impatient(transport, self.loop)
        super().connection_made(cast(Transport, self._impatient))
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """The time runs while there is nothing else to do for this connection."""
        refused = self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        waits = self.conn.their_state is h11.IDLE or refused
        if waits and self._timer is None:
            self._timer = self.loop.call_later(HEAD, self.transport.close)
        elif not waits and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        self._impatient.lost()


class _Impatient:
    """A transport that, once it is closed, gives up what whoever asked does not read; else it would stay for ever."""

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._timer: TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if self._timer is None and self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(guards.STALLED, self._transport.abort)
        self._transport.close()

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
