"""docs/service.md: its commands run, and its endpoints and settings match the code."""

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylecine.server.app import create_app
from stylecine.server.settings import Settings
from tests.server.conftest import Served

PAGE = (Path(__file__).parent.parent.parent / "docs/service.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_documented_commands_run(real: Served, photo: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(photo).resize((192, 144)).save(tmp_path / "photo.jpg")
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = lines.replace("http://127.0.0.1:8350", real.address).replace("curl ", "curl --fail-with-body ")
    done = subprocess.run(
        ["bash", "-euc", lines], cwd=tmp_path, capture_output=True, text=True, timeout=200, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event: progress" in done.stdout and "event: done" in done.stdout
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("preview.mp4", "loop.mp4", "photo.cine"))


def test_every_setting_is_described_with_its_default() -> None:
    table = PAGE[PAGE.index("| setting |") :].split("\n\n")[0].splitlines()[2:]
    rows = [line.split(" | ") for line in table]
    described = {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(described) == {field.name for field in fields(Settings)}
    for field in fields(Settings):
        if isinstance(field.default, int | float):
            assert f"{field.default:g}" in described[field.name].replace(",", " ").split(), field.name


def test_every_endpoint_is_described(tmp_path: Path) -> None:
    documented = re.findall(r"^\| `([A-Z]+) (/[^ ?`]*)|, `(/\w+)`", PAGE, re.MULTILINE)
    named = {(method or "GET", (path or other).replace("ID", "{id}")) for method, path, other in documented}
    schema = create_app(Settings(tmp_path / "data")).openapi()
    served = {(method.upper(), path) for path, item in schema["paths"].items() for method in item}
    assert {(method, path) for method, path in served if method != "HEAD"} == named


def test_the_example_is_accepted() -> None:
    import tomllib

    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert Settings(Path("data")).updated(tomllib.loads(text)).workers == 4
