"""stylecine as a tool of agents: a server of the Model Context Protocol over standard input and output.

Its tools take the options of the command line and work on files of this machine; calls run one at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from pydantic import BaseModel, Field, ValidationError, create_model

from stylecine.errors import OptionError, OutputError, StylecineError, StylecineWarning
from stylecine.machine.progress import EXPLANATION, FILE, LOOP, SCENE, Progress, Share
from stylecine.options import CLASSES, FILE_OPTIONS, OPTIONS, PHOTO_OPTIONS, PRESETS, FileOptions, parse_size
from stylecine.output.formats import describe_endings, files_of, format_of
from stylecine.output.writing import check_output
from stylecine.server.schemas import Duration, StrictRequest, loop_options, typed
from stylecine.version import __version__

INSTRUCTIONS = (
    "Turns a landscape photo into a seamless loop: sky and water move, everything else stays the photo. Give `animate`"
    " the path of a photo and the path of the loop; only these are required. A warning in the answer says why the loop"
    " may disappoint, and `explain` writes a page on what to do about it."
)
OUTPUT = f"where to write it; its ending says as what: {describe_endings()}"
Numbers = list[float]
Context: TypeAlias = ServerRequestContext[Any]


def _field(kind: Any, description: str, default: Any = ...) -> Any:
    return kind, Field(default, description=description)


_LOOP: dict[str, Any] = loop_options(Numbers) | {
    "style": _field(str | None, OPTIONS["style"]["help"], None),
    "mask": _field(str | None, "path of a picture that is white where it may move; predicted without one", None),
    "arrows": _field(list[Numbers], "x0, y0, x1, y1 each, in fractions: where matter travels in one second", []),
}
_PHOTO = _field(str, "path of the photo")
_SIZE = _field(str | int, f"{PHOTO_OPTIONS['size']['help']}; such as 1024, 1080x1920 or own", 1024)
_FILE = typed(FILE_OPTIONS, duration=Duration)
_PRESET = _field(str | None, f"other defaults for a purpose: {', '.join(PRESETS)}", None)
_SCENE, _OUTPUT = _field(str, "path of a .cine file"), _field(str, OUTPUT)
Animate = create_model(
    "Animate", __base__=StrictRequest, photo=_PHOTO, output=_OUTPUT, size=_SIZE, preset=_PRESET, **_LOOP, **_FILE
)
Render = create_model("Render", __base__=StrictRequest, scene=_SCENE, output=_OUTPUT, **_LOOP, **_FILE)
Explain = create_model(
    "Explain",
    __base__=StrictRequest,
    photo=_field(str, "path of the photo, or of a .cine file"),
    output=_field(str, "where to write the page, .html"),
    size=_SIZE,
    **_LOOP,
)


@dataclass(frozen=True)
class Tool:
    """One tool: what it takes, and what it does with that."""

    name: str
    description: str
    takes: type[BaseModel]
    stages: Mapping[str, float]
    run: Callable[[dict[str, Any], str, Progress], dict[str, Any]]

    @property
    def described(self) -> types.Tool:
        schema = self.takes.model_json_schema()
        return types.Tool(name=self.name, description=self.description, input_schema=schema)


def _given(request: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: request[name] for name in names if name in request}


def _animate(request: dict[str, Any], model: str, progress: Progress) -> dict[str, Any]:
    from stylecine.engine.pipeline import animate

    options = _given(request, (*OPTIONS, "preset"))
    if "size" in request:
        options["size"] = parse_size(str(request["size"]))
    _check_output(request)
    return _saved(animate(request["photo"], model=model, progress=progress, **options), request)


def _render(request: dict[str, Any], model: str, progress: Progress) -> dict[str, Any]:
    from stylecine.engine.animator import Animator
    from stylecine.engine.scene import Scene

    _check_output(request)
    scene = Scene.load(request["scene"])
    return _saved(Animator.from_pretrained(model).render(scene, progress=progress, **_given(request, OPTIONS)), request)


def _explain(request: dict[str, Any], model: str, progress: Progress) -> dict[str, Any]:
    from stylecine.explanation.explain import explain

    if not request["output"].lower().endswith((".html", ".htm")):
        raise OptionError(f"'{request['output']}' does not end in .html; rename it.")
    size = parse_size(str(request.get("size", 1024)))
    made = explain(request["photo"], request["output"], size=size, model=model, progress=progress,
                   **_given(request, OPTIONS))  # fmt: skip
    return {"output": str(made.resolve())}


def _check_output(request: dict[str, Any]) -> None:
    """Before minutes of work."""
    output = request["output"]
    for name in ("photo", "scene", "mask", "style"):
        given = request.get(name)
        if given and os.path.exists(given) and any(os.path.exists(f) and f.samefile(given) for f in files_of(output)):
            raise OutputError(f"'{output}' is the {name} itself; choose another output.")
    check_output(output, FileOptions(**_given(request, FILE_OPTIONS)), request.get("fps", 30))
    format_of(output).check_loop(request.get("warp", "msdfw"), request.get("sampling", "gather"))


def _saved(loop: Any, request: dict[str, Any]) -> dict[str, Any]:
    info = loop.save(request["output"], **_given(request, FILE_OPTIONS))
    shares = zip(CLASSES, loop.layers.mean((1, 2)).tolist(), strict=True)
    return {
        "output": str(Path(request["output"]).resolve()), "bytes": info.bytes, "width": info.width,
        "height": info.height, "frames": info.frames, "fps": info.fps,
        "moving": {name: round(share, 4) for name, share in shares}, "warning": loop.warning or None,
    }  # fmt: skip


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("animate", "Makes a seamless loop of a landscape photo.", Animate, SCENE | LOOP | FILE, _animate),
        Tool("render", "Makes a loop of a scene, its edits included.", Render, LOOP | FILE, _render),
        Tool(
            "explain",
            "Writes a page on a photo's loop: what was predicted and how surely, and what to do about it.",
            Explain,
            SCENE | LOOP | EXPLANATION,
            _explain,
        ),
    )
}


def agent_server(model: str = "default") -> Server[Any]:
    """The server, whose tools use that model."""
    one_at_a_time = asyncio.Lock()  # each uses all cores, and gigabytes

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.described for tool in TOOLS.values()])

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            return _refused(f"There is no tool {params.name!r}; use {', '.join(TOOLS)}.")
        try:
            request = tool.takes(**(params.arguments or {})).model_dump(exclude_unset=True)
        except ValidationError as error:
            first = error.errors()[0]
            return _refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")
        async with one_at_a_time:
            return await _worked(tool, request, model, context)

    return Server(
        "stylecine", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


async def _worked(tool: Tool, request: dict[str, Any], model: str, context: Context) -> types.CallToolResult:
    """The tool's answer. A call that is cancelled stops its work, which leaves nothing half-written."""
    token = (context.meta or {}).get("progress_token")
    stopped, share, loop = threading.Event(), Share(tool.stages), asyncio.get_running_loop()

    def progress(stage: str, done: int, total: int) -> bool:
        if token is not None and not stopped.is_set():
            told = context.session.send_progress_notification(token, share(stage, done, total), 1.0, stage)
            asyncio.run_coroutine_threadsafe(told, loop)  # from any thread
        return not stopped.is_set()

    def work() -> types.CallToolResult:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", StylecineWarning)  # the answer has it
                facts = tool.run(request, model, progress)
        except StylecineError as error:
            return _refused(str(error))
        content = types.TextContent(type="text", text=json.dumps(facts, ensure_ascii=False))
        return types.CallToolResult(content=[content], structured_content=facts)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        while not task.done():  # the next call has to wait for it
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        raise


def _refused(why: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=why)], is_error=True)


def serve(model: str = "default") -> None:
    """Until standard input ends."""

    async def run() -> None:
        server = agent_server(model)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(run())
