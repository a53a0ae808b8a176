"""Requests that Schemathesis derives from /openapi.json: `make soak`, or python -m benchmarks.soak_schema --seconds 300

No response may be a 5xx, and all must conform to the description, headers and problems included. First with sequences
of requests whose ids Schemathesis finds itself; then for one scene and one animation that exist, so that photos, files,
previews and results are requested as well. One check is excluded: not every request that conforms has to be accepted,
since no schema can say that seconds times frames per second are at most 1800, or what a photo is. No other machine is
contacted. Writes benchmarks/results/soak_schema.json.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import machine
from benchmarks.served import Served, finish, small_photo
from benchmarks.tables import command_line

EXCLUDED_CHECK = "positive_data_acceptance"


def main() -> None:
    parser = command_line(__doc__, "soak_schema")
    parser.add_argument("--seconds", type=int, default=300, help="for unknown ids, and again for known ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Served(Path(name) / "data") as served:
        folder = Path(name)
        runs = {"unknown ids": run_schemathesis(served.address, folder, options.seconds)}
        with httpx.Client(base_url=served.address, timeout=120) as client:
            scene = client.post("/v1/scenes?size=96&wait=60", content=small_photo("sea")).json()["id"]
            animation = {"scene": scene, "format": "mp4", "seconds": 0.5}
            ids = {"scenes": scene, "animations": client.post("/v1/animations", json=animation).json()["id"]}
        for kind, known in ids.items():
            arguments = [f"--include-path-regex=^/v1/{kind}/", "--exclude-method=DELETE"]
            arguments += ["--phases=examples,coverage,fuzzing"]
            runs[f"known {kind}"] = run_schemathesis(served.address, folder, options.seconds // 2, arguments, known)
        errors = served.error_output()
        errors += [] if httpx.get(f"{served.address}/health").status_code == 200 else ["the service is gone"]
    failures = [f"{run}: {failure}" for run, result in runs.items() for failure in result["failures"]]
    result = {"machine": machine(), "excluded_checks": [EXCLUDED_CHECK], **runs}
    finish(options.out, result, failures + errors)


def run_schemathesis(
    address: str, folder: Path, seconds: int, arguments: list[str] | None = None, known_id: str | None = None
) -> dict[str, Any]:
    """The number of cases and the failures, after that time at most. known_id: of every path."""
    settings = folder / "schemathesis.toml"
    settings.write_text(f'[parameters]\n"path.id" = {json.dumps(known_id)}\n' if known_id else "")
    process = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", settings),
            *("run", f"{address}/openapi.json", f"--max-time={seconds}", f"--exclude-checks={EXCLUDED_CHECK}"),
            *("--continue-on-failure", "--no-color", "--request-timeout=60", *(arguments or [])),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=10 * seconds + 600,
    )
    cases = re.search(r"(\d[\d,]*) generated", process.stdout)
    failures = [line.strip("- ") for line in process.stdout.splitlines() if re.match(r"- [A-Z]+\d+ ", line)]
    if process.returncode:
        print(process.stdout, process.stderr)
        failures = failures or [f"exit status {process.returncode}"]
    return {"cases": int(cases[1].replace(",", "")) if cases else None, "failures": failures}


if __name__ == "__main__":
    main()
