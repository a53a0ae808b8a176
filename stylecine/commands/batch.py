"""Makes loops from many photos.

They are all photos in a folder, or those listed in a manifest. If run again, it makes only those that are missing, have
failed or have changed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from stylecine.batch.store import Store
from stylecine.batch.tasks import Backend, Task
from stylecine.batch.tasks import run as run_tasks
from stylecine.commands import arguments
from stylecine.commands.arguments import as_ending, as_path
from stylecine.commands.console import complain, make_folder, say
from stylecine.commands.early import check_loop, check_model, check_photo
from stylecine.commands.manifest import tasks_of
from stylecine.errors import OptionError, StylecineError
from stylecine.options import ALL_OPTIONS, FILE_OPTIONS, check_device
from stylecine.output.formats import check_writable, files_of

if TYPE_CHECKING:
    from stylecine.batch.journal import Record

NAMED = 10  # of the files that are skipped, on the terminal


def add_arguments(batch: argparse.ArgumentParser) -> None:
    batch.add_argument(
        "source", metavar="FOLDER|MANIFEST", type=_as_place, help="folder, its URL, or .csv or .jsonl: docs/batch.md"
    )
    batch.add_argument(
        "-o", "--output", metavar="OUT", type=_as_place, required=True, help="folder or URL of the loops and the report"
    )
    ending = "ending of the loops, or prores for .mov (default mp4)"
    batch.add_argument("--format", metavar="NAME", type=as_ending, default="mp4", help=ending)
    work = batch.add_argument_group("workers")
    work.add_argument("--processes", metavar="N", type=int, help="workers (default: one per core, if memory suffices)")
    work.add_argument("--ray", metavar="ADDRESS", help="on the Ray cluster at that address, or auto")
    arguments.add_preset(batch)
    arguments.add_loop_options(batch, "predicted from each photo", of_many=True)
    arguments.add_model_options(batch, "default")
    arguments.add_options(batch, "the file", FILE_OPTIONS)
    batch.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(options: argparse.Namespace, start: float) -> int:
    if options.processes is not None and not 1 <= options.processes <= 1024:
        raise OptionError("--processes takes a whole number from 1 to 1024")
    source, output = (Store(place) if isinstance(place, str) else place for place in (options.source, options.output))
    # what is about one photo, such as a mask, is only in manifests
    shared = {name: getattr(options, name, option["default"]) for name, option in ALL_OPTIONS.items()}
    tasks, skipped = tasks_of(source, output, options.format, shared)
    _check_options(tasks)
    if options.ray is None:  # a cluster may have a model and devices that this machine lacks
        check_model(options)
        check_device(options.device)

    from stylecine.batch import report as batch_report

    if isinstance(output, Path):
        make_folder(output)
    if skipped:
        complain(_described(skipped), 0)
    with TemporaryDirectory(prefix="stylecine-") as temporary:
        folder = output if isinstance(output, Path) else Path(temporary)
        with closing(_Bar()) as bar, redirect_stdout(sys.stderr):  # Ray reports dead workers on standard output
            backend = partial(_backend, options, folder, output if isinstance(output, Store) else None, bar)
            records = run_tasks(tasks, output, options.model, backend, bar.report)
        report = batch_report.summary(records, perf_counter() - start, bar.done, skipped)
        page: object = batch_report.write(report, records, folder)
        if isinstance(output, Store):
            for file in ("report.html", "report.json"):
                output.put(folder / file, file)
            page = f"{output}/report.html"
    return _print_summary(report, page, options.json)


def _as_place(text: str) -> Path | str:
    """A path, or the URL of a store as it is."""
    return text if "://" in text else as_path(text)


def _backend(
    options: argparse.Namespace, folder: Path, store: Store | None, bar: "_Bar", tasks: Sequence[Task]
) -> Backend:
    """The workers for these tasks, after a check of their outputs; folder: into which they write."""
    for task in tasks:
        make_folder((folder / task.output).parent)
        check_writable(folder / task.output)
    bar.expect(len(tasks))
    pool = _workers(options, folder, tasks)
    if store is None and all(isinstance(file, Path) for task in tasks for file in task.files.values()):
        return pool

    from stylecine.batch.staged import StagedPool

    return StagedPool(pool, folder, options.model, store)


def _workers(options: argparse.Namespace, folder: Path, tasks: Sequence[Task]) -> Backend:
    if options.ray is not None:
        from stylecine.batch.ray import RayPool

        return RayPool(options.ray, tasks, options.processes, folder, options.model, options.device)

    from stylecine.batch.local import LocalPool, count_for, devices_for

    devices = devices_for(options.device)
    count = min(options.processes or count_for(tasks, devices), len(tasks))
    return LocalPool(count, folder, options.model, devices)


def _check_options(tasks: Sequence[Task]) -> None:
    """Raises OptionError before anything is written."""
    for task in tasks:
        try:
            check_loop(task.options, task.output)
            check_photo(task.options)
            if len(files_of(task.output)) > 1:
                raise OptionError(f"'{task.output}' would be two files; use livephoto.zip.")
        except StylecineError as error:
            raise type(error)(f"{task.photo}: {error}") from None


class _Bar:
    """Progress on standard error if that is a terminal, and in any case a line for each failure."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=0, unit="photo", disable=None)
        self.done = 0

    def expect(self, photos: int) -> None:
        """So many more than those that needed no work."""
        self._bar.reset(self.done + photos)
        self._bar.update(self.done)

    def report(self, record: "Record") -> None:
        from tqdm import tqdm

        if record["state"] == "failed":
            with tqdm.external_write_mode(sys.stderr):
                is_named = record["photo"] in record["error"]
                complain(record["error"] if is_named else f"{record['photo']}: {record['error']}", 0)
        self.done += 1
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


def _described(skipped: Sequence[str]) -> str:
    count, more = len(skipped), len(skipped) - NAMED
    names = ", ".join(skipped[:NAMED]) + (f" and {more} more (report.json has all)" if more > 0 else "")
    what = "1 entry that is no photo was" if count == 1 else f"{count} entries that are no photos were"
    return f"{what} skipped: {names}"


def _print_summary(report: dict[str, Any], page: object, as_json: bool) -> int:
    if as_json:
        say(json.dumps(report | {"report": str(page)}, allow_nan=False))
    else:
        skipped = f", {len(report['skipped'])} skipped" if report["skipped"] else ""
        counts = f"{report['photos']} photos, {report['new']} new, {report['failed']} failed{skipped}"
        say(f"{page}: {counts}, {report['seconds']} s")
    if not report["failed"]:
        return 0
    internal = any(failure["kind"] == "internal" for failure in report["failures"])
    return complain(
        f"{report['failed']} of {report['photos']} photos have no loop; {page} says why.", 1 if internal else 2
    )
