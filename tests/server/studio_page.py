"""A user of the studio in headless Chromium, for tests."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from PIL import Image

from benchmarks.browser import CHROMIUM

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)
from playwright.sync_api import Locator, Page, Route, expect

SLOW = 120_000  # ms; generous, for a busy machine
expect.set_options(timeout=30_000)

WATER = (0.2, 0.8)  # a place in examples/sea.jpg, of width and height
SKY = (0.3, 0.3)
CLIFF = (0.93, 0.3)

# Draws the loop at a share of its length and reads the canvas in the same task, before the browser clears it.
DRAWN = """share => {
  const scrub = document.querySelector("#scrub"), loop = document.querySelector("#loop");
  document.querySelector("#play[aria-label=Pause]")?.click();
  scrub.value = share;
  scrub.dispatchEvent(new Event("input"));
  const canvas = Object.assign(document.createElement("canvas"), {width: loop.width, height: loop.height});
  canvas.getContext("2d").drawImage(loop, 0, 0);
  return canvas.toDataURL("image/png");
}"""


class Studio:
    def __init__(self, page: Page) -> None:
        self.page = page
        self.loops: list[str] = []  # addresses of the loops, or of their cloth, that the page has requested
        self.drafts: list[str] = []  # and of drafts of that
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if "/live?" in url or "/wind?" in url:
            (self.drafts if "quick=true" in url else self.loops).append(url)

    def at(self, id: str) -> Locator:
        return self.page.locator(f"#{id}")

    def open(self, photo: Path) -> None:
        """Opens a photo, waits for its own loop and pauses it."""
        self.begin(photo)
        self.is_idle()
        self.pause()

    def begin(self, photo: Path) -> None:
        """Opens a photo until something moves."""
        self.at("picker").set_input_files(photo)
        self.shows_a_photo()

    def is_ready(self) -> None:
        self.shows_a_photo()
        self.is_idle()

    def shows_a_photo(self) -> None:
        expect(self.page.locator("body[data-phase=ready]")).to_be_visible(timeout=SLOW)

    def is_playing(self) -> bool:
        return self.at("play").get_attribute("aria-label") == "Pause"

    def pause(self) -> None:
        """Where WebGL runs on the CPU, playing takes a core, with priority over the server's work."""
        if self.is_playing():
            self.at("play").click()
        expect(self.at("play")).to_have_attribute("aria-label", "Play")

    def play(self) -> None:
        if not self.is_playing():
            self.at("play").click()
        expect(self.at("play")).to_have_attribute("aria-label", "Pause")

    def is_idle(self) -> None:
        expect(self.page.locator("#stage[aria-busy=true]")).to_have_count(0, timeout=SLOW)

    def moves_on(self, act: Callable[[], Any]) -> None:
        """Does something that makes a new loop, and waits for it; the stage is busy from the change on."""
        before = len(self.loops)
        act()
        self.is_idle()
        assert len(self.loops) > before, "no new loop was made"

    def frame(self, share: float) -> np.ndarray:
        """Pauses, and returns the canvas at a share of the loop, int [H,W,3]."""
        url = self.page.evaluate(DRAWN, share)
        with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as drawn:
            return np.asarray(drawn.convert("RGB")).astype(int)

    def motion(self, place: tuple[float, float]) -> float:
        """Mean change within the loop around a place, in levels of 255."""
        one, other = self.frame(0.1), self.frame(0.45)
        h, w = one.shape[:2]
        x, y, around = round(place[0] * w), round(place[1] * h), round(0.03 * h)
        cut = (slice(y - around, y + around + 1), slice(x - around, x + around + 1))
        return float(np.abs(one[cut] - other[cut]).mean())

    def tool(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).check(force=True)

    def next_frames(self) -> None:
        """Lets the page draw: the picture's size changes a frame after the stage's."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def place(self, fraction: tuple[float, float]) -> tuple[float, float]:
        self.next_frames()
        box = self.at("picture").bounding_box()
        assert box
        return box["x"] + fraction[0] * box["width"], box["y"] + fraction[1] * box["height"]

    def drag(self, *fractions: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.place(fractions[0]))
        mouse.down()
        for fraction in fractions:
            mouse.move(*self.place(fraction), steps=4)
        mouse.up()

    def slide(self, id: str, value: float) -> None:
        self.at(id).evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
        )

    def changes(self) -> list[str]:
        """Those that are still in the picture, the newest first."""
        return self.at("changes").locator("li:has(.remove) :is(.step, span)").all_text_contents()

    def steps(self) -> list[str]:
        """All of them, the oldest first."""
        return self.at("changes").locator(".step").all_text_contents()[::-1]

    def start_over(self) -> None:
        """Undoes all changes, returns to the first tool, and pauses."""
        self.page.keyboard.press("Escape")
        if self.at("undo").is_enabled():
            self.at("changes").locator(".step").last.click()
        expect(self.at("undo")).to_be_disabled()
        self.tool("View")
        self.is_ready()
        self.pause()


class HeldRequest:
    """Holds back the first request of a kind until it is released; a context manager."""

    def __init__(self, page: Page, method: str, url: str) -> None:
        self.page, self.method, self.url = page, method, url
        self.route: Route | None = None

    def __enter__(self) -> Self:
        self.page.route(self.url, self._handle)
        return self

    def release(self) -> None:
        assert self.route, "no such request was made"
        self.route.continue_()

    def __exit__(self, *_: object) -> None:
        self.page.unroute(self.url, self._handle)

    def _handle(self, route: Route) -> None:
        if self.route or route.request.method != self.method:
            route.continue_()
        else:
            self.route = route


@contextmanager
def reduced_loops(page: Page) -> Iterator[None]:
    """The server makes loops of 64 pixels only."""
    pattern = "**/live?*"
    page.route(pattern, lambda route: route.continue_(url=re.sub(r"\bsize=\d+", "size=64", route.request.url)))
    yield
    page.unroute(pattern)
