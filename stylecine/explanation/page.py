"""One HTML file that explains a loop. It loads nothing and runs no script."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from stylecine.errors import printable
from stylecine.explanation.advice import LETTERS, Finding, advise, heading, paint_option
from stylecine.explanation.evidence import Evidence
from stylecine.ops.regions import Region
from stylecine.options import CLASSES
from stylecine.output.embed import data_url, escaped, html_page, shrunk, webp
from stylecine.output.notebook import loop_html
from stylecine.output.palette import legend
from stylecine.output.preview import flow_picture, mask_overlay, time_slice
from stylecine.perception.layers import moving
from stylecine.picture.photo import encode_png
from stylecine.quality.measures import GOALS
from stylecine.version import __version__

SIDE = 960  # pixels of a picture's long side
QUALITY = 80  # of pictures, as WebP
LIKELY = ((30, 40, 90), (60, 110, 190), (235, 235, 225), (240, 160, 60), (190, 30, 40))  # dark blue, white, red
CONTRADICTING = ((128, 128, 128), (255, 0, 0))
VIVID = ((150, 60, 190), (60, 190, 90))  # violet, green
MEASURES = {  # and their meanings
    "vividness_moving": "share of the moving area that visibly moves",
    "travel": "how far content travels in one loop, in short sides",
    "moved_error": "how far texture strays from the motion field, relative to it",
    "seam": "step from the last frame to the first over the median step",
    "pulse_global": "how much fine contrast varies over the loop",
    "pulse_excess": "how much more its tiles vary than the photo's texture would in passing",
    "static_drift": "largest difference from the photo where nothing moves",
    "first_frame_error": "largest difference between the first frame and the photo",
    "vividness": "share of the whole picture that visibly moves",
    "malf": "how much less alike frames are within the loop than a loop apart; 0 is a still",
}
REGION = ("region", "class", "of the photo", "px/s, median", "direction", "contradiction", "seen to move", "smooth")


def explanation_html(evidence: Evidence, name: str, cine: str = "") -> str:
    """The page. name: of the photo's file; cine: of the scene's, if there is one."""
    findings, loop = advise(evidence), evidence.loop
    height, width = evidence.scene.photo.shape[:2]
    title = escaped(PurePath(name).name)
    parts = [
        f"<header><h1>{title}</h1><p>{width} × {height} pixels · stylecine {__version__}</p></header>",
        *("<main>", _summary(evidence, findings)),
        *("<h2>What to do</h2>", _findings(findings, name, cine)),
        *("<h2>What moves</h2>", _regions(evidence, f"{PurePath(name).stem}-mask.png")),
        *("<h2>Measures</h2>", _measures(evidence)),
        *("<h2>Pictures</h2><div class=figures>", *(_figure(*picture) for picture in _pictures(evidence)), "</div>"),
    ]
    if loop is not None:
        parts += ["<h2>How it was made</h2>", _details("Report", json.dumps(loop.report(), indent=1))]
    body = "\n".join((*parts, "</main>"))
    return html_page(f"{title} explained", body, STYLE, policy="default-src 'none'; img-src data:; media-src data:")


# --- sections


def _summary(evidence: Evidence, findings: Sequence[Finding]) -> str:
    loop = evidence.loop
    if loop is None:
        return f"{_figure(evidence.scene.photo, 'The photo')}<p class=bad>There is no loop.</p>"
    goals = evidence.reached.values()
    wrong = sum(finding.certain for finding in findings)
    unsure = len(findings) - wrong
    text = f"{sum(goals)} of {len(goals)} goals are met; {wrong or 'nothing'} to fix, {unsure or 'nothing'} to check."
    moves = f"{float(moving(evidence.layers).mean()):.0%} of the photo moves."
    video = loop_html(loop.opaque, len(loop), loop.fps, "The loop, small")
    return f"{video}<p class={'bad' if wrong else 'good'}>{text}</p><p>{moves}</p>"


def _findings(findings: Sequence[Finding], name: str, cine: str) -> str:
    if not findings:
        return "<p>Nothing: no goal is missed, and no prediction is doubtful.</p>"
    stem = PurePath(name).stem
    scene, video = _typed(cine or f"{stem}.cine"), _typed(f"{stem}.mp4")
    first = "" if cine else f"stylecine scene {_typed(name)} -o {scene}\n"
    return (
        "<p>Add an option, which a click selects, to the command that made the loop. --freeze and --add paint on a"
        " scene; in the studio, paint over the same places instead.</p>"
        + _code(f"{first}stylecine edit {scene} --freeze …\nstylecine render {scene} -o {video}")
        + f"<ol>{''.join(map(_finding, findings))}</ol>"
    )


def _finding(finding: Finding) -> str:
    kind, label = ("bad", "fix this") if finding.certain else ("unsure", "check this")
    return (
        f"<li class={kind}><h3>{escaped(finding.title)} <small>{label}</small></h3><p>{escaped(finding.text)}</p>"
        + (_code(finding.option) if finding.option else "")
        + "".join(_details(case, option) for case, option in finding.more)
        + "</li>"
    )


def _regions(evidence: Evidence, mask_name: str) -> str:
    """mask_name: of the file that is saved."""
    rows, stops = [], ""
    for n, region in enumerate(evidence.regions, 1):
        name = CLASSES[region.moving_class]
        way = heading(*region.velocity) if any(region.velocity) else "none"
        shares = f"{region.disagreement:.0f}°", f"{region.vivid:.0%}", f"{region.smooth:.0%}"
        rows.append((str(n), name, f"{region.share:.1%}", f"{region.speed:.0f}", way, *shares))
        stops += _details(f"Region {n}, {name}, should stand still", paint_option(region, "freeze"))
    found = f"{_table(REGION, rows)}<p>A network can be sure and wrong.</p>{stops}" if rows else ""
    mask = encode_png(np.rint(255 * moving(evidence.layers).numpy()).astype(np.uint8))
    link = f'<a href="{data_url("image/png", mask)}" download="{escaped(mask_name)}">Save the mask</a>'
    then = f"{link} to correct it in any image editor, white where it moves, then add"
    return f"{found}<p>{then}</p>{_code(f'--mask {_typed(mask_name)}')}"


def _measures(evidence: Evidence) -> str:
    figures, rows = evidence.measures, []
    for name, meaning in MEASURES.items():
        if name in figures:
            goal = "{:.3g} to {:.3g}".format(*GOALS[name]) if name in GOALS else ""
            met = {True: "met", False: "<strong>missed</strong>", None: ""}[evidence.reached.get(name)]
            figure = f"{figures[name]:.3g}".replace("nan", "–")
            rows.append((name.replace("_", " "), figure, goal.replace("to inf", "or more"), met, meaning))
    return _table(("measure", "figure", "goal", "", "meaning"), rows)


# --- pictures


def _pictures(evidence: Evidence) -> Iterator[tuple[np.ndarray, str]]:
    """Each with its caption."""
    scene, loop, layers = evidence.scene, evidence.loop, evidence.layers
    photo, moves = scene.photo, moving(layers).numpy()
    numbered = ((str(n), region) for n, region in enumerate(evidence.regions, 1))
    yield with_names(mask_overlay(photo, layers), numbered), f"What moves: {legend()}; grey stands still"
    lettered = zip(LETTERS, evidence.doubtful, strict=False)
    probability = with_names(tinted(photo, 1 - evidence.probabilities[0], LIKELY, 0.6), lettered)
    yield probability, "Probability of moving, to the network: blue stands still, white is undecided, red moves"
    if loop is not None and loop.scenery is not None and evidence.vivid is not None:
        flow = flow_picture(photo, loop.motion, loop.mask, per_second=True)
        yield flow, "Direction as hue, speed as length of the arrows; the wheel says the fastest"
        contradiction = tinted(photo, torch.from_numpy(loop.scenery.disagreement) / 180, CONTRADICTING, 0.8 * moves)
        yield contradiction, "Red: the predictions for the photo and for its mirror image point in different directions"
        vivid = tinted(photo, evidence.vivid, VIVID, 0.55 * moves)
        yield vivid, "Green is seen to move; violet is too slow or too smooth to be seen"
        time = "One row of the picture over time, downwards, for two loops: drift is slanted, a jump is a cut"
        yield time_slice(loop), f"{time} in the middle"
    yield photo, "The photo"
    yield scene.reconstruction, "The generator's image of it"
    residual = np.clip(128 + 4 * (photo.astype(np.float32) - scene.reconstruction), 0, 255).astype(np.uint8)
    yield residual, "The residual, times four; every frame has it, unless warp is dfw or detail below 1"


def tinted(photo: np.ndarray, values: Tensor, ramp: Sequence[Sequence[int]], share: np.ndarray | float) -> np.ndarray:
    """Values [h,w] in [0,1] over the photo in grey, uint8 [H,W,3]. ramp: colours of the values from 0 to 1. share: of
    the colour, [H,W]."""
    at = F.interpolate(values[None, None], photo.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()
    places = np.linspace(0, 1, len(ramp))
    colour = np.stack([np.interp(at, places, channel) for channel in zip(*ramp, strict=True)], axis=-1)
    grey = photo.mean(-1, keepdims=True)
    picture = grey + np.broadcast_to(share, at.shape)[..., None] * (colour - grey)
    return np.rint(picture).astype(np.uint8)


def with_names(picture: np.ndarray, regions: Iterable[tuple[str, Region]]) -> np.ndarray:
    """The picture with the outline of each region and a name at its centre: uint8 [H,W,3]."""
    image = Image.fromarray(shrunk(picture, (SIDE, SIDE)))
    draw = ImageDraw.Draw(image)
    for name, region in regions:
        inside = np.asarray(Image.fromarray(region.mask).resize(image.size, Image.Resampling.NEAREST))
        edge = inside & ~ndimage.binary_erosion(inside, iterations=2)
        image.paste((255, 255, 255), (0, 0), Image.fromarray(edge))
        x, y = region.centre[0] * image.width, region.centre[1] * image.height
        draw.ellipse((x - 13, y - 13, x + 13, y + 13), fill=(20, 20, 24), outline="white", width=2)
        draw.text((x, y), name, fill="white", anchor="mm", font_size=17)
    return np.asarray(image)


# --- HTML


def _figure(picture: np.ndarray, caption: str) -> str:
    url = data_url("image/webp", webp(shrunk(picture, (SIDE, SIDE)), QUALITY))
    return f'<figure><img src="{url}" alt="{escaped(caption)}"><figcaption>{escaped(caption)}</figcaption></figure>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in heads)
    body = "".join(
        f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>" for first, *rest in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _details(label: str, text: str) -> str:
    return f"<details><summary>{escaped(label)}</summary>{_code(text)}</details>"


def _code(text: str) -> str:
    return "<pre><code>" + "\n".join(map(escaped, text.split("\n"))) + "</code></pre>"


def _typed(name: str) -> str:
    """A file's name as one types it: no terminal obeys it, and no command takes it for an option."""
    shown = printable(name)
    return shlex.quote(f"./{shown}" if shown.startswith("-") else shown)


STYLE = """
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem; }
h1 { overflow-wrap: anywhere; } h2 { margin: 2.4rem 0 0.6rem; } h3 { margin: 0; font-size: 1rem; }
p { max-width: 46rem; } figcaption, small { color: var(--quiet); }
figure { margin: 0; } figure img { max-width: 100%; border-radius: 6px; }
@media (prefers-reduced-motion: reduce) { video { display: none; } }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.good { color: light-dark(#1c7c3c, #6bd08b); } .bad { color: light-dark(#b3261e, #ff8a80); }
.unsure { color: light-dark(#8a5a00, #ffc06b); }
ol { padding: 0; list-style: none; } li { padding: 0 1rem; margin: 1rem 0; border-left: 4px solid; }
li > * { color: CanvasText; }
pre { padding: 0.6rem 0.8rem; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all;
  background: color-mix(in srgb, currentColor 7%, transparent); }
.wide { overflow-x: auto; }
th, td { padding: 0.3rem 1rem 0.3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
"""
