"""What to do about a loop that may disappoint: each finding in plain words, with options that are ready to copy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stylecine.edits.model import Area, Paint, Push, to_option
from stylecine.edits.strokes import cover_region
from stylecine.explanation.evidence import Evidence
from stylecine.ops.image import resize
from stylecine.ops.regions import Region
from stylecine.options import CLASSES, FALLS
from stylecine.perception.doubt import Doubt

CONTRADICTION = 90.0  # degrees between two predictions, above which the direction is a guess
STILL = 0.6  # vividness below which a region seems to stand still
SMOOTH = 0.5  # share of a region without texture, above which nothing can make it seem to move
NOTICED_PULSE = 0.05  # of contrast
LETTERS = "ABCDEFGH"  # of doubtful places
MANY_DOUBTS = 0.25  # of the area that moves
EVEN_FASTER = {"calm": "natural", "natural": "lively"}


@dataclass(frozen=True)
class Finding:
    """title: what is wrong or doubtful. text: why, and what to do. option: of the command line, that does it. certain:
    something is wrong, not only perhaps. more: further cases, each with its option."""

    title: str
    text: str
    option: str = ""
    certain: bool = True
    more: Sequence[tuple[str, str]] = ()


def advise(evidence: Evidence) -> list[Finding]:
    """Everything worth knowing, what is certainly wrong first."""
    found = []
    if evidence.loop is None:
        found.append(Finding("Nothing moves", evidence.problem, "--mask mask.png"))
    elif evidence.loop.warning:
        found.append(Finding("The loop may disappoint", evidence.loop.warning))
    found += [*_doubtful(evidence), *_measures(evidence), *_directions(evidence)]  # a right mask may mend what follows
    return sorted(found, key=lambda finding: not finding.certain)


def paint_option(region: Region, mode: Literal["add", "freeze"]) -> str:
    """The edit that makes a region move as its class does, or stand still."""
    stroke, radius = cover_region(region.mask)
    area = Area(tuple(stroke), radius, 0, 0, np.uint8(255) * region.mask)
    return to_option(Paint(CLASSES[region.moving_class] if mode == "add" else None, mode, area))


def heading(dx: float, dy: float) -> str:
    """A direction in words: x right, y down."""
    names = ("right", "down and right", "down", "down and left", "left", "up and left", "up", "up and right")
    return names[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def _doubtful(evidence: Evidence) -> Iterator[Finding]:
    """One finding for all doubtful places. Where they are many, what moves may be wrong as well."""
    if not evidence.doubtful:
        return
    places = list(zip(LETTERS, evidence.doubtful, strict=False))
    share, moves = sum(place.share for _, place in places), float(evidence.layers.amax(0).mean())
    many = share > MANY_DOUBTS * moves
    text = f"Together {share:.1%} of the photo, marked in the picture of probabilities below."
    text += " With so much doubt the numbered regions may be wrong too: look at them first." if many else ""
    count = f"{len(places)} place{'s' if len(places) > 1 else ''}"
    more = [_doubt(letter, place, evidence) for letter, place in places]
    yield Finding(f"The mask is unsure about {count}", text, certain=many, more=more)


def _doubt(letter: str, place: Doubt, evidence: Evidence) -> tuple[str, str]:
    moves = 1 - resize(evidence.probabilities[:1], place.mask.shape)[0].numpy()
    sure = f"{place.share:.1%} of the photo, {moves[place.mask].mean():.0%} likely to move"
    if place.moving:
        return f"{letter}, {sure}, should stand still", paint_option(place, "freeze")
    return f"{letter}, {sure}, should move, as {CLASSES[place.moving_class]}", paint_option(place, "add")


def _measures(evidence: Evidence) -> Iterator[Finding]:
    figures, options = evidence.measures, evidence.options
    missed = {name for name, good in evidence.reached.items() if not good}
    faster = list(_vividness(evidence)) if "vividness_moving" in missed else []
    if "travel" in missed:
        faster.append(Finding("Hardly anything travels", "Ask for more speed.", f"--speed {2 * options.speed:g}"))
    yield from faster
    if "moved_error" in missed:
        shorter = max(1.0, 0.6 * options.seconds)
        yield Finding(
            "Texture does not follow the motion field",
            "It is off most where currents meet or cross a border. A shorter loop strays less; an arrow straightens a"
            " current.",
            f"--seconds {shorter:g}" if shorter < options.seconds else "",
        )
    if missed & {"pulse_global", "pulse_excess"}:
        falls = any(region.moving_class == FALLS for region in evidence.regions)
        calmer, option = "Falls differ less at a calm pace.", "--pace calm"
        if any(finding.option.startswith(("--pace", "--speed")) for finding in faster):  # the opposite
            calmer, option = "A calmer pace would lessen it, but motion that is hardly seen matters more.", ""
        elif not falls:
            calmer = "A calm pace helps a little; up to 5% few people notice."
        yield Finding(
            "Contrast rises and falls within the loop",
            f"Two copies of the texture crossfade, and differ. {calmer}",
            option,
            certain=bool(option) and (falls or figures["pulse_global"] > NOTICED_PULSE),
        )
    if "seam" in missed:
        yield Finding(
            "The step at the seam is unlike the others",
            "Small or almost smooth areas exaggerate it: look at the slice over time below, where a seam that can be"
            " seen is a cut in the middle.",
            certain=False,
        )
    if missed & {"static_drift", "first_frame_error"}:
        text = "A style or a detail below 1 does that; leave them out to keep the photo's own bytes."
        yield Finding("Still parts differ from the photo", text)


def _vividness(evidence: Evidence) -> Iterator[Finding]:
    """About regions that seem to stand still: slow ones, and those without texture, which do whatever one asks for."""
    still = [(str(n), region) for n, region in enumerate(evidence.regions, 1) if region.vivid < STILL]
    slow = [n for n, region in still if region.smooth <= SMOOTH]
    smooth = [n for n, region in still if region.smooth > SMOOTH]
    if slow or not smooth:
        pace = EVEN_FASTER.get(evidence.options.pace)
        option = f"--pace {pace}" if pace else f"--speed {1.5 * evidence.options.speed:g}"
        where = f"Slow: {_named(slow)}. " if slow else ""
        yield Finding(
            "Part of it hardly seems to move", f"{where}A faster pace shows more.", option, certain=bool(slow)
        )
    if smooth:
        text = f"In {_named(smooth)} there is hardly any texture, so that no motion can be seen. Nothing is wrong; a"
        text += " crop to what moves shows more of it."
        yield Finding("Smooth areas do not seem to move", text, "--crop 1:1", certain=False)


def _directions(evidence: Evidence) -> Iterator[Finding]:
    if evidence.options.motion is not None:
        return
    height, width = evidence.scene.photo.shape[:2]
    for number, region in enumerate(evidence.regions, 1):
        if not (region.ambiguous or region.disagreement > CONTRADICTION) or not any(region.velocity):
            continue
        (x, y), (dx, dy) = region.centre, region.velocity
        turned = x, y, x - dx / width, y - dy / height  # as fast as the motion at its centre
        if region.ambiguous:
            why = "It could as well run the other way, so it runs slower than it would otherwise."
        else:
            why = f"The predictions for the photo and for its mirror image differ by {region.disagreement:.0f}° there."
        yield Finding(
            f"The direction of the {CLASSES[region.moving_class]} in region {number} is a guess",
            f"{why} It moves {heading(dx, dy)}; if it should not, this arrow turns it round.",
            to_option(Push(tuple(round(value, 3) for value in turned))),
            certain=False,
        )


def _named(numbers: Sequence[str]) -> str:
    return f"region{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
