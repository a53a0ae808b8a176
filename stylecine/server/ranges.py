"""Ranges of bytes, RFC 9110 section 14, of files that are already there: Safari plays no video without them."""

import re
from collections import OrderedDict
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from stylecine.server.problems import Problem

ACCEPTED = {"Accept-Ranges": "bytes"}


class Recent:
    """The files that were last asked for in parts, by their ETags: players ask for part after part, and each would
    otherwise be made again. most: bytes of all together; the last one is kept in any case."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, etag: str) -> bytes | None:
        if etag in self._kept:
            self._kept.move_to_end(etag)
        return self._kept.get(etag)

    def keep(self, etag: str, content: bytes) -> None:
        self._kept[etag] = content
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._most:
            self._kept.popitem(last=False)


def in_part(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The content, or the range of it that is asked for. headers: an ETag and ACCEPTED among them. Raises as
    `asked_range`."""
    asked = None
    if request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:  # else its part is of another file
        asked = asked_range(request, len(content))
    if asked is None:
        return Response(content, media_type=media_type, headers=headers)
    begin, end = asked
    part = {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
    return Response(content[begin:end], 206, part, media_type)


def asked_range(request: Request, length: int) -> tuple[int, int] | None:
    """Begin and end of the only range that is asked for; None for all, also where the header is malformed or asks for
    several, both of which HTTP allows to ignore. Raises a 416 for a range past the end."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", ""))
    first, last = (int(text) if text else None for text in match.groups()) if match else (None, None)
    if (first, last) == (None, None) or (first is not None and last is not None and last < first):
        return None
    begin = max(0, length - (last or 0)) if first is None else first
    end = length if first is None or last is None else min(last + 1, length)
    if begin >= length:
        detail = f"The file has {length} bytes; ask for a range inside of it."
        raise Problem(416, "RangeNotSatisfiable", detail, {"Content-Range": f"bytes */{length}", **ACCEPTED})
    return begin, end
