"""Services in processes of their own, on free ports: most with quick workers, one with real ones."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

pytest.importorskip("fastapi")
HERE = Path(__file__).parent
# What is asked for of a file of 1000 bytes; status, and the part that comes.
RANGES = (
    ("bytes=0-1", 206, 0, 2),  # what Safari asks for first
    ("bytes=990-", 206, 990, 1000),
    ("bytes=-10", 206, 990, 1000),
    ("bytes=-5000", 206, 0, 1000),
    ("bytes=0-99999", 206, 0, 1000),
    ("bytes=0-9,20-29", 200, 0, 1000),  # several may be ignored
    ("bytes=9-0", 200, 0, 1000),
    ("nonsense", 200, 0, 1000),
)


class Served:
    """A service in a process of its own; `client` is connected to it."""

    def __init__(self, data: Path, *tokens: str, quick: bool = True, timeout: float = 20, **settings: Any) -> None:
        """timeout: of headers and bodies. settings: those of the service, and `connections`, the most at once."""
        self.data = data
        arguments = {"data": str(data), "port": 0, "quick": quick, "timeout": timeout, "connections": 800, **settings}
        self._log = data.with_name(f"{data.name}.stderr")
        with self._log.open("a") as stderr:  # not a pipe, which would have to be read; workers write to it too
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "serving.py"), json.dumps(arguments), *tokens],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=HERE.parent.parent,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a script's background
            )
        address = address_of(self.process)
        assert address, self.log()
        self.address = address.rstrip("/")
        self.client = httpx.Client(base_url=self.address, timeout=60)

    def ready(self) -> "Served":
        try:
            wait_until(lambda: self.client.get("/ready").status_code == 200)
        except BaseException:
            self.end()
            raise
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        self.client.close()
        self.process.send_signal(number)
        code = self.process.wait(45)  # less than a slow scene takes
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def scene(self, content: bytes = b"a photo", **options: Any) -> dict[str, Any]:
        response = self.client.post("/v1/scenes", content=content, params=options)
        assert response.status_code in (201, 202), response.text
        return dict(response.json())

    def animation(self, scene: str, **options: Any) -> dict[str, Any]:
        response = self.client.post("/v1/animations", json={"scene": scene, **options})
        assert response.status_code == 202, response.text
        return dict(response.json())

    def finished(self, job: str) -> dict[str, Any]:
        wait_until(lambda: self.client.get(f"/v1/animations/{job}").json()["state"] not in ("queued", "running"))
        return dict(self.client.get(f"/v1/animations/{job}").json())

    def log(self) -> str:
        """What it has written on standard error."""
        return self._log.read_text()

    def files(self) -> set[str]:
        """The names of all files in its folders."""
        return {
            path.name for folder in ("uploads", "scenes", "results", "tmp") for path in (self.data / folder).iterdir()
        }


def address_of(process: subprocess.Popen[str], seconds: float = 120) -> str:
    """The address that a server prints; "", and the server is ended, if it prints none."""
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    address = re.search(r"http://\S+", process.stdout.readline())
    timer.cancel()
    if address:
        return address[0]
    process.kill()
    process.wait()
    process.stdout.close()
    return ""


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never holds"
        time.sleep(0.02)


def workers_of(served: Served) -> list[int]:
    """Process ids."""
    listed = subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts services that end with the test."""
    served: list[Served] = []

    def start(*tokens: str, data: Path = tmp_path / "data", **settings: Any) -> Served:
        served.append(Served(data, *tokens, **settings))
        return served[-1].ready()

    yield start
    for one in served:
        if one.process.poll() is None:
            one.end()


class SmallDisk:
    """A disk of 300 MB in memory: more than a service wants to be free before it accepts anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, but: int = 0) -> None:
        """Until no byte is left, or as many. A service may write meanwhile."""
        while (free := shutil.disk_usage(self.folder).free - but) > 0:
            with suppress(OSError), self._filler.open("ab") as filler:
                os.posix_fallocate(filler.fileno(), filler.tell(), free)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300m", "stylecine-test", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs Linux and the right to mount a disk")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with quick workers, for all tests that leave it unchanged."""
    served = Served(tmp_path_factory.mktemp("quick") / "data").ready()
    yield served
    assert served.end() == 0


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Iterator[Served]:
    """A service with real workers and the small model."""
    served = Served(tmp_path_factory.mktemp("real") / "data", quick=False, model=str(small_model)).ready()
    yield served
    assert served.end() == 0


# --- the studio in a browser


@pytest.fixture(scope="session")
def small_sea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/sea.jpg as a file of 128 × 80 pixels."""
    path = tmp_path_factory.mktemp("photos") / "sea.jpg"
    with Image.open(HERE.parents[1] / "examples/sea.jpg") as sea:
        sea.resize((128, 80), Image.Resampling.LANCZOS).save(path, quality=95)
    return path


# `stylecine studio`, which does not leave all cores to the browser for a while after it has sent the first loop
STUDIO = """
from stylecine import cli
from stylecine.server import service

service.FIRST_DRAWN = 0
cli.run()
"""


@pytest.fixture(scope="session")
def studio_address() -> Iterator[str]:
    """The address of a studio, which all pages share."""
    command = [sys.executable, "-c", STUDIO, "studio", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        address = address_of(server)
        assert address, "it prints its address"
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)
        server.stdout.close()


@pytest.fixture(scope="module")
def page_log() -> dict[str, list[str]]:
    """Errors of all pages, and the addresses that they requested."""
    return {"errors": [], "requests": []}


@pytest.fixture(scope="module")
def new_page(browser: Any, studio_address: str, page_log: dict[str, list[str]]) -> Callable[..., Any]:
    """Opens the studio in pages of their own; keyword arguments are those of a browser context.

    Nothing plays by itself unless asked for: where the CPU draws, it would take a core from the server all the time.
    """

    def new(**options: Any) -> Any:
        usual = {"viewport": {"width": 960, "height": 680}, "reduced_motion": "reduce"}
        page = browser.new_context(**{**usual, **options}).new_page()
        page.on("console", lambda message: page_log["errors"].append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page_log["errors"].append(str(error)))
        page.on("request", lambda request: page_log["requests"].append(request.url))
        page.goto(studio_address)
        return page

    return new
