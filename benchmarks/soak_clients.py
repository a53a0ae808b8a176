"""Many clients of one service: `make soak`, or python -m benchmarks.soak_clients --minutes 5

Clients upload small photos, request animations, follow them by status and by events, fetch and check the results,
repeat requests with the same Idempotency-Key, cancel and delete some, and come back when the service tells them to.
First in a steady run; then in one of a fifth of its length with a kill -9 of everything in the middle and a restart on
the same data. At the end every accepted animation must have had exactly one outcome, and the database must hold nothing
else. No other machine is contacted. Writes benchmarks/results/soak_clients.json.
"""

import asyncio
import json
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np

from benchmarks.machine import machine
from benchmarks.served import Served, finish, small_photo
from benchmarks.tables import command_line

MAGIC = {"mp4": (4, b"ftyp"), "gif": (0, b"GIF89a"), "webp": (8, b"WEBP"), "png": (1, b"PNG")}
FINAL_STATES = ("done", "failed", "cancelled")
GRACE = 600.0  # seconds after the last request in which accepted work has to finish
MAX_STATUS_SECONDS = 0.1  # 99th percentile
MAX_GROWTH = 1.0  # megabytes per minute


@dataclass
class Log:
    """What all clients have seen."""

    status_seconds: list[float] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)  # Idempotency-Key -> id
    outcomes: dict[str, str] = field(default_factory=dict)  # id -> state, or "deleted"
    responses: Counter[str] = field(default_factory=Counter)  # "POST /v1/scenes 429" -> how often
    faults: list[str] = field(default_factory=list)
    loop_delays: list[float] = field(default_factory=list)  # seconds by which this process's event loop was late
    results_checked: int = 0


class Client:
    """One of many; starts nothing new from `until` (of time.monotonic) on."""

    def __init__(self, number: int, http: httpx.AsyncClient, photos: list[bytes], log: Log, until: float) -> None:
        self.number, self.http, self.photos, self.log, self.until = number, http, photos, log, until
        self.random = Random(number)
        self.rounds = 0

    async def run(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 5))
        while time.monotonic() < self.until:
            self.rounds += 1
            try:
                await self._use_one_photo()
            except _OutOfTime:
                return
            except AssertionError as fault:
                self.log.faults.append(f"client {self.number}: {fault}")

    async def _use_one_photo(self) -> None:
        scene = await self._upload()
        if scene is None:
            return
        for n in range(self.random.choice((1, 1, 2, 3))):
            if time.monotonic() < self.until:
                await self._animate(scene, f"{self.number}-{self.rounds}-{n}")
        if self.random.random() < 0.5:
            await self._request("DELETE", f"/v1/scenes/{scene}")

    async def _upload(self) -> str | None:
        photo = self.random.choice(self.photos)
        response = await self._request("POST", "/v1/scenes?name=photo.jpg&size=128&wait=5", content=photo)
        if response.status_code not in (201, 202):
            return None
        scene = response.json()
        while scene["state"] in ("queued", "running"):
            await self._sleep(1)
            scene = (await self._request("GET", f"/v1/scenes/{scene['id']}")).json()
        assert scene["state"] == "ready", f"scene {scene}"
        return str(scene["id"])

    async def _animate(self, scene: str, key: str) -> None:
        form = self.random.choice(list(MAGIC))
        options = {"scene": scene, "format": form, "size": 96, "seconds": self.random.choice((0.5, 1, 2)), "fps": 12}
        if form == "png":
            options = {"scene": scene, "format": form}
        request: dict[str, Any] = {"json": options, "headers": {"Idempotency-Key": key}}
        response = await self._request("POST", "/v1/animations", **request)
        assert response.status_code == 202, f"animation: {response.status_code} {response.text}"
        job = response.json()["id"]
        assert self.log.jobs.setdefault(key, job) == job, "one key, two jobs"
        if self.random.random() < 0.3:
            again = await self._request("POST", "/v1/animations", **request)
            assert again.json().get("id") == job, f"repeated request: {again.status_code} {again.text}"
        if self.random.random() < 0.15:
            await self._sleep(self.random.uniform(0, 2))
            await self._request("DELETE", f"/v1/animations/{job}")
        follow = self._follow_events if self.random.random() < 0.3 else self._poll
        outcome = await follow(job)
        self.log.outcomes[job] = outcome
        if outcome == "done":
            await self._check_result(job, form)
        elif outcome == "failed":
            problem = (await self._request("GET", f"/v1/animations/{job}")).json()["problem"]
            self.log.faults.append(f"animation {job}: {problem['detail']}")

    async def _poll(self, job: str) -> str:
        while True:
            response = await self._request("GET", f"/v1/animations/{job}")
            if response.status_code == 404:  # it was already done when it was cancelled, and so was deleted
                return "deleted"
            assert response.status_code == 200, f"status: {response.status_code} {response.text}"
            if (state := str(response.json()["state"])) in FINAL_STATES:
                return state
            await self._sleep(self.random.uniform(0.5, 2))

    async def _follow_events(self, job: str) -> str:
        state = ""
        try:
            async with self.http.stream("GET", f"/v1/animations/{job}/events", timeout=120) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        state = json.loads(line[5:])["state"]
        except httpx.TransportError:
            self.log.responses["events interrupted"] += 1
        return state if state in FINAL_STATES else await self._poll(job)

    async def _check_result(self, job: str, form: str) -> None:
        status = (await self._request("GET", f"/v1/animations/{job}")).json()
        response = await self._request("GET", f"/v1/animations/{job}/result")
        if 404 in (status.get("status"), response.status_code):
            return
        content, (offset, magic) = response.content, MAGIC[form]
        intact = len(content) == status["bytes"] and content[offset:].startswith(magic)
        assert response.status_code == 200 and intact, f"{form} of {len(content)} bytes, not {status['bytes']}"
        half = len(content) // 2
        rest = await self._request("GET", f"/v1/animations/{job}/result", headers={"Range": f"bytes={half}-"})
        assert rest.status_code == 206 and rest.content == content[half:], "a range differs"
        self.log.results_checked += 1

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The first response other than "come back later"."""
        while True:
            start = time.perf_counter()
            try:
                response = await self.http.request(method, path, **options)
            except httpx.TransportError as error:
                self.log.responses[type(error).__name__] += 1
                await self._sleep(1)
                continue
            seconds = time.perf_counter() - start
            parts = path.partition("?")[0].split("/")
            route = "/".join([*parts[:3], *(["ID", *parts[4:]] if len(parts) > 3 else [])])
            self.log.responses[f"{method} {route} {response.status_code}"] += 1
            if method == "GET" and route in ("/v1/animations/ID", "/v1/scenes/ID"):
                self.log.status_seconds.append(seconds)
            if response.status_code >= 500:
                self.log.faults.append(f"{method} {path}: {response.status_code} {response.text}")
            if response.status_code not in (429, 503):
                return response
            if method == "POST" and time.monotonic() > self.until:  # it was not accepted, so nothing has to finish
                raise _OutOfTime
            await self._sleep(float(response.headers.get("Retry-After", 1)) * self.random.uniform(1, 2))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if time.monotonic() > self.until + GRACE:
            raise _OutOfTime


class _OutOfTime(Exception):
    pass


async def soak(served: Served, clients: int, seconds: float, kill: bool) -> dict[str, Any]:
    """Runs clients that start new work for that time, and returns the figures."""
    log, until, memory = Log(), time.monotonic() + seconds, list[tuple[float, float]]()
    photos = [small_photo(name, quality=90) for name in ("lake", "sea", "waterfall")]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=served.address, timeout=60, limits=limits) as http:
        monitors = asyncio.gather(_monitor_memory(served, memory), _monitor_delays(log.loop_delays))
        tasks = [asyncio.create_task(Client(n, http, photos, log, until).run()) for n in range(clients)]
        if kill:
            await asyncio.sleep(seconds / 2)
            log.responses["kill -9"] += 1
            served.kill()
            await asyncio.to_thread(served.start)
        await asyncio.gather(*tasks)
        monitors.cancel()
        with suppress(asyncio.CancelledError):
            await monitors
    return figures(log, served, memory, seconds)


async def _monitor_delays(delays: list[float]) -> None:
    """All times measured here include the delays of this process's own event loop."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.02)
        delays.append(time.perf_counter() - start - 0.02)


async def _monitor_memory(served: Served, memory: list[tuple[float, float]]) -> None:
    start = time.monotonic()
    while True:
        await asyncio.sleep(1)
        try:
            memory.append((time.monotonic() - start, served.megabytes()))
        except (OSError, StopIteration):  # just killed
            memory.clear()


def figures(log: Log, served: Served, memory: list[tuple[float, float]], seconds: float) -> dict[str, Any]:
    calls = np.array(log.status_seconds or [np.nan])
    times, sizes = np.array([m for m in memory if seconds / 5 < m[0] < seconds] or [(0, 0), (1, 0)]).T
    with closing(sqlite3.connect(served.data / "store.sqlite")) as database:
        states = dict(database.execute("SELECT id, state FROM animations").fetchall())
    accepted = set(log.jobs.values())
    return {
        "seconds": seconds,
        "accepted": len(accepted),
        "outcomes": dict(Counter(log.outcomes.values())),
        "results_checked": log.results_checked,
        "lost": len(accepted - set(log.outcomes)),
        "doubled": len(set(states) - accepted) + len(log.jobs) - len(accepted),
        "unfinished": sum(state not in FINAL_STATES for state in states.values()),
        "faults": log.faults[:20],
        "responses": dict(sorted(log.responses.items())),
        "status_calls": len(calls),
        "status_ms": {f"p{p}": round(1e3 * float(np.percentile(calls, p)), 1) for p in (50, 90, 99, 100)},
        "event_loop_delay_ms_p99": round(1e3 * float(np.percentile(log.loop_delays, 99)), 1),
        "memory_mb": {"first": round(float(sizes[0]), 1), "last": round(float(sizes[-1]), 1)},
        "memory_mb_per_minute": round(60 * float(np.polyfit(times, sizes, 1)[0]), 3),
        "error_output": served.error_output(),
    }


def problems_of(run: dict[str, Any], killed: bool) -> list[str]:
    failures = ("lost", "doubled", "unfinished", "faults", "error_output")
    problems = [f"{name}: {run[name]}" for name in failures if run[name]]
    if not killed and run["status_ms"]["p99"] > 1e3 * MAX_STATUS_SECONDS:
        problems.append(f"the 99th percentile of status calls is {run['status_ms']['p99']} ms")
    if not killed and run["memory_mb_per_minute"] > MAX_GROWTH:
        problems.append(f"memory grows by {run['memory_mb_per_minute']} MB per minute")
    return problems


def main() -> None:
    parser = command_line(__doc__, "soak_clients")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "clients": options.clients}
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for name, minutes in (("steady", options.minutes), ("killed", options.minutes / 5)):
            with Served(Path(folder) / name) as served:
                result[name] = asyncio.run(soak(served, options.clients, 60 * minutes, kill=name == "killed"))
            problems += [f"{name}: {problem}" for problem in problems_of(result[name], killed=name == "killed")]
    finish(options.out, result, problems)


if __name__ == "__main__":
    main()
