"""Stands in for stylecine.server.worker without any networks: does what the photo's first bytes tell it to.

A photo that begins with "dies" kills the process, "dies once" only the first time; "bad" is refused; "slow" takes a
minute unless it is cancelled, "deaf" also then. An animation takes a tenth of a second for each of its seconds, and
leaves its number of starts in the data folder.
"""

import json
import os
import queue
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from stylecine.atomic import atomic_write
from stylecine.errors import Cancelled

requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
cancelled: set[int] = set()
SHARES = {"sky": 0.5, "water": 0.25, "falls": 0.0, "smoke": 0.0, "cloth": 0.0}
FACTS = {"width": 96, "height": 72, "moving": 0.75, "classes": SHARES, "warning": None}


def listen() -> None:
    for line in sys.stdin:
        said = json.loads(line)
        if "cancel" in said:
            cancelled.add(said["cancel"])
        else:
            requests.put(said)
    os._exit(0)


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def pause(asked: dict[str, Any], seconds: float, stage: str, deaf: bool = False) -> bool:
    """Whether it was not cancelled meanwhile."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        tell(id=asked["id"], progress=[stage, int(100 * passed / seconds), 100])
        time.sleep(0.02)
        if asked["id"] in cancelled and not deaf:
            return False
    return True


def scene(asked: dict[str, Any]) -> dict[str, Any] | None:
    content = Path(asked["upload"]).read_bytes()
    once = Path(asked["upload"] + ".died")
    if content.startswith(b"dies") and not (content.startswith(b"dies once") and once.exists()):
        once.touch()
        os._exit(1)
    once.unlink(missing_ok=True)
    if content.startswith(b"bad"):
        tell(id=asked["id"], error="PhotoError", detail="The photo is bad; give a better one.")
        return None
    if content.startswith((b"slow", b"deaf")) and not pause(asked, 60, "inversion", content.startswith(b"deaf")):
        tell(id=asked["id"], error="Cancelled", detail="")
        return None
    with zipfile.ZipFile(asked["cine"], "w") as archive:
        archive.writestr("photo.png", content)
    return {"base": [{"kind": "anchor", "point": [0.5, 0.5], "radius": 0.1}], **FACTS}


def animate(asked: dict[str, Any]) -> dict[str, Any] | None:
    with open(Path(asked["cine"]).parent.parent / f"{asked['scene']}.starts", "a") as starts:
        starts.write(f"{os.getpid()}\n")
    output = Path(asked["output"])
    try:
        with atomic_write(output) as part:
            part.write_bytes(bytes(range(250)) * 4)
            if not pause(asked, asked["seconds"] / 10, "video"):
                raise Cancelled
    except Cancelled:
        tell(id=asked["id"], error="Cancelled", detail="")
        return None
    return {"bytes": 1000, "warning": None}


def main() -> None:
    threading.Thread(target=listen, daemon=True).start()
    if sys.argv[1] == "none":
        tell(broken="There is no model none; choose another.")
        sys.exit(1)
    tell(ready=True)
    while True:
        asked = requests.get()
        match asked["task"]:
            case "scene":
                answer = scene(asked)
            case "animate":
                answer = animate(asked)
            case "edit":
                answer = FACTS
            case _:
                Path(asked["output"]).write_bytes(json.dumps(asked).encode())
                answer = {}
        if answer is not None:
            tell(id=asked["id"], done=answer)


if __name__ == "__main__":
    main()
