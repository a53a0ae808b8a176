"""Errors as application/problem+json (RFC 9457), and the status of each."""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from stylecine.errors import StylecineError
from stylecine.server.store import is_busy, is_full

MEDIA_TYPE = "application/problem+json"
# For OpenAPI: how any request may be answered.
PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}

# By the name in errors.py; the others are 422: the request cannot be fulfilled.
STATUS = {
    "TooLarge": 413,
    "WeightsError": 500,
    "WeightsNotFound": 500,
    "ChecksumMismatch": 500,
    "LicenceNotAccepted": 500,
    "WeightsMalformed": 500,
    "KernelUnavailable": 500,
    "OutputError": 500,
    "DiskFull": 507,
}


class Problem(Exception):
    """An error response: `name` is its type in CamelCase, `detail` one sentence that says what to do."""

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
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """The inverse of `json`."""
        name = json["type"].removeprefix("urn:stylecine:").title().replace("-", "")
        return cls(json["status"], name, json["detail"])

    def response(self) -> Response:
        return JSONResponse(self.json, self.status, self.headers, MEDIA_TYPE)


def problem_of(error: StylecineError) -> Problem:
    name = type(error).__name__
    return Problem(STATUS.get(name, 422), name, str(error))


def not_found(what: str) -> Problem:
    return Problem(404, "NotFound", f"There is no such {what}; it may have expired or been deleted.")


def disk_full() -> Problem:
    detail = "There is no room left on the service's disk; try again later."
    return Problem(507, "DiskFull", detail, {"Retry-After": "60"})


def scene_lost() -> Problem:
    detail = "The scene's file is missing or damaged in the service; delete the scene and send its photo again."
    return Problem(500, "FileLost", detail)


def animation_lost() -> Problem:
    detail = "The animation's file is missing or cut short in the service; request it again."
    return Problem(500, "FileLost", detail)


def add_problem_handlers(app: FastAPI) -> None:
    """Makes the app respond with a problem to every error, including the framework's own."""

    @app.exception_handler(Problem)
    async def _(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, Problem):  # from the middleware; to the framework it was an unreadable body
            return error.__cause__.response()
        phrase = HTTPStatus(error.status_code).phrase
        headers = {"Allow": _methods_at(app, request.url.path)} if error.status_code == 405 else error.headers
        detail = {
            404: f"There is nothing at {request.url.path[:200]}; /openapi.json lists what there is.",
            405: f"This address does not accept {request.method}; /openapi.json lists what it accepts.",
        }.get(error.status_code, f"{error.detail}.")
        return Problem(error.status_code, phrase.title().replace(" ", ""), detail, headers).response()

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            before = str(error.body)[: first["loc"][-1]].split("\n")
            place = f"line {len(before)}, column {len(before[-1]) + 1}"
            reason = first["ctx"]["error"]
            return Problem(422, "InvalidRequest", f"The body is not JSON at {place}: {reason}; correct it.").response()
        return Problem(422, "InvalidRequest", _sentence(first, request)).response()

    @app.exception_handler(OSError)
    @app.exception_handler(sqlite3.OperationalError)
    async def _(request: Request, error: Exception) -> Response:
        if is_full(error):
            return disk_full().response()
        if is_busy(error):
            detail = "Another program holds the service's database; try again in a few seconds."
            return Problem(503, "StoreBusy", detail, {"Retry-After": "5"}).response()
        raise error

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        return Problem(500, "InternalError", "Something went wrong in the service; its log says what.").response()


def refuse_unknown_parameters(request: Request) -> None:
    """A dependency: raises Problem for a query parameter that the route does not have, such as a misspelt one."""
    known = [one["name"] for one in _operation(request).get("parameters", ()) if one["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            raise Problem(422, "InvalidRequest", _unknown(f"query parameter {name[:200]!r}", name, known))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:200], known, 1)
    advice = f"did you mean {near[0]!r}?" if near else "correct its name or leave it out (/docs lists what there is)."
    return f"There is no {what}; {advice}"


def _operation(request: Request) -> Mapping[str, Any]:
    """What OpenAPI says of the route that handles a request."""
    path = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    return dict(path.get(request.method.lower(), {}))


def _fields(request: Request) -> Iterable[str]:
    """Of the request's JSON body."""
    content = _operation(request).get("requestBody", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    return tuple(request.app.openapi()["components"]["schemas"].get(name, {}).get("properties", ()))


def _sentence(error: Mapping[str, Any], request: Request) -> str:
    """What is wrong with a value, of which pydantic speaks as programmers do."""
    where = ".".join(str(part) for part in error["loc"])[:200]
    if where == "body":
        return "The body is not a JSON object; send one, with the header Content-Type: application/json."
    if error["type"] == "extra_forbidden":
        *inside, name = map(str, error["loc"])
        what = f"field {name[:200]!r} in {'the body' if inside == ['body'] else '.'.join(inside)[:200]}"
        return _unknown(what, name, _fields(request) if inside == ["body"] else ())
    if error["type"] == "missing":
        return f"{where} is missing; add it."
    says = error["msg"].partition(", unable to parse")[0]
    return f"{where} {says.removeprefix('Input ')}." if says.startswith("Input ") else f"{where}: {says}."


def _methods_at(app: FastAPI, path: str) -> str:
    """The methods of all routes at a path; each route of the framework knows only its own."""
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            methods = {method.upper() for method in operations}
            return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    return "GET, HEAD"  # the studio's files
