"""The video codecs: their encoders and options, checked, and what makes the end of a loop meet its beginning.

Frame 0 is an intra frame, the last frame is predicted through all the others; in a slow sky the difference of their
errors is a visible jump. Three measures remove it (docs/notes/video-seam.md has figures and alternatives):

- the last frame refers to frame 0, so that its errors are copied at almost no cost: H.264 and H.265 keep few reference
  frames, so only every 17th frame is one, with 16 B frames in between; libvpx keeps frame 0 as its golden frame at the
  speeds that search properly;
- the last REFERENCE_DISTANCE frames are pulled gradually towards frame 0 as it is decoded;
- the very last frame is coded more finely, or, in AV1, followed by hidden frames that all show frame 0.

Decoders have room for few references: H.264 gets four, as much as level 4.1 allows at 1920x1080. In a loop of more than
69 frames the last one cannot refer to frame 0; it is coded afresh, with more effort and without the grain that
psychovisual coding adds, which would make a blink of its own.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from stylecine.errors import OptionError
from stylecine.machine.atomic import PathLike
from stylecine.options import KEYFRAMES, FileOptions, check_int, parse_duration

REFERENCE_DISTANCE = 17  # frames from one reference frame of H.264 and H.265 to the next: 16 B frames, their maximum
MAX_REFERENCES = {"h264": 4, "h265": 9}  # the last of 69 or 154 frames can still refer to frame 0
AFRESH = "psy-rd=0,subme=9,trellis=2,partitions=all,me=umh,merange=24"  # x264's options of a last frame that cannot
H264_LEVELS = {  # of Rec. ITU-T H.264, table A-1: macroblocks a second, of a frame and of all references; Mbit/s, High
    "3": (40_500, 1_620, 8_100, 12.5),
    "3.1": (108_000, 3_600, 18_000, 17.5),
    "3.2": (216_000, 5_120, 20_480, 25),
    "4.1": (245_760, 8_192, 32_768, 62.5),  # as 4, with more bits
    "4.2": (522_240, 8_704, 34_816, 62.5),
    "5": (589_824, 22_080, 110_400, 168.75),
    "5.1": (983_040, 36_864, 184_320, 300),
    "5.2": (2_073_600, 36_864, 184_320, 300),
    "6": (4_177_920, 139_264, 696_320, 300),
    "6.1": (8_355_840, 139_264, 696_320, 600),
    "6.2": (16_711_680, 139_264, 696_320, 1000),
}
# qcomp 1: one quantiser for all frames, so that what stands still has the same errors in all of them
ALL_KEYS = {"keyint": "1", "qcomp": "1", "ipratio": "1", "chromaloc": "1"}
MINI_GOP = 32  # frames of SVT-AV1's hierarchy
MAX_SIDE = 16384  # pixels of a frame
MIN_FPS, MAX_FPS = 0.01, 1000.0
NTSC_ROUNDING = 0.005  # frames per second by which 23.98, 29.97 and 59.94 are off
ROUNDING = 1e-6  # of a loop: a duration of a whole number of loops must not get another one


@dataclass(frozen=True)
class Codec:
    """One codec.

    title: in the studio. encoder, decoder: FFmpeg's names. qualities: constant rate factors, 0 is best, for a smaller
    file, the default and the best; worst: the largest one. options: (quality, number of frames) -> options of its
    encoder; None if every frame is a key frame anyway. all_keys: the same from the quality, if every frame is one. tag:
    code in the container, if not the default. smallest: side in pixels. hidden: whether hidden frames follow the last
    one. limits: (width, height, fps, whether bits are capped) -> options that keep it within its level. pixels:
    FFmpeg's name of its pixel format; alpha: of that for frames with an alpha, if it can keep one.
    first_is_independent: whether frame 0 is coded alike whatever follows it, unless bits are capped.
    """

    name: str
    title: str
    encoder: str
    decoder: str
    qualities: tuple[int, int, int]
    worst: int
    options: Callable[[int, int], dict[str, str]] | None
    all_keys: Callable[[int], dict[str, str]]
    tag: str = ""
    smallest: int = 16
    hidden: bool = False
    limits: Callable[[int, int, float, bool], dict[str, str]] = lambda width, height, fps, capped: {}
    pixels: str = "yuv420p"
    alpha: str = ""
    first_is_independent: bool = False

    @property
    def deep(self) -> bool:
        """Whether it has more than 8 bits."""
        return self.pixels.endswith("10le")

    def hidden_frames(self, frames: int) -> int:
        """The number of hidden frames, showing frame 0, after the last of `frames`."""
        return MINI_GOP + 1 + -frames % MINI_GOP if self.hidden else 0


@dataclass(frozen=True)
class Container:
    """A file format of videos: FFmpeg's name for it, its codecs, the default first, and the options of its muxer."""

    name: str
    codecs: tuple[str, ...]
    options: dict[str, str]


def _h264(quality: int, frames: int) -> dict[str, str]:
    """An intra frame of higher quality than the others, as x264's macroblock tree would choose for a loop.

    The tree itself is off: with this many B frames in a row it reads uninitialised memory, so that frame 0 would differ
    from one encoding to the next. Without it the same rate factor gives smaller and worse files, by about 4.

    Psychovisual rate distortion and trellis keep the grain of what moves, which would else fade after frame 0 and be
    back at the seam: a blink in each loop. They need subme 7 and take half as long again. Smaller partitions than whole
    macroblocks would take a third longer and save 2 to 9% of the bytes; a wider search of motion a tenth, and nothing.
    """
    options = _references(frames, MAX_REFERENCES["h264"], quality - 1, AFRESH) | {
        "keyint": "infinite",
        "b-pyramid": "none",
        "mbtree": "0",
        "ipratio": "2",
        "pbratio": "1.4",
        "aq-strength": "0.8",
        "subme": "7",
        "me": "dia",
        "merange": "8",
        "trellis": "1",
        "psy-rd": "1.2,0.1",
        "partitions": "i8x8",
    }
    return {"preset": "veryfast", "crf": str(min(quality + 3.75, 51)), "x264-params": _joined(options)}


def h264_limits(width: int, height: int, fps: float, capped: bool) -> dict[str, str]:
    """The lowest level, from 3 on, that such frames fit; {} if there is none. capped: also keep to its bit rate, which
    takes one thread, as x264 would otherwise write other bytes each time."""
    across, down = -(-width // 16), -(-height // 16)
    for level, (per_second, of_frame, of_references, megabits) in H264_LEVELS.items():
        fits = max(across, down) ** 2 <= 8 * of_frame and across * down <= of_frame
        if fits and across * down * fps <= per_second and across * down * MAX_REFERENCES["h264"] <= of_references:
            rate = f"{megabits * 1e6:.0f}"
            return {"level": level, **({"maxrate": rate, "bufsize": rate, "threads": "1"} if capped else {})}
    return {}


def _h265(quality: int, frames: int) -> dict[str, str]:
    """rd, rdoq-level, psy-rdoq: keep grain, as for H.264."""
    options = _references(frames, MAX_REFERENCES["h265"], quality - 5) | {
        "keyint": "-1",
        "open-gop": "0",
        "b-pyramid": "0",
        "rc-lookahead": "30",
        "rd": "4",
        "rdoq-level": "2",
        "psy-rdoq": "4",
        "log-level": "none",
    }
    return {"preset": "fast", "crf": str(quality), "x265-params": _joined(options)}


def _vp9(quality: int, frames: int = 0) -> dict[str, str]:
    """b=0: constant quality, not a bit rate. cpu-used 4: the fastest that keeps frame 0 as a reference.

    row-mt: several threads per frame. g: no further key frames; the default inserts one after 128.
    """
    return {"g": "100000", "b": "0", "crf": str(quality), "deadline": "realtime", "cpu-used": "4", "row-mt": "1"}


def _av1(quality: int, frames: int = 0) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "0")  # keeps it from writing to stderr
    return {"preset": "6", "crf": str(quality), "svtav1-params": "keyint=-1"}


def _h264_all_keys(quality: int) -> dict[str, str]:
    options = ALL_KEYS | {"mbtree": "0", "aq-strength": "0.8"}
    return {"preset": "veryfast", "crf": str(quality), "x264-params": _joined(options)}


def _h265_all_keys(quality: int) -> dict[str, str]:
    options = ALL_KEYS | {"bframes": "0", "log-level": "none"}
    return {"preset": "fast", "crf": str(quality), "x265-params": _joined(options)}


def _vp9_all_keys(quality: int) -> dict[str, str]:
    """cpu-used 8: six times as fast for a tenth more bytes; no later frame needs a reference."""
    return _vp9(quality) | {"g": "1", "cpu-used": "8"}


def _av1_all_keys(quality: int) -> dict[str, str]:
    """As fine as the key frame of a loop, which SVT-AV1 codes better than its rate factor says.

    lp=1: one thread for each step, since SVT-AV1 4.1 has returned key frames out of order on a busy machine, about once
    in 200 videos. The bytes are the same, and take 1.4 times as long.
    """
    return _av1(max(quality - 16, 1)) | {"svtav1-params": "keyint=1:lp=1"}


def _prores(profile: str, matrix: str, quality: int) -> dict[str, str]:
    """A quantiser for the whole file, 1 for quality 0, instead of a rate. The alpha of 4444 is lossless."""
    lambda_scale = 118  # FFmpeg's FF_QP2LAMBDA
    fixed = {"flags": "+qscale", "global_quality": str(lambda_scale * (quality + 1))}
    return {"profile": profile, "quant_mat": matrix, "vendor": "apl0"} | fixed


def _references(frames: int, max_references: int, last_quantiser: int, afresh: str = "") -> dict[str, str]:
    """Options that x264 and x265 share: evenly spaced P frames with B frames in between.

    As many references, up to the maximum, as the last frame needs to refer to the first; each costs decoders memory.
    afresh: options of a last frame that is too far away for that.
    chromaloc 1: chroma samples lie at the centre of their four pixels.
    """
    needed = max(1, math.ceil((frames - 1) / REFERENCE_DISTANCE))
    options = {
        "ref": str(min(max_references, needed)),
        "bframes": str(REFERENCE_DISTANCE - 1),
        "b-adapt": "0",
        "weightb": "1",
        "scenecut": "0",
        "chromaloc": "1",
    }
    if frames > 1:
        options["zones"] = f"{frames - 1},{frames - 1},q={max(last_quantiser, 1)}"
        if needed > max_references and afresh:
            options["zones"] += f",{afresh}"
    return options


def _joined(options: dict[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in options.items())


CODECS = {
    codec.name: codec
    for codec in (
        Codec("h264", "H.264, plays everywhere", "libx264", "h264", (23, 16, 10), 51, _h264, _h264_all_keys,
              limits=h264_limits, first_is_independent=True),
        # hvc1: the only tag that Apple's players know; x265 writes out of bounds for sides of 64 and less
        Codec("h265", "H.265, smaller; Apple and most phones", "libx265", "hevc", (27, 20, 14), 51,
              _h265, _h265_all_keys, tag="hvc1", smallest=96),
        Codec("vp9", "VP9, all browsers", "libvpx-vp9", "vp9", (34, 24, 16), 63, _vp9, _vp9_all_keys,
              alpha="yuva420p"),
        # with sides of 16 or 48 SVT-AV1 may hang
        Codec("av1", "AV1, smallest; new browsers", "libsvtav1", "libdav1d", (38, 28, 20), 63,
              _av1, _av1_all_keys, smallest=64, hidden=True),
        # the matrix of 4444 XQ, 5: at quantiser 1 no value of 8 bits is off by more than one, with that of 4444, 4, a
        # few are off by two
        Codec("prores4444", "ProRes 4444, keeps transparency", "prores_ks", "prores", (3, 0, 0), 31,
              None, partial(_prores, "4444", "5"), pixels="yuv444p10le", alpha="yuva444p10le"),
        Codec("prores422hq", "ProRes 422 HQ", "prores_ks", "prores", (5, 1, 0), 31,
              None, partial(_prores, "hq", "4"), pixels="yuv422p10le"),
        Codec("h265-10bit", "H.265 with 10 bits", "libx265", "hevc", (27, 20, 14), 51,
              _h265, _h265_all_keys, tag="hvc1", smallest=96, pixels="yuv420p10le"),
    )
}  # fmt: skip
CONTAINERS = {
    # index first, to start early
    ".mp4": Container("mp4", ("h264", "h265", "h265-10bit", "av1"), {"movflags": "+faststart"}),
    ".webm": Container("webm", ("vp9", "av1"), {}),
    # also the video of a Live Photo; its index stays last, where metadata can be added without moving the pictures
    ".mov": Container("mov", ("prores4444", "prores422hq", "h265-10bit", "h265", "h264"), {}),
    # played endlessly; the file begins with a still image
    ".avif": Container("avif", ("av1",), {"loop": "0"}),
}
ALIASES = {"avc": "h264", "h.264": "h264", "hevc": "h265", "h.265": "h265"}  # other names of codecs
VIDEOS = {ending: form for ending, form in CONTAINERS.items() if ending != ".avif"}


def codec_for(path: PathLike, name: str | None) -> tuple[Container, Codec]:
    """The container for the suffix of `path`, and its codec called `name`, or the default one.

    Raises OptionError for an unknown codec.
    """
    form = CONTAINERS[Path(path).suffix.lower()]
    name = ALIASES.get(name, name) if name else name
    if name is not None and name not in form.codecs:
        known = "; ".join(f"{', '.join(kind.codecs)} in {ending}" for ending, kind in VIDEOS.items())
        raise OptionError(f"codec {name!r} does not fit '{os.fspath(path)}'; use {known}.")
    return form, CODECS[name or form.codecs[0]]


@dataclass(frozen=True)
class Encoding:
    """The checked options of one video. duration: in seconds, or None for `repeat` loops. silence: whether it gets a
    silent track, and no edit list, which some platforms refuse."""

    form: Container
    codec: Codec
    rate: Fraction
    quality: int
    repeat: int
    duration: float | None
    all_keys: bool
    silence: bool

    def loops(self, period: int) -> int:
        """How many loops of `period` frames the file contains: as few as last the duration."""
        return count_loops(self.repeat, self.duration, float(period / self.rate))

    @property
    def may_be_large(self) -> bool:
        """Whether a loop may need more bits than its level has; key frames alone do, and are as fine as asked for."""
        return self.quality < self.codec.qualities[2] and not self.all_keys

    @property
    def first_is_independent(self) -> bool:
        """Whether frame 0 is coded alike whatever follows it."""
        return self.codec.first_is_independent and not self.may_be_large

    def options(self, period: int) -> dict[str, str]:
        """Of the encoder, for a loop of so many frames."""
        if self.all_keys or self.codec.options is None:
            return self.codec.all_keys(self.quality)
        return self.codec.options(self.quality, period)


def check_encoding(path: PathLike, fps: Any, options: FileOptions) -> Encoding:
    """The options of a video, for the ending of `path`. fps: 0.01 to 1000. Raises OptionError."""
    rate = _check_rate(fps)
    form, codec = codec_for(path, options.codec)
    repeat, duration = check_length(options.repeat, options.duration)
    if options.keyframes not in KEYFRAMES:
        raise OptionError(f"keyframes is {' or '.join(KEYFRAMES)}, not {options.keyframes!r}.")
    quality = check_int("quality", codec.qualities[1] if options.quality is None else options.quality, 0, codec.worst)
    all_keys = options.keyframes == "all" or codec.options is None
    silence = options.silence and not options.sound
    return Encoding(form, codec, rate, quality, repeat, duration, all_keys, silence)


def check_length(repeat: Any, duration: Any) -> tuple[int, float | None]:
    """How many loops, or how many seconds at least. Raises OptionError."""
    times = check_int("repeat", repeat, 1, 10_000)
    seconds = None if duration is None else parse_duration(duration)
    if seconds is not None and times != 1:
        raise OptionError("repeat and duration both say how long the video is; give one of them.")
    return times, seconds


def count_loops(repeat: Any, duration: Any, seconds: float) -> int:
    """How many loops of a length in seconds a file contains: as few as last the duration, if there is one. Raises
    OptionError."""
    times, least = check_length(repeat, duration)
    return times if least is None else max(1, math.ceil(least / seconds - ROUNDING))


def _check_rate(fps: Any) -> Fraction:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if isinstance(fps, bool) or not MIN_FPS <= rate <= MAX_FPS:
        raise OptionError(f"fps is {MIN_FPS:g} to {MAX_FPS:g} frames per second, not {fps!r}.")
    exact = Fraction(fps).limit_denominator(1001)  # 30000/1001 comes out exactly
    whole = round(rate * 1.001)
    ntsc = Fraction(whole * 1000, 1001)  # and is what 29.97 stands for
    television = whole > 0 and not (whole % 24 and whole % 30) and exact.denominator > 1
    return ntsc if television and abs(rate - float(ntsc)) < NTSC_ROUNDING else exact
