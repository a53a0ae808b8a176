"""Touches up a scene.

Adds edits to it, in the order given. A STROKE is 'X,Y X,Y ... [@RADIUS]', in fractions of width and height and of the
short side, or an image that is white inside the area.
"""

import argparse
import os
import re
from functools import partial
from typing import Any, Literal, TypeAlias

from stylecine.commands.arguments import argument, as_path
from stylecine.commands.console import say
from stylecine.commands.early import check_given
from stylecine.edits.cine_name import check_suffix
from stylecine.errors import printable
from stylecine.options import parse_arrow

Step: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]  # a method of Scene and its arguments


def add_arguments(edit: argparse.ArgumentParser) -> None:
    edit.set_defaults(steps=[])
    edit.add_argument("scene", metavar="SCENE", type=as_path, help=".cine file")
    edit.add_argument("-o", "--output", metavar="OUT", type=as_path, help="another .cine file (default: the same)")
    for name, metavar, parse, explanation in (
        ("--add", "CLASS:STROKE", partial(_parse_paint, "add"), "sky, water, falls, smoke or cloth moves there"),
        ("--erase", "[CLASS:]STROKE", partial(_parse_paint, "erase"), "that class, or nothing at all, moves there"),
        ("--freeze", "STROKE", partial(_parse_paint, "freeze"), "nothing moves there: the photo's own bytes"),
        ("--arrow", "X0,Y0,X1,Y1", _parse_push, "what is at the start travels to the end in one second"),
        ("--anchor", "X,Y[@RADIUS]", _parse_anchor, "nothing moves at that point, less around it"),
        ("--speed", "WHAT=FACTOR", _parse_speed, "speed of a class or a STROKE, times 0 to 10; below 0 it is reversed"),
        ("--style", "STYLE[=STRENGTH][,drift]", _parse_style, "another appearance, by name or of a photo; 0 to 1"),
    ):
        edit.add_argument(name, metavar=metavar, type=parse, action="append", dest="steps", help=explanation)
    edit.add_argument("--undo", action="append_const", const=("undo", (), {}), dest="steps", help="undo the last edit")
    edit.add_argument("--list", action="store_true", help="print the edits")


def run(options: argparse.Namespace, start: float) -> int:
    check_given(options)
    output = options.output or options.scene
    written = bool(options.steps) or output != options.scene
    if written:
        check_suffix(output)

    from stylecine.edits.model import to_option
    from stylecine.edits.scene_file import Cine, edit_cine, read_cine

    def edited(scene: Cine) -> Cine:
        for method, values, keywords in options.steps:
            scene = getattr(scene, method)(*values, **keywords)
        return scene

    if written:
        scene = edit_cine(options.scene, edited, output)
    else:
        scene = read_cine(options.scene)
    if options.list:
        say("".join(f"{to_option(edit)}\n" for edit in scene.edits), end="")
    else:
        say(f"{printable(output)}: {len(scene.edits)} edit{'' if len(scene.edits) == 1 else 's'}")
    return 0


def _parse_paint(mode: Literal["add", "erase", "freeze"], text: str) -> Step:
    prefix = re.match(r"([A-Za-z]{2,}):", text)  # one letter is a drive, C:\
    what = prefix[1] if prefix else None
    where, radius = _parse_stroke(text[prefix.end() if prefix else 0 :])
    if mode == "add" and what is None:
        raise argparse.ArgumentTypeError(f"{text!r} does not say what to add; put a class before it, like water:")
    if mode == "freeze" and what not in (None, "all"):
        raise argparse.ArgumentTypeError(f"{text!r} names a class, but all is frozen; leave it out, or use --erase")
    return "paint", (None if mode == "freeze" else what, where), {"mode": mode} | radius


def _parse_push(text: str) -> Step:
    return "push", (argument(parse_arrow)(text),), {}


def _parse_anchor(text: str) -> Step:
    points, options = _parse_points(text)
    if len(points) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a point like 0.4,0.6, or 0.4,0.6@0.1 with its radius")
    return "anchor", (points[0],), options


def _parse_speed(text: str) -> Step:
    what, _, factor = text.rpartition("=")
    try:
        times = float(factor)
    except ValueError:
        what = ""
    if not what:
        raise argparse.ArgumentTypeError(f"{text!r} is not like water=0.5")
    where, options = (what, {}) if what.isalpha() else _parse_stroke(what)
    return "speed", (where, times), options


def _parse_style(text: str) -> Step:
    named = text.removesuffix(",drift")
    name, equals, strength = named.rpartition("=")
    if not equals or os.path.exists(named):
        name, strength = named, "1"
    try:
        return "style", (name, float(strength)), {"drift": named != text}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like dusk, dusk=0.7 or dusk=0.7,drift") from None


def _parse_stroke(text: str) -> tuple[Any, dict[str, float]]:
    """The points and the radius of a stroke, or the name of a mask's file."""
    points, options = _parse_points(text)
    if not points and not os.path.exists(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a stroke like '0.4,0.6 0.5,0.6 @0.03', where no space follows a comma,"
            " nor a file that exists"
        )
    return points or text, options


def _parse_points(text: str) -> tuple[list[list[float]], dict[str, float]]:
    """The points and the radius of 'X,Y X,Y ... [@RADIUS]'; no points for anything else."""
    line, at, radius = text.partition("@")
    try:
        points = [[float(number) for number in pair.split(",")] for pair in line.split()]
        options = {"radius": float(radius)} if at else {}
    except ValueError:
        return [], {}
    return (points, options) if all(len(point) == 2 for point in points) else ([], {})
