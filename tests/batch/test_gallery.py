"""The gallery of a batch: what is in it, that names cannot break it, and, where there is a Chromium, how it plays."""

import base64
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from stylecine.batch.gallery import CREDITS, Credit, check_gallery, read_credits, write_gallery
from stylecine.batch.journal import Record
from stylecine.cli import main
from stylecine.errors import OptionError, OutputError
from stylecine.output.images import write_animation
from stylecine.output.video import write_video
from tests.pages import Read

NASTY = 'javascript:a <b> & "c"\'s #1?%20'
SIZE = 64, 96
FIGURES = ("seam", "pulse_excess", "moved_error", "travel", "vividness_moving")
RED, BLUE = (200, 40, 40), (40, 40, 200)


def loops(read: Read) -> list[tuple[str, str]]:
    """Kind and address of each."""
    return list(zip(read.values("data-kind"), read.values("data-loop"), strict=True))


def colours(count: int = 10) -> list[np.ndarray]:
    """A loop that begins red and is blue otherwise."""
    return [np.full((*SIZE, 3), RED if t == 0 else BLUE, np.uint8) for t in range(count)]


def record(output: str, path: Path, **changes: Any) -> Record:
    told = {"state": "done", "output": output, "photo": f"in/{Path(output).stem}.jpg", "bytes": path.stat().st_size}
    shape = {"width": SIZE[1], "height": SIZE[0], "frames": 10, "fps": 10.0, "moving": 0.5, "warning": None}
    return told | shape | dict.fromkeys(FIGURES, 1.0) | {"thumbnail": "UklGRg=="} | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video in a subfolder and an animated image with a bad name."""
    folder = tmp_path_factory.mktemp("loops")
    (folder / "day 1").mkdir()
    write_video(colours(), folder / "day 1/sea.mp4", 10)
    write_animation(colours(), folder / f"{NASTY}.webp", 10)
    return folder


@pytest.fixture
def records(folder: Path) -> dict[str, Record]:
    names = ["day 1/sea.mp4", f"{NASTY}.webp"]
    done = [record(name, folder / name, warning="<hm>" if name == names[1] else None) for name in names]
    failed = {"output": "no.mp4", "photo": "in/no.jpg", "state": "failed", "kind": "PhotoError", "error": "no"}
    lost = record("lost.mp4", folder / names[0])
    return {one["output"]: one for one in (*done, failed, lost)}


def test_the_gallery_shows_every_loop_that_there_is(records: dict[str, Record], folder: Path) -> None:
    credits = {"sea.jpg": Credit("Sea & sky", "A. Nonym", "CC0")}
    page = write_gallery(records, [], folder, folder / "index.html", credits)
    read = Read(page.read_text("utf-8"))
    assert "\n2 loops\n" in read.text and "lost" not in read.text and "no.mp4" not in read.text
    assert "Sea & sky" in read.text and "A. Nonym · CC0" in read.text
    assert read.values("aria-label") == ["Play Sea & sky", f"Play {NASTY}"]
    assert "96 × 64 · 1 s" in read.text and "seam" in read.text


def test_names_cannot_break_it(records: dict[str, Record], folder: Path) -> None:
    page = write_gallery(records, [], folder, folder / "index.html", {})
    read = Read(page.read_text("utf-8"))
    assert not {"b", "hm"} & {*read.names} and read.names.count("script") == 1
    for kind, loop in loops(read):
        assert ":" not in loop, "no other scheme"
        assert (folder / unquote(loop)).is_file() and kind in ("video", "image")
    assert read.values("data-loop") == read.values("href")


def test_a_poster_cannot_break_it(records: dict[str, Record], folder: Path) -> None:
    (folder / "page.html").write_text("<p>A loop")
    one = record("page.html", folder / "page.html", thumbnail='"><b>')
    text = write_gallery({"page.html": one}, [], folder, folder / "index.html", {}).read_text("utf-8")
    assert "b" not in Read(text).names


def test_links_are_relative_to_the_page(records: dict[str, Record], folder: Path, tmp_path: Path) -> None:
    page = write_gallery(records, [], folder, tmp_path / "site.html", {})
    for loop in Read(page.read_text("utf-8")).values("data-loop"):
        assert loop.startswith("../") and (tmp_path / unquote(loop)).is_file()


def test_posters_are_the_first_frame_and_of_a_styled_loop_the_photo(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (20, 220, 20)).save(tmp_path / "green.png")
    one = record("day 1/sea.mp4", folder / "day 1/sea.mp4", photo=str(tmp_path / "green.png"))
    for styled, expected in (([], RED), (["day 1/sea.mp4"], (20, 220, 20))):
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
    assert loops(read) == [("video", "lake.mp4")] and read.values("aria-label") == ["Play Still waters"]
    assert {path.name for path in page.parent.iterdir()} == {
        *("index.html", "report.html", "report.json", "batch.jsonl", "lake.mp4"),
    }


# --- in a browser


@pytest.fixture
def gallery(records: dict[str, Record], folder: Path) -> str:
    return write_gallery(records, [], folder, folder / "index.html", {}).as_uri()


def opened(browser: Any, gallery: str, **options: Any) -> Any:
    page = browser.new_context(**options).new_page()
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(gallery)
    return page


def is_blue(page: Any, number: int) -> bool:
    """Whether a card shows the loop, beyond its first frame."""
    shot = page.locator(".frame").nth(number).screenshot()
    with Image.open(io.BytesIO(shot)) as picture:
        red, _, blue = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 4))
    return bool(blue > red)


def plays(page: Any, number: int) -> None:
    end = 40
    while not is_blue(page, number):
        page.wait_for_timeout(100)
        end -= 1
        assert end, "it does not play"


@pytest.mark.browser
def test_loops_play_while_the_mouse_is_over_them(browser: Any, gallery: str) -> None:
    page = opened(browser, gallery)
    for number in (0, 1):
        frame = page.locator(".frame").nth(number)
        assert not is_blue(page, number) and frame.inner_text() == "photo"
        frame.hover()
        assert frame.inner_text() == "loop"
        plays(page, number)
        page.mouse.move(0, 0)
        assert frame.inner_text() == "photo" and not is_blue(page, number)
    assert page.errors == []


@pytest.mark.browser
def test_the_keyboard_plays_them_too(browser: Any, gallery: str) -> None:
    page = opened(browser, gallery)
    button = page.get_by_role("button").first
    page.keyboard.press("Tab")
    assert button.evaluate("button => button === document.activeElement")
    plays(page, 0)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert button.get_attribute("aria-pressed") == "true"
    plays(page, 0)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert button.get_attribute("aria-pressed") == "false" and not is_blue(page, 0)


@pytest.mark.browser
def test_with_reduced_motion_only_a_press_plays(browser: Any, gallery: str) -> None:
    page = opened(browser, gallery, reduced_motion="reduce")
    page.locator(".frame").first.hover()
    page.wait_for_timeout(300)
    assert not is_blue(page, 0)
    page.get_by_role("button").first.click()
    plays(page, 0)


@pytest.mark.browser
def test_on_a_phone_a_tap_plays_and_nothing_is_cut_off(browser: Any, gallery: str) -> None:
    page = opened(browser, gallery, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    button = page.get_by_role("button").first
    button.tap()
    plays(page, 0)
    button.tap()
    assert button.get_attribute("aria-pressed") == "false" and not is_blue(page, 0)
