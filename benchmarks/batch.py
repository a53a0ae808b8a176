"""Twenty photos by one process of one thread, and by two; or by a Ray cluster of which a worker is killed.

    python -m benchmarks.batch
    python -m benchmarks.batch --ray

The photos are the examples, each cropped in five ways, at size 1024: five minutes to half an hour on an idle machine.
A run of N processes is confined to N cores, or else the single process's video encoder, which is multithreaded, would
use a second one. Both runs have to give the same frames. Writes benchmarks/results/batch.json, or cluster.json with
--ray.
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
from benchmarks.tables import RESULTS, write

EXAMPLES = ("lake", "sea", "snow", "waterfall")
RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODE: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "num_cpus": 1,
    "object_store_memory": 200_000_000,
    "include_dashboard": False,
}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photos(folder / "photos", options.photos)
        runs = {"one process": batch(photos, folder / "one", options.size, "--processes=1", cores=1)}
        if options.ray:
            runs["two nodes, a worker killed"] = batch_on_two_nodes(photos, folder / "two", options.size)
        else:
            runs["two processes"] = batch(photos, folder / "two", options.size, "--processes=2", cores=2)
    one, two = runs.values()
    frames = [[result["frames_sha256"] for result in run.pop("results")] for run in (one, two)]
    assert all(map(all, frames)), "a photo has no loop"
    result = {
        "machine": machine(),
        "photos": len(frames[0]),
        "size": options.size,
        "runs": runs,
        "ratio": round(one["seconds"] / two["seconds"], 3),
        "same_frames": frames[0] == frames[1],
    }
    out = options.out or RESULTS / ("cluster.json" if options.ray else "batch.json")
    write(out, json.dumps(result, indent=1) + "\n")
    print(f"{' and '.join(runs)}: ratio of times {result['ratio']}, same frames: {result['same_frames']}")


def make_photos(folder: Path, count: int) -> Path:
    """The example photos, each time with a few columns fewer."""
    folder.mkdir()
    for number in range(count):
        name, left = EXAMPLES[number % len(EXAMPLES)], 8 * (number // len(EXAMPLES))
        with Image.open(ROOT / f"examples/{name}.jpg") as photo:
            photo.crop((left, 0, *photo.size)).save(folder / f"{name}-{left}.jpg", quality=95)
    return folder


def batch(photos: Path, out: Path, size: int, *arguments: str, cores: int | None = None) -> dict[str, Any]:
    """Runs the command in a new process, on that number of cores where the system can confine it, and measures it."""
    command = [sys.executable, "-m", "stylecine", "batch", str(photos), "-o", str(out), f"--size={size}"]
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores and len(available) < cores:
        sys.exit(f"this needs {cores} cores")
    start = time.perf_counter()
    subprocess.run(
        [*command, "--device=cpu", *arguments],
        cwd=ROOT,
        env=os.environ | {"GOMP_SPINCOUNT": "1000"},
        check=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, available[:cores])) if available and cores else None,
    )
    seconds = time.perf_counter() - start
    results = json.loads((out / "report.json").read_text())["results"]
    return {
        "seconds": round(seconds, 1),
        "seconds_a_photo": round(seconds / len(results), 2),
        "attempts": sum(result["attempts"] for result in results),
        "results": results,
    }


def batch_on_two_nodes(photos: Path, out: Path, size: int) -> dict[str, Any]:
    os.environ.update(RAY_ENVIRONMENT)  # which Ray reads when it is imported

    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(**NODE)
    finished = threading.Event()
    killer = threading.Thread(target=_kill_one_actor, args=(out, finished))
    killer.start()
    try:
        run = batch(photos, out, size, f"--ray={cluster.address}")
    finally:
        finished.set()
        killer.join()
        cluster.shutdown()
    assert run["attempts"] > len(run["results"]), "no worker was killed while it worked"
    return run


def _kill_one_actor(out: Path, finished: threading.Event) -> None:
    """kill -9 of an actor that is at work, once the first photo is done."""
    journal = out / "batch.jsonl"
    while not finished.wait(0.05):
        if not journal.is_file() or not journal.stat().st_size:
            continue
        for process in Path("/proc").glob("[0-9]*"):
            try:
                working = (process / "cmdline").read_bytes().startswith(b"ray::_Actor.animate")
                if working and _is_descendant(int(process.name)):
                    os.kill(int(process.name), signal.SIGKILL)
                    return
            except OSError:  # it has just ended
                continue


def _is_descendant(process: int) -> bool:
    while process > 1:
        if process == os.getpid():
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ray", action="store_true", help="compare with a Ray cluster, which has to be installed")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--out", type=Path, help="default: results/batch.json, with --ray results/cluster.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
