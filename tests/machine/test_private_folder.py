"""A temporary folder lasts as long as its process, and is removed by the next one if that was killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import stylecine
from stylecine.errors import OutputError
from stylecine.machine import private_folder as module
from stylecine.machine.private_folder import private_folder

PROGRAM = """
import sys
from stylecine.machine.private_folder import private_folder
with private_folder("private-") as folder:
    (folder / "photo.jpg").write_bytes(b"somebody's photo")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path


def running(temporary: Path) -> "tuple[subprocess.Popen[str], Path]":
    """A process, and the folder that it has."""
    place = {**os.environ, "PYTHONPATH": str(Path(stylecine.__file__).parents[1]), "TMPDIR": str(temporary)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], text=True, env=place, **pipes)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_it_is_private_and_removed_at_the_end(temporary: Path) -> None:
    with private_folder("private-") as folder:
        assert folder.parent == temporary and folder.is_dir() and folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    with pytest.raises(KeyError), private_folder("private-") as folder:
        raise KeyError
    assert not folder.exists()


def test_what_a_killed_process_has_left_is_removed_and_nothing_else(temporary: Path) -> None:
    (killed, left), (other, used) = running(temporary), running(temporary)
    being_made, foreign = temporary / "private-being-made", temporary / "other"
    for folder in (being_made, foreign):
        folder.mkdir()
    (temporary / "private-link").symlink_to(foreign)
    (foreign / module.LOCK).touch()
    killed.kill()
    killed.communicate()
    assert (left / "photo.jpg").exists()
    with private_folder("private-") as own:
        assert not left.exists()
        assert (used / "photo.jpg").exists() and being_made.exists() and (foreign / module.LOCK).exists()
    other.communicate("")
    assert other.returncode == 0 and not used.exists() and not own.exists()


def test_a_folder_that_others_sweep_at_that_moment_is_made_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file, swept = module.lock_file, []

    def sweep(path: Path, if_locked: str) -> int:
        if not swept:
            swept.append(path.parent)
            path.parent.rmdir()
        return lock_file(path, if_locked)

    monkeypatch.setattr(module, "lock_file", sweep)
    with private_folder("private-") as folder:
        assert folder.is_dir() and folder not in swept


def test_a_place_where_none_can_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="set TMPDIR to another"), private_folder("private-"):
        pytest.fail("there is none")
