"""The C interface as Python sees it: neither native.py nor a kernel's argument struct may differ from stylecine.h."""

import ctypes
import functools
import importlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stylecine.errors import KernelUnavailable
from stylecine.ops import native

HEADER = Path(__file__).parents[2] / "cuda_ops/stylecine.h"
CODE = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
SCALARS = {
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "void": None,
}


def ctype(declaration: str) -> Any:
    """What ctypes calls the type of `const float *positions`."""
    if "*" not in declaration:
        return SCALARS[declaration.split()[0]]
    if "**" in declaration:
        return ctypes.POINTER(ctypes.c_void_p)
    return ctypes.c_char_p if declaration.startswith("char") else ctypes.c_void_p


def fields(struct: str) -> Iterator[tuple[str, Any]]:
    for declaration in filter(None, (part.strip() for part in struct.split(";"))):
        kind = re.match(r"(const )?\w+ ", declaration)
        assert kind
        for name in declaration[kind.end() :].split(","):
            yield name.strip(" *"), ctype(kind.group() + name.strip())


STRUCTS = {name: list(fields(body)) for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", CODE, re.DOTALL)}
FUNCTIONS = {
    name: (ctype(result.strip()), [] if arguments == "void" else [ctype(part.strip()) for part in arguments.split(",")])
    for result, name, arguments in re.findall(r"STYLECINE_API ([\w ]+?\**)(stylecine_\w+)\((.*?)\);", CODE, re.DOTALL)
}


def test_every_function_has_the_headers_arguments_in_its_order() -> None:
    assert native.FUNCTIONS == FUNCTIONS


def test_constants_match_the_header() -> None:
    numbers = {name: int(value) for name, value in re.findall(r"STYLECINE_(\w+)(?: =)? (-?\d+)", CODE)}
    assert (numbers["ABI"], numbers["MESSAGE"]) == (native.ABI, native.MESSAGE)
    statuses = native.OK, native.INVALID, native.MEMORY, native.CUDA
    assert statuses == tuple(numbers[name] for name in ("OK", "INVALID", "MEMORY", "CUDA"))
    assert {name: numbers[name.upper()] for name in native.INSTRUCTIONS} == native.INSTRUCTIONS
    assert {str(dtype)[6:]: code for dtype, code in native.DTYPES.items()} == {
        name.lower(): numbers[name] for name in ("FLOAT32", "FLOAT16", "BFLOAT16")
    }


@pytest.mark.parametrize("struct", STRUCTS)
def test_argument_structs_have_the_headers_fields(struct: str) -> None:
    parts = {"stylecine_level": "render", "stylecine_streak": "weather"}
    module = importlib.import_module(f"stylecine.ops.{parts.get(struct, struct[10:-5])}")
    ours = [thing for thing in vars(module).values() if isinstance(thing, type) and issubclass(thing, ctypes.Structure)]
    assert STRUCTS[struct] in [[(name, plain(kind)) for name, kind in our._fields_] for our in ours]


def plain(kind: Any) -> Any:
    """The header's name for every kind of pointer is the same here."""
    return kind if kind in SCALARS.values() else ctypes.c_void_p


@pytest.mark.parametrize("kind", native.LIBRARIES)
def test_a_library_exports_its_part_of_the_header_and_nothing_else(kind: str) -> None:
    path = native.folder() / native.LIBRARIES[kind]
    if not path.exists() or not shutil.which("nm"):
        pytest.skip(f"{path.name} was not built" if shutil.which("nm") else "there is no nm")
    listed = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in listed.splitlines()}
    other = {"cpu": "_cuda", "cuda": "_cpu"}[kind]
    assert exported == {name for name in FUNCTIONS if other not in name}


def test_the_libraries_load_without_a_gpu_too() -> None:
    assert native.available("cpu"), native.why("cpu")
    if (native.folder() / native.LIBRARIES["cuda"]).exists():
        assert native.available("cuda"), native.why("cuda")
        assert "libstylecine_cuda, " in native.why("cuda")


def test_nothing_is_loaded_by_importing() -> None:
    ask = "from stylecine.ops import native; print(native._library.cache_info().currsize)"
    assert subprocess.check_output([sys.executable, "-c", ask], text=True) == "0\n"


def test_threads_and_instruction_sets_can_be_chosen() -> None:
    assert native.why("cpu").endswith(f", {torch.get_num_threads()} thread")
    with native.using(threads=3, instructions="portable"):
        assert native.why("cpu") == "libstylecine, portable instructions, 3 threads"
        with native.using(threads=1):
            assert native.why("cpu") == "libstylecine, portable instructions, 1 thread"
    with (
        pytest.raises(ValueError, match=r"instructions must be .*, not .mmx."),
        native.using(instructions="mmx"),
    ):
        pass
    with pytest.raises(ValueError, match="threads is 5000; it has to be 1 to 1024"), native.using(threads=5000):
        native.why("cpu")


def test_a_pool_that_is_none_has_no_threads_and_no_instructions() -> None:
    assert [native._function("cpu", f"stylecine_cpu_{name}")(None) for name in ("threads", "instructions")] == [0, -1]


class Nothing(ctypes.Structure):
    """Longer than any kernel's arguments, all of which are 0 and NULL."""

    _fields_ = (("zero", ctypes.c_int64 * 64),)


def test_the_references_run_if_disabled() -> None:
    with native.disabled():
        assert not native.available("cpu")
        assert native.why("cpu") == "the PyTorch references: native kernels are disabled here"
    assert native.available("cpu")


def test_other_devices_have_no_kernels() -> None:
    assert not native.available("meta")
    with pytest.raises(KernelUnavailable, match="no native kernels for meta"):
        native.run("integrate", Nothing(), torch.device("meta"))


@pytest.mark.parametrize("kernel", native.KERNELS)
def test_the_librarys_errors_are_value_errors(kernel: str) -> None:
    with pytest.raises(ValueError, match=f"^{kernel}: .+"):
        native.run(kernel, Nothing(), torch.device("cpu"))


def test_many_python_threads_may_call_at_once() -> None:
    from stylecine.ops.integrate import integrate

    flow = torch.randn(1, 2, 20, 30, generator=torch.Generator().manual_seed(1))
    expected, results = integrate(flow, 5, 2.0)[0], []
    threads = [threading.Thread(target=lambda: results.append(integrate(flow, 5, 2.0)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(torch.equal(result, expected) for result in results)


def test_a_forked_child_has_threads_of_its_own() -> None:
    script = """
import os
from stylecine.ops import native
with native.using(threads=2):
    before = native.why("cpu")
    if (child := os.fork()) == 0:
        os._exit(0 if native.why("cpu") == before and len(native._pools) == 1 else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60) == "0\n"


def test_a_gpu_that_cannot_run_the_kernels_gets_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def probe(index: int, message: Any) -> int:
        asked.append(index)
        message.value = b"no kernel image is available" if index else b""
        return native.CUDA if index else native.OK

    monkeypatch.setattr(native, "_library", lambda kind: None)
    monkeypatch.setattr(native, "_function", lambda kind, name: probe)
    monkeypatch.setattr(native, "_not_launchable", functools.cache(native._not_launchable.__wrapped__))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=None: "some GPU")
    for _ in range(2):
        assert native.available("cuda:0") and not native.available("cuda:1") and not native.available("cuda")
    assert asked == [0, 1], "each GPU is asked once"
    assert native.why("cuda:1") == (
        "the PyTorch references: kernels do not run on some GPU (no kernel image is available); update its driver, or "
        + native.rebuild()
    )


def test_a_gpu_without_memory_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [b"out of memory", b""]

    def probe(index: int, message: Any) -> int:
        message.value = answers.pop(0)
        return native.CUDA if message.value else native.OK

    monkeypatch.setattr(native, "_library", lambda kind: None)
    monkeypatch.setattr(native, "_function", lambda kind, name: probe)
    monkeypatch.setattr(native, "_not_launchable", functools.cache(native._not_launchable.__wrapped__))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=None: "some GPU")
    assert [native.available("cuda:0") for _ in range(3)] == [False, True, True]
    assert not answers


# --- a library that is not there: `why` has the real reason, and what to do about it ---------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYLECINE_LIB", str(tmp_path))
    return tmp_path


def test_never_built(elsewhere: Path) -> None:
    assert native._load("cpu") == f"{elsewhere} has no libstylecine.so; {native.rebuild()}"


def test_not_built_for_a_reason(elsewhere: Path) -> None:
    record = {"cpu": {"why": "no C++ compiler was found", "remedy": "install g++"}, "cuda": {"why": "nvcc failed"}}
    (elsewhere / "build.json").write_text(json.dumps(record))
    assert native._load("cpu") == f"no C++ compiler was found; install g++, then {native.rebuild()}"
    assert native._load("cuda") == f"nvcc failed; {native.rebuild()}"


def test_not_a_library(elsewhere: Path) -> None:
    (elsewhere / "libstylecine.so").write_text("something else")
    assert re.match(
        r".*libstylecine.so does not load \(.*(file too short|invalid ELF header).*\); run", str(native._load("cpu"))
    )


def test_a_library_with_another_interface(elsewhere: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    (elsewhere / "other.c").write_text("int stylecine_abi(void) { return 99; }")
    path = elsewhere / "libstylecine.so"
    subprocess.run([compiler, "-shared", "-fPIC", elsewhere / "other.c", "-o", path], check=True)
    assert (
        native._load("cpu")
        == f"{path} has version 99 of the C interface, this stylecine {native.ABI}; {native.rebuild()}"
    )
