"""Twenty photos by one process of one thread, and by two.

`python -m benchmarks.batch` takes the example photos, each cropped in five ways, at size 1024; on a machine that does
nothing else five minutes to half an hour. The processes of a run have as many cores as there are processes, so the
single one's video encoder, which has threads of its own, does not use a second core. Into
benchmarks/results/batch.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.machine import ROOT, machine
from benchmarks.tables import write

RESULT = ROOT / "benchmarks/results/batch.json"
EXAMPLES = ("lake", "sea", "snow", "waterfall")


def main() -> None:
    given = options(__doc__, RESULT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photos(folder / "photos", given.photos)
        runs = {
            "one process": batch(photos, folder / "one", given.size, "--processes=1", cores=1),
            "two processes": batch(photos, folder / "two", given.size, "--processes=2", cores=2),
        }
    frames = [frames_of(run) for run in runs.values()]
    result = {
        "machine": machine(),
        "photos": len(frames[0]),
        "size": given.size,
        "runs": runs,
        "ratio": round(runs["one process"]["seconds"] / runs["two processes"]["seconds"], 3),
        "same_frames": frames[0] == frames[1],
    }
    write(given.out, json.dumps(result, indent=1) + "\n")
    print(f"two processes are {result['ratio']} times as quick as one; same frames: {result['same_frames']}")


def make_photos(folder: Path, count: int) -> Path:
    """The example photos, less a few columns each time."""
    folder.mkdir()
    for number in range(count):
        name, less = EXAMPLES[number % len(EXAMPLES)], 8 * (number // len(EXAMPLES))
        with Image.open(ROOT / f"examples/{name}.jpg") as photo:
            photo.crop((less, 0, *photo.size)).save(folder / f"{name}-{less}.jpg", quality=95)
    return folder


def batch(photos: Path, out: Path, size: int, *more: str, cores: int | None = None) -> dict[str, Any]:
    """A run of the command, in a process of its own on so many cores, if that can be had."""
    command = [sys.executable, "-m", "stylecine", "batch", str(photos), "-o", str(out), f"--size={size}"]
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores and len(own) < cores:
        sys.exit(f"there are not {cores} cores")

    def confined() -> None:
        os.sched_setaffinity(0, own[:cores])

    start = time.perf_counter()
    subprocess.run(
        [*command, "--device=cpu", *more],
        cwd=ROOT,
        env=os.environ | {"GOMP_SPINCOUNT": "1000"},
        check=True,
        preexec_fn=confined if own and cores else None,
    )
    seconds = time.perf_counter() - start
    results = json.loads((out / "report.json").read_text())["results"]
    return {
        "seconds": round(seconds, 1),
        "seconds_a_photo": round(seconds / len(results), 2),
        "attempts": sum(result["attempts"] for result in results),
        "results": results,
    }


def frames_of(run: dict[str, Any]) -> list[str]:
    """The checksum of each loop's frames, which are taken out of a run's figures."""
    frames = [result["frames_sha256"] for result in run.pop("results")]
    assert all(frames), "a photo has no loop"
    return frames


def options(doc: str | None, out: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args()


if __name__ == "__main__":
    main()
