"""A page that shows the loops of a batch: a photo each, which moves while it is pointed at, has the focus or is on."""

from __future__ import annotations

import csv
import html
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stylecine.atomic import atomic_write, translate_os_errors
from stylecine.batch.journal import Record
from stylecine.batch.report import COLUMNS
from stylecine.errors import OptionError, OutputError, StylecineError
from stylecine.output.embed import data_url, escaped, html_page, shrunk, webp
from stylecine.output.formats import PAGE, POSTER, VIDEO, kind_of
from stylecine.output.video import read_first_frame
from stylecine.stages.photo import load_photo

CREDITS = "credits.csv"  # beside the photos
POSTER_WIDTH, POSTER_QUALITY = 480, 55


@dataclass(frozen=True)
class Credit:
    """What a page says about a photo; all may be empty. source: an address, or any text."""

    title: str = ""
    author: str = ""
    licence: str = ""
    source: str = ""


def check_gallery(path: Path, folder: Path, taken: Iterable[str]) -> None:
    """Raises OptionError or OutputError if the page cannot have that name. taken: other outputs below the folder."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"'{path}' does not end in .html; name the gallery's page so.")
    if os.path.realpath(path) in {os.path.realpath(folder / name) for name in taken}:
        raise OutputError(f"'{path}' is another output of the batch; name the gallery otherwise.")
    _link(folder, path)


def read_credits(folder: Path) -> dict[str, Credit]:
    """The credits.csv of a folder, by the photos' names; empty without one. Columns: photo, and any of title, author,
    licence, source. Raises OptionError."""
    path = folder / CREDITS
    if not path.is_file():
        return {}
    names = Credit.__dataclass_fields__
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval="", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"'{path}' cannot be read ({error}); save it as text in UTF-8.") from None
    if rows and "photo" not in rows[0]:
        raise OptionError(f"'{path}' has no column photo; its first line names photo, {', '.join(names)}.")
    return {row["photo"]: Credit(**{name: (row.get(name) or "").strip() for name in names}) for row in rows}


def write_gallery(
    records: Mapping[str, Record], styled: Iterable[str], folder: Path, path: Path, credits: Mapping[str, Credit]
) -> Path:
    """Writes the page for the records of a batch whose loops are below `folder`, and returns its path.

    styled: outputs in another appearance than the photo's. Loops that are missing are left out. Raises OutputError.
    """
    others = set(styled)
    cards = [
        _card(record, folder, path, credits.get(Path(record["photo"]).name, Credit()), record["output"] in others)
        for record in records.values()
        if record["state"] == "done" and (folder / record["output"]).is_file()
    ]
    count = f"{len(cards)} loop{'' if len(cards) == 1 else 's'}"
    header = f"<header><h1>{count}</h1><p>Point at a photo, or tap it, and it moves.</p></header>"
    body = "\n".join((header, "<main><ul>", *cards, "</ul></main>"))
    with atomic_write(path) as part, translate_os_errors(path):
        text = html_page(count, body, STYLE, SCRIPT, policy="")  # it shows files beside it
        part.write_text(text, encoding="utf-8", newline="\n")
    return path


def _card(record: Record, folder: Path, page: Path, credit: Credit, styled: bool) -> str:
    output = record["output"]
    name = escaped(credit.title or Path(output).stem)
    link = html.escape(_link(folder / output, page))
    width, height = record["width"], record["height"]
    kind = kind_of(output)
    frame = (
        f'<div class="frame" style="--width: {width}; --height: {height}">'
        f'<img src="{_poster(record, folder, styled)}" alt="{name}, the photo" width="{width}" height="{height}"></div>'
    )
    if kind is not POSTER:
        plays = "page" if kind is PAGE else "video" if kind is VIDEO else "image"
        data = f'data-kind="{plays}" data-loop="{link}"'
        button = f'<button type="button" aria-pressed="false" aria-label="Play {name}" {data}>'
        frame = frame.replace("</div>", f'{button}<span aria-hidden="true">photo</span></button></div>')
    facts = [f"{width} × {height}", f"{record['bytes'] / 1e3:,.0f} kB"]
    if record["fps"]:
        facts.insert(1, f"{record['frames'] / record['fps']:.3g} s")
    figures = [
        f"<div><dt>{key.replace('_', ' ')}</dt><dd>{form.format(record[key])}</dd></div>"
        for key, form in COLUMNS.items()
        if record.get(key) is not None
    ]
    return (
        f'<li>{frame}<h2><a href="{link}">{name}</a></h2>{_credit(credit)}<p>{" · ".join(facts)}</p>'
        + (f'<p class="warning">{escaped(record["warning"])}</p>' if record.get("warning") else "")
        + f"<details><summary>Figures</summary><dl>{''.join(figures)}</dl></details></li>"
    )


def _credit(credit: Credit) -> str:
    parts = [escaped(text) for text in (credit.author, credit.licence) if text]
    if credit.source.startswith(("https://", "http://")):
        parts.append(f'<a href="{escaped(credit.source)}" rel="noreferrer">source</a>')
    elif credit.source:
        parts.append(escaped(credit.source))
    return f"<p>{' · '.join(parts)}</p>" if parts else ""


def _poster(record: Record, folder: Path, styled: bool) -> str:
    """The photo as a data URL: the loop's first frame, unless that has another appearance."""
    path = folder / record["output"]
    try:
        if styled:
            picture = load_photo(Path(record["photo"]), (record["width"], record["height"]))
        elif kind_of(path) is PAGE:
            return f"data:image/webp;base64,{escaped(record['thumbnail'])}"
        else:
            picture = read_first_frame(path) if kind_of(path) is VIDEO else load_photo(path, None)
    except StylecineError:  # the photo may be gone, or so small that it is none
        return f"data:image/webp;base64,{escaped(record['thumbnail'])}"
    small = shrunk(picture, (POSTER_WIDTH, 4 * POSTER_WIDTH))
    return data_url("image/webp", webp(small, POSTER_QUALITY))


def _link(target: Path, page: Path) -> str:
    """The address of a file relative to the page, and never absolute, whatever its name is."""
    try:
        relative = os.path.relpath(os.path.realpath(target), os.path.realpath(page.parent))
    except ValueError:
        raise OutputError(f"'{page}' is on another drive than the loops; choose a place beside them.") from None
    return quote(Path("./", relative).as_posix(), safe="/", errors="surrogateescape")


STYLE = """
body { margin: 0 auto; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 4rem; max-width: 110rem; }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.6rem 1.2rem;
  margin: 0; padding: 0; list-style: none; }
li { min-width: 0; }
.frame { position: relative; overflow: hidden; border-radius: 8px; aspect-ratio: var(--width) / var(--height);
  max-height: 32rem; background: color-mix(in srgb, currentColor 8%, transparent); }
.frame :is(img, video, iframe) { position: absolute; inset: 0; width: 100%; height: 100%; border: 0;
  object-fit: cover; }
.frame iframe { pointer-events: none; }
.frame button { position: absolute; inset: 0; width: 100%; padding: 0; border: 0; border-radius: 8px; background: none;
  cursor: pointer; }
.frame button:focus-visible { outline: 3px solid Highlight; outline-offset: -3px; }
.frame span { position: absolute; left: 0.6rem; bottom: 0.6rem; padding: 0.05rem 0.6rem; border-radius: 1rem;
  font: 0.8rem/1.5 system-ui, sans-serif; color: #fff; background: #000b; }
h2 { margin: 0.5rem 0 0; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
h2 a { color: inherit; text-decoration-color: var(--line); }
li p { margin: 0; font-size: 0.87rem; color: var(--quiet); overflow-wrap: anywhere; }
li .warning { color: CanvasText; }
details { font-size: 0.87rem; } summary { width: max-content; padding: 0.3rem 0; cursor: pointer; color: var(--quiet); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 0.2rem 1rem; margin: 0.2rem 0; }
dl div { display: flex; justify-content: space-between; gap: 0.5rem; border-bottom: 1px solid var(--line); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
"""

SCRIPT = """
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const TAGS = {video: "video", image: "img", page: "iframe"};

// A card plays while the mouse is over it or the keyboard's focus is on it, or until its button is pressed again.
for (const button of document.querySelectorAll(".frame button")) {
  const {kind, loop} = button.dataset;
  const state = {hovered: false, focused: false, pressed: false};
  let shown = null;
  const change = changes => {
    Object.assign(state, changes);
    const plays = state.pressed || (!reduced.matches && (state.hovered || state.focused));
    if (plays && !shown) {
      shown = document.createElement(TAGS[kind]);
      if (kind === "video") Object.assign(shown, {loop: true, muted: true, autoplay: true, playsInline: true});
      if (kind === "image") shown.alt = "";
      Object.assign(shown, {tabIndex: -1, ariaHidden: "true", src: loop});
      button.before(shown);
    } else if (!plays && shown) {
      shown.remove();
      shown = null;
    }
    button.firstElementChild.textContent = plays ? "loop" : "photo";
    button.ariaPressed = String(state.pressed);
  };
  const byMouse = ({pointerType}) => pointerType === "mouse";
  button.addEventListener("pointerenter", event => { if (byMouse(event)) change({hovered: true}); });
  button.addEventListener("pointerleave", event => { if (byMouse(event)) change({hovered: false}); });
  button.addEventListener("focus", () => change({focused: button.matches(":focus-visible")}));
  button.addEventListener("blur", () => change({focused: false}));
  button.addEventListener("click", () => change({pressed: !state.pressed}));
}
"""
