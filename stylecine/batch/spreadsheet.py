"""Tables in CSV, as spreadsheet programs write them in any country."""

import codecs
import csv
import re
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

DELIMITERS = ",;\t"  # a semicolon in countries where numbers have a decimal comma
MORE = "more cells than columns"  # names the cells that have no column


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the header, each with the number of its line; its cells are named after their columns.

    The delimiter is the one that a line `sep=` above the header names, or that finds most of `columns` in the header,
    in whatever case. Empty rows are left out. Text is in UTF-8, with or without a byte order
    mark, or in UTF-16 with one. Raises OSError, UnicodeError and csv.Error.
    """
    with path.open("rb") as file:
        marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with path.open(encoding="utf-16" if marked else "utf-8-sig", newline="") as text:
        header, above, delimiter = text.readline(), 0, ""
        if told := re.match('"?sep=(.)', header, re.IGNORECASE):  # a line of Excel's own
            above, delimiter, header = 1, told[1], text.readline()
        delimiter = delimiter or _delimiter(header, columns)
        style: Any = {"strict": True, "delimiter": delimiter, "skipinitialspace": True}
        reader = csv.DictReader(chain([header], text), restkey=MORE, restval="", **style)
        for row in reader:
            if MORE in row and not any(row[MORE]):
                del row[MORE]
            if any(row.values()):  # spreadsheets write empty rows
                yield reader.line_num + above, {_named(name, columns): cell for name, cell in row.items()}


def _named(name: str, columns: Collection[str]) -> str:
    """The column that a header means, in whatever case."""
    name = name.strip()
    return name.lower() if name not in columns and name.lower() in columns else name


def _delimiter(header: str, columns: Collection[str]) -> str:
    def found(delimiter: str) -> int:
        return sum(_named(name.strip(' "\r\n'), columns) in columns for name in header.split(delimiter))

    return max(DELIMITERS, key=found)  # the comma where no other finds more
