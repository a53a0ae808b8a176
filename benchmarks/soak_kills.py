"""kill -9 of a service at random moments: `make soak`, or python -m benchmarks.soak_kills

Clients upload photos, edit scenes, request animations and delete some while the service is killed and started again, 20
times: in turn with its workers and alone, as happens when memory runs out. What was accepted must then be there and be
finished, what was deleted gone, the database whole, and no half-written file, orphan file or process left. No other
machine is contacted. Writes benchmarks/results/soak_kills.json.
"""

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.machine import machine
from benchmarks.served import TEMPORARY_FOLDERS, Served, finish, small_photo
from benchmarks.tables import command_line
from stylecine.server.store import DATABASE

CLIENTS = 3
ALIVE = 0.5, 12.0  # seconds from when the service is ready to when it is killed
PATIENCE = 900.0  # seconds in which accepted work has to finish after the last kill
SMALL = {"size": 96, "seconds": 0.5, "fps": 12}
EDIT = {"kind": "anchor", "point": [0.5, 0.5], "radius": 0.2}
# What may have become of an animation, by the status of the last request to delete it; 0: there was no response.
OUTCOMES = {
    None: {"done"},
    0: {"done", "cancelled", "deleted"},
    200: {"cancelled"},
    204: {"deleted"},
    404: {"deleted"},
}


class Client(threading.Thread):
    """Uses the service until told to stop; remembers what was accepted and what was deleted."""

    def __init__(self, address: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.random, self.stop = Random(seed), threading.Event()
        self.http = httpx.Client(base_url=address, timeout=30)
        self.photos = [small_photo(name, quality=90) for name in ("lake", "sea", "waterfall")]
        self.scenes: list[str] = []
        self.edited: set[str] = set()
        self.animations: list[str] = []
        self.deletions: dict[str, int] = {}  # of animations: see OUTCOMES
        self.faults: list[str] = []

    def run(self) -> None:
        with self.http:
            while not self.stop.is_set():
                try:
                    self._step()
                except httpx.TransportError:  # the service is dead
                    time.sleep(0.2)
                except httpx.HTTPStatusError as error:
                    self.faults.append(f"{error}: {error.response.text[:200]}")

    def _step(self) -> None:
        if not self.scenes or self.random.random() < 0.3:
            photo = self.random.choice(self.photos)
            self.scenes.append(self.send("POST", "/v1/scenes?size=128&wait=10", content=photo)["id"])
        scene = self.send("GET", f"/v1/scenes/{self.random.choice(self.scenes)}?wait=10")
        if scene["state"] != "ready":
            return
        if self.random.random() < 0.4:
            self.send("PATCH", f"/v1/scenes/{scene['id']}", json={"edits": [EDIT]})
            self.edited.add(scene["id"])
        options = {"scene": scene["id"], "format": self.random.choice(("mp4", "gif", "webp")), **SMALL}
        self.animations.append(self.send("POST", "/v1/animations", json=options)["id"])
        if self.random.random() < 0.2:
            self.delete(self.random.choice(self.animations))

    def wait(self) -> None:
        """After a refusal."""
        time.sleep(1)

    def delete(self, animation: str) -> None:
        self.deletions[animation] = 0
        self.deletions[animation] = self.http.delete(f"/v1/animations/{animation}").status_code

    def send(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """The response, as soon as the service has time. Raises HTTPStatusError if it refuses the request."""
        while (response := self.http.request(method, path, **body)).status_code in (429, 503, 507):
            self.wait()
        return dict(response.raise_for_status().json())


def soak(data: Path, kills: int) -> dict[str, Any]:
    random, groups = Random(0), []
    with Served(data) as served:
        clients = [Client(served.address, seed) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        for number in range(kills):
            time.sleep(random.uniform(*ALIVE))
            groups.append(served.process.pid)
            served.kill(workers=number % 2 == 0)
            served.start()
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(2 * CLIENTS * 30)
        start = time.monotonic()
        wait_until_finished(data)
        return {
            "kills": kills,
            "accepted": {
                "scenes": sum(len(client.scenes) for client in clients),
                "edited": sum(len(client.edited) for client in clients),
                "animations": sum(len(client.animations) for client in clients),
                "deletions": sum(len(client.deletions) for client in clients),
            },
            "seconds_until_all_was_finished": round(time.monotonic() - start, 1),
            "refused": [fault for client in clients for fault in client.faults],
            "lost": list(lost(served.address, clients)),
            "database": damage(data),
            "files": unexpected_files(data),
            "processes": list(_processes_of(groups)),
        }


def wait_until_finished(data: Path) -> None:
    unfinished = "SELECT id FROM {} WHERE state IN ('queued', 'running')"
    query = f"{unfinished.format('scenes')} UNION {unfinished.format('animations')}"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with closing(sqlite3.connect(data / DATABASE)) as database:
            if database.execute(query).fetchone() is None:
                return
        time.sleep(0.5)


def lost(address: str, clients: Iterable[Client]) -> Iterator[str]:
    """What is not as the clients were told."""
    with httpx.Client(base_url=address, timeout=60) as http:
        for client in clients:
            for scene in client.scenes:
                row = http.get(f"/v1/scenes/{scene}").json()
                if row.get("state") != "ready" or (scene in client.edited and not row["edits"]):
                    yield f"scene {scene}: {row}"
            for animation in client.animations:
                response = http.get(f"/v1/animations/{animation}")
                outcome = "deleted" if response.status_code == 404 else response.json().get("state")
                if outcome not in OUTCOMES[client.deletions.get(animation)]:
                    yield f"animation {animation}: {response.text[:200]}"
                elif outcome == "done":
                    result = http.get(f"/v1/animations/{animation}/result").content
                    if len(result) != response.json()["bytes"]:
                        yield f"animation {animation}: {len(result)} bytes of {response.json()['bytes']}"


def damage(data: Path) -> list[str]:
    """What SQLite says of the database, if that is not ok."""
    with closing(sqlite3.connect(data / DATABASE)) as database:
        return [line for (line,) in database.execute("PRAGMA integrity_check") if line != "ok"]


def unexpected_files(data: Path, *, killed: bool = True) -> list[str]:
    """Files that no row needs, and those that a row needs and that are not there. killed: whether the service was, as
    then it keeps files for a while of which there is no row at all."""
    with closing(sqlite3.connect(data / DATABASE)) as database:
        needed = {f"scenes/{id}.cine" for (id,) in database.execute("SELECT id FROM scenes")}
        results = database.execute("SELECT id, format FROM animations WHERE state = 'done'")
        needed |= {f"results/{id}.{form}" for id, form in results}
        ids = {id for (id,) in database.execute("SELECT id FROM scenes UNION SELECT id FROM animations")}
    paths = [path for folder in TEMPORARY_FOLDERS for path in (data / folder).rglob("*")]
    if killed:
        paths = [path for path in paths if path.parent.name == "tmp" or path.name.partition(".")[0] in ids]
    return sorted({path.relative_to(data).as_posix() for path in paths} ^ needed)


def _processes_of(groups: list[int]) -> Iterator[str]:
    """Processes that are left of services that were killed."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            if int(group) in groups and state != "Z":
                yield path.parent.name


def main() -> None:
    parser = command_line(__doc__, "soak_kills")
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder) / "data", options.kills)
    wrong = ("refused", "lost", "database", "files", "processes")
    problems = [f"{name}: {fault}" for name in wrong for fault in result[name]]
    problems += [f"no {name}" for name, number in result["accepted"].items() if not number]
    finish(options.out, {"machine": machine(), **result}, problems)


if __name__ == "__main__":
    main()
