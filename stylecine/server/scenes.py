"""/v1/scenes: photos, their edits, and how they look."""

import asyncio
import hashlib
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from stylecine import __version__
from stylecine.errors import OptionError
from stylecine.options import check_wind
from stylecine.server import schemas
from stylecine.server.answers import Gone, attached, is_known, scene, unless_gone
from stylecine.server.problems import Problem, documented, not_found, of_error
from stylecine.server.service import Service, full
from stylecine.server.store import Row

Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for it to be ready")]
ALWAYS = (401, 408, 413, 421)  # a guard may answer so to anything
PHOTO = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
PACK: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


def _look(
    seconds: Annotated[float, Query(gt=0, le=3600, allow_inf_nan=False)] = 4,
    fps: Annotated[float, Query(gt=0, le=240, allow_inf_nan=False)] = 30,
    speed: Annotated[float, Query(gt=0, le=100, allow_inf_nan=False)] = 1,
    detail: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] = 1,
    subject: schemas.Subject = "landscape",
    wind: Annotated[str | None, Query(max_length=60, description=f"270,0.6: {schemas.WIND}")] = None,
) -> dict[str, Any]:
    try:
        blown = None if wind is None else check_wind(wind.split(","))
    except OptionError as error:
        raise of_error("OptionError", str(error)) from None
    look = {"seconds": seconds, "fps": fps, "speed": speed, "detail": detail, "subject": subject}
    return look | {"wind": blown and [blown.degrees, blown.strength]}


LiveLook = Annotated[dict[str, Any], Depends(_look)]  # what may change from one look to the next


def routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/scenes", tags=["scenes"])
    settings = service.settings
    coming: set[Path] = set()  # uploads under way

    @router.post(
        "",
        status_code=201,
        openapi_extra=PHOTO,
        response_model=schemas.Scene,
        responses={
            202: {"model": schemas.Scene, "description": "Still being made"},
            **documented(*ALWAYS, 403, 404, 415, 422, 429, 500, 503),
        },
    )
    async def open_scene(
        request: Request,
        name: Annotated[str, Query(max_length=255)] = "photo",
        size: Annotated[int, Query(ge=64, le=settings.size, description="short side, never enlarged")] = min(
            1024, settings.size
        ),
        refine: Annotated[int, Query(ge=0, le=200)] = 0,
        wait: Wait = 30,
    ) -> Response:
        """Understands a photo, or opens a .cine file; the body is its bytes."""
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise Problem(415, "NoPhoto", "Send the photo's bytes themselves as the body, not a form.")
        service.require_room_for_scene()
        upload = await _received(request, service, coming)
        try:
            id = await service.add_scene(upload, plain_name(name), size, refine)
        finally:
            upload.unlink(missing_ok=True)
        try:
            row = await unless_gone(request, _waited(service, id, wait))
        except Gone:
            await service.delete_scene(id)
            raise
        if row["state"] == "failed":
            await service.delete_scene(id)
            raise Problem.again(row["problem"])
        return scene(row, 201 if row["state"] == "ready" else 202)

    @router.get("/{id}", response_model=schemas.Scene, responses=documented(*ALWAYS, 404, 422))
    async def get_scene(request: Request, id: str, wait: Wait = 0) -> Response:
        """A scene, once it is ready or after `wait` seconds."""
        return scene(await unless_gone(request, _waited(service, id, wait)))

    @router.delete("/{id}", status_code=204, responses=documented(*ALWAYS, 403, 404, 422))
    async def delete_scene(id: str) -> None:
        """Removes a scene, and cancels what is still to be made of it."""
        await service.delete_scene(id)

    @router.patch(
        "/{id}",
        response_model=schemas.Scene,
        responses=documented(*ALWAYS, 400, 403, 404, 409, 422, 429, 500, 503),
    )
    async def edit_scene(request: Request, id: str, edits: schemas.Edits) -> Response:
        """Replaces the list of edits: all of them or, where one is impossible, none."""
        asked = [edit.model_dump(exclude_unset=isinstance(edit, schemas.KnownEdit)) for edit in edits.edits]
        return scene(await unless_gone(request, service.edit_scene(id, asked)))

    @router.get(
        "/{id}/photo",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
            **documented(*ALWAYS, 404, 409, 422),
        },
    )
    async def get_photo(id: str) -> Response:
        """The photo as it was sized, a PNG."""
        row = await service.ready_scene(id)
        try:
            content = await asyncio.to_thread(_photo_in, service.store.cine(row["id"]))
        except FileNotFoundError:  # deleted meanwhile
            raise not_found("scene") from None
        return Response(content, media_type="image/png")

    @router.get(
        "/{id}/file", response_class=Response, responses={**PACK, **documented(*ALWAYS, 404, 409, 422, 429, 500, 503)}
    )
    async def get_file(request: Request, id: str) -> Response:
        """The scene with its edits, as a .cine file."""
        row = await service.ready_scene(id)
        headers = attached(row["name"], "cine")
        return await _made(request, service, row, "file", ".cine", "application/octet-stream", headers)

    @router.get(
        "/{id}/live",
        response_class=Response,
        responses={**PACK, 304: {"description": "Not changed"}, **documented(*ALWAYS, 404, 409, 422, 429, 500, 503)},
    )
    async def get_live(
        request: Request,
        id: str,
        look: LiveLook,
        size: Annotated[int, Query(ge=64, le=8192, description="short side, at most the photo's")] = 720,
    ) -> Response:
        """All that the player needs to show the loop: a safetensors file."""
        service.check_loop(look)
        row = await service.ready_scene(id)
        look = {"size": size, **look}
        tag = _tag(row, look)
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if is_known(request, tag):
            return Response(status_code=304, headers=headers)
        return await _made(request, service, row, "live", ".pack", "application/octet-stream", headers, **look)

    @router.get(
        "/{id}/preview",
        response_class=Response,
        responses={
            200: {
                "content": {
                    f"{kind}/{form}": {"schema": {"type": "string", "format": "binary"}}
                    for kind, form in (("video", "mp4"), ("image", "webp"))
                }
            },
            **documented(*ALWAYS, 404, 409, 422, 429, 500, 503),
        },
    )
    async def get_preview(
        request: Request,
        id: str,
        look: LiveLook,
        size: Annotated[int, Query(ge=64, le=512, description="short side")] = 256,
        format: Literal["mp4", "webp"] = "mp4",
    ) -> Response:
        """A small, quick loop."""
        service.check_loop(look)
        row = await service.ready_scene(id)
        kind = {"mp4": "video/mp4", "webp": "image/webp"}[format]
        return await _made(request, service, row, "animate", f".{format}", kind, {}, size=size, **look)

    return router


async def _received(request: Request, service: Service, coming: set[Path]) -> Path:
    """The body in a file of its own, which is not there if anything goes wrong."""
    if len(coming) >= service.settings.waiting:
        raise full(f"{len(coming)} others are being sent")
    path = service.store.temporary(".part")
    coming.add(path)
    try:
        with path.open("wb") as file:
            async for chunk in request.stream():
                service.require_disk()
                file.write(chunk)
            if not file.tell():
                raise Problem(422, "PhotoError", "The photo is empty; send its bytes as the body.")
    except OSError:
        path.unlink(missing_ok=True)
        raise full("there is no room left on the disk") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        coming.remove(path)
    return path


async def _waited(service: Service, id: str, wait: float) -> Row:
    """A scene, once it is ready or has failed or time is over."""
    states = ("ready", "failed")
    if service.scene(id)["state"] not in states and wait:
        try:
            async with asyncio.timeout(wait):
                await service.changed(
                    id, until=lambda: (service.store.scene(id) or {"state": "failed"})["state"] in states
                )
        except TimeoutError:
            pass
    return service.scene(id)


async def _made(
    request: Request,
    service: Service,
    row: Row,
    task: str,
    ending: str,
    kind: str,
    headers: dict[str, str],
    **options: Any,
) -> Response:
    """The file that a task makes; for HEAD nothing is made, so it is not told how long that would be."""
    if "head" in request.scope:
        answer = Response(media_type=kind, headers=headers)
        del answer.headers["content-length"]
        return answer
    path = await unless_gone(request, service.made(row, task, ending, **options))
    try:
        return Response(await asyncio.to_thread(path.read_bytes), media_type=kind, headers=headers)
    finally:
        path.unlink(missing_ok=True)


def _photo_in(cine: Path) -> bytes:
    with zipfile.ZipFile(cine) as archive:
        return archive.read("photo.png")


def plain_name(name: str) -> str:
    """A file's name without folders and without what could hurt in a header or a terminal."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip(". ")[:120] or "photo"


def _tag(row: Row, look: dict[str, Any]) -> str:
    told = f"{__version__} {row['id']} {row['version']} {sorted(look.items())}"
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'
