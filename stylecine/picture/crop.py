"""Crops to another aspect ratio, 1:1, 9:16, 16:9, ...: how one is asked for, and its size."""

import re
from dataclasses import dataclass

from stylecine.errors import OptionError

MAX_RATIO = 10  # longer to shorter side


@dataclass(frozen=True)
class Crop:
    """Width : height. centre: in fractions of the frame's width and height; None: where most of the motion is."""

    width: int
    height: int
    centre: tuple[float, float] | None = None


def check_crop(text: str) -> Crop:
    """A crop from text: 9:16, or 9:16@0.3,0.5 with its centre. Raises OptionError."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})(?:@([\d.]+),([\d.]+))?", text) if isinstance(text, str) else None
    try:
        width, height = int(match[1]), int(match[2])  # type: ignore[index]
        centre = (float(match[3]), float(match[4])) if match and match[3] else None
    except (TypeError, ValueError):
        raise OptionError(f"A crop is a shape like 9:16, or 9:16@0.3,0.5 with its centre, not {text!r}.") from None
    if not 0 < max(width, height) <= MAX_RATIO * min(width, height):
        raise OptionError(f"The sides of a crop differ by a factor of {MAX_RATIO} at most, unlike those of {text!r}.")
    if centre and not all(0 <= x <= 1 for x in centre):
        raise OptionError(f"The centre of a crop is given in fractions of width and height, 0 to 1, not {text!r}.")
    return Crop(width, height, centre)


def crop_sides(crop: Crop, width: int, height: int, *, even: bool = False) -> tuple[int, int]:
    """Width and height of the largest window of that aspect ratio. even: whether both sides must be even."""
    step = 1 + even
    exact = min(width, height * crop.width / crop.height), min(height, width * crop.height / crop.width)
    wide, high = (max(step, round(side) // step * step) for side in exact)
    return wide, high
