"""Everything that needs a GPU, in one command: tests, sanitizers, speed, profiles.

    make gpu        (python -m benchmarks.gpu)

Without a GPU, or if the kernels do not run on it, it says so and fails. Otherwise every step runs, whatever fails
before, and the results are written to benchmarks/results: gpu (each step, and the times of kernels in a profile),
gpu-loops, gpu-kernels and gpu-fps.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_loops import loops
from benchmarks.machine import ROOT, machine
from benchmarks.moving import FRAMES
from benchmarks.tables import RESULTS, save, table, to_json, write
from benchmarks.timing import now
from stylecine import Animator, Cinemagraph
from stylecine.ops import native

TESTS = ["-m", "pytest", "-q", "-k", "gpu or cuda", "tests/ops", "tests/networks", "tests/picture", "tests/cloth"]
TESTS += ["--ignore=tests/ops/test_cuda_sources.py"]
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
LIMIT = 3600  # seconds, of a step
KEPT = 1500  # characters of what a failed step says
PROFILED = 40  # frames
ROWS = 4  # of a profile

Row = dict[str, Any]


def main() -> None:
    options = _options()
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here that PyTorch can use: nothing was tested or measured.")
    if not native.available("cuda"):
        raise SystemExit(f"There is a GPU, but it runs {native.why('cuda')}.")
    result: Row = {"machine": machine(), "kernels": native.why("cuda"), "steps": []}
    for name, command in steps(options.out, options.size).items():
        result["steps"].append({"step": name} | run(command))
        write(options.out / "gpu.json", to_json(result))
    result["profiles"] = profiles(options.size)
    save(options.out / "gpu.json", result, markdown(result))
    failed = [row["step"] for row in result["steps"] if row["result"] == "failed"]
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


def steps(out: Path, size: int) -> dict[str, list[str] | str]:
    """The command of each step, or why there is none."""
    made: dict[str, list[str] | str] = {"agreement with the CPU": [sys.executable, *TESTS]}
    sanitizer = shutil.which("compute-sanitizer")
    for tool in SANITIZERS:
        command = ["--tool", tool, "--error-exitcode", "1", "--target-processes", "all", sys.executable, *TESTS]
        made[f"compute-sanitizer, {tool}"] = [sanitizer, *command] if sanitizer else "there is no compute-sanitizer"
    program = [sys.executable, "-m"]
    one_device = ["--device", "cuda", "--threads", "4"]
    made["whole loops"] = [*program, "benchmarks.gpu_loops", "--out", str(out / "gpu-loops.json")]
    made["speed of kernels"] = [*program, "benchmarks.kernels", *one_device, "--out", str(out / "gpu-kernels.json")]
    sizes = ["--sizes", str(size), "--frames", str(FRAMES), "--out", str(out / "gpu-fps.json")]
    made["frames per second"] = [*program, "benchmarks.fps", *one_device, *sizes]
    return made


def run(command: Sequence[str] | str) -> Row:
    """Runs a step: whether it passed, in how many seconds, and if not, the end of what it says."""
    if isinstance(command, str):
        return {"result": "not run", "says": command}
    start = perf_counter()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        passed, says = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired:
        passed, says = False, f"took longer than {LIMIT} s"
    row: Row = {"result": "passed" if passed else "failed", "seconds": perf_counter() - start}
    return row if passed else row | {"says": says[-KEPT:]}


def profiles(size: int) -> dict[str, list[Row]]:
    """The kernels of a frame of each of the loops that are compared: microseconds and calls a frame, the longest first;
    and how many frames a second are brought to the host, one by one."""
    animator = Animator.from_pretrained(device="cuda")
    made, speeds = dict[str, list[Row]](), list[Row]()
    for name, (photo, options) in loops(size).items():
        scene = animator.invert(ROOT / f"examples/{photo}.jpg", size=(size, size))
        loop = animator.render(scene, **options)
        made[name] = profiled(loop)
        microseconds = sum(row["microseconds"] for row in made[name])
        speeds.append({"loop": name, "frames_per_second": speed(loop), "microseconds": microseconds})
    return {"frames of each loop": speeds} | {name: rows[:ROWS] for name, rows in made.items()}


def profiled(loop: Cinemagraph) -> list[Row]:
    """Every kernel and copy of a frame, the longest first."""
    take(loop)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        take(loop)
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_device_time_total)
    return [
        {
            "kernel": event.key[:60],
            "microseconds": event.self_device_time_total / PROFILED,
            "calls": event.count / PROFILED,
        }
        for event in events
        if event.self_device_time_total > 0
    ]


def take(loop: Cinemagraph) -> None:
    for _ in loop.frames(range(PROFILED)):
        pass


def speed(loop: Cinemagraph) -> float:
    """Frames a second, of the best of three passes."""
    passes = []
    for _ in range(3):
        start = now(loop.mask.device)
        take(loop)
        passes.append(PROFILED / (now(loop.mask.device) - start))
    return max(passes)


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    ran = table([{"says": ""} | row for row in result["steps"]], ("step", "result", "seconds"))
    parts = [f"{where['gpu']}; {where['cpu']}, {where['cores']} cores. {result['kernels']}.\n\n{ran}"]
    for name, rows in result["profiles"].items():
        parts.append(f"## {name.capitalize()}\n\n{table(rows, list(rows[0]))}")
    return "\n".join(parts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default benchmarks/results)")
    parser.add_argument("--size", type=int, default=1024, help="side of the photo in pixels (default 1024)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
