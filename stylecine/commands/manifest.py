"""The tasks of a batch: the photos in a folder, or the rows of a manifest in CSV or JSON Lines."""

import csv
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from stylecine.batch.journal import NAME, recorded_outputs
from stylecine.batch.spreadsheet import read_table
from stylecine.batch.store import Store, StoredFile, is_hidden, is_url
from stylecine.batch.tasks import FILES, Task
from stylecine.commands.console import complain
from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.options import ALL_OPTIONS, STYLES, parse_arrow, parse_duration, parse_rate, parse_size, parse_wind

RAW = (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")  # of cameras
PHOTOS = (  # all endings of what `picture.photo` reads
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif"),
    *(".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"),
    *(".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".psd", ".jxl"),
    *RAW,
)
EXAMPLE = '{"photo": "sea.jpg"}'
RESERVED = (NAME, "report.json", "report.html")

Row = Mapping[str, Any]


def tasks_of(
    source: Path | Store, folder: Path | Store, ending: str, options: Mapping[str, Any]
) -> tuple[list[Task], list[str]]:
    """Tasks in the order of the manifest, or by name in a folder and its subfolders; and the names of what is skipped
    in a folder: files that do not end like photos or are none, raw files beside a photo of the same name, and the
    folders of thumbnails and of what was deleted.

    folder: for the loops; not searched for photos. ending: suffix of loops whose row has none. options: defaults for
    all rows. Raises PhotoError, OptionError; OutputError if an input file would be overwritten.
    """
    skipped: list[str] = []
    if isinstance(source, Store) and _is_manifest(source.url):
        with TemporaryDirectory(prefix="stylecine-") as name:
            local = StoredFile(source.url).fetch(Path(name))
            tasks = _in_manifest(local, source.url.rpartition("/")[0], ending, options)
    elif isinstance(source, Store) or source.is_dir():
        tasks, skipped = _in_folder(source, folder, ending, options)
    else:
        tasks = _in_manifest(source, source.parent, ending, options)
    inputs = {_identity(path) for path in (source, *(path for task in tasks for path in task.files.values()))} - {None}
    for name in (*RESERVED, *(task.output for task in tasks)):
        path = StoredFile(folder.url_of(name)) if isinstance(folder, Store) else folder / name
        if _identity(path) in inputs:
            raise OutputError(f"'{path}' is an input of the batch and would be replaced; name another output folder.")
    return tasks, skipped


def _identity(path: Path | StoredFile | Store) -> tuple[int, int] | str | None:
    """A URL, or device and inode: equal for all names of a file, by links or by letter case; None if it does not
    exist."""
    if not isinstance(path, Path):
        return path.url
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_manifest(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in KINDS


def _in_manifest(source: Path, base: Path | str, ending: str, options: Mapping[str, Any]) -> list[Task]:
    """base: the folder or URL to which its paths are relative."""
    if not source.is_file():
        raise PhotoError(f"There is no folder or manifest at '{source}'; check the path.")
    if not _is_manifest(source.name):
        raise OptionError(
            f"'{source}' is neither a folder nor a manifest, which ends in .csv or .jsonl; name another one."
        )
    try:
        rows = list(KINDS[source.suffix.lower()](source))
    except (OSError, UnicodeError, csv.Error) as error:
        raise OptionError(f"'{source}' cannot be read ({error}); save it as text in UTF-8.") from None
    tasks = [_task(row, f"'{source}', line {line}", base, ending, options) for line, row in rows]
    writers: dict[str, str] = {name.casefold(): "the batch itself" for name in RESERVED}
    for task, (line, _) in zip(tasks, rows, strict=True):
        writer = writers.setdefault(task.output.casefold(), f"line {line}")
        if writer != f"line {line}":
            and_so = f"writes '{task.output}', and so does {writer}; name another one in the column output."
            raise OptionError(f"'{source}', line {line} {and_so}")
    if not tasks:
        raise PhotoError(f"'{source}' lists no photos; give each a line.")
    return tasks


def _in_folder(
    source: Path | Store, folder: Path | Store, ending: str, options: Mapping[str, Any]
) -> tuple[list[Task], list[str]]:
    recorded = recorded_outputs(folder) if isinstance(folder, Path) else set()
    files: Mapping[PurePath, Path | StoredFile]
    skipped: list[str] = []
    if isinstance(source, Store):
        excluded = folder.url if isinstance(folder, Store) else ""
        files = {PurePosixPath(name): file for name, file in source.visible(excluded)}
    else:
        output = folder.resolve() if isinstance(folder, Path) else None
        files, skipped = _visible(source, output)
        if output == source.resolve():
            if Path(f"loop{ending}").suffix.lower() in PHOTOS:
                raise OutputError(f"Loops in '{folder}' would be among its photos; name another output folder.")
            own = {*RESERVED, *recorded}
            files = {name: file for name, file in files.items() if name.as_posix() not in own}
    raw = {name for name in files if name.suffix.lower() in RAW}
    beside_raw = {name.with_suffix("") for name in files.keys() - raw if _is_photo(name)}
    photos = sorted(name for name, file in files.items() if _is_photo(name) and not _is_special(file))
    photos = [name for name in photos if name not in raw or name.with_suffix("") not in beside_raw]
    if not photos:
        raise PhotoError(f"There are no photos in '{source}' ({', '.join(PHOTOS)}); name another folder.")
    outputs = _outputs(photos, ending, folder, recorded)
    tasks = [Task(files[photo], output, dict(options)) for photo, output in zip(photos, outputs, strict=True)]
    return tasks, sorted([*skipped, *(name.as_posix() for name in files.keys() - set(photos))])


def _is_photo(name: PurePath) -> bool:
    return name.suffix.lower() in PHOTOS


def _is_special(file: Path | StoredFile) -> bool:
    """Whether it is a pipe or a device; a broken link is reported as a photo that is missing."""
    return isinstance(file, Path) and not file.is_file() and file.exists()


def _outputs(photos: Iterable[PurePath], ending: str, folder: Path | Store, recorded: Collection[str]) -> list[str]:
    """The loops' names for photos with these names below their folder.

    With the photo's suffix for the second of two photos that differ only in it, and where the loop would replace a film
    that no batch has written, such as a camera's own. recorded: what batches have written.
    """
    taken, outputs = {name.casefold() for name in RESERVED}, []
    for photo in photos:
        output = photo.with_name(photo.stem + ending).as_posix()
        foreign = isinstance(folder, Path) and output not in recorded and (folder / output).exists()
        if output.casefold() in taken or foreign:
            output = photo.as_posix() + ending
        taken.add(output.casefold())
        outputs.append(output)
    return outputs


def _visible(source: Path, excluded: Path | None) -> tuple[dict[PurePath, Path], list[str]]:
    """The files in a folder and its subfolders, by their names below it, but for hidden ones and those that servers and
    systems keep there, what was deleted and thumbnails; and the names of the folders of the latter. Says which folders
    cannot be read."""

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == source:
            raise PhotoError(f"The folder '{source}' cannot be read ({error.strerror}); check its permissions.")
        complain(f"The folder '{error.filename}' cannot be read ({error.strerror}) and is skipped.", 0)

    found: dict[PurePath, Path] = {}
    kept: list[str] = []
    for place, subfolders, names in os.walk(source, onerror=unreadable):
        here = Path(place)
        below = here.relative_to(source)
        kept += [f"{(below / name).as_posix()}/" for name in subfolders if is_hidden(name) and name[0] != "."]
        visible = (name for name in subfolders if not is_hidden(name))
        subfolders[:] = [name for name in visible if (here / name).resolve() != excluded]
        found |= {below / name: here / name for name in names if not name.startswith(".")}
    return found, kept


def _csv(path: Path) -> Iterator[tuple[int, Row]]:
    for line, row in read_table(path, COLUMNS):
        yield line, {name: cell for name, cell in row.items() if cell != ""}


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


def _task(row: Row, where: str, base: Path | str, ending: str, options: Mapping[str, Any]) -> Task:
    """where: names the row in errors. base: the manifest's folder or URL, to which paths are relative."""
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
    photo = _located(values.pop("photo"), base)
    output = _output(values.pop("output"), where, ending) if "output" in values else photo.stem + ending
    files = {name: values[name] for name in FILES if name in values and values[name] not in STYLES}
    for name, path in files.items():
        file = _located(path, base)
        values[name] = str(file) if isinstance(file, Path) else file.url
    return Task(photo, output, {**options, **values})


def _located(name: str, base: Path | str) -> Path | StoredFile:
    if is_url(name):
        return StoredFile(name)
    return base / name if isinstance(base, Path) else StoredFile(f"{base}/{name}")


def _output(name: str, where: str, ending: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\\" in name or "\0" in name:
        raise OptionError(f"{where}: output '{name}' must be a path inside the output folder, separated by /.")
    return str(path if path.suffix else path.with_name(path.name + ending))


KINDS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {".csv": _csv, ".jsonl": _lines, ".ndjson": _lines}


def _size(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else parse_size(str(value))


def _arrows(value: Any) -> tuple[tuple[float, ...], ...]:
    """Lists of numbers, or X0,Y0,X1,Y1 separated by spaces."""
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
    return float(value.replace(",", ".") if isinstance(value, str) else value)  # a spreadsheet may write 2,5


def _rate(value: Any) -> float:
    return parse_rate(value) if isinstance(value, str) and "/" in value else _number(value)


def _truth(value: Any) -> bool:
    """True or false, in CSV as a text."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        raise OptionError("it is true or false")
    return value


TYPES: dict[Any, Callable[[Any], Any]] = {float: _number, parse_rate: _rate, int: _integer, bool: _truth}
TYPES |= {parse_arrow: _arrows, parse_wind: _wind, parse_duration: parse_duration, parse_size: _size}
COLUMNS: dict[str, Callable[[Any], Any]] = {"photo": _text, "output": _text}
COLUMNS |= {name: TYPES.get(option["parse"], _text) for name, option in ALL_OPTIONS.items()}
del COLUMNS["embed_report"], COLUMNS["keep_metadata"]  # of all photos
