"""/v1/animations: files made of scenes, each by a job that survives whoever asked for it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import FileResponse, StreamingResponse

from stylecine.server import schemas
from stylecine.server.answers import file_name, is_known, job
from stylecine.server.problems import Problem, documented, not_found
from stylecine.server.scenes import ALWAYS
from stylecine.server.service import Service

EVENTS = 10  # a second, at most
BEAT = 15.0  # seconds after which a silent stream says that it is alive
KINDS = {
    **{"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif"},
    **{"apng": "image/apng", "png": "image/png", "zip": "application/zip", "html": "text/html; charset=utf-8"},
}
OVER = ("done", "failed", "cancelled")
BINARY = {"schema": {"type": "string", "format": "binary"}}
FILES = {"content": {kind.partition(";")[0]: BINARY for kind in KINDS.values()}}
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", *OVER]},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "the job"},
    },
    "required": ["event", "data"],
}
TOLD: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": EVENT}}}}

Key = Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


def routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/animations", tags=["animations"])

    @router.post("", status_code=202, responses=documented(*ALWAYS, 400, 403, 404, 409, 422, 429, 503))
    async def animate(asked: schemas.Animation, response: Response, idempotency_key: Key = None) -> schemas.Job:
        """Asks for a file of a scene as it is now. The same Idempotency-Key asks for the same job."""
        row = await service.add_animation(asked.model_dump(), idempotency_key)
        response.headers["Location"] = f"/v1/animations/{row['id']}"
        return job(service, row)

    @router.get("/{id}", responses=documented(*ALWAYS, 404, 422))
    async def get_job(id: str) -> schemas.Job:
        """How far it is."""
        return job(service, service.animation(id))

    @router.get("/{id}/events", response_class=StreamingResponse, responses={**TOLD, **documented(*ALWAYS, 404, 422)})
    async def get_events(id: str) -> StreamingResponse:
        """Server-sent events: "progress" while it goes on, then "done", "failed" or "cancelled"; each with the job."""
        service.animation(id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(service, id), media_type="text/event-stream", headers=headers)

    @router.get(
        "/{id}/result",
        response_class=FileResponse,
        responses={
            200: FILES,
            206: FILES | {"description": "Part of it"},
            304: {"description": "Not changed"},
            **documented(*ALWAYS, 404, 409, 416, 422),
        },
    )
    async def get_result(request: Request, id: str) -> Response:
        """The file, or the range of it that is asked for."""
        row = service.animation(id)
        if row["state"] != "done":
            raise Problem(409, "NotDone", f"There is no result, because the animation is {row['state']}.")
        form, headers = row["format"], {"Cache-Control": "private"}
        path, name = service.store.result(id, form), file_name(row["name"], form)
        try:
            answer = FileResponse(path, 200, headers, KINDS[form], filename=name, stat_result=path.stat())
        except FileNotFoundError:  # deleted meanwhile
            raise not_found("animation") from None
        tag = answer.headers["etag"]
        if is_known(request, tag):
            return Response(status_code=304, headers=headers | {"ETag": tag})
        if request.headers.get("if-range", tag) in (tag, answer.headers["last-modified"]):  # else all of it is sent
            _check_range(request, row["bytes"])
        return answer

    @router.delete(
        "/{id}",
        responses={204: {"description": "Removed, with its result"}, **documented(*ALWAYS, 403, 404, 422)},
    )
    async def delete(id: str) -> schemas.Job:
        """Cancels an animation that is not finished; removes one that is (204)."""
        row = await service.delete_animation(id)
        return Response(status_code=204) if row is None else job(service, row)  # type: ignore[return-value]

    return router


async def _events(service: Service, id: str) -> AsyncIterator[str]:
    told, heard = "", time.monotonic()
    async for _ in service.changes(id):
        row = service.store.animation(id)
        if row is None:  # deleted meanwhile
            return
        state = row["state"] if row["state"] in OVER else "progress"
        text = f"event: {state}\ndata: {job(service, row).model_dump_json()}\n\n"
        if text != told:
            told, heard = text, time.monotonic()
            yield text
        elif time.monotonic() - heard > BEAT:
            heard = time.monotonic()
            yield ":\n\n"
        if state in OVER:
            return
        await asyncio.sleep(1 / EVENTS)


def _check_range(request: Request, length: int) -> None:
    """Has a Range that is none, or names several, ignored, as HTTP allows. Raises a 416 for one past the end."""
    asked = request.headers.get("range")
    if asked is None:
        return
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked)
    begin, end = (int(text) if text else None for text in found.groups()) if found else (None, None)
    if (begin is None and end is None) or (begin is not None and end is not None and end < begin):
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
    elif (begin is not None and begin >= length) or (begin is None and end == 0):
        detail = f"The result has {length} bytes; ask for a range inside of it."
        raise Problem(416, "RangeNotSatisfiable", detail, {"Content-Range": f"bytes */{length}"})
