"""`stylecine serve` and `studio`: what cannot be started says so in one sentence."""

import socket
from pathlib import Path

import pytest

from stylecine.cli import main
from stylecine.server import launch


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("workers = 1", "2 or more"),
        ("ports = 1", "no setting 'ports'"),
        ("port = 'x'", "port is a whole number"),
        ("names = 'x'", "names is a list"),
        ("size = 10", "64 or more"),
        ("seconds = -1", "above 0"),
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
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("token", "says"), [("short", "16 characters"), ("", "holds no token"), (None, "cannot be read")]
)
def test_impossible_tokens(token: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if token is not None:
        (tmp_path / "token").write_text(token)
    assert main(["serve", "--token-file", str(tmp_path / "token"), "--data", str(tmp_path / "data")]) == 2
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--data", str(tmp_path / "data")]) == 2
        assert "choose another --port" in capsys.readouterr().err
        assert main(["studio", "--port", port, "--no-browser"]) == 2


def test_the_studio_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(launch, "STUDIO", port)
        with launch.listening_for_studio("127.0.0.1", None) as other:
            assert other.getsockname()[1] != port
    with launch.listening_for_studio("127.0.0.1", None) as again:
        assert again.getsockname()[1] == port


def test_a_photo_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "no such.jpg", "--no-browser"]) == 2
    assert "There is no photo" in capsys.readouterr().err
