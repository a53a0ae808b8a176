"""What to do about a loop that may disappoint: each finding in plain words, with commands that are ready to copy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stylecine.edits.strokes import cover_region
from stylecine.explanation.evidence import Evidence, Motion
from stylecine.explanation.shell import Shell, arrow_text, stroke_text
from stylecine.ops.image import resize
from stylecine.ops.regions import Region
from stylecine.options import CLASSES, FALLS, UNSTYLED
from stylecine.quality.measures import GOALS

CONTRADICTION = 90.0  # degrees between two predictions, above which the direction is a guess
STILL = 0.6  # vividness below which a region seems to stand still
SMOOTH = 0.5  # share of a region without texture, above which nothing can make it seem to move
NOTICED_PULSE = 0.05  # of contrast
CALMER = "A calm pace helps a little; up to 5% few people notice."
ARROW_SECONDS = 1.0  # of travel that an arrow says
LETTERS = "ABCDEFGH"  # of doubtful places
MANY_DOUBTS = 0.25  # of the area that moves
PER_PHOTO = ("lpips", "psnr")  # figures of the inversion, not of the loop
EVEN_FASTER = {"calm": "natural", "natural": "lively"}


@dataclass(frozen=True)
class Finding:
    """title: what is wrong or doubtful. text: why, and what to do. commands: lines to copy. region: its number on the
    page, if it is about one. certain: something is wrong, not only perhaps. more: further cases with their lines."""

    title: str
    text: str
    commands: Sequence[str] = ()
    region: str = ""
    certain: bool = True
    more: Sequence[tuple[str, Sequence[str]]] = ()


def advise(evidence: Evidence, shell: Shell) -> list[Finding]:
    """Everything worth knowing, what is certainly wrong first."""
    found = [
        *_warnings(evidence, shell),
        *_doubtful(evidence, shell),  # before what a right mask may mend
        *_measures(evidence, shell),
        *_directions(evidence, shell),
        *_inversion(evidence, shell),
    ]
    return sorted(found, key=lambda finding: not finding.certain)


def freeze_commands(region: Region, shell: Shell) -> list[str]:
    """Lines that make a region stand still."""
    return shell.edit("--freeze", stroke_text(cover_region(region.mask)))


def add_commands(region: Region, shell: Shell) -> list[str]:
    """Lines that make a region move as its class does."""
    return shell.edit("--add", f"{CLASSES[region.moving_class]}:{stroke_text(cover_region(region.mask))}")


def reverse_arrow(region: Region, motion: Motion, width: int, height: int) -> str:
    """An arrow against the predicted motion at a region's centre, as fast as that."""
    (x, y), (dx, dy) = region.centre, motion.velocity
    return arrow_text((x, y, x - dx * ARROW_SECONDS / width, y - dy * ARROW_SECONDS / height))


def _warnings(evidence: Evidence, shell: Shell) -> Iterator[Finding]:
    by_hand = shell.animate(mask="mask.png")
    if evidence.problem:
        text = f"{evidence.problem} The mask is a picture of any size, white where it moves."
        yield Finding("Nothing moves", text, by_hand)
    elif evidence.loop is not None and evidence.loop.warning:
        lines = by_hand if evidence.predicted or evidence.cloth_found else shell.animate(detail=1.0, warp="msdfw")
        loop = evidence.loop
        if loop.warning in (loop.mask_warning, loop.scene.photo_warning):  # places are frozen one by one
            lines = []
        yield Finding("The loop may disappoint", evidence.loop.warning, lines)


def _measures(evidence: Evidence, shell: Shell) -> Iterator[Finding]:
    figures = evidence.measures
    missed = {name for name, (low, high) in GOALS.items() if name in figures and not low <= figures[name] <= high}
    slow, smooth = _seem_still(evidence)
    too_slow = "vividness_moving" in missed and (bool(slow) or not smooth)
    if "vividness_moving" in missed:
        yield from _vividness(evidence, shell, slow, smooth)
    if "moved_error" in missed and not math.isnan(figures["moved_error"]):
        shorter = max(1.0, 0.6 * shell.options.seconds)
        yield Finding(
            "Texture does not follow the motion field",
            f"It is off by {figures['moved_error']:.0%} in the median, most where currents meet or cross a border. A"
            " shorter loop strays less; an arrow straightens a current.",
            shell.animate(seconds=shorter),
        )
    if "travel" in missed and not math.isnan(figures["travel"]):
        too_slow = True
        yield Finding("Hardly anything travels", "Ask for more speed.", shell.animate(speed=2 * shell.options.speed))
    if missed & {"pulse_global", "pulse_excess"} and not math.isnan(figures["pulse_global"]):
        excess = figures.get("pulse_excess", 0.0)
        tiles = f" Its tiles vary by {excess:.0%} more than passing texture would; the goal is 10%."
        falls = any(region.moving_class == FALLS for region, _ in evidence.moving)
        calmer, lines = "Falls differ less at a calm pace." if falls else CALMER, shell.animate(pace="calm")
        if too_slow:  # the opposite was advised above
            calmer, lines = "A calmer pace would lessen it, but motion that is hardly seen matters more.", []
        yield Finding(
            "Contrast rises and falls within the loop",
            f"By {figures['pulse_global']:.1%} in all that moves; the goal is 3%.{tiles if excess > 0.1 else ''} Two"
            f" copies of the texture crossfade, and differ. {calmer}",
            lines,
            certain=bool(lines) and (falls or figures["pulse_global"] > NOTICED_PULSE),
        )
    if "seam" in missed and not math.isnan(figures["seam"]):
        yield Finding(
            "The step at the seam is unlike the others",
            f"It is {figures['seam']:.2f} times the median step. Small or almost smooth areas exaggerate it: look at"
            " the slice over time below, where a seam that can be seen is a cut in the middle.",
            certain=False,
        )
    if "seam_encoded" in missed and not math.isnan(figures["seam_encoded"]):
        yield Finding(
            "The encoded video jumps at the seam",
            f"By {figures['seam_encoded']:.1f} times the median step; a better quality makes the jump smaller.",
            [f"{line} --quality 10" for line in shell.animate()],
        )
    if missed & {"static_drift", "first_frame_error"}:
        yield Finding(
            "Still parts differ from the photo",
            "A style or a detail below 1 does that; leave them out to keep the photo's own bytes.",
            shell.animate(detail=1.0, **UNSTYLED),
        )


def _seem_still(evidence: Evidence) -> tuple[list[str], list[str]]:
    """The regions that seem to stand still: slow ones, and those without texture, which do whatever one asks for."""
    still = [(str(n), motion) for n, (_, motion) in enumerate(evidence.moving, 1) if motion.vivid < STILL]
    return [n for n, motion in still if motion.smooth <= SMOOTH], [n for n, motion in still if motion.smooth > SMOOTH]


def _vividness(evidence: Evidence, shell: Shell, slow: Sequence[str], smooth: Sequence[str]) -> Iterator[Finding]:
    share = f"{evidence.measures['vividness_moving']:.0%} of what moves is seen to move; the goal is 85%."
    if slow or not smooth:
        pace = EVEN_FASTER.get(shell.options.pace)
        lines = shell.animate(pace=pace) if pace else shell.animate(speed=1.5 * shell.options.speed)
        where = f" Slow: {_regions(slow)}." if slow else ""
        text = f"{share}{where} A faster pace shows more."
        yield Finding("Part of it hardly seems to move", text, lines, certain=bool(slow))
    if smooth:
        have = "has" if len(smooth) == 1 else "have"
        text = f"{share} Of that, {_regions(smooth)} {have} hardly any texture, in which no motion can be seen. Nothing"
        text += " is wrong; a crop to what moves shows more of it."
        lines = [f"{line} --crop 1:1" for line in shell.animate()]
        yield Finding("Smooth areas do not seem to move", text, lines, certain=False)


def _directions(evidence: Evidence, shell: Shell) -> Iterator[Finding]:
    height, width = evidence.scene.photo.shape[:2]
    if evidence.options.motion is not None:
        return
    for number, (region, motion) in enumerate(evidence.moving, 1):
        if not (motion.ambiguous or motion.disagreement > CONTRADICTION) or not any(motion.velocity):
            continue
        name = CLASSES[region.moving_class]
        if motion.ambiguous:
            why = "It could as well run the other way, so it runs slower than it would otherwise."
        else:
            why = f"The predictions for the photo and for its mirror image differ by {motion.disagreement:.0f}° there."
        yield Finding(
            f"The direction of the {name} is a guess",
            f"{why} It moves {heading(*motion.velocity)}; if it should not, this arrow turns it round.",
            shell.animate(arrows=[*shell.options.arrows, _numbers(reverse_arrow(region, motion, width, height))])
            if not shell.source.cine
            else shell.edit("--arrow", reverse_arrow(region, motion, width, height)),
            region=str(number),
            certain=False,
        )


def _doubtful(evidence: Evidence, shell: Shell) -> Iterator[Finding]:
    """One finding for all doubtful places. Where they are many, what moves may be wrong as well."""
    if not evidence.doubtful:
        return
    places = list(zip(LETTERS, evidence.doubtful, strict=False))
    share, moves = sum(region.share for _, region in places), float(evidence.layers.amax(0).mean())
    many = share > MANY_DOUBTS * moves
    text = f"Together {share:.1%} of the photo, marked in the picture of probabilities below."
    text += " With so much doubt the numbered regions may be wrong too: look at them first." if many else ""
    left_out = [letter for letter, place in places if place in evidence.left_out]
    if left_out:
        text += f" Beside {', '.join(left_out)} the same thing moves, so that a part of it seems to have stopped."
    more = [
        (f"{letter} should stand still", freeze_commands(place, shell))
        if place.moving
        else (f"{letter} should move, as {CLASSES[place.moving_class]}", add_commands(place, shell))
        for letter, place in places
    ]
    count = f"{len(places)} place{'s' if len(places) > 1 else ''}"
    halved = evidence.measures.get("left_out", 0.0) > GOALS["left_out"][1]
    yield Finding(f"The mask is unsure about {count}", text, more=more, certain=many or halved)


def _inversion(evidence: Evidence, shell: Shell) -> Iterator[Finding]:
    score = evidence.scene.score
    missed = [name for name in PER_PHOTO if not GOALS[name][0] <= score[name] <= GOALS[name][1]]
    if missed and (shell.options.detail < 1 or shell.options.warp == "dfw"):
        yield Finding(
            "The generator does not reproduce this photo well",
            f"A network sees a difference of {score['lpips']:.3f} (LPIPS, 0 is none), pixels agree to"
            f" {score['psnr']:.1f} dB (PSNR, more is better), and this loop shows its own image. Refine the inversion,"
            " or put the photo's residual back with detail 1.",
            shell.animate(refine=60),
        )


def mean_probability(evidence: Evidence, region: Region) -> float:
    """That a region moves."""
    moves = 1 - resize(evidence.probabilities[:1], region.mask.shape)[0].numpy()
    return float(moves[region.mask].mean())


def heading(dx: float, dy: float) -> str:
    """A direction in words: x right, y down."""
    names = ("right", "down and right", "down", "down and left", "left", "up and left", "up", "up and right")
    return names[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def _regions(numbers: Sequence[str]) -> str:
    return f"region{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _numbers(arrow: str) -> tuple[float, ...]:
    return tuple(float(value) for value in arrow.split(","))
