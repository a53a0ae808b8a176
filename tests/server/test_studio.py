"""The studio in headless Chromium, with a real server, the default model and a real photo.

With STYLECINE_SCREENSHOTS=docs/images in the environment it also takes the screenshots of docs/studio.md.
"""

import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylecine.output.video import read_video
from tests.server.studio_page import CLIFF, SKY, SLOW, WATER, HeldRequest, Page, Route, Studio, expect, reduced_loops

EXAMPLES = Path(__file__).parents[2] / "examples"

# Texts whose contrast with their background is below 4.5, or 3 if they are large: [text, contrast].
LOW_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((value, k) => k < 3 ? value : value / 255);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = element => element === null ? [255, 255, 255, 1]
    : over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const light = ([r, g, b]) => [r, g, b].map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, k) => sum + value * [0.2126, 0.7152, 0.0722][k], 0);
  const found = [];
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const element = words.currentNode.parentElement, text = words.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest(":disabled, [inert], .visually-hidden, option")) continue;
    const style = getComputedStyle(element), back = behind(element);
    const [a, b] = [light(over(rgba(style.color), back)), light(back)].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) found.push([text, (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""


pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(new_page: Callable[..., Page], small_sea: Path) -> Studio:
    """One page with the photo, opened with the keyboard only, which is the first test. It plays by itself."""
    studio = Studio(new_page(color_scheme="dark", reduced_motion="no-preference"))
    with studio.page.expect_file_chooser() as chooser:
        for _ in range(8):
            studio.page.keyboard.press("Tab")
            if studio.page.evaluate("document.activeElement.id") == "choose":
                break
        studio.page.keyboard.press("Enter")
    chooser.value.set_files(small_sea)
    studio.is_ready()
    studio.page.emulate_media(reduced_motion="reduce")  # from now on, as in new_page
    return studio


@pytest.fixture
def studio(opened: Studio) -> Iterator[Studio]:
    yield opened
    opened.start_over()


def test_a_photo_moves_and_its_loop_closes(studio: Studio) -> None:
    assert studio.is_playing()
    clock = studio.at("clock").inner_text()
    expect(studio.at("clock")).not_to_have_text(clock)
    studio.pause()
    first, middle, last = (studio.frame(share) for share in (0, 0.5, 1))
    assert np.abs(middle - first).mean() > 0.5
    assert np.abs(last - first).max() <= 1
    assert studio.motion(SKY) > 0.3 and studio.motion(CLIFF) == 0


def test_the_picture_moves_and_can_be_edited_before_its_scene_is_ready(studio: Studio, small_sea: Path) -> None:
    with HeldRequest(studio.page, "GET", "**/v1/scenes/*wait=20") as held:
        studio.begin(small_sea)
        studio.pause()
        assert studio.page.evaluate("document.querySelector('#photo').src.split(':')[0]") == "blob"
        assert studio.motion(SKY) > 0.3
        studio.at("compare").click()
        expect(studio.at("before")).to_be_visible()
        studio.at("compare").click()
        studio.tool("Freeze")
        studio.slide("brush-size", 80)
        studio.drag((0.15, 0.8), (0.3, 0.8))
        assert studio.motion(WATER) > 0.1
        held.release()
        expect(studio.at("photo")).to_have_attribute("src", re.compile("/photo$"))
        studio.is_idle()
    assert studio.motion(WATER) == 0


def test_frozen_water_is_static_and_undo_releases_it(studio: Studio) -> None:
    before = studio.motion(WATER)
    studio.tool("Freeze")
    studio.slide("brush-size", 80)
    studio.moves_on(lambda: studio.drag((0.15, 0.8), (0.3, 0.8)))
    assert before > 0.1 and studio.motion(WATER) == 0
    assert studio.changes() == ["Frozen"]
    studio.moves_on(lambda: studio.page.keyboard.press("Control+z"))
    assert studio.motion(WATER) == pytest.approx(before)
    studio.moves_on(lambda: studio.page.keyboard.press("Control+Shift+z"))
    assert studio.motion(WATER) == 0


def test_painted_areas_move_and_erased_areas_do_not(studio: Studio) -> None:
    studio.tool("Paint")
    studio.page.get_by_role("radio", name="Falls").check(force=True)
    studio.moves_on(lambda: studio.drag((0.9, 0.25), (0.95, 0.35)))
    studio.tool("Erase")
    studio.slide("brush-size", 75)
    studio.moves_on(lambda: studio.drag((0.25, 0.3), (0.35, 0.3)))
    assert studio.motion(CLIFF) > 0.1 and studio.motion(SKY) == 0
    assert studio.changes() == ["Erased", "Falls painted"]


def test_an_arrow_turns_the_flow_and_one_that_starts_where_nothing_moves_is_refused_alone(studio: Studio) -> None:
    before = studio.frame(0.3)
    studio.tool("Push")
    studio.moves_on(lambda: studio.drag((0.3, 0.8), (0.28, 0.95)))
    assert np.abs(studio.frame(0.3) - before).mean() > 0.1
    with HeldRequest(studio.page, "PATCH", "**/v1/scenes/*") as held:
        studio.tool("Anchor")
        studio.drag((0.6, 0.3))
        studio.tool("Push")
        studio.drag(CLIFF, (0.93, 0.4))
        studio.tool("Anchor")
        studio.drag((0.3, 0.2))
        held.release()
        expect(studio.at("notice")).to_contain_text("starts where nothing moves", timeout=SLOW)
    assert studio.changes() == ["Anchored", "Anchored", "Pushed down"]
    for left in (["Anchored", "Pushed down"], ["Pushed down"], []):
        studio.at("undo").click()
        assert studio.changes() == left
    expect(studio.at("undo")).to_be_disabled()


def test_a_push_follows_the_way_that_is_drawn(studio: Studio) -> None:
    def pushed(*way: tuple[float, float]) -> list[float]:
        with studio.page.expect_request(lambda request: request.method == "PATCH") as sent:
            studio.moves_on(lambda: studio.drag(*way))
        return list(sent.value.post_data_json["edits"][-1]["arrow"])

    studio.tool("Push")
    assert len(pushed((0.2, 0.2), (0.35, 0.205), (0.5, 0.2))) == 4, "a hand is not quite steady"
    way = pushed((0.2, 0.3), (0.4, 0.15), (0.6, 0.3))
    assert np.array(way).reshape(-1, 2) == pytest.approx(np.array([(0.2, 0.3), (0.4, 0.15), (0.6, 0.3)]), abs=0.02)
    assert len(pushed((0.2, 0.35), (0.5, 0.35), (0.4, 0.35))) == 4, "on the way back it becomes shorter"
    assert studio.changes() == ["Pushed right"] * 3


def test_anchors_and_the_speed_brush_slow_the_motion(studio: Studio) -> None:
    before = studio.motion(WATER)
    studio.tool("Anchor")
    studio.moves_on(lambda: studio.drag(WATER, (0.45, 0.8)))
    assert studio.motion(WATER) < 0.5 * before
    studio.tool("Speed")
    studio.slide("factor", -1)
    studio.moves_on(lambda: studio.drag((0.2, 0.3), (0.4, 0.3)))
    assert studio.changes() == ["Speed here: still", "Anchored"]


def test_sliders_make_a_new_loop(studio: Studio) -> None:
    one, sky = studio.frame(0), studio.motion(SKY)
    studio.moves_on(lambda: (studio.slide("loop-seconds", 2), studio.slide("loop-detail", 0)))
    expect(studio.at("clock")).to_contain_text("/ 2.0 s")
    assert np.abs(studio.frame(0) - one).mean() > 1
    studio.moves_on(lambda: (studio.slide("loop-speed", 1), studio.slide("class-sky", -1)))
    assert studio.motion(SKY) < 0.3 * sky and studio.motion(WATER) > 0.1


def test_the_pace_is_one_of_three(studio: Studio) -> None:
    natural = studio.motion(WATER)
    group = studio.page.get_by_role("radiogroup", name="Pace")
    expect(group.get_by_role("radio")).to_have_count(3)
    expect(group.get_by_role("radio", name="Natural")).to_be_checked()
    studio.moves_on(lambda: group.get_by_role("radio", name="Natural").press("ArrowLeft"))
    expect(group.get_by_role("radio", name="Calm")).to_be_checked()
    assert "pace=calm" in studio.loops[-1] and studio.motion(WATER) != natural
    studio.moves_on(lambda: studio.at("undo").click())
    expect(group.get_by_role("radio", name="Natural")).to_be_checked()
    assert "pace=natural" in studio.loops[-1]


def test_the_photo_is_shown_when_nothing_moves(studio: Studio) -> None:
    studio.tool("Erase")
    studio.slide("brush-size", 100)
    studio.moves_on(lambda: studio.drag((0.1, 0.2), (0.9, 0.2), (0.9, 0.7), (0.1, 0.7)))
    expect(studio.at("notice")).to_contain_text("Nothing moves in this photo")
    expect(studio.at("loop")).to_be_hidden()
    studio.moves_on(lambda: studio.at("undo").click())
    expect(studio.at("loop")).to_be_visible()


def test_before_and_after_are_compared(studio: Studio) -> None:
    page, before = studio.page, studio.at("before")
    studio.at("overlay").focus()
    page.keyboard.down("b")
    expect(before).to_be_visible()
    page.keyboard.up("b")
    expect(before).to_be_hidden()
    studio.at("compare").click()
    divider = page.get_by_role("slider", name="Divider between before and after")
    divider.focus()
    page.keyboard.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "48"
    assert before.evaluate("image => image.style.clipPath") == "inset(0px 52% 0px 0px)"
    page.mouse.move(*studio.place((0.48, 0.5)))
    page.mouse.down()
    page.mouse.move(*studio.place((0.25, 0.5)), steps=3)
    page.mouse.up()
    assert abs(int(divider.get_attribute("aria-valuenow") or 0) - 25) <= 1
    studio.at("compare").click()
    expect(divider).to_be_hidden()


def test_overlays_show_mask_and_flow(studio: Studio) -> None:
    def marks() -> np.ndarray:
        with Image.open(io.BytesIO(studio.at("stage").screenshot())) as shot:
            return np.asarray(shot.convert("RGB")).astype(int)

    studio.frame(0)
    plain = marks()
    for name in ("mask", "flow"):
        studio.at(name).click()
        expect(studio.at(name)).to_have_attribute("aria-pressed", "true")
        studio.page.mouse.move(5, 5)
        assert np.abs(marks() - plain).mean() > 1, name
        studio.at(name).click()


def test_wheel_and_keys_zoom(studio: Studio) -> None:
    page = studio.page
    page.mouse.move(*studio.place(WATER))
    under = studio.place(WATER)
    page.mouse.wheel(0, -600)
    expect(studio.at("zoom-fit")).not_to_have_text("Fit")
    assert studio.place(WATER) == pytest.approx(under, abs=2)  # the point under the pointer stays there
    page.keyboard.press("0")
    expect(studio.at("zoom-fit")).to_have_text("Fit")


def test_everything_can_be_painted_with_the_keyboard(studio: Studio) -> None:
    page = studio.page
    studio.at("overlay").focus()
    page.keyboard.press("f")
    page.keyboard.press("]")
    for key in (*["ArrowDown"] * 3, "Shift+ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert studio.changes() == []  # cancelled
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowLeft")
    studio.moves_on(lambda: page.keyboard.press("Space"))
    assert studio.changes() == ["Frozen"]
    page.keyboard.press("v")
    playing = studio.at("play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    expect(studio.at("play")).to_have_attribute("aria-label", "Play" if playing else "Pause")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard and touch")).to_be_visible()


def test_a_video_photos_that_move_and_a_page_are_exported_and_play(
    studio: Studio, tmp_path: Path, new_page: Callable[..., Page]
) -> None:
    def exported(name: str) -> Path:
        studio.at("export").click()
        dialog.get_by_role("radio", name=name).check(force=True)
        with studio.page.expect_download(timeout=SLOW) as saved:  # automatic, once it is ready
            dialog.get_by_role("button", name="Export").click()
        with studio.page.expect_download() as again:
            dialog.get_by_role("link", name="Save again").click()
        assert again.value.suggested_filename == saved.value.suggested_filename
        dialog.get_by_role("button", name="Close").click()
        saved.value.save_as(tmp_path / saved.value.suggested_filename)
        return tmp_path / saved.value.suggested_filename

    dialog = studio.at("export-dialog")
    studio.moves_on(lambda: studio.slide("loop-seconds", 2))
    film = exported("MP4")
    assert film.name == "sea.mp4"
    frames, fps = read_video(film)
    assert (frames.shape, fps) == ((60, 80, 128, 3), 30)
    photo, pair = exported("Motion Photo"), exported("Live Photo")
    assert (photo.name, pair.name) == ("sea.MP.jpg", "sea.livephoto.zip")
    assert len(read_video(photo)[0]) == 120
    with zipfile.ZipFile(pair) as archive:
        assert archive.namelist() == ["live-photo.jpg", "live-photo.mov"]
    page = new_page(reduced_motion="no-preference")
    page.goto(exported("A file to embed").as_uri())
    page.locator("canvas").wait_for()
    first = page.screenshot()
    page.wait_for_timeout(400)
    assert page.screenshot() != first
    page.context.close()


def test_the_loop_is_explained_in_a_tab_of_its_own(studio: Studio) -> None:
    with studio.page.context.expect_page() as opened:
        studio.page.keyboard.press("i")
    page = opened.value
    with page.expect_response("**/explanation/progress") as asked:
        expect(page.get_by_role("progressbar", name="Explanation")).to_be_visible()
    assert 0 <= asked.value.json()["share"] <= 1
    expect(page.get_by_role("heading", name="What to do")).to_be_visible(timeout=SLOW)  # it opens by itself
    assert page.title() == "sea.jpg explained"
    styled = page.locator("pre").first.evaluate("pre => getComputedStyle(pre).userSelect")
    assert styled == "all", "its own style is allowed"
    page.locator("video").evaluate("video => new Promise(done => { video.ontimeupdate = done; })")  # it plays by itself
    with page.expect_download() as mask:
        page.get_by_role("link", name="Save the mask").click()
    assert mask.value.suggested_filename == "sea-mask.png"
    page.close()


def test_an_explanation_that_fails_says_why(studio: Studio) -> None:
    context = studio.page.context
    refused = {"status": 503, "title": "NotReady", "detail": "The service is starting; try again."}
    context.route("**/explanation?*", lambda route: route.fulfill(status=503, json=refused))
    with context.expect_page() as opened:
        studio.at("explain").click()
    page = opened.value
    expect(page.get_by_role("status")).to_have_text("The service is starting; try again.", timeout=SLOW)
    context.unroute("**/explanation?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="What to do")).to_be_visible(timeout=SLOW)
    page.close()


def test_an_export_is_cancelled(studio: Studio, small_sea: Path) -> None:
    dialog, page = studio.at("export-dialog"), studio.page
    studio.at("export").click()
    with HeldRequest(page, "POST", "**/v1/animations") as held:
        dialog.get_by_role("button", name="Export").click()
        progress = dialog.get_by_role("progressbar")
        for _ in range(3):
            page.keyboard.press("Escape")
        studio.at("picker").set_input_files(small_sea)  # like a dropped or pasted one
        expect(studio.at("notice")).to_contain_text("Close the dialog")
        expect(progress).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
        expect(studio.at("announcer")).to_have_text("Export cancelled")
        with page.expect_request(lambda request: request.method == "DELETE" and "/v1/animations/" in request.url):
            held.release()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    studio.at("notice-close").click()


def test_an_opening_is_cancelled(studio: Studio, small_sea: Path) -> None:
    page = studio.page
    before = studio.frame(0.2)
    with HeldRequest(page, "GET", "**/v1/scenes/*wait=*"):
        studio.at("picker").set_input_files(small_sea)
        expect(studio.at("opening-cancel")).to_be_focused()
        studio.at("picker").set_input_files(small_sea)
        expect(studio.at("notice")).to_contain_text("Another photo is being opened")
        with page.expect_request(lambda request: request.method == "DELETE" and "/v1/scenes/" in request.url):
            page.keyboard.press("Enter")
    expect(studio.at("overlay")).to_be_focused()
    assert not studio.is_playing()
    assert np.array_equal(studio.frame(0.2), before)
    studio.at("notice-close").click()


def test_a_scene_that_the_server_has_stays_there_when_its_opening_is_cancelled(
    studio: Studio, new_page: Callable[..., Page], studio_address: str
) -> None:
    scene = studio.page.evaluate("import('/studio/state.js').then(({state}) => state.scene.id)")
    page, methods = new_page(), list[str]()
    page.on("request", lambda request: methods.append(request.method))
    with HeldRequest(page, "GET", "**/live?*"):
        page.goto(f"{studio_address}?scene={scene}")
        expect(page.locator("#opening-text")).to_have_text("Animating", timeout=SLOW)
        page.locator("#opening-cancel").click()
        expect(page.locator("#choose")).to_be_focused()
    assert "DELETE" not in methods
    assert page.request.get(f"{studio_address}v1/scenes/{scene}").json()["state"] == "ready"
    page.close()


def test_a_file_that_is_not_a_photo_is_refused_and_the_open_photo_stays(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    studio.at("picker").set_input_files(tmp_path / "notes.jpg")
    expect(studio.at("notice")).to_contain_text("cannot be read as an image")
    expect(studio.at("notice").get_by_role("button", name="Choose another")).to_be_visible()
    studio.at("notice-close").click()
    assert studio.motion(SKY) > 0.3


def test_the_page_waits_for_a_lost_server(studio: Studio) -> None:
    studio.tool("Freeze")
    studio.slide("brush-size", 80)
    studio.page.context.set_offline(True)
    studio.drag((0.15, 0.8), (0.3, 0.8))
    expect(studio.at("banner")).to_contain_text("is not responding", timeout=SLOW)
    assert studio.changes() == ["Frozen"]
    with studio.page.expect_response(lambda response: "/live?" in response.url, timeout=SLOW):
        studio.page.context.set_offline(False)
    expect(studio.at("banner")).to_be_hidden()
    studio.is_idle()
    assert studio.motion(WATER) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_and_every_control_has_a_name(studio: Studio, theme: str) -> None:
    page, unnamed = studio.page, r"- (button|slider|radio|checkbox|combobox|link|dialog|img|application)(:|$| \[)"
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    expect(page.locator(f"html[data-theme={theme}]")).to_have_count(1)
    for act in (
        lambda: studio.tool("Paint"),
        lambda: page.keyboard.press("?"),
        lambda: page.get_by_role("dialog").get_by_role("button", name="Close").click(),
        lambda: page.keyboard.press("x"),
    ):
        act()
        assert page.evaluate(LOW_CONTRAST) == []
        assert not re.findall(unnamed, page.locator("body").aria_snapshot(), re.MULTILINE)
    studio.at("export-dialog").get_by_role("button", name="Close").click()


def test_a_reduced_preview_says_that_exports_are_sharper(studio: Studio) -> None:
    expect(studio.at("preview-note")).to_be_hidden()  # this photo is so small that it plays at full size
    with reduced_loops(studio.page):
        studio.moves_on(lambda: studio.slide("loop-seconds", 2))
        expect(studio.at("preview-note")).to_have_text("Preview quality. Exports are sharper.")
    studio.moves_on(lambda: studio.slide("loop-seconds", 3))
    expect(studio.at("preview-note")).to_be_hidden()


def test_what_stands_still_is_the_photo_itself_beside_a_reduced_preview(studio: Studio) -> None:
    def around(place: tuple[float, float]) -> np.ndarray:
        x, y = studio.place(place)
        square = {"x": x - 15, "y": y - 15, "width": 30, "height": 30}
        with Image.open(io.BytesIO(studio.page.screenshot(clip=square))) as shot:
            return np.asarray(shot.convert("RGB"), np.float32)

    with reduced_loops(studio.page):
        studio.moves_on(lambda: studio.slide("loop-seconds", 2))
    expect(studio.at("loop")).to_have_css("mask-image", re.compile("blob:"))
    still, moving = around(CLIFF), around(WATER)
    studio.at("loop").evaluate("loop => { loop.style.visibility = 'hidden'; }")
    photo, below = around(CLIFF), around(WATER)
    studio.at("loop").evaluate("loop => { loop.style.visibility = ''; }")
    assert photo.std() > 5
    assert np.array_equal(still, photo)
    assert not np.array_equal(moving, below)


def test_a_quality_warning_is_a_hint_and_not_an_error(studio: Studio, small_sea: Path, tmp_path: Path) -> None:
    page, pattern, notice = studio.page, "**/v1/scenes/*", studio.at("notice")

    def doubt(route: Route) -> None:
        if route.request.method == "DELETE":
            route.continue_()
            return
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "warning": "This may not be a landscape."})

    page.route(pattern, doubt)
    studio.open(small_sea)
    expect(notice).to_contain_text("This may not be a landscape.")
    page.unroute(pattern)
    expect(notice).to_have_attribute("role", "status")
    expect(notice.get_by_role("button", name="Show mask")).to_be_visible()
    (tmp_path / "notes.jpg").write_text("no photo")
    studio.at("picker").set_input_files(tmp_path / "notes.jpg")
    expect(notice).to_have_attribute("role", "alert")
    studio.at("notice-close").click()


@pytest.fixture(scope="module")
def phone(new_page: Callable[..., Page], small_sea: Path) -> Studio:
    phone = Studio(new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    phone.open(small_sea)
    return phone


@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone_controls_are_large_enough_and_labelled(phone: Studio, width: int) -> None:
    page = phone.page
    page.set_viewport_size({"width": width, "height": 640 if width == 360 else 844})
    assert len(set(page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]"))) == 1
    small = """() => [...document.querySelectorAll("button, .tool, .choice label, select")]
      .filter(control => control.checkVisibility() && !control.closest("[inert]"))
      .map(control => [control.id || control.className, control.getBoundingClientRect()])
      .filter(([, box]) => box.width < 44 || box.height < 44).map(([name]) => name)"""
    assert page.evaluate(small) == []
    for label in ("Before", "Compare", "Mask", "Flow", "Adjust"):
        expect(page.locator(".playback").get_by_text(label, exact=True)).to_be_in_viewport(ratio=1)
    if width > 380:
        clock, seam = phone.at("clock").bounding_box() or {}, page.locator("#seam span").bounding_box() or {}
        assert seam["x"] - clock["x"] - clock["width"] >= 8, "the time does not touch the next word"
    stage, height = phone.at("stage").bounding_box() or {}, page.evaluate("innerHeight")
    assert stage["height"] >= 0.6 * height, "most of the page is for the picture"


def test_on_a_phone_the_picture_does_not_move_when_the_tool_changes(phone: Studio) -> None:
    """So that a finger on its way to the picture does not miss it."""
    places = set()
    for name in ("View", "Freeze", "Paint", "Speed", "Push", "Freeze"):
        phone.tool(name)
        places.add(tuple((phone.at("picture").bounding_box() or {}).values()))
    assert len(places) == 1


def test_on_a_phone_one_finger_paints_and_two_zoom(phone: Studio) -> None:
    page = phone.page
    phone.tool("Freeze")
    phone.moves_on(lambda: page.touchscreen.tap(*phone.place(WATER)))
    page.get_by_role("button", name="Adjust speed").click()
    expect(page.get_by_role("slider", name="Length")).to_be_visible()
    assert phone.changes() == ["Frozen"]
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("slider", name="Length")).to_be_hidden()
    touches = page.context.new_cdp_session(page)
    x, y = phone.place((0.5, 0.5))
    for apart in (20, 40, 60, 80):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        kind = "touchStart" if apart == 20 else "touchMove"
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(phone.at("zoom-fit")).to_contain_text("%")
    assert phone.changes() == ["Frozen"]


def test_leaving_with_unsaved_changes_asks_and_a_cine_file_restores_them(studio: Studio, tmp_path: Path) -> None:
    studio.tool("Freeze")
    studio.moves_on(lambda: studio.drag((0.2, 0.8), (0.3, 0.8)))
    expect(studio.at("unsaved")).to_be_visible()
    leaves = "() => dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert not studio.page.evaluate(leaves)
    studio.at("home").click()
    expect(studio.page.get_by_role("alertdialog", name="Leave this photo?")).to_be_visible()
    studio.page.get_by_role("button", name="Cancel").click()
    expect(studio.page.locator("body[data-phase=ready]")).to_be_visible()
    with HeldRequest(studio.page, "GET", "**/file") as held:
        with studio.page.expect_request("**/file"):
            studio.page.keyboard.press("Control+s")
        studio.moves_on(lambda: studio.drag((0.3, 0.3), (0.4, 0.3)))
        with studio.page.expect_download(timeout=SLOW):
            held.release()
    expect(studio.at("unsaved")).to_be_visible()  # the second stroke came too late for the file
    studio.moves_on(studio.at("undo").click)
    with studio.page.expect_download(timeout=SLOW) as saved:
        studio.page.keyboard.press("Control+s")
    saved.value.save_as(tmp_path / "sea.cine")
    expect(studio.at("unsaved")).to_be_hidden()
    assert studio.page.evaluate(leaves)
    studio.open(tmp_path / "sea.cine")
    assert studio.changes() == ["Frozen"]
    studio.moves_on(lambda: studio.page.get_by_role("button", name="Remove: Frozen").click())
    studio.moves_on(lambda: studio.page.keyboard.press("Control+z"))  # its pixels are only in the file
    assert studio.changes() == ["Frozen"]


def test_changes_are_saved_on_the_way_out(new_page: Callable[..., Page], small_sea: Path) -> None:
    studio = Studio(new_page())
    studio.open(small_sea)
    studio.tool("Freeze")
    studio.moves_on(lambda: studio.drag((0.2, 0.8), (0.3, 0.8)))
    studio.at("home").click()
    with studio.page.expect_download(timeout=SLOW) as saved:
        studio.page.get_by_role("alertdialog").get_by_role("button", name="Save").click()
    assert saved.value.suggested_filename == "sea.cine"
    expect(studio.page.locator("body[data-phase=start]")).to_be_visible()


def test_no_console_errors_and_no_requests_to_other_hosts(
    studio: Studio, page_log: dict[str, list[str]], studio_address: str
) -> None:
    """In all tests above, except for the errors that they provoke."""
    provoked = re.compile(
        r"Failed to load resource: (net::ERR_INTERNET_DISCONNECTED|the server responded with a status of 4)"
    )
    assert [error for error in page_log["errors"] if not provoked.match(error)] == []
    assert {
        url for url in page_log["requests"] if not url.startswith((studio_address, "blob:", "data:", "file:"))
    } == set()


@pytest.mark.skipif("STYLECINE_SCREENSHOTS" not in os.environ, reason="STYLECINE_SCREENSHOTS names no folder for them")
@pytest.mark.timeout(1800)  # photos and loops at full size
def test_screenshots(new_page: Callable[..., Page]) -> None:
    folder = Path(os.environ["STYLECINE_SCREENSHOTS"])

    def shown(name: str, studio: Studio) -> None:
        with Image.open(io.BytesIO(studio.page.screenshot())) as shot:
            shot.convert("RGB").save(folder / f"studio-{name}.webp", quality=65, method=6)

    def opened(photo: Path, **options: Any) -> Studio:
        usual = {"viewport": screen, "reduced_motion": "no-preference"}
        studio = Studio(new_page(**{**usual, **options}))
        studio.open(photo)
        studio.moves_on(lambda: studio.at("full-size").evaluate("box => box.click()"))
        studio.frame(0.2)
        studio.at("overlay").blur()  # a mouse user sees no focus ring
        return studio

    screen = {"width": 1440, "height": 900}
    start = Studio(new_page(color_scheme="dark", viewport=screen, reduced_motion="no-preference"))
    start.page.wait_for_timeout(1500)
    shown("start", start)
    dark = opened(EXAMPLES / "sea.jpg", color_scheme="dark")
    shown("dark", dark)
    light = opened(EXAMPLES / "waterfall.jpg", color_scheme="light")
    light.at("seam").click()
    expect(light.at("seam-measure")).to_contain_text("goal", timeout=SLOW)
    light.frame(0.49)
    light.at("seam").blur()
    light.page.mouse.move(5, 5)
    light.page.wait_for_timeout(300)
    shown("light", light)
    light.at("seam").click()
    dark.at("mask").click()
    dark.at("flow").click()
    dark.tool("Freeze")
    dark.moves_on(lambda: dark.drag((0.4, 0.85), (0.45, 0.83)))
    dark.page.mouse.move(*dark.place((0.49, 0.84)))
    dark.page.mouse.down()
    dark.page.mouse.move(*dark.place((0.55, 0.84)), steps=6)
    shown("paint", dark)
    dark.page.mouse.up()
    flag = opened(EXAMPLES / "cloth/flag.jpg", color_scheme="dark")
    flag.page.keyboard.press("5")
    flag.slide("brush-size", 80)
    flag.moves_on(lambda: flag.drag((0.05, 0.15), (0.2, 0.45), (0.5, 0.15), (0.55, 0.45), (0.9, 0.2)))
    flag.moves_on(lambda: flag.drag((0.15, 0.5), (0.35, 0.75), (0.5, 0.88), (0.55, 0.6), (0.85, 0.6)))
    flag.at("wind").focus()
    for _ in range(4):
        flag.page.keyboard.press("ArrowUp")
    flag.moves_on(lambda: flag.page.keyboard.press("Shift+ArrowLeft"))
    flag.frame(0.3)
    flag.at("wind").evaluate("dial => dial.blur()")
    flag.page.mouse.move(5, 5)
    shown("wind", flag)
    light.at("export").click()
    light.at("export-dialog").get_by_label("Shape").select_option("4:5")
    light.page.wait_for_timeout(300)
    shown("export", light)
    phone = opened(
        EXAMPLES / "sea.jpg",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
    )
    phone.tool("Paint")
    phone.page.wait_for_timeout(300)  # for the transition
    shown("phone", phone)
