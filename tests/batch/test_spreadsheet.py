"""Tables in CSV: the same rows whatever program, in whatever country, wrote them."""

import csv
from pathlib import Path

import pytest

from stylecine.batch.spreadsheet import read_table

COLUMNS = ("photo", "seconds", "style")
ROWS = [(2, {"photo": "sea.jpg", "seconds": "2,5"}), (3, {"photo": "a;b.jpg", "seconds": "4"})]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('photo,seconds\nsea.jpg,"2,5"\na;b.jpg,4\n', "utf-8"),
        ('photo;seconds\nsea.jpg;2,5\n"a;b.jpg";4\n', "utf-8"),
        ('photo;seconds\r\nsea.jpg;2,5\r\n"a;b.jpg";4\r\n', "utf-8-sig"),  # Excel's "CSV UTF-8", German or French
        ("photo\tseconds\nsea.jpg\t2,5\na;b.jpg\t4\n", "utf-8"),
        ("photo\tseconds\r\nsea.jpg\t2,5\r\na;b.jpg\t4\r\n", "utf-16"),  # Excel's "Unicode Text"
        ('"photo"; "seconds"\nsea.jpg;2,5\n"a;b.jpg";4\n', "utf-8"),
        ('Photo;SECONDS\nsea.jpg;2,5;\n"a;b.jpg";4\n;\n;;\n', "utf-8"),  # and empty cells and rows at the end
    ],
)
def test_the_header_tells_the_delimiter(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "photos.csv"
    path.write_text(text, encoding, newline="")
    assert list(read_table(path, COLUMNS)) == ROWS


def test_a_line_of_excels_own_names_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    for first in ("sep=;", '"sep=;"', "SEP=;;;"):
        path.write_text(f'{first}\nphoto;seconds\nsea.jpg;2,5\n"a;b.jpg";4\n')
        assert list(read_table(path, COLUMNS)) == [(line + 1, row) for line, row in ROWS]


def test_a_delimiter_in_a_name_divides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    path.write_text("photo,notes; long and short;ones\nsea.jpg,none\n")
    assert [row for _, row in read_table(path, COLUMNS)] == [{"photo": "sea.jpg", "notes; long and short;ones": "none"}]
    path.write_text("photo\na,b.jpg\n")
    assert [row["more cells than columns"] for _, row in read_table(path, COLUMNS)] == [["b.jpg"]]


def test_what_is_no_table_raises_as_csv_does(tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    path.write_text('photo;seconds\n"sea.jpg\n')
    with pytest.raises(csv.Error):
        list(read_table(path, COLUMNS))
    path.write_bytes(b"photo\n\xfcber.jpg\n")  # in Latin-1
    with pytest.raises(UnicodeError):
        list(read_table(path, COLUMNS))
