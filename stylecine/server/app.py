"""The app: its routes, its guards, and what begins and ends with it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import stylecine
from stylecine.server import animations, monitoring, scenes, schemas
from stylecine.server.answers import Gone
from stylecine.server.guards import Guard
from stylecine.server.limits import Settings
from stylecine.server.metrics import Metrics
from stylecine.server.problems import answer_problems
from stylecine.server.service import Service
from stylecine.server.store import Store

PACKAGE = Path(stylecine.__file__).parent


def create_app(settings: Settings, *, tokens: Iterable[str] = (), studio: bool = False) -> FastAPI:
    """The service. tokens: one of which every request has to bring, unless there are none. studio: with its page.

    Raises OutputError where the data folder cannot be used.
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
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    metrics = Metrics(service)
    for routes in (scenes.routes(service), animations.routes(service), monitoring.routes(service, metrics)):
        app.include_router(routes)
    if studio:
        _add_studio(app)
    answer_problems(app)

    @app.exception_handler(ClientDisconnect)
    @app.exception_handler(Gone)
    async def _(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody hears it

    names = None if tokens and not settings.names else (*settings.names, settings.host)
    app.add_middleware(Guard, names=names, tokens=tokens, uploads=int(1e6 * settings.upload_mb))
    app.add_middleware(metrics.counting)
    app.add_middleware(_with_head)
    app.openapi = lambda: _described(app, bool(tokens))  # type: ignore[method-assign]
    return app


def _with_head(app: ASGIApp) -> ASGIApp:
    """HEAD is answered as GET, up to where the body begins; routes find "head" in the scope."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        async def head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await app({**scope, "method": "GET", "head": True}, receive, head)
        else:
            await app(scope, receive, send)

    return answered


def _add_studio(app: FastAPI) -> None:
    page = PACKAGE / "server/studio/index.html"

    @app.get("/", include_in_schema=False)
    async def studio() -> FileResponse:
        return FileResponse(page, headers={"Cache-Control": "no-cache"})

    app.mount("/studio", StaticFiles(directory=PACKAGE / "server/studio", check_dir=False))
    app.mount("/player", StaticFiles(directory=PACKAGE / "player", check_dir=False))


def _described(app: FastAPI, guarded: bool) -> dict[str, Any]:
    """OpenAPI 3.1, problems and the token included."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        told["components"]["schemas"]["Problem"] = schemas.Problem.model_json_schema()
        if guarded:
            told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            told["security"] = [{"token": []}]
        app.openapi_schema = told
    return app.openapi_schema
