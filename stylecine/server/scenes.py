"""/v1/scenes: photos, their edits and their previews."""

import asyncio
import hashlib
import io
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from PIL import Image
from pydantic import Field
from starlette.requests import ClientDisconnect

from stylecine.output.formats import SERVED
from stylecine.picture.photo import encode_png
from stylecine.picture.transparency import flattened, split_alpha
from stylecine.server import schemas
from stylecine.server.problems import PROBLEM, Problem, scene_lost
from stylecine.server.ranges import ACCEPTED, in_part
from stylecine.server.responses import OCTETS, attachment, binary, not_modified, scene, while_connected
from stylecine.server.security import MIN_BODY_RATE, too_slow
from stylecine.server.service import Service, store_full
from stylecine.server.settings import IMPRESSION
from stylecine.server.store import UNREADABLE, Row
from stylecine.version import __version__

Name = Annotated[str, Query(max_length=255)]
WindText = Annotated[str, Field(max_length=60)]
STALLED = 3.0  # seconds after which a body slower than MIN_BODY_RATE gives way to another
Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for it to be ready")]
Side = Annotated[int, Query(ge=64, le=8192, description="short side, at most the photo's")]
UPLOADED = {"requestBody": {"required": True, **binary(OCTETS)}}  # for OpenAPI: of routes whose body is a file


def _file(*media_types: str, cached: bool = False) -> dict[str, Any]:
    """Of a route that responds with a file of such a type; if it is cached, also with a part of it, or that it has not
    changed."""
    file = binary(*media_types)
    more = {206: file | {"description": "Part of it"}, 304: {"description": "Not changed"}}
    return {"response_class": Response, "responses": {200: file, **(more if cached else {})}}


def _loop_options(**options: Any) -> dict[str, Any]:
    wind = options["wind"]
    return options | {"wind": None if wind is None else wind.split(",")}


# Its parameters for FastAPI; without warp and sampling, as these loops are for the player, which has no choice of them.
_loop_options.__signature__ = Signature(  # type: ignore[attr-defined]
    [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in schemas.loop_options(WindText).items()
        if name not in ("warp", "sampling")
    ]
)
LoopOptions = Annotated[dict[str, Any], Depends(_loop_options)]


def routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/scenes", tags=["scenes"], responses=PROBLEM)
    settings = service.settings
    uploads: set[_Upload] = set()

    async def ready(id: str) -> Row:
        return await service.ready_scene(id)

    def checked(options: LoopOptions) -> dict[str, Any]:
        service.check_loop(options)
        return options

    Ready: TypeAlias = Annotated[Row, Depends(ready)]
    Checked: TypeAlias = Annotated[dict[str, Any], Depends(checked)]

    @router.post(
        "",
        status_code=201,
        openapi_extra=UPLOADED,
        response_model=schemas.Scene,
        responses={202: {"model": schemas.Scene, "description": "Still being made"}},
    )
    async def open_scene(
        request: Request,
        name: Name = "photo",
        size: Annotated[int, Query(ge=64, le=settings.size, description="short side, never enlarged")] = min(
            1024, settings.size
        ),
        refine: Annotated[int, Query(ge=0, le=200)] = 0,
        first: Annotated[int | None, Query(ge=64, le=IMPRESSION, description="short side of the first loop")] = None,
        wait: Wait = 30,
    ) -> Response:
        """Makes a scene of a photo, or opens a .cine file; the body is the file's content."""
        _require_file(request)
        await service.require_room_for_scene()
        upload = await _receive(request, service, uploads)
        try:
            id = await service.add_scene(upload, plain_name(name), size, refine, first)
        finally:
            upload.unlink(missing_ok=True)
        try:
            row = await while_connected(request, _when_made(service, id, wait))
        except ClientDisconnect:
            await service.delete_scene(id)
            raise
        if row["state"] == "failed":
            await service.delete_scene(id)
            raise Problem.from_json(row["problem"])
        return scene(row, 201 if row["state"] == "ready" else 202)

    @router.get("/{id}", response_model=schemas.Scene)
    async def get_scene(request: Request, id: str, wait: Wait = 0) -> Response:
        """A scene, once it is ready or after `wait` seconds."""
        return scene(await while_connected(request, _when_made(service, id, wait)))

    @router.delete("/{id}", status_code=204)
    async def delete_scene(id: str) -> None:
        """Removes a scene, and cancels its unfinished animations."""
        await service.delete_scene(id)

    @router.patch("/{id}", response_model=schemas.Scene)
    async def edit_scene(request: Request, id: str, edits: schemas.Edits) -> Response:
        """Replaces all edits, or none if one is impossible."""
        new = [edit.model_dump(exclude_unset=isinstance(edit, schemas.KnownEdit)) for edit in edits.edits]
        return scene(await while_connected(request, service.edit_scene(id, new)))

    @router.get("/{id}/photo", **_file("image/png"))
    async def get_photo(row: Ready) -> Response:
        """The photo at the scene's size, as PNG."""
        try:
            content = await asyncio.to_thread(_read_photo, service.store.cine(row["id"]))
        except UNREADABLE:
            raise await service.cause(row["id"], scene_lost()) from None
        return Response(content, media_type="image/png")

    @router.get("/{id}/styles", **_file("image/webp", cached=True))
    async def get_styles(request: Request, row: Ready) -> Response:
        """The photo as it is, then in each style, in their order: a row of pictures of 160 by 120 pixels."""
        return await _make_file(request, service, row, "styles", "webp", version=0)  # its edits do not count

    @router.post("/{id}/styles", openapi_extra=UPLOADED, response_model_exclude={"id"})
    async def make_style(request: Request, row: Ready, name: Name = "photo") -> schemas.PhotoStyleEdit:
        """The edit that shows the scene as another photo looks; the body is that photo's file. It is not kept."""
        _require_file(request)
        upload, name = await _receive(request, service, uploads), plain_name(name)
        try:
            row = await service.ready_scene(row["id"])  # it may have been deleted meanwhile
            style = await while_connected(request, service.facts(row, "style", upload=str(upload), name=name))
        finally:
            upload.unlink(missing_ok=True)
        return schemas.PhotoStyleEdit(kind="style", name=name, **style)

    @router.get("/{id}/file", **_file(OCTETS, cached=True))
    async def get_file(request: Request, row: Ready) -> Response:
        """The scene with its edits, as a .cine file."""
        headers = attachment(row["name"], "cine")
        return await _make_file(request, service, row, "file", "cine", headers, version=row["version"])

    @router.get("/{id}/live", **_file(OCTETS, cached=True))
    async def get_live(request: Request, options: Checked, row: Ready, size: Side = 720) -> Response:
        """The loop for the player: a safetensors file."""
        return await _make_file(request, service, row, "live", "pack", version=row["version"], size=size, **options)

    @router.get("/{id}/first", response_class=Response, responses={200: binary(OCTETS), 204: {"description": "None"}})
    async def get_first(request: Request, id: str) -> Response:
        """A first impression of a photo that was sent with `first`, for the player and until the scene is ready: a
        small loop in which other things may move than in the scene's."""
        path = await while_connected(request, service.first_loop(id))
        with suppress(FileNotFoundError):  # the scene is ready meanwhile
            if path is not None:
                return Response(await asyncio.to_thread(path.read_bytes), media_type=OCTETS)
        return Response(status_code=204)

    @router.get("/{id}/wind", **_file(OCTETS))
    async def get_wind(
        request: Request,
        options: Checked,
        row: Ready,
        size: Side = 720,
        quick: Annotated[bool, Query(description="about as it will look, many times as fast")] = False,
    ) -> Response:
        """What another wind changes in the loop for the player: a safetensors file."""
        return await _make_file(request, service, row, "wind", "pack", size=size, quick=quick, **options)

    @router.get("/{id}/seam")
    async def get_seam(request: Request, options: Checked, row: Ready, size: Side = 720) -> schemas.Seam:
        """How the loop's last step compares with its others, and how it should."""
        return schemas.Seam(**await while_connected(request, service.facts(row, "seam", size=size, **options)))

    @router.get("/{id}/doubts")
    async def get_doubts(request: Request, row: Ready) -> schemas.Doubts:
        """Places that move, edits included, although the eye was hardly sure of them."""
        return schemas.Doubts(**await while_connected(request, service.facts(row, "doubts")))

    @router.get("/{id}/preview", **_file("video/mp4", "image/webp", cached=True))
    async def get_preview(
        request: Request,
        options: Checked,
        row: Ready,
        size: Annotated[int, Query(ge=64, le=512, description="short side")] = 256,
        format: Literal["mp4", "webp"] = "mp4",
    ) -> Response:
        """A small, quick loop."""
        return await _make_file(request, service, row, "preview", format, version=row["version"], size=size, **options)

    @router.get("/{id}/explanation", **_file("text/html", cached=True))
    async def get_explanation(request: Request, options: Checked, row: Ready, size: Side = 720) -> Response:
        """An HTML page on how the loop comes about, and on what to do if it disappoints."""
        # its own policy, in a <meta>, allows its style; sandboxed, it is no part of this origin; no script runs, but
        # without allow-scripts its video would not start by itself
        sandbox = "sandbox allow-scripts allow-downloads; script-src 'none'; frame-ancestors 'none'"
        policy, named = {"Content-Security-Policy": sandbox}, {"version": row["version"], "name": row["name"]}
        return await _make_file(request, service, row, "explain", "html", policy, **named, size=size, **options)

    @router.get("/{id}/explanation/progress")
    async def get_explanation_progress(id: str) -> schemas.Progress:
        """How far the page is that a request for the explanation waits for."""
        return service.file_reached(service.scene(id), "explain")

    return router


def _require_file(request: Request) -> None:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Problem(415, "NoPhoto", "Send the photo's bytes as the body, not a form.")


class _Upload:
    """A body that is being received."""

    def __init__(self) -> None:
        self.received = 0  # bytes
        self.start = time.monotonic()
        self.timeout = asyncio.timeout(None)

    @property
    def stalled(self) -> bool:
        return time.monotonic() > self.start + STALLED + self.received / MIN_BODY_RATE


async def _receive(request: Request, service: Service, uploads: set[_Upload]) -> Path:
    """Writes the body to a file, which is removed after an error. If there is no place for it, a stalled one ends."""
    if len(uploads) >= service.settings.waiting:
        stalled = next((upload for upload in uploads if upload.stalled), None)
        if stalled is None:
            raise store_full(f"{len(uploads)} others are being sent")
        uploads.remove(stalled)
        stalled.timeout.reschedule(0)  # the past: it ends at once
    path, upload = service.store.temporary(".part"), _Upload()
    uploads.add(upload)
    try:
        async with upload.timeout:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    await service.require_disk()
                    await asyncio.to_thread(file.write, chunk)
                    upload.received += len(chunk)
        if not upload.received:
            raise Problem(422, "PhotoError", "The photo is empty; send its bytes as the body.")
    except TimeoutError:
        path.unlink(missing_ok=True)
        raise too_slow() from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        uploads.discard(upload)
    return path


async def _when_made(service: Service, id: str, wait: float) -> Row:
    """A scene once it is ready or has failed, or after `wait` seconds."""

    def is_made() -> bool:
        row = service.store.scene(id)
        return row is None or row["state"] in ("ready", "failed")

    service.scene(id)
    if wait and not is_made():
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await service.changed(id, until=is_made)
    return service.scene(id)


async def _make_file(
    request: Request,
    service: Service,
    row: Row,
    task: str,
    format: str,
    headers: Mapping[str, str] | None = None,
    version: Any = None,
    **options: Any,
) -> Response:
    """The file that a task makes; for HEAD nothing is made, so the length is unknown.

    version: what the file depends on besides the scene and the options, if a client may keep it until that changes, and
    have it in parts.
    """
    headers = dict(headers or {})
    if version is not None:
        content_of = f"{__version__} {row['id']} {version} {task} {format} {sorted(options.items())}"
        etag = f'"{hashlib.sha256(content_of.encode()).hexdigest()[:32]}"'
        headers |= {"ETag": etag, "Cache-Control": "no-cache", **ACCEPTED}
        if not_modified(request, etag):
            return Response(status_code=304, headers=headers)
    media_type = SERVED[format].media_type if format in SERVED else OCTETS
    if "head" in request.scope:
        response = Response(media_type=media_type, headers=headers)
        del response.headers["content-length"]
        return response
    content = service.recent.get(etag) if version is not None else None
    if content is None:
        path = await while_connected(request, service.make_file(row, task, f".{format}", **options))
        try:
            content = await asyncio.to_thread(path.read_bytes)
        finally:
            path.unlink(missing_ok=True)
    if version is None:
        return Response(content, media_type=media_type, headers=headers)
    if "range" in request.headers:
        service.recent.keep(etag, content)
    return in_part(request, content, media_type, headers)


def _read_photo(cine: Path) -> bytes:
    """PNG, over a colour where the photo is transparent."""
    with zipfile.ZipFile(cine) as archive:
        content = archive.read("photo.png")
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        if image.mode == "RGB":
            return content
        photo, alpha = split_alpha(np.array(image))
    assert alpha is not None
    return encode_png(flattened(photo, alpha))


def plain_name(name: str) -> str:
    """A file's name without folders and without characters that could do harm in a header or a terminal."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip(". ")[:120] or "photo"
