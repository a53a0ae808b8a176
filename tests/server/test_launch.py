"""`stylecine serve` and `studio`: errors at the start are one sentence."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stylecine.cli import main
from stylecine.server import launch, service
from stylecine.server.settings import Settings
from tests.server.conftest import address_of

QUICK_WORKER = "tests.server.quick_worker:load"


def test_the_service_leaves_pytorch_to_its_workers() -> None:
    """Its own process starts sooner and takes a third of the memory."""
    code = f"import sys, {launch.__name__}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(launch.__file__).parents[2])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("workers = 1", "2 or more"),
        ("ports = 1", "no setting 'ports'"),
        ("port = 'x'", "port is a whole number"),
        ("names = 'x'", "names is a list"),
        ("size = 10", "64 or more"),
        ("seconds = -1", "above 0"),
        ("keep_hours = nan", "above 0"),
        ("keep_hours = 1e9", "at most 10000000"),
        ("host = '0.0.0.0'", "needs a token"),
        ("port = 70000", "Nothing can listen"),
        ("port =", "not TOML"),
        (None, "cannot be read"),
    ],
)
def test_impossible_settings(
    settings: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "service.toml"
    if settings is not None:
        file.write_text(settings)
    assert main(["serve", "--settings", str(file), "--data", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_user_without_a_home_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As containers run it: under a number that no file of users lists, and without HOME."""
    served: list[Path] = []
    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.setattr("stylecine.server.launch.serve", lambda settings, _: served.append(settings.data))
    assert main(["serve", "--data", str(tmp_path / "data")]) == 0
    (tmp_path / "service.toml").write_text(f"data = '{tmp_path / 'other'}'")
    assert main(["serve", "--settings", str(tmp_path / "service.toml")]) == 0
    assert served == [tmp_path / "data", tmp_path / "other"]
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.endswith("; name a folder with --data.\n")


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("token", "says"), [("short", "16 characters"), ("", "contains no token"), (None, "cannot be read")]
)
def test_impossible_tokens(token: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if token is not None:
        (tmp_path / "token").write_text(token)
    assert main(["serve", "--token-file", str(tmp_path / "token"), "--data", str(tmp_path / "data")]) == 2
    assert says in capsys.readouterr().err


def test_a_port_in_use_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--data", str(tmp_path / "data")]) == 2
        assert "choose another --port" in capsys.readouterr().err
        assert main(["studio", "--port", port, "--no-browser"]) == 2


def test_the_studio_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(launch, "STUDIO_PORT", port)
        with launch.listen_for_studio("127.0.0.1", None) as other:
            assert other.getsockname()[1] != port
    with launch.listen_for_studio("127.0.0.1", None) as again:
        assert again.getsockname()[1] == port


def test_the_data_folder_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Settings(Path("x")).updated({"data": "~/loops"}).data == tmp_path / "loops"


@pytest.mark.skipif(sys.platform != "linux", reason="needs an unreadable file")
def test_a_photo_that_cannot_be_read_ends_the_studio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "WORKER", QUICK_WORKER)
    assert main(["studio", "/proc/self/mem", "--port", "0", "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert "'/proc/self/mem' cannot be read" in error and error.count("\n") == 1


def test_a_full_disk_ends_the_studio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "WORKER", QUICK_WORKER)
    monkeypatch.setattr(service, "MIN_FREE_BYTES", 1e30)
    (tmp_path / "sea.jpg").write_bytes(b"a photo")
    assert main(["studio", str(tmp_path / "sea.jpg"), "--port", "0", "--no-browser"]) == 2
    assert "no room left on the disk" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_the_photo_of_a_killed_studio_is_removed_by_the_next(tmp_path: Path, photo_file: Path) -> None:
    place = {**os.environ, "TMPDIR": str(tmp_path)}

    def folders_of_a_killed_studio() -> set[Path]:
        command = [sys.executable, "-m", "stylecine", "studio", str(photo_file), "--no-browser", "--port", "0"]
        studio = subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True)
        assert address_of(studio)
        studio.kill()
        studio.communicate()
        return set(tmp_path.glob("stylecine-studio-*"))

    first, second = folders_of_a_killed_studio(), folders_of_a_killed_studio()
    assert len(first) == len(second) == 1 and first.isdisjoint(second)


def test_a_missing_photo_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "no such.jpg", "--no-browser"]) == 2
    assert "There is no photo" in capsys.readouterr().err
