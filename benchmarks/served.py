"""A real `stylecine serve` on a free port of this machine, in a process group of its own, for what tries it hard."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from benchmarks.machine import ROOT


class Served:
    """A service with these settings, beside those of docs/service.md; `address` is where it listens."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data, self.settings = data, settings
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # for __exit__ to end the service
        self._files = tempfile.TemporaryDirectory()
        self._errors = (Path(self._files.name) / "errors.txt").open("w+")
        self.address = "http://127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Also after `kill`, with the same data and at the same address."""
        told = Path(self._files.name) / "settings.toml"
        told.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in self.settings.items()))
        port = self.address.rpartition(":")[2]
        command: list[str | Path] = [sys.executable, "-m", "stylecine", "serve", "--port", port]
        command += ["--settings", told, "--data", self.data]
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
            sys.exit(f"the service does not start: {self.complaints()}")
        self.address = found[0]
        self._until_ready()

    def _until_ready(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/ready", timeout=10).status_code == 200:
                    return
            time.sleep(0.1)
        sys.exit("the service is not ready after two minutes")

    def kill(self) -> None:
        """kill -9 of the service and all its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def complaints(self) -> list[str]:
        """What it has said on standard error, but for what it says to requests that are none; at most 20 lines."""
        self._errors.seek(0)
        lines = self._errors.read().splitlines()
        return [line for line in lines if line != "WARNING:  Invalid HTTP request received."][:20]

    def megabytes(self) -> float:
        """Resident memory of the interface's process."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6

    def files(self) -> set[Path]:
        """All that lies in its folders but the database."""
        return {path for name in ("uploads", "scenes", "results", "tmp") for path in (self.data / name).rglob("*")}

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
