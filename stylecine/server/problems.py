"""What went wrong, as application/problem+json (RFC 9457): the one place that knows which error is which status."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"

# By the names of errors.py, as workers tell them; all others are 422: what was asked for cannot be done.
STATUS = {
    "TooLarge": 413,
    "Cancelled": 409,
    "WeightsError": 500,
    "WeightsNotFound": 500,
    "ChecksumMismatch": 500,
    "LicenceNotAccepted": 500,
    "WeightsMalformed": 500,
    "KernelUnavailable": 500,
    "OutputError": 500,
    "InternalError": 500,
    "WorkerLost": 500,
    "TookTooLong": 503,
    "NotReady": 503,
}


class Problem(Exception):
    """An answer that is no success: `name` says what kind in CamelCase, `detail` in one sentence what to do."""

    def __init__(self, status: int, name: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.headers = status, name, detail, dict(headers or {})

    @property
    def json(self) -> dict[str, Any]:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.name).split()
        return {
            "type": f"urn:stylecine:{'-'.join(words).lower()}",
            "title": " ".join(words).capitalize(),
            "status": self.status,
            "detail": self.detail,
        }

    @classmethod
    def again(cls, told: Mapping[str, Any]) -> Self:
        """The problem that `json` tells of."""
        name = told["type"].removeprefix("urn:stylecine:").title().replace("-", "")
        return cls(told["status"], name, told["detail"])

    def response(self) -> Response:
        return JSONResponse(self.json, self.status, self.headers, MEDIA_TYPE)


def of_error(name: str, detail: str) -> Problem:
    """The problem that an error of stylecine is."""
    return Problem(STATUS.get(name, 422), name, detail)


def not_found(what: str) -> Problem:
    return Problem(404, "NotFound", f"There is no such {what}; it may have expired or been deleted.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the problems that a route may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def answer_problems(app: FastAPI) -> None:
    """Has every error of the app, the framework's own too, answered as a problem."""

    @app.exception_handler(Problem)
    async def _(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, Problem):  # a guard's, which the framework took for an unreadable body
            return error.__cause__.response()
        phrase = HTTPStatus(error.status_code).phrase
        headers = {"Allow": _methods_at(app, request.url.path)} if error.status_code == 405 else error.headers
        detail = {
            404: f"There is nothing at {request.url.path[:200]}; /openapi.json tells what there is.",
            405: f"{request.method} is not for this address; /openapi.json tells what is.",
        }.get(error.status_code, f"{error.detail}.")
        return Problem(error.status_code, phrase.title().replace(" ", ""), detail, headers).response()

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        return Problem(422, "InvalidRequest", f"{where}: {first['msg']}.").response()

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        return Problem(
            500, "InternalError", "Something went wrong inside of the service; its log says what."
        ).response()


def _methods_at(app: FastAPI, path: str) -> str:
    """What an address can be asked for; each route of the framework knows its own method only."""
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            methods = {method.upper() for method in operations}
            return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return "GET, HEAD"  # the studio's files
