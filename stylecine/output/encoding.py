"""The options of a video, checked with the standard library alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stylecine.errors import OptionError
from stylecine.machine.atomic import PathLike
from stylecine.options import KEYFRAMES, check_int, parse_duration
from stylecine.output.codecs import Codec, Container, codec_for

MIN_FPS, MAX_FPS = 0.01, 1000.0
NTSC_ROUNDING = 0.005  # frames per second by which 23.98, 29.97 and 59.94 are off
ROUNDING = 1e-6  # of a loop: a duration of a whole number of loops must not get another one


@dataclass(frozen=True)
class Encoding:
    """The checked options of one video. duration: in seconds, or None for `repeat` loops."""

    form: Container
    codec: Codec
    rate: Fraction
    quality: int
    repeat: int = 1
    duration: float | None = None
    all_keys: bool = False

    @property
    def repeats(self) -> bool:
        return self.repeat > 1 or self.duration is not None

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

    def options(self, period: int | None) -> dict[str, str]:
        """Of the encoder."""
        return self.codec.all_keys(self.quality) if self.all_keys else self.codec.options(self.quality, period)


def check_encoding(
    path: PathLike,
    fps: Any,
    quality: Any,
    codec: str | None,
    repeat: Any = 1,
    duration: Any = None,
    keyframes: str = "first",
) -> Encoding:
    """Options as for `write_video`. Raises OptionError."""
    rate = _check_rate(fps)
    form, chosen = codec_for(path, codec)
    times, seconds = check_length(repeat, duration)
    if keyframes not in KEYFRAMES:
        raise OptionError(f"keyframes is {' or '.join(KEYFRAMES)}, not {keyframes!r}.")
    crf = check_int("quality", chosen.quality if quality is None else quality, 0, chosen.worst)
    return Encoding(form, chosen, rate, crf, times, seconds, keyframes == "all")


def check_length(repeat: Any, duration: Any) -> tuple[int, float | None]:
    """How many loops, or how many seconds at least. Raises OptionError."""
    times = check_int("repeat", repeat, 1, 10_000)
    seconds = None if duration is None else parse_duration(duration)
    if seconds is not None and times != 1:
        raise OptionError("repeat and duration both say how long the video is; give one of them.")
    return times, seconds


def count_loops(repeat: int, duration: float | None, seconds: float) -> int:
    """How many loops of a length in seconds a file contains: as few as last the duration, if there is one."""
    return repeat if duration is None else max(1, math.ceil(duration / seconds - ROUNDING))


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
