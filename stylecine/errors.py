"""Every error that stylecine raises on purpose: one plain sentence, and what to do about it.

A user's mistake is always a StylecineError; anything else that escapes is a bug, except for the TypeError with which
Python itself refuses a call with an argument too many or too few.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class StylecineError(Exception):
    """Base of all errors below; catch it to show its message to a user."""


class PhotoError(StylecineError):
    """The photo cannot be read, or is too small to animate."""


class MaskError(StylecineError):
    """The given mask cannot be used."""


class MotionError(StylecineError):
    """The given motion field or arrows cannot be used."""


class NothingMoves(StylecineError):
    """Nothing in the photo would move: none was found, or the mask or the motion is empty."""


class WeightsError(StylecineError):
    """A model's weights cannot be used."""


class WeightsNotFound(WeightsError):
    """There is no such model or weight file."""


class ChecksumMismatch(WeightsError):
    """A weight file differs from the one its model record names."""


class LicenceNotAccepted(WeightsError):
    """The weights come under a licence that has to be accepted first."""


class WeightsMalformed(WeightsError):
    """A weight file has wrong names, shapes or format, or holds something unsafe."""


class SceneError(StylecineError):
    """A .cine file cannot be read, or is not what it says; or a scene cannot be edited so."""


class VideoError(StylecineError):
    """The video cannot be read, or holds no report."""


class KernelUnavailable(StylecineError):
    """A native library does not load or fit (doctor says so), or CUDA complains while a kernel runs."""


class OutputError(StylecineError):
    """The output cannot be written: missing or read-only folder, no space, not a file."""


class DiskFull(OutputError):
    """There is no space left on the output's disk."""


class WriterUnavailable(OutputError):
    """There is no encoder for the asked-for format, or no package to sign with."""


class TooLarge(StylecineError):
    """The work would need too much memory; the message names a size that fits."""


class ServiceError(StylecineError):
    """A service elsewhere cannot be reached, or refuses; the message is its own then."""


class Cancelled(StylecineError):
    """The caller's progress function returned False."""


class OptionError(StylecineError, ValueError):
    """An option has an impossible value."""


class StylecineWarning(UserWarning):
    """The work was done, but the result may disappoint; one plain sentence says why."""


def either(names: Iterable[str]) -> str:
    """Names as a choice in a sentence: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def instead_of(name: str, known: Collection[str], more: str = "") -> str:
    """What to use instead of a name that does not exist: "did you mean sunset?" if one is alike, otherwise all, and
    `more`, the end of that sentence."""
    near = get_close_matches(name, known, 1, 0.7)
    return f"did you mean {near[0]}?" if near else f"use {', '.join(known) + more if more else either(known)}."


def first_line(error: object) -> str:
    """Of what an error of another library says; "" if it says nothing."""
    return next(iter(str(error).splitlines()), "")


def as_utf8(text: str) -> str:
    """Text that can be encoded: of names that are not UTF-8, as Linux allows, the bytes that are not are escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: object) -> str:
    """Text with control characters escaped: names of files may hold anything, and a terminal obeys some of it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
