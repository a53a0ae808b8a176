"""The build as a whole: a few small sources in a folder with a space in its name, with and without errors."""

import ctypes
import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

SOURCES = Path(__file__).parents[2] / "cuda_ops"
# A kernel that returns the instruction set it was compiled for.
KERNEL = """
#include "cpu.h"
#define QUOTED(name) #name
#define QUOTE(name) QUOTED(name)
namespace stylecine { namespace STYLECINE_SET { const char *name() { return QUOTE(STYLECINE_SET); } } }
"""
DISPATCH = """
#include "cpu.h"
namespace stylecine { STYLECINE_SETS(const char *name()) }
extern "C" STYLECINE_API const char *stylecine_name() { return stylecine::portable::name(); }
"""


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """build_native.py next to the sources of one kernel; without CUDA."""
    monkeypatch.setenv("CXXFLAGS", "-O0")
    monkeypatch.setenv("STYLECINE_CUDA", "0")
    monkeypatch.delenv("STYLECINE_CPU", raising=False)
    folder = tmp_path / "a folder" / "cuda_ops"
    folder.mkdir(parents=True)
    for name in ("build_native.py", "stylecine.h", "cpu.h", "cpu.cpp", "abi.cpp"):
        shutil.copy(SOURCES / name, folder)
    (folder / "name_cpu.cpp").write_text(KERNEL)
    (folder / "dispatch.cpp").write_text(DISPATCH)
    spec = importlib.util.spec_from_file_location("build_native", folder / "build_native.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lib(tmp_path: Path) -> Path:
    return tmp_path / "lib"


def record(lib: Path) -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = json.loads((lib / "build.json").read_text())
    return read


def test_the_library_and_its_header_are_installed(builder: ModuleType, lib: Path) -> None:
    assert builder.build(lib) == ["libstylecine.so"]
    assert {path.name for path in lib.iterdir()} == {"libstylecine.so", "stylecine.h", "build.json"}
    assert record(lib)["cpu"]["instructions"] == list(builder.SETS)
    library = ctypes.CDLL(str(lib / "libstylecine.so"))
    library.stylecine_name.restype = ctypes.c_char_p
    assert library.stylecine_name() == b"portable"


def test_every_kernel_is_compiled_for_every_instruction_set(builder: ModuleType, lib: Path) -> None:
    builder.build(lib)
    objects = {path.name for path in builder.OBJECTS.glob("name_cpu.*.o")}
    assert objects == {f"name_cpu.{instructions}.o" for instructions in builder.SETS}


def test_only_changed_sources_are_recompiled(
    builder: ModuleType, lib: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.build(lib)
    capsys.readouterr()
    builder.build(lib)
    assert "no work to do" in capsys.readouterr().out
    source = builder.SOURCES / "cpu.cpp"
    source.write_text(source.read_text() + "// changed\n")
    builder.build(lib)
    assert {Path(line.split()[-1]).name for line in capsys.readouterr().out.splitlines() if line} == {
        "cpu.portable.o",
        "libstylecine.so",
    }


def test_a_source_that_does_not_compile_leaves_no_library_not_even_an_old_one(builder: ModuleType, lib: Path) -> None:
    builder.build(lib)
    (builder.SOURCES / "name_cpu.cpp").write_text("this is not C++")
    assert builder.build(lib) == []
    assert [path.name for path in lib.iterdir()] == ["build.json"]
    assert "name_cpu.cpp" in record(lib)["cpu"]["why"]


def test_a_required_library_that_cannot_be_built_is_an_error(
    builder: ModuleType, lib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLECINE_CPU", "1")
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(builder.NotBuilt, match="the C\\+\\+ compiler does not work"):
        builder.build(lib)


def test_a_cuda_toolkit_that_fails_leaves_the_cpu_library(
    builder: ModuleType, lib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An nvcc that lists its architectures and then fails to compile."""
    monkeypatch.delenv("STYLECINE_CUDA")
    nvcc = tmp_path / "nvcc"
    nvcc.write_text(
        '#!/bin/sh\ncase "$1" in --list*) echo compute_80;; --version) echo V1.2;; *) echo error: no; exit 1; esac'
    )
    nvcc.chmod(0o755)
    monkeypatch.setenv("NVCC", str(nvcc))
    assert builder.build(lib) == ["libstylecine.so"]
    assert not (lib / "libstylecine_cuda.so").exists()
    assert record(lib)["cuda"]["why"] == "ninja failed (error: no)"


def test_missing_tools_are_recorded_with_a_remedy(
    builder: ModuleType, lib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STYLECINE_CUDA")
    monkeypatch.setenv("NVCC", "no-such-nvcc")
    builder.build(lib)
    assert record(lib)["cuda"] == {
        "why": "no-such-nvcc was not found when stylecine was installed",
        "remedy": "install the CUDA toolkit",
    }
    builder.find_compiler.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert builder.build(lib) == []
    assert record(lib)["cpu"]["remedy"] in ("install g++", "run 'pip install ninja'")


def test_the_compiler_may_be_a_command_of_several_words(
    builder: ModuleType, lib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "env g++")
    assert builder.build(lib) == ["libstylecine.so"]
    assert os.environ["CXX"] not in record(lib)["cpu"]["compiler"]
