"""What the studio's page offers, from where the rest of the package has it; app.py serves it as /studio/declared.js."""

import json
from collections.abc import Sequence
from typing import Any

from stylecine.options import defaults_and_limits
from stylecine.output.codecs import CODECS, CONTAINERS
from stylecine.output.formats import FORMATS, IMAGE, PAGE, POSTER, VIDEO, Format


def declared_js() -> str:
    """A module of JSON."""
    lists = {"OPTIONS": defaults_and_limits(), "FORMATS": [_format(form) for form in FORMATS.values() if form.name]}
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in lists.items())


def _format(form: Format) -> dict[str, Any]:
    """defaultSize: of the short side; null is the scene's own. maxRate: null is any. quality: null is lossless."""
    codecs = [CODECS[name] for name in CONTAINERS[form.ending].codecs] if form.kind is VIDEO else []
    return {
        **{"id": form.id, "name": form.name, "hint": form.hint, "mediaType": form.media_type},
        **{"group": form.kind.group, "icon": form.kind.icon, "defaultSize": form.default_size},
        "maxRate": form.max_fps if form.kind is IMAGE else None,
        "quality": _qualities(form.qualities),
        "codecs": [{"id": codec.name, "name": codec.title, "quality": _qualities(codec.qualities)} for codec in codecs],
        **{"page": form.kind is PAGE, "still": form.kind is POSTER, "repeats": form.kind is VIDEO},
    }


def _qualities(values: Sequence[int]) -> dict[str, int] | None:
    return dict(zip(("small", "good", "best"), values, strict=True)) if values else None
