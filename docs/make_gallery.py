"""Renders the loops of docs/gallery, of the photos in its credits.csv, and the page that shows them.

python docs/make_gallery.py [PHOTOS]    # from the root of the repository

PHOTOS is the folder of the photos; without it only the page is written.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
import tempfile
from html import escape
from pathlib import Path

from stylecine.cli import main as stylecine
from stylecine.output.embed import data_url, html_page, webp
from stylecine.picture.photo import load_photo

GALLERY = Path("docs/gallery")
LOOPS = ["--format", "avif", "--size", "480x320", "--seconds", "3", "--fps", "15", "--quality", "44"]
STYLE = """
body { margin: 0 auto; padding: 1.5rem; max-width: 66rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; } img { width: 100%; height: auto; border-radius: 8px; }
figcaption span { color: var(--quiet); }
"""


def read_credits() -> list[dict[str, str]]:
    with (GALLERY / "credits.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def render(rows: list[dict[str, str]], photos: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        manifest, loops = Path(folder) / "photos.csv", Path(folder) / "loops"
        with manifest.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["photo", "output"])
            lines.writerows([photos.resolve() / row["photo"], _file(row)] for row in rows)
        code = stylecine(["batch", str(manifest), "-o", str(loops), *LOOPS])
        for path in loops.glob("*.avif") if code == 0 else ():
            shutil.copy(path, GALLERY)
    return code


def page(rows: list[dict[str, str]]) -> str:
    figures = "\n".join(
        f'<figure><picture><source media="(prefers-reduced-motion: reduce)" srcset="{_still(row)}">'
        f'<img src="{_file(row)}" width="480" height="320" alt="{escape(row["title"])}, animated"></picture>'
        f"<figcaption>{escape(row['title'])}<br><span>{escape(row['author'])} · {escape(row['licence'])} ·"
        f' <a href="{escape(row["source"])}">source</a></span></figcaption></figure>'
        for row in rows
    )
    policy = "default-src 'none'; img-src 'self' file: data:"  # opened from a disk, a page is of no origin
    body = f"<h1>Loops made with stylecine</h1>\n<main>\n{figures}\n</main>"
    return html_page("Loops made with stylecine", body, STYLE, policy=policy)


def _still(row: dict[str, str]) -> str:
    """The first frame, for those who do not want to see anything move."""
    return data_url("image/webp", webp(load_photo(GALLERY / _file(row), None), 55))


def _file(row: dict[str, str]) -> str:
    return re.sub(r"\W+", "-", row["title"].lower().replace("ā", "a")) + ".avif"


if __name__ == "__main__":
    credited = read_credits()
    if code := render(credited, Path(sys.argv[1])) if len(sys.argv) > 1 else 0:
        sys.exit(code)
    (GALLERY / "index.html").write_text(page(credited), encoding="utf-8", newline="\n")
