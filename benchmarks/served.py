"""A real `stylecine serve` on a free port of this machine, for the soak programs, and what they share."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
from PIL import Image

from benchmarks.machine import ROOT
from benchmarks.tables import write

TEMPORARY_FOLDERS = ("uploads", "scenes", "results", "tmp")


class Served:
    """A service with these settings (see docs/service.md), in a process group of its own, listening on `address`."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data, self.settings = data, settings
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that __exit__ ends the service
        self._files = tempfile.TemporaryDirectory()
        self._errors = (Path(self._files.name) / "errors.txt").open("w+")
        self.address = "http://127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """After `kill` it continues with the same data and address."""
        settings = Path(self._files.name) / "settings.toml"
        settings.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in self.settings.items()))
        port = self.address.rpartition(":")[2]
        command: list[str | Path] = [sys.executable, "-m", "stylecine", "serve", "--port", port]
        command += ["--settings", settings, "--data", self.data]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"GOMP_SPINCOUNT": "1000"},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://[^\s/]+", self.process.stdout.readline())
        if not found:
            sys.exit(f"the service does not start: {self.error_output()}")
        self.address = found[0]
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/ready", timeout=10).status_code == 200:
                    return
            time.sleep(0.1)
        sys.exit("the service is not ready after two minutes")

    def kill(self, workers: bool = True) -> None:
        """kill -9 of the service, and of all its workers unless they are to find out themselves."""
        (os.killpg if workers else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def error_output(self, containing: str = "") -> list[str]:
        """The first 20 lines on standard error with some text, except for those about requests that are not HTTP."""
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if containing in line]
        return [line for line in lines if line != "WARNING:  Invalid HTTP request received."][:20]

    def megabytes(self) -> float:
        """Resident memory of the process that serves HTTP."""
        return resident_megabytes(self.process.pid)

    def problems(self) -> list[str]:
        """Whether it is gone, workers have died, or files remain ten seconds after the last request."""
        with httpx.Client(base_url=self.address, timeout=60) as http:
            problems = [] if http.get("/health").status_code == 200 else ["the service is gone"]
            metrics = http.get("/metrics").text
        restarts = re.findall(r"^stylecine_worker_restarts_total\S* (\S+)$", metrics, re.MULTILINE)
        problems += ["a worker died"] if any(map(float, restarts)) else []
        end = time.monotonic() + 10
        while (files := self._temporary_files()) and time.monotonic() < end:
            time.sleep(0.1)
        return problems + ([f"files remain: {files[:5]}"] if files else [])

    def _temporary_files(self) -> list[str]:
        paths = (path for folder in TEMPORARY_FOLDERS for path in (self.data / folder).rglob("*"))
        return sorted(str(path.relative_to(self.data)) for path in paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._errors.close()
        self._files.cleanup()


def resident_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def small_photo(name: str, form: str = "JPEG", side: int = 240, **options: Any) -> bytes:
    """An example photo as a small file; options as for Pillow."""
    with Image.open(ROOT / f"examples/{name}.jpg") as photo:
        photo.thumbnail((side, side))
        return encode(photo.convert("RGB"), form, **options)


def encode(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def finish(path: Path, result: dict[str, Any], problems: Iterable[str]) -> None:
    """Writes and prints the result, and exits if there are problems."""
    result["problems"] = list(problems)
    write(path, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if result["problems"]:
        sys.exit(f"{len(result['problems'])} problems")
