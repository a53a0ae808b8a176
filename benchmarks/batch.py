"""Twenty photos by one process of one thread, by two, and by a Ray cluster of two nodes one worker of which is killed.

`python -m benchmarks.batch` takes the example photos, each cropped in five ways, at size 1024; on a machine that does
nothing else about ten minutes. The processes of a run have as many cores as there are processes, so the single one's
video encoder, which has threads of its own, does not use a second core. Into benchmarks/results/batch.json.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.machine import ROOT, machine
from benchmarks.tables import write

RESULT = ROOT / "benchmarks/results/batch.json"
EXAMPLES = ("lake", "sea", "snow", "waterfall")
LOOPBACK = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODE: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "num_cpus": 1,
    "object_store_memory": 200_000_000,
    "include_dashboard": False,
}


def main() -> None:
    options = _options()
    os.environ.update(LOOPBACK)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photos(folder / "photos", options.photos)
        runs = {
            "one process": batch(photos, folder / "one", options.size, "--processes=1", cores=1),
            "two processes": batch(photos, folder / "two", options.size, "--processes=2", cores=2),
            "two nodes, a worker killed": on_two_nodes(photos, folder / "ray", options.size),
        }
    frames = [[result["frames_sha256"] for result in run.pop("results")] for run in runs.values()]
    assert all(frames[0]), "a photo has no loop"
    result = {
        "machine": machine(),
        "photos": len(frames[0]),
        "size": options.size,
        "runs": runs,
        "ratio": round(runs["one process"]["seconds"] / runs["two processes"]["seconds"], 3),
        "same_frames": frames[0] == frames[1] == frames[2],
    }
    write(options.out, json.dumps(result, indent=1) + "\n")
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


def on_two_nodes(photos: Path, out: Path, size: int) -> dict[str, Any]:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=NODE)
    nodes.add_node(**NODE)
    ended = threading.Event()
    killer = threading.Thread(target=_kill_one, args=(out, ended))
    killer.start()
    try:
        run = batch(photos, out, size, f"--ray={nodes.address}")
    finally:
        ended.set()
        killer.join()
        nodes.shutdown()
    assert run["attempts"] > len(run["results"]), "no worker was killed at its work"
    return run


def _kill_one(out: Path, ended: threading.Event) -> None:
    """kill -9 of an actor at its work, once the first photo is done."""
    while not ended.wait(0.05):
        journal = out / "batch.jsonl"
        if not journal.is_file() or not journal.stat().st_size:
            continue
        for process in Path("/proc").glob("[0-9]*"):
            try:
                busy = (process / "cmdline").read_bytes().startswith(b"ray::_Animating.animate")
                if busy and _is_ours(int(process.name)):
                    os.kill(int(process.name), signal.SIGKILL)
                    return
            except OSError:  # it has just ended
                continue


def _is_ours(process: int) -> bool:
    """Whether this process started it, or what started it."""
    while process > 1:
        if process == os.getpid():
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
