"""Accidental pointer input and keyboard input in the studio."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.studio_page import WATER, Page, Studio, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(new_page: Callable[..., Page], small_sea: Path) -> Studio:
    studio = Studio(new_page())
    studio.open(small_sea)
    return studio


@pytest.fixture
def studio(opened: Studio) -> Iterator[Studio]:
    yield opened
    opened.start_over()


def wait_for_edits(studio: Studio) -> None:
    """Waits long enough for an unwanted edit to appear."""
    studio.page.wait_for_timeout(100)
    studio.is_idle()


@pytest.mark.parametrize("tool", ["Freeze", "Push", "Anchor"])
def test_drawing_outside_the_picture_makes_no_edit(studio: Studio, tool: str) -> None:
    studio.tool(tool)
    studio.drag((0.4, -0.15), (0.6, -0.15))
    wait_for_edits(studio)
    expect(studio.at("notice")).to_be_hidden()
    assert studio.changes() == []


def test_a_stroke_may_start_outside_the_picture(studio: Studio) -> None:
    studio.tool("Freeze")
    studio.drag((0.2, 1.1), WATER)
    assert studio.changes() == ["Frozen"]


def test_a_keyboard_stroke_is_cancelled_when_the_focus_leaves(studio: Studio) -> None:
    page = studio.page
    studio.tool("Freeze")
    studio.at("overlay").focus()
    for key in ("Enter", "ArrowDown", "Tab"):
        page.keyboard.press(key)
    expect(studio.at("announcer")).to_have_text("Stroke cancelled")
    studio.at("overlay").focus()
    page.keyboard.press("ArrowLeft")
    assert studio.changes() == []


def test_the_first_key_in_the_picture_may_start_a_stroke(studio: Studio) -> None:
    page = studio.page
    studio.tool("Freeze")
    for key in ("Enter", "Space"):
        studio.at("tools").locator(":checked").focus()
        page.keyboard.press("Tab")
        page.keyboard.press(key)
        expect(studio.at("announcer")).to_contain_text("Drawing")
        page.keyboard.press("Escape")


def test_space_plays_after_a_click_on_a_tool_or_a_slider(studio: Studio) -> None:
    for clicked, name in ((studio.page.get_by_role("radio", name="Erase"), "Pause"), (studio.at("brush-size"), "Play")):
        clicked.click()
        studio.page.keyboard.press("Space")
        expect(studio.at("play")).to_have_attribute("aria-label", name)


def test_right_and_middle_mouse_buttons_do_not_draw(studio: Studio) -> None:
    studio.tool("Freeze")
    page = studio.page
    page.mouse.move(*studio.place(WATER))
    for button in ("right", "middle"):
        page.mouse.down(button=button)  # type: ignore[arg-type]
        page.mouse.move(*studio.place((0.3, 0.7)), steps=3)
        page.mouse.up(button=button)  # type: ignore[arg-type]
    wait_for_edits(studio)
    assert studio.changes() == []


def test_the_original_is_shown_by_pointer_and_keys(studio: Studio) -> None:
    page, hold, before = studio.page, studio.at("hold-before"), studio.at("before")
    hold.hover()
    page.mouse.down()
    expect(before).to_be_visible()
    page.mouse.up()
    expect(before).to_be_hidden()
    hold.press("Enter")
    expect(before).to_be_visible()
    hold.press("Space")
    expect(before).to_be_hidden()


def test_after_a_change_is_removed_the_next_one_has_the_focus(studio: Studio) -> None:
    studio.tool("Anchor")
    for x in (0.2, 0.4, 0.6):
        studio.drag((x, 0.3))
    studio.is_idle()
    rows = studio.at("changes").locator(".remove")
    rows.nth(0).focus()
    studio.page.keyboard.press("Enter")
    expect(rows.nth(0)).to_be_focused()
    expect(rows).to_have_count(2)


def test_a_new_photo_starts_clean(studio: Studio, small_sea: Path) -> None:
    studio.tool("Freeze")
    studio.at("zoom-in").click()
    expect(studio.at("zoom-fit")).not_to_have_text("Fit")
    studio.page.mouse.move(*studio.place(WATER))
    studio.page.mouse.down()
    studio.open(small_sea)
    expect(studio.at("zoom-fit")).to_have_text("Fit")
    studio.page.mouse.move(5, 5)
    studio.page.mouse.up()
    clean = """() => {
      const overlay = document.querySelector("#overlay");
      return !overlay.getContext("2d").getImageData(0, 0, overlay.width, overlay.height).data.some(Boolean);
    }"""
    studio.page.wait_for_function(clean, polling=200)  # checking in every frame would leave the page no time to draw
    assert studio.changes() == []
