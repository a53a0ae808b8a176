"""A loop as one HTML file that plays it: the photo, the pack and the player, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import zlib
from importlib.resources import files
from pathlib import Path

from stylecine import __version__
from stylecine.atomic import PathLike, atomic_write, check_destination, translate_os_errors
from stylecine.cloth.layer import ClothLayer
from stylecine.output import VideoInfo
from stylecine.output.web_pack import pack, photo_of, picture
from stylecine.stages.loop import Loop

QUALITY = 90  # of the pictures, as WebP
# Each after those that it imports.
MODULES = ("gl", "pack", "maps", "shaders", "plate", "scene", "cloth", "loop", "player", "page")


def write_page(
    loop: Loop | None,
    period: int,
    fps: float,
    path: PathLike,
    *,
    title: str,
    says: str,
    quality: int | None = None,
    cloth_layer: ClothLayer | None = None,
) -> VideoInfo:
    """The loop as an HTML file, whole or not at all. title: of the page. says: what is seen, for who does not see it.

    quality: of the pictures in it, 0 to 100 (best); default 90. Raises as `live.pack`, and OutputError where the file
    cannot be written.
    """
    quality = QUALITY if quality is None else quality
    content = page(loop, period, fps, title=title, says=says, quality=quality, cloth_layer=cloth_layer)
    target = check_destination(path)
    with atomic_write(target) as part, translate_os_errors(target):
        part.write_text(content, encoding="utf-8", newline="\n")
    height, width = photo_of(loop, cloth_layer).shape[:2]
    return VideoInfo(Path(path), period, fps, width, height, "webgl2", target.stat().st_size, (0, 0))


def page(
    loop: Loop | None,
    period: int,
    fps: float,
    *,
    title: str,
    says: str,
    quality: int,
    cloth_layer: ClothLayer | None = None,
) -> str:
    """The HTML. Its policy lets nothing run but what is in it, and nothing be fetched."""
    packed = zlib.compress(pack(loop, period, fps, cloth_layer=cloth_layer, quality=quality, photo=False), 9)
    still = photo_of(loop, cloth_layer)
    photo = picture(still, quality)
    style, script = _file("page.css"), _script()
    height, width = still.shape[:2]
    values = {
        "policy": f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'",
        "generator": f"stylecine {__version__}",
        "title": html.escape(title),
        "says": html.escape(says),
        "width": str(width),
        "height": str(height),
        "style": style,
        "script": script,
        "photo": f"data:image/webp;base64,{_base64(photo)}",
        "pack": _base64(packed),
    }
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], _file("page.html"))


def _script() -> str:
    """The player's modules as one."""
    source = "".join(_file(f"{name}.js") for name in MODULES)
    return re.sub(r"^(import .*;|export \{.*\};)\n|^export ", "", source, flags=re.MULTILINE)


def _file(name: str) -> str:
    return files("stylecine").joinpath("player", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a Content-Security-Policy names what may be in the page."""
    return f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
