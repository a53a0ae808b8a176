"""Replaces stylecine.server.worker in tests: loads nothing, and the photo's bytes decide what it does.

A photo that begins with "dies" kills the process, "dies once" only the first time; "bad" is refused; "slow" takes a
minute unless it is cancelled, "deaf" also then; "still" has no first loop. An animation takes a tenth of a second for
each of its seconds, and appends its process to SCENE.starts in the data folder. Other files have 20 MB if their size is
8192. Forgetting a scene creates SCENE.forgotten there.
"""

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

from stylecine.errors import Cancelled, PhotoError, WeightsNotFound
from stylecine.machine.atomic import atomic_write

SHARES = {"sky": 0.5, "water": 0.25, "falls": 0.0, "smoke": 0.0, "cloth": 0.0}
FACTS = {"width": 96, "height": 72, "moving": 0.75, "classes": SHARES, "warning": None}


def load(model: str, device: str | None, threads: int) -> Any:
    if model == "none":
        raise WeightsNotFound("There is no model none; choose another.")
    return handle


def handle(request: dict[str, Any], progress: Any) -> dict[str, Any]:
    match request["task"]:
        case "begin":
            return begin_scene(request)
        case "scene":
            return make_scene(request, progress)
        case "animate" | "preview":
            return animate(request, progress)
        case "edit":
            return FACTS
        case "style":
            if Path(request["upload"]).read_bytes().startswith(b"bad"):
                raise PhotoError("The photo is bad; give a better one.")
            return {"picture": "AAAA"}
        case "forget":
            data_file(request, "forgotten").touch()
        case _:
            content = json.dumps(request).encode()
            Path(request["output"]).write_bytes(content.ljust(20_000_000 if request.get("size") == 8192 else 0))
    return {}


def data_file(request: dict[str, Any], suffix: str) -> Path:
    return Path(request["cine"]).parent.parent / f"{request['scene']}.{suffix}"


def work(progress: Any, seconds: float, stage: str, deaf: bool = False) -> None:
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        if not progress(stage, int(100 * passed / seconds), 100) and not deaf:
            raise Cancelled("Cancelled.")
        time.sleep(0.02)


def begin_scene(request: dict[str, Any]) -> dict[str, Any]:
    content = Path(request["upload"]).read_bytes()
    if content.startswith(b"bad"):
        raise PhotoError("The photo is bad; give a better one.")
    if not content.startswith(b"still"):
        Path(request["output"]).write_bytes(f"first {request['first']}".encode())
    return FACTS


def make_scene(request: dict[str, Any], progress: Any) -> dict[str, Any]:
    content = Path(request["upload"]).read_bytes()
    once = Path(request["upload"] + ".died")
    if content.startswith(b"dies") and not (content.startswith(b"dies once") and once.exists()):
        once.touch()
        os._exit(1)
    once.unlink(missing_ok=True)
    if content.startswith(b"bad"):
        raise PhotoError("The photo is bad; give a better one.")
    if content.startswith((b"slow", b"deaf")):
        work(progress, 60, "inversion", content.startswith(b"deaf"))
    with zipfile.ZipFile(request["cine"], "w") as archive:
        archive.writestr("photo.png", content)
    return {"base": [{"kind": "anchor", "point": [0.5, 0.5], "radius": 0.1}], **FACTS}


def animate(request: dict[str, Any], progress: Any) -> dict[str, Any]:
    with data_file(request, "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    with atomic_write(Path(request["output"])) as part:
        work(progress, request["seconds"] / 10, "video")
        part.write_bytes(bytes(range(250)) * 4)
    return {"bytes": 1000, "warning": None}
