"""The strip of styles in the studio: thumbnails, strength, drift, and the style of another photo."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.edits.model import Style
from stylecine.edits.scene_file import read_cine
from stylecine.options import STYLES
from tests.server.studio_page import SLOW, Page, Studio, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo in warm, dark colours."""
    path = tmp_path_factory.mktemp("photos") / "evening.png"
    y = np.linspace(1, 0.2, 96)[:, None, None]
    Image.fromarray(np.uint8(np.broadcast_to(y * (220, 110, 60), (96, 128, 3)))).save(path)
    return path


@pytest.fixture(scope="module")
def opened(new_page: Callable[..., Page], small_sea: Path) -> Studio:
    studio = Studio(new_page(color_scheme="dark"))
    studio.open(small_sea)
    return studio


@pytest.fixture
def studio(opened: Studio) -> Iterator[Studio]:
    yield opened
    opened.start_over()


def choose(studio: Studio, name: str) -> None:
    studio.moves_on(lambda: studio.page.get_by_role("radio", name=name, exact=True).check(force=True))


def chosen(studio: Studio) -> str:
    return studio.at("styles").locator("label:has(:checked)").inner_text()


def slide_strength(studio: Studio, value: float) -> None:
    """Moves the slider without releasing it."""
    studio.slide("style-strength", value)


def release_strength(studio: Studio) -> None:
    studio.moves_on(lambda: studio.at("style-strength").dispatch_event("change"))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_the_photo_is_shown_in_every_style(studio: Studio) -> None:
    group = studio.page.get_by_role("radiogroup", name="Style")
    names = [name.replace("-", " ").capitalize() for name in STYLES]
    assert group.locator("label:not([hidden])").all_inner_texts() == ["Original", *names]
    expect(group.get_by_role("radio", name="Original")).to_be_checked()
    expect(studio.at("style-options")).to_be_hidden()
    images = group.locator(".thumbnail").first.evaluate("tile => getComputedStyle(tile).backgroundImage")
    row, photo = images.split(", ")
    assert photo == f'url("{studio.at("photo").evaluate("photo => photo.src")}")', "it is seen until the row has come"
    size = "async url => { const image = new Image(); image.src = url; await image.decode(); return image.width; }"
    assert studio.page.evaluate(size, row.removeprefix('url("').removesuffix('")')) == 160 * (len(STYLES) + 1)


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), (900, 700)])
def test_all_styles_and_their_names_are_seen_without_scrolling(studio: Studio, size: tuple[int, int]) -> None:
    usual = studio.page.viewport_size
    studio.page.set_viewport_size({"width": size[0], "height": size[1]})
    for tile in studio.at("styles").locator("label:visible").all():
        expect(tile).to_be_in_viewport(ratio=1)
        assert tile.locator(".name").evaluate("name => name.scrollWidth <= name.clientWidth"), "the word is whole"
    if size[0] > 1200:
        for name in ("Weather", "Pace"):
            assert is_uncovered(studio, name), f"{name} at {size}"
    studio.page.set_viewport_size(usual)  # type: ignore[arg-type]


def is_uncovered(studio: Studio, name: str) -> bool:
    """Whether a choice in the panel ends above the changes, which are always in view."""
    choice = studio.page.get_by_role("radiogroup", name=name).bounding_box()
    changes = studio.page.locator(".changes-section").bounding_box()
    assert choice and changes
    return choice["y"] + choice["height"] <= changes["y"]


def test_one_style_replaces_another_and_undo_returns_to_it(studio: Studio) -> None:
    plain = studio.frame(0.3)
    choose(studio, "Dusk")
    dusk = studio.frame(0.3)
    assert difference(dusk, plain) > 3 and studio.changes() == ["Style: Dusk"]
    choose(studio, "Golden hour")
    assert difference(studio.frame(0.3), dusk) > 3 and studio.changes() == ["Style: Golden hour"]
    studio.moves_on(lambda: studio.page.keyboard.press("Control+z"))
    assert chosen(studio) == "Dusk" and difference(studio.frame(0.3), dusk) == 0
    studio.moves_on(lambda: studio.page.get_by_role("button", name="Remove: Style: Dusk").click())
    assert chosen(studio) == "Original" and difference(studio.frame(0.3), plain) == 0


def test_the_strength_changes_while_the_slider_moves_and_is_kept_on_release(studio: Studio) -> None:
    plain = studio.frame(0.3)
    choose(studio, "Night")
    full, loops = difference(studio.frame(0.3), plain), len(studio.loops)
    slide_strength(studio, 0.5)
    expect(studio.at("style-strength-value")).to_have_text("50%")
    half = studio.frame(0.3)
    assert 0.3 * full < difference(half, plain) < 0.7 * full and len(studio.loops) == loops
    release_strength(studio)
    assert difference(studio.frame(0.3), half) < 1 and studio.changes() == ["Style: Night"]
    choose(studio, "Dusk")
    assert studio.at("style-strength").input_value() == "0.5", "another style is as strong"
    for _ in range(2):
        studio.moves_on(lambda: studio.at("undo").click())
    assert chosen(studio) == "Night" and studio.at("style-strength").input_value() == "1"


def test_a_style_drifts_from_the_photo_and_back(studio: Studio) -> None:
    first, middle = studio.frame(0), studio.frame(0.5)
    choose(studio, "Night")
    studio.moves_on(lambda: studio.page.get_by_role("checkbox", name="Drift there and back").check())
    assert difference(studio.frame(0), first) < 0.1 < 3 < difference(studio.frame(0.5), middle)
    assert studio.changes() == ["Style: Night"]


def test_styles_are_chosen_with_the_keyboard(studio: Studio) -> None:
    page = studio.page
    page.get_by_role("radio", name="Original").focus()
    for _ in range(2):
        studio.moves_on(lambda: page.keyboard.press("ArrowRight"))
    assert chosen(studio) == "Sunset"
    page.keyboard.press("Tab")
    expect(page.get_by_role("slider", name="Strength")).to_be_focused()
    studio.moves_on(lambda: page.keyboard.press("ArrowLeft"))
    assert studio.at("style-strength").get_attribute("aria-valuetext") == "95%"
    page.keyboard.press("Tab")
    studio.moves_on(lambda: page.keyboard.press("Space"))
    expect(page.get_by_role("checkbox", name="Drift there and back")).to_be_checked()
    assert studio.changes() == ["Style: Sunset"]


def test_another_photo_gives_its_style_which_a_cine_file_keeps(
    studio: Studio, look: Path, small_sea: Path, tmp_path: Path
) -> None:
    plain, page = studio.frame(0.3), studio.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="From a photo").click()
    studio.moves_on(lambda: (chooser.value.set_files(look), expect(studio.at("styles")).to_contain_text(look.name)))
    assert chosen(studio) == look.name and studio.changes() == [f"Style: {look.name}"]
    styled = studio.frame(0.3)
    assert difference(styled, plain) > 3
    slide_strength(studio, 0.6)
    release_strength(studio)
    with page.expect_download(timeout=SLOW) as saved:
        page.keyboard.press("Control+s")
    saved.value.save_as(tmp_path / "sea.cine")
    (edit,) = read_cine(tmp_path / "sea.cine").edits
    assert isinstance(edit, Style) and edit.picture is not None and (edit.name, edit.strength) == (look.name, 0.6)
    studio.open(tmp_path / "sea.cine")
    assert chosen(studio) == look.name and studio.at("style-strength").input_value() == "0.6"
    slide_strength(studio, 1)
    release_strength(studio)
    assert difference(studio.frame(0.3), styled) < 1
    studio.start_over()
    studio.open(small_sea)


def test_a_file_that_is_no_photo_gives_no_style(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    studio.at("style-picker").set_input_files(tmp_path / "notes.jpg")
    expect(studio.at("notice")).to_have_attribute("role", "alert")
    expect(studio.at("notice")).to_contain_text("cannot be read as an image")
    assert chosen(studio) == "Original"
    studio.at("notice-close").click()


def test_a_photo_gives_its_style_though_the_server_has_forgotten_the_scene(studio: Studio, look: Path) -> None:
    scene = "getComputedStyle(document.querySelector('.thumbnail')).backgroundImage.match(/scenes.([^/]+)/)[1]"
    studio.page.evaluate(f"fetch('/v1/scenes/' + {scene}, {{method: 'DELETE'}})")
    studio.moves_on(
        lambda: (
            studio.at("style-picker").set_input_files(look),
            expect(studio.at("changes")).to_contain_text(look.name, timeout=SLOW),
        )
    )
    assert chosen(studio) == look.name
    expect(studio.at("notice")).to_be_hidden()


def test_on_a_phone_the_picture_is_visible_above_the_styles(new_page: Callable[..., Page], small_sea: Path) -> None:
    phone = Studio(new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    phone.open(small_sea)
    page = phone.page
    page.get_by_role("button", name="Adjust speed").click()
    expect(page.get_by_role("button", name="From a photo")).to_be_in_viewport(ratio=1)
    boxes = [phone.at(id).bounding_box() for id in ("picture", "panel", "style-choose", "sheet-close")]
    picture, sheet, other, close = (box or {} for box in boxes)
    assert sheet["y"] > picture["y"] + 0.8 * picture["height"]
    assert other["x"] + other["width"] <= close["x"], "both can be tapped"
    phone.moves_on(lambda: phone.at("styles").locator("label").nth(1).tap())
    assert chosen(phone) == "Golden hour"
    for tile in phone.at("styles").locator("label:visible").all():
        expect(tile).to_be_in_viewport(ratio=1)
    assert len(set(page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]"))) == 1
    page.context.close()
