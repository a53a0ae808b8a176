"""Pages for people: what the service is, and what it responds to. Like all of it, they work without other sites."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse

from stylecine.output.embed import html_page

TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false"}
LIMITS = {"exclusiveMinimum": "above", "minimum": "from", "maximum": "to"}


def routes(app: FastAPI, *, studio: bool) -> APIRouter:
    """studio: whether the studio is the start page; otherwise this is it, too."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        body = _docs(app.openapi(), "<a href='.'>The studio</a> · " if studio else "")
        headers = {"Content-Security-Policy": "frame-ancestors 'none'"}  # the page has the rest of its policy
        return HTMLResponse(html_page("stylecine", body, STYLE), headers=headers)

    if not studio:
        router.add_api_route("/", docs)
    return router


def _docs(schema: Mapping[str, Any], start: str) -> str:
    """Every path and every object of an OpenAPI description. start: a link as HTML."""
    paths = [
        _operation(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    objects = [_object(name, described) for name, described in schema["components"]["schemas"].items()]
    return (
        f"<h1>{_text(schema['info']['title'])} {_text(schema['info']['version'])}</h1>"
        f"<p>{_text(schema['info']['description'])}</p><p>{start}<a href=openapi.json>for programs, as OpenAPI</a></p>"
        f"<h2>Requests</h2>{''.join(paths)}<h2>Objects</h2>{''.join(objects)}"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [(one["name"], one["in"], _type(one["schema"]), _about(one)) for one in operation.get("parameters", ())]
    body = operation.get("requestBody", {}).get("content", {})
    rows += [("body", kind, _type(of["schema"]), "") for kind, of in body.items()]
    answers = []
    for status, response in operation["responses"].items():
        if status != "default":  # the problems
            schemas = [of.get("schema", {}) for of in response.get("content", {}).values()]
            objects = ", ".join(_type(schema) for schema in schemas if "$ref" in schema)
            answers.append(f"{status}: {objects}" if objects else status)
    return (
        f"<section><h3><code>{method.upper()} {_text(path)}</code></h3><p>{_text(operation.get('description', ''))}</p>"
        f"{_table(rows)}<p>Response: {'; '.join(answers)}; or a <a href=#Problem>Problem</a></p></section>"
    )


def _object(name: str, schema: Mapping[str, Any]) -> str:
    rows = [(field, "", _type(of), _about(of)) for field, of in schema.get("properties", {}).items()]
    about = f"<p>{_text(schema.get('description', ''))}</p>"
    return f'<section id="{_text(name)}"><h3>{_text(name)}</h3>{about}{_table(rows)}</section>'


def _about(described: Mapping[str, Any]) -> str:
    """The description of a parameter or a field, or that of what it may be."""
    parts = (described, described.get("schema", {}), *described.get("anyOf", ()))
    return next((part["description"] for part in parts if "description" in part), "")


def _type(schema: Mapping[str, Any]) -> str:
    """What a value may be, as HTML."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if options := schema.get("anyOf") or schema.get("oneOf"):
        description = " or ".join(dict.fromkeys(_type(option) for option in options))
    elif "enum" in schema or "const" in schema:
        description = ", ".join(_text(value) for value in schema.get("enum", [schema.get("const")]))
    elif "items" in schema:
        description = f"list of {_type(schema['items'])}"
    else:
        kind = schema.get("type", "object")
        description = "a file's bytes" if schema.get("format") == "binary" else TYPES.get(kind, kind)
        description += "".join(f" {word} {schema[limit]:g}" for limit, word in LIMITS.items() if limit in schema)
    if schema.get("default") is None:
        return description
    default = json.dumps(schema["default"]).strip('"')
    return f"{description}; default {_text(default)}"


def _table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """rows: name, place, type as HTML, description."""
    cells = [
        f"<tr><th scope=row>{_text(name)}</th><td>{_text(place)}</td><td>{kind}</td><td>{_text(about)}</td></tr>"
        for name, place, kind, about in rows
    ]
    return f"<table>{''.join(cells)}</table>" if cells else ""


def _text(value: Any) -> str:
    """As HTML; `code` is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(str(value)))


STYLE = """
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; }
h2 { margin-top: 2.5rem; } h3 { margin: 2rem 0 0.3rem; font-size: 1rem; }
p { margin: 0.3rem 0; } code { font: 0.95em ui-monospace, monospace; }
th { font-weight: 500; white-space: nowrap; }
th, td { padding: 0.2rem 1rem 0.2rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
tr { border-bottom: 1px solid var(--line); }
:target { outline: 2px solid; outline-offset: 0.5rem; }
"""
