"""The ASGI app: routes, middleware, and the service that starts and stops with it."""

import mimetypes
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import stylecine
from stylecine.server import animations, monitoring, pages, scenes, schemas
from stylecine.server.declared import declared_js
from stylecine.server.problems import add_problem_handlers, refuse_unknown_parameters
from stylecine.server.security import SecurityMiddleware
from stylecine.server.service import Service
from stylecine.server.settings import Settings
from stylecine.server.store import Store

PACKAGE = Path(stylecine.__file__).parent


def create_app(settings: Settings, *, tokens: Iterable[str] = (), studio: bool = False) -> FastAPI:
    """The service. tokens: every request needs one of them, if there are any. studio: also serve the studio's page.

    Raises OutputError if the data folder cannot be used.
    """
    tokens = tuple(tokens)
    service = Service(settings, Store(settings.data))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.close()

    app = FastAPI(
        title="stylecine",
        version=stylecine.__version__,
        description="Turns landscape photos into seamless video loops.",
        lifespan=lifespan,
        docs_url=None,  # it would load scripts from other sites; `pages` has another
        redoc_url=None,
    )
    app.state.service = service
    metrics = monitoring.Metrics(service)
    for routes in (scenes.routes(service), animations.routes(service)):
        app.include_router(routes, dependencies=[Depends(refuse_unknown_parameters)])
    app.include_router(monitoring.routes(service, metrics))
    app.include_router(pages.routes(app, studio=studio))
    if studio:
        _add_studio(app)
    add_problem_handlers(app)

    @app.exception_handler(ClientDisconnect)
    async def _(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # only for the metrics

    names = None if tokens and not settings.names else (*settings.names, settings.host)
    upload_bytes = int(1e6 * settings.upload_mb)
    app.add_middleware(SecurityMiddleware, names=names, tokens=tokens, upload_bytes=upload_bytes)
    app.add_middleware(metrics.middleware)
    app.add_middleware(_head_middleware)
    app.openapi = lambda: _openapi(app, bool(tokens))  # type: ignore[method-assign]
    return app


def _head_middleware(app: ASGIApp) -> ASGIApp:
    """Handles HEAD as GET without a body; routes see "head" in the scope."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await app({**scope, "method": "GET", "head": True}, receive, send_head)
        else:
            await app(scope, receive, send)

    return handle


def _add_studio(app: FastAPI) -> None:
    page = PACKAGE / "server/studio/index.html"

    @app.get("/", include_in_schema=False)
    async def studio() -> FileResponse:
        return FileResponse(page, headers={"Cache-Control": "no-cache"})

    @app.get("/studio/declared.js", include_in_schema=False)
    async def declared() -> Response:
        return Response(declared_js(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    mimetypes.add_type("image/webp", ".webp")  # Python < 3.13 does not know it by itself
    app.mount("/studio", StaticFiles(directory=PACKAGE / "server/studio", check_dir=False))
    app.mount("/player", StaticFiles(directory=PACKAGE / "player", check_dir=False))


def _openapi(app: FastAPI, needs_token: bool) -> dict[str, Any]:
    """OpenAPI 3.1, with problems and the token."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["components"]["schemas"]["Problem"] = schemas.Problem.model_json_schema()
        if needs_token:
            schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
