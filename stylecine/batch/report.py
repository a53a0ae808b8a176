"""The results of a batch: report.json for programs, and for people report.html, in which the loops play."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stylecine.batch.journal import PICTURES, Record
from stylecine.machine.atomic import atomic_write
from stylecine.output.embed import escaped, html_page
from stylecine.output.formats import format_of
from stylecine.version import __version__

FIGURES = {  # of a loop -> how they are shown
    "seam": "{:.2f}",
    "pulse_excess": "{:.3f}",
    "moved_error": "{:.2f}",
    "travel": "{:.3f}",
    "vividness_moving": "{:.0%}",
    "moving": "{:.0%}",
    "made_in": "{:.1f} s",
}
TAGS = {"video": "video", "image": "img", "page": "iframe"}  # that play a kind of loop
FILES = "'self' file:"  # opened from a disk, a page is of no origin
OWN = ("report.css", "report.js")  # of the page
POLICY = f"default-src 'none'; img-src data: {FILES}; media-src {FILES}; frame-src {FILES}"


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
    title = f"{report['photos']} photos" + (f", {report['failed']} failed" if report["failed"] else "")
    last = f"{report['new']} done in the last run, in {report['seconds']:g} seconds"
    page = batch_page(title, f"stylecine {report['stylecine']}; {last}. ", records.values())
    for name, text in (("report.json", json.dumps(report, indent=1, allow_nan=False) + "\n"), ("report.html", page)):
        with atomic_write(folder / name) as part:
            part.write_text(text, encoding="utf-8", newline="\n")  # the policy has checksums
    return folder / "report.html"


def batch_page(title: str, about: str, records: Iterable[Record]) -> str:
    """The HTML, in the folder of the loops; it loads nothing but these, when they play."""
    cards, failures = [], []
    for record in records:
        photo, path = Path(record["photo"]).name, escaped(record["photo"])
        if record["state"] == "done":
            cards.append(_card(record))
        else:
            failures.append(f'<li title="{path}"><b>{escaped(photo)}</b> {escaped(record["error"])}</li>')
    keys = "".join(f'<option value="{key}">{key.replace("_", " ")}</option>' for key in ("photo", *FIGURES, "note"))
    lines = (
        f"<header><h1>{title}</h1><p>{about}Point at a photo, or tap it, and it moves.</p></header>",
        *['<ul class="failures">', *failures, "</ul>"] * bool(failures),
        '<fieldset><label>Sort by <select autocomplete="off"><option value="">order of the batch</option>'
        f'{keys}</select></label><label><input type="checkbox" autocomplete="off"> descending</label></fieldset>',
        *("<main><ul>", *cards, "</ul></main>"),
    )
    style, script = (files("stylecine.batch").joinpath(name).read_text("utf-8") for name in OWN)
    return html_page(title, "\n".join(lines), style, script, policy=POLICY)


def _card(record: Record) -> str:
    output, width, height, note = (record[key] for key in ("output", "width", "height", "warning"))
    name = escaped(output.removesuffix(Path(output).suffix))
    link = quote(output, errors="surrogateescape")
    frame = _picture(record["thumbnail"], f"{name}, still", f' width="{width}" height="{height}"')
    form = format_of(output)
    if form.kind in TAGS and form.in_browsers:
        data = f'data-tag="{TAGS[form.kind]}" data-loop="{link}"'
        button = f'<button type="button" aria-pressed="false" aria-label="Play {name}" {data}>'
        frame += f'{button}<span aria-hidden="true">still</span></button>'
    seconds = [f"{record['frames'] / record['fps']:.3g} s"] if record["fps"] else []
    facts = " · ".join((f"{width} × {height}", *seconds, f"{record['bytes'] / 1e3:,.0f} kB"))
    known = record | {"made_in": record["seconds"]["total"]}
    figures = {key: known[key] for key in FIGURES if known[key] is not None}
    data = "".join(f' data-{key}="{value:.6g}"' for key, value in figures.items())
    terms = (
        f"<div><dt>{key.replace('_', ' ')}</dt><dd>{FIGURES[key].format(value)}</dd></div>"
        for key, value in figures.items()
    )
    return (
        f'<li data-photo="{name}"{data}{" data-note=1" * bool(note)}><div class="frame">{frame}</div>'
        f'<h2 title="{escaped(record["photo"])}"><a href="{link}">{name}</a></h2><p>{facts}</p>'
        + (f'<p class="note">{escaped(note)}</p>' if note else "")
        + f"<details open><summary>Figures</summary><dl>{''.join(terms)}</dl>"
        + _picture(record["mask_thumbnail"], "what moves in it")
        + "</details></li>"
    )


def _picture(webp: str, alt: str, size: str = "") -> str:
    return f'<img src="data:image/webp;base64,{escaped(webp)}" alt="{alt}" loading="lazy"{size}>'
