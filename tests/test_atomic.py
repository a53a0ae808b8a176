"""Files and folders that appear whole or not at all; one run at a time."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stylecine
from stylecine.atomic import check_place, part_of, whole
from stylecine.errors import OutputError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs locks that end with a process")


@pytest.fixture(params=[False, True], ids=["file", "folder"])
def folder(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def fill(part: Path, folder: bool, text: str = "new") -> None:
    (part / "frame-0000.png" if folder else part).write_text(text)


def content(target: Path, folder: bool) -> str:
    return (target / "frame-0000.png" if folder else target).read_text()


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


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_an_interrupt_just_after_the_lock_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.path.samestat", interrupted)
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "x", folder=folder):
        pass
    assert not os.listdir(tmp_path)


def left_by_a_killed_run(target: Path, folder: bool) -> None:
    code = f"""
import os, signal
from pathlib import Path
from stylecine.atomic import whole
with whole(Path({str(target)!r}), folder={folder}) as part:
    (part / "frame-0001.png" if {folder} else part).write_text("half of it")
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
    assert not folder or os.listdir(target) == ["frame-0000.png"]


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


def precious_folder(part: Path) -> Path:
    part.mkdir()
    (part / "frame-0000.png").write_text("precious")
    (part / "diary").write_text("precious")
    return part / "diary"


def precious_file(part: Path) -> Path:
    part.write_text("precious")
    return part


def link_to_a_file(part: Path) -> Path:
    part.symlink_to(precious_file(part.with_name("elsewhere")))
    return part


def link_to_a_folder(part: Path) -> Path:
    precious = part.with_name("elsewhere")
    precious.mkdir()
    part.symlink_to(precious)
    return precious_file(precious / "frame-0000.png")


def second_name(part: Path) -> Path:
    os.link(precious_file(part.with_name("elsewhere")), part)
    return part


@POSIX
@pytest.mark.parametrize(
    "made",
    [precious_folder, precious_file, link_to_a_file, link_to_a_folder, second_name],
    ids=lambda made: made.__name__,
)
def test_what_no_run_has_left_is_not_touched(tmp_path: Path, folder: bool, made: Callable[[Path], Path]) -> None:
    if made == precious_file and not folder:
        pytest.skip("it is what a killed run leaves")
    target = tmp_path / "loop"
    precious = made(part_of(target))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="in the way"):
        check_place(target, folder=folder)
    with pytest.raises(OutputError, match="in the way"), whole(target, folder=folder):
        pytest.fail("it was written")
    assert precious.read_text() == "precious" and sorted(tmp_path.rglob("*")) == before


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "loop"
    target.write_text("old")
    target.chmod(mode)
    with whole(target) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        fill(part, False)
    assert content(target, False) == "new" and stat.S_IMODE(target.stat().st_mode) == mode


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
