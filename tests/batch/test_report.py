"""The report of a batch: what is in its two files."""

import json
from pathlib import Path

from stylecine.batch.journal import Record
from stylecine.batch.report import summary, write
from tests.pages import Read
from tests.tasks import record_of


def test_both_files_are_written(tmp_path: Path) -> None:
    failed: Record = {"output": "no.mp4", "photo": "in/n\udcffo.jpg", "state": "failed"}
    failed |= {"kind": "PhotoError", "error": "<no>"}
    records = {one["output"]: one for one in (record_of("day 1/sea.mp4"), record_of("b.gif"), failed)}
    path = write(summary(records, 12.34, 2), records, tmp_path)
    read = Read(path.read_text("utf-8"))
    assert path == tmp_path / "report.html" and read.values("data-loop") == ["day%201/sea.mp4", "b.gif"]
    assert "3 photos, 1 failed" in read.text and "2 done in the last run, in 12.3 seconds." in read.text
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["photos"], told["new"], told["failed"]) == (3, 2, 1)
    assert told["failures"] == [{"photo": "in/n\udcffo.jpg", "kind": "PhotoError", "error": "<no>"}]
    assert [result["output"] for result in told["results"]] == list(records)
    assert not any("thumbnail" in result for result in told["results"])
