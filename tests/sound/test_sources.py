"""What is heard in a scenery, and where."""

import pytest
import torch
from torch import Tensor

from stylecine.options import FALLS, SKY, WATER, Wind
from stylecine.perception.scenery import Scenery
from stylecine.sound.sources import Source, find_sources
from stylecine.sound.voices import VOICES
from tests.seen import Everywhere, seen

HEIGHT, WIDTH = 96, 128
Area = tuple[int, int, int, int]


def scenery(kind: str = "open", foam: str = "none", texture: float = 0.0, **areas: Area) -> Scenery:
    """A scenery of flat areas by class: rows and columns from and to. texture: of white water, in [0,1]."""
    noise = torch.rand(1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    photo, layers = torch.full((3, HEIGHT, WIDTH), -0.2), torch.zeros(4, HEIGHT, WIDTH)
    for name, (top, bottom, left, right) in areas.items():
        place = slice(top, bottom), slice(left, right)
        layers[({"sky": SKY, "water": WATER, "falls": FALLS}[name], *place)] = 1
        photo[(slice(None), *place)] += texture * 2 * ((noise[(slice(None), *place)] > 0.6).float() - 0.4)
    return seen(photo, layers, Everywhere(0.0, 1.0, kind, foam))


def heard(
    scene: Scenery, plants: Tensor | None = None, wind: Wind | None = None, rain: float | None = None
) -> dict[str, Source]:
    return {source.kind: source for source in find_sources(scene, plants, wind, rain)}


def test_a_sky_alone_is_a_faint_wind() -> None:
    found = heard(scenery(sky=(0, 48, 0, 128)))
    assert [*found] == ["wind"] and found["wind"].strength == pytest.approx(0.3)


def test_in_a_calm_it_is_silent() -> None:
    assert not heard(scenery(sky=(0, 48, 0, 128)), wind=Wind(0, 0))


@pytest.mark.parametrize(
    ("kind", "expected", "seconds"),
    [("runs", "brook", None), ("open", "waves", 2.0), ("mirrors", "waves", 1.3), ("surf", "surf", 4.0)],
)
def test_each_kind_of_water_has_its_sound_and_its_rhythm(kind: str, expected: str, seconds: float | None) -> None:
    found = heard(scenery(kind, water=(48, 96, 0, 128)))
    assert [*found] == [expected, "wind"] and expected in VOICES
    assert seconds is None or found[expected].wave_seconds == seconds


def test_a_brook_that_is_white_is_louder_and_has_more_bubbles() -> None:
    water = (30, 96, 20, 100)
    calm, white = (heard(scenery("runs", foam, 0.5, water=water))["brook"] for foam in ("none", "much"))
    assert white.strength > calm.strength + 0.2 and white.level > calm.level + 3


def test_falls_are_heard_the_lower_the_higher_they_are() -> None:
    low, high = (heard(scenery(falls=(40, bottom, 50, 80)))["falls"] for bottom in (50, 90))
    assert low.strength < high.strength and low.level < high.level


def test_things_are_heard_from_where_they_are() -> None:
    left, right = (heard(scenery(falls=(20, 80, *columns)))["falls"] for columns in ((5, 25), (100, 120)))
    assert max(left.places) < 0.25 < 0.75 < min(right.places)
    wide = heard(scenery("surf", water=(60, 96, 0, 128)))["surf"].places
    assert wide[0] < 0.25 < wide[1] < 0.75 < wide[2]


def test_what_is_far_is_quieter_and_further_away() -> None:
    sky = (0, 30, 0, 128)
    near, far = (heard(scenery("open", sky=sky, water=rows))["waves"] for rows in ((70, 96, 0, 128), (32, 58, 0, 128)))
    assert far.distance > near.distance and far.level < near.level - 3


def test_what_is_tiny_is_not_heard() -> None:
    assert "falls" not in heard(scenery(falls=(50, 53, 50, 54)))


def test_plants_are_heard_by_the_strength_of_the_wind() -> None:
    plants = torch.zeros(HEIGHT, WIDTH)
    plants[40:, :60] = 1
    scene = scenery(sky=(0, 30, 0, 128))
    light, strong = (heard(scene, plants, Wind(0, strength))["leaves"] for strength in (0.25, 1.0))
    assert strong.level == pytest.approx(light.level + 18, abs=0.2), "30 dB for ten times the strength"
    assert max(light.places) < 0.6
    assert "leaves" not in heard(scene, None, Wind(0, 1)) and "leaves" not in heard(scene, plants, Wind(0, 0))


def test_rain_is_heard_all_around() -> None:
    light, heavy = (heard(scenery(sky=(0, 48, 0, 128)), rain=strength)["rain"] for strength in (0.25, 1.0))
    assert heavy.level > light.level and heavy.strength > light.strength
    assert sum(light.places) / len(light.places) == pytest.approx(0.5)
