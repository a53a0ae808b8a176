"""What self-contained pages are put together from."""

import base64
import hashlib


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def csp_hash(text: str) -> str:
    """The hash of a style or script as a source in a Content-Security-Policy, without its quotes."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
