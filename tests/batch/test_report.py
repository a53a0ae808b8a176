"""The report of a batch: what is in its two files, that names cannot break the page, and how it works."""

import base64
import io
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from stylecine.batch import journal
from stylecine.batch.journal import Record
from stylecine.batch.report import FIGURES, batch_page, summary, write
from tests import outputs
from tests.pages import Read
from tests.tasks import record_of

NASTY = 'javascript:a <b> & "c"\'s #1?%20'
RED, BLUE = (200, 40, 40), (40, 40, 200)


@pytest.fixture
def records() -> list[Record]:
    """A loop, one with a bad name and without a seam, and a photo without a loop."""
    nasty = record_of(f"{NASTY}.webp", photo="in/</script>.jpg", seam=None, travel=0.5, warning="<hm>")
    failed = {"output": "no.mp4", "photo": "in/n\udcffo.jpg", "state": "failed", "kind": "PhotoError", "error": "<no>"}
    return [record_of("day 1/sea.mp4"), nasty, failed]


def texts(read: Read, tag: str) -> list[str]:
    return [text for inside, text in read.texts if inside == tag and text.strip()]


def test_both_files_are_written(tmp_path: Path) -> None:
    failed: Record = {"output": "no.mp4", "photo": "in/n\udcffo.jpg", "state": "failed"}
    failed |= {"kind": "PhotoError", "error": "<no>"}
    records = {one["output"]: one for one in (record_of("day 1/sea.mp4"), record_of("b.gif"), failed)}
    path = write(summary(records, 12.34, 2), records, tmp_path)
    read = Read(path.read_text("utf-8"))
    assert path == tmp_path / "report.html" and read.values("data-loop") == ["day%201/sea.mp4", "b.gif"]
    assert "3 photos, 1 failed" in read.text and "2 done in the last run, in 12.3 seconds." in read.text
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["photos"], told["new"], told["failed"]) == (3, 2, 1)
    assert told["failures"] == [{"photo": "in/n\udcffo.jpg", "kind": "PhotoError", "error": "<no>"}]
    assert [result["output"] for result in told["results"]] == list(records)
    assert not any("thumbnail" in result for result in told["results"])


def test_the_page_lists_every_photo(records: list[Record]) -> None:
    read = Read(batch_page("3 photos", "Made. ", records))
    assert texts(read, "h1") == texts(read, "title") == ["3 photos"]
    assert texts(read, "a") == ["day 1/sea", NASTY] and "96 × 64 · 1 s · 1 kB" in read.text
    assert texts(read, "b") == ["n\\udcffo.jpg"] and "<no>" in read.text and "<hm>" in read.text
    figures = list(zip(texts(read, "dt"), texts(read, "dd"), strict=True))
    assert figures[:1] == [("seam", "1.00")] and figures.count(("moving", "50%")) == 2
    assert len(figures) == 2 * len(FIGURES) - 1, "one has no seam"
    assert "open" in read.of("details") and read.values("alt").count("what moves in it") == 2


def test_only_what_a_browser_plays_has_a_button() -> None:
    names = ("a.webm", "a.mov", "a.avif", "a.html", "a.png", "a.MP.jpg", "a.livephoto.zip")
    read = Read(batch_page("", "", map(record_of, names)))
    assert read.values("data-tag") == ["video", "img", "iframe"] and len(texts(read, "a")) == len(names)


def test_nothing_in_a_record_becomes_markup(records: list[Record]) -> None:
    records[0] |= {"thumbnail": '"><q>', "mask_thumbnail": '"><q>', "photo": "in/\u202egnp.jpg"}
    text = batch_page("", "", records)
    read = Read(text)
    assert not {"q", "hm", "no"} & {*read.names} and read.names.count("script") == 1
    assert "\u202e" not in text and "\\u202e" in text
    loops = read.values("data-loop")
    assert loops == read.values("href") and not any(":" in loop for loop in loops), "no other scheme"
    assert [unquote(loop) for loop in loops] == ["day 1/sea.mp4", f"{NASTY}.webp"]
    assert all(source.startswith("data:image/webp;base64,") for source in read.values("src"))


def test_every_figure_of_a_record_is_checked() -> None:
    assert set(FIGURES) - {"made_in"} <= set(journal.FIGURES)


def test_only_the_pages_own_script_and_style_run(records: list[Record]) -> None:
    text = batch_page("", "", records)
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src-elem")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert f"{directive} 'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'" in policy


# --- in a browser


@pytest.fixture
def address(records: list[Record], tmp_path: Path) -> str:
    """With loops that begin red and are blue otherwise."""
    (tmp_path / "day 1").mkdir()
    colours = [np.full((64, 96, 3), RED if t == 0 else BLUE, np.uint8) for t in range(10)]
    outputs.write(colours, tmp_path / "day 1/sea.mp4", 10)
    outputs.write(colours, tmp_path / f"{NASTY}.webp", 10)
    picture = io.BytesIO()
    Image.fromarray(colours[0]).save(picture, "WEBP")
    red = {"thumbnail": base64.b64encode(picture.getvalue()).decode()}
    page = tmp_path / "index.html"
    page.write_text(batch_page("", "", [record | red for record in records]), "utf-8", newline="\n")
    return page.as_uri()


def opened(browser: Any, address: str, **options: Any) -> Any:
    page = browser.new_context(**options).new_page()
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
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
def test_loops_play_while_the_mouse_is_over_them(browser: Any, address: str) -> None:
    page = opened(browser, address)
    for number in (0, 1):
        frame = page.locator(".frame").nth(number)
        assert not is_blue(page, number) and frame.inner_text() == "still"
        frame.hover()
        assert frame.inner_text() == "loop"
        plays(page, number)
        page.mouse.move(0, 0)
        assert frame.inner_text() == "still" and not is_blue(page, number)
    assert page.errors == []


@pytest.mark.browser
def test_they_are_sorted_by_a_figure(browser: Any, address: str) -> None:
    page = opened(browser, address)
    sort, descending = page.get_by_label("Sort by"), page.get_by_label("descending")

    def order() -> list[str]:  # all_inner_texts() omits what content-visibility has not laid out yet
        return ["sea" if "sea" in name else "nasty" for name in page.locator("h2").all_text_contents()]

    assert order() == ["sea", "nasty"]
    sort.select_option("travel")
    assert order() == ["nasty", "sea"]
    descending.press("Space")
    assert order() == ["sea", "nasty"]
    sort.select_option("note")
    assert order() == ["nasty", "sea"]
    sort.select_option("seam")
    descending.uncheck()
    assert order() == ["sea", "nasty"], "what has none is last"
    assert page.errors == []


@pytest.mark.browser
def test_the_keyboard_plays_them_too(browser: Any, address: str) -> None:
    page = opened(browser, address)
    button = page.get_by_role("button").first
    for _ in range(3):  # past what sorts
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
def test_with_reduced_motion_only_a_press_plays(browser: Any, address: str) -> None:
    page = opened(browser, address, reduced_motion="reduce")
    page.locator(".frame").first.hover()
    page.wait_for_timeout(300)
    assert not is_blue(page, 0)
    page.get_by_role("button").first.click()
    plays(page, 0)


@pytest.mark.browser
def test_on_a_phone_a_tap_plays_and_nothing_is_cut_off(browser: Any, address: str) -> None:
    page = opened(browser, address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    button = page.get_by_role("button").first
    button.tap()
    plays(page, 0)
    button.tap()
    assert button.get_attribute("aria-pressed") == "false" and not is_blue(page, 0)
