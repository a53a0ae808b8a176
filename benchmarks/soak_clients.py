"""Many clients of one service: `make soak`, or python -m benchmarks.soak_clients --minutes 5

Clients upload small photos, have animations made of them, look how far they are by status calls and events, fetch and
check what is made, ask twice with one Idempotency-Key, cancel and delete some, and come again when they are told to.
First for so many minutes; then for a fifth of that with a kill -9 of everything in the middle and a start on the same
data. At the end each animation that was accepted must have come to one end, and nothing else be in the database.
Only this machine is talked to. Into benchmarks/results/soak_clients.json.
"""

import argparse
import asyncio
import io
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.machine import ROOT, machine
from benchmarks.served import Served
from benchmarks.tables import write

RESULT = ROOT / "benchmarks/results/soak_clients.json"
MAGIC = {"mp4": (4, b"ftyp"), "gif": (0, b"GIF89a"), "webp": (8, b"WEBP"), "png": (1, b"PNG")}
FINAL = ("done", "failed", "cancelled")
PATIENCE = 600.0  # seconds that what was accepted may take to come to its end, once no more is asked for
SLOW = 0.1  # seconds: the 99th percentile of status calls
GROWTH = 1.0  # megabytes a minute


@dataclass
class Seen:
    """What the clients have seen."""

    status_seconds: list[float] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)  # Idempotency-Key -> id
    ends: dict[str, str] = field(default_factory=dict)  # id -> state, or "deleted"
    answers: Counter[str] = field(default_factory=Counter)  # "POST /v1/scenes 429" -> how often
    faults: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)  # seconds by which the clients' own event loop was late
    checked: int = 0  # results that were fetched and whole


class Client:
    """One of many; `until` (of time.monotonic) it begins nothing new any more."""

    def __init__(self, number: int, http: httpx.AsyncClient, photos: list[bytes], seen: Seen, until: float) -> None:
        self.number, self.http, self.photos, self.seen, self.until = number, http, photos, seen, until
        self.random = Random(number)
        self.turn = 0

    async def live(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 5))
        while time.monotonic() < self.until:
            self.turn += 1
            try:
                await self._once()
            except _Late:
                return
            except AssertionError as fault:
                self.seen.faults.append(f"client {self.number}: {fault}")

    async def _once(self) -> None:
        scene = await self._scene()
        if scene is None:
            return
        for n in range(self.random.choice((1, 1, 2, 3))):
            if time.monotonic() < self.until:
                await self._animation(scene, f"{self.number}-{self.turn}-{n}")
        if self.random.random() < 0.5:
            await self._asked("DELETE", f"/v1/scenes/{scene}")

    async def _scene(self) -> str | None:
        photo = self.random.choice(self.photos)
        answer = await self._asked("POST", "/v1/scenes?name=photo.jpg&size=128&wait=5", content=photo)
        if answer.status_code not in (201, 202):
            return None
        scene = answer.json()
        while scene["state"] in ("queued", "running"):
            await self._pause(1)
            scene = (await self._asked("GET", f"/v1/scenes/{scene['id']}")).json()
        assert scene["state"] == "ready", f"scene {scene}"
        return str(scene["id"])

    async def _animation(self, scene: str, key: str) -> None:
        kind = self.random.choice(list(MAGIC))
        asked = {"scene": scene, "format": kind, "size": 96, "seconds": self.random.choice((0.5, 1, 2)), "fps": 12}
        if kind == "png":
            asked = {"scene": scene, "format": kind}
        answer = await self._asked("POST", "/v1/animations", json=asked, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, f"animation: {answer.status_code} {answer.text}"
        job = answer.json()["id"]
        assert self.seen.jobs.setdefault(key, job) == job, "one key, two jobs"
        if self.random.random() < 0.3:
            again = await self._asked("POST", "/v1/animations", json=asked, headers={"Idempotency-Key": key})
            assert again.json().get("id") == job, f"the same request again: {again.status_code} {again.text}"
        if self.random.random() < 0.15:
            await self._pause(self.random.uniform(0, 2))
            await self._asked("DELETE", f"/v1/animations/{job}")
        follow = self._by_events if self.random.random() < 0.3 else self._by_status
        state = await follow(job)
        if state == "done":
            await self._check(job, kind)

    async def _by_status(self, job: str) -> str:
        while True:
            answer = await self._asked("GET", f"/v1/animations/{job}")
            if answer.status_code == 404:  # it was done when it was cancelled, and so was removed
                return self._end(job, "deleted")
            assert answer.status_code == 200, f"status: {answer.status_code} {answer.text}"
            if answer.json()["state"] in FINAL:
                return self._end(job, answer.json()["state"])
            await self._pause(self.random.uniform(0.5, 2))

    async def _by_events(self, job: str) -> str:
        state = ""
        try:
            async with self.http.stream("GET", f"/v1/animations/{job}/events", timeout=120) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        state = json.loads(line[5:])["state"]
        except httpx.TransportError:
            self.seen.answers["events broken off"] += 1
        return self._end(job, state) if state in FINAL else await self._by_status(job)

    async def _check(self, job: str, kind: str) -> None:
        status = (await self._asked("GET", f"/v1/animations/{job}")).json()
        answer = await self._asked("GET", f"/v1/animations/{job}/result")
        if 404 in (status.get("status"), answer.status_code):
            return
        at, magic = MAGIC[kind]
        whole = len(answer.content) == status["bytes"] and answer.content[at : at + len(magic)] == magic
        assert answer.status_code == 200 and whole, f"{kind} of {len(answer.content)} bytes, not {status['bytes']}"
        half = len(answer.content) // 2
        rest = await self._asked("GET", f"/v1/animations/{job}/result", headers={"Range": f"bytes={half}-"})
        assert rest.status_code == 206 and rest.content == answer.content[half:], "a range differs"
        self.seen.checked += 1

    async def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks until it is answered otherwise than "come again", and not for ever."""
        while True:
            start = time.perf_counter()
            try:
                answer = await self.http.request(method, path, **more)
            except httpx.TransportError as error:
                self.seen.answers[type(error).__name__] += 1
                await self._pause(1)
                continue
            taken = time.perf_counter() - start
            place = path.partition("?")[0].split("/")
            told = "/".join([*place[:3], *(["ID", *place[4:]] if len(place) > 3 else [])])
            self.seen.answers[f"{method} {told} {answer.status_code}"] += 1
            if method == "GET" and told in ("/v1/animations/ID", "/v1/scenes/ID"):
                self.seen.status_seconds.append(taken)
            if answer.status_code >= 500:
                self.seen.faults.append(f"{method} {path}: {answer.status_code} {answer.text}")
            if answer.status_code not in (429, 503):
                return answer
            if method == "POST" and time.monotonic() > self.until:  # it was not accepted, and begins nothing new
                raise _Late
            await self._pause(float(answer.headers.get("Retry-After", 1)) * self.random.uniform(1, 2))

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if time.monotonic() > self.until + PATIENCE:
            raise _Late

    def _end(self, job: str, state: str) -> str:
        self.seen.ends[job] = state
        return state


class _Late(Exception):
    """No more waiting."""


async def soak(served: Served, clients: int, seconds: float, kill: bool) -> dict[str, Any]:
    """Clients for so many seconds; what they have seen."""
    seen, photos, until = Seen(), small_photos(), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    memory: list[tuple[float, float]] = []
    async with httpx.AsyncClient(base_url=served.address, timeout=60, limits=limits) as http:
        watcher = asyncio.gather(_watch(served, memory), _feel(seen.late))
        crowd = [asyncio.create_task(Client(n, http, photos, seen, until).live()) for n in range(clients)]
        if kill:
            await asyncio.sleep(seconds / 2)
            seen.answers["kill -9"] += 1
            served.kill()
            await asyncio.to_thread(served.start)
        await asyncio.gather(*crowd)
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
    return _told(seen, served, memory, seconds)


async def _feel(late: list[float]) -> None:
    """How late this process itself is, as all that it measures then is too."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.02)
        late.append(time.perf_counter() - start - 0.02)


async def _watch(served: Served, memory: list[tuple[float, float]]) -> None:
    start = time.monotonic()
    while True:
        await asyncio.sleep(1)
        try:
            memory.append((time.monotonic() - start, served.megabytes()))
        except (OSError, StopIteration):  # killed just now
            memory.clear()


def small_photos() -> list[bytes]:
    photos = []
    for name in ("lake", "sea", "snow", "waterfall"):
        with Image.open(ROOT / f"examples/{name}.jpg") as photo:
            photo.thumbnail((240, 180))
            file = io.BytesIO()
            photo.save(file, "JPEG", quality=90)
            photos.append(file.getvalue())
    return photos


def _told(seen: Seen, served: Served, memory: list[tuple[float, float]], seconds: float) -> dict[str, Any]:
    calls = np.array(seen.status_seconds or [np.nan])
    times, sizes = np.array([m for m in memory if m[0] > seconds / 5 and m[0] < seconds] or [(0, 0), (1, 0)]).T
    with closing(sqlite3.connect(served.data / "store.sqlite")) as database:
        rows = dict(database.execute("SELECT id, state FROM animations").fetchall())
    accepted = set(seen.jobs.values())
    return {
        "seconds": seconds,
        "accepted": len(accepted),
        "ends": dict(Counter(seen.ends.values())),
        "results_checked": seen.checked,
        "lost": len(accepted - set(seen.ends)),
        "doubled": len(set(rows) - accepted) + len(seen.jobs) - len(accepted),
        "unfinished": sum(state not in FINAL for state in rows.values()),
        "faults": seen.faults[:20],
        "answers": dict(sorted(seen.answers.items())),
        "status_calls": len(calls),
        "status_ms": {f"p{p}": round(1e3 * float(np.percentile(calls, p)), 1) for p in (50, 90, 99, 100)},
        "clients_late_ms_p99": round(1e3 * float(np.percentile(seen.late, 99)), 1),
        "memory_mb": {"first": round(float(sizes[0]), 1), "last": round(float(sizes[-1]), 1)},
        "memory_mb_a_minute": round(60 * float(np.polyfit(times, sizes, 1)[0]), 3),
        "complaints": served.complaints(),
    }


def wrong(part: Mapping[str, Any], killed: bool) -> list[str]:
    """What is not as it has to be."""
    told = [f"{name}: {part[name]}" for name in ("lost", "doubled", "unfinished", "faults", "complaints") if part[name]]
    if part["ends"].get("failed"):
        told.append(f"{part['ends']['failed']} animations failed")
    if not killed and part["status_ms"]["p99"] > 1e3 * SLOW:
        told.append(f"the 99th percentile of status calls is {part['status_ms']['p99']} ms")
    if not killed and part["memory_mb_a_minute"] > GROWTH:
        told.append(f"memory grows by {part['memory_mb_a_minute']} MB a minute")
    return told


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=5)
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--out", type=Path, default=RESULT)
    given = options.parse_args()
    result: dict[str, Any] = {"machine": machine(), "clients": given.clients}
    with tempfile.TemporaryDirectory() as folder:
        for name, minutes in (("steady", given.minutes), ("killed", given.minutes / 5)):
            with Served(Path(folder) / name) as served:
                result[name] = asyncio.run(soak(served, given.clients, 60 * minutes, kill=name == "killed"))
            result[name]["wrong"] = wrong(result[name], killed=name == "killed")
            print(f"{name}: {json.dumps(result[name], indent=1)}", flush=True)
    write(given.out, json.dumps(result, indent=1) + "\n")
    if result["steady"]["wrong"] or result["killed"]["wrong"]:
        sys.exit("not as it has to be")


if __name__ == "__main__":
    main()
