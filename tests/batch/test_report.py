"""The report of a batch: what is in it, and that names cannot break it."""

import base64
import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from stylecine.batch.journal import DONE as DONE_FIELDS
from stylecine.batch.journal import Record
from stylecine.batch.report import COLUMNS, page, summary, write
from tests.pages import Read

FIGURES = ("seam", "pulse_excess", "moved_error", "travel", "vividness_moving")
DONE = dict.fromkeys(FIGURES, 1.0) | {"state": "done", "moving": 0.5, "warning": None, "seconds": {"total": 9.87}}
PICTURES = {"thumbnail": "UklGRg==", "mask_thumbnail": "UklGRg=="}
NASTY = 'a <b> & "c"\'s #1?.mp4'


@pytest.fixture
def records() -> dict[str, Record]:
    """A loop, one with a bad name and without a seam, and a photo without a loop."""
    sea: Record = {"output": "day 1/sea.mp4", "photo": "in/day 1/sea.jpg"} | DONE | PICTURES
    nasty: Record = {"output": NASTY, "photo": "in/</script>.jpg"} | DONE | PICTURES | {"seam": None, "warning": "<hm>"}
    failed = {"output": "no.mp4", "photo": "in/n\udcffo.jpg", "state": "failed", "kind": "PhotoError", "error": "<no>"}
    return {record["output"]: record for record in (sea, nasty, failed)}


def test_the_report_lists_every_photo(records: dict[str, Record]) -> None:
    text = page(summary(records, seconds=12.34, new=2), records)
    read = Read(text)
    headings, sea, nasty, failed = read.rows[0], *read.rows[1:4]
    assert headings[0] == "photo" and {"seam", "travel", "seconds"} <= set(headings)
    assert (
        sea[0] == "day 1/sea.mp4" and sea[headings.index("seam")] == "1.00" and sea[headings.index("moving")] == "50%"
    )
    assert nasty[0] == NASTY and nasty[headings.index("seam")] == "" and nasty[-1].startswith("<hm>")
    assert failed[0] == "n\\udcffo.jpg" and failed[-1].startswith("<no>")
    assert len(sea) == len(nasty) == len(failed) == len(headings)
    assert "3 photos, 1 failed" in text and "2 done in the last run, in 12.3 seconds" in text


def test_the_report_is_self_contained(records: dict[str, Record]) -> None:
    text = page(summary(records, 1, 3), records)
    read = Read(text)
    assert read.values("href") == ["day%201/sea.mp4", "a%20%3Cb%3E%20%26%20%22c%22%27s%20%231%3F.mp4"]
    fetched = read.values("src")
    assert fetched and all(source.startswith("data:image/webp;base64,") for source in fetched)
    assert not {"b", "hm", "no", "link"} & {*read.names}
    assert "://" not in text and text.count("</script>") == 1


def test_nothing_in_a_record_becomes_markup(records: dict[str, Record]) -> None:
    nasty = records[NASTY] | {"thumbnail": '"><b>', "mask_thumbnail": '"><b>', "photo": "in/\u202egnp.jpg"}
    text = page(summary(records, 1, 3), {NASTY: nasty})
    assert "b" not in Read(text).names
    assert "\u202e" not in text and "\\u202e" in text


def test_every_figure_of_a_record_is_checked() -> None:
    assert set(COLUMNS) | set(PICTURES) <= set(DONE_FIELDS)


def test_only_the_pages_own_script_and_style_run(records: dict[str, Record]) -> None:
    text = page(summary(records, 1, 3), records)
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    for tag, directive in (("script", "script-src"), ("style", "style-src-elem")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert f"{directive} 'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'" in policy


def test_both_files_are_written(records: dict[str, Record], tmp_path: Path) -> None:
    path = write(summary(records, 1, 3), records, tmp_path)
    assert path == tmp_path / "report.html" and path.read_text("utf-8").startswith("<!doctype html>")
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["photos"], told["new"], told["failed"]) == (3, 3, 1)
    assert told["failures"] == [{"photo": "in/n\udcffo.jpg", "kind": "PhotoError", "error": "<no>"}]
    assert [result["output"] for result in told["results"]] == list(records)
    assert not any("thumbnail" in result for result in told["results"])
