"""Rows of the store as responses, and what the routes share."""

import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from stylecine.server import schemas
from stylecine.server.service import Service
from stylecine.server.store import Row

OCTETS = "application/octet-stream"

T = TypeVar("T")


def binary(*media_types: str) -> dict[str, Any]:
    """For OpenAPI: content of one of these types."""
    return {"content": {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}}


def scene(row: Row, status: int = 200) -> Response:
    """A schemas.Scene, not validated again: its strokes may be long, and were checked in the request.

    Location is relative to the request, so that it is right below whatever prefix a proxy strips.
    """
    link = f"/v1/scenes/{row['id']}"
    parts = ("photo", "file", "live", "wind", "seam", "doubts", "preview", "styles", "explanation")
    links = {"self": link} | {name: f"{link}/{name}" for name in parts}
    names = ("id", "state", "name", "width", "height", "moving", "classes", "edits", "warning", "problem")
    times = {name: _time(row[name]) for name in ("created", "expires")}
    content = json.dumps({name: row[name] for name in names} | times | {"links": links}, separators=(",", ":"))
    headers = {"Location": f"scenes/{row['id']}"} if status in (201, 202) else {}
    return Response(content, status, headers, "application/json")


def job(service: Service, row: Row) -> schemas.Job:
    link = f"/v1/animations/{row['id']}"
    links = {"self": link, "events": f"{link}/events", "result": f"{link}/result"}
    names = ("id", "scene", "state", "format", "bytes", "warning", "problem")
    times = {name: _time(row[name]) for name in ("created", "started", "finished", "expires")}
    return schemas.Job(**{name: row[name] for name in names}, **times, progress=service.reached(row), links=links)


def file_name(photo: str, suffix: str) -> str:
    """The name of a file made from a photo."""
    return f"{Path(photo).stem}.{suffix}"


def attachment(photo: str, suffix: str) -> dict[str, str]:
    """Headers that make a browser save the file."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name(photo, suffix), safe='')}"}


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client already has this version (If-None-Match)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag in known


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is cancelled if the client disconnects. Raises ClientDisconnect."""
    task, disconnect = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        disconnect.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _time(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
