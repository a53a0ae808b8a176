"""Photo to video beside a busy program, which takes a share of the cores: the command and the Python interface.

    python -m benchmarks.neighbour

New processes with the environment's own settings less those of OpenMP; in alternation with and without the neighbour.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.machine import ROOT, machine
from benchmarks.moving import PHOTO
from benchmarks.tables import RESULTS, save, table, to_json, write

COLUMNS = ("through", "size", "quiet", "beside_one", "ratio")
API = "import sys, stylecine; stylecine.animate(sys.argv[1], size=({0}, {0})).save(sys.argv[2])"


def main() -> None:
    options = _options()
    result: dict[str, Any] = {"machine": machine(), "neighbour": []}
    for through in ("command", "Python"):
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.repeats):
            for busy in seconds:
                seconds[busy].append(to_video(through, options.size, busy))
        quiet, beside = min(seconds[False]), min(seconds[True])
        row = {"through": through, "size": options.size, "quiet": quiet, "beside_one": beside, "ratio": beside / quiet}
        result["neighbour"].append(row)
        write(options.out, to_json(result))
    where = f"{result['machine']['cpu']}, {result['machine']['cores']} cores. Seconds."
    save(options.out, result, f"{where}\n\n{table(result['neighbour'], COLUMNS)}")


def to_video(through: str, size: int, busy: bool) -> float:
    """Seconds from start to exit."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    with TemporaryDirectory() as folder:
        video = f"{folder}/loop.mp4"
        if through == "command":
            command = ["-m", "stylecine", "animate", str(PHOTO), "-o", video, "--size", f"{size}x{size}"]
        else:
            command = ["-c", API.format(size), str(PHOTO), video]
        with neighbour() if busy else nullcontext():
            start = perf_counter()
            subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
            return perf_counter() - start


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that is always busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "neighbour.json")
    parser.add_argument("--size", type=int, default=1024, help="side in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
