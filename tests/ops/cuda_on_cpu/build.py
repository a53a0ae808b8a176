"""Compiles CUDA sources for the CPU; cuda_runtime.h beside this file says what for.

CXXFLAGS=-fsanitize=address,undefined has kernels checked for what they read and write, -fsanitize=thread for races
(minutes: choose a few tests). The sanitizer has to be there before Python, which leaks:
LD_PRELOAD=$(g++ -print-file-name=libasan.so) or libtsan.so, ASAN_OPTIONS=detect_leaks=0.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "cuda_ops"
FLAGS = "-std=c++17 -O1 -g1 -fPIC -shared -fvisibility=hidden -D__CUDACC__ -D__CUDA_ARCH__=750"


def build(sources: Iterable[Path], folder: Path, compiler: str = "g++") -> Path:
    """Makes a library in `folder` of these .cu files. Raises RuntimeError with what the compiler says."""
    made = []
    for source in sources:
        made.append(folder / f"{source.stem}.cpp")
        made[-1].write_text(f'#line 1 "{source}"\n{translated(source.read_text())}')
    library = folder / f"lib{made[0].stem}.so"
    flags = [*FLAGS.split(), *shlex.split(os.environ.get("CXXFLAGS", ""))]
    command = [*shlex.split(compiler), *flags, f"-I{HERE}", f"-I{SOURCES}", *map(str, made), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")
    return library


def translated(source: str) -> str:
    """The source as C++: kernel<<<grid, block, shared, stream>>> has become a function call.

    Raises ValueError if it launches a kernel in any other way.
    """
    kernel, settings = r"([\w:]+(?:<[\w:, ]+>)?)", r"<<<((?:[^;{}]+?, ){3}[^;{}]+?)>>>(?=\()"
    call = r"cuda_on_cpu::launch([&](const auto &...x) { \1(x...); }, \2)"
    made, count = re.subn(rf"(?<![\w:>)]){kernel}{settings}", call, source)
    if not count == source.count("<<<") == source.count(">>>"):
        raise ValueError(
            f"of {source.count('<<<')} kernel launches {source.count('<<<') - count} are written in a way "
            "that is not known here"
        )
    return made
