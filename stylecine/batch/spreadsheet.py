"""Tables in CSV, as spreadsheet programs write them in any country."""

import codecs
import csv
from collections.abc import Collection, Iterator
from pathlib import Path

DELIMITERS = ",;\t"  # a semicolon in countries where numbers have a decimal comma
CREDITS = "credits.csv"  # beside the photos, for a gallery
MORE = "more cells than columns"  # names the cells that have no column


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the header, each with the number of its line; its cells are named after their columns.

    The delimiter is the one that finds most of `columns` in the header. Text is in UTF-8, with or without a byte order
    mark, or in UTF-16 with one. Raises OSError, UnicodeError and csv.Error.
    """
    with path.open("rb") as file:
        marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with path.open(encoding="utf-16" if marked else "utf-8-sig", newline="") as text:
        delimiter = _delimiter(text.readline(), columns)
        text.seek(0)
        reader = csv.DictReader(text, restkey=MORE, restval="", strict=True, delimiter=delimiter, skipinitialspace=True)
        for row in reader:
            yield reader.line_num, {name.strip(): cell for name, cell in row.items()}


def _delimiter(header: str, columns: Collection[str]) -> str:
    def found(delimiter: str) -> int:
        return sum(name.strip(' "\r\n') in columns for name in header.split(delimiter))

    return max(DELIMITERS, key=found)  # the comma where no other finds more
