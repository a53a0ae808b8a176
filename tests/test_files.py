"""Files and folders that appear whole or not at all; one run at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stylecine
from stylecine.errors import OutputError
from stylecine.files import check_place, part_of, whole

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs locks that end with a process")


@pytest.fixture(params=[False, True], ids=["file", "folder"])
def folder(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def fill(part: Path, folder: bool, text: str = "new") -> None:
    (part / "frame" if folder else part).write_text(text)


def content(target: Path, folder: bool) -> str:
    return (target / "frame" if folder else target).read_text()


def test_it_appears_once_it_is_complete(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "loop"
    with whole(target, folder=folder) as part:
        fill(part, folder)
        assert part == part_of(target) and not target.exists()
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]


def test_a_failure_leaves_nothing(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "loop", folder=folder) as part:
        fill(part, folder)
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def left_by_a_killed_run(target: Path, folder: bool) -> None:
    code = f"""
import os, signal
from pathlib import Path
from stylecine.files import whole
with whole(Path({str(target)!r}), folder={folder}) as part:
    (part / "old" if {folder} else part).write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", code], env=place).returncode == -signal.SIGKILL
    assert part_of(target).exists()


@POSIX
def test_what_a_killed_run_left_is_cleaned_by_the_next(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "loop"
    left_by_a_killed_run(target, folder)
    check_place(target, folder=folder)
    assert not os.listdir(tmp_path)
    left_by_a_killed_run(target, folder)
    with whole(target, folder=folder) as part:
        fill(part, folder)
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]
    assert not folder or os.listdir(target) == ["frame"]


@POSIX
def test_two_runs_do_not_write_the_same(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "loop"
    with whole(target, folder=folder) as part:
        fill(part, folder)
        with pytest.raises(OutputError, match="Another run is writing"):
            check_place(target, folder=folder)
        with pytest.raises(OutputError, match="Another run is writing"), whole(target, folder=folder):
            pytest.fail("two at a time")
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]


def test_a_place_is_tried_and_left_as_it_was(tmp_path: Path, folder: bool) -> None:
    assert check_place(tmp_path / "loop", folder=folder) == tmp_path / "loop"
    assert not os.listdir(tmp_path)


def test_a_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a folder"):
        check_place(tmp_path / "folder")
    with pytest.raises(OutputError, match="not a folder"):
        check_place(tmp_path / "file", folder=True)
    (tmp_path / "folder" / "something").touch()
    with pytest.raises(OutputError, match="not empty"):
        check_place(tmp_path / "folder", folder=True)
