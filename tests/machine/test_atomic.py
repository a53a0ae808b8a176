"""Files and folders that appear complete or not at all, written by one run at a time."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import stylecine
from stylecine.errors import OutputError
from stylecine.machine.atomic import atomic_write, atomic_write_all, check_destination, remove_stale_temp

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
    with atomic_write(target, folder=folder) as part:
        fill(part, folder)
        assert part.name == "loop" and not target.exists()
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]


def test_a_failure_leaves_nothing(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "loop", folder=folder) as part:
        fill(part, folder)
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder in which nobody may create a file")
def test_a_folder_that_takes_no_files_is_not_called_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'/proc/loop.mp4' cannot be written .*; choose another place"):
        check_destination("/proc/loop.mp4")
    with pytest.raises(OutputError, match=r"There is no folder '.*none'; create it first"):
        check_destination(tmp_path / "none/loop.mp4")


# --- files that belong together


PAIR = ("a.jpg", "a.mov")


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("older", [(), PAIR[:1], PAIR])
def test_files_that_belong_together_appear_together(tmp_path: Path, older: tuple[str, ...]) -> None:
    for name in older:
        (tmp_path / name).write_text("old")
    with atomic_write_all([tmp_path / name for name in PAIR]) as parts:
        for part in parts:
            part.write_text("new")
        assert not set(texts(tmp_path).values()) - {"old"}
    assert texts(tmp_path) == dict.fromkeys(PAIR, "new")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("older", [(), PAIR[:1], PAIR[1:], PAIR])
def test_if_one_of_them_cannot_be_replaced_all_are_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: tuple[str, ...], error: BaseException, links: bool
) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "a.mov" and source.name == "a.mov":
            raise error
        replace(source, target)

    def linkless(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    for name in older:
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(os, "replace", full)
    if not links:
        monkeypatch.setattr(os, "link", linkless)
    with (
        pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt),
        atomic_write_all([tmp_path / name for name in PAIR]) as parts,
    ):
        for part in parts:
            part.write_text("new")
    assert texts(tmp_path) == dict.fromkeys(older, "old")


@POSIX
def test_an_interrupt_just_after_the_lock_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("stylecine.machine.atomic.remove_stale_temp", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "x", folder=folder):
        pass
    assert not os.listdir(tmp_path)


def left_by_a_killed_run(target: Path, folder: bool) -> Path:
    code = f"""
import os, signal
from pathlib import Path
from stylecine.machine.atomic import atomic_write
with atomic_write(Path({str(target)!r}), folder={folder}) as part:
    (part / "frame-0001.png" if {folder} else part).write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -signal.SIGKILL
    (temp,) = target.parent.glob(".stylecine-*")
    assert (temp / target.name).exists() and stat.S_IMODE(temp.stat().st_mode) == 0o700
    return temp


@POSIX
def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "loop"
    left_by_a_killed_run(target, folder)
    check_destination(target, folder=folder)
    assert not os.listdir(tmp_path)
    left_by_a_killed_run(target, folder)
    with atomic_write(target, folder=folder) as part:
        fill(part, folder)
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]
    assert not folder or os.listdir(target) == ["frame-0000.png"]


@POSIX
def test_a_run_killed_before_it_locked_is_swept_too(tmp_path: Path) -> None:
    left_by_a_killed_run(tmp_path / "loop", False).joinpath(".lock").unlink()
    assert remove_stale_temp(tmp_path / "loop") and not os.listdir(tmp_path)


@POSIX
def test_leftovers_of_another_output_stay(tmp_path: Path) -> None:
    temp = left_by_a_killed_run(tmp_path / "loop", False)
    check_destination(tmp_path / "another")
    assert list(tmp_path.iterdir()) == [temp]


@POSIX
def test_two_runs_do_not_write_the_same_file(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "loop"
    with atomic_write(target, folder=folder) as part:
        fill(part, folder)
        with pytest.raises(OutputError, match=f"Another run is writing '{target}'"):
            check_destination(target, folder=folder)
        with pytest.raises(OutputError, match="Another run is writing"), atomic_write(target, folder=folder):
            pytest.fail("two at a time")
        assert not remove_stale_temp(target)
    assert content(target, folder) == "new" and os.listdir(tmp_path) == ["loop"]


@POSIX
def test_a_run_waits_for_another_that_only_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "loop"
    with ExitStack() as other:
        other.enter_context(atomic_write(target))
        monkeypatch.setattr("time.sleep", lambda _: other.close())
        check_destination(target)


@POSIX
def test_a_file_system_without_locks_is_written_but_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    temp = left_by_a_killed_run(tmp_path / "loop", False)
    monkeypatch.setattr("fcntl.flock", unsupported)
    with atomic_write(tmp_path / "loop") as part:
        fill(part, False)
    assert content(tmp_path / "loop", False) == "new" and temp.exists()


@pytest.mark.parametrize("name", ["loop.part", ".stylecine-loop", ".stylecine-0123456789ab-01234567", "loop.mp4.part"])
def test_files_of_others_are_not_touched(tmp_path: Path, name: str, folder: bool) -> None:
    """A browser's unfinished download is called NAME.part too."""
    (tmp_path / name).write_text("precious")
    check_destination(tmp_path / "loop", folder=folder)
    with atomic_write(tmp_path / "loop", folder=folder) as part:
        fill(part, folder)
    assert (tmp_path / name).read_text() == "precious" and sorted(os.listdir(tmp_path)) == sorted([name, "loop"])


@POSIX
def test_a_link_in_place_of_leftovers_is_not_followed(tmp_path: Path) -> None:
    temp = left_by_a_killed_run(tmp_path / "loop", False)
    temp.rename(tmp_path / "elsewhere")
    temp.symlink_to(tmp_path / "elsewhere")
    check_destination(tmp_path / "loop")
    assert temp.is_symlink() and (tmp_path / "elsewhere" / "loop").read_text() == "half of it"


def test_names_as_long_as_the_file_system_allows(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / ("n" * 255)
    with atomic_write(target, folder=folder) as part:
        fill(part, folder)
    assert content(target, folder) == "new"


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "loop"
    target.write_text("old")
    target.chmod(mode)
    with atomic_write(target) as part:
        assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700  # nobody else sees it before it has them
        fill(part, False)
    assert content(target, False) == "new" and stat.S_IMODE(target.stat().st_mode) == mode


def test_a_file_is_replaced_where_permissions_cannot_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on many shares and sticks."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    target = tmp_path / "loop"
    target.write_text("old")
    monkeypatch.setattr(shutil, "copymode", refuse)
    with atomic_write(target) as part:
        fill(part, False)
    assert content(target, False) == "new"


def test_checking_a_destination_leaves_it_unchanged(tmp_path: Path, folder: bool) -> None:
    assert check_destination(tmp_path / "loop", folder=folder) == tmp_path / "loop"
    assert not os.listdir(tmp_path)


def test_a_name_with_a_null_is_refused() -> None:
    with pytest.raises(OutputError, match=r"'a\\x00b.mp4' has a character that no name may have; choose another"):
        check_destination("a\0b.mp4")


def test_folders_and_files_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a folder"):
        check_destination(tmp_path / "folder")
    with pytest.raises(OutputError, match="not a folder"):
        check_destination(tmp_path / "file", folder=True)
    (tmp_path / "folder" / "something").touch()
    with pytest.raises(OutputError, match="not empty"):
        check_destination(tmp_path / "folder", folder=True)
