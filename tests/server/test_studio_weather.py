"""Snow, rain and fog in the studio."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stylecine.options import WEATHERS
from tests.server.studio_page import Page, Studio, expect, reduced_loops

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


def choose(studio: Studio, name: str) -> None:
    group = studio.page.get_by_role("radiogroup", name="Weather")
    studio.moves_on(lambda: group.get_by_role("radio", name=name, exact=True).check(force=True))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_weather_comes_and_goes(studio: Studio) -> None:
    plain = studio.frame(0.3)
    expect(studio.at("weather-options")).to_be_hidden()
    shown = []
    for name in WEATHERS:
        choose(studio, name.capitalize())
        shown.append(studio.frame(0.3))
        assert difference(shown[-1], plain) > 0.5
    assert difference(shown[0], shown[1]) > 0.5
    choose(studio, "None")
    assert difference(studio.frame(0.3), plain) == 0


def test_the_export_shows_the_weather_and_the_size_of_the_file(studio: Studio) -> None:
    dialog = studio.at("export-dialog")

    def shown() -> np.ndarray:
        studio.at("export").click()
        pixels = dialog.locator(".crop canvas").evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        dialog.get_by_role("button", name="Close").click()
        return np.array(pixels, int)

    studio.frame(0.3)  # paused there
    plain = shown()
    choose(studio, "Fog")
    studio.frame(0.3)
    assert difference(shown(), plain) > 5
    studio.at("export").click()
    dialog.get_by_role("radio", name="MP4").check(force=True)
    dialog.get_by_label("Shape").select_option("9:16")
    expect(studio.at("export-size")).to_have_text("44 × 80, 4 s loop")
    dialog.get_by_label("Shape").select_option("1:1")
    dialog.get_by_role("button", name="Close").click()


def test_its_strength_and_its_wind(studio: Studio) -> None:
    plain = studio.frame(0.3)
    choose(studio, "Snow")
    usual = studio.frame(0.3)
    studio.moves_on(lambda: studio.slide("loop-weather_strength", 1))
    strong = studio.frame(0.3)
    assert difference(strong, plain) > 1.3 * difference(usual, plain)
    studio.moves_on(lambda: studio.at("wind").press("ArrowLeft"))
    assert difference(studio.frame(0.3), strong) > 0.2


def test_weather_is_seen_over_still_places_beside_a_reduced_preview_too(studio: Studio) -> None:
    with reduced_loops(studio.page):
        choose(studio, "Snow")
        expect(studio.at("preview-note")).to_be_visible()
        expect(studio.at("loop")).to_have_css("mask-image", "none")
        choose(studio, "None")
        expect(studio.at("loop")).to_have_css("mask-image", re.compile("blob:"))
