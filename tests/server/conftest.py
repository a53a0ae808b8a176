"""Services in processes of their own, on free ports: most with quick workers, one with real ones."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from benchmarks.browser import chromium

pytest.importorskip("fastapi")
HERE = Path(__file__).parent


class Served:
    """A service in a process of its own; `client` is connected to it."""

    def __init__(self, data: Path, *tokens: str, quick: bool = True, patient: float = 20, **settings: Any) -> None:
        self.data = data
        asked = {"data": str(data), "port": 0, "quick": quick, "patient": patient, **settings}
        complaints = data.with_name(f"{data.name}.stderr")
        with complaints.open("a") as stderr:  # no pipe: nobody reads it, and workers write there too
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "serving.py"), json.dumps(asked), *tokens],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=HERE.parent.parent,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a script's background
            )
        address = address_of(self.process)
        assert address, complaints.read_text()
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
        answer = self.client.post("/v1/scenes", content=content, params=options)
        assert answer.status_code in (201, 202), answer.text
        return dict(answer.json())

    def animation(self, scene: str, **options: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/animations", json={"scene": scene, **options})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def finished(self, job: str) -> dict[str, Any]:
        wait_until(lambda: self.client.get(f"/v1/animations/{job}").json()["state"] not in ("queued", "running"))
        return dict(self.client.get(f"/v1/animations/{job}").json())

    def files(self) -> set[str]:
        """What lies in its folders."""
        return {
            path.name for folder in ("uploads", "scenes", "results", "tmp") for path in (self.data / folder).iterdir()
        }


def address_of(process: subprocess.Popen[str], seconds: float = 120) -> str:
    """At which it says that it can be reached; "" where it does not, and is ended."""
    assert process.stdout is not None
    patience = threading.Timer(seconds, process.kill)
    patience.start()
    found = re.search(r"http://\S+", process.stdout.readline())
    patience.cancel()
    if found:
        return found[0]
    process.kill()
    process.wait()
    process.stdout.close()
    return ""


def wait_until(so: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "waited in vain"
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


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One with quick workers, for all tests that leave it as it was."""
    served = Served(tmp_path_factory.mktemp("quick") / "data").ready()
    yield served
    assert served.end() == 0


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Iterator[Served]:
    """One with real workers and the small model."""
    served = Served(tmp_path_factory.mktemp("real") / "data", quick=False, model=str(small_model)).ready()
    yield served
    assert served.end() == 0


# --- the studio in a browser


@pytest.fixture(scope="module")
def small_sea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/sea.jpg as a file of 192 × 120 pixels."""
    path = tmp_path_factory.mktemp("photos") / "sea.jpg"
    with Image.open(HERE.parents[1] / "examples/sea.jpg") as sea:
        sea.resize((192, 120), Image.Resampling.LANCZOS).save(path, quality=95)
    return path


@pytest.fixture(scope="module")
def studio_address() -> Iterator[str]:
    """Of a studio that really runs."""
    command = [sys.executable, "-m", "stylecine", "studio", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        address = address_of(server)
        assert address, "it says where it is"
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)
        server.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Of one module: Playwright cannot be begun again while it runs."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_log() -> dict[str, list[str]]:
    """Errors of all pages, and the addresses that they requested."""
    return {"errors": [], "requests": []}


@pytest.fixture(scope="module")
def new_page(browser: Any, studio_address: str, page_log: dict[str, list[str]]) -> Callable[..., Any]:
    """Opens the studio in pages of their own; keyword arguments are those of a browser context."""

    def new(**options: Any) -> Any:
        page = browser.new_context(**{"viewport": {"width": 960, "height": 680}, **options}).new_page()
        page.on("console", lambda message: page_log["errors"].append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page_log["errors"].append(str(error)))
        page.on("request", lambda request: page_log["requests"].append(request.url))
        page.goto(studio_address)
        return page

    return new
