"""The gallery of a batch: which loops are in it, their posters and their credits."""

import base64
import io
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from stylecine.batch.gallery import CREDITS, check_gallery, read_credits, write_gallery
from stylecine.batch.journal import Record
from stylecine.batch.page import Credit
from stylecine.cli import main
from stylecine.errors import OptionError, OutputError
from stylecine.output.video import write_video
from tests.pages import Read
from tests.tasks import record_of

RED, GREEN = (200, 40, 40), (20, 220, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A red video in a subfolder."""
    (tmp_path / "loops/day 1").mkdir(parents=True)
    write_video([np.full((64, 96, 3), RED, np.uint8)] * 10, tmp_path / "loops/day 1/sea.mp4", 10)
    return tmp_path / "loops"


@pytest.fixture
def records(folder: Path) -> dict[str, Record]:
    """Of the video, a photo that has none, and a video that is lost."""
    failed = {"output": "no.mp4", "photo": "in/no.jpg", "state": "failed", "kind": "PhotoError", "error": "no"}
    return {one["output"]: one for one in (record_of("day 1/sea.mp4"), failed, record_of("lost.mp4"))}


def test_the_gallery_shows_every_loop_that_there_is(records: dict[str, Record], folder: Path) -> None:
    credits = {"sea.jpg": Credit("Sea & sky", "A. Nonym", "CC0")}
    read = Read(write_gallery(records, [], folder, folder / "index.html", credits).read_text("utf-8"))
    assert "\n1 loop\n" in read.text and "lost" not in read.text and "no.jpg" not in read.text
    assert "Sea & sky" in read.text and "A. Nonym · CC0" in read.text
    assert read.values("data-loop") == ["day%201/sea.mp4"] and "open" not in read.of("details")


def test_links_are_relative_to_the_page(records: dict[str, Record], folder: Path, tmp_path: Path) -> None:
    read = Read(write_gallery(records, [], folder, tmp_path / "site.html", {}).read_text("utf-8"))
    (loop,) = read.values("data-loop")
    assert loop == "loops/day%201/sea.mp4" and (tmp_path / unquote(loop)).is_file()
    (tmp_path / "site").mkdir()
    read = Read(write_gallery(records, [], folder, tmp_path / "site/index.html", {}).read_text("utf-8"))
    assert read.values("data-loop") == ["../loops/day%201/sea.mp4"]


def test_posters_are_the_first_frame_and_of_a_styled_loop_the_photo(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), GREEN).save(tmp_path / "green.png")
    one = record_of("day 1/sea.mp4", photo=str(tmp_path / "green.png"))
    for styled, expected in (([], RED), (["day 1/sea.mp4"], GREEN)):
        page = write_gallery({one["output"]: one}, styled, folder, tmp_path / "x.html", {})
        (content,) = re.findall(r"data:image/webp;base64,([^\"]+)", page.read_text("utf-8"))
        with Image.open(io.BytesIO(base64.b64decode(content))) as poster:
            assert poster.size == (96, 64)
            assert np.abs(np.asarray(poster.convert("RGB")).astype(int) - expected).max() < 12


def test_credits_come_from_a_table(tmp_path: Path) -> None:
    assert read_credits(tmp_path) == {}
    (tmp_path / CREDITS).write_text("photo,author,source,more\nsea.jpg, A. Nonym ,https://example.org/,x\n", "utf-8")
    assert read_credits(tmp_path) == {"sea.jpg": Credit("", "A. Nonym", "", "https://example.org/")}
    (tmp_path / CREDITS).write_text("name\nsea.jpg\n", "utf-8")
    with pytest.raises(OptionError, match="no column photo"):
        read_credits(tmp_path)


def test_the_page_has_a_name_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.html"):
        check_gallery(tmp_path / "gallery.txt", tmp_path, [])
    with pytest.raises(OutputError, match="another output"):
        check_gallery(tmp_path / "x/../report.html", tmp_path, ["report.html"])


def test_the_command_writes_it_beside_the_report(
    photo: np.ndarray, mask_file: Path, small_model: Path, tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "lake.png")
    (tmp_path / "photos.csv").write_text(f"photo,mask\nlake.png,{mask_file}\n")
    (tmp_path / CREDITS).write_text("photo,title\nlake.png,Still waters\n")
    options = ["--model", str(small_model), "--device", "cpu", "--processes", "1", "--seconds", "0.5"]
    command = ["batch", str(tmp_path / "photos.csv"), "-o", str(tmp_path / "out"), *options]
    page = tmp_path / "out/index.html"
    assert main([*command, "--gallery", str(tmp_path / "photos.csv")]) == 2 and not page.exists()
    assert main([*command, "--gallery", str(page)]) == 0
    read = Read(page.read_text("utf-8"))
    assert read.values("data-loop") == ["lake.mp4"] and read.values("aria-label") == ["Play Still waters"]
    assert {path.name for path in page.parent.iterdir()} == {
        *("index.html", "report.html", "report.json", "batch.jsonl", "lake.mp4"),
    }
