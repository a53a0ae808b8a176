"""The results of a batch: report.json for programs, and report.html for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylecine.batch.journal import PICTURES, Record
from stylecine.batch.page import batch_page
from stylecine.machine.atomic import atomic_write
from stylecine.version import __version__


def summary(records: Mapping[str, Record], seconds: float, new: int, skipped: Sequence[str] = ()) -> dict[str, Any]:
    """The contents of report.json: counts, failures, and each photo's record without its pictures.

    new: number of photos processed in this run. seconds: its duration. skipped: files of the folder that are no photos.
    """
    failures = [record for record in records.values() if record["state"] == "failed"]
    return {
        "stylecine": __version__,
        "photos": len(records),
        "new": new,
        "failed": len(failures),
        "seconds": round(seconds, 1),
        "skipped": list(skipped),
        "failures": [{name: record[name] for name in ("photo", "kind", "error")} for record in failures],
        "results": [{k: v for k, v in record.items() if k not in PICTURES} for record in records.values()],
    }


def write(report: Mapping[str, Any], records: Mapping[str, Record], folder: Path) -> Path:
    """Writes report.json and report.html into the folder, and returns the latter's path. Raises OutputError."""
    failed = f", {report['failed']} failed" if report["failed"] else ""
    last = f"{report['new']} done in the last run, in {report['seconds']:g} seconds"
    page = batch_page(
        f"{report['photos']} photos{failed}", f"stylecine {report['stylecine']}; {last}. ", records.values()
    )
    for name, text in (("report.json", json.dumps(report, indent=1, allow_nan=False) + "\n"), ("report.html", page)):
        with atomic_write(folder / name) as part:
            part.write_text(text, encoding="utf-8", newline="\n")  # the policy has checksums
    return folder / "report.html"
