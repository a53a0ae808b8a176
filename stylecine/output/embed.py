"""What self-contained pages are put together from."""

import base64
import hashlib
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from stylecine.errors import printable
from stylecine.version import __version__

BASE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 16%, transparent);
  --quiet: color-mix(in srgb, CanvasText 68%, Canvas); }
* { box-sizing: border-box; }
body { font: 0.95rem/1.5 system-ui, sans-serif; color: CanvasText; background: Canvas; }
h1 { margin: 0; font-size: 1.4rem; } header p { margin: 0.1rem 0 1.4rem; color: var(--quiet); }
table { border-collapse: collapse; }
a { color: LinkText; }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="stylecine {version}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}{script}
</body>
</html>
"""


def html_page(title: str, body: str, style: str, script: str = "", *, policy: str = "default-src 'none'") -> str:
    """A page whose Content-Security-Policy applies and runs no style and script but these.

    title, body: HTML. style: comes after BASE. policy: what else it forbids or allows.
    """
    style = BASE + style
    own = [f"style-src-elem '{csp_hash(style)}'", *[f"script-src '{csp_hash(script)}'"] * bool(script)]
    none = (f"{kind} 'none'" for kind in ("object-src", "base-uri", "form-action"))
    return PAGE.format(
        policy="; ".join((*[policy] * bool(policy), *own, *none)),
        version=__version__,
        title=title,
        style=style,
        body=body,
        script=f"\n<script>{script}</script>" if script else "",
    )


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def csp_hash(text: str) -> str:
    """The hash of a style or script as a source in a Content-Security-Policy, without its quotes."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def escaped(text: str) -> str:
    """Text for HTML; control characters, and bytes of file names that are not UTF-8, are shown as escapes."""
    return html.escape(printable(text))


def shrunk(picture: np.ndarray, size: Sequence[float]) -> np.ndarray:
    """A picture, uint8 [H,W,3], no larger than this width and height."""
    image = Image.fromarray(picture)
    image.thumbnail((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(image)


def webp(picture: np.ndarray, quality: int) -> bytes:
    """A picture, uint8 [H,W,3] or [H,W,4]. quality: 0 to 100 (best)."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=quality)
    return file.getvalue()
