"""Memory over hundreds of animations: `make soak`, or python -m benchmarks.soak_memory

One process makes 200 small loops with one Animator, then a client asks a service for 500: the resident memory of the
process, of the service and of each of its workers has to stay level after the first 18. The loops are MP4, GIF and
WebP of small photos, in turn. No other machine is contacted. Writes benchmarks/results/soak_memory.json.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.machine import machine
from benchmarks.served import Served, finish, resident_megabytes, small_photo
from benchmarks.tables import command_line
from stylecine import Animator

ROUND = 9  # animations from one reading to the next: each photo in each format, as some need more memory than others
WARM = 2 * ROUND  # animations until memory has to stay level
MEDIAN_OF = 3  # readings, since memory also depends on when the allocator returns it
MAX_GROWTH = 1.05  # from the first to the last
PHOTOS = ("lake", "sea", "waterfall")
FORMATS = ("mp4", "gif", "webp")
SIZES = (192, 160, 128)  # pixels of the short side, by photo
SIDE = 320  # pixels of the long side of the uploads
LOOP: dict[str, Any] = {"seconds": 0.5, "fps": 12}


def in_one_process(folder: Path, animations: int) -> list[int]:
    """Megabytes of this process after each round."""
    animator, readings = Animator.from_pretrained(), []
    for name in PHOTOS:
        (folder / f"{name}.jpg").write_bytes(small_photo(name, side=SIDE, quality=90))
    for number in range(1, animations + 1):
        photo, size, form = _choice(number)
        loop = animator.render(animator.invert(folder / f"{photo}.jpg", size=size), **LOOP)
        loop.save(folder / f"loop.{form}")
        if number % ROUND == 0:
            readings.append(round(resident_megabytes(os.getpid())))
    return readings


def in_a_service(data: Path, animations: int) -> dict[str, list[int]]:
    """Megabytes of the service and of each worker after each round."""
    photos = {name: small_photo(name, side=SIDE, quality=90) for name in PHOTOS}
    readings: dict[str, list[int]] = {}
    with Served(data) as served, httpx.Client(base_url=served.address, timeout=120) as http:
        for number in range(1, animations + 1):
            photo, size, form = _choice(number)
            upload = http.post(f"/v1/scenes?size={size}&wait=60", content=photos[photo]).raise_for_status()
            options = {"scene": upload.json()["id"], "format": form, **LOOP}
            animation = http.post("/v1/animations", json=options).raise_for_status().json()
            while animation["state"] in ("queued", "running"):
                time.sleep(0.02)
                animation = http.get(f"/v1/animations/{animation['id']}").json()
            assert animation["state"] == "done", animation
            http.delete(upload.headers["location"]).raise_for_status()
            if number % ROUND == 0:
                for process, pid in _processes(served.process.pid):
                    readings.setdefault(process, []).append(round(resident_megabytes(pid)))
    return readings


def _choice(number: int) -> tuple[str, int, str]:
    """The photo, size and format of an animation."""
    return PHOTOS[number // 3 % 3], SIZES[number // 3 % 3], FORMATS[number % 3]


def _processes(pid: int) -> Iterator[tuple[str, int]]:
    """A service's process and its workers, by name."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    workers = sorted(int(child) for task in tasks for child in (task / "children").read_text().split())
    yield "service", pid
    yield from ((f"worker {number}", worker) for number, worker in enumerate(workers, 1))


def _growth(readings: list[int]) -> float:
    level = readings[WARM // ROUND - 1 :]
    return round(median(level[-MEDIAN_OF:]) / median(level[:MEDIAN_OF]), 3)


def main() -> None:
    parser = command_line(__doc__, "soak_memory")
    parser.add_argument("--animations", type=int, default=200, help="in one process")
    parser.add_argument("--jobs", type=int, default=500, help="of the service")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        readings = {"one process": in_one_process(Path(folder), options.animations)}
        readings |= in_a_service(Path(folder) / "data", options.jobs)
    growth = {process: _growth(megabytes) for process, megabytes in readings.items()}
    problems = [f"the memory of {process} grows: {by}" for process, by in growth.items() if by > MAX_GROWTH]
    result: dict[str, Any] = {"machine": machine(), "animations": options.animations, "jobs": options.jobs}
    result |= {"growth": growth, "megabytes": {process: str(row) for process, row in readings.items()}}
    finish(options.out, result, problems)


if __name__ == "__main__":
    main()
