"""The video codecs: which encoder writes each, what it is told, and what lets the end of a loop meet its beginning.

Frame 0 is an intra frame, coded by itself; the last frame has come by way of all the others. Both are near to what they
should show, but their errors differ, and where frames differ by less than a level from each other, as in a slow sky,
that difference is a jump: many times an ordinary step. Three things together take it away (docs/formats.md has the
figures, and what else was tried):

- a reference from the last frame back to frame 0, so that its errors can be copied at hardly any cost: H.264 and H.265
  keep a few pictures only, so every 17th is one to refer to, and the 16 between two of them are B frames; libvpx
  keeps frame 0 as its golden frame at the speeds that search properly;
- the last frames are pulled, a little more each, towards frame 0 as it is decoded (RUN of them);
- the very last is coded more finely, or, in AV1, has hidden frames after it that all show frame 0 (`Codec.tail`).
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av

from stylecine.atomic import PathLike
from stylecine.errors import OptionError, WriterUnavailable

RUN = 17  # pictures of H.264 and H.265 from one that others refer to up to the next: 16 B frames, the most there may be
KEPT = {"h264": 16, "h265": 9}  # pictures that x264 and x265 keep to refer to: loops of 273, 154 frames reach back
MINI_GOP = 32  # frames of SVT-AV1's hierarchy


@dataclass(frozen=True)
class Codec:
    """One codec.

    quality, worst: default and largest constant rate factor; 0 is best. options: (quality, frames or None where their
    number is not known) -> what its encoder is told. tag: four letters for the container, if not its own choice.
    hidden: whether hidden frames follow the last.
    """

    name: str
    encoder: str
    quality: int
    worst: int
    options: Callable[[int, int | None], dict[str, str]]
    tag: str = ""
    smallest: int = 16
    hidden: bool = False

    def tail(self, frames: int) -> int:
        """How many hidden frames that show frame 0 are encoded after the last."""
        return MINI_GOP + 1 + -frames % MINI_GOP if self.hidden else 0


@dataclass(frozen=True)
class Format:
    """A kind of file: FFmpeg's name of it, the codecs it holds, the default first, and what its writer is told."""

    container: str
    codecs: tuple[str, ...]
    options: dict[str, str]


def _h264(quality: int, frames: int | None) -> dict[str, str]:
    """One intra frame of high quality, the others less so: what x264's macroblock tree would find out for a loop.

    That tree is off: with so many B frames in a row it reads memory that nobody wrote, so frame 0 would not come out
    twice alike. Without it the same rate factor gives smaller and worse files, by about 4. Speed as "veryfast" has it,
    but for finer motion vectors, which smooth the steps.
    """
    told = _references(frames, KEPT["h264"], quality - 1) | {
        "keyint": "infinite",
        "b-pyramid": "none",
        "mbtree": "0",
        "ipratio": "2.5",
        "pbratio": "1.4",
        "aq-strength": "0.8",
        "subme": "4",
    }
    return {"preset": "veryfast", "crf": str(min(quality + 4, 51)), "x264-params": _joined(told)}


def _h265(quality: int, frames: int | None) -> dict[str, str]:
    told = _references(frames, KEPT["h265"], quality - 5) | {
        "keyint": "-1",
        "open-gop": "0",
        "b-pyramid": "0",
        "rc-lookahead": "30",
        "log-level": "none",
    }
    return {"preset": "fast", "crf": str(quality), "x265-params": _joined(told)}


def _vp9(quality: int, frames: int | None) -> dict[str, str]:
    """b=0: or a bit rate would decide, not the quality. cpu-used 4: the fastest that keeps frame 0 to refer to.

    row-mt: the rows of a frame on several threads. g: no key frame but the first, which would come after 128.
    """
    return {"g": "100000", "b": "0", "crf": str(quality), "deadline": "realtime", "cpu-used": "4", "row-mt": "1"}


def _av1(quality: int, frames: int | None) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "0")  # it talks to stderr, and this is how it is told not to
    return {"preset": "6", "crf": str(quality), "svtav1-params": "keyint=-1"}


def _references(frames: int | None, most: int, last: int) -> dict[str, str]:
    """What x264 and x265 have in common: evenly spaced P frames, and B frames that may lie halfway between them.

    As many pictures are kept to refer to, up to `most`, as let the last refer to the first; each costs decoders memory.
    last: quantiser of the last frame. chromaloc 1: a chroma sample lies amid its four pixels, as it is made.
    """
    told = {"bframes": str(RUN - 1), "b-adapt": "0", "weightb": "1", "scenecut": "0", "chromaloc": "1"}
    told["ref"] = "3" if frames is None else str(min(most, max(1, math.ceil((frames - 1) / RUN))))
    if frames is not None and frames > 1:
        told["zones"] = f"{frames - 1},{frames - 1},q={max(last, 1)}"
    return told


def _joined(told: dict[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in told.items())


CODECS = {
    codec.name: codec
    for codec in (
        Codec("h264", "libx264", 16, 51, _h264),
        # hvc1: Apple's players know it by no other tag; x265 writes past its memory for sides of 64 and less
        Codec("h265", "libx265", 20, 51, _h265, tag="hvc1", smallest=96),
        Codec("vp9", "libvpx-vp9", 24, 63, _vp9),
        # with sides of 16 or 48 SVT-AV1 may wait for ever
        Codec("av1", "libsvtav1", 28, 63, _av1, smallest=64, hidden=True),
    )
}
FORMATS = {
    ".mp4": Format("mp4", ("h264", "h265", "av1"), {"movflags": "+faststart"}),  # the index first: browsers start
    ".webm": Format("webm", ("vp9", "av1"), {}),
}
# They play for ever; a still image comes first in the file.
ANIMATED_IMAGES = {".avif": Format("avif", ("av1",), {"loop": "0"})}


def codec_for(path: PathLike, name: str | None) -> tuple[Format, Codec]:
    """The kind of file that `path` ends in, and the codec called `name`, or its default one.

    Raises OptionError for an ending or a codec that is none, WriterUnavailable without an encoder for it.
    """
    form = (FORMATS | ANIMATED_IMAGES).get(Path(path).suffix.lower())
    if form is None:
        raise OptionError(f"'{os.fspath(path)}' does not end in {' or '.join(FORMATS)}; rename it.")
    if name is not None and name not in form.codecs:
        known = "; ".join(f"{', '.join(kind.codecs)} in {ending}" for ending, kind in FORMATS.items())
        raise OptionError(f"codec {name!r} does not go into '{os.fspath(path)}'; there is {known}.")
    codec = CODECS[name or form.codecs[0]]
    if not _has(codec):
        others = [other for other in form.codecs if _has(CODECS[other])]
        instead = f"take codec {' or '.join(others)}, or " if others else ""
        raise WriterUnavailable(
            f"The installed av package has no {codec.encoder} encoder for {codec.name};"
            f" {instead}run 'pip install --force-reinstall av'."
        )
    return form, codec


def _has(codec: Codec) -> bool:
    try:
        av.Codec(codec.encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True
