"""Every option of a loop: its name, default, range, help, and how it is read from text. Checked before any work starts.

`animate`, the command line, batches and their manifests, the service and the studio all take their options from
`RenderOptions`.
"""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from fractions import Fraction
from functools import wraps
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, ParamSpec, Self, TypeAlias, TypedDict, TypeVar, get_args

from stylecine.errors import MotionError, OptionError, either, instead_of

if TYPE_CHECKING:
    import numpy as np
    import torch  # its functions import it: editing a scene does without
    from PIL.Image import Image

Warp = Literal["msdfw", "dfw", "pixel"]  # msdfw warps the photo's Laplacian bands, pixel no generator, dfw its features
Sampling = Literal["gather", "splat"]
Pace = Literal["calm", "natural", "lively"]  # how fast the landscape moves, where it is predicted
MovingClass = Literal["sky", "water", "falls", "smoke"]  # what can move in a landscape, in the order of layers
Paintable = Literal[MovingClass, "cloth"]
Subject = Literal["landscape", "cloth", "auto"]
StyleName = Literal["golden-hour", "sunset", "dusk", "overcast", "storm", "mist", "night", "autumn"]
WeatherName = Literal["snow", "rain", "fog"]
Layer = Literal["all", "moving"]  # what of a loop is saved
Keyframes = Literal["first", "all"]  # which frames of a loop are key frames of its video
WARPS, SAMPLINGS, PACES, CLASSES = get_args(Warp), get_args(Sampling), get_args(Pace), get_args(MovingClass)
PAINTS, SUBJECTS, STYLES, WEATHERS = get_args(Paintable), get_args(Subject), get_args(StyleName), get_args(WeatherName)
KEYFRAMES = get_args(Keyframes)
SKY, WATER, FALLS, SMOKE = (CLASSES.index(name) for name in ("sky", "water", "falls", "smoke"))
CLOTH, PLANTS = "cloth", "plants"  # move in the wind, over the landscape: each is an overlay
AUTO = "auto"
WHOLE, MOVING_LAYER = LAYERS = get_args(Layer)
DEPTHS = (8, 16)  # bits in which frames are computed
GUST_SECONDS = 2.0  # length of a gust at speed 1
PACE_POWER = 0.75  # of a wind's strength: twice as strong a wind drives clouds 1.7 times as fast
MIN_LAYER_ALPHA = 0.02  # anything less of a layer is set to 0
MAX_DURATION = 12 * 3600  # seconds of a video that repeats the loop
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?")
MAX_FRAMES = 1800  # a minute at 30 fps; a longer video repeats the loop

_P = ParamSpec("_P")
_R = TypeVar("_R")
Arrow = Sequence[float]  # x0, y0, x1, y1, ... in fractions of width and height: the way of matter in one second
MAX_WAY = 16  # of an arrow's way
MOVING = "moving"  # in place of a centre: where most moves
Size = int | tuple[int, int] | tuple[int, int, str | tuple[float, float]] | None
MaskSource: TypeAlias = "str | os.PathLike[str] | Image | np.ndarray | torch.Tensor"
MotionSource: TypeAlias = "str | os.PathLike[str] | np.ndarray | torch.Tensor"
StyleSource: TypeAlias = "StyleName | str | os.PathLike[str] | bytes | BinaryIO | Image | np.ndarray"


@dataclass(frozen=True)
class Wind:
    """Where a wind blows to, seen from above, and how strongly.

    degrees: 0 to the right of the picture, 90 away from the viewer, 180 to the left, 270 towards the viewer.
    strength: from 0, a calm, to 1.
    """

    degrees: float = 0.0
    strength: float = 0.5

    @property
    def angle(self) -> float:
        """In radians."""
        return math.radians(self.degrees)

    @property
    def pace(self) -> float:
        """How fast it drives clouds and waves, relative to a wind of the default strength."""
        return (self.strength / type(self).strength) ** PACE_POWER


def parse_size(text: str) -> Size:
    """A size as one types it: 1024, 1024x768, 1080x1920@moving, 1080x1920@0.3,0.5 or own. OptionError for anything
    else."""
    if text == "own":
        return None
    shape, at, centre = text.lower().partition("@")
    try:
        sides = [int(part) for part in shape.split("x")]
        place = centre if centre == MOVING or not at else tuple(float(part) for part in centre.split(","))
    except ValueError:
        sides, place = [], ""
    if len(sides) == 1 and not at:
        return sides[0]
    if len(sides) == 2 and not at:
        return sides[0], sides[1]
    if len(sides) == 2 and (place == MOVING or len(place) == 2):
        return sides[0], sides[1], place
    raise OptionError(f"{text!r} is not a size like 1024, 1024x768, 1080x1920@moving or own")


def format_size(size: Size) -> str:
    """The inverse of `parse_size`."""
    if size is None:
        return "own"
    if not isinstance(size, tuple | list):
        return str(size)
    width, height, *centre = size
    at = "".join(f"@{one}" if isinstance(one, str) else "@" + ",".join(f"{part:g}" for part in one) for one in centre)
    return f"{width}x{height}{at}"


def parse_arrow(text: str) -> tuple[float, ...]:
    return _parse_numbers(text, range(4, 2 * MAX_WAY + 1, 2), "four numbers like 0.2,0.3,0.4,0.3, or a longer way")


def parse_wind(text: str) -> tuple[float, ...]:
    return _parse_numbers(text, (2,), "two numbers, degrees and strength, like 270,0.6")


def parse_rate(text: Any) -> float:
    """A number, or a fraction as 30000/1001. Raises ValueError."""
    try:
        return float(Fraction(text)) if isinstance(text, str) and "/" in text else float(text)
    except (ZeroDivisionError, OverflowError):
        raise ValueError(text) from None


def parse_duration(value: Any) -> float:
    """Seconds from a number of them, or from a text such as 90s, 10m or 1h30m. Raises OptionError."""
    seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    if isinstance(value, str) and (parts := _DURATION.fullmatch(value.strip())):
        seconds = sum(float(part) * unit for part, unit in zip(parts.groups("0"), (3600, 60, 1), strict=True))
    if not 0 < seconds <= MAX_DURATION:
        hours = MAX_DURATION // 3600
        raise OptionError(f"A duration is like 90s, 10m or 1h30m, above 0 and at most {hours}h, not {value!r}.")
    return seconds


def _parse_numbers(text: str, counts: Container[int], example: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise OptionError(f"{text!r} is not {example}")
    return numbers


def _about(
    default: Any,
    help: str,
    metavar: str,
    parse: Callable[[str], Any] = str,
    *,
    group: str = "loop",
    served: bool = True,
    studio: Mapping[str, Any] | None = None,
    **limits: Any,
) -> dict[str, Any]:
    """One option.

    parse: its type, or a function for its text. group: "motion", "loop", "style" or "weather", in the command line's
    help. served: whether the service takes it. studio: its label in the panel, and the ends, the step and the unit of a
    slider, and its section, if not "loop". limits: choices, or gt, ge, le and max_length as pydantic names them.
    """
    about = {"default": default, "help": help, "metavar": metavar, "parse": parse, "group": group, "served": served}
    return about | {"studio": studio or {}, "limits": limits}


def _option(default: Any, *about: Any, **more: Any) -> Any:
    return field(default=default, metadata=_about(default, *about, **more))


WIND = (
    "degrees and strength: plants sway, clouds and waves follow; blowing 0 to the right, 90 away, 180 to the left, 270"
    " towards the viewer; strength 0 to 1 (cloth and weather: default 0,0.5)"
)
ARROWS = "where matter travels in one second, in fractions of width and height; may be repeated"
SUBJECT = "landscape, cloth, or auto: both, where there are both"
PACE = "how fast sky and water move: calm, natural or lively"
STYLE = "another appearance: " + ", ".join(STYLES) + ", or a photo that has it"
WEATHER = "in front of it all: snow, rain or fog, which the wind blows"
DETAIL = "share of what the generator misses that is put back, 0 to 1"
DURATION = "instead, how long the video lasts, such as 90s, 10m or 1h; rounded up to whole loops"
KEYFRAME = "of a video: first, one per loop, or all, for players that halt where it starts again"
ORIGIN = "put date, place and camera of the photo into an .mp4, .mov, Live Photo or Motion Photo"
CROP = "the largest window of that shape; its centre, in fractions"
LAYER = "all, or moving: what moves alone, with its matte as alpha, for compositing"
DEPTH = "16: frames are computed in 16 bits, not dithered to 8, for codecs of 10 bits; slow"
SIZE = "short side (never enlarged), WxH (cropped to fill; WxH@moving: around what moves) or own, the photo's own"
LENGTHS = {"label": "Length", "min": 1, "max": 12, "step": 0.5, "unit": " s"}
STRENGTHS = {"label": "Strength", "min": 0.05, "max": 1, "step": 0.05, "unit": "%", "section": "weather"}
DETAILS = {"label": "Detail", "min": 0, "max": 1, "step": 0.05, "unit": "%"}


class _Options:
    OF = ""  # what they are options of, in refusals

    @classmethod
    def create(cls, **options: Any) -> Self:
        """From a caller's keyword arguments. Raises OptionError for one that is misspelt, too."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for name in options:
            if name not in known:
                raise OptionError(f"There is no option {name!r}{cls.OF}; {instead_of(name, known)}")
        return cls(**options)


@dataclass(frozen=True, eq=False)
class RenderOptions(_Options):
    """The options of one loop, as `animate` documents them. Raises OptionError or MotionError for impossible ones.

    mask and motion are read later, when the size of the photo is known; arrows and wind are converted here.
    """

    subject: Subject = _option("landscape", SUBJECT, "NAME", group="motion", choices=SUBJECTS)
    mask: Any = _option(None, "picture, white moves", "FILE", group="motion", served=False)
    motion: Any = _option(None, ".npy [2,h,w]: pixels of its own grid per 1/30 s", "FILE", group="motion", served=False)
    arrows: Sequence[Arrow] = _option((), ARROWS, "X0,Y0,X1,Y1", parse_arrow, group="motion", served=False)
    wind: Any = _option(None, WIND, "DEGREES,STRENGTH", parse_wind, group="motion", studio={"label": "Wind"})
    seconds: float = _option(4.0, "length of one loop", "S", float, studio=LENGTHS, gt=0, le=3600)
    fps: float = _option(30, "frames per second, such as 25 or 30000/1001", "F", parse_rate, gt=0, le=240)
    pace: Pace = _option("natural", PACE, "NAME", studio={"label": "Pace"}, choices=PACES)
    speed: float = _option(1.0, "times as fast", "S", float, studio={"label": "All motion"}, gt=0, le=100)
    warp: Warp = _option("msdfw", "msdfw, dfw or pixel (no generator)", "NAME", choices=WARPS)
    sampling: Sampling = _option("gather", "gather or splat", "NAME", choices=SAMPLINGS)
    detail: float = _option(1.0, DETAIL, "D", float, studio=DETAILS, ge=0, le=1)
    style: Any = _option(None, STYLE, "STYLE", group="style")
    style_strength: float = _option(1.0, "of the style, 0 to 1", "S", float, group="style", ge=0, le=1)
    style_drift: bool = _option(False, "from the photo to it and back, once a loop", "", bool, group="style")
    weather: WeatherName | None = _option(
        None, WEATHER, "NAME", group="weather", studio={"label": "Weather"}, choices=WEATHERS
    )
    weather_strength: float = _option(0.5, "of it, to 1", "S", float, group="weather", studio=STRENGTHS, gt=0, le=1)

    def __post_init__(self) -> None:
        for name, spec in OPTIONS.items():
            value, limits = getattr(self, name), spec["limits"]
            if "choices" not in limits:
                if limits:
                    check_number(name, value, **limits)
            elif value not in (*limits["choices"], spec["default"]):
                raise OptionError(f"{name} must be {either(limits['choices'])}, not {value!r}.")
        if not 2 <= self.period <= MAX_FRAMES:
            length = f"{float(self.seconds):g} s at {float(self.fps):g} fps is"
            if self.period < 2:
                raise OptionError(f"{length} less than two frames; use more seconds or more fps.")
            raise OptionError(
                f"{length} {self.period} frames, and a loop holds at most {MAX_FRAMES};"
                " use fewer seconds and save it with a duration."
            )
        if not isinstance(self.style_drift, bool):
            raise OptionError(f"style_drift is True or False, not {self.style_drift!r}.")
        check_style(self.style)
        if self.style_drift and self.style is None:
            raise OptionError("style_drift goes from the photo to a style and back; give a style, or leave it out.")
        if self.style is None and self.style_strength != type(self).style_strength:
            raise OptionError("style_strength says how much of a style is shown; give a style, or leave it out.")
        if self.weather is None and self.weather_strength != type(self).weather_strength:
            raise OptionError("weather_strength says how much weather there is; give a weather, or leave it out.")
        object.__setattr__(self, "arrows", check_arrows(self.arrows))
        if self.subject == CLOTH and (self.motion is not None or self.arrows):
            raise OptionError(
                "Motion and arrows steer landscapes, and cloth moves as the wind does; give a wind instead."
            )
        if self.wind is not None:
            object.__setattr__(self, "wind", check_wind(self.wind))

    @property
    def period(self) -> int:
        """N = round(seconds·fps), the frames in one loop."""
        return round(self.seconds * self.fps)

    @property
    def gusts(self) -> int:
        """Gusts in one loop: a whole number."""
        return max(1, round(self.seconds * self.speed / GUST_SECONDS))

    def describe(self) -> dict[str, Any]:
        """For a report; mask and motion are "given", "found", "from motion" or "painted"."""
        mask = "given" if self.mask is not None else "from motion" if self.motion is not None else "found"
        described: dict[str, Any] = {
            "mask": "painted" if self.subject == CLOTH and self.mask is None else mask,
            "motion": "given" if self.motion is not None else "found",
            "arrows": [",".join(f"{value:g}" for value in arrow) for arrow in self.arrows],
        }
        if self.subject != "landscape":
            described["subject"] = self.subject
        if self.wind is not None or self.weather is not None or self.subject != "landscape":
            described["wind"] = [*astuple(self.wind or Wind())]
        if self.style is not None:
            name = getattr(self.style, "name", self.style)  # of an edit
            style = name if isinstance(name, str) and name in STYLES else "given"
            described |= {"style": style, "style_strength": self.style_strength, "style_drift": self.style_drift}
        if self.weather is not None:
            described |= {"weather": self.weather, "weather_strength": self.weather_strength}
        return described | {name: getattr(self, name) for name in OUTPUT_OPTIONS}


@dataclass(frozen=True)
class FileOptions(_Options):
    """The options of one file, as `Cinemagraph.save` documents them; `output.formats` checks them for its format."""

    OF = " of a file"
    quality: int | None = _option(None, "on the format's own scale: docs/formats.md", "Q", int, ge=0, le=100)
    codec: str | None = _option(None, "of a video, if its container has several", "NAME", max_length=16)
    repeat: int = _option(1, "times the loop is in a video", "N", int, ge=1, le=1000)
    duration: float | str | None = _option(None, DURATION, "TIME", parse_duration)
    keyframes: Keyframes = _option("first", KEYFRAME, "NAME", choices=KEYFRAMES)
    silence: bool = _option(False, "put a silent track into an .mp4, for platforms that ask for sound", "", bool)
    crop: str | None = _option(None, CROP, "W:H[@X,Y]", max_length=64)
    layer: Layer = _option(WHOLE, LAYER, "NAME", choices=LAYERS)
    depth: int = _option(8, DEPTH, "BITS", int, served=False)
    sound: bool = _option(False, "of what the picture shows: surf, falls, brooks, wind in plants, rain", "", bool)
    embed_report: bool = _option(False, "put a report on its making into the file's metadata", "", bool, served=False)
    keep_metadata: bool = _option(False, ORIGIN, "", bool, served=False)

    @property
    def length(self) -> tuple[Any, Any, Any]:
        """How often and how long a video plays, and its key frames."""
        return self.repeat, self.duration, self.keyframes


OPTIONS: Mapping[str, Mapping[str, Any]] = {f.name: f.metadata for f in fields(RenderOptions)}
UNSTYLED = {name: option["default"] for name, option in OPTIONS.items() if option["group"] == "style"}
FILE_OPTIONS: Mapping[str, Mapping[str, Any]] = {f.name: f.metadata for f in fields(FileOptions)}
OUTPUT_OPTIONS = tuple(name for name, option in OPTIONS.items() if option["group"] == "loop")
PHOTO_OPTIONS: Mapping[str, Mapping[str, Any]] = {  # of `Animator.invert`
    "size": _about(1024, SIZE, "SIZE", parse_size),
    "refine": _about(0, "optimisation steps of the inversion", "K", int),
    "seed": _about(0, "seed of the noise of some third-party models", "N", int, served=False),
}
_PORTRAIT, _POST = (1080, 1920, MOVING), (1080, 1350, MOVING)
_UPLOAD = {"seconds": 5.0, "fps": 30, "codec": "h264", "silence": True}  # a key frame every 5 s, as platforms ask for
PRESETS: Mapping[str, Mapping[str, Any]] = {  # defaults for a purpose: docs/formats.md
    "story": {"size": _PORTRAIT, **_UPLOAD, "duration": 15.0},
    "post": {"size": _POST, **_UPLOAD, "duration": 10.0},
    "wallpaper": {"size": _PORTRAIT, "seconds": 1.25, "fps": 60},  # two loops of it: output/wallpaper.py
}
ALL_OPTIONS = {**OPTIONS, **FILE_OPTIONS, **PHOTO_OPTIONS}


def preset_defaults(
    name: str | None, given: Iterable[str] = (), *, of: Container[str] = ALL_OPTIONS, video: bool = True
) -> dict[str, Any]:
    """The defaults that a preset has for options that are not given; none without a preset.

    A number of repeats that is given comes before a duration. of: which options. video: whether for an .mp4; other
    files have no codec, silence or duration. Raises OptionError.
    """
    if name is None:
        return {}
    if name not in tuple(PRESETS):  # which takes what has no hash
        raise OptionError(f"There is no preset {name!r}; {instead_of(str(name), PRESETS)}")
    left_out = {*given, *(("duration",) if "repeat" in given else ())}
    found = {option: value for option, value in PRESETS[name].items() if option in of and option not in left_out}
    return found if video else {option: value for option, value in found.items() if option not in FILE_OPTIONS}


def with_preset(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function with a `preset` and other options, of which those that its caller leaves out get the preset's."""
    options = [name for name in inspect.signature(function).parameters if name in ALL_OPTIONS]

    @wraps(function)
    def called(*args: _P.args, **given: _P.kwargs) -> _R:
        others: Any = preset_defaults(given.get("preset"), given, of=options)  # type: ignore[arg-type]
        return function(*args, **{**given, **others})

    return called


def defaults_and_limits() -> dict[str, dict[str, Any]]:
    """Of each option that the service takes, for the studio's page: its default, gt, ge, le or choices, and label."""
    served = {name: option for name, option in OPTIONS.items() if option["served"]}
    described = {n: {"default": one["default"], **one["limits"], **one["studio"]} for n, one in served.items()}
    described["wind"]["default"], described["style"]["choices"] = astuple(Wind()), STYLES
    return described


class FileArguments(TypedDict, total=False):
    """FileOptions as keyword arguments, for type checkers and editors."""

    quality: int | None
    codec: str | None
    repeat: int
    duration: float | str | None
    keyframes: Keyframes
    silence: bool
    crop: str | None
    layer: Layer
    depth: int
    sound: bool
    embed_report: bool
    keep_metadata: bool


class RenderArguments(TypedDict, total=False):
    """RenderOptions as keyword arguments, for type checkers and editors."""

    subject: Subject
    mask: MaskSource | None
    motion: MotionSource | None
    arrows: Sequence[Arrow]
    wind: Wind | Sequence[float] | None
    seconds: float
    fps: float
    pace: Pace
    speed: float
    warp: Warp
    sampling: Sampling
    detail: float
    style: StyleSource | None
    style_strength: float
    style_drift: bool
    weather: WeatherName | None
    weather_strength: float


def check_live(warp: str, sampling: str) -> None:
    """OptionError for a loop that no shader plays."""
    if warp == "dfw" or sampling == "splat":
        raise OptionError(
            "A live loop is gathered from the plate in the browser, which runs no generator; use sampling gather with"
            " warp msdfw or pixel, or write a video."
        )


def check_inversion_options(refine: int, seed: int) -> None:
    """The options of `Animator.invert`."""
    for name, value, most in (("refine", refine, 10_000), ("seed", seed, 2**63 - 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise OptionError(f"{name} must be a whole number from 0 to {most}, not {value!r}.")


def check_style(style: Any) -> None:
    """OptionError for a text that is neither the name of a style nor the path of a file."""
    if isinstance(style, str) and style not in STYLES and not os.path.exists(style):
        raise OptionError(f"There is no style {style!r}; {instead_of(style, STYLES, ', or the path of a photo')}")


def check_wind(wind: Wind | Sequence[float] | Sequence[str] | None) -> Wind:
    """The wind for (degrees, strength), or the default one for None. OptionError for anything else."""
    if wind is None:
        return Wind()
    try:
        degrees, strength = (float(value) for value in (astuple(wind) if isinstance(wind, Wind) else wind))
    except (TypeError, ValueError):
        raise OptionError(f"A wind is two numbers, degrees and strength, like (270, 0.6); {wind!r} is not.") from None
    check_number("The wind's direction", degrees, ge=-3600, le=3600)
    check_number("The wind's strength", strength, ge=0, le=1)
    return Wind(degrees % 360, strength)


def check_arrows(arrows: Sequence[Arrow]) -> tuple[tuple[float, ...], ...]:
    """Arrows as tuples of floats. MotionError unless each is a way of finite numbers, from inside the photo and not
    without a length."""
    if not isinstance(arrows, Iterable):
        raise MotionError(f"Arrows are a list of x0, y0, x1, y1 each, not {arrows!r}; leave them out for none.")
    checked = []
    for arrow in arrows:
        try:
            way = tuple(float(value) for value in arrow)
        except (TypeError, ValueError):
            way = ()
        if not 2 <= len(way) / 2 <= MAX_WAY or len(way) % 2:
            raise MotionError(
                f"An arrow is four numbers x0, y0, x1, y1, or a way of up to {MAX_WAY} points; {arrow!r} is not."
            )
        inside = all(0 <= value <= 1 for value in way[:2])
        if not inside or not all(math.isfinite(value) and abs(value) <= 10 for value in way):
            raise MotionError(
                f"Arrow {arrow!r} does not start inside the photo or is far too long;"
                " give fractions of its width and height, from 0 to 1."
            )
        if way == way[:2] * (len(way) // 2):
            raise MotionError(
                f"Arrow {way!r} ends where it starts, so it has no direction; end it elsewhere, or freeze what should"
                " stand still."
            )
        checked.append(way)
    return tuple(checked)


def check_device_name(name: str) -> None:
    """OptionError for what no machine has."""
    if re.fullmatch(r"cpu:0*[1-9]\d*", name):
        raise OptionError(f"Device {name!r} does not exist, since all cores are one device; use cpu.")
    if not re.fullmatch(r"(cpu|cuda)(:\d{1,3})?", name):
        raise OptionError(f"There is no device {name!r}; use cpu or cuda.")


def check_device(device: str | torch.device | None) -> torch.device:
    """The device to work on; None is the first CUDA device if there is one, else the CPU."""
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device_name(str(device))
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        there = f"PyTorch finds only {count}, counted from cuda:0; use one of them, or cpu" if count else "use cpu"
        raise OptionError(f"There is no GPU {str(device)!r} that PyTorch can use; {there}.")
    return chosen


def check_int(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int. OptionError unless it is a whole number in that range."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value <= most:
        raise OptionError(f"{name} is a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def check_number(name: str, value: float, *, gt: float = -math.inf, ge: float = -math.inf, le: float) -> None:
    """OptionError unless the value is a finite number in that range."""
    try:
        good = not isinstance(value, bool) and math.isfinite(value) and value > gt and ge <= value <= le
    except (TypeError, OverflowError):
        good = False
    if not good:
        limits = f"above {gt:g} and at most {le:g}" if math.isfinite(gt) else f"from {ge:g} to {le:g}"
        raise OptionError(f"{name} must be a number {limits}, not {value!r}.")
