"""A loop as one self-contained HTML file that plays it: its first frame, the pack and the player."""

from __future__ import annotations

import base64
import html
import re
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np

from stylecine.errors import as_utf8
from stylecine.machine.atomic import Finish, PathLike, atomic_write, check_destination, translate_os_errors
from stylecine.output import VideoInfo
from stylecine.output.embed import csp_hash, data_url, webp
from stylecine.output.formats import FORMATS
from stylecine.version import __version__

QUALITY = FORMATS[".html"].qualities[1]  # of the images, as WebP
# in order of their imports
MODULES = (
    *("gl", "pack", "keyframes", "maps", "shaders", "plate", "landscape", "overlay", "style", "weather", "loop"),
    *("player", "sound", "page"),
)
SOUND = """<button type="button" class="sound" hidden></button>
<script type="application/octet-stream" id="sound">{}</script>
"""


def write_page(
    content: bytes,
    frame: np.ndarray,
    path: PathLike,
    *,
    period: int,
    fps: float,
    title: str,
    alt: str,
    quality: int = QUALITY,
    sound: bytes | None = None,
    wraps: bool = False,
    finish: Finish | None = None,
) -> VideoInfo:
    """Writes a loop as an HTML file: its pack, of `web_pack.pack`, its first frame uint8 [H,W,3] as an image, which alt
    describes, and the player.

    Its content security policy allows only its own content, and no requests. A pack without a photo plays over the
    image. sound: an audio file that a button plays. wraps: whether the loop is of a whole 360° photo, which can be
    turned. quality: of the image, 0 to 100 (best); default 90. finish: called with the complete temporary file.
    Raises OutputError if the file cannot be written.
    """
    height, width = frame.shape[:2]
    style, modules = _read("page.css"), "".join(_read(f"{name}.js") for name in MODULES)
    script = re.sub(r"^(import .*;|export \{.*\};)\n|^export ", "", modules, flags=re.MULTILINE)
    values = {
        "policy": f"default-src 'none'; img-src data:; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}';"
        " base-uri 'none'; form-action 'none'",
        "generator": f"stylecine {__version__}",
        "title": html.escape(as_utf8(title)),
        "alt": html.escape(alt),
        "width": str(width),
        "height": str(height),
        "wraps": " data-wraps" if wraps else "",
        "style": style,
        "script": script,
        "image": data_url("image/webp", webp(frame, quality)),
        "sound": "" if sound is None else SOUND.format(base64.b64encode(sound).decode()),
        "pack": base64.b64encode(zlib.compress(content, 9)).decode(),
    }
    page = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], _read("page.html"))
    target = check_destination(path)
    with atomic_write(target, finish) as part, translate_os_errors(target):
        part.write_text(page, encoding="utf-8", newline="\n")
    return VideoInfo(Path(path), period, fps, width, height, "webgl2", target.stat().st_size, (0, 0))


def _read(name: str) -> str:
    return files("stylecine").joinpath("player", name).read_text(encoding="utf-8")
