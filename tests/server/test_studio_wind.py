"""Painted cloth in the studio, and the dial that turns its wind."""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from stylecine.output.video import read_video
from tests.cloths import HEIGHT, flag_mask, flag_photo
from tests.server.studio_page import Page, Studio, expect

pytestmark = pytest.mark.browser
FLAG = (0.53, 0.45)  # of the photo of tests/cloths.py
POLE = (0.295, 0.8)


@pytest.fixture(scope="module")
def flag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "flag.png"
    Image.fromarray(flag_photo()).resize((256, 192), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def opened(new_page: Callable[..., Page], flag: Path) -> Studio:
    studio = Studio(new_page(color_scheme="dark"))
    studio.open(flag)
    return studio


@pytest.fixture(scope="module")
def painted(opened: Studio) -> Studio:
    paint_flag(opened)
    return opened


@pytest.fixture
def studio(painted: Studio) -> Iterator[Studio]:
    """A page in which the flag is painted as cloth, and nothing else was done."""
    painted.page.keyboard.press("5")
    size = painted.page.viewport_size
    yield painted
    if size and size != painted.page.viewport_size:
        painted.page.set_viewport_size(size)
    painted.page.keyboard.press("Escape")
    painted.at("changes").locator(".step", has_text="Cloth painted").click()
    painted.is_idle()
    painted.pause()


def paint_flag(studio: Studio) -> None:
    studio.page.keyboard.press("5")
    assert studio.page.get_by_role("radio", name="Cloth").is_checked()
    studio.slide("brush-size", 75)
    studio.moves_on(lambda: studio.drag((0.4, 0.45), (0.66, 0.45)))


def turn_wind(studio: Studio, degrees: float, strength: float) -> str:
    """Drags the arrow of the dial; returns the wind of the new loop."""
    hold_arrow(studio, degrees, strength)
    studio.page.mouse.up()
    studio.is_idle()
    return requested_wind(studio)


def hold_arrow(studio: Studio, degrees: float, strength: float) -> None:
    """Drags the arrow of the dial and does not release it."""
    dial = studio.at("wind")
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    assert box
    away, angle = 0.74 * strength * box["width"] / 2, math.radians(degrees)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = studio.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + away * math.cos(angle), y - away * math.sin(angle), steps=4)


def is_draft_of(url: str, wind: str) -> bool:
    """Of this wind, not of a weaker one on the arrow's way there."""
    query = parse_qs(urlsplit(url).query)
    return query.get("wind") == [wind] and query.get("quick") == ["true"]


def play_by_clock(studio: Studio, rate: float) -> None:
    """Plays until the studio has measured how long frames take, by a clock of another rate."""
    studio.play()
    studio.page.evaluate(
        """async rate => {
          const now = performance.now.bind(performance);
          performance.now = () => rate * now();
          for (let k = 0; k < 50; k++) await new Promise(requestAnimationFrame);
          delete performance.now;
        }""",
        rate,
    )
    studio.pause()


def reduced(pixels: np.ndarray, scale: int) -> np.ndarray:
    """The means of squares."""
    height, width, _ = pixels.shape
    return pixels.reshape(height // scale, scale, width // scale, scale, 3).mean((1, 3))


def requested_wind(studio: Studio) -> str:
    """The wind of the last loop; drafts are made while the arrow is dragged."""
    query = parse_qs(urlsplit(studio.loops[-1]).query)
    assert query["subject"] == ["auto"]
    return query["wind"][0]


def test_cloth_has_a_wind_at_once(opened: Studio) -> None:
    expect(opened.at("wind")).to_have_attribute("aria-valuetext", "no wind")
    paint_flag(opened)
    expect(opened.at("wind")).to_have_attribute("aria-valuetext", "to the right, 0 degrees, 50 percent strong")
    assert opened.changes() == ["Cloth painted"] and "wind=" not in opened.loops[-1]
    opened.at("undo").click()
    expect(opened.at("wind")).to_have_attribute("aria-valuetext", "no wind")
    opened.start_over()


def test_a_landscape_has_a_wind_when_it_is_turned_and_none_when_that_is_off(opened: Studio) -> None:
    off = opened.page.get_by_role("button", name="No wind")
    expect(off).to_be_disabled()
    assert turn_wind(opened, 180, 0.8) == "180,0.8"
    off.click()
    opened.is_idle()
    expect(off).to_be_disabled()
    expect(opened.at("wind-strength")).to_have_text("None")
    opened.start_over()


def test_painted_cloth_moves_and_the_photo_around_it_stays(studio: Studio) -> None:
    assert studio.motion(FLAG) > 0.3
    first, later = studio.frame(0), studio.frame(0.4)
    x, y = round(POLE[0] * first.shape[1]), round(POLE[1] * first.shape[0])
    assert np.array_equal(first[y - 4 : y + 4, x], later[y - 4 : y + 4, x])


def test_a_loop_of_cloth_only_is_exported_with_the_crop_around_the_cloth(studio: Studio, tmp_path: Path) -> None:
    dialog = studio.at("export-dialog")
    studio.at("export").click()
    dialog.get_by_role("radio", name="MP4").check(force=True)
    dialog.get_by_label("Shape").select_option("9:16")
    position = dialog.get_by_label("Position of the crop")
    assert float(position.input_value()) == pytest.approx(FLAG[0], abs=0.05)
    with studio.page.expect_download(timeout=120_000) as download:
        dialog.get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "flag.mp4")
    film, _ = read_video(tmp_path / "flag.mp4")
    assert film.shape[2] < film.shape[1] and np.ptp(film[:, ::8, ::8].astype(int), 0).max() > 40
    dialog.get_by_role("button", name="Close").click()


@pytest.mark.parametrize("size", [(1400, 900), (1280, 720)])
def test_the_list_of_changes_stays_on_the_screen(studio: Studio, size: tuple[int, int]) -> None:
    studio.page.set_viewport_size({"width": size[0], "height": size[1]})
    expect(studio.at("wind")).to_be_visible()
    expect(studio.at("changes").locator("li").first).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [(1400, 900), (844, 390)])
def test_the_zoom_bar_does_not_cover_the_picture(studio: Studio, size: tuple[int, int]) -> None:
    studio.page.set_viewport_size({"width": size[0], "height": size[1]})
    studio.next_frames()
    picture, zoom = studio.at("picture").bounding_box(), studio.page.locator(".zoom").bounding_box()
    assert picture and zoom
    assert picture["y"] + picture["height"] <= zoom["y"] or picture["x"] + picture["width"] <= zoom["x"]


def test_dragging_the_dial_turns_the_wind(studio: Studio) -> None:
    dial, before = studio.at("wind"), studio.frame(0.25)
    assert turn_wind(studio, 180, 0.8) == "180,0.8"
    assert dial.get_attribute("aria-valuetext") == "to the left, 180 degrees, 80 percent strong"
    assert np.abs(studio.frame(0.25) - before).mean() > 0.05
    assert np.abs(studio.frame(0) - studio.frame(1)).max() <= 1
    degrees, strength = (float(number) for number in turn_wind(studio, 110, 0.4).split(","))
    assert abs(degrees - 110) <= 3 and abs(strength - 0.4) <= 0.03
    expect(studio.at("wind-direction")).to_contain_text("Away from you")
    studio.moves_on(lambda: studio.page.keyboard.press("Control+z"))
    assert dial.get_attribute("aria-valuenow") in ("0", "180")  # two quick drags are one step


@pytest.mark.parametrize(("clock_rate", "scale"), [(10, 2), (0.01, 1)], ids=["slow", "quick"])
def test_the_cloth_follows_the_arrow_while_it_is_held(studio: Studio, clock_rate: float, scale: int) -> None:
    """Where frames take long, at half the size."""
    play_by_clock(studio, clock_rate)
    turn_wind(studio, 0, 0.9)
    before, loops, clock = studio.frame(0.25), len(studio.loops), studio.at("clock").text_content()
    with studio.page.expect_response(lambda response: is_draft_of(response.url, "180,0.9")) as draft:
        hold_arrow(studio, 180, 0.9)
    draft.value.finished()
    expect(studio.at("wind-direction")).to_contain_text("180")
    studio.next_frames()
    held = studio.frame(0.25)
    assert len(studio.loops) == loops, "no loop is made while it is held"
    studio.page.mouse.up()
    assert studio.frame(0.25).shape == before.shape, "the canvas has its size again before the loop is made"
    studio.is_idle()
    before, released = (reduced(frame, scale) for frame in (before, studio.frame(0.25)))
    assert held.shape == released.shape
    assert len(studio.loops) == loops + 1, "nothing else is made"
    cloth = flag_mask().repeat(len(held) // HEIGHT, 0).repeat(len(held) // HEIGHT, 1)
    moved = cloth & (np.abs(before - released).max(2) > 2)  # what this eye takes for sky depends on the size
    assert np.abs(held - released)[moved].mean() < 0.5 * np.abs(before - released)[moved].mean()
    assert studio.at("clock").text_content() == clock


def test_an_arrow_that_is_released_outside_the_page_is_not_held_any_more(studio: Studio) -> None:
    page = studio.page
    hold_arrow(studio, 90, 0.6)
    expect(studio.at("stage")).to_have_attribute("aria-busy", "true")
    browser = page.context.new_cdp_session(page)
    browser.send("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 40, "y": 400, "buttons": 0})
    studio.is_idle()
    assert requested_wind(studio).startswith("90,"), "the arrow stays where it was"
    browser.detach()
    page.mouse.up()


def test_an_arrow_whose_cloth_is_undone_is_not_held_any_more(studio: Studio) -> None:
    hold_arrow(studio, 90, 0.6)
    for _ in range(2):  # the wind, then the cloth
        studio.page.keyboard.press("Control+z")
    studio.is_idle()
    studio.page.mouse.up()


def test_only_what_changes_is_painted_while_the_wind_turns(studio: Studio) -> None:
    """Painting the page takes longer than drawing the cloth where both are drawn by the CPU."""
    browser = studio.page.context.new_cdp_session(studio.page)
    painted: dict[str, int] = {}
    sizes: dict[str, tuple[int, int]] = {}

    def note(event: dict[str, Any]) -> None:
        for layer in event.get("layers", []):
            painted[layer["layerId"]] = layer["paintCount"]
            sizes[layer["layerId"]] = (layer["width"], layer["height"])

    studio.page.emulate_media(reduced_motion="no-preference")  # the dial moves, too
    browser.on("LayerTree.layerTreeDidChange", note)
    browser.send("LayerTree.enable")
    studio.pause()
    hold_arrow(studio, 0, 0.8)
    studio.page.wait_for_timeout(500)
    before = dict(painted)
    for degrees in (10, 30):
        hold_arrow(studio, degrees, 0.8)
        studio.next_frames()
    page_size = studio.page.viewport_size
    assert page_size and painted
    whole = [id for id, size in sizes.items() if size == (page_size["width"], page_size["height"])]
    some = [id for id in painted if painted[id] > before.get(id, 0)]
    assert some and not set(some) & set(whole)
    studio.page.mouse.up()
    studio.is_idle()
    studio.page.emulate_media(reduced_motion="reduce")
    browser.detach()


def test_the_loop_plays_on_while_the_wind_turns(studio: Studio) -> None:
    """How far it gets from frame to frame depends on the machine; that it never stands still for good does not."""
    studio.play()
    studio.page.evaluate(
        """() => {
          window.shares = [];
          const clock = () => {
            shares.push(Number(document.querySelector("#scrub").value));
            requestAnimationFrame(clock);
          };
          clock();
        }"""
    )
    drafts = len(studio.drafts)
    for degrees in range(0, 360, 90):
        hold_arrow(studio, degrees, 0.8)
    shares = np.array(studio.page.evaluate("shares"))
    studio.page.mouse.up()
    studio.is_idle()
    assert len(studio.drafts) > drafts
    assert (np.diff(shares) != 0).sum() > 1


def test_arrows_show_where_the_wind_carries_the_cloth(studio: Studio) -> None:
    studio.frame(0)
    x, y = studio.place(FLAG)
    around = {"x": x - 60, "y": y - 40, "width": 120, "height": 80}

    def seen() -> np.ndarray:
        studio.page.mouse.move(5, 5)
        studio.next_frames()
        with Image.open(io.BytesIO(studio.page.screenshot(clip=around))) as shot:
            return np.asarray(shot.convert("RGB")).astype(int)

    studio.page.wait_for_timeout(1800)  # the mask is shown for a moment after a stroke
    plain = seen()
    studio.at("flow").click()
    right = seen()
    turn_wind(studio, 180, 0.5)
    studio.frame(0)
    left = seen()
    studio.at("flow").click()
    assert (np.abs(right - plain).max(2) > 40).mean() > 0.005, "arrows are drawn over the flag"
    assert (np.abs(left - right).max(2) > 40).any(), "and they turn with the wind"


def test_the_keyboard_turns_the_wind_and_makes_it_stronger(studio: Studio) -> None:
    dial, page = studio.at("wind"), studio.page
    dial.focus()
    for key in ("ArrowLeft", "Shift+ArrowLeft", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    studio.is_idle()
    assert requested_wind(studio) == "20,0.6"
    assert dial.get_attribute("aria-valuenow") == "20"
    expect(page.get_by_role("slider", name="Wind, seen from above")).to_be_focused()
    studio.moves_on(lambda: page.keyboard.press("End"))
    studio.moves_on(lambda: page.keyboard.press("Home"))
    assert "5 percent" in (dial.get_attribute("aria-valuetext") or "")
    assert studio.changes() == ["Cloth painted"]  # nothing was painted by these keys


def test_the_mask_shows_cloth(studio: Studio) -> None:
    studio.frame(0)
    studio.at("mask").click()
    studio.page.mouse.move(5, 5)
    studio.page.wait_for_timeout(1800)  # the mask is shown for a moment after a stroke
    with Image.open(io.BytesIO(studio.at("stage").screenshot())) as shot:
        shown = np.asarray(shot.convert("RGB")).astype(int)
    stage, (x, y) = studio.at("stage").bounding_box(), studio.place(FLAG)
    assert stage
    _, green, blue = shown[round(y - stage["y"]), round(x - stage["x"])]
    assert green > blue + 20  # the red flag is tinted green
    studio.at("mask").click()


def test_on_a_phone_a_finger_turns_the_wind(new_page: Callable[..., Page], small_sea: Path) -> None:
    phone = Studio(new_page(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True))
    phone.open(small_sea)
    page = phone.page
    phone.tool("Paint")
    page.get_by_role("radio", name="Cloth").check(force=True)
    assert len(set(page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]"))) == 1
    page.get_by_role("button", name="Adjust speed").click()
    expect(phone.at("wind")).to_be_visible()
    box = phone.at("wind").bounding_box()
    assert box and min(box["width"], box["height"]) >= 120
    below = {"x": box["width"] / 2, "y": box["height"] - 30}
    phone.moves_on(lambda: phone.at("wind").tap(position=below))  # once the sheet is open
    assert "towards you" in (phone.at("wind").get_attribute("aria-valuetext") or "")
    page.context.close()
