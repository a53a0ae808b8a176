"""The results of a batch: report.json for programs, and report.html, a self-contained page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stylecine import __version__
from stylecine.atomic import atomic_write
from stylecine.batch.journal import Record
from stylecine.output.embed import escaped, html_page

PICTURES = {"thumbnail": "first frame", "mask_thumbnail": "what moves in it"}
COLUMNS = {  # a record's figures -> their formats
    "seam": "{:.2f}",
    "pulse_excess": "{:.3f}",
    "moved_error": "{:.2f}",
    "travel": "{:.3f}",
    "vividness_moving": "{:.0%}",
    "moving": "{:.0%}",
}
HEADINGS = ("photo", "first frame", "what moves", *(name.replace("_", " ") for name in COLUMNS), "seconds", "notes")


def summary(records: Mapping[str, Record], seconds: float, new: int) -> dict[str, Any]:
    """The contents of report.json: counts, failures, and each photo's record without its pictures.

    new: number of photos processed in this run. seconds: its duration.
    """
    failures = [record for record in records.values() if record["state"] == "failed"]
    return {
        "stylecine": __version__,
        "photos": len(records),
        "new": new,
        "failed": len(failures),
        "seconds": round(seconds, 1),
        "failures": [{name: record[name] for name in ("photo", "kind", "error")} for record in failures],
        "results": [{k: v for k, v in record.items() if k not in PICTURES} for record in records.values()],
    }


def write(report: Mapping[str, Any], records: Mapping[str, Record], folder: Path) -> Path:
    """Writes report.json and report.html into the folder, and returns the latter's path. Raises OutputError."""
    _write(folder / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    return _write(folder / "report.html", page(report, records))


def page(report: Mapping[str, Any], records: Mapping[str, Record]) -> str:
    """The HTML, which loads nothing else; file names link to the loops next to it."""
    heads = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in HEADINGS)
    failed = f", {report['failed']} failed" if report["failed"] else ""
    last = f"{report['new']} done in the last run, in {report['seconds']:g} seconds"
    title, rows = f"{report['photos']} photos{failed}", "\n".join(_row(record) for record in records.values())
    body = (
        f"<header><h1>{title}</h1><p>stylecine {report['stylecine']}; {last}.</p></header>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )
    return html_page(title, body, STYLE, SCRIPT, policy="default-src 'none'; img-src data:")


def _row(record: Record) -> str:
    title = f'title="{escaped(record["photo"])}"'
    if record["state"] == "failed":
        name, blank = Path(record["photo"]).name, "<td></td>" * (len(HEADINGS) - 2)
        error = escaped(record["error"])
        return f'<tr class="failed"><th scope="row" {title}>{escaped(name)}</th>{blank}<td>{error}</td></tr>'
    output = record["output"]
    cells = [
        f'<th scope="row" {title}><a href="{quote(output, errors="surrogateescape")}">{escaped(output)}</a></th>',
        *(f"<td>{_picture(record[key], alt)}</td>" for key, alt in PICTURES.items()),
        *(_figure(record[key], form) for key, form in COLUMNS.items()),
        _figure(record["seconds"]["total"], "{:.1f}"),
        f"<td>{escaped(record['warning'] or '')}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _picture(webp: str, alt: str) -> str:
    return f'<img src="data:image/webp;base64,{escaped(webp)}" alt="{alt}" loading="lazy">'


def _figure(figure: float | None, form: str) -> str:
    return "<td></td>" if figure is None else f'<td data-value="{figure:.6g}">{form.format(figure)}</td>'


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")  # the policy has checksums
    return path


STYLE = """
body { margin: 2rem; }
th, td { padding: 0.4rem 0.8rem 0.4rem 0; border-bottom: 1px solid var(--line); text-align: left; }
tbody th { max-width: 18rem; font-weight: 500; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: Canvas; vertical-align: bottom; }
thead button { all: unset; cursor: pointer; font-weight: 600; }
thead button:focus-visible { outline: 2px solid; outline-offset: 2px; }
[aria-sort="ascending"] button::after { content: " \\2191"; }
[aria-sort="descending"] button::after { content: " \\2193"; }
td[data-value] { text-align: right; font-variant-numeric: tabular-nums; }
td:last-child { max-width: 26rem; }
.failed td, .failed th { color: color-mix(in srgb, CanvasText 45%, #e5484d); }
img { display: block; max-width: 15rem; border-radius: 4px; }
"""

SCRIPT = """
const body = document.querySelector("tbody");
const value = (row, column) => {
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
};
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b
    : typeof a === typeof b ? a.localeCompare(b, undefined, {numeric: true})
    : typeof a === "number" ? -1 : 1;
document.querySelectorAll("thead th").forEach((head, column, heads) => head.addEventListener("click", () => {
  const down = head.ariaSort === "ascending";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.ariaSort = down ? "descending" : "ascending";
  const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
  body.append(...(down ? rows.reverse() : rows));
}));
"""
