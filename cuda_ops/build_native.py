"""Builds the native library: cuda_ops/ becomes libstylecine.so and, where there is nvcc, libstylecine_cuda.so.

    python3 cuda_ops/build_native.py [FOLDER]

writes them to FOLDER, with stylecine.h and build.json, which records what was built or why not. The default FOLDER is
stylecine/lib, where an editable install finds them. setup.py calls this too. It needs ninja, which recompiles only
what has changed, but not torch. docs/native.md lists the environment variables: CXX, CXXFLAGS, LDFLAGS, NVCC,
STYLECINE_CPU, STYLECINE_CUDA.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parent
# What is built for, such as linux-x86_64; cross-compilers name another in _PYTHON_HOST_PLATFORM, as for setuptools.
PLATFORM = sysconfig.get_platform()
SYSTEM, MACHINE = PLATFORM.split("-")[0], PLATFORM.split("-")[-1].replace("universal2", platform.machine())
OBJECTS = SOURCES.parent / f"build/native-{PLATFORM}"
LIBRARIES = {"cpu": "libstylecine.so", "cuda": "libstylecine_cuda.so"}

# The same FMA contraction for g++, clang++ and nvcc; no fast-math.
FLAGS = "-std=c++17 -O3 -fPIC -fvisibility=hidden -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra"
CUDA_FLAGS = "-std=c++17 -O3 -Xcompiler -fPIC,-fvisibility=hidden"
SETS = {
    "portable": "",
    "avx2": "-mavx2 -mfma -mf16c",
    "avx512": "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512",
}
if MACHINE not in ("x86_64", "amd64"):
    SETS = {"portable": ""}
ARCHITECTURES = ["75", "80", "90"]  # compute capabilities to compile for on a machine without a GPU


class NotBuilt(Exception):
    """Why a library was not built; `remedy` is what to do before building again, if that is known."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


def build(folder: Path, objects: Path = OBJECTS) -> list[str]:
    """Builds into `folder` and returns the names of the built libraries; object files stay in `objects`.

    A library that cannot be built is left out, or raises NotBuilt if STYLECINE_CPU or STYLECINE_CUDA is 1.
    """
    objects.mkdir(parents=True, exist_ok=True)
    lines = [f"builddir = {escape(objects)}"]
    built: dict[str, dict[str, Any]] = {}
    failed: dict[str, NotBuilt] = {}
    for kind, plan in (("cpu", plan_cpu), ("cuda", plan_cuda)):
        try:
            if os.environ.get(f"STYLECINE_{kind.upper()}") == "0":
                raise NotBuilt(f"stylecine was installed with STYLECINE_{kind.upper()}=0", "unset it")
            find_ninja()
            more, built[kind] = plan(objects)
            lines += more
        except NotBuilt as failure:
            failed[kind] = failure
    (objects / "exports.map").write_text("{ global: stylecine_*; local: *; };\n")
    (objects / "build.ninja").write_text("\n".join([*lines, ""]))
    try:
        run_ninja(objects, *built)
    except NotBuilt:
        for kind in list(built):  # to find out which one failed
            try:
                run_ninja(objects, kind)
            except NotBuilt as failure:
                failed[kind] = failure
                del built[kind]
    for kind, reason in failed.items():
        print(f"warning: {LIBRARIES[kind]} is not built: {reason}", file=sys.stderr)
        if os.environ.get(f"STYLECINE_{kind.upper()}") == "1":
            raise reason
    install(folder, objects, built, failed)
    return [LIBRARIES[kind] for kind in built]


def install(folder: Path, objects: Path, built: dict[str, dict[str, Any]], failed: dict[str, NotBuilt]) -> None:
    """Copies the libraries into `folder`, each atomically, and removes those of an earlier build."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {LIBRARIES[kind]: objects / LIBRARIES[kind] for kind in built}
    if built:
        sources["stylecine.h"] = SOURCES / "stylecine.h"
    for name in [*LIBRARIES.values(), "stylecine.h"]:
        if name in sources:
            shutil.copy(sources[name], folder / f"{name}.part")
            os.replace(folder / f"{name}.part", folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    record = built | {kind: {"why": str(reason), "remedy": reason.remedy} for kind, reason in failed.items()}
    (folder / "build.json").write_text(json.dumps(record, indent=2) + "\n")


# --- build.ninja; paths are relative to cuda_ops, as the path above it may have spaces -------------------------------


def plan_cpu(objects: Path) -> tuple[list[str], dict[str, Any]]:
    """The lines of build.ninja for libstylecine.so, and its record for build.json."""
    compiler, static = find_compiler()
    flags, link_flags = os.environ.get("CXXFLAGS", ""), os.environ.get("LDFLAGS", "")
    lines = rule("cxx", f"{compiler} {FLAGS} {flags}", "$set -MMD -MF $out.d -c $in -o $out")
    linker = f"{compiler} -shared -pthread {flags}"
    lines += rule("link", linker, f"$in -o $out {static} {shared(objects, 'cpu')} {link_flags}")
    built: list[Path] = []
    # Portable objects first: of an inline function in several objects the linker keeps the first, which must run on
    # every processor.
    for name, set_flags in SETS.items():
        for source in sorted(SOURCES.glob("*.cpp" if name == "portable" else "*_cpu.cpp")):
            built.append(objects / f"{source.stem}.{name}.o")
            lines += edge(built[-1], "cxx", [source], set=f"-DSTYLECINE_SET={name} {set_flags}")
    lines += edge(objects / LIBRARIES["cpu"], "link", built)
    lines.append(f"build cpu: phony {escape(objects / LIBRARIES['cpu'])}")
    version = run(*shlex.split(compiler), "--version").splitlines()[0]
    return lines, {"compiler": version, "flags": f"{FLAGS} {flags}".strip(), "instructions": list(SETS)}


def plan_cuda(objects: Path) -> tuple[list[str], dict[str, Any]]:
    """The same for libstylecine_cuda.so."""
    compiler, static = find_compiler()
    nvcc, architectures = find_nvcc()
    host = f"{shlex.quote(nvcc)} -ccbin {compiler}" if len(shlex.split(compiler)) == 1 else shlex.quote(nvcc)
    codes = " ".join(f"-gencode arch=compute_{arch},code=sm_{arch}" for arch in architectures)
    codes += f" -gencode arch=compute_{architectures[-1]},code=compute_{architectures[-1]}"  # PTX for later GPUs
    link = " ".join(f"-Xcompiler {flag}" for flag in static.split())
    linker = f"{host} -shared -cudart static {codes}"
    lines = rule("nvcc", f"{host} {CUDA_FLAGS} {codes}", "-MD -MF $out.d -c $in -o $out")
    lines += rule("link_cuda", linker, f"$in -o $out {link} {shared(objects, 'cuda')}")
    built: list[Path] = []
    for source in [*sorted(SOURCES.glob("*.cu")), SOURCES / "abi.cpp"]:
        built.append(objects / f"{source.name}.o")
        lines += edge(built[-1], "nvcc", [source])
    lines += edge(objects / LIBRARIES["cuda"], "link_cuda", built)
    lines.append(f"build cuda: phony {escape(objects / LIBRARIES['cuda'])}")
    version = "".join(re.findall(r"V([\d.]+)", run(nvcc, "--version")))
    return lines, {"compiler": f"nvcc {version}", "architectures": [f"sm_{arch}" for arch in architectures]}


def shared(objects: Path, kind: str) -> str:
    """Linker flags: the library's own name, and only our functions exported."""
    if SYSTEM == "macosx":
        return f"-Xlinker -install_name -Xlinker @rpath/{LIBRARIES[kind]}"
    if SYSTEM == "win":
        return ""  # stylecine.h says what is exported
    options = [f"-soname={LIBRARIES[kind]}", f"--version-script={relative(objects / 'exports.map')}"]
    return " ".join(shlex.join(["-Xlinker", option]) for option in options)


def rule(name: str, command: str, files: str) -> list[str]:
    lines = [f"rule {name}", f"  command = {command.replace('$', '$$')} {files}", "  description = $out"]
    return lines + (["  depfile = $out.d", "  deps = gcc"] if "$out.d" in files else [])


def edge(output: Path, rule: str, inputs: list[Path], **variables: str) -> list[str]:
    lines = [f"build {escape(output)}: {rule} {' '.join(map(escape, inputs))}"]
    return lines + [f"  {name} = {value}" for name, value in variables.items()]


def relative(path: Path) -> str:
    return os.path.relpath(path, SOURCES)


def escape(path: Path) -> str:
    return relative(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def run_ninja(objects: Path, *targets: str) -> None:
    if targets:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        print(run(find_ninja(), "-f", relative(objects / "build.ninja"), "-k", "0", "-j", str(cores), *targets))


# --- tools ------------------------------------------------------------------------------------------------------------


def find_ninja() -> str:
    try:
        from ninja import BIN_DIR
    except ImportError:
        if path := shutil.which("ninja"):
            return path
        raise NotBuilt("ninja was not found", "run 'pip install ninja'") from None
    return str(Path(BIN_DIR, "ninja"))


@functools.cache
def find_compiler() -> tuple[str, str]:
    """The C++ compiler as a shell command, and flags that link its runtime statically, if it accepts them."""
    if SYSTEM == "win" and "CXX" not in os.environ:
        zig = "run 'pip install ziglang' and set CXX=python -m ziglang c++"
        raise NotBuilt("on Windows CXX has to name the compiler", zig)
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("g++", "clang++", "c++")), "")
    if not compiler:
        raise NotBuilt("no C++ compiler was found when stylecine was installed", "install g++")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "attempt.cpp")
        source.write_text("#include <thread>\nvoid attempt() { std::thread([] {}).join(); }\n")
        attempt = [*shlex.split(compiler), *FLAGS.split(), "-pthread", "-shared", str(source), "-o", f"{source}.so"]
        for static in ("-static-libstdc++ -static-libgcc", ""):  # the static libraries may not be installed
            try:
                run(*attempt, *static.split())
                return compiler, static
            except NotBuilt as error:
                failure = error
    raise NotBuilt(f"the C++ compiler does not work: {failure}", "install g++ or set CXX") from failure


def find_nvcc() -> tuple[str, list[str]]:
    """nvcc and the architectures to compile for: of the GPUs present, else ARCHITECTURES, as far as nvcc knows them."""
    named = os.environ.get("NVCC", "nvcc")
    nvcc = shutil.which(named) or (shutil.which("/usr/local/cuda/bin/nvcc") if named == "nvcc" else None)
    if not nvcc:
        raise NotBuilt(f"{named} was not found when stylecine was installed", "install the CUDA toolkit")
    present = set()
    if shutil.which("nvidia-smi"):
        try:
            listed = run("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
            present = {major + minor for major, minor in re.findall(r"^(\d+)\.(\d+)$", listed, re.MULTILINE)}
        except NotBuilt:  # a driver without a GPU
            pass
    known = run(nvcc, "--list-gpu-arch").split()
    architectures = [arch for arch in sorted(present, key=int) or ARCHITECTURES if f"compute_{arch}" in known]
    if not architectures:
        raise NotBuilt(f"{nvcc} is too old or too new for this GPU", "install another CUDA toolkit")
    return nvcc, architectures


def run(*command: str) -> str:
    """The standard output of a command. Raises NotBuilt if it fails."""
    try:
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise NotBuilt(f"{command[0]} does not run ({error.strerror})") from error
    if done.returncode == 0:
        return done.stdout
    output = done.stdout + done.stderr
    print(output, file=sys.stderr)
    first = next((line for line in output.splitlines() if "error" in line), f"exit status {done.returncode}")
    raise NotBuilt(f"{Path(command[0]).name} failed ({first.strip()})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Builds the native library.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to write the libraries (default: stylecine/lib)")
    folder = parser.parse_args().folder
    if folder is None:
        build(SOURCES.parent / "stylecine/lib")
    else:
        build(folder.resolve(), folder.resolve() / "objects")
