"""The command lines of a page can be run: they parse to the options that they are meant to have."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylecine.cli import parser
from stylecine.commands.arguments import render_options
from stylecine.explanation.shell import Shell, Source, stroke_text
from stylecine.options import OPTIONS, RenderOptions


def parsed(line: str) -> Any:
    words = shlex.split(line)
    assert words[0] == "stylecine"
    return parser().parse_args(words[1:])


def shell(name: str = "sea.jpg", cine: str = "", **options: Any) -> Shell:
    return Shell(Source(name, cine), RenderOptions(**options), size=512)


def test_defaults_are_not_repeated() -> None:
    assert shell().animate(pace="lively") == ["stylecine animate sea.jpg --size 512 --pace lively -o sea.mp4"]


def test_options_are_repeated_and_changed() -> None:
    given: dict[str, Any] = {"seconds": 6.0, "arrows": [(0.5, 0.25, 0.5, 0.5)], "subject": "auto", "wind": (270, 0.6)}
    (line,) = shell(**given, style="dusk", style_drift=True).animate(seconds=2.5, size=(640, 480), refine=60)
    options = parsed(line)
    assert (options.size, options.refine, options.output) == ((640, 480), 60, Path("sea.mp4"))
    values = render_options(options)
    changed = {"seconds": 2.5, "subject": "auto", "wind": (270.0, 0.6), "style": "dusk", "style_drift": True}
    assert values["arrows"] == [(0.5, 0.25, 0.5, 0.5)]
    defaults = {name: option["default"] for name, option in OPTIONS.items() if name not in (*changed, "arrows")}
    assert {name: values[name] for name in (*changed, *defaults)} == changed | defaults


def test_what_the_photo_was_inverted_with_is_repeated() -> None:
    made = replace(shell(), refine=60, seed=7, model="my models/sea")
    for line in (made.animate(speed=2.0)[0], made.edit("--undo")[0]):
        options = parsed(line)
        assert (options.size, options.refine, options.seed, options.model) == (512, 60, 7, "my models/sea")


@pytest.mark.parametrize("name", ["it's $(me).jpg", "-x.jpg", "two words.jpg"])
def test_names_are_quoted(name: str) -> None:
    options = parsed(shell(name).animate()[0])
    assert options.photo.name == name and options.output.name == f"{Path(name).stem}.mp4"


def test_control_characters_reach_no_terminal() -> None:
    assert "\x1b" not in "".join(shell("a\x1b[31m\nb.jpg").edit("--undo"))


def test_edits_begin_with_a_scene_unless_there_is_one() -> None:
    scene, edit, render = map(parsed, shell(pace="calm").edit("--freeze", "0.5,0.5 @0.1"))
    assert scene.photo == Path("sea.jpg") and scene.size == 512 and scene.output == edit.scene == render.scene
    assert render.pace == "calm"
    lines = shell(cine="mine.cine").edit("--freeze", "0.5,0.5 @0.1")
    assert [line.split()[1:3] for line in lines] == [["edit", "mine.cine"], ["render", "mine.cine"]]
    assert shell(cine="mine.cine").animate(speed=2.0) == ["stylecine render mine.cine --speed 2 -o sea.mp4"]


def test_a_mask_of_pixels_has_a_name_in_the_command() -> None:
    assert "--mask mask.png" in shell(mask=np.ones((4, 4), bool)).animate()[0]


def test_strokes_are_read_back() -> None:
    text = stroke_text((((0.25, 0.5), (0.75, 0.5)), 0.08))
    options = parsed(shell(cine="mine.cine").edit("--freeze", text, "--add", f"water:{text}")[0])
    line = [[0.25, 0.5], [0.75, 0.5]]
    assert options.steps == [
        ("paint", (None, line), {"mode": "freeze", "radius": 0.08}),
        ("paint", ("water", line), {"radius": 0.08}),
    ]
