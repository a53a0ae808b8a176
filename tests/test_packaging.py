"""What a wheel holds, found out by looking into it, not by importing it. It is built from the sdist."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

REPOSITORY = Path(__file__).parent.parent
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"


def build(kind: str, source: Path, output: Path) -> Path:
    """Runs setuptools' own backend without isolation, so without network; returns the one file it makes."""
    output.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(output)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaging")
    unwanted = (".*", "build", "dist", "*.egg-info", "__pycache__", "out")
    shutil.copytree(REPOSITORY, folder / "tree", ignore=shutil.ignore_patterns(*unwanted))
    sdist = build("sdist", folder / "tree", folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return build("wheel", source, folder / "wheel")


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_one_wheel_serves_every_platform_while_nothing_is_compiled(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_every_module_of_the_package_is_in_it(names: set[str]) -> None:
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "stylecine").rglob("*.py")}
    assert modules <= names
    assert "stylecine/py.typed" in names


def test_the_weights_are_in_it_with_their_records_and_cards(names: set[str]) -> None:
    records = tomllib.loads((REPOSITORY / "pretrained/models.toml").read_text())
    files = {file["path"] for record in records.values() for file in record["files"].values()}
    cards = {f"cards/{card.name}" for card in (REPOSITORY / "pretrained/cards").iterdir()}
    assert files and cards
    assert {f"stylecine/pretrained/{name}" for name in {"models.toml"} | files | cards} <= names


def test_recipes_tests_and_examples_stay_out(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"stylecine"}
    assert not [name for name in names if "recipes" in name]


def test_metadata_names_the_command_the_licences_and_what_it_needs(wheel: Path, names: set[str]) -> None:
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    with ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        assert "stylecine = stylecine.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert wheel.name.startswith(f"stylecine-{metadata['Version']}-")
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= names
    assert "torch<2.14,>=2.11" in (metadata.get_all("Requires-Dist") or [])


def test_the_build_needs_setuptools_only() -> None:
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [requirement.split(">")[0] for requirement in wanted] == ["setuptools"]
