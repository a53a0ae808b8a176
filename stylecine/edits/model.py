"""The edits of a scene: paint, push, anchor, speed, style; their checks, and their forms as text and JSON.

Points and arrows are fractions of width and height, radii fractions of the short side.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from PIL import Image

from stylecine.edits.strokes import Box, fit_stroke, stroke_distance
from stylecine.edits.thin_stroke import fit_thin
from stylecine.errors import MaskError, NothingMoves, OptionError, PhotoError, either, printable
from stylecine.options import (
    CLASSES,
    MAX_WAY,
    PAINTS,
    STYLES,
    Arrow,
    MaskSource,
    check_arrows,
    check_number,
    check_style,
)
from stylecine.picture.photo import read_photo
from stylecine.picture.transparency import split_alpha

Mode = Literal["add", "erase", "freeze"]
MODES = get_args(Mode)
MAX_EDITS = 1000
MAX_POINTS = 10_000  # of a stroke
BRUSH_RADIUS = 0.03
ANCHOR_RADIUS = 0.1
MAX_FACTOR = 10.0  # of Speed
STYLE_SIDE = 128  # short side of the picture that a style keeps: all that w+ is read from
MAX_STYLE_SIDE = 16 * STYLE_SIDE
MAX_NAME = 255

Point: TypeAlias = tuple[float, float]
Where: TypeAlias = "Sequence[Sequence[float]] | Sequence[float] | MaskSource"  # a stroke [[x, y], ...], or a mask


@dataclass(frozen=True, eq=False, repr=False)
class Area:
    """Where an edit was painted: a stroke and its radius (a mask has no points), and the pixels that it covers.

    values: uint8 [h,w] at (top, left) of the photo, 255 for fully covered; elsewhere nothing is.
    """

    stroke: tuple[Point, ...]
    radius: float
    top: int
    left: int
    values: np.ndarray

    @classmethod
    def create(cls, photo: np.ndarray, where: Where, radius: float, *, fit: bool, thin: bool = False) -> Self:
        """Strokes are fitted to the photo's edges if `fit`, else their border is soft; masks are used unchanged.

        thin: a stroke along a thin thing means that thing. Raises OptionError, MaskError.
        """
        height, width = photo.shape[:2]
        if _is_mask(where):
            from stylecine.picture.given_mask import read_mask  # which imports PyTorch

            try:
                mask = np.asarray(read_mask(where, (height, width)))
            except NothingMoves:
                raise MaskError("The painted mask is empty; make it white where the edit should apply.") from None
            return cls._cropped((), 0.0, (0, 0, height, width), mask)
        check_number("radius", radius, gt=0, le=1)
        points = _check_stroke(where)
        pixels = max(1.0, radius * min(height, width))
        line = np.array(points) * (width, height)
        if fit:
            box, alpha = (fit_thin(photo, line, pixels) if thin else None) or fit_stroke(photo, line, pixels)
        else:
            box, distance = stroke_distance((height, width), line, pixels)
            alpha = np.clip(2 * (1 - distance / pixels), 0, 1)
        return cls._cropped(points, float(radius), box, alpha)

    @classmethod
    def _cropped(cls, stroke: tuple[Point, ...], radius: float, box: Box, alpha: np.ndarray) -> Self:
        values = np.rint(alpha * 255).astype(np.uint8)
        bounds = Image.fromarray(values).getbbox()
        if bounds is None:
            raise MaskError("The stroke does not touch the photo; its points are fractions of width and height.")
        left, top, right, bottom = bounds
        covered = np.ascontiguousarray(values[top:bottom, left:right])
        return cls(stroke, radius, box[0] + top, box[1] + left, covered)

    def __repr__(self) -> str:
        what = f"stroke of {len(self.stroke)} points, radius {self.radius:g}" if self.stroke else "mask"
        height, width = self.values.shape
        return f"<Area: {what}, {width}x{height} pixels at {self.left},{self.top}>"

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.values.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def alpha(self) -> np.ndarray:
        """`values` as float32 in [0,1]."""
        return self.values.astype(np.float32) / 255

    def over(self, size: tuple[int, ...]) -> np.ndarray:
        """`alpha` for the whole photo, float32 [H,W]."""
        full = np.zeros(size, np.float32)
        full[self.window] = self.alpha
        return full

    def to_option(self) -> str:
        if not self.stroke:
            return f"(a mask of {self.values.shape[1]}x{self.values.shape[0]} pixels)"
        return f"'{' '.join(map(_joined, self.stroke))}@{self.radius:g}'"

    def to_json(self) -> dict[str, Any]:
        return {"stroke": [list(p) for p in self.stroke], "radius": self.radius, "top": self.top, "left": self.left}

    @classmethod
    def from_json(cls, facts: dict[str, Any], values: np.ndarray | None, size: tuple[int, int]) -> Self:
        if values is None or set(facts) != {"stroke", "radius", "top", "left"}:
            raise ValueError("an area is incomplete")
        top, left = facts["top"], facts["left"]
        for start, extent, side in zip((top, left), values.shape, size, strict=True):
            if type(start) is not int or extent < 1 or not 0 <= start <= side - extent:
                raise ValueError("an area lies outside the photo")
        check_number("radius", facts["radius"], ge=0, le=1)
        if not isinstance(facts["stroke"], list) or len(facts["stroke"]) > MAX_POINTS:
            raise ValueError("a stroke is too long")
        stroke = tuple((x, y) for x, y in map(_check_numbers, facts["stroke"]))
        return cls(_check_stroke(stroke) if stroke else (), float(facts["radius"]), top, left, values)


# The metadata of an edit's fields are their limits, in Python and in requests of the service.


@dataclass(frozen=True)
class Paint:
    """Says what moves. mode "add": `what` is here. "erase": it is not; None: nothing here is. "freeze": nothing here
    moves."""

    what: str | None = field(metadata={"choices": PAINTS})
    mode: str = field(metadata={"choices": MODES})
    area: Area

    def __post_init__(self) -> None:
        check_paint(self.what, self.mode)


def check_paint(what: str | None, mode: str) -> None:
    """Raises OptionError for what cannot be painted."""
    if mode not in MODES:
        raise OptionError(f"mode must be add, erase or freeze, not {mode!r}.")
    if mode == "freeze" and what is not None:
        raise OptionError(f"Freezing stops everything there, not only {what!r}; give None, or erase it.")
    if what is not None or mode == "add":
        _check_class(what, PAINTS)


@dataclass(frozen=True)
class Push:
    """Matter travels from (x0, y0) to (x1, y1), and on along further points, in one second."""

    arrow: Arrow = field(metadata={"min_length": 4, "max_length": 2 * MAX_WAY})


@dataclass(frozen=True)
class Anchor:
    """Matter at `point` rests; its speed rises smoothly to full speed at `radius`, a fraction of the short side."""

    point: Point = field(metadata={"min_length": 2, "max_length": 2})
    radius: float = field(metadata={"gt": 0, "le": 1})


@dataclass(frozen=True)
class Speed:
    """A class, or what is painted, moves `factor` times as fast; below 0 the other way."""

    what: str | None = field(metadata={"choices": CLASSES})
    factor: float = field(metadata={"ge": -MAX_FACTOR, "le": MAX_FACTOR})
    area: Area | None = None


@dataclass(frozen=True, eq=False)
class Style:
    """The whole in another appearance, of the kind that `name` says or of another photo, whose name it then is.

    picture: that photo, uint8 [h,w,3], short side STYLE_SIDE at most; None for a kind. strength: 0 to 1. drift: from
    the photo to the style and back, once in the loop.
    """

    name: str = field(metadata={"choices": STYLES})
    strength: float = field(metadata={"ge": 0, "le": 1})
    drift: bool
    picture: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def create(cls, style: Any, strength: float, drift: bool) -> Self:
        """See `Editable.style`. Raises OptionError, PhotoError."""
        strength = checked(cls, "strength", strength)
        if isinstance(style, str) and style in STYLES:
            return cls(style, strength, bool(drift))
        check_style(style)
        picture, source = read_photo(style, STYLE_SIDE)
        picture, _ = split_alpha(picture)
        if max(picture.shape) > MAX_STYLE_SIDE:
            raise PhotoError("The photo of a style is too narrow; crop it to a more usual shape.")
        name = printable(source.name)[:MAX_NAME] if source and source.name else "a photo"
        return cls(name, strength, bool(drift), picture)


Edit: TypeAlias = Paint | Push | Anchor | Speed | Style
KINDS = tuple(kind.__name__.lower() for kind in get_args(Edit))  # also the names of the methods of `Editable`


def values_of(edit: Edit) -> np.ndarray | None:
    """What a file keeps of an edit besides its JSON, uint8 [h,w]: an area's values, or a style's picture."""
    if isinstance(edit, Style):
        return None if edit.picture is None else edit.picture.reshape(len(edit.picture), -1)
    area: Area | None = getattr(edit, "area", None)
    return None if area is None else area.values


# --- as text


def to_option(edit: Edit) -> str:
    """The option of `stylecine edit` for this edit, but for the file of a mask or photo, which is no longer known."""
    match edit:
        case Paint(what, mode, area):
            return f"--{mode} {what + ':' if what else ''}{area.to_option()}"
        case Push(arrow):
            return f"--arrow {_joined(arrow)}"
        case Anchor(point, radius):
            return f"--anchor {_joined(point)}@{radius:g}"
        case Speed(what, factor, area):
            return f"--speed {area.to_option() if area else what}={factor:g}"
        case Style(name, strength, drift, picture):
            named = name if picture is None else f"'{name}'"
            return f"--style {named}={strength:g}{',drift' if drift else ''}"


def to_json(edit: Edit) -> dict[str, Any]:
    """An edit for JSON: its kind and fields, without the values of its area and the picture of a style."""
    facts: dict[str, Any] = {"edit": type(edit).__name__.lower()}
    for name, value in vars(edit).items():
        if name == "picture":
            facts["photo"] = value is not None
        elif isinstance(value, Area):
            facts[name] = value.to_json()
        else:
            facts[name] = [*value] if isinstance(value, tuple) else value
    return facts


def from_json(facts: Any, values: np.ndarray | None, size: tuple[int, int]) -> Edit:
    """The inverse of `to_json`, given the edit's `values_of` and the photo's `size` (H, W).

    Raises ValueError, TypeError, KeyError or a StylecineError for anything that `to_json` does not write.
    """
    match facts:
        case {"edit": "paint", "what": str() | None as what, "mode": str(mode), "area": dict(area), **rest} if not rest:
            return Paint(what, mode, Area.from_json(area, values, size))
        case {"edit": "push", "arrow": list(arrow), **rest} if not rest:
            return Push(check_arrows([_check_numbers(arrow)])[0])
        case {"edit": "anchor", "point": list(point), "radius": radius, **rest} if not rest:
            return Anchor(check_point(_check_numbers(point)), checked(Anchor, "radius", radius))
        case {"edit": "speed", "what": str(what), "factor": factor, "area": None, **rest} if not rest:
            _check_class(what, CLASSES)
            return Speed(what, checked(Speed, "factor", factor))
        case {"edit": "speed", "what": None, "factor": factor, "area": dict(area), **rest} if not rest:
            return Speed(None, checked(Speed, "factor", factor), Area.from_json(area, values, size))
        case {
            "edit": "style", "name": str(name), "strength": strength, "drift": bool(drift), "photo": bool(photo), **rest
        } if not rest:  # fmt: skip
            if photo != (values is not None) or not (photo or name in STYLES):
                raise ValueError("a style is incomplete")
            if not 0 < len(name) <= MAX_NAME or not name.isprintable():
                raise ValueError("a style has no valid name")
            picture = None if values is None else _style_picture(values)
            return Style(name, checked(Style, "strength", strength), drift, picture)
    raise ValueError("an edit is unknown")


def _style_picture(values: np.ndarray) -> np.ndarray:
    height, triple = values.shape
    if triple % 3 or not 1 <= min(height, triple // 3) <= STYLE_SIDE or max(height, triple // 3) > MAX_STYLE_SIDE:
        raise ValueError("a style's picture has no valid size")
    return values.reshape(height, -1, 3)


def _joined(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


# --- checks


def checked(kind: type[Edit], name: str, value: float) -> float:
    """A number within the limits of that field. Raises OptionError."""
    (limits,) = (field.metadata for field in fields(kind) if field.name == name)
    check_number(name, value, **limits)
    return float(value)


def check_point(point: Sequence[float]) -> Point:
    """A place in the photo. Raises OptionError."""
    points = _pairs(point)
    if points is None or len(points) != 1 or not ((points >= 0) & (points <= 1)).all():
        raise OptionError(f"An anchor is a point x, y in fractions of width and height, from 0 to 1; {point!r} is not.")
    return float(points[0, 0]), float(points[0, 1])


def _check_class(what: Any, classes: Sequence[str]) -> None:
    if what not in classes:
        raise OptionError(f"There is no class {what!r}; use {either(classes)}.")


def _is_mask(where: Where) -> bool:
    """Paths, images and arrays are masks, except an array of numbers [n,2], which like a list is a stroke."""
    if isinstance(where, str | os.PathLike | Image.Image):
        return True
    dtype = getattr(where, "dtype", None)
    if dtype is None:
        return False
    return str(dtype).removeprefix("torch.") in ("bool", "uint8") or _pairs(where) is None


def _check_stroke(where: Where) -> tuple[Point, ...]:
    """The points of a stroke, which may leave the photo by up to its size."""
    points = _pairs(list(islice(where, MAX_POINTS + 1)) if isinstance(where, Iterator) else where)
    if points is None:
        raise OptionError("A stroke is a list of points [[x, y], ...], and a mask is an image, its path or an array.")
    if not 1 <= len(points) <= MAX_POINTS:
        raise OptionError(f"A stroke has from 1 to {MAX_POINTS} points.")
    if not (np.abs(points - 0.5) <= 1.5).all():  # false for NaN too
        raise OptionError("A stroke's points are fractions of width and height, from 0 to 1.")
    return tuple((float(x), float(y)) for x, y in points)


def _pairs(values: Any) -> np.ndarray | None:
    """A pair of numbers, or a list of pairs, as float64 [n,2]; None for anything else."""
    try:
        pairs = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    if pairs.shape in ((2,), (0,)):
        pairs = pairs.reshape(-1, 2)
    return pairs if pairs.ndim == 2 and pairs.shape[1] == 2 else None


def _check_numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError("a number is missing")
    return [float(value) for value in values]
