"""One process that works for the service: `python -m stylecine.server.worker MODEL DEVICE THREADS NICE`.

It keeps the networks and the scenes it used last. Requests come as lines of JSON on standard input, and answers leave
as lines on what was standard output: {"ready": true} once, or {"broken": why}; then, with a request's id, "progress":
[stage, done, total] any number of times and at last "done": {...} or "error": the name of what went wrong, and
"detail". {"cancel": id} stops a request. When standard input ends the service is gone, and so is this process.
"""

import ctypes
import json
import logging
import os
import queue
import re
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from stylecine.animator import Animator
from stylecine.atomic import atomic_write
from stylecine.cinemagraph import Cinemagraph, quality_warning
from stylecine.edits.model import Edit, Paint, Speed, to_json
from stylecine.errors import NothingMoves, StylecineError, TooLarge
from stylecine.options import PAINTS
from stylecine.scene import Scene
from stylecine.server.limits import POINTS
from stylecine.stages.mask import moving, require_motion

PIXELS = 6 << 20  # of the scenes that are kept, some 50 bytes each; the last one is kept in any case
TOLD_EVERY = 0.05  # seconds between two lines of progress
LOOK = ("seconds", "fps", "speed", "detail", "subject", "wind", "warp", "sampling")
OUTPUT = ("quality", "codec", "repeat", "crop")

Spec = dict[str, Any]  # an edit as schemas.py has it; {"base": k} is the k-th that the scene's file has


@dataclass
class Held:
    """A scene as its file has it, and as it is after the edits it was last asked for with."""

    base: Scene
    scene: Scene
    specs: list[Spec] = field(default_factory=list)

    def edited(self, specs: list[Spec]) -> Scene:
        """The scene with those edits; those that it begins with as last time are not made again."""
        if specs != self.specs:
            same = next((n for n, (a, b) in enumerate(zip(specs, self.specs, strict=False)) if a != b), None)
            same = min(len(specs), len(self.specs)) if same is None else same
            scene = replace(self.base, edits=self.scene.edits[:same])
            for spec in specs[same:]:
                scene = replace(self.base, edits=(*scene.edits, self._made(scene, spec)))
            self.scene, self.specs = scene, specs
        return self.scene

    def _made(self, scene: Scene, spec: Spec) -> Edit:
        match spec:
            case {"base": number}:
                return self.base.edits[number]
            case {"kind": "paint"}:
                scene = scene.paint(spec["what"], spec["stroke"], spec["mode"], spec["radius"])
            case {"kind": "push"}:
                scene = scene.push(spec["arrow"])
            case {"kind": "anchor"}:
                scene = scene.anchor(spec["point"], spec["radius"])
            case {"kind": "speed"}:
                scene = scene.speed(spec["what"] or spec["stroke"], spec["factor"], spec["radius"])
        return scene.edits[-1]


class Worker:
    """What a request may ask for: a method each, named as the task, which gives what is answered."""

    def __init__(self, animator: Animator) -> None:
        self.animator = animator
        self.held: OrderedDict[str, Held] = OrderedDict()

    def scene(self, asked: Spec, progress: Callable[..., bool]) -> Spec:
        """Understands an upload, a photo or a .cine file, and keeps it as a .cine file of our own."""
        upload = Path(asked["upload"])
        with upload.open("rb") as file:
            is_cine = file.read(4) == b"PK\x03\x04"
        if is_cine:
            scene = Scene.load(upload)
            _check_limits(scene, asked["most"])
        else:
            scene = self.animator.invert(upload, size=asked["size"], refine=asked["refine"], progress=progress)
            assert scene.source is not None
            scene = replace(scene, source=replace(scene.source, name=asked["name"]))
        scene.save(asked["cine"])
        specs: list[Spec] = [{"base": number} for number in range(len(scene.edits))]
        self._hold(asked["scene"], Held(scene, scene, specs))
        return {"base": [_told(edit) for edit in scene.edits]} | _facts(scene)

    def edit(self, asked: Spec, progress: Callable[..., bool]) -> Spec:
        return _facts(self._edited(asked))

    def file(self, asked: Spec, progress: Callable[..., bool]) -> Spec:
        self._edited(asked).save(asked["output"])
        return {}

    def live(self, asked: Spec, progress: Callable[..., bool]) -> Spec:
        loop = self._loop(asked, progress)
        Path(asked["output"]).write_bytes(loop.live())
        return {}

    def animate(self, asked: Spec, progress: Callable[..., bool]) -> Spec:
        """A file of a loop, small or large: previews and animations."""
        loop = self._loop(asked, progress)
        output = Path(asked["output"])
        if output.suffix == ".zip":
            _save_zip(loop, output, asked["crop"])
        else:
            loop.save(output, **{name: asked[name] for name in OUTPUT if name in asked})
        return {"bytes": output.stat().st_size, "warning": loop.warning or None}

    def _loop(self, asked: Spec, progress: Callable[..., bool]) -> Cinemagraph:
        scene = self._edited(asked)
        look = {name: asked[name] for name in LOOK if name in asked}
        if asked["size"] is None or asked["size"] >= min(scene.photo.shape[:2]):
            return self.animator.render(scene, progress=progress, **look)
        return self.animator.preview(scene, size=asked["size"], progress=progress, **look)

    def _edited(self, asked: Spec) -> Scene:
        held = self.held.get(asked["scene"])
        if held is None:
            scene = Scene.load(asked["cine"])
            held = Held(scene, scene, [{"base": number} for number in range(len(scene.edits))])
        self._hold(asked["scene"], held)
        return held.edited(asked["edits"])

    def _hold(self, name: str, held: Held) -> None:
        self.held[name] = held
        self.held.move_to_end(name)
        while len(self.held) > 1 and sum(one.base.photo[..., 0].size for one in self.held.values()) > PIXELS:
            self.held.popitem(last=False)


def _check_limits(scene: Scene, most: int) -> None:
    """Raises TooLarge for a scene from elsewhere whose short side is above `most`, or whose strokes are too long."""
    if (side := min(scene.photo.shape[:2])) > most:
        raise TooLarge(f"The scene's short side is {side} pixels, and {most} are allowed here; make a smaller one.")
    points = sum(len(edit.area.stroke) for edit in scene.edits if isinstance(edit, Paint | Speed) and edit.area)
    if points > POINTS:
        raise TooLarge(f"The scene's strokes have {points} points, and {POINTS} are allowed here; use fewer.")


def _facts(scene: Scene) -> Spec:
    """What the service tells of a scene."""
    layers, (height, width) = torch.cat((scene.edited_layers, scene.edited_cloth[None])), scene.photo.shape[:2]
    moves = moving(layers)
    shares = {name: float(layer.mean()) for name, layer in zip(PAINTS, layers, strict=True)}
    facts = {"width": width, "height": height, "moving": float(moves.mean()), "classes": shares}
    return facts | {"warning": _warning(scene) or None}


def _warning(scene: Scene) -> str:
    """Why loops of it may disappoint, or why there is none yet."""
    painted = any(isinstance(edit, Paint) for edit in scene.edits)
    if scene.edited_cloth.any():  # whoever paints cloth knows that it is there
        return ""
    try:
        if not painted:
            require_motion(scene.mask)
    except NothingMoves as error:
        return str(error)
    return quality_warning(scene, scene.mask, predicted=not painted, generated=False)


def _told(edit: Edit) -> Spec:
    """An edit of a .cine file as schemas.py has it."""
    told = to_json(edit)
    area = told.pop("area", None)
    described = {"kind": told.pop("edit"), **told}
    return described | ({"stroke": area["stroke"], "radius": area["radius"]} if area else {})


def _save_zip(loop: Cinemagraph, output: Path, crop: str | None) -> None:
    """The folder of PNG that `save` writes, in one file."""
    folder = output.with_suffix("")
    try:
        loop.save(folder, crop=crop)
        with atomic_write(output) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for frame in sorted(folder.iterdir()):
                archive.write(frame, frame.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _without_paths(detail: str, asked: Spec) -> str:
    """A sentence without our own files' names, which are nobody's business."""
    folder = re.escape(str(Path(asked["cine"]).parent.parent))
    return re.sub(rf"{folder}([\w./\\-]*\w)?", lambda _: asked.get("name", "the file"), detail)


class _Line:
    """The line to the service: requests come in by a thread of its own, so that a cancellation is heard at once."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what libraries print is no answer
        self.requests: queue.SimpleQueue[Spec] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            said = json.loads(line)
            if "cancel" in said:
                self.cancelled.add(said["cancel"])
            else:
                self.requests.put(said)
        os._exit(0)

    def tell(self, **said: Any) -> None:
        with suppress(BrokenPipeError):  # the thread that listens ends us
            self._out.write(json.dumps(said) + "\n")
            self._out.flush()

    def progress_of(self, id: int) -> Callable[[str, int, int], bool]:
        """What the stages call: tells the service now and then, and whether to go on."""
        told: tuple[str | None, float] = (None, 0.0)

        def progress(stage: str, done: int, total: int) -> bool:
            nonlocal told
            now = time.monotonic()
            if stage != told[0] or now - told[1] >= TOLD_EVERY:
                told = (stage, now)
                self.tell(id=id, progress=[stage, done, total])
            return id not in self.cancelled

        return progress


def _serve(line: _Line, worker: Worker) -> None:
    line.tell(ready=True)
    while True:
        asked = line.requests.get()
        id = asked["id"]
        try:
            answer = getattr(worker, asked["task"])(asked, line.progress_of(id))
            line.tell(id=id, done=answer)
        except StylecineError as error:
            line.tell(id=id, error=type(error).__name__, detail=_without_paths(str(error), asked))
        except Exception as error:
            traceback.print_exc()
            line.tell(id=id, error="InternalError", detail=f"Something went wrong inside ({type(error).__name__}).")
        line.cancelled.discard(id)


def _end_with_the_service() -> None:
    """Also where somebody else holds our standard input open. Before anything else when memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the service's to hear
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")


def main(model: str, device: str, threads: str, nice: str) -> None:
    _end_with_the_service()
    line = _Line()
    warnings.simplefilter("ignore")  # libraries talk to programmers
    logging.getLogger("stylecine").setLevel(logging.ERROR)
    if hasattr(os, "nice"):
        os.nice(int(nice))
    torch.set_num_threads(int(threads))
    try:
        worker = Worker(Animator.from_pretrained(model, device or None))
    except StylecineError as error:
        line.tell(broken=str(error))
        sys.exit(1)
    _serve(line, worker)


if __name__ == "__main__":
    main(*sys.argv[1:])
