"""Runs in the service's worker processes when the work is done on a Ray cluster: each has an actor there.

It remains a process of the pool like any other: it dies with its actor, so that the pool replaces both and retries the
job, and Ray ends the actor when the process ends. Nodes need stylecine and Ray but no shared disk: the files that a
request names are sent to the actor, and those that it writes come back.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylecine.errors import OptionError, StylecineError, first_line
from stylecine.machine.atomic import atomic_write, translate_os_errors
from stylecine.machine.cluster import PLACEMENT_TIMEOUT, Actor, check_version, connect, gpus
from stylecine.machine.workers import Handler
from stylecine.server.store import hidden_paths

if TYPE_CHECKING:
    from stylecine.machine.progress import Progress

POLL = 0.1  # seconds between two reports of an actor's progress
BESIDE = "beside"  # Ray's name for the threads of an actor beside the one that works

Request = dict[str, Any]
Result = dict[str, Any]
Files = dict[str, bytes]  # by the fields of a request that name them


def load(address: str, workers: int, factory: str, model: str, device: str | None) -> Handler:
    """A handler that passes requests to an actor, one of `workers`, where what `factory` returns handles them.

    Raises OptionError if there is no cluster or no room in it, and the factory's errors.
    """
    ray = connect(address)
    options = {"num_cpus": 1, "num_gpus": min(1.0, gpus(ray, device) / workers), "max_restarts": 0}
    actor = ray.remote(**options, concurrency_groups={BESIDE: 2})(_Actor).remote()
    try:
        check_version(ray.get(actor.version.remote(), timeout=PLACEMENT_TIMEOUT))
        error = ray.get(actor.load.remote(factory, (model, device, 1)))
    except ray.exceptions.GetTimeoutError:
        raise OptionError("The Ray cluster has no room for another actor of one core; add nodes.") from None
    except ray.exceptions.RayActorError as died:
        reason = first_line(died)
        raise OptionError(f"An actor died while it loaded the model ({reason}); look at the nodes.") from None
    if error is not None:
        raise error
    live, report = (method.options(concurrency_group=BESIDE) for method in (actor.live, actor.report))

    def watch() -> None:
        with _dying_together(ray):
            ray.get(live.remote())

    def handle(request: Request, progress: "Progress") -> Result:
        going_on = True
        with _dying_together(ray):
            call = actor.handle.remote(request, _inputs(request))
            while not ray.wait([call], timeout=POLL)[0]:
                stage = ray.get(report.remote(going_on))
                going_on = going_on and (stage is None or progress(*stage) is not False)
            reply = ray.get(call)
        if isinstance(reply, StylecineError):
            raise reply
        result, files = reply
        with hidden_paths(request):
            _write(request, files)
        return dict(result)

    threading.Thread(target=watch, daemon=True).start()  # an actor may also die between two requests
    return handle


@contextmanager
def _dying_together(ray: Any) -> Iterator[None]:
    """Ends this process if the actor or the cluster is lost in the block; the pool replaces it and retries its job."""
    try:
        yield
    except ray.exceptions.RayTaskError:  # the actor lives: what it did has failed
        raise
    except (ray.exceptions.RayError, ConnectionError) as lost:
        print(lost, file=sys.stderr)
        os._exit(1)


def _inputs(request: Request) -> Files:
    names = ("upload",) if request["task"] in ("begin", "scene") else ("upload", "cine")
    return {name: path.read_bytes() for name in names if name in request and (path := Path(request[name])).exists()}


def _write(request: Request, files: Files) -> None:
    for name, content in files.items():
        path = Path(request[name])
        with atomic_write(path) as part, translate_os_errors(path):
            part.write_bytes(content)


class _Actor(Actor):
    """`report` and `live` run beside the other methods, which run one after the other."""

    def __init__(self) -> None:
        self._stage: tuple[str, int, int] | None = None
        self._going_on = True

    def handle(self, request: Request, files: Mapping[str, bytes]) -> StylecineError | tuple[Result, Files]:
        """The result, and the files that were written."""
        self._stage, self._going_on = None, True
        with tempfile.TemporaryDirectory(prefix="stylecine-") as folder:
            names = [name for name in ("upload", "cine", "output") if name in request]
            paths = {name: Path(folder) / name / Path(request[name]).name for name in names}
            for name, path in paths.items():
                path.parent.mkdir()
                if name in files:
                    path.write_bytes(files[name])
            try:
                result = self.handler(request | {name: str(path) for name, path in paths.items()}, self._progress)
            except StylecineError as error:
                return error
            new = {name: path for name, path in paths.items() if name not in files and path.exists()}
            return result, {name: path.read_bytes() for name, path in new.items()}

    def report(self, going_on: bool) -> tuple[str, int, int] | None:
        """The last progress; from the first False on, the work is cancelled."""
        self._going_on = going_on
        return self._stage

    def live(self) -> None:
        """Returns never."""
        threading.Event().wait()

    def _progress(self, stage: str, done: int, total: int) -> bool:
        self._stage = stage, done, total
        return self._going_on
