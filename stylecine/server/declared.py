"""What the studio's page offers, from where the rest of the package has it; app.py serves it as /studio/declared.js."""

import json
from dataclasses import asdict
from typing import Any

from stylecine.machine.progress import STAGES
from stylecine.options import CLASSES, MAX_WAY, PAINTS, PRESETS, defaults_and_limits
from stylecine.output.codecs import CODECS, CONTAINERS
from stylecine.output.formats import FORMATS, Format, MovingPhoto, Video
from stylecine.output.palette import SHOWN


def _tool(id: str, key: str, name: str, hint: str, gesture: str = "", radius: float = 0, **edit: Any) -> dict[str, Any]:
    """gesture: "stroke", "arrow" or "point". radius: at first, of the short side. edit: what is always in its edits."""
    return {"id": id, "key": key, "name": name, "hint": hint, "gesture": gesture, "radius": radius, "edit": edit}


PRESET_NAMES = {"story": "Stories and reels, 9:16", "post": "Posts, 4:5", "wallpaper": "Wallpapers of phones, 9:16"}
FIRST_SIZE = 160  # short side of the loop that is shown until the scene is ready: small, so that it moves soon
PAINT = "Paint roughly over what should move; strokes snap to its edges."
ERASE = "Paint over what was found to move but should not."
FREEZE = "Paint over what must stand still: a rock, a boat, a pier."
PUSH = "Drag along the way things should go in one second, straight or curved. Short is slow."
ANCHOR = "Click a point that should rest; drag to set how far the calm reaches."
TOOLS = (
    _tool("view", "v", "View", "Scroll to zoom, drag to move the picture."),
    _tool("paint", "p", "Paint", PAINT, "stroke", 0.04, kind="paint", mode="add"),
    _tool("erase", "e", "Erase", ERASE, "stroke", 0.04, kind="paint", mode="erase", what=None),
    _tool("freeze", "f", "Freeze", FREEZE, "stroke", 0.04, kind="paint", mode="freeze", what=None),
    _tool("push", "u", "Push", PUSH, "arrow", kind="push"),
    _tool("anchor", "a", "Anchor", ANCHOR, "point", 0.12, kind="anchor"),
    _tool("speed", "s", "Speed", "Paint over what should be slower or faster.", "stroke", 0.08, kind="speed"),
)


def declared_js() -> str:
    """A module of JSON."""
    lists = {
        "OPTIONS": defaults_and_limits(),
        "FORMATS": [_format(form) for form in FORMATS.values() if form.name],
        "PRESETS": [
            {"id": name, "name": PRESET_NAMES.get(name, name), "size": of["size"][:2], "seconds": of["seconds"]}
            for name, of in PRESETS.items()
        ],
        "TOOLS": TOOLS,
        "FIRST_SIZE": FIRST_SIZE,
        "MAX_WAY": MAX_WAY,
        "STAGES": {name: stage.sentence for name, stage in STAGES.items()},
        "CLASSES": CLASSES,
        "NAMES": {name: SHOWN[name].name for name in PAINTS},
        "COLOURS": {name: SHOWN[name].colour for name in PAINTS},
    }
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in lists.items())


def _format(form: Format) -> dict[str, Any]:
    names = CONTAINERS[form.ending].codecs if isinstance(form, Video) else ()
    codecs = [{"id": name, "name": CODECS[name].title, "qualities": CODECS[name].qualities} for name in names]
    qualities = form.coded("", None)[1].qualities if isinstance(form, MovingPhoto) else form.qualities  # of its video
    kind = {"id": form.kind, "what": form.what, "group": form.group, "icon": form.icon}
    even = form.has_codec  # whether its sides are even
    made = {"kind": kind, "qualities": qualities, "codecs": codecs, "even": even, "sound": form.has_sound}
    return {"id": form.id, **asdict(form), **made}
