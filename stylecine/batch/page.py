"""The page of a batch: its loops, which play, their figures, and the photos without."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from stylecine.batch.journal import Record
from stylecine.output.embed import escaped, html_page
from stylecine.output.formats import format_of

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
POLICY = f"default-src 'none'; img-src data: {FILES}; media-src {FILES}; frame-src {FILES}"


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
    return html_page(title, "\n".join(lines), STYLE, SCRIPT, policy=POLICY)


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


STYLE = """
body { margin: 0 auto; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 4rem; max-width: 110rem; }
fieldset { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0;
  padding: 0.5rem 0; border: 0; background: Canvas; }
.failures { padding: 0; list-style: none; color: color-mix(in srgb, CanvasText 45%, #e5484d); }
main ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); gap: 1.6rem 1.2rem;
  margin: 0; padding: 0; list-style: none; }
li { min-width: 0; overflow-wrap: anywhere; }
main li { content-visibility: auto; contain-intrinsic-size: auto 28rem; }
.frame { position: relative; overflow: hidden; border-radius: 8px; font-size: 0.8rem; }
.frame > * { position: absolute; inset: 0; width: 100%; height: 100%; border: 0; object-fit: cover; }
.frame > img:first-child { position: static; display: block; height: auto; max-height: 32rem;
  background: color-mix(in srgb, currentColor 8%, transparent); }
.frame iframe { pointer-events: none; }
.frame button { padding: 0; border-radius: 8px; font: inherit; background: none; cursor: pointer; }
.frame button:focus-visible { outline: 3px solid Highlight; outline-offset: -3px; }
.frame span { position: absolute; left: 0.6rem; bottom: 0.6rem; padding: 0 0.6rem; border-radius: 1rem; color: #fff;
  background: #000b; }
h2 { margin: 0.5rem 0 0; font-size: 1rem; font-weight: 600; }
h2 a { color: inherit; text-decoration-color: var(--line); }
li p { margin: 0; font-size: 0.87rem; color: var(--quiet); }
li .note { color: CanvasText; }
details { font-size: 0.87rem; } summary { width: max-content; padding: 0.3rem 0; cursor: pointer; color: var(--quiet); }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: 0.2rem 1rem; margin: 0.2rem 0; }
dl div { display: flex; justify-content: space-between; gap: 0.5rem; border-bottom: 1px solid var(--line); }
dd { margin: 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
details img { width: 100%; height: auto; margin-top: 0.5rem; border-radius: 8px; }
"""

SCRIPT = """
const reduced = matchMedia("(prefers-reduced-motion: reduce)");

// A card plays while the mouse is over it or the keyboard's focus is on it, or until its button is pressed again.
for (const button of document.querySelectorAll(".frame button")) {
  const {tag, loop} = button.dataset;
  const state = {hovered: false, focused: false, pressed: false};
  let shown = null;
  const change = changes => {
    Object.assign(state, changes);
    const plays = state.pressed || (!reduced.matches && (state.hovered || state.focused));
    if (plays && !shown) {
      shown = document.createElement(tag);
      if (tag === "video") Object.assign(shown, {loop: true, muted: true, autoplay: true, playsInline: true});
      if (tag === "img") shown.alt = "";
      Object.assign(shown, {tabIndex: -1, ariaHidden: "true", src: loop});
      button.before(shown);
    } else if (!plays && shown) {
      shown.remove();
      shown = null;
    }
    button.firstElementChild.textContent = plays ? "loop" : "still";
    button.ariaPressed = String(state.pressed);
  };
  const byMouse = ({pointerType}) => pointerType === "mouse";
  button.addEventListener("pointerenter", event => { if (byMouse(event)) change({hovered: true}); });
  button.addEventListener("pointerleave", event => { if (byMouse(event)) change({hovered: false}); });
  button.addEventListener("focus", () => change({focused: button.matches(":focus-visible")}));
  button.addEventListener("blur", () => change({focused: false}));
  button.addEventListener("click", () => change({pressed: !state.pressed}));
}

// Sorted by what the cards have as data; those that lack it come last.
const list = document.querySelector("main ul"), cards = [...list.children], order = document.querySelector("fieldset");
order.addEventListener("change", () => {
  const [by, descending] = order.elements, key = by.value, sign = descending.checked ? -1 : 1;
  const compare = (a, b) => key === "photo" ? a.localeCompare(b, undefined, {numeric: true}) : a - b;
  const has = cards.filter(card => card.dataset[key]);
  has.sort((a, b) => sign * compare(a.dataset[key], b.dataset[key]));
  list.append(...new Set([...has, ...cards]));
});
"""
