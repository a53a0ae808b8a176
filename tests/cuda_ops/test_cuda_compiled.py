"""What nvcc makes of the CUDA kernels, for the oldest and newest GPUs too: no warning, few registers, wide reads."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = Path(__file__).parents[2] / "cuda_ops"
NVCC = shutil.which(os.environ.get("NVCC", "nvcc")) or shutil.which("/usr/local/cuda/bin/nvcc")
MAIN, OTHERS = 90, (75, 120)
STRICT = "-std=c++17 -O3 -Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror -Xptxas -v"
BOTH = "f32", "u16"  # of coefficients


class Budget(NamedTuple):
    """Of a file's kernels: a multiprocessor has 40 warps in flight with 48 registers, 32 with 64, 24 with 80."""

    registers: int = 48  # of a thread
    stack: int = 0  # bytes of a thread, to which registers are spilled
    wide: tuple[str, ...] = ()  # types of which four numbers are read at a time
    divisions: int = 0  # of 64 bits, each about a hundred instructions
    ordered: int = 9  # reads that may not overtake writes, as what they read could be written


BUDGETS = {
    "compare": Budget(64, wide=BOTH),
    "drape": Budget(),
    "integrate": Budget(),
    "probe": Budget(16),
    "recolour": Budget(56, wide=("f32",)),
    "render": Budget(80, stack=8, wide=BOTH),
    "splat": Budget(64, divisions=3, ordered=110),  # a division a thread, for how often a loop is unrolled
    "warp_features": Budget(wide=BOTH, ordered=48),
    "weather": Budget(ordered=12),
}

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="there is no nvcc")
pytestmark = pytest.mark.slow


def compile_strictly(source: Path, folder: Path, *others: int) -> tuple[str, str]:
    """What ptxas says of the kernels on the main architecture, and their PTX. AssertionError for any warning."""
    codes = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in (MAIN, *others)]
    command = [str(NVCC), *STRICT.split(), *codes, "--keep", "--keep-dir", str(folder), f"-I{SOURCES}"]
    done = subprocess.run(
        [*command, "-c", str(source), "-o", str(folder / "made.o")], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, f"nvcc: {done.stdout}{done.stderr}"
    says = done.stdout + done.stderr
    kernels = [part for part in re.split("Compiling entry function", says)[1:] if f"for 'sm_{MAIN}'" in part]
    [ptx] = [path for path in folder.glob("*.ptx") if f"compute_{MAIN}" in path.name or not others]
    return "".join(kernels), ptx.read_text()


def check(kernel: str, source: Path, folder: Path, *others: int) -> None:
    budget = BUDGETS[kernel]
    says, ptx = compile_strictly(source, folder, *others)
    stacks = [int(count) for count in re.findall(r"(\d+) bytes stack frame", says)]
    assert max(stacks) <= budget.stack, f"{max(stacks)} bytes of stack"
    used = [int(count) for count in re.findall(r"Used (\d+) registers", says)]
    assert used and max(used) <= budget.registers, f"{max(used)} registers"
    read = set(re.findall(r"ld\.global\.v4\.(\w+)", ptx.replace(".nc", "")))
    assert read >= set(budget.wide), "reads are narrow"
    divisions = re.findall(r"(?:div|rem)\.[su]64", ptx)
    assert len(divisions) <= budget.divisions, f"{len(divisions)} divisions of 64 bits"
    ordered = re.findall(r"ld\.global\.(?!nc)", ptx)
    assert len(ordered) <= budget.ordered, f"{len(ordered)} reads in order"


@needs_nvcc
@pytest.mark.parametrize("kernel", BUDGETS)
def test_kernels_keep_to_their_budgets_and_compile_without_warnings(kernel: str, tmp_path: Path) -> None:
    check(kernel, SOURCES / f"{kernel}_cuda.cu", tmp_path, *OTHERS)


def test_every_kernel_has_a_budget() -> None:
    assert set(BUDGETS) == {path.stem.removesuffix("_cuda") for path in SOURCES.glob("*.cu")}


@needs_nvcc
@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("#pragma unroll 1 ", "#pragma unroll ", "registers"),
        ("struct alignas(CHANNELS * sizeof(T)) Stored", "struct Stored", "reads are narrow"),
        ("float sum[CHANNELS] = {};", "float sum[CHANNELS] = {}; int never;", "nvcc: .*never"),
        ("const float x = float(place.rest)", "const float x = float(pixel % args.b)", "divisions of 64 bits"),
        ("__restrict__ ", "", "reads in order"),
        ("__global__ void warp(", "__global__ void __launch_bounds__(1024, 2) warp(", "bytes of stack"),
    ],
)
def test_what_costs_speed_is_noticed(right: str, wrong: str, reason: str, tmp_path: Path) -> None:
    source = (SOURCES / "warp_features_cuda.cu").read_text()
    assert right in source
    (tmp_path / "warp_features_cuda.cu").write_text(source.replace(right, wrong))
    with pytest.raises(AssertionError, match=f"(?s){reason}"):
        check("warp_features", tmp_path / "warp_features_cuda.cu", tmp_path)
