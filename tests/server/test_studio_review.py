"""Reviewing a loop in the studio: its seam, its pace, its changes, and what the mask is unsure of."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.studio_page import SKY, SLOW, WATER, Page, Route, Studio, expect

pytestmark = pytest.mark.browser
SIZES = {"desk": (1400, 900), "phone": (390, 844), "small phone": (360, 640)}
DOUBTS = [
    {"stroke": [[0.2, 0.8], [0.3, 0.8]], "radius": 0.12, "share": 0.02, "what": None},
    {"stroke": [[0.3, 0.3]], "radius": 0.1, "share": 0.01, "what": None},
]


@pytest.fixture(scope="module")
def opened(new_page: Callable[..., Page], small_sea: Path) -> Studio:
    page = new_page()
    page.route("**/doubts", lambda route: route.fulfill(json={"doubts": DOUBTS}))
    studio = Studio(page)
    studio.open(small_sea)
    return studio


@pytest.fixture
def studio(opened: Studio) -> Iterator[Studio]:
    opened.is_ready()
    yield opened
    for toggle in ("seam", "check"):
        if opened.at(toggle).get_attribute("aria-pressed") == "true":
            opened.at(toggle).click()
    opened.page.set_viewport_size({"width": 960, "height": 680})
    opened.start_over()


def test_the_mask_says_what_it_is_unsure_of_and_one_click_freezes_or_dismisses_it(studio: Studio) -> None:
    page, strip = studio.page, studio.at("check-strip")
    expect(studio.at("notice")).to_contain_text("unsure of 2 places", timeout=SLOW)
    before = studio.motion(WATER)
    studio.at("notice-action").click()
    expect(strip).to_contain_text("Check this edge. 1 of 2, bottom left.")
    plain = studio.at("stage").screenshot()
    page.get_by_role("button", name="Next edge").click()
    expect(strip).to_contain_text("2 of 2, top left.")
    assert studio.at("stage").screenshot() != plain
    page.get_by_role("button", name="Next edge").click()
    studio.moves_on(lambda: page.get_by_role("button", name="Freeze", exact=True).click())
    assert studio.changes() == ["Frozen"] and before > 0.1 and studio.motion(WATER) < 0.2 * before
    expect(page.get_by_role("button", name="Next edge")).to_be_hidden()
    studio.moves_on(lambda: page.keyboard.press("Control+z"))
    expect(strip).to_contain_text("of 2,")  # it can be checked again
    studio.at("check-close").click()


def test_what_stands_still_is_set_in_motion_by_one_click(new_page: Callable[..., Page], small_sea: Path) -> None:
    page = new_page()
    offer = {**DOUBTS[0], "what": "water"}
    page.route("**/doubts", lambda route: route.fulfill(json={"doubts": [offer]}))
    studio = Studio(page)
    studio.open(small_sea)
    expect(studio.at("notice")).to_contain_text("unsure of one place", timeout=SLOW)
    studio.at("notice-action").click()
    expect(studio.at("check-strip")).to_contain_text("It stands still, but may be water.")
    expect(studio.at("check-freeze")).to_be_hidden()
    page.get_by_role("button", name="Let it move").click()
    expect(studio.at("announcer")).to_have_text("It moves. Everything is checked")
    assert studio.changes() == ["Water painted"]
    page.context.close()


@pytest.mark.parametrize("strip", ["check", "seam"])
def test_escape_closes_what_is_open_wherever_the_focus_is(studio: Studio, strip: str) -> None:
    page = studio.page
    expect(studio.at(strip)).to_be_visible(timeout=SLOW)
    studio.at(strip).click()
    expect(studio.at(f"{strip}-strip")).to_be_visible()
    studio.at("stage").focus()
    page.keyboard.press("Escape")
    expect(studio.at(f"{strip}-strip")).to_be_hidden()


def test_places_are_checked_with_the_keyboard(studio: Studio) -> None:
    page = studio.page
    expect(studio.at("check")).to_be_visible(timeout=SLOW)  # when the page has asked what is unsure
    page.keyboard.press("k")
    expect(studio.at("check")).to_have_attribute("aria-pressed", "true")
    studio.at("check-dismiss").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(studio.at("announcer")).to_have_text("Dismissed. Everything is checked")
    expect(studio.at("overlay")).to_be_focused()
    assert studio.changes() == []
    page.keyboard.press("k")
    expect(studio.at("check-strip")).to_be_hidden()


def test_the_seam_is_in_the_middle_and_measured(studio: Studio) -> None:
    page = studio.page
    page.route("**/seam?*", lambda route: fulfil_seam(route, 1.3))
    studio.at("seam").click()
    strip = page.get_by_role("region", name="Seam")
    expect(strip).to_contain_text("1.300 times a usual one, above the goal of 0.95 to 1.05: it may be seen as a jump")
    page.unroute("**/seam?*")
    with page.expect_response("**/seam?*") as answer:
        studio.moves_on(lambda: studio.slide("loop-seconds", 3))
    found = answer.value.json()
    assert found["goal"] == [0.95, 1.05]
    expect(strip).to_contain_text(f"{found['seam']:.3f} times a usual one", timeout=SLOW)
    studio.frame(0.5)
    expect(studio.at("clock")).to_have_text(re.compile(r"^[−+]0\.00 s$"))
    expect(studio.at("scrub")).to_have_attribute("aria-valuetext", re.compile("seconds (before|after) the seam"))
    strip.get_by_role("button", name="Next frame").click()
    expect(studio.at("clock")).to_have_text("+0.03 s")
    for _ in range(3):
        strip.get_by_role("button", name="Previous frame").click()
    expect(studio.at("clock")).to_have_text("−0.07 s")
    expect(studio.at("picture")).to_have_class(re.compile("at-seam"))
    page.keyboard.press(".")
    expect(studio.at("clock")).to_have_text("−0.03 s")
    strip.get_by_role("button", name="Close the seam view").click()
    expect(studio.at("clock")).to_contain_text("/ 3.0 s")
    expect(studio.at("seam")).to_be_focused()


def fulfil_seam(route: Route, seam: float) -> None:
    route.fulfill(json={"seam": seam, "goal": [0.95, 1.05]})


def test_the_seam_plays_across_the_wrap_at_half_speed_with_keys_alone(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("h")
    expect(studio.at("seam-strip")).to_be_visible()
    expect(studio.at("clock")).to_have_text(re.compile("^[+−]"), timeout=SLOW)
    expect(studio.at("slow")).to_have_attribute("aria-pressed", "true")
    studio.play()
    before = page.evaluate("() => [Number(document.querySelector('#scrub').value), performance.now()]")
    expect(studio.at("clock")).to_have_text(re.compile(r"^\+0\.[2-9]"), timeout=SLOW)  # it began a second before
    after = page.evaluate("() => [Number(document.querySelector('#scrub').value), performance.now()]")
    passed = 4000 * (after[0] - before[0])
    assert 0.25 < passed / (after[1] - before[1]) < 0.75
    page.keyboard.press("Space")
    page.keyboard.press("h")
    expect(studio.at("slow")).to_have_attribute("aria-pressed", "false")
    studio.at("slow").focus()
    page.keyboard.press("Escape")
    expect(studio.at("seam-strip")).to_be_hidden()


def test_any_step_of_the_history_can_be_returned_to(studio: Studio) -> None:
    page = studio.page
    studio.tool("Freeze")
    studio.moves_on(lambda: studio.drag(WATER, (0.3, 0.8)))
    studio.tool("Anchor")
    studio.moves_on(lambda: studio.drag(SKY))
    studio.moves_on(lambda: page.get_by_role("radio", name="Lively").check(force=True))
    studio.moves_on(lambda: studio.slide("class-sky", 1))
    studio.moves_on(lambda: page.get_by_role("button", name="Remove: Anchored").click())
    names = ["Opened", "Frozen", "Anchored", "Pace: lively", "Sky speed: 4×", "Removed: Anchored"]
    assert studio.steps() == names
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Removed: Anchored")).to_be_focused()
    studio.moves_on(lambda: studio.at("changes").get_by_role("button", name="Frozen", exact=True).click())
    assert studio.changes() == ["Frozen"] and studio.steps() == names
    expect(page.get_by_role("radio", name="Natural")).to_be_checked()
    expect(studio.at("changes").locator("[aria-current=step]")).to_have_text("Frozen")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    studio.moves_on(lambda: page.keyboard.press("Enter"))  # forward again
    expect(page.get_by_role("radio", name="Lively")).to_be_checked()
    assert studio.changes() == ["Anchored", "Frozen"]
    studio.tool("Erase")
    studio.moves_on(lambda: studio.drag((0.6, 0.3)))
    assert studio.steps() == [*names[:4], "Erased"]
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Erased", exact=True)).to_be_focused()


def test_the_sky_is_reversed_in_one_click(studio: Studio) -> None:
    reverse = studio.page.get_by_role("button", name="Reverse the sky")
    studio.moves_on(reverse.click)
    expect(reverse).to_have_attribute("aria-pressed", "true")
    assert studio.changes() == ["Sky speed: 1× reversed"]
    studio.moves_on(lambda: studio.slide("class-sky", 1))
    assert studio.changes() == ["Sky speed: 4× reversed"], "the slider keeps the direction"
    studio.moves_on(reverse.click)
    assert studio.changes() == ["Sky speed: 4×"]


def test_advice_leaves_the_picture_to_the_brush(new_page: Callable[..., Page], small_sea: Path) -> None:
    page, asked = new_page(), list[Route]()
    page.route("**/doubts", lambda route: asked.append(route))
    studio = Studio(page)
    for tool in ("Freeze", "View"):  # while the server looks for doubts
        with page.expect_request("**/doubts", timeout=SLOW):
            studio.open(small_sea)
        studio.tool(tool)
        asked.pop().fulfill(json={"doubts": DOUBTS})
        expect(studio.at("check")).to_be_visible()
        expect(studio.at("notice")).to_be_visible(visible=tool == "View")
        studio.tool("View")
    studio.tool("Freeze")
    expect(studio.at("notice")).to_be_hidden()
    studio.drag((0.2, 1.1), WATER)
    assert studio.changes() == ["Frozen"]
    page.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_everything_fits_and_can_be_touched(new_page: Callable[..., Page], small_sea: Path, size: str) -> None:
    width, height = SIZES[size]
    touch = {"has_touch": True, "is_mobile": True} if size != "desk" else {}
    page = new_page(viewport={"width": width, "height": height}, **touch)
    page.route("**/doubts", lambda route: route.fulfill(json={"doubts": DOUBTS}))
    studio = Studio(page)
    studio.open(small_sea)
    studio.at("check").wait_for(timeout=SLOW)
    act = "click" if size == "desk" else "tap"
    for opens, controls in {
        "check": ["check-freeze", "check-dismiss", "check-next", "check-close"],
        "seam": ["seam-back", "seam-forward", "slow", "seam-close", "scrub"],
    }.items():
        getattr(studio.at(opens), act)()
        for control in [opens, "export", "undo", "redo", *controls]:
            expect(studio.at(control)).to_be_in_viewport(ratio=1)
        box = studio.at("stage").bounding_box()
        assert box and box["height"] > 0.25 * height
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        small = """() => [...document.querySelectorAll(".strip button, .bar button")]
          .filter(control => control.checkVisibility())
          .map(control => [control.id, control.getBoundingClientRect()])
          .filter(([, box]) => box.width < 44 || box.height < 44).map(([id]) => id)"""
        assert page.evaluate(small) == []
    page.context.close()
