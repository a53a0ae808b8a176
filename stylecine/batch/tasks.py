"""Many photos, each to a loop of its own, by workers that may die: what is done, what is left, what became of it.

Workers are processes of this machine (`processes`) or actors of a Ray cluster (`cluster`). Each has the networks loaded
once and works on one thread, so that frames are the same however many there are.
"""

import base64
import hashlib
import io
import json
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from stylecine.batch.journal import Journal, Record
from stylecine.errors import StylecineError
from stylecine.options import OPTIONS
from stylecine.weights import file_sha256

if TYPE_CHECKING:
    import numpy as np

    from stylecine.animator import Animator
    from stylecine.cinemagraph import Cinemagraph

INVERT = ("size", "refine", "seed")
RENDER = tuple(OPTIONS)
SAVE = ("quality", "codec", "repeat", "crop", "embed_report")
FILES = ("mask", "motion")  # that options name
ATTEMPTS = 3
THUMBNAIL = 240, 160  # pixels, at most


@dataclass(frozen=True)
class Task:
    """One photo to be animated.

    photo: its file. output: of the loop, below the batch's folder, parted by "/"; its ending says the format.
    options: of INVERT, RENDER and SAVE, as `Animator` and `Cinemagraph.save` take them; mask and motion are files.
    """

    photo: Path
    output: str
    options: dict[str, Any]

    @property
    def files(self) -> dict[str, Path]:
        """All that is read: "photo", and "mask" and "motion" where they are given."""
        return {"photo": self.photo} | {name: Path(self.options[name]) for name in FILES if self.options.get(name)}


class WorkerPool(Protocol):
    """Workers: whoever is idle is given a task, and what became of it is waited for."""

    @property
    def idle(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    def give(self, task: Task) -> None: ...

    def wait(self) -> Sequence[tuple[Task, Record | None]]:
        """Tasks and their records, soon; None for a task whose worker died. StylecineError where none can work."""


def run(
    tasks: Sequence[Task],
    folder: Path,
    model: str,
    crew: Callable[[Sequence[Task]], AbstractContextManager[WorkerPool]],
    tell: Callable[[Record], None],
) -> dict[str, Record]:
    """Animates what is not yet done, and returns the records of all tasks, by output.

    Done is what the folder's journal says so of, if photo, mask, motion, options and model are the same and the file is
    as long as it was. crew: makes the workers for the tasks that are left. tell: called with each new record.
    """
    with Journal(folder) as journal:
        left = [task for task in tasks if not _is_done(task, folder, model, journal.records.get(task.output))]
        if left:
            with crew(left) as workers:
                for task, record in run_tasks(left, workers):
                    record = {"output": task.output, "photo": str(task.photo), "at": _now()} | record
                    journal.add(record)
                    tell(record)
        return {task.output: journal.records[task.output] for task in tasks}


def run_tasks(tasks: Sequence[Task], crew: WorkerPool) -> Iterator[tuple[Task, Record]]:
    """Tasks with their records as they come. One whose worker dies is given to another, three times in all."""
    left, attempts = deque(tasks), Counter[str]()
    while left or crew.busy:
        while left and crew.idle:
            crew.give(left.popleft())
        for task, record in crew.wait():
            attempts[task.output] += 1
            if record is not None:
                yield task, record | {"attempts": attempts[task.output]}
            elif attempts[task.output] < ATTEMPTS:
                left.append(task)
            else:
                says = "The process that animated it was killed again and again, as happens where memory runs out"
                yield task, failed("TooLarge", f"{says}; ask for a smaller size.") | {"attempts": ATTEMPTS}


def animate_one(animator: "Animator", task: Task, path: Path, model: str) -> Record:
    """Makes the loop of one photo and writes it to `path`, whole or not at all; what it is like, or why there is none.

    A record is ready for JSON: "state" is "done" or "failed"; docs/batch.md has the rest.
    """
    start = perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the record has the loop's own warning
            digest = digest_of(task, model)
            options = task.options
            scene = animator.invert(task.photo, **{name: options[name] for name in INVERT})
            loop = animator.render(scene, **{name: options[name] for name in RENDER})
            info = loop.save(path, **{name: options[name] for name in SAVE})
            seconds = dict(loop.timings)
            found = _figures(loop)
    except StylecineError as error:
        return failed(type(error).__name__, str(error))
    except Exception as error:  # one photo's trouble is not the others'
        first = (str(error).splitlines() or [""])[0]
        return failed("internal", f"Internal error: {type(error).__name__}: {first}")
    seconds |= {"total": perf_counter() - start}
    return {
        "state": "done",
        "digest": digest,
        "bytes": info.bytes,
        "sha256": file_sha256(path),
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        **found,
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
    }


def failed(kind: str, says: str) -> Record:
    return {"state": "failed", "kind": kind, "error": says}


def digest_of(task: Task, model: str) -> str | None:
    """Of the bytes that are read and of the options: what the loop depends on. None where a file cannot be read."""
    try:
        read = {name: file_sha256(path) for name, path in task.files.items()}
    except OSError:
        return None
    told = task.options | read | {"model": model, "ending": Path(task.output).suffix}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _is_done(task: Task, folder: Path, model: str, record: Record | None) -> bool:
    if record is None or record["state"] != "done":
        return False
    file = folder / task.output
    return (
        file.is_file() and file.stat().st_size == record.get("bytes") and record.get("digest") == digest_of(task, model)
    )


def _figures(loop: "Cinemagraph") -> Record:
    from stylecine.cinemagraph import json_figures
    from stylecine.quality.measures import measure_loop

    looked_at = _Digested(loop)
    found = json_figures(measure_loop(looked_at, loop.scene.photo, loop.mask.cpu(), loop.motion.cpu(), loop.fps))
    first, mask = _thumbnails(loop)
    return {
        "frames_sha256": looked_at.sha256.hexdigest(),
        "moving": round(float(loop.mask.mean()), 4),
        **{name: None if figure is None else float(f"{figure:.4g}") for name, figure in found.items()},
        "warning": loop.warning or None,
        "thumbnail": first,
        "mask_thumbnail": mask,
    }


class _Digested:
    """A loop whose frames go into a checksum as they are looked at."""

    def __init__(self, loop: "Cinemagraph") -> None:
        self.loop, self.sha256 = loop, hashlib.sha256()

    def __len__(self) -> int:
        return len(self.loop)

    def __getitem__(self, t: int) -> "np.ndarray":
        frame = self.loop[t]
        self.sha256.update(frame.tobytes())
        return frame


def _thumbnails(loop: "Cinemagraph") -> tuple[str, str]:
    """The first frame and what moves in it, tinted, as WebP in base64."""
    import numpy as np
    import torch.nn.functional as F
    from PIL import Image

    from stylecine.output.report import mask_overlay

    picture = Image.fromarray(loop[0])
    picture.thumbnail(THUMBNAIL, reducing_gap=3)
    small = np.asarray(picture)
    layers = F.interpolate(loop.tinted[None].cpu(), small.shape[:2], mode="area")[0]
    return _webp(small), _webp(mask_overlay(small, layers))


def _webp(picture: "np.ndarray") -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=70)
    return base64.b64encode(file.getvalue()).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
