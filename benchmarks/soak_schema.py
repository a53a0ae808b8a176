"""Requests made up from /openapi.json by schemathesis: `make soak`, or python -m benchmarks.soak_schema --seconds 300

No answer may be a 5xx, and every answer has to be as the description says, headers and problems included. First for ids
that it finds out itself, requests following one another; then for a scene and an animation that there are, so that
photos, files, previews and results are asked for in every way too. One check is left out: not everything that fits the
description has to be accepted, since no schema says that seconds times frames a second are at most 1800, or what a
photo is. Only this machine is talked to. Into benchmarks/results/soak_schema.json.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import ROOT, machine
from benchmarks.served import Served
from benchmarks.soak_clients import small_photos
from benchmarks.tables import write

RESULT = ROOT / "benchmarks/results/soak_schema.json"
LEFT_OUT = "positive_data_acceptance"


def requests(address: str, folder: Path, seconds: int, parameters: dict[str, str], *options: str) -> dict[str, Any]:
    """What schemathesis says after so many seconds, or as soon as it has found something."""
    settings = folder / "schemathesis.toml"
    named = "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in parameters.items())
    settings.write_text(f"[parameters]\n{named}")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", settings),
            *("run", f"{address}/openapi.json", f"--max-time={seconds}", f"--exclude-checks={LEFT_OUT}"),
            *("--continue-on-failure", "--no-color", "--request-timeout=60", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=10 * seconds + 600,
    )
    cases = re.search(r"(\d[\d,]*) generated", ran.stdout)
    if ran.returncode:
        print(ran.stdout, ran.stderr)
    return {
        "cases": int(cases[1].replace(",", "")) if cases else None,
        "passed": ran.returncode == 0,
        "failures": [line.strip("- ") for line in ran.stdout.splitlines() if re.match(r"- [A-Z]+\d+ ", line)],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=300, help="for each of the two")
    options.add_argument("--out", type=Path, default=RESULT)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name, Served(Path(name) / "data") as served:
        result: dict[str, Any] = {"machine": machine(), "left_out": [LEFT_OUT]}
        result["found out"] = requests(served.address, Path(name), given.seconds, {})
        with httpx.Client(base_url=served.address, timeout=120) as client:
            scene = client.post("/v1/scenes?size=96&wait=60", content=small_photos()[1]).json()["id"]
            asked = {"scene": scene, "format": "mp4", "seconds": 0.5}
            job = client.post("/v1/animations", json=asked).json()["id"]
        for kind, known in (("scenes", scene), ("animations", job)):
            only = (
                f"--include-path-regex=^/v1/{kind}/",
                "--exclude-method=DELETE",
                "--phases=examples,coverage,fuzzing",
            )
            result[f"known {kind}"] = requests(
                served.address, Path(name), given.seconds // 2, {"path.id": known}, *only
            )
        result["complaints"] = served.complaints()
        result["alive"] = httpx.get(f"{served.address}/health").status_code == 200
    write(given.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    runs = [part for part in result.values() if isinstance(part, dict) and "passed" in part]
    if not all(run["passed"] for run in runs) or result["complaints"] or not result["alive"]:
        sys.exit("not as it has to be")


if __name__ == "__main__":
    main()
