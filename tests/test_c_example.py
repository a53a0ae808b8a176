"""The C example renders the same bytes as Python; the program in the documentation prints what it says."""

import os
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cuda_ops import build_native
from stylecine import animate
from stylecine.engine.cinemagraph import Cinemagraph
from stylecine.ops import native

EXAMPLE = Path(__file__).parent.parent / "examples/c"
export = runpy.run_path(str(EXAMPLE / "export.py"))["export"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("cc") or not shutil.which("make"):
        pytest.skip("there is no C compiler or no make")
    folder = tmp_path_factory.mktemp("c")
    for name in ("Makefile", "render_loop.c"):
        shutil.copy(EXAMPLE / name, folder)
    strict = "CFLAGS=-std=c99 -O2 -Wall -Wextra -Werror -pedantic"
    lib = os.path.relpath(native.folder(), folder)  # relative, as in the repository
    subprocess.run(["make", "-C", folder, strict, f"LIB={lib}"], check=True, capture_output=True)
    return folder / "render_loop"


@pytest.fixture(scope="module")
def cinemagraph(photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path) -> Cinemagraph:
    """A loop that also has a swell of two clocks, as recognised open water and a beach do, and a stagger and waves that
    stand, as quick water does, and light."""
    made = animate(photo, mask=water, motion=drift, model=str(small_model), size=None, seconds=0.4, fps=30)
    swell = torch.randn(4, 2, *made.loop.displacement.sub_cycle.shape, generator=torch.Generator().manual_seed(0))
    stagger = torch.rand(made.loop.displacement.sub_cycle.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    own = {"swell": swell, "swell_cycles": (2, 3), "stagger": stagger, "min_ramp": 5.0, "standing": stagger.abs()}
    displacement = replace(made.loop.displacement, **own)
    shares = tuple(i / 4 for i in range(len(made.loop.splines)))
    low_pass = [length // 2 for length in made.loop.splines[-1].shape[:2]]
    light = 0.2 * torch.randn(*low_pass, 4, generator=torch.Generator().manual_seed(2))
    return replace(made, loop=replace(made.loop, displacement=displacement, standing_shares=shares, light=light))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_frames_are_the_same_as_from_python(
    program: Path, cinemagraph: Cinemagraph, threads: str, tmp_path: Path
) -> None:
    export(cinemagraph, tmp_path)
    frames = subprocess.run([program, tmp_path, threads], capture_output=True, check=True).stdout
    start = f"P6\n{cinemagraph.width} {cinemagraph.height}\n255\n".encode()
    assert frames == b"".join(start + frame.tobytes() for frame in cinemagraph)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_processor_of_another_kind_renders_the_same(cinemagraph: Cinemagraph, tmp_path: Path) -> None:
    """Compiled for 64-bit ARM and run by an emulator: its sums are rounded otherwise here and there."""
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("there is no compiler for aarch64, or no emulator")
    flags = [flag for flag in build_native.FLAGS.split() if not flag.startswith("-std")]  # the example is in C
    sources = [*sorted(build_native.SOURCES.glob("*.cpp")), EXAMPLE / "render_loop.c"]
    program = tmp_path / "render_loop"
    command = [compiler, *flags, "-DSTYLECINE_SET=portable", f"-I{build_native.SOURCES}", *sources]
    subprocess.run([*command, "-static", "-pthread", "-lstdc++", "-lm", "-o", program], check=True)
    export(cinemagraph, tmp_path)
    made = subprocess.run([emulator, program, tmp_path], capture_output=True, check=True).stdout
    start = f"P6\n{cinemagraph.width} {cinemagraph.height}\n255\n".encode()
    expected = np.frombuffer(b"".join(start + frame.tobytes() for frame in cinemagraph), np.uint8)
    apart = np.abs(np.frombuffer(made, np.uint8).astype(int) - expected)
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-3


def test_a_truncated_array_is_named(program: Path, cinemagraph: Cinemagraph, tmp_path: Path) -> None:
    export(cinemagraph, tmp_path)
    array = tmp_path / "contrast_gain.npy"
    array.write_bytes(array.read_bytes()[:-1])
    run = subprocess.run([program, tmp_path], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "render_loop: contrast_gain.npy: is cut off\n"


def test_the_program_in_the_documentation_runs(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    (program,) = re.findall(r"```c\n(.*?)```", (EXAMPLE.parents[1] / "docs/native.md").read_text(), re.DOTALL)
    (tmp_path / "example.c").write_text(program)
    lib = native.folder()
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{lib}", tmp_path / "example.c"]
    subprocess.run([*command, lib / "libstylecine.so", f"-Wl,-rpath,{lib}", "-o", tmp_path / "example"], check=True)
    assert subprocess.check_output([tmp_path / "example"], text=True) == "0 2 4\n"


def test_loops_that_need_more_than_one_call_a_frame_are_refused(
    photo: np.ndarray, small_model: Path, drift: np.ndarray, tmp_path: Path
) -> None:
    other = animate(photo, motion=drift, model=str(small_model), size=None, seconds=0.4, fps=30, sampling="splat")
    with pytest.raises(SystemExit, match="only loops with"):
        export(other, tmp_path / "arrays")
    assert not (tmp_path / "arrays").exists()
