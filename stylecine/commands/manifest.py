"""The tasks of a batch: the photos in a folder, or the rows of a manifest in CSV or JSON Lines."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stylecine.batch.journal import NAME
from stylecine.batch.tasks import FILES, Task
from stylecine.commands.console import complain
from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.options import STYLES, parse_arrow, parse_duration, parse_size, parse_wind

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".bmp")
EXAMPLE = '{"photo": "sea.jpg"}'
REPORTS = ("report.json", "report.html")
RESERVED = (NAME, *REPORTS)

Row = Mapping[str, Any]


def tasks_of(source: Path, folder: Path, ending: str, options: Mapping[str, Any]) -> list[Task]:
    """Tasks in the order of the manifest, or by name in a folder and its subfolders.

    folder: for the loops; not searched for photos. ending: suffix of loops whose row has none. options: defaults for
    all rows. Raises PhotoError, OptionError; OutputError if an input file would be overwritten.
    """
    tasks = (_in_folder if source.is_dir() else _in_manifest)(source, folder, ending, options)
    inputs = {_identity(path) for path in (source, *(path for task in tasks for path in task.files.values()))} - {None}
    for path in (folder / name for name in (*RESERVED, *(task.output for task in tasks))):
        if _identity(path) in inputs:
            raise OutputError(f"'{path}' is an input of the batch and would be replaced; name another output folder.")
    return tasks


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode: equal for all names of a file, by links or by letter case; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _in_manifest(source: Path, folder: Path, ending: str, options: Mapping[str, Any]) -> list[Task]:
    if not source.is_file():
        raise PhotoError(f"There is no folder or manifest at '{source}'; check the path.")
    kinds: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {".csv": _csv, ".jsonl": _lines, ".ndjson": _lines}
    if source.suffix.lower() not in kinds:
        raise OptionError(
            f"'{source}' is neither a folder nor a manifest, which ends in .csv or .jsonl; name another one."
        )
    try:
        rows = list(kinds[source.suffix.lower()](source))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"'{source}' cannot be read ({error}); save it as text in UTF-8.") from None
    tasks = [_task(row, f"'{source}', line {line}", source.parent, ending, options) for line, row in rows]
    _check_outputs(tasks, [line for line, _ in rows], source)
    if not tasks:
        raise PhotoError(f"'{source}' lists no photos; give each a line.")
    return tasks


def _in_folder(source: Path, folder: Path, ending: str, options: Mapping[str, Any]) -> list[Task]:
    """Skips hidden files and folders. If two photos differ only in their suffix, the second loop's name keeps it."""
    if Path(f"loop{ending}").suffix.lower() in PHOTOS and folder.resolve() == source.resolve():
        raise OutputError(f"Loops in '{folder}' would be among its photos; name another output folder.")
    photos = sorted(_photos_in(source, folder.resolve()))
    taken, tasks = {name.casefold() for name in RESERVED}, []
    for photo in photos:
        below = photo.relative_to(source)
        output = below.with_name(below.stem + ending).as_posix()
        if output.casefold() in taken:
            output = below.as_posix() + ending
        taken.add(output.casefold())
        tasks.append(Task(photo, output, dict(options)))
    if not tasks:
        raise PhotoError(f"There are no photos in '{source}' ({', '.join(PHOTOS)}); name another folder.")
    return tasks


def _photos_in(source: Path, excluded: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(source):
        here = Path(folder)
        visible = (name for name in subfolders if not name.startswith("."))
        subfolders[:] = [name for name in visible if (here / name).resolve() != excluded]
        for path in (here / name for name in files if not name.startswith(".")):
            if path.suffix.lower() in PHOTOS:
                if path.exists() and not path.is_file():
                    complain(f"'{path}' is not a regular file and is skipped.", 0)
                else:
                    yield path


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="more cells than columns", restval="", strict=True)
        for row in reader:
            yield reader.line_num, {name.strip(): cell for name, cell in row.items() if cell != ""}


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise OptionError(f"'{path}', line {number} is not a JSON object like {EXAMPLE}; write one a line.")
        yield number, {name: value for name, value in row.items() if value is not None}


def _task(row: Row, where: str, base: Path, ending: str, options: Mapping[str, Any]) -> Task:
    """where: names the row in errors. base: the manifest's folder, to which paths are relative."""
    unknown = next((name for name in row if name not in COLUMNS), None)
    if unknown is not None:
        raise OptionError(f"{where} has '{unknown}', which is not one of {', '.join(COLUMNS)}; correct it.")
    if not row.get("photo"):
        raise OptionError(f"{where} has no photo; name one in the column photo.")
    values = {}
    for name, value in row.items():
        try:
            values[name] = COLUMNS[name](value)
        except (OptionError, TypeError, ValueError, OverflowError) as error:
            reason = str(error) if isinstance(error, OptionError) else f"{value!r} is invalid"
            raise OptionError(f"{where}: {name}: {reason}; correct it.") from None
    photo = base / values.pop("photo")
    output = _output(values.pop("output"), where, ending) if "output" in values else photo.stem + ending
    values |= {name: str(base / values[name]) for name in FILES if name in values and values[name] not in STYLES}
    return Task(photo, output, {**options, **values})


def _output(name: str, where: str, ending: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\\" in name or "\0" in name:
        raise OptionError(f"{where}: output '{name}' must be a path inside the output folder, separated by /.")
    return str(path if path.suffix else path.with_name(path.name + ending))


def _check_outputs(tasks: Sequence[Task], lines: Sequence[int], source: Path) -> None:
    writers: dict[str, str] = {name.casefold(): "the batch itself" for name in RESERVED}
    for task, line in zip(tasks, lines, strict=True):
        writer = writers.setdefault(task.output.casefold(), f"line {line}")
        if writer != f"line {line}":
            raise OptionError(
                f"'{source}', line {line} writes '{task.output}', and so does {writer}; name another one in the column"
                " output."
            )


def _size(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else parse_size(str(value))


def _arrows(value: Any) -> tuple[tuple[float, ...], ...]:
    """Lists of four numbers, or X0,Y0,X1,Y1 separated by spaces."""
    parts = value.split() if isinstance(value, str) else [",".join(map(str, arrow)) for arrow in value]
    return tuple(parse_arrow(part) for part in parts)


def _wind(value: Any) -> tuple[float, ...]:
    """Two numbers, or DEGREES,STRENGTH."""
    return parse_wind(value if isinstance(value, str) else ",".join(map(str, value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value or any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in value):
        raise ValueError  # no file can have that name
    return value


def _integer(value: Any) -> int:
    if isinstance(value, float | bool):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _truth(value: Any) -> bool:
    """True or false, in CSV as a text."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        raise OptionError("it is true or false")
    return value


COLUMNS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("photo", "output", *FILES, "subject", "pace", "warp", "sampling"), _text),
    **dict.fromkeys(("codec", "keyframes", "crop"), _text),
    **dict.fromkeys(("seconds", "fps", "speed", "detail", "style_strength"), _number),
    **dict.fromkeys(("refine", "seed", "quality", "repeat"), _integer),
    "duration": parse_duration,
    "style_drift": _truth,
    "size": _size,
    "arrows": _arrows,
    "wind": _wind,
}
