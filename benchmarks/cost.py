"""What photo to MP4 costs at the defaults, in new processes: CPU seconds by stage, and peak memory.

    python -m benchmarks.cost                    of two photos, against the last release: `make quick-figures`
    python -m benchmarks.cost --release          the same, and these become the figures of a release
    python -m benchmarks.cost --beside TREE ...  by other checkouts as well, which need native libraries of their own

CPU seconds, as wall-clock time counts what else a machine does. They still depend on the machine and on its mood, so
fixed work that has nothing to do with stylecine is measured in alternation, and figures are compared in units of it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.tables import RESULTS, command_line, save, table

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = tuple(ROOT / "examples" / name for name in ("sea.jpg", "waterfall.jpg"))
RELEASE = RESULTS / "cost-release.json"
STAGES = ("import", "photo", "weights", "inversion", "mask", "motion", "plate", "loop", "video", "exit")
COLUMNS = ("tree", "picture", "cpu", "units", "ratio", *STAGES, "peak_mb", "memory_ratio")
# The child: stages end where the next one is announced; exit is what the system counts besides.
ANIMATE = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from stylecine import animate
stages, now = {}, ["import"]
def announce(stage, done=0, total=0):
    spent = time.process_time() - sum(stages.values())
    stages[now[0]] = stages.get(now[0], 0) + spent
    now[0] = stage
    return True
announce("photo")
loop = animate(sys.argv[1], progress=announce)
announce("video")
loop.save(sys.argv[2])
announce("exit")
print(json.dumps(stages))
"""
# About two seconds of arithmetic and of Python.
REFERENCE = """
import numpy
values = numpy.random.default_rng(0).standard_normal((256, 256))
for _ in range(60):
    values = numpy.fft.ifft2(numpy.fft.fft2(values @ values / 256)).real
total = sum(i * i % 7 for i in range(4_000_000))
"""


def main() -> None:
    options = _options()
    trees = [ROOT, *options.beside]
    result: dict[str, Any] = {"machine": _machine(), "runs": options.runs, "pictures": []}
    for photo in options.photos:
        result["pictures"] += rows(trees, photo, options.runs)
    if not options.beside:
        compare(result["pictures"], json.loads(RELEASE.read_text())["pictures"] if RELEASE.exists() else [])
    where = f"{result['machine']['cpu']}, {result['machine']['cores']} cores"
    report = f"{where}. CPU seconds, medians of {options.runs}; `units`: of fixed work.\n\n"
    save(RELEASE if options.release else options.out, result, report + table(result["pictures"], COLUMNS))


def rows(trees: Sequence[Path], photo: Path, runs: int) -> list[dict[str, Any]]:
    """Medians of each tree over alternating runs; ratios are to the first tree's."""
    found: list[list[dict[str, Any]]] = [[] for _ in trees]
    for _ in range(runs):
        for tree, each in zip(trees, found, strict=True):
            each.append(cost(tree, photo))
    middle = [{key: median(run.get(key, 0.0) for run in each) for key in each[0]} for each in found]
    for tree, row in zip(trees, middle, strict=True):
        row |= {"tree": _name(tree), "picture": photo.stem} | _ratios(row, middle[0])
    return middle


def compare(found: Sequence[dict[str, Any]], release: Sequence[dict[str, Any]]) -> None:
    """Makes the ratios those to a release's figures of the same photo; None where there are none."""
    before = {row["picture"]: row for row in release}
    for row in found:
        row |= _ratios(row, before.get(row["picture"]))


def _ratios(row: dict[str, Any], to: dict[str, Any] | None) -> dict[str, float | None]:
    if to is None:
        return {"ratio": None, "memory_ratio": None}
    return {"ratio": row["units"] / to["units"], "memory_ratio": row["peak_mb"] / to["peak_mb"]}


def cost(tree: Path, photo: Path) -> dict[str, Any]:
    """Of one new process with the package in `tree`: CPU seconds in total and by stage, peak memory in MB."""
    unit, _, _ = _run(tree, REFERENCE)
    with TemporaryDirectory() as folder:
        cpu, peak, output = _run(tree, ANIMATE, str(photo.resolve()), f"{folder}/loop.mp4")
    stages = json.loads(output)
    return {"cpu": cpu, "units": cpu / unit, **stages, "exit": cpu - sum(stages.values()), "peak_mb": peak}


def _run(tree: Path, program: str, *arguments: str) -> tuple[float, float, str]:
    """CPU seconds, peak memory in MB and standard output of a Python program in a new process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
    command = [sys.executable, "-c", program, *arguments]
    environment["PYTHONPATH"] = str(tree)
    with subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:2])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.decode()


def _name(tree: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=tree, capture_output=True, text=True)
    return done.stdout.strip() or tree.name


def _machine() -> dict[str, Any]:
    from benchmarks.machine import machine  # imports PyTorch

    return machine()


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "cost")
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    parser.add_argument("--runs", type=int, default=3, help="of each tree and photo, in alternation")
    parser.add_argument("--beside", nargs="+", type=Path, default=[], metavar="TREE", help="other checkouts")
    parser.add_argument("--release", action="store_true", help="keep these figures as those of a release")
    options = parser.parse_args()
    options.beside = [tree.resolve() for tree in options.beside]
    return options


if __name__ == "__main__":
    main()
