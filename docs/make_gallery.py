"""Renders docs/gallery: `stylecine batch --gallery` of the photos in docs/gallery/credits.csv.

python docs/make_gallery.py PHOTOS      # their folder; from the root of the repository
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
import tempfile
from pathlib import Path

from stylecine.batch.gallery import CREDITS
from stylecine.cli import main as stylecine

GALLERY = Path("docs/gallery")
LOOPS = ["--format", "avif", "--size", "480x320", "--seconds", "3", "--fps", "15", "--quality", "44"]


def main(photos: Path) -> int:
    with (GALLERY / CREDITS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as folder:
        manifest, loops = Path(folder) / "photos.csv", Path(folder) / "loops"
        with manifest.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["photo", "output"])
            lines.writerows([photos.resolve() / row["photo"], f"{_name(row['title'])}.avif"] for row in rows)
        shutil.copy(GALLERY / CREDITS, folder)
        page = loops / "index.html"
        code = stylecine(["batch", str(manifest), "-o", str(loops), *LOOPS, "--gallery", str(page)])
        if code == 0:
            html = page.read_text(encoding="utf-8")
            page.write_text(html.replace(f"{photos.resolve()}/", ""), encoding="utf-8", newline="\n")
            for path in (page, *loops.glob("*.avif")):
                shutil.copy(path, GALLERY)
    return code


def _name(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower().replace("ā", "a"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
