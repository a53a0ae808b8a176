"""The size that is asked for of a photo, checked with the standard library alone."""

import math
import operator
from typing import Any

from stylecine.errors import OptionError, TooLarge
from stylecine.options import MOVING, Size, check_int

MIN_SIDE = 64  # shorter side, pixels; below this there is no texture to move
MAX_SIDE = 8192  # shorter side, pixels
MAX_PIXELS = MAX_SIDE**2  # of the result
MAX_LENGTH = MAX_PIXELS // MIN_SIDE  # of its longer side


def checked_size(size: Any) -> Size:
    """The size as ints and tuples. Raises OptionError, TooLarge."""
    if isinstance(size, tuple | list) and len(size) == 3:
        width, height = checked_size(size[:2])  # type: ignore[misc]
        return width, height, _place(size[2])
    if size is None:
        return None
    sides = [_side(side) for side in (size if isinstance(size, tuple | list) else (size, size))]
    if len(sides) != 2:
        raise OptionError(f"size is one number or (width, height), not {size!r}.")
    if min(sides) < MIN_SIDE:
        raise OptionError(f"size {size!r} is too small; ask for at least {MIN_SIDE} pixels a side.")
    width, height = sides
    if not isinstance(size, tuple | list):
        if width > MAX_SIDE:
            raise TooLarge(f"size {size!r} is too large; ask for at most {MAX_SIDE}.")
        return width
    if max(width, height) > MAX_LENGTH:
        raise TooLarge(f"size {size!r} is too large; ask for at most {MAX_LENGTH} a side.")
    if width * height > MAX_PIXELS:
        fits = fitting(width, height)
        raise TooLarge(f"size {width}x{height} is too large; ask for at most {fits[0]}x{fits[1]}.")
    return width, height


def fitting(width: int, height: int) -> tuple[int, int]:
    """The largest size of this shape that MAX_PIXELS allows."""
    scale = min(1.0, math.sqrt(MAX_PIXELS / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def check_preview_size(size: Any) -> int:
    """The short side of a preview. Raises OptionError."""
    return check_int("size", size, MIN_SIDE, MAX_SIDE)


def _place(value: Any) -> str | tuple[float, float]:
    if value == MOVING:
        return MOVING
    try:
        x, y = (float(part) for part in value)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise OptionError(f"A size is cropped around {MOVING!r} or (x, y), 0 to 1 of the photo, not {value!r}.")
    return x, y


def _side(value: Any) -> int:
    try:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise OptionError(f"size is a whole number of pixels or two of them, not {value!r}.") from None
