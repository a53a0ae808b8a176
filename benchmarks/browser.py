"""Headless Chromium with the player in it, for tests and benchmarks; nothing leaves the machine."""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import stylecine

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLAYER = Path(stylecine.__file__).parent / "player"
PAGE = "http://127.0.0.1/"  # answered by Stage, not by a server
TYPES = {".js": "text/javascript", ".html": "text/html"}
HTML = """<!doctype html><canvas></canvas><script type="module">
import {Player} from "./player/player.js";
Object.assign(window, {Player, canvas: document.querySelector("canvas")});
window.loaded = async name => player.load(await (await fetch(name)).arrayBuffer());
window.player = await Player.create(canvas);
</script>"""


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A Playwright browser whose WebGL runs on the CPU (SwiftShader)."""
    from playwright.sync_api import sync_playwright

    quiet = ("background-networking", "component-update", "sync", "quic")
    options = [
        *(f"--disable-{what}" for what in quiet),
        *("--no-first-run", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
        "--disable-gpu-rasterization",  # of the page itself, which SwiftShader paints several times slower
        *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *arguments,
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            yield browser
        finally:
            browser.close()


class Stage:
    """A page with the player in it; `player` and `canvas` are globals there."""

    def __init__(self, browser: Any) -> None:
        self.page, self.packs = browser.new_page(), dict[str, bytes]()
        self.page.route("**/*", self._answer)
        self.page.goto(PAGE)
        self.page.wait_for_function("window.player")

    def load(self, pack: bytes) -> None:
        self.packs["pack"] = pack
        self.page.evaluate("loaded('pack')")

    def frame(self, t: float) -> np.ndarray:
        """Frame t as drawn on the canvas, uint8 [H,W,3]."""
        return self.drawn_by(f"player.render({t})")

    def drawn_by(self, code: str) -> np.ndarray:
        """What is on the canvas right after some code has run, uint8 [H,W,3]."""
        url = self.page.evaluate(f"() => {{ {code}; return canvas.toDataURL(); }}")
        with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as picture:
            return np.asarray(picture.convert("RGB"))

    def _answer(self, route: Any) -> None:
        name = route.request.url.removeprefix(PAGE)
        if name in self.packs:
            route.fulfill(body=self.packs[name], content_type="application/octet-stream")
        elif name.startswith("player/"):
            path = PLAYER / name.removeprefix("player/")
            route.fulfill(body=path.read_bytes(), content_type=TYPES[path.suffix])
        else:
            route.fulfill(body=HTML, content_type="text/html")
