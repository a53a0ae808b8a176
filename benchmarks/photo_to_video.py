"""One photo to one video in a new process: seconds by stage, peak memory.

`python -m benchmarks.photo_to_video VIDEO --size 1024 --frames 120` is that process; `to_video` starts and measures it.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any

ROOT = Path(__file__).resolve().parent.parent  # not of benchmarks.machine, which would import PyTorch before the clock
STAGES = ("start", "import", "photo", "weights", "inversion", "mask", "motion", "plate", "loop", "video", "exit")


def to_video(size: int, frames: int, threads: int, device: str | None = None) -> dict[str, Any]:
    """Seconds in total and by stage, and peak memory in MB, on a POSIX system.

    `threads` is for PyTorch and the native kernels; the video encoder has its own.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.photo_to_video", f"{folder}/loop.mp4"]
        command += [f"--size={size}", f"--frames={frames}"]
        command += [f"--device={device}"] if device else []
        start, started = perf_counter(), time()
        # waiting threads soon sleep, as for the stylecine command (cli.py)
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
        output = subprocess.check_output(command, cwd=ROOT, env=environment)
        total = perf_counter() - start
    report = json.loads(output)
    assert report["frames"] == frames
    seconds = {"start": report["began"] - started, "exit": started + total - report["ended"]} | report["seconds"]
    return {
        "size": size,
        "frames": frames,
        "threads": threads,
        "total": total,
        **{stage: seconds.get(stage, 0.0) for stage in STAGES},
        "peak_mb": report["peak_mb"],
        "video_mb": report["bytes"] / 1e6,
    }


def main() -> None:
    options = _options()
    began, start = time(), perf_counter()
    from benchmarks.moving import FPS, PHOTO
    from stylecine.commands.console import leave, peak_rss_mb
    from stylecine.engine.pipeline import animate

    imported = perf_counter() - start
    size, seconds = (options.size, options.size), options.frames / FPS
    loop = animate(PHOTO, size=size, seconds=seconds, fps=FPS, device=options.device)
    info = loop.save(options.video)
    report = {"seconds": {"import": imported} | loop.timings, "peak_mb": peak_rss_mb(), "began": began, "ended": time()}
    print(json.dumps(report | {"frames": info.frames, "bytes": info.bytes}))
    leave(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="side in pixels")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--device")
    return parser.parse_args()


if __name__ == "__main__":
    main()
