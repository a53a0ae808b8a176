"""What is typed, and what presets and defaults add to it."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from stylecine.cli import parser
from stylecine.commands.arguments import values_of
from stylecine.commands.early import check_loop
from stylecine.options import ALL_OPTIONS, PRESETS

STORY = PRESETS["story"]


def typed(options: str) -> argparse.Namespace:
    return parser().parse_args(["animate", "photo.jpg", *options.split()])


@pytest.mark.parametrize("options", ["--preset story --seconds 0.5", "--seconds 0.5 --preset story"])
def test_a_preset_changes_what_is_not_typed(options: str) -> None:
    found = typed(options)
    usual = {name: option["default"] for name, option in ALL_OPTIONS.items()}
    assert values_of(found, ALL_OPTIONS) == usual | STORY | {"seconds": 0.5}
    assert found.given == {"seconds"}


@pytest.mark.parametrize("name", ["loop.gif", "loop.webm", "loop.mov", "frames"])
def test_a_preset_for_videos_is_one_of_size_and_length_in_other_files(name: str) -> None:
    found = typed(f"--preset story -o {name}")
    check_loop(vars(found), Path(name))
    assert (found.size, found.seconds, found.fps) == (STORY["size"], STORY["seconds"], STORY["fps"])
    assert (found.codec, found.silence, found.duration) == (None, False, None)


@pytest.mark.parametrize("format", ["gif", "prores"])
def test_the_format_may_say_that_it_is_no_video_for_platforms(format: str) -> None:
    assert typed(f"--preset story --format {format}").codec is None


def test_a_number_of_loops_comes_before_the_duration_of_a_preset() -> None:
    assert typed("--preset story --repeat 1").duration is None


def test_a_service_adds_the_defaults_of_presets_itself() -> None:
    found = typed("--preset story --fps 25 --server http://127.0.0.1:1")
    assert (found.fps, found.seconds, found.given) == (25, 4.0, {"fps"})


@pytest.mark.parametrize("arrow", ["-0.1,0.2,0.3,0.4", "-.1,0.2,0.3,0.4"])
def test_a_value_may_begin_with_a_minus(arrow: str) -> None:
    wanted: Any = [tuple(float(part) for part in arrow.split(","))]
    assert typed(f"--arrow {arrow}").arrows == wanted
