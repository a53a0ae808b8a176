"""The gallery of a batch: its page for others to look at, with finer pictures and the photos' credits."""

import base64
import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stylecine.batch.journal import Record
from stylecine.batch.page import Credit, batch_page
from stylecine.batch.spreadsheet import CREDITS, read_table
from stylecine.errors import OptionError, OutputError, StylecineError
from stylecine.machine.atomic import atomic_write, translate_os_errors
from stylecine.output.embed import shrunk, webp
from stylecine.output.formats import Page, Video, format_of
from stylecine.output.video import read_first_frame
from stylecine.picture.photo import load_photo

POSTER_WIDTH, POSTER_QUALITY = 480, 55


def check_gallery(path: Path, folder: Path, taken: Iterable[str]) -> None:
    """Raises OptionError or OutputError if the page cannot have that name. taken: other outputs below the folder."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"'{path}' does not end in .html; name the gallery's page so.")
    if os.path.realpath(path) in {os.path.realpath(folder / name) for name in taken}:
        raise OutputError(f"'{path}' is another output of the batch; name the gallery otherwise.")
    _base(folder, path)


def read_credits(folder: Path) -> dict[str, Credit]:
    """The credits.csv of a folder, by the photos' names; empty without one. Columns: photo, and any of title, author,
    licence, source. Raises OptionError."""
    path = folder / CREDITS
    if not path.is_file():
        return {}
    names = Credit.__dataclass_fields__
    try:
        rows = [row for _, row in read_table(path, ("photo", *names))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise OptionError(f"'{path}' cannot be read ({error}); save it as text in UTF-8.") from None
    if rows and "photo" not in rows[0]:
        raise OptionError(f"'{path}' has no column photo; its first line names photo, {', '.join(names)}.")
    return {row["photo"]: Credit(**{name: (row.get(name) or "").strip() for name in names}) for row in rows}


def write_gallery(
    records: Mapping[str, Record], styled: Iterable[str], folder: Path, path: Path, credits: Mapping[str, Credit]
) -> Path:
    """Writes the page for the records of a batch whose loops are below `folder`, and returns its path.

    styled: outputs whose first frame is not the photo: in another appearance, or with weather. credits: by the photos'
    names. Loops that are missing are left out. Raises OutputError.
    """
    others = set(styled)
    shown = [
        record | {"thumbnail": _poster(record, folder, record["output"] in others)}
        for record in records.values()
        if record["state"] == "done" and (folder / record["output"]).is_file()
    ]
    title = f"{len(shown)} loop{'' if len(shown) == 1 else 's'}"
    page = batch_page(title, "", shown, base=_base(folder, path), credits=credits, details=False)
    with atomic_write(path) as part, translate_os_errors(path):
        part.write_text(page, encoding="utf-8", newline="\n")
    return path


def _poster(record: Record, folder: Path, styled: bool) -> str:
    """The photo as WebP in base64: the loop's first frame, unless that has another appearance."""
    path = folder / record["output"]
    try:
        if styled:
            picture = load_photo(Path(record["photo"]), (record["width"], record["height"]))
        elif isinstance(format_of(path), Page):
            return str(record["thumbnail"])
        else:
            picture = read_first_frame(path) if isinstance(format_of(path), Video) else load_photo(path, None)
    except StylecineError:  # the photo may be gone, or so small that it is none
        return str(record["thumbnail"])
    return base64.b64encode(webp(shrunk(picture, (POSTER_WIDTH, 4 * POSTER_WIDTH)), POSTER_QUALITY)).decode()


def _base(folder: Path, page: Path) -> str:
    """The folder relative to the page: "", or ending in "/"."""
    try:
        relative = os.path.relpath(os.path.realpath(folder), os.path.realpath(page.parent))
    except ValueError:
        raise OutputError(f"'{page}' is on another drive than the loops; choose a place beside them.") from None
    return "" if relative == os.curdir else f"{Path(relative).as_posix()}/"
