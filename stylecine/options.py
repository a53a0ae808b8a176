"""What a caller may ask for, checked before any work starts: OptionError and TooLarge come from here."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stylecine.errors import MotionError, OptionError, TooLarge

if TYPE_CHECKING:
    import torch  # its functions import it: editing a scene does without

WARPS = ("msdfw", "dfw", "pixel")
SAMPLINGS = ("gather", "splat")
CLASSES = ("sky", "water", "falls", "smoke")  # that move, in the order of layers
CLOTH = "cloth"  # moves in the wind, and so is no layer
PAINTS = (*CLASSES, CLOTH)  # what a user may say is somewhere
SUBJECTS = ("landscape", CLOTH, "auto")
GUST = 2.0  # seconds from one to the next, at speed 1
MIN_LAYER_ALPHA = 0.02  # less of a layer than this is none
MOST_FRAMES = 1800  # a minute at 30 fps; a longer video is this loop repeated

Arrow = Sequence[float]  # x0, y0, x1, y1 in fractions of width and height: where matter travels in one second


def period(seconds: float, fps: float) -> int:
    """Frames in one loop, N = round(seconds·fps)."""
    check_number("seconds", seconds, above=0, most=3600)
    check_number("fps", fps, above=0, most=240)
    frames = round(seconds * fps)
    if frames < 2:
        raise OptionError(f"{seconds:g} s at {fps:g} fps is less than two frames; use more seconds or more fps.")
    if frames > MOST_FRAMES:
        raise OptionError(
            f"{seconds:g} s at {fps:g} fps is {frames} frames, and a loop holds at most {MOST_FRAMES};"
            " use fewer seconds and save it with repeat."
        )
    return frames


def check_live(warp: str, sampling: str) -> None:
    """OptionError for a loop that no shader plays."""
    if warp == "dfw" or sampling == "splat":
        raise OptionError(
            "A live loop is gathered from the plate in the browser, which runs no generator; use sampling gather with"
            " warp msdfw or pixel, or write a video."
        )


@dataclass(frozen=True)
class RenderOptions:
    """How a loop looks, as `animate` takes it; OptionError for what is impossible."""

    seconds: float = 4.0
    fps: float = 30
    speed: float = 1.0
    warp: str = "msdfw"
    sampling: str = "gather"
    detail: float = 1.0

    def __post_init__(self) -> None:
        period(self.seconds, self.fps)
        check_number("speed", self.speed, above=0, most=100)
        check_number("detail", self.detail, least=0, most=1)
        _one_of("warp", self.warp, WARPS)
        _one_of("sampling", self.sampling, SAMPLINGS)

    @property
    def frames(self) -> int:
        """N, of one loop."""
        return period(self.seconds, self.fps)


def check_inversion_options(refine: int, seed: int) -> None:
    """The options of `Animator.invert`."""
    for name, value, most in (("refine", refine, 10_000), ("seed", seed, 2**63 - 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise OptionError(f"{name} must be a whole number from 0 to {most}, not {value!r}.")


@dataclass(frozen=True)
class Wind:
    """Where a wind blows to, seen from above, and how strongly.

    degrees: 0 to the right of the picture, 90 away from the viewer, 180 to the left, 270 towards the viewer.
    strength: above 0, at most 1.
    """

    degrees: float = 0.0
    strength: float = 0.5

    @property
    def angle(self) -> float:
        """In radians."""
        return math.radians(self.degrees)


def check_wind(wind: Sequence[float] | Sequence[str] | None) -> Wind:
    """The wind of (degrees, strength); None: a usual one. OptionError for anything else."""
    if wind is None:
        return Wind()
    try:
        degrees, strength = (float(value) for value in wind)
    except (TypeError, ValueError):
        raise OptionError(f"A wind is two numbers, degrees and strength, like (270, 0.6); {wind!r} is not.") from None
    check_number("The wind's direction", degrees, least=-3600, most=3600)
    check_number("The wind's strength", strength, above=0, most=1)
    return Wind(degrees % 360, strength)


def check_subject(subject: str, wind: Sequence[float] | None, motion: Any, arrows: Sequence[Arrow]) -> Wind:
    """The wind, once it is known that what was asked for fits to the subject. OptionError, MotionError."""
    _one_of("subject", subject, SUBJECTS)
    if subject == "landscape" and wind is not None:
        raise OptionError("Wind moves cloth, and the subject is a landscape; leave it out, or use subject cloth.")
    if subject == CLOTH and (motion is not None or len(arrows)):
        raise OptionError("Motion and arrows steer landscapes, and cloth moves as the wind does; give a wind instead.")
    return check_wind(wind)


def gust_count(seconds: float, speed: float) -> int:
    """How many gusts there are in a loop: a whole number."""
    return max(1, round(seconds * speed / GUST))


def check_arrows(arrows: Sequence[Arrow]) -> tuple[tuple[float, float, float, float], ...]:
    """Arrows as tuples of floats. MotionError unless each is four finite numbers, from inside the photo."""
    checked = []
    for arrow in arrows:
        try:
            x0, y0, x1, y1 = (float(value) for value in arrow)
        except (TypeError, ValueError):
            raise MotionError(f"An arrow is four numbers x0, y0, x1, y1; {arrow!r} is not.") from None
        inside = 0 <= x0 <= 1 and 0 <= y0 <= 1
        if not inside or not all(math.isfinite(value) and abs(value) <= 10 for value in (x1, y1)):
            raise MotionError(
                f"Arrow {arrow!r} does not start inside the photo or is far too long;"
                " give fractions of its width and height, from 0 to 1."
            )
        checked.append((x0, y0, x1, y1))
    return tuple(checked)


def describe_inputs(mask: Any, motion: Any, arrows: Sequence[Arrow]) -> dict[str, Any]:
    """Where mask and motion come from, for a report: "given", "found" or "from motion"; arrows as one types them."""
    return {
        "mask": "given" if mask is not None else "from motion" if motion is not None else "found",
        "motion": "given" if motion is not None else "found",
        "arrows": [",".join(f"{value:g}" for value in arrow) for arrow in arrows],
    }


def format_size(size: int | tuple[int, int] | None) -> str:
    """A size as one types it: 1024, 1024x768 or own."""
    if size is None:
        return "own"
    return "x".join(str(side) for side in size) if isinstance(size, tuple | list) else str(size)


def check_device(device: str | torch.device | None) -> torch.device:
    """The device to work on; None is the first CUDA device if there is one, else the CPU."""
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise OptionError(f"There is no device {device!r}; use cpu or cuda.") from None
    if chosen.type not in ("cpu", "cuda"):
        raise OptionError(f"Device {str(device)!r} is not supported; use cpu or cuda.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise OptionError(f"Device {str(device)!r} is not one of PyTorch's {torch.cuda.device_count()}; use cpu.")
    return chosen


def check_dtype(dtype: torch.dtype | str | None) -> None:
    """All arithmetic is float32 so far, so None and float32 are the only answers."""
    import torch

    if dtype not in (None, "float32", torch.float32):
        raise OptionError(f"dtype {dtype!r} is not supported; leave it out or use float32.")


def check_int(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int. OptionError unless it is a whole number in that range."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value <= most:
        raise OptionError(f"{name} is a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def check_frame(frame: np.ndarray) -> None:
    """OptionError unless a picture is as the package has them."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise OptionError(f"A frame is uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}.")


# The generator runs at a short side of at most this; finer detail comes from the photo.
GENERATOR_SIDE = 1024


def needed_bytes(width: int, height: int) -> float:
    """Peak memory on the way from photo to frames, fitted to CPU runs from 512x512 to 4096x4096."""
    scale = min(1.0, GENERATOR_SIDE / min(width, height))
    return 450e6 + width * height * (450 * scale**2 + 290)


def check_memory(width: int, height: int, device: torch.device | None = None, remedy: str = "use") -> None:
    """Raises TooLarge, naming a size that fits, if width x height does not fit into the memory left (None: CPU's)."""
    free, need = available_bytes(device), needed_bytes(width, height)
    if need <= free:
        return
    short = min(width, height)
    sides = range(short // 32 * 32, 63, -32)
    fits = (side for side in sides if needed_bytes(width * side // short, height * side // short) <= free)
    side = next(fits, None)
    advice = f"{remedy} size={side}" if side else "free some memory first"
    raise TooLarge(
        f"{width}x{height} needs about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {advice}."
    )


def available_bytes(device: torch.device | None) -> float:
    """Memory that can still be used on `device`; infinite where the system does not say."""
    if device is not None and device.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        try:
            free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, ValueError, OSError):
            return math.inf
    return min(free, _container_bytes())


def _container_bytes() -> float:
    """What a container's memory limit (cgroup v2) leaves; infinite without one."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        return math.inf if limit == "max" else float(limit) - float(used)
    except (OSError, ValueError):
        return math.inf


def check_number(name: str, value: float, *, above: float = -math.inf, least: float = -math.inf, most: float) -> None:
    """OptionError unless the value is a finite number in that range."""
    try:
        good = math.isfinite(value) and value > above and least <= value <= most
    except TypeError:
        good = False
    if not good:
        low = f"above {above:g}" if math.isfinite(above) else f"from {least:g}"
        raise OptionError(f"{name} must be a number {low} and at most {most:g}, not {value!r}.")


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise OptionError(f"{name} must be {' or '.join(choices)}, not {value!r}.")
