"""The options of a loop: one list of them, which every interface reads."""

import inspect
import json
import re
from typing import Any

import numpy as np
import pytest

from stylecine import MotionError, OptionError, StylecineError, animate
from stylecine.cli import parser
from stylecine.commands.arguments import values_of
from stylecine.options import (
    FILE_OPTIONS,
    OPTIONS,
    OUTPUT_OPTIONS,
    STYLES,
    FileArguments,
    FileOptions,
    RenderArguments,
    RenderOptions,
    Wind,
    check_device,
    defaults_and_limits,
    format_size,
    parse_duration,
    parse_size,
    preset_defaults,
)
from stylecine.server.schemas import Animation


def test_animate_the_command_line_and_type_checkers_have_the_same_options() -> None:
    parameters = inspect.signature(animate).parameters
    assert {name: parameters[name].default for name in OPTIONS} == {n: o["default"] for n, o in OPTIONS.items()}
    assert RenderArguments.__annotations__.keys() == OPTIONS.keys()
    typed = values_of(parser().parse_args(["animate", "photo.jpg"]), OPTIONS)
    assert vars(RenderOptions(**typed)) == vars(RenderOptions())


def test_the_command_line_and_type_checkers_have_the_options_of_a_file() -> None:
    assert FileArguments.__annotations__.keys() == FILE_OPTIONS.keys()
    typed = values_of(parser().parse_args(["animate", "photo.jpg"]), FILE_OPTIONS)
    assert FileOptions(**typed) == FileOptions()
    with pytest.raises(OptionError, match="no option 'qualty' of a file; did you mean quality"):
        FileOptions.create(qualty=3)


@pytest.mark.parametrize(
    ("given", "others"),
    [
        ({}, {"size", "seconds", "fps", "codec", "silence", "duration"}),
        ({"seconds": 4.0, "silence": False}, {"size", "fps", "codec", "duration"}),
        ({"repeat": 1}, {"size", "seconds", "fps", "codec", "silence"}),
    ],
)
def test_a_preset_sets_what_is_not_given(given: dict[str, Any], others: set[str]) -> None:
    assert preset_defaults("story", given).keys() == others
    assert preset_defaults("story", given, video=False).keys() == others & {"size", "seconds", "fps"}
    assert preset_defaults("story", given, of=FILE_OPTIONS).keys() == others - {"size", "seconds", "fps"}
    assert preset_defaults(None, given) == {}
    with pytest.raises(OptionError, match="no preset 'banner'; use story, post or wallpaper"):
        preset_defaults("banner", given)
    with pytest.raises(OptionError, match="no preset 5; use story, post or wallpaper"):
        preset_defaults(5, given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90", 90), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("1.5m", 90), (" 2m5s ", 125), (0.5, 0.5)],
)
def test_a_duration_has_units(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "wrong", ["", "m", "ten", "10 m", "5m1h", "-3s", "0s", "13h", "1e3", "1..5m", 0, -1, True, None, float("nan"), [9]]
)
def test_impossible_durations_are_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="like 90s, 10m or 1h30m"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(({"seconds": wrong}, "seconds must be a number above 0") for wrong in (0, -4, float("nan"), 1e9, "long")),
        *(({"fps": wrong}, "fps must be a number") for wrong in (0, -30, float("inf"), float("nan"), True)),
        *(({"speed": wrong}, "speed must be a number") for wrong in (0, -1, float("inf"), "fast")),
        ({"detail": -0.1}, "detail must be a number from 0"),
        ({"sampling": "nearest"}, "sampling must be gather or splat"),
        *(({name: 10**400}, f"{name} must be a number") for name in ("speed", "seconds", "fps", "detail")),
        ({"detail": 1.5}, "detail must be a number from 0"),
        ({"warp": "msfdw"}, "warp must be msdfw, dfw or pixel"),
        ({"pace": "fast"}, "pace must be calm, natural or lively"),
        ({"subject": "flag"}, "subject must be landscape, cloth or auto"),
        ({"seconds": 0.01}, "less than two frames"),
        ({"seconds": 61}, "at most 1800"),
        ({"wind": (0, -0.1)}, "strength must be a number from 0"),
        ({"subject": "cloth", "wind": (0, 2)}, "strength"),
        ({"wind": Wind(0, 50)}, "strength must be a number from 0"),
        ({"subject": "cloth", "arrows": [(0, 0, 1, 1)]}, "give a wind instead"),
        *(({"arrows": [(x, 0.2, 0.3, 0.2)]}, "does not start inside") for x in (2, 1.1, -0.1)),
        ({"arrows": [(0.1, 0.2, 0.3, float("nan"))]}, "does not start inside"),
        *(({"arrows": [arrow]}, "An arrow is four numbers") for arrow in ((0.1, 0.2, 0.3), "0123x")),
        ({"arrows": None}, "Arrows are a list"),
        ({"style": "sunsett"}, r"There is no style 'sunsett'; did you mean sunset\?"),
        ({"style": "monet"}, "There is no style 'monet'; use golden-hour, .*, autumn, or the path of a photo."),
        ({"style": "dusk", "style_strength": 1.1}, "style_strength must be a number from 0 to 1, not 1.1"),
        ({"style": "dusk", "style_drift": 1}, "style_drift is True or False"),
        ({"style_strength": 0.5}, "style_strength says how much of a style is shown; give a style"),
        ({"style_drift": True}, "style_drift goes from the photo to a style and back; give a style"),
        ({"arrows": [(0.5, 0.5, 0.5, 0.5)]}, "ends where it starts"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(StylecineError, match=message) as caught:
        RenderOptions(**wrong)  # type: ignore[arg-type]
    assert isinstance(caught.value, MotionError if "arrows" in wrong and len(wrong) == 1 else OptionError)


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("second", "did you mean seconds?"), ("xyz", "use subject, mask, motion")]
)
def test_a_misspelt_option_is_named(misspelt: str, meant: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"There is no option '{misspelt}'; {meant}")):
        RenderOptions.create(**{misspelt: 4, "fps": 30})
    assert RenderOptions.create(seconds=2.0).period == 60


@pytest.mark.parametrize("wrong", ["cpu:99", "cpu:1", "tpu", "cuda:99", 5.0])
def test_devices_that_do_not_exist_are_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="use cpu"):
        check_device(wrong)  # type: ignore[arg-type]
    assert str(check_device("cpu")) == "cpu" and check_device("cpu:0").type == "cpu"


@pytest.mark.parametrize(("gpus", "says"), [(0, "that PyTorch can use; use cpu"), (2, "finds only 2, counted from")])
def test_a_missing_gpu_is_said_in_words(gpus: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    with pytest.raises(OptionError, match=f"There is no GPU 'cuda:2' .*{says}"):
        check_device("cuda:2")


def test_a_report_describes_where_mask_and_motion_come_from() -> None:
    field = np.ones((2, 4, 4), np.float32)
    described = RenderOptions(motion=field, arrows=[(0.5, 0.5, 0.75, 0.5)]).describe()
    assert (described["mask"], described["motion"]) == ("from motion", "given")
    assert described["arrows"] == ["0.5,0.5,0.75,0.5"]
    for given, mask in (({"mask": field[0]}, "given"), ({"mask": field[0], "motion": field}, "given"), ({}, "found")):
        assert RenderOptions(**given).describe()["mask"] == mask
    assert {name: described[name] for name in OUTPUT_OPTIONS} == {n: OPTIONS[n]["default"] for n in OUTPUT_OPTIONS}
    cloth = RenderOptions(subject="cloth", wind=(450, 0.3))
    assert cloth.wind == Wind(90, 0.3)
    assert (cloth.describe()["mask"], cloth.describe()["wind"]) == ("painted", [90, 0.3])


def test_a_report_names_a_style_or_says_that_one_was_given() -> None:
    assert "style" not in RenderOptions().describe()
    named = RenderOptions(style="dusk", style_strength=0.5, style_drift=True).describe()
    assert (named["style"], named["style_strength"], named["style_drift"]) == ("dusk", 0.5, True)
    assert RenderOptions(style=np.zeros((64, 64, 3), np.uint8)).describe()["style"] == "given"


def test_a_loop_has_a_whole_number_of_gusts() -> None:
    assert [RenderOptions(seconds=s, speed=v).gusts for s, v in ((0.4, 1), (4, 1), (4, 2), (5.2, 1))] == [1, 2, 4, 3]


def test_the_studio_and_the_service_have_the_same_defaults_and_limits() -> None:
    page = json.loads(json.dumps(defaults_and_limits()))
    assert page["speed"] == {"default": 1.0, "gt": 0, "le": 100, "label": "All motion"}
    assert page["pace"] == {"default": "natural", "choices": ["calm", "natural", "lively"], "label": "Pace"}
    assert page["wind"] == {"default": [0.0, 0.5], "label": "Wind"}
    assert page["style"] == {"default": None, "choices": [*STYLES]}
    schema = Animation.model_json_schema()["properties"]
    words = {"gt": "exclusiveMinimum", "ge": "minimum", "le": "maximum", "choices": "enum", "default": "default"}
    for name in page.keys() - {"wind", "style", "weather"}:
        limits = {words[key]: value for key, value in page[name].items() if key in words}
        assert limits.items() <= schema[name].items(), name


@pytest.mark.parametrize("text", ["own", "1024", "1024x768"])
def test_a_size_survives_a_round_trip_through_text(text: str) -> None:
    assert format_size(parse_size(text)) == text
