"""Every format in headless Chromium: its size, frames and timing, that it loops, and what it shows."""

import base64
import http.server
import io
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.browser import CHROMIUM, chromium
from stylecine.errors import WriterUnavailable
from stylecine.options import FileOptions
from stylecine.output.codecs import VIDEOS as CONTAINERS
from stylecine.output.formats import FORMATS
from stylecine.output.formats import Image as AnimatedImage
from stylecine.output.writing import write_output
from tests.outputs import write

pytestmark = pytest.mark.browser
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

FPS, COUNT, HEIGHT, WIDTH = 10, 12, 96, 128
COMPARED = (0, 6, 11)  # frames
VIDEOS = [(ending, codec) for ending, form in CONTAINERS.items() if ending != ".mov" for codec in form.codecs]
PICTURES = [ending for ending, form in FORMATS.items() if isinstance(form, AnimatedImage)]
TOLERANCE = {".gif": 9, ".webp": 6, ".avif": 4, ".apng": 0.01}  # mean difference in levels; videos: 5

PAGE = """<!doctype html><script>
const drawn = (source, width, height) => {
  const canvas = Object.assign(document.createElement("canvas"), {width, height});
  canvas.getContext("2d").drawImage(source, 0, 0);
  return canvas.toDataURL("image/png");
};

async function picture(name) {
  const image = new Image();
  image.src = name;
  await image.decode();
  const type = {gif: "image/gif", webp: "image/webp", avif: "image/avif", apng: "image/png"}[name.split(".")[1]];
  const data = await (await fetch(name)).arrayBuffer();
  const decoder = new ImageDecoder({data, type, preferAnimation: true});
  await decoder.tracks.ready;
  await decoder.completed;
  const track = decoder.tracks.selectedTrack;
  const found = {width: image.naturalWidth, height: image.naturalHeight, frames: track.frameCount,
                 forever: track.repetitionCount === Infinity, times: [], shown: {}};
  for (let k = 0; k < track.frameCount; k++) {
    const frame = (await decoder.decode({frameIndex: k})).image;
    found.times.push(frame.duration / 1e6);
    if (COMPARED.includes(k)) found.shown[k] = drawn(frame, frame.displayWidth, frame.displayHeight);
    frame.close();
  }
  return found;
}

async function video(name) {
  const src = URL.createObjectURL(await (await fetch(name)).blob());  // as a whole, so that it can be sought in
  const film = Object.assign(document.createElement("video"), {src, muted: true, loop: true, preload: "auto"});
  document.body.append(film);
  await new Promise((done, failed) => {
    film.oncanplaythrough = done;
    film.onerror = () => failed(film.error.message);
  });
  const found = {width: film.videoWidth, height: film.videoHeight, duration: film.duration, shown: {}};
  for (const k of COMPARED) {
    const there = new Promise(done => film.requestVideoFrameCallback(done));
    film.currentTime = (k + 0.5) / FPS;
    await there;
    found.shown[k] = drawn(film, film.videoWidth, film.videoHeight);
  }
  found.loops = await new Promise(done => {  // it plays past its end: time goes back
    let before = -1;
    const look = (_, {mediaTime}) => mediaTime < before ? done(true) :
      (before = mediaTime, film.requestVideoFrameCallback(look));
    film.currentTime = film.duration - 3.5 / FPS;
    film.onseeked = () => { film.requestVideoFrameCallback(look); film.play(); };
  });
  film.remove();
  return found;
}

onload = async () => {
  for (const name of NAMES) {
    let found;
    const late = new Promise((_, failed) => setTimeout(() => failed("timeout"), 8000));
    try { found = await Promise.race([late, name.includes("video") ? video(name) : picture(name)]); }
    catch (error) { found = {error: String(error)}; }
    await fetch("/found/" + name, {method: "POST", body: JSON.stringify(found)});
  }
};
</script><body>"""


def clip() -> list[np.ndarray]:
    """Ramps that distinguish BT.601 from BT.709, and a disc that moves once around."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramps = np.stack([x / WIDTH, y / HEIGHT, 1 - (x / WIDTH + y / HEIGHT) / 2], axis=-1)
    frames = []
    for angle in 2 * np.pi * np.arange(COUNT) / COUNT:
        off = np.hypot(x - WIDTH * (0.5 + 0.25 * np.cos(angle)), y - HEIGHT * (0.5 + 0.25 * np.sin(angle)))
        share = np.clip(14 - off, 0, 1)[..., None]
        frames.append(np.round(255 * (ramps * (1 - share) + 0.9 * share)).astype(np.uint8))
    return frames


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what the page posts goes into `found`."""

    found: queue.Queue[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        result = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.found.put((self.path.rsplit("/", 1)[1], result))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What Chromium reports of a file in every format that can be written here, by file name."""
    folder = tmp_path_factory.mktemp("formats")
    names = [name for name in (*map(video_name, VIDEOS), *map(picture_name, PICTURES)) if written(folder / name)]
    values = {"NAMES": json.dumps(names), "COMPARED": json.dumps(COMPARED), "FPS": str(FPS)}
    page = PAGE
    for name, value in values.items():
        page = page.replace(name, value)
    (folder / "page.html").write_text(page)
    handler = type("Handler", (Pages,), {"found": queue.Queue()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            command(profile, f"http://127.0.0.1:{server.server_port}/page.html"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield dict(handler.found.get(timeout=60) for _ in names)  # type: ignore[attr-defined]
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
            server.server_close()


def command(profile: str, page: str) -> list[str]:
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        *(str(CHROMIUM), "--headless", "--no-first-run", "--autoplay-policy=no-user-gesture-required", *root),
        *(f"--disable-{what}" for what in quiet),
        *(f"--user-data-dir={profile}", page),
    ]


def video_name(form: tuple[str, str]) -> str:
    return f"video-{form[1]}{form[0]}"


def picture_name(ending: str) -> str:
    return f"loop{ending}"


def written(path: Path) -> bool:
    """Writes the clip; False if the installed libraries have no encoder."""
    try:
        codec = path.stem.split("-")[1] if "-" in path.stem else None
        quality = 90 if path.suffix in (".gif", ".webp") else None
        write_output(clip(), path, FPS, FileOptions(codec=codec, quality=quality))
    except WriterUnavailable:
        return False
    return True


def pixels(url: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as canvas:
        return np.asarray(canvas.convert("RGB")).astype(int)


def assert_shows_the_clip(found: dict[str, Any], tolerance: float) -> None:
    frames = clip()
    shown = {int(k): pixels(url) for k, url in found["shown"].items()}
    assert set(shown) == set(COMPARED)
    for k, picture in shown.items():
        assert np.abs(picture - frames[k]).mean() <= tolerance
        nearest = min(range(COUNT), key=lambda other: np.abs(picture - frames[other]).mean())
        assert nearest == k


@pytest.mark.parametrize("ending", PICTURES)
def test_animated_images_play_in_the_browser(opened: dict[str, dict[str, Any]], ending: str) -> None:
    if picture_name(ending) not in opened:
        pytest.skip("the installed libraries have no encoder for it")
    found = opened[picture_name(ending)]
    assert "error" not in found, found
    assert (found["width"], found["height"], found["frames"]) == (WIDTH, HEIGHT, COUNT)
    assert found["forever"] and found["times"] == pytest.approx([1 / FPS] * COUNT)
    assert_shows_the_clip(found, TOLERANCE[ending])


@pytest.mark.parametrize("form", VIDEOS, ids=video_name)
def test_videos_play_and_loop_in_the_browser(opened: dict[str, dict[str, Any]], form: tuple[str, str]) -> None:
    if video_name(form) not in opened:
        pytest.skip("the installed PyAV has no encoder for it")
    found = opened[video_name(form)]
    if "error" in found and form[1].startswith("h265"):
        pytest.skip("this Chromium has no decoder for H.265, as most on Linux")
    assert "error" not in found, found
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert found["duration"] == pytest.approx(COUNT / FPS, abs=0.02) and found["loops"]
    assert_shows_the_clip(found, 5)


# --- the wrap: what a looping video shows frame by frame, from its end to its beginning

PERIOD, WRAPS, SETTLED = 8, 3, 12  # frames; wraps that are looked at; frames until the playback has started
ATTEMPTS, AROUND = 5, 2  # a busy machine drops frames anywhere; a fault of the file shows at every wrap
BITS = [(10 + 40 * k, 20) for k in range(3)]  # places of squares that are light or dark, by the frame's number
GROUND = (64, 80)
WATCH = """async ([src, places, count]) => {
  const film = Object.assign(document.createElement("video"), {src, muted: true, loop: true, preload: "auto"});
  document.body.replaceChildren(film);
  const canvas = Object.assign(document.createElement("canvas"), {width: 128, height: 96});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const seen = [];
  return await new Promise((done, failed) => {
    film.onerror = () => failed(film.error.message);
    const look = (_, {presentedFrames}) => {
      context.drawImage(film, 0, 0);
      const levels = places.map(([x, y]) => context.getImageData(x + 10, y + 10, 1, 1).data[1]);
      seen.push({presentedFrames, levels});
      seen.length < count ? film.requestVideoFrameCallback(look) : done(seen);
    };
    film.requestVideoFrameCallback(look);
    film.play();
  });
}"""


def numbered() -> list[np.ndarray]:
    """A grey picture with the number of the frame in three squares."""
    frames = np.full((PERIOD, HEIGHT, WIDTH, 3), 128, np.uint8)
    for k, (x, y) in enumerate(BITS):
        for number in range(PERIOD):
            frames[number, y : y + 20, x : x + 20] = 230 if number >> k & 1 else 40
    return list(frames)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright", reason="playwright, which drives the browser, is not installed")
    with chromium("--autoplay-policy=no-user-gesture-required") as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "h264", {}),
        ("a.mp4", "h264", {"keyframes": "all"}),
        ("a.mp4", "h264", {"duration": "2s"}),
        ("a.mp4", "av1", {}),
        ("a.webm", "vp9", {}),
        ("a.webm", "vp9", {"keyframes": "all", "duration": "2s"}),
    ],
    ids=str,
)
def test_no_frame_is_lost_repeated_or_black_where_a_video_starts_again(
    browser: Any, tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """As far as Chromium tells: it calls back for each frame that it presents, and counts them."""
    try:
        write(numbered(), tmp_path / name, FPS, codec=codec, **options)  # type: ignore[arg-type]
    except WriterUnavailable as error:
        pytest.skip(str(error))
    src = f"data:video/{name[2:]};base64,{base64.b64encode((tmp_path / name).read_bytes()).decode()}"
    page = browser.new_page()
    for _ in range(ATTEMPTS):
        watched = page.evaluate(WATCH, [src, [*BITS, GROUND], SETTLED + PERIOD * WRAPS])[SETTLED:]
        levels = np.array([frame["levels"] for frame in watched])
        assert np.abs(levels[:, 3] - 128).max() < 12, "a frame is black"
        shown = (levels[:, :3] > 128) @ [1, 2, 4]
        presented = [frame["presentedFrames"] - watched[0]["presentedFrames"] for frame in watched]
        next_one = (np.diff(shown) % PERIOD == 1) & (np.diff(presented) == 1)
        wraps = [i for i in np.flatnonzero(shown[:-1] == PERIOD - 1) if AROUND <= i < len(next_one) - AROUND]
        if any(next_one[i - AROUND : i + AROUND + 1].all() for i in wraps):
            break
    else:
        pytest.fail(f"frames {shown.tolist()}, presented as {presented}")
    page.close()
