"""Rows of the store -> what is answered; and what routes share."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from stylecine.server import schemas
from stylecine.server.service import Service
from stylecine.server.store import Row

T = TypeVar("T")


class Gone(Exception):
    """Whoever asked has hung up."""


def scene(row: Row, status: int = 200) -> Response:
    """A schemas.Scene as the store has it, whose strokes may be long: they were checked when they came."""
    here = f"/v1/scenes/{row['id']}"
    links = {
        "self": here,
        "photo": f"{here}/photo",
        "file": f"{here}/file",
        "live": f"{here}/live",
        "preview": f"{here}/preview",
    }
    same = ("id", "state", "name", "width", "height", "moving", "classes", "edits", "warning", "problem")
    times = {name: _time(row[name]) for name in ("created", "expires")}
    content = to_json({name: row[name] for name in same} | times | {"links": links})
    headers = {"Location": here} if status in (201, 202) else {}
    return Response(content, status, headers, "application/json")


def job(service: Service, row: Row) -> schemas.Job:
    here = f"/v1/animations/{row['id']}"
    links = {"self": here, "events": f"{here}/events", "result": f"{here}/result"}
    stage, done, total, share = service.share(row)
    same = ("id", "scene", "state", "format", "bytes", "warning", "problem")
    times = {name: _time(row[name]) for name in ("created", "started", "finished", "expires")}
    progress = schemas.Progress(stage=stage, done=done, total=total, share=share)
    return schemas.Job(**{name: row[name] for name in same}, **times, progress=progress, links=links)


def file_name(name: str, ending: str) -> str:
    """What a file made of a photo of that name is called."""
    return f"{Path(name).stem}.{ending}"


def attached(name: str, ending: str) -> dict[str, str]:
    """Headers that have a browser save it."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name(name, ending), safe='')}"}


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has what is called so already (If-None-Match)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in known


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The work's outcome; where the client hangs up meanwhile the work is cancelled, and Gone raised."""
    doing, hearing = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({doing, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Gone
        return doing.result()
    finally:
        hearing.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _time(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
