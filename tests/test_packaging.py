"""The wheel, built from the sdist in a folder with a space in its name: its modules, library, weights and metadata."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import setuptools

REPOSITORY = Path(__file__).parent.parent
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"

# Without the CUDA library, which .ci/check.py looks for, and without optimisation.
FAST_BUILD = {"STYLECINE_CUDA": "0", "CXXFLAGS": "-O0"}
LIBRARY = {"stylecine/lib/libstylecine.so", "stylecine/lib/stylecine.h"}


def build(kind: str, source: Path, output: Path, **environment: str) -> Path:
    """Runs the build backend without isolation, so without a network; returns the one file it writes."""
    output.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(output)]
    environment = {**os.environ, **FAST_BUILD, **environment}
    run = subprocess.run(command, cwd=source, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    (built,) = output.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist of this tree."""
    folder = tmp_path_factory.mktemp("a package")
    ignored = (".*", "build", "dist", "*.egg-info", "__pycache__", "out", "lib")
    shutil.copytree(REPOSITORY, folder / "tree", ignore=shutil.ignore_patterns(*ignored))
    sdist = build("sdist", folder / "tree", folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return build("wheel", source, source.parents[1] / "wheel")


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_a_wheel_with_the_native_library_is_for_this_platform_and_any_python_3(wheel: Path, names: set[str]) -> None:
    assert names >= LIBRARY
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    with ZipFile(wheel) as archive:
        (info,) = [name for name in names if name.endswith(".dist-info/WHEEL")]
        assert "Root-Is-Purelib: false" in archive.read(info).decode()


@pytest.mark.slow
def test_the_library_in_the_wheel_runs_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "from stylecine.ops import native; print(native.__file__, native.available('cpu'), native.why('cpu'))"
    environment = {"PATH": "", "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.stdout.startswith(f"{tmp_path}/stylecine/ops/native.py True libstylecine, "), run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("without", [{"PATH": ""}, {"CXX": "false"}, {"STYLECINE_CPU": "0"}], ids=str)
def test_without_a_compiler_the_wheel_is_pure_and_records_why(
    without: dict[str, str], source: Path, tmp_path: Path
) -> None:
    wheel = build("wheel", source, tmp_path / "wheel", **without)
    assert wheel.name.endswith("-py3-none-any.whl")
    with ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if "/lib/" in name] == ["stylecine/lib/build.json"]
        record = json.loads(archive.read("stylecine/lib/build.json"))
    assert all(record[kind]["why"] for kind in ("cpu", "cuda"))


@pytest.mark.slow
def test_an_editable_install_builds_the_library_in_place(source: Path, tmp_path: Path) -> None:
    build("editable", source, tmp_path / "wheel")
    assert {name for name in LIBRARY if (source / name).exists()} == LIBRARY


@pytest.mark.slow
def test_every_module_and_data_file_of_the_package_is_in_the_wheel(names: set[str]) -> None:
    tracked = subprocess.run(["git", "ls-files", "stylecine"], cwd=REPOSITORY, capture_output=True, text=True).stdout
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "stylecine").rglob("*.py")}
    assert modules | set(tracked.split()) <= names
    assert "stylecine/py.typed" in names


@pytest.mark.slow
def test_the_weights_are_in_the_wheel_with_their_records_and_cards(names: set[str]) -> None:
    records = tomllib.loads((REPOSITORY / "pretrained/models.toml").read_text())
    files = {file["path"] for record in records.values() for file in record["files"].values()}
    cards = {f"cards/{card.name}" for card in (REPOSITORY / "pretrained/cards").iterdir()}
    assert files and cards
    assert {f"stylecine/pretrained/{name}" for name in {"models.toml", "public.toml"} | files | cards} <= names


@pytest.mark.slow
def test_recipes_tests_and_examples_are_not_in_the_wheel(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"stylecine"}
    assert not [name for name in names if "recipes" in name]


@pytest.mark.slow
def test_metadata_names_the_command_the_licences_and_the_dependencies(wheel: Path, names: set[str]) -> None:
    (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    with ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        assert "stylecine = stylecine.cli:run" in archive.read(f"{info}/entry_points.txt").decode()
    assert wheel.name.startswith(f"stylecine-{metadata['Version']}-")
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= names
    assert "torch<2.14,>=2.11" in (metadata.get_all("Requires-Dist") or [])


def test_setup_lists_every_package_of_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of modules without an __init__.py would be left out of the wheel."""
    settings: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", settings.update)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(REPOSITORY)
    runpy.run_path("setup.py")
    folders = {path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "stylecine").rglob("*.py")}
    packages = [".".join(folder.parts) for folder in folders]
    assert sorted(settings["packages"]) == sorted([*packages, "stylecine.pretrained"])


def test_the_build_needs_no_torch() -> None:
    required = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [requirement.split(">")[0] for requirement in required] == ["setuptools", "ninja"]
