"""A loop as a page of its own: what is in the file, and, where there is a Chromium, what it does."""

import io
import os
import re
import zlib
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load

import stylecine.output.html
from stylecine import animate
from stylecine.cli import main
from stylecine.cloth.animate import animate_cloth
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.errors import OptionError
from stylecine.options import Wind
from stylecine.output.html import write_page
from stylecine.output.web_pack import pack
from tests.cloths import STAND_INS, flag_mask, flag_photo, rest_shape_of
from tests.loops import appearance_of

SAYS = "Photo in motion"


@pytest.fixture(scope="module")
def loop(photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path) -> Cinemagraph:
    return animate(photo, mask=water, motion=drift, seconds=1, model=small_model)


@pytest.fixture(scope="module")
def saved(loop: Cinemagraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "a & b.html"
    loop.save(path)
    return path


# --- the file


def test_the_written_file_is_reported(loop: Cinemagraph, tmp_path: Path) -> None:
    info = loop.save(tmp_path / "loop.html")
    assert (info.frames, info.fps, info.width, info.height, info.codec) == (30, 30, 96, 72, "webgl2")
    assert info.bytes == (tmp_path / "loop.html").stat().st_size < 300_000
    assert [path.name for path in tmp_path.iterdir()] == ["loop.html"] and loop.timings["video"] > 0


def test_a_name_that_is_not_utf8_is_escaped(loop: Cinemagraph, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.html"))
    loop.save(path)
    assert "<title>caf\\xe9</title>" in path.read_text()


def test_the_page_is_self_contained(saved: Path) -> None:
    text = saved.read_text()
    assert not re.findall(r"https?://|\bimport\b|url\(", re.sub(r"//.*", "", text))
    assert "default-src 'none'" in text and "unsafe" not in text
    assert "<title>a &amp; b</title>" in text


def test_it_contains_the_photo_once_and_the_pack_without_it(saved: Path) -> None:
    text = saved.read_text()
    assert text.count("data:image/webp;base64,") == 1
    found = re.search(r'id="pack">([^<]+)<', text)
    assert found
    tensors = load(zlib.decompress(b64decode(found[1])))
    assert tensors["moving"].shape == (72, 96) and "photo" not in tensors and "layers" not in tensors


def test_higher_quality_is_larger(loop: Cinemagraph, tmp_path: Path) -> None:
    worse, better = (loop.save(tmp_path / f"{quality}.html", quality=quality).bytes for quality in (20, 100))
    assert worse < better


def test_loops_that_shaders_cannot_play(
    photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path, tmp_path: Path
) -> None:
    splat = animate(photo, mask=water, motion=drift, seconds=1, model=small_model, sampling="splat")
    with pytest.raises(OptionError, match="use sampling gather"):
        splat.save(tmp_path / "loop.html")
    with pytest.raises(OptionError, match="use sampling gather"):
        splat.live()
    assert not list(tmp_path.iterdir())


def test_the_command_line_refuses_them_before_the_work(
    photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", str(photo_file), "-o", str(tmp_path / "loop.html"), "--sampling", "splat"]) == 2
    assert "use sampling gather" in capsys.readouterr().err
    assert not (tmp_path / "loop.html").exists()


@pytest.fixture(scope="module")
def flag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which nothing but cloth moves."""
    cloth = animate_cloth(rest_shape_of(flag_photo(), flag_mask()), STAND_INS, Wind(0, 0.8), cycles=2, period=60)
    path = tmp_path_factory.mktemp("page") / "flag.html"
    content = pack(None, 60, 30, overlays=[cloth], quality=90, photo=False)
    write_page(content, flag_photo(), path, period=60, fps=30, title="flag", alt=SAYS)
    return path


def test_a_page_with_only_cloth(flag: Path) -> None:
    text = flag.read_text()
    found = re.search(r'id="pack">([^<]+)<', text)
    assert found and text.count("data:image/webp;base64,") == 1 and len(text) < 150_000
    tensors = load(zlib.decompress(b64decode(found[1])))
    assert set(tensors) == {f"overlays.0.{name}" for name in ("background", "matte", "keyframes", "active")}


def styled(loop: Cinemagraph, folder: Path, *, drift: bool) -> tuple[Cinemagraph, Path]:
    """The loop in another appearance, and its page."""
    photo = torch.from_numpy(loop.scene.photo)
    loop = replace(loop, appearance=appearance_of(photo, loop.mask, drift=drift))
    loop.save(folder / "styled.html", quality=100)
    return loop, folder / "styled.html"


@pytest.mark.parametrize("drifts", [False, True])
def test_the_image_of_a_styled_page_is_the_first_frame(loop: Cinemagraph, tmp_path: Path, drifts: bool) -> None:
    shown, path = styled(loop, tmp_path, drift=drifts)
    image, packed = (
        b64decode(found) for found in re.findall(r'(?:webp;base64,|id="pack">)([\w+/=]+)', path.read_text())
    )
    with Image.open(io.BytesIO(image)) as picture:
        assert np.abs(np.asarray(picture).astype(int) - shown[0]).mean() < 3
    assert np.array_equal(shown[0], loop[0]) == drifts
    tensors = load(zlib.decompress(packed))
    assert "style" in tensors and ("photo" in tensors) != drifts  # if it drifts, the image is the photo


# --- in a browser


def look(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        """() => ({photo: !document.querySelector("img").hidden, canvas: !document.querySelector("canvas").hidden,
          button: document.querySelector("button").getAttribute("aria-label"),
          told: document.querySelector("p").textContent})"""
    )
    return found


@pytest.mark.browser
def test_it_plays_automatically_and_can_be_paused(browser: Any, saved: Path) -> None:
    page, requests, complaints = browser.new_page(), list[str](), list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(saved.as_uri())
    page.get_by_role("button", name="Pause").wait_for()
    assert page.get_by_role("img", name=SAYS).count() == 1
    before = page.screenshot()
    assert any(page.screenshot() != before for _ in range(30))  # a busy machine may draw a frame late
    page.get_by_role("button", name="Pause").press("Enter")
    assert look(page) == {"photo": False, "canvas": True, "button": "Play", "told": ""}
    page.wait_for_timeout(400)  # until the button has faded in
    before, _ = page.screenshot(), page.wait_for_timeout(200)
    assert page.screenshot() == before
    assert [url for url in requests if not url.startswith("data:")] == [saved.as_uri()] and not complaints
    page.close()


NOTE_SOUND = """
window.heard = [];
const {start, stop} = AudioBufferSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (when, offset) {
  const {buffer, loop, context} = this, largest = Math.max(...buffer.getChannelData(1).slice(0, 48000));
  heard.push({samples: buffer.length, rate: context.sampleRate, loop, offset, largest});
  return start.call(this, when, offset);
};
AudioBufferSourceNode.prototype.stop = function (when) { heard.at(-1).stopped = true; return stop.call(this, when); };
"""


@pytest.mark.browser
def test_its_sound_is_off_until_a_click_and_goes_round_with_the_picture(
    browser: Any, loop: Cinemagraph, tmp_path: Path
) -> None:
    loop.save(tmp_path / "heard.html", sound=True)
    page, complaints = browser.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.add_init_script(NOTE_SOUND)
    page.goto((tmp_path / "heard.html").as_uri())
    page.get_by_role("button", name="Sound").wait_for()
    page.wait_for_timeout(200)
    assert page.evaluate("heard") == []
    page.get_by_role("button", name="Sound").click()
    page.wait_for_function("heard.length === 1")
    (playing,) = page.evaluate("heard")
    assert (playing["samples"], playing["rate"], playing["loop"]) == (8 * 48_000, 48_000, True), "not one more"
    assert playing["largest"] > 0.001 and "stopped" not in playing
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("heard.length === 1 && heard[0].stopped")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("heard.length === 2")
    page.get_by_role("button", name="Mute").click()
    assert page.evaluate("heard.every(({stopped}) => stopped)") and not complaints
    assert page.get_by_role("button", name="Sound").count() == 1
    page.close()


@pytest.mark.browser
def test_a_page_without_a_sound_has_no_button_for_it(browser: Any, saved: Path) -> None:
    assert 'class="sound"' not in saved.read_text()
    page = browser.new_page()
    page.goto(saved.as_uri())
    page.get_by_role("button", name="Pause").wait_for()
    assert page.get_by_role("button").count() == 1
    page.close()


@pytest.mark.browser
def test_with_reduced_motion_the_photo_and_a_button_are_shown(browser: Any, saved: Path) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(saved.as_uri())
    play = page.get_by_role("button", name="Play")
    play.wait_for()
    before, _ = page.screenshot(), page.wait_for_timeout(200)
    assert page.screenshot() == before
    play.click()
    assert look(page)["button"] == "Pause"
    page.close()


@pytest.mark.browser
def test_without_webgl2_the_photo_and_a_message_are_shown(browser: Any, saved: Path) -> None:
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(saved.as_uri())
    page.get_by_text("no WebGL2").wait_for()
    told = look(page)
    assert told["photo"] and not told["canvas"] and told["told"].endswith(".")
    assert page.get_by_role("img", name=SAYS).count() == 1
    page.close()


@pytest.mark.browser
def test_cloth_plays(browser: Any, flag: Path) -> None:
    page, complaints = browser.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(flag.as_uri())
    page.get_by_role("button", name="Pause").wait_for()
    before, _ = page.screenshot(), page.wait_for_timeout(300)
    assert page.screenshot() != before and not complaints
    page.close()


@pytest.mark.browser
def test_a_styled_page_begins_with_its_image(browser: Any, loop: Cinemagraph, saved: Path, tmp_path: Path) -> None:
    _, path = styled(loop, tmp_path, drift=False)

    def top(page: Any) -> np.ndarray:
        """The upper half, without the button and the message."""
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            return np.asarray(picture.convert("RGB"))[: picture.height // 2].astype(int)

    still = browser.new_page()
    still.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    still.goto(path.as_uri())
    still.get_by_text("no WebGL2").wait_for()
    played, plain = (browser.new_page(reduced_motion="reduce") for _ in range(2))
    for page, file in ((played, path), (plain, saved)):
        page.goto(file.as_uri())
        page.get_by_role("button", name="Play").wait_for()
    assert np.abs(top(played) - top(still)).mean() < 3 < 10 < np.abs(top(played) - top(plain)).mean()
    for page in (still, played, plain):
        page.close()


@pytest.mark.browser
@pytest.mark.parametrize("size", [(400, 150), (150, 400)], ids=["wide", "tall"])
def test_it_shows_the_whole_photo_and_crops_it_only_if_asked(
    browser: Any, saved: Path, photo: np.ndarray, size: tuple[int, int]
) -> None:
    width, height = size

    def shown(fragment: str) -> np.ndarray:
        page = browser.new_page(reduced_motion="reduce", viewport={"width": width, "height": height})
        page.goto(saved.as_uri() + fragment)
        page.get_by_role("button", name="Play").wait_for()
        with Image.open(io.BytesIO(page.screenshot())) as picture:
            page.close()
            return np.asarray(picture.convert("RGB")).astype(int)

    whole, covering = shown(""), shown("#cover")
    box = (200, 150) if width > height else (150, 112)  # 4:3, as the photo
    left, top = (width - box[0]) // 2, (height - box[1]) // 2
    inside = whole[top : top + box[1], left : left + box[0]]
    expected = np.asarray(Image.fromarray(photo).resize(box)).astype(int)
    assert np.abs(inside - expected)[: box[1] // 2].mean() < 5, "the button is below"
    assert not whole[2, 2].any() and covering[2, 2].any() and covering[-2, 2].any()


@pytest.mark.browser
def test_it_can_be_embedded(browser: Any, saved: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe src="{saved.as_uri()}" sandbox="allow-scripts" width="300" height="225"></iframe>')
    page = browser.new_page()
    page.goto(outer.as_uri())
    page.frame_locator("iframe").get_by_role("button", name="Pause").wait_for()
    page.close()


def test_every_module_of_the_player_is_in_the_page() -> None:
    folder = Path(stylecine.__file__).parent / "player"
    assert {path.stem for path in folder.glob("*.js")} == set(stylecine.output.html.MODULES)
