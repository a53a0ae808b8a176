"""A service whose disk is filled and freed again and again: `make soak`, or python -m benchmarks.soak_full_disk

Clients upload photos, edit scenes, look at previews, request animations and delete some on a small disk in memory, of
which at random moments no byte is left, or a few; while it is full, the service is ended or killed, and started again.
What was accepted must then be finished once there is room, deletions and expiry must need none, and whatever is refused
is refused with 429, 503 or 507. Needs Linux and root, which may mount a disk. No other machine is contacted. Writes
benchmarks/results/soak_full_disk.json.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks import soak_kills
from benchmarks.machine import machine
from benchmarks.served import Served, finish, small_photo
from benchmarks.soak_kills import OUTCOMES, SMALL, damage, lost, unexpected_files, wait_until_finished
from benchmarks.tables import command_line

DISK_MB = 400  # of which a service wants 256 to be free before it accepts anything
WITH_ROOM, FULL = (2.0, 40.0), (1.0, 15.0)  # seconds
LEFT = 0, 0, 4096, 1 << 20, 20 << 20  # bytes of a full disk that are free
KEPT_SECONDS = 60.0  # of what has to expire on the full disk
REFUSED = {429, 503, 507}  # statuses of requests for which there is no room


class Disk:
    def __init__(self, folder: Path) -> None:
        self.folder, self._filler = folder, folder / "filler"

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def fill(self, but: int = 0) -> None:
        with self._filler.open("ab") as filler, suppress(OSError):  # another may take the last bytes
            if self.free > but:
                os.posix_fallocate(filler.fileno(), filler.tell(), self.free - but)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "stylecine-soak", folder]
        if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
            sys.exit("a small disk cannot be mounted; this needs Linux and root")
        try:
            yield Disk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


class Client(soak_kills.Client):
    """Also looks at previews, deletes while the disk is full, and counts the statuses of all responses."""

    def __init__(self, address: str, seed: int) -> None:
        super().__init__(address, seed)
        self.statuses: Counter[str] = Counter()
        self.spare: list[str] = []  # scenes that are there to be deleted
        self.http.event_hooks["response"].append(self._count)

    def _count(self, response: httpx.Response) -> None:
        self.statuses[f"{response.request.method} {response.status_code}"] += 1

    def _step(self) -> None:
        super()._step()
        if len(self.spare) < 5:
            photo = self.random.choice(self.photos)
            self.spare.append(self.send("POST", "/v1/scenes?size=64&wait=10", content=photo)["id"])

    def wait(self) -> None:
        super().wait()
        if self.spare:
            self._expect({204}, "DELETE", f"/v1/scenes/{self.spare.pop()}")
        if self.animations and self.random.random() < 0.1:
            self.delete(self.random.choice(self.animations))
        if self.scenes:
            scene = f"/v1/scenes/{self.random.choice(self.scenes)}"
            self._expect({200}, "GET", scene)
            self._expect({200, 409} | REFUSED, "GET", f"{scene}/preview?size=64&seconds=0.5&fps=12")

    def delete(self, animation: str) -> None:
        super().delete(animation)
        if self.deletions[animation] not in OUTCOMES:
            self.faults.append(f"DELETE of {animation}: {self.deletions.pop(animation)}")

    def _expect(self, statuses: set[int], method: str, path: str) -> None:
        response = self.http.request(method, path)
        if response.status_code not in statuses:
            self.faults.append(f"{method} {path}: {response.status_code} {response.text[:200]}")


def soak(disk: Disk, seconds: float) -> dict[str, Any]:
    random, data = Random(0), disk.folder / "data"
    fillings = kills = unhealthy = 0
    with Served(data) as served:
        clients = [Client(served.address, seed) for seed in range(soak_kills.CLIENTS)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(random.uniform(*WITH_ROOM))
            disk.fill(but=random.choice(LEFT))
            fillings += 1
            time.sleep(random.uniform(*FULL))
            unhealthy += httpx.get(f"{served.address}/health", timeout=60).status_code != 200
            if fillings % 3 == 0:
                _start_again(served, disk, killed=fillings % 2 == 0)
                kills += fillings % 2 == 0
            disk.empty()
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(120)
        start = time.monotonic()
        wait_until_finished(data)
        return {
            "seconds": seconds,
            "fillings": fillings,
            "starts_on_the_full_disk": {"after kill -9": kills, "after SIGTERM": fillings // 3 - kills},
            "accepted": {
                "scenes": sum(len(client.scenes) for client in clients),
                "edited": sum(len(client.edited) for client in clients),
                "animations": sum(len(client.animations) for client in clients),
                "deletions": sum(len(client.deletions) for client in clients),
            },
            "statuses": dict(sorted(sum((client.statuses for client in clients), Counter()).items())),
            "seconds_until_all_was_finished": round(time.monotonic() - start, 1),
            "unhealthy": unhealthy,
            "faults": [fault for client in clients for fault in client.faults][:20],
            "lost": list(lost(served.address, clients)),
            "database": damage(data),
            "files": unexpected_files(data),
            "tracebacks": served.error_output("Traceback"),
        }


def _start_again(served: Served, disk: Disk, killed: bool) -> None:
    """On the disk that is full, also of what ending the service has freed."""
    if killed:
        served.kill()
    else:
        served.process.terminate()
        served.process.wait(20)
    disk.fill()
    served.start()


def expire(disk: Disk) -> dict[str, Any]:
    """What is left of scenes and animations on a full disk after their time."""
    disk.empty()
    data = disk.folder / "short-lived"
    with Served(data, keep_hours=KEPT_SECONDS / 3600) as served, httpx.Client(base_url=served.address) as http:
        for _ in range(3):
            photo = small_photo("lake", quality=90)
            scene = http.post("/v1/scenes?size=128&wait=60", content=photo, timeout=90).raise_for_status().json()["id"]
            http.post("/v1/animations", json={"scene": scene, "format": "mp4", **SMALL}).raise_for_status()
        wait_until_finished(data)
        disk.fill()
        start = time.monotonic()
        while (left := _rows(http)) and time.monotonic() < start + KEPT_SECONDS + 60:
            time.sleep(1)
        return {
            "seconds": round(time.monotonic() - start, 1),
            "left": left,
            "files": unexpected_files(data, killed=False),
        }


def _rows(http: httpx.Client) -> list[str]:
    lines = http.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("stylecine_kept{")]


def main() -> None:
    parser = command_line(__doc__, "soak_full_disk")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with small_disk() as disk:
        result = soak(disk, 60 * options.minutes)
        result["expiry"] = expire(disk)
    wrong = ("faults", "lost", "database", "files", "tracebacks")
    problems = [f"{name}: {fault}" for name in wrong for fault in result[name]]
    problems += [f"no {name}" for name, number in result["accepted"].items() if not number]
    problems += [f"{result['unhealthy']} times not healthy"] if result["unhealthy"] else []
    problems += [f"{what} has not expired" for what in result["expiry"]["left"] + result["expiry"]["files"]]
    problems += [] if any(status.endswith(" 507") for status in result["statuses"]) else ["nothing was refused"]
    finish(options.out, {"machine": machine(), **result}, problems)


if __name__ == "__main__":
    main()
