"""Dockerfile and compose.yaml agree with the service, with each other and with the package."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from stylecine.cli import parser
from stylecine.commands import serve as serve_command
from stylecine.server.settings import Settings
from tests.server.conftest import Served
from tests.test_packaging import build

REPOSITORY = Path(__file__).parent.parent.parent
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
PACKAGE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PORT = Settings(Path("x")).port


def instruction(name: str) -> str:
    """The arguments of the last instruction with this name."""
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, re.MULTILINE)[-1]


def context() -> list[str]:
    """What .dockerignore, which ignores everything else, lets into the build."""
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return [line[1:] for line in lines if line.startswith("!")]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")  # comes with Ray
    return dict(yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8")))


def test_the_command_serves_other_machines_from_the_volume_with_the_tokens(composed: dict[str, Any]) -> None:
    service = composed["services"]["stylecine"]
    program, *arguments = [*json.loads(instruction("ENTRYPOINT")), *service["command"]]
    options = parser().parse_args(arguments)
    assert program in PACKAGE["project"]["scripts"]
    assert options.run is serve_command.run
    assert not Settings(options.data, host=options.host).local
    assert [f"data:{options.data}"] == service["volumes"] and str(options.data) == instruction("VOLUME")
    assert [options.token_file] == [Path("/run/secrets", secret) for secret in service["secrets"]]
    assert set(service["secrets"]) == set(composed["secrets"]) and set(composed["volumes"]) == {"data"}


def test_the_port_is_the_services_own_and_open_to_this_machine_only(composed: dict[str, Any]) -> None:
    assert instruction("EXPOSE") == str(PORT)
    assert composed["services"]["stylecine"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]


def test_the_service_runs_without_privileges(composed: dict[str, Any]) -> None:
    service = composed["services"]["stylecine"]
    uid = instruction("USER").split(":")[0]
    assert int(uid) > 0 and f"--uid {uid} " in DOCKERFILE
    assert f"user {uid}," in (REPOSITORY / "compose.yaml").read_text(encoding="utf-8")
    assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_the_health_check_passes_while_the_service_is_ready(serve: Callable[..., Served]) -> None:
    program, *arguments = json.loads(instruction("HEALTHCHECK").split(" CMD ")[1])
    assert program == "python" and str(PORT) in arguments[-1]
    served = serve("a token that health checks do not have")

    def check() -> int:
        port = served.address.rpartition(":")[2]
        code = arguments[-1].replace(str(PORT), port)
        return subprocess.run([sys.executable, *arguments[:-1], code], stderr=subprocess.DEVNULL).returncode

    assert check() == 0
    served.end()
    assert check() == 1


def test_the_images_dependencies_are_the_packages() -> None:
    (command,) = re.findall(r"^RUN python (.*) > requirements\.txt$", DOCKERFILE, re.MULTILINE)
    listed = subprocess.run(
        [sys.executable, *shlex.split(command)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    required = listed.stdout.splitlines()
    project = PACKAGE["project"]
    assert required == [*project["dependencies"], *project["optional-dependencies"]["studio"]]
    assert len([line for line in required if line.startswith("torch")]) == 1  # comes from an index of its own


def test_the_sdist_has_what_the_image_is_built_from() -> None:
    included = (REPOSITORY / "MANIFEST.in").read_text(encoding="utf-8").split()
    by_setuptools = {"pyproject.toml", "setup.py", "stylecine"}
    for name in ["Dockerfile", ".dockerignore", "compose.yaml", *context()]:
        assert (REPOSITORY / name).exists() and name in {*included, *by_setuptools}, name


@pytest.mark.slow
def test_a_wheel_from_the_build_context_lacks_nothing_but_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    left_out = {line for line in lines if "*" not in line and not line.startswith("!")}
    for name in context():
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(
                source,
                folder / name,
                ignore=lambda at, names: {n for n in names if str(Path(at, n).relative_to(REPOSITORY)) in left_out},
            )
        else:
            shutil.copy(source, folder)
    with ZipFile(build("wheel", folder, tmp_path / "wheel", STYLECINE_CPU="0")) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "stylecine").rglob("*.py")}
    weights = {f"stylecine/pretrained/{path.name}" for path in (REPOSITORY / "pretrained").glob("*.safetensors")}
    assert modules | weights <= names and weights
    assert {name for name in names if "/lib/" in name} == {"stylecine/lib/build.json"}
