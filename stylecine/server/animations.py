"""/v1/animations: files made of scenes, as jobs that continue when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import FileResponse, StreamingResponse

from stylecine.options import preset_defaults
from stylecine.output.formats import SERVED
from stylecine.server import schemas
from stylecine.server.problems import PROBLEM, Problem
from stylecine.server.ranges import asked_range
from stylecine.server.responses import binary, file_name, job, not_modified
from stylecine.server.service import Service

MAX_EVENT_RATE = 10  # a second
FINAL = ("done", "failed", "cancelled")
FILES = binary(*(form.media_type.partition(";")[0] for form in SERVED.values()))
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", *FINAL]},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "the job"},
    },
    "required": ["event", "data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": EVENT}}}}

Key = Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


def routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/animations", tags=["animations"], responses=PROBLEM)

    @router.post("", status_code=202)
    async def animate(options: schemas.Animation, response: Response, idempotency_key: Key = None) -> schemas.Job:
        """Makes a file of a scene as it is now. A repeated Idempotency-Key returns the first job."""
        row = await service.add_animation(await _chosen(service, options), idempotency_key)
        response.headers["Location"] = f"animations/{row['id']}"
        return job(service, row)

    @router.get("/{id}")
    async def get_job(id: str) -> schemas.Job:
        """The state and progress of a job."""
        return job(service, service.animation(id))

    @router.get("/{id}/events", response_class=StreamingResponse, responses=EVENTS)
    async def get_events(id: str) -> StreamingResponse:
        """Server-sent events: "progress" during the work, then "done", "failed" or "cancelled"; each with the job."""
        service.animation(id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(service, id), media_type="text/event-stream", headers=headers)

    @router.get(
        "/{id}/result",
        response_class=FileResponse,
        responses={200: FILES, 206: FILES | {"description": "Part of it"}, 304: {"description": "Not changed"}},
    )
    async def get_result(request: Request, id: str) -> Response:
        """The file, or a range of it."""
        row = service.animation(id)
        if row["state"] != "done":
            raise Problem(409, "NotDone", f"There is no result, because the animation is {row['state']}.")
        format, headers = row["format"], {"Cache-Control": "private"}
        media_type = SERVED[format].media_type
        path, name = service.store.result(id, format), file_name(row["name"], format)
        try:
            response = FileResponse(path, 200, headers, media_type, filename=name, stat_result=path.stat())
        except FileNotFoundError:
            raise await service.result_cause(id) from None
        etag = response.headers["etag"]
        if not_modified(request, etag):
            return Response(status_code=304, headers=headers | {"ETag": etag})
        same = request.headers.get("if-range", etag) in (etag, response.headers["last-modified"])
        if not same or asked_range(request, row["bytes"]) is None:  # then all is sent
            request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        return response

    @router.delete("/{id}", responses={204: {"description": "Removed, with its result"}})
    async def delete(id: str) -> schemas.Job:
        """Cancels an unfinished animation; removes a finished one (204)."""
        row = await service.delete_animation(id)
        return Response(status_code=204) if row is None else job(service, row)  # type: ignore[return-value]

    return router


async def _chosen(service: Service, options: schemas.Animation) -> dict[str, Any]:
    """The options of an animation, of which a preset sets those that are not given."""
    chosen = options.model_dump(exclude={"preset"})
    if options.preset is None:
        return chosen
    given = options.model_fields_set - {"size"}  # which is a number here, of a picture that is a crop
    others = preset_defaults(options.preset, given, video=options.format == "mp4")
    width, height, _ = others.pop("size")
    scene = await service.ready_scene(options.scene)
    others["crop"] = f"{width}:{height}"
    full = min(scene["width"], scene["height"] * width / height)  # width of its largest such window
    if full > width:
        others["size"] = round(min(scene["width"], scene["height"]) * width / full)
    return chosen | {name: value for name, value in others.items() if name not in options.model_fields_set}


async def _events(service: Service, id: str) -> AsyncIterator[str]:
    last_text = ""
    async for _ in service.changes(id):
        row = service.store.animation(id)
        if row is None:  # deleted meanwhile
            return
        state = row["state"] if row["state"] in FINAL else "progress"
        text = f"event: {state}\ndata: {job(service, row).model_dump_json()}\n\n"
        yield text if text != last_text else ":\n\n"  # a comment, which keeps the connection alive
        last_text = text
        if state in FINAL:
            return
        await asyncio.sleep(1 / MAX_EVENT_RATE)
