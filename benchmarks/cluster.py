"""Twenty photos by one process, and by a Ray cluster of two nodes one worker of which is killed: the same frames?

`python -m benchmarks.cluster` takes the photos of `batch.py`. Into benchmarks/results/cluster.json.
"""

import json
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.batch import batch, frames_of, make_photos, options
from benchmarks.machine import ROOT, machine
from benchmarks.tables import write

RESULT = ROOT / "benchmarks/results/cluster.json"
LOOPBACK = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODE: dict[str, Any] = {
    "node_ip_address": "127.0.0.1",
    "num_cpus": 1,
    "object_store_memory": 200_000_000,
    "include_dashboard": False,
}


def main() -> None:
    given = options(__doc__, RESULT)
    os.environ.update(LOOPBACK)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photos(folder / "photos", given.photos)
        runs = {
            "one process": batch(photos, folder / "one", given.size, "--processes=1", cores=1),
            "two nodes, a worker killed": on_two_nodes(photos, folder / "ray", given.size),
        }
    frames = [frames_of(run) for run in runs.values()]
    result = {
        "machine": machine(),
        "photos": len(frames[0]),
        "size": given.size,
        "runs": runs,
        "same_frames": frames[0] == frames[1],
    }
    write(given.out, json.dumps(result, indent=1) + "\n")
    print(f"same frames: {result['same_frames']}")


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
                busy = (process / "cmdline").read_bytes().startswith(b"ray::_Actor.animate")
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


if __name__ == "__main__":
    main()
