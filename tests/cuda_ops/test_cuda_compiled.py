"""What nvcc makes of the CUDA kernels, for the oldest and newest GPUs too: no warning, few registers, wide reads."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "cuda_ops"
NVCC = shutil.which(os.environ.get("NVCC", "nvcc")) or shutil.which("/usr/local/cuda/bin/nvcc")
MAIN, OTHERS = 90, (75, 120)
STRICT = "-std=c++17 -O3 -Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror -Xptxas -v"

# At most so many registers of a thread, bytes of its stack (to which registers are spilled), and whether coefficients
# are read four at a time. With 64 registers a multiprocessor has 32 warps in flight, with 80 it has 24, with 128 16.
BUDGETS = {
    "compare": (128, 0, True),
    "drape": (80, 0, False),
    "integrate": (48, 0, False),
    "probe": (16, 0, False),
    "recolour": (64, 0, False),
    "render": (80, 16, True),
    "splat": (64, 0, False),
    "warp_features": (64, 0, True),
}
READS = {"ld.global.v4.f32", "ld.global.v4.u16"}

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
    registers, stack, wide = BUDGETS[kernel]
    says, ptx = compile_strictly(source, folder, *others)
    used = [int(count) for count in re.findall(r"Used (\d+) registers", says)]
    assert used and max(used) <= registers, f"{max(used)} registers"
    stacks = [int(count) for count in re.findall(r"(\d+) bytes stack frame", says)]
    assert max(stacks) <= stack, f"{max(stacks)} bytes of stack"
    if wide:
        assert set(re.findall(r"ld\.global\.v4\.\w+", ptx.replace(".nc", ""))) >= READS, "reads are narrow"


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
        ("float sum[CHANNELS] = {};", "float sum[CHANNELS + 64] = {}; sum[group] = 1;", "bytes of stack"),
    ],
)
def test_what_costs_speed_is_noticed(right: str, wrong: str, reason: str, tmp_path: Path) -> None:
    source = (SOURCES / "warp_features_cuda.cu").read_text()
    assert source.count(right) == 1
    (tmp_path / "warp_features_cuda.cu").write_text(source.replace(right, wrong))
    with pytest.raises(AssertionError, match=f"(?s){reason}"):
        check("warp_features", tmp_path / "warp_features_cuda.cu", tmp_path)
