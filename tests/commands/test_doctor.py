"""What `stylecine doctor` reports on the native library: whether it was built, whether it is used, and the remedy."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stylecine.commands.doctor import Finding, examine
from stylecine.ops import native


def finding(what: str) -> Finding:
    return next(finding for finding in examine() if finding.what == what)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder where the libraries are looked for."""
    monkeypatch.setenv("STYLECINE_LIB", str(tmp_path))
    native._library.cache_clear()
    yield tmp_path
    native._library.cache_clear()


def test_a_working_library_is_reported_with_its_compiler() -> None:
    found, record = finding("native library"), native.built()["cpu"]
    assert found.good, found.says
    assert found.says.startswith(native.why("cpu")) and record["compiler"] in found.says


def test_a_library_that_was_not_built_is_no_problem_but_has_a_reason_and_a_remedy(empty_folder: Path) -> None:
    record = {"why": "no C++ compiler was found when stylecine was installed", "remedy": "install g++"}
    (empty_folder / "build.json").write_text(json.dumps({"cpu": record}))
    found = finding("native library")
    assert found.good
    assert found.says == f"the PyTorch references: {record['why']}; install g++, then {native.rebuild()}"


def test_a_library_that_does_not_load_is_a_problem(empty_folder: Path) -> None:
    (empty_folder / "libstylecine_cuda.so").write_text("not this")
    found = finding("native library, CUDA")
    assert not found.good
    assert "does not load" in found.says and native.rebuild() in found.says


def test_a_library_older_than_its_sources_is_a_problem(empty_folder: Path) -> None:
    library = empty_folder / "libstylecine.so"
    library.write_bytes((Path(native.__file__).parents[1] / "lib/libstylecine.so").read_bytes())
    os.utime(library, (1, 1))
    assert finding("native library").says == f"{library} is older than its sources; {native.rebuild()}"
