"""What is refused before minutes of work."""

import os
from pathlib import Path
from typing import Any

import pytest

from stylecine.errors import OptionError, OutputError
from stylecine.formats import check_output


@pytest.mark.parametrize("name", ["loop.avi", "loop", "loop.mp4.txt"])
def test_unknown_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.mp4.* or \.png"):
        check_output(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("loop.mp4", {"quality": 52}), ("loop.webm", {"codec": "h264"}), ("loop.png", {"repeat": 2})],
)
def test_impossible_options(tmp_path: Path, name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        check_output(tmp_path / name, **wrong)


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "missing" / "loop.mp4")
    assert check_output(tmp_path / "loop.png") == tmp_path / "loop.png"
    assert not os.listdir(tmp_path)
