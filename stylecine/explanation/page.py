"""One HTML file that explains a loop. It loads nothing and runs no script."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from stylecine.engine.loop_warnings import MIN_PHOTO_LIKENESS
from stylecine.errors import printable
from stylecine.explanation.advice import (
    LETTERS,
    Finding,
    advise,
    freeze_commands,
    heading,
    mean_probability,
)
from stylecine.explanation.evidence import Evidence, mask_of
from stylecine.explanation.pictures import (
    disagreement_picture,
    mask_png,
    picture_url,
    probability_picture,
    residual_picture,
    vivid_picture,
    with_names,
)
from stylecine.explanation.shell import Shell, Source
from stylecine.options import CLASSES, parse_size
from stylecine.output.embed import data_url, html_page
from stylecine.output.metadata import versions
from stylecine.output.palette import legend
from stylecine.output.preview import flow_picture, mask_overlay, time_slice
from stylecine.quality.measures import GOALS
from stylecine.version import __version__

MEASURES = {  # of a loop, and their meanings
    "left_out": "of what should move, the share that seems to stand still beside the rest",
    "vividness_moving": "share of the moving area that visibly moves",
    "travel": "how far content travels in one loop, in short sides",
    "moved_error": "how far texture strays from the motion field, relative to it",
    "seam": "step from the last frame to the first over the median step",
    "seam_encoded": "the same in an MP4 of a small copy, decoded",
    "pulse_global": "how much fine contrast varies over the loop",
    "pulse_excess": "how much more its tiles vary than the photo's texture would in passing",
    "foreign_edges": "share of strong edges that only the crossfade between two copies makes",
    "static_drift": "largest difference from the photo where nothing moves",
    "first_frame_error": "largest difference between the first frame and the photo",
    "vividness": "share of the whole picture that visibly moves",
    "malf": "how much less alike frames are within the loop than a loop apart; 0 is a still",
}
PERCENT = ("left_out", "vividness_moving", "vividness", "moved_error", "foreign_edges")


def explanation_html(evidence: Evidence, source: Source, model: str = "default") -> str:
    """The page. source, model: names in its commands."""
    scene, options = evidence.scene, evidence.options
    made_with = {name: scene.settings.get(name, 0) for name in ("refine", "seed")}
    shell = Shell(source, options, _size(scene.settings.get("size")), model=model, **made_with)
    findings = advise(evidence, shell)
    height, width = scene.photo.shape[:2]
    sections = [
        _summary(evidence, findings),
        _findings(findings, _name(source.cine)),
        _inversion(evidence),
        _mask(evidence, source, shell),
        _motion(evidence, shell),
        _measures(evidence),
        _making(evidence),
    ]
    title = html.escape(_name(source.name))
    header = f"<header><h1>{title}</h1><p>{width} × {height} pixels · stylecine {__version__}</p></header>"
    body = "\n".join((header, "<main>", *sections, "</main>"))
    return html_page(f"{title} explained", body, STYLE, policy="default-src 'none'; img-src data:; media-src data:")


# --- sections


def _summary(evidence: Evidence, findings: Sequence[Finding]) -> str:
    photo = picture_url(evidence.scene.photo)
    if evidence.loop is None:
        still = _image(photo, "The photo", evidence)
        return f'<section class="top">{still}<p class="verdict bad">There is no loop.</p></section>'
    picture = _figure_of_loop(evidence, photo)
    wrong = sum(finding.certain for finding in findings)
    unsure = len(findings) - wrong
    passed = [name for name, good in _passes(evidence).items() if good is not None]
    good = sum(_passes(evidence)[name] is True for name in passed)
    moves = float(mask_of(evidence.layers).mean())
    text = f"{good} of {len(passed)} goals are met; {wrong or 'nothing'} to fix, {unsure or 'nothing'} to check."
    kind = "good" if not wrong else "bad"
    verdict = f'<p class="verdict {kind}">{text}</p><p>{moves:.0%} of the photo moves.</p>'
    return f'<section class="top">{picture}{verdict}</section>'


def _figure_of_loop(evidence: Evidence, photo: str) -> str:
    """The video, or the photo for readers who want no motion, and where no video can be written."""
    height, width = evidence.scene.photo.shape[:2]
    size = f'width="{width}" height="{height}"'
    still = f'<img src="{photo}" {size} alt="The photo">'
    if not evidence.video:
        return f"<figure>{still}<figcaption>The photo; no video can be written here.</figcaption></figure>"
    url = data_url("video/mp4", evidence.video)
    video = f'<video src="{url}" {size} aria-label="The loop, small" autoplay muted loop playsinline></video>'
    return f'<figure class="loop">{still}{video}<figcaption>The loop, small, as it is exported.</figcaption></figure>'


def _findings(findings: Sequence[Finding], cine: str) -> str:
    if not findings:
        return "<section><h2>What to do</h2><p>Nothing: no goal is missed, and no prediction is doubtful.</p></section>"
    items = "".join(_finding(finding) for finding in findings)
    hint = "A click selects a command. Strokes are fitted to edges; in the studio, paint over the same places instead."
    hint += f" The commands begin with {html.escape(cine)}, as the studio saves it (Ctrl S)." if cine else ""
    return f'<section><h2>What to do</h2><p class="hint">{hint}</p><ol class="findings">{items}</ol></section>'


def _finding(finding: Finding) -> str:
    kind, label = ("wrong", "fix this") if finding.certain else ("unsure", "check this")
    region = f' <span class="region">{html.escape(finding.region)}</span>' if finding.region else ""
    return (
        f'<li class="{kind}"><h3>{html.escape(finding.title)}{region} <small>{label}</small></h3>'
        f"<p>{html.escape(finding.text)}</p>{_commands(finding.commands)}"
        + "".join(_details(label, lines) for label, lines in finding.more)
        + "</li>"
    )


def _inversion(evidence: Evidence) -> str:
    scene = evidence.scene
    pictures = [
        _image(picture_url(scene.photo), "The photo", evidence),
        _image(picture_url(scene.reconstruction), "The generator's image of it", evidence),
        _image(picture_url(residual_picture(scene.reconstruction, scene.photo)), "The residual, times four", evidence),
    ]
    rows = [
        _row("lpips", scene.score["lpips"], "how different it looks to a network (LPIPS); 0 is equal"),
        _row("psnr", scene.score["psnr"], "how close its pixels are (peak signal-to-noise ratio), dB; more is closer"),
        f"<tr><th scope=row>likeness</th><td>{scene.likeness:.1f}</td><td>≥ {MIN_PHOTO_LIKENESS:g}</td>"
        f"{_verdict(scene.likeness >= MIN_PHOTO_LIKENESS)}"
        "<td>the same for coarse shapes alone, dB; photos of landscapes reach it</td></tr>",
    ]
    share = evidence.options.detail
    note = (
        "The residual is put back into every frame, so none of this is seen in the loop."
        if share == 1 and evidence.options.warp != "dfw"
        else "This loop shows the generator's image, at least in part. The goals are for the mean over many photos."
    )
    return f"<section><h2>Inversion</h2>{_figures(pictures)}{_table(rows)}<p>{note}</p></section>"


def _mask(evidence: Evidence, source: Source, shell: Shell) -> str:
    photo, moving = evidence.scene.photo, mask_of(evidence.layers)
    numbered = [(str(n), region) for n, (region, _) in enumerate(evidence.moving, 1)]
    lettered = list(zip(LETTERS, evidence.doubtful, strict=False))
    overlay = with_names(mask_overlay(photo, evidence.layers), numbered)
    tints = f"{legend()}; the line is the contour at 0.5; grey stands still"
    probability = with_names(probability_picture(photo, 1 - evidence.probabilities[0]), lettered, outlines=True)
    doubt = "Probability of moving before the threshold: blue stands still, white is undecided, red moves"
    pictures = [_image(picture_url(overlay), tints, evidence), _image(picture_url(probability), doubt, evidence)]
    name = html.escape(f"{_name(source.stem)}-mask.png", quote=True)
    link = (
        f'<p><a href="{data_url("image/png", mask_png(moving))}" download="{name}">Save the mask</a> to correct it in'
        f" any image editor, white where it moves, then:</p>{_commands(shell.animate(mask=f'{source.stem}-mask.png'))}"
    )
    soft = float(((moving > 0.02) & (moving < 0.98)).mean())
    rows = [
        f"<tr><th scope=row>{letter}</th><td>{CLASSES[region.moving_class]}</td><td>{region.share:.1%}</td>"
        f"<td>{mean_probability(evidence, region):.0%}</td><td>{'moves' if region.moving else 'stands still'}</td></tr>"
        for letter, region in lettered
    ]
    heads = ("place", "class", "of the photo", "probability of moving", "now")
    doubts = _table(rows, heads) if rows else "<p>No broad place is doubtful.</p>"
    given = "<p>The mask of this loop was given; the probabilities show what the network says.</p>"
    given = "" if evidence.predicted or evidence.cloth_found else given
    text = f"<p>{soft:.1%} of the photo moves in part: its mask is neither 0 nor 1.</p>"
    return f"<section><h2>What moves</h2>{_figures(pictures)}{given}{text}{doubts}{link}</section>"


def _motion(evidence: Evidence, shell: Shell) -> str:
    loop, photo = evidence.loop, evidence.scene.photo
    if loop is None:
        return ""
    moving = mask_of(evidence.layers)
    flow = picture_url(flow_picture(photo, loop.motion, loop.mask, per_second=True))
    pictures = [
        _image(flow, "Direction as hue, speed as length of the arrows; the wheel says the fastest", evidence),
        _image(
            picture_url(disagreement_picture(photo, evidence.disagreement, moving)),
            "Red: the predictions for the photo and for its mirror image point in different directions",
            evidence,
        ),
    ]
    if evidence.vivid is not None:
        vivid = picture_url(vivid_picture(photo, evidence.vivid, moving))
        pictures.append(_image(vivid, "Green is seen to move; violet is too slow or too smooth to be seen", evidence))
    rows = []
    for n, (region, motion) in enumerate(evidence.moving, 1):
        dx, dy = motion.velocity
        rows.append(
            f"<tr><th scope=row>{n}</th><td>{CLASSES[region.moving_class]}</td><td>{region.share:.1%}</td>"
            f"<td>{motion.speed:.0f}</td><td>{heading(dx, dy) if any(motion.velocity) else 'none'}</td>"
            f"<td>{motion.disagreement:.0f}°</td><td>{_percent(motion.vivid)}</td><td>{_percent(motion.smooth)}</td></tr>"
        )
    wrong = "<p>A network can be sure and wrong. If a region should stand still, freeze it:</p>" if rows else ""
    heads = ("region", "class", "of the photo", "px/s, median", "direction", "contradiction", "seen to move", "smooth")
    table = _table(rows, heads) if rows else ""
    return f"<section><h2>Motion</h2>{_figures(pictures)}{table}{wrong}{_stops(evidence, shell)}</section>"


def _stops(evidence: Evidence, shell: Shell) -> str:
    """Commands that make each region stand still, for those that should: a network may be sure, and wrong."""
    return "".join(
        _details(f"Region {n}, {CLASSES[region.moving_class]}, should stand still", freeze_commands(region, shell))
        for n, (region, _) in enumerate(evidence.moving, 1)
    )


def _measures(evidence: Evidence) -> str:
    if evidence.loop is None:
        return ""
    rows = [_row(name, evidence.measures[name], text) for name, text in MEASURES.items() if name in evidence.measures]
    slice_picture = _image(
        picture_url(time_slice(evidence.frames)),
        "One row of the picture over time, downwards, for two loops: drift is slanted, a jump is a cut in the middle",
        evidence,
        keep_size=False,
    )
    heads = ("measure", "figure", "goal", "", "meaning")
    note = "How much of the mask is right, mask_iou and static_kept, needs labels made by hand, so it is not here."
    body = f"{_table(rows, heads)}<p>{note}</p>{_figures([slice_picture])}"
    return f"<section><h2>Measures of the loop</h2>{body}</section>"


def _making(evidence: Evidence) -> str:
    scene = evidence.scene
    seconds = "".join(_pair(stage, f"{taken:.2f}") for stage, taken in evidence.seconds.items())
    settings = {**scene.settings, **evidence.options.describe()}
    options = "".join(_pair(name, value) for name, value in settings.items() if value not in ("", [], None))
    used = {"stylecine": __version__, "model": scene.model.name, **versions(scene.feature.device)}
    libraries = "".join(_pair(name, value) for name, value in used.items())
    return (
        "<section><h2>How it was made</h2><div class=columns>"
        f"<table><caption>Seconds</caption>{seconds}</table><table><caption>Settings</caption>{options}</table>"
        f"<table><caption>Versions</caption>{libraries}</table></div></section>"
    )


# --- parts


def _passes(evidence: Evidence) -> dict[str, bool | None]:
    """Which goals the loop meets; None where a figure is undefined."""
    figures = {name: figure for name, figure in evidence.measures.items() if name in GOALS}
    return {n: None if math.isnan(f) else GOALS[n][0] <= f <= GOALS[n][1] for n, f in figures.items()}


def _row(name: str, figure: float, meaning: str) -> str:
    shown = "–" if math.isnan(figure) else f"{figure:.1%}" if name in PERCENT else f"{figure:.3g}"
    good = None if name not in GOALS or math.isnan(figure) else GOALS[name][0] <= figure <= GOALS[name][1]
    label, cells = name.replace("_", " "), f"<td>{shown}</td><td>{_goal(name)}</td>{_verdict(good)}<td>{meaning}</td>"
    return f"<tr><th scope=row>{label}</th>{cells}</tr>"


def _goal(name: str) -> str:
    if name not in GOALS:
        return ""
    low, high = (f"{bound:.0%}" if name in PERCENT else f"{bound:.3g}" for bound in GOALS[name])
    if GOALS[name][1] in (math.inf, 1.0) and name != "moved_error":
        return f"≥ {low}"
    return f"≤ {high}" if GOALS[name][0] == 0 else f"{low} to {high}"


def _verdict(good: bool | None) -> str:
    if good is None:
        return "<td></td>"
    return '<td class="good">met</td>' if good else '<td class="bad">missed</td>'


def _image(url: str, caption: str, evidence: Evidence, *, keep_size: bool = True) -> str:
    height, width = evidence.scene.photo.shape[:2]
    size = f' width="{width}" height="{height}"' if keep_size else ""
    text = html.escape(caption)
    return f'<figure><img src="{url}"{size} alt="{text}"><figcaption>{text}</figcaption></figure>'


def _figures(figures: Iterable[str]) -> str:
    return f'<div class="figures">{"".join(figures)}</div>'


def _table(rows: Sequence[str], heads: Sequence[str] = ()) -> str:
    head = f"<thead><tr>{''.join(f'<th scope=col>{name}</th>' for name in heads)}</tr></thead>" if heads else ""
    return f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def _commands(lines: Sequence[str]) -> str:
    return f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>" if lines else ""


def _details(label: str, lines: Sequence[str]) -> str:
    return f"<details><summary>{html.escape(label)}</summary>{_commands(lines)}</details>"


def _pair(name: str, value: Any) -> str:
    label = html.escape(name.replace("_", " "))
    return f"<tr><th scope=row>{label}</th><td>{html.escape(printable(value))}</td></tr>"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.0%}"


def _name(name: str) -> str:
    """A file's name, without its folders, that can be shown."""
    return printable(PurePath(name).name.encode("utf-8", "backslashreplace").decode())


def _size(text: Any) -> Any:
    return parse_size(text) if isinstance(text, str) else text


STYLE = """
:root { --good: #1c7c3c; --bad: #b3261e; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --good: #6bd08b; --bad: #ff8a80; --unsure: #ffc06b; } }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem; }
h1 { overflow-wrap: anywhere; }
h2 { margin: 2.4rem 0 0.6rem; font-size: 1.15rem; } h3 { margin: 0; font-size: 1rem; }
p { max-width: 46rem; margin: 0.4rem 0; } .hint, figcaption, small { color: var(--quiet); }
figure { margin: 0; }
figure :is(img, video) { display: block; width: 100%; height: auto; border-radius: 6px; }
.loop img { display: none; }
@media (prefers-reduced-motion: reduce) { .loop img { display: block; } .loop video { display: none; } }
figcaption { margin-top: 0.3rem; font-size: 0.85rem; }
.top { display: grid; grid-template-columns: minmax(0, 34rem); gap: 0.3rem; }
.verdict { margin-top: 0.7rem; font-weight: 600; }
.figures { display: grid; gap: 1rem; margin: 0.8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.good { color: var(--good); } .bad { color: var(--bad); }
.findings { padding: 0; list-style: none; display: grid; gap: 0.8rem; }
.findings li { padding: 0.7rem 1rem; border: 1px solid var(--line); border-left: 4px solid var(--bad);
  border-radius: 6px; }
.findings .unsure { border-left-color: var(--unsure); }
.region { display: inline-block; min-width: 1.5em; padding: 0 0.3em; border-radius: 1em; text-align: center;
  color: Canvas; background: CanvasText; font-size: 0.85em; }
pre { margin: 0.5rem 0 0; padding: 0.6rem 0.8rem; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
  background: color-mix(in srgb, currentColor 7%, transparent); font: 0.85rem/1.5 ui-monospace, monospace;
  user-select: all; }
.wide { overflow-x: auto; } table { font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 1rem 0.3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tbody th { font-weight: 500; } caption { text-align: left; font-weight: 600; }
.wide td { white-space: nowrap; } .wide td:last-child { min-width: 9rem; white-space: normal; }
.columns td { overflow-wrap: anywhere; }
.columns { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: start; }
details { margin: 0.6rem 0; } summary { cursor: pointer; }
"""
