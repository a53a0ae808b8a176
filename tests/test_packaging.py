"""What a wheel holds, found out by looking into it. It is built from the sdist, in a folder with a space."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

REPOSITORY = Path(__file__).parent.parent
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"


# Not the CUDA library, which takes long and is looked for by .ci/check.py; and not optimised.
QUICK = {"STYLECINE_CUDA": "0", "CXXFLAGS": "-O0"}
LIBRARY = {"stylecine/lib/libstylecine.so", "stylecine/lib/stylecine.h"}


def build(kind: str, source: Path, output: Path, **environment: str) -> Path:
    """Runs setuptools' own backend without isolation, so without network; returns the one file it makes."""
    output.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(output)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, env=os.environ | QUICK | environment)
    assert done.returncode == 0, done.stderr
    (made,) = output.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the sdist of this tree unpacks to."""
    folder = tmp_path_factory.mktemp("a package")
    unwanted = (".*", "build", "dist", "*.egg-info", "__pycache__", "out", "lib")
    shutil.copytree(REPOSITORY, folder / "tree", ignore=shutil.ignore_patterns(*unwanted))
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


def test_the_native_library_is_in_it_and_one_wheel_serves_every_python(wheel: Path, names: set[str]) -> None:
    assert names >= LIBRARY
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    with ZipFile(wheel) as archive:
        (info,) = [name for name in names if name.endswith(".dist-info/WHEEL")]
        assert "Root-Is-Purelib: false" in archive.read(info).decode()


def test_the_library_in_it_runs_where_there_is_no_compiler(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ask = "from stylecine.ops import native; print(native.__file__, native.available('cpu'), native.why('cpu'))"
    environment = {"PATH": "", "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert told.stdout.startswith(f"{tmp_path}/stylecine/ops/native.py True libstylecine, "), told.stderr


@pytest.mark.parametrize("without", [{"PATH": ""}, {"CXX": "false"}, {"STYLECINE_CPU": "0"}], ids=str)
def test_what_cannot_be_compiled_is_left_out(without: dict[str, str], source: Path, tmp_path: Path) -> None:
    wheel = build("wheel", source, tmp_path / "wheel", **without)
    assert wheel.name.endswith("-py3-none-any.whl")
    with ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if "/lib/" in name] == ["stylecine/lib/build.json"]
        record = json.loads(archive.read("stylecine/lib/build.json"))
    assert all(record[kind]["why"] for kind in ("cpu", "cuda"))


def test_an_editable_install_finds_the_library_in_place(source: Path, tmp_path: Path) -> None:
    build("editable", source, tmp_path / "wheel")
    assert {name for name in LIBRARY if (source / name).exists()} == LIBRARY


def test_every_module_of_the_package_is_in_it(names: set[str]) -> None:
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "stylecine").rglob("*.py")}
    assert modules <= names
    assert "stylecine/py.typed" in names


def test_the_weights_are_in_it_with_their_records_and_cards(names: set[str]) -> None:
    records = tomllib.loads((REPOSITORY / "pretrained/models.toml").read_text())
    files = {file["path"] for record in records.values() for file in record["files"].values()}
    cards = {f"cards/{card.name}" for card in (REPOSITORY / "pretrained/cards").iterdir()}
    assert files and cards
    assert {f"stylecine/pretrained/{name}" for name in {"models.toml", "public.toml"} | files | cards} <= names


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


def test_the_build_needs_no_torch() -> None:
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [requirement.split(">")[0] for requirement in wanted] == ["setuptools", "ninja"]
