"""What people change about a scene: paint, push, anchor, speed.

An edit is a small value that says what was asked for; what was found is never touched. Functions here make edits
(checked, strokes fitted to the picture), say what they do to layers and motion, and turn them into JSON and back.
NumPy only, so that files can be edited without PyTorch; a mask is read by `stylecine.stages.mask`, which needs it.

Points and arrows are fractions of width and height, radii fractions of the short side.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Self, TypeAlias, cast

import numpy as np
from PIL import Image
from scipy import ndimage

from stylecine.edits.strokes import Box, brushed, painted
from stylecine.errors import MaskError, MotionError, NothingMoves, OptionError, SceneError
from stylecine.ops.arrows import start_cells
from stylecine.options import CLASSES, CLOTH, MIN_LAYER_ALPHA, PAINTS, check_arrows, check_number

MODES = ("add", "erase", "freeze")
MOST_EDITS = 1000
MOST_POINTS = 10_000  # of a stroke
RADIUS = 0.03  # of a brush, of the short side
CALM = 0.1  # of an anchor
FASTEST = 10.0  # times as fast, at most
MELT = 0.05  # of the short side: over this distance one speed becomes another

Point: TypeAlias = tuple[float, float]
Where: TypeAlias = Any  # a stroke [[x, y], ...], or a mask as `animate` takes one


@dataclass(frozen=True, eq=False)
class Area:
    """Where an edit was painted: a stroke and its radius (a mask has no points), and the pixels that it means.

    `values`, uint8 [h,w], 255 wholly, lie at (top, left) of the photo; there is nothing outside of them.
    """

    stroke: tuple[Point, ...]
    radius: float
    top: int
    left: int
    values: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.values.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def share(self) -> np.ndarray:
        """`values` as float32 in [0,1]."""
        return self.values.astype(np.float32) / 255

    def over(self, size: tuple[int, ...]) -> np.ndarray:
        """The same over the whole photo, float32 [H,W]."""
        whole = np.zeros(size, np.float32)
        whole[self.window] = self.share
        return whole


@dataclass(frozen=True)
class Paint:
    """mode "add": `what` is here. "erase": it is not; None: nothing that moves is. "freeze": this stands still."""

    what: str | None
    mode: str
    area: Area


@dataclass(frozen=True)
class Push:
    """Matter travels from (x0, y0) to (x1, y1) in one second."""

    arrow: tuple[float, float, float, float]


@dataclass(frozen=True)
class Anchor:
    """Matter at `point` rests; within `radius` it gradually gets going."""

    point: Point
    radius: float


@dataclass(frozen=True)
class Speed:
    """A class, or what is painted, is `factor` times as fast."""

    what: str | None
    factor: float
    area: Area | None = None


Edit: TypeAlias = Paint | Push | Anchor | Speed


class Editable:
    """What has a photo, layers and edits: a `Scene`, or the arrays of a .cine file. It never changes.

    Points are fractions (x, y) of width and height, radii fractions of the short side.
    """

    photo: np.ndarray  # uint8 [H,W,3]
    edits: tuple[Edit, ...]

    @property
    def found_layers(self) -> np.ndarray:
        """float32 [K,H,W], as they were found."""
        raise NotImplementedError

    @cached_property
    def edited(self) -> tuple[np.ndarray, np.ndarray]:
        """Layers as they are after the edits, and how much each pixel is frozen: see `edited_layers`."""
        return edited_layers(self.found_layers, self.edits)

    @cached_property
    def cloth(self) -> np.ndarray:
        """What was painted as cloth, edits included, float32 [H,W] in [0,1]; nothing is found to be cloth unasked."""
        return edited_cloth(self.photo.shape[:2], self.edits)

    def paint(self, what: str | None, where: Where, mode: str = "add", radius: float = RADIUS) -> Self:
        """Says what is where: the same with one more edit.

        what: "sky", "water", "falls", "smoke" or "cloth"; to erase or freeze, None or "all".
        where: a stroke, points [[x, y], ...] of a brush of `radius`, which is fitted to the edges of what is under it
            and changes nothing further than 0.3 radii past the brush; or a mask as `animate` takes one, taken as it is.
        mode: "add": it moves there as `what` does, cloth if `subject` asks for it. "erase": no `what` moves there.
            "freeze": the photo stands still there, whatever mask or motion is given later, unless something is added
            there later.
        Raises OptionError, MaskError.
        """
        return self._with(paint(self.photo, what, where, mode, radius))

    def push(self, arrow: Sequence[float]) -> Self:
        """Has matter travel from (x0, y0) to (x1, y1) in one second; as `arrows` of `animate`. Raises MotionError."""
        return self._with(push(self.edited[0], arrow))

    def anchor(self, point: Sequence[float], radius: float = CALM) -> Self:
        """Has matter rest at a point (x, y) and gradually get going within `radius`. Raises OptionError."""
        return self._with(anchor(point, radius))

    def speed(self, what: Any, factor: float, radius: float = RADIUS) -> Self:
        """Has a class, or what is painted, go `factor` times as fast, 0 to 10.

        what: a class's name, or where, as in `paint`; a stroke's border is soft. Raises OptionError, MaskError.
        """
        return self._with(speed(self.photo, what, factor, radius))

    def undo(self) -> Self:
        """The same without its last edit. Raises SceneError if there is none."""
        if not self.edits:
            raise SceneError("There is nothing to undo; the scene has no edits.")
        return replace(cast(Any, self), edits=self.edits[:-1])

    def _with(self, edit: Edit) -> Self:
        if len(self.edits) >= MOST_EDITS:
            raise SceneError(f"A scene holds at most {MOST_EDITS} edits; undo some, or paint one mask for many.")
        return replace(cast(Any, self), edits=(*self.edits, edit))


# --- made from what a user gives


def paint(photo: np.ndarray, what: str | None, where: Where, mode: str, radius: float) -> Paint:
    """See `Editable.paint`. Raises OptionError, MaskError."""
    if mode not in MODES:
        raise OptionError(f"mode must be add, erase or freeze, not {mode!r}.")
    what = None if what == "all" and mode != "add" else what
    if mode == "freeze" and what is not None:
        raise OptionError(f"Freezing stops everything there, not only {what!r}; give None, or erase it.")
    if what is not None or mode == "add":
        _check_class(what, PAINTS)
    return Paint(what, mode, _area(photo, where, radius, fitted=True))


def push(layers: np.ndarray, arrow: Sequence[float]) -> Push:
    """See `Editable.push`; layers [K,H,W] as they are by now. Raises MotionError."""
    (checked,) = check_arrows([arrow])
    if start_cells(layers, [checked]) == [None]:
        raise MotionError(
            f"The arrow from ({checked[0]:g}, {checked[1]:g}) starts where nothing moves; start it on sky or water,"
            " or add some there first."
        )
    return Push(checked)


def anchor(point: Sequence[float], radius: float) -> Anchor:
    """See `Editable.anchor`. Raises OptionError."""
    points = _pairs(point)
    if points is None or len(points) != 1 or not ((points >= 0) & (points <= 1)).all():
        raise OptionError(f"An anchor is a point x, y in fractions of width and height, from 0 to 1; {point!r} is not.")
    check_number("radius", radius, gt=0, le=1)
    return Anchor((float(points[0, 0]), float(points[0, 1])), float(radius))


def speed(photo: np.ndarray, what: Any, factor: float, radius: float) -> Speed:
    """See `Editable.speed`. Raises OptionError, MaskError."""
    check_number("factor", factor, ge=0, le=FASTEST)
    if isinstance(what, str) and what in CLASSES:
        return Speed(what, float(factor))
    if isinstance(what, str) and not os.path.exists(what):
        raise OptionError(f"{what!r} is neither a class ({', '.join(CLASSES)}) nor the file of a mask.")
    return Speed(None, float(factor), _area(photo, what, radius, fitted=False))


def _check_class(what: Any, classes: Sequence[str] = CLASSES) -> None:
    if what not in classes:
        raise OptionError(f"There is no class {what!r}; use {', '.join(classes[:-1])} or {classes[-1]}.")


def _area(photo: np.ndarray, where: Where, radius: float, fitted: bool) -> Area:
    """Strokes are `fitted` to edges of the photo, or softened; masks are taken as they are."""
    if _is_mask(where):
        return _cut((), 0.0, (0, 0, *photo.shape[:2]), _mask(where, photo.shape[:2]))
    check_number("radius", radius, gt=0, le=1)
    points = _points(where)
    height, width = photo.shape[:2]
    thick = max(1.0, radius * min(height, width))
    line = np.array(points) * (width, height)
    if fitted:
        box, share = painted(photo, line, thick)
    else:
        box, distance = brushed((height, width), line, thick)
        share = np.clip(2 * (1 - distance / thick), 0, 1)
    return _cut(points, float(radius), box, share)


def _is_mask(where: Where) -> bool:
    """Paths, pictures and arrays are masks, but for an array of numbers [n,2], which is a stroke as lists are."""
    if isinstance(where, str | os.PathLike | Image.Image):
        return True
    if not hasattr(where, "dtype"):
        return False
    return str(where.dtype).removeprefix("torch.") in ("bool", "uint8") or _pairs(where) is None


def _points(where: Where) -> tuple[Point, ...]:
    """The points of a stroke. OptionError for what is none, and for points that are far from the photo."""
    values = _pairs(list(islice(where, MOST_POINTS + 1)) if isinstance(where, Iterator) else where)
    if values is None:
        raise OptionError("A stroke is a list of points [[x, y], ...], and a mask is a picture, its path or an array.")
    if not 1 <= len(values) <= MOST_POINTS:
        raise OptionError(f"A stroke has from 1 to {MOST_POINTS} points.")
    if not (np.abs(values - 0.5) <= 1.5).all():  # which not-a-number is neither
        raise OptionError("A stroke's points are fractions of width and height, from 0 to 1.")
    return tuple((float(x), float(y)) for x, y in values)


def _pairs(values: Any) -> np.ndarray | None:
    """Numbers x, y, or a row of such pairs, as float64 [n,2]; None for anything else."""
    try:
        pairs = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    if pairs.shape in ((2,), (0,)):
        pairs = pairs.reshape(-1, 2)
    return pairs if pairs.ndim == 2 and pairs.shape[1] == 2 else None


def _mask(where: Where, size: tuple[int, ...]) -> np.ndarray:
    from stylecine.stages.mask import read_mask

    try:
        return np.asarray(read_mask(where, (size[0], size[1])))
    except NothingMoves:
        raise MaskError("The painted mask is empty; make it white where the edit is meant.") from None


def _cut(stroke: tuple[Point, ...], radius: float, box: Box, share: np.ndarray) -> Area:
    """Rounded to bytes and cut to where there is anything. MaskError if there is nothing."""
    values = np.rint(share * 255).astype(np.uint8)
    rows, columns = (np.flatnonzero(values.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise MaskError("The stroke does not touch the photo; its points are fractions of width and height.")
    values = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Area(stroke, radius, box[0] + int(rows[0]), box[1] + int(columns[0]), np.ascontiguousarray(values))


# --- what they do


def edited_layers(layers: np.ndarray, edits: Iterable[Edit]) -> tuple[np.ndarray, np.ndarray]:
    """layers [K,H,W] -> layers as they are after the edits, and how much each pixel is frozen, [H,W] in [0,1]."""
    frozen = np.zeros(layers.shape[1:], np.float32)
    paints = [edit for edit in edits if isinstance(edit, Paint)]
    if not paints:
        return layers, frozen
    layers = layers.copy()
    for edit in paints:
        window, share = edit.area.window, edit.area.share
        here = layers[:, *window]
        if edit.mode == "add" and edit.what is not None:
            here[:] = here * (1 - share) if edit.what == CLOTH else _added(here, CLASSES.index(edit.what), share)
            frozen[window] *= 1 - share
        elif edit.what != CLOTH:
            chosen = slice(None) if edit.what is None else slice(k := CLASSES.index(edit.what), k + 1)
            here[chosen] *= 1 - share
            if edit.mode == "freeze":
                frozen[window] = np.maximum(frozen[window], share)
    layers[layers < MIN_LAYER_ALPHA] = 0
    return layers, frozen


def edited_cloth(size: tuple[int, ...], edits: Iterable[Edit]) -> np.ndarray:
    """What is painted as cloth and not as anything else later, erased or frozen: [H,W] in [0,1]."""
    cloth = np.zeros(size, np.float32)
    for edit in edits:
        if not isinstance(edit, Paint):
            continue
        here, share = cloth[edit.area.window], edit.area.share
        if edit.mode == "add" and edit.what == CLOTH:
            here[:] = np.maximum(here, share)
        elif edit.mode != "erase" or edit.what in (None, CLOTH):
            here *= 1 - share
    cloth[cloth < MIN_LAYER_ALPHA] = 0
    return cloth


def _added(layers: np.ndarray, k: int, share: np.ndarray) -> np.ndarray:
    """layers [K,h,w] with class k where it was painted; what else was there belongs to it too."""
    moving = 1 - np.prod(1 - layers, axis=0)
    mine = (share >= 0.5) | (share > moving)
    painted = np.zeros_like(layers)
    painted[k] = np.maximum(moving, share)
    return np.where(mine, painted, layers)


def live_arrows(edits: Iterable[Edit], layers: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
    """The arrows of all pushes whose start still moves in `layers` [K,H,W]."""
    arrows = [edit.arrow for edit in edits if isinstance(edit, Push)]
    return tuple(arrow for arrow, cell in zip(arrows, start_cells(layers, arrows), strict=True) if cell)


def steered(flow: np.ndarray, layers: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    """flow [2,h,w] over layers [K,H,W] -> slower and faster where speeds and anchors say so.

    Speeds multiply, to `FASTEST` times as fast at most.
    """
    grid = flow.shape[1:]
    speeds = [edit for edit in edits if isinstance(edit, Speed)]
    speeds.sort(key=lambda edit: edit.factor)  # the slow first, so that no product outgrows what numbers hold
    times = _by_class(layers, [edit for edit in speeds if edit.area is None], grid)
    for speed in speeds:
        if speed.area is not None:
            times = times * (1 + (speed.factor - 1) * _softened(speed.area, layers.shape[1:], grid))
            times = np.minimum(times, FASTEST)
    return (flow * anchored(times, edits)).astype(np.float32)


def anchored(kept: np.ndarray, edits: Iterable[Edit]) -> np.ndarray:
    """How much of its motion each place of a grid [h,w] keeps, beside anchors too."""
    for edit in edits:
        if isinstance(edit, Anchor):
            kept = kept * _smooth(_distance(edit.point, kept.shape) / edit.radius)
    return kept


def _owner(layers: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """The class of each place of a grid [h,w]; -1 where nothing moves."""
    small = np.stack([_resized(layer, grid) for layer in layers])
    return np.where(small.max(0) > 0.05, small.argmax(0), -1)


def _by_class(layers: np.ndarray, speeds: Sequence[Speed], grid: tuple[int, ...]) -> np.ndarray:
    """How many times as fast each place of a grid is by its class, [h,w]; what stands still, as what moves next to it.

    Towards another class it changes smoothly to the median of both and 1: a class that nobody asked about stays as it
    is, and between classes that are equally fast there is no seam.
    """
    owner = _owner(layers, grid)
    if not speeds or (owner < 0).all():
        return np.ones(grid, np.float32)
    rows, columns = ndimage.distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    owner = owner[rows, columns]
    products = (math.prod(speed.factor for speed in speeds if speed.what == name) for name in CLASSES)
    factors = np.array([min(product, FASTEST) for product in products])
    times = factors[owner]
    for k in np.unique(owner) if np.ptp(owner) else ():
        here = owner == k
        distance, (rows, columns) = ndimage.distance_transform_edt(here, return_indices=True)
        border = np.median([np.ones(grid), np.full(grid, factors[k]), factors[owner[rows, columns]]], axis=0)
        inside = border + (factors[k] - border) * _smooth(distance / (MELT * min(grid)))
        times = np.where(here, inside, times)
    return times


def _softened(area: Area, size: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    return ndimage.gaussian_filter(_resized(area.over(size), grid), MELT / 2 * min(grid), mode="nearest")


def _distance(point: Point, grid: tuple[int, ...]) -> np.ndarray:
    """[h,w]: from a point, in short sides."""
    y, x = np.ogrid[0 : grid[0], 0 : grid[1]]
    return np.hypot(y + 0.5 - point[1] * grid[0], x + 0.5 - point[0] * grid[1]) / min(grid)


def _smooth(x: np.ndarray) -> np.ndarray:
    t = np.clip(x, 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def _resized(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


# --- as text


def told(edit: Edit) -> str:
    """The option of `stylecine edit` that makes it; a mask's file is not known any more."""
    match edit:
        case Paint(what, mode, area):
            return f"--{mode} {what + ':' if what else ''}{_told_area(area)}"
        case Push(arrow):
            return f"--arrow {_told_numbers(arrow)}"
        case Anchor(point, radius):
            return f"--anchor {_told_numbers(point)}@{radius:g}"
        case Speed(what, factor, area):
            return f"--speed {what if area is None else _told_area(area)}={factor:g}"


def _told_area(area: Area) -> str:
    if not area.stroke:
        return f"(a mask of {area.values.shape[1]}x{area.values.shape[0]} pixels)"
    return f"'{' '.join(map(_told_numbers, area.stroke))}@{area.radius:g}'"


def _told_numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def to_json(edit: Edit) -> dict[str, Any]:
    """What JSON can hold of it: all but an area's values."""
    match edit:
        case Paint(what, mode, area):
            return {"edit": "paint", "what": what, "mode": mode, "area": _area_to_json(area)}
        case Push(arrow):
            return {"edit": "push", "arrow": list(arrow)}
        case Anchor(point, radius):
            return {"edit": "anchor", "point": list(point), "radius": radius}
        case Speed(what, factor, area):
            return {"edit": "speed", "what": what, "factor": factor, "area": area and _area_to_json(area)}


def _area_to_json(area: Area) -> dict[str, Any]:
    return {"stroke": [list(p) for p in area.stroke], "radius": area.radius, "top": area.top, "left": area.left}


def from_json(facts: Any, values: np.ndarray | None, size: tuple[int, int]) -> Edit:
    """The edit of `to_json` and its area's values, for a photo of `size` (H, W).

    Raises ValueError, TypeError, KeyError or a StylecineError for what `to_json` never says.
    """
    match facts:
        case {"edit": "paint", "what": str() | None as what, "mode": str(mode), "area": dict(area), **rest} if not rest:
            if mode not in MODES or (what is None if mode == "add" else mode == "freeze" and what is not None):
                raise ValueError("no such way to paint")
            if what is not None:
                _check_class(what, PAINTS)
            return Paint(what, mode, _area_from_json(area, values, size))
        case {"edit": "push", "arrow": list(arrow), **rest} if not rest:
            return Push(check_arrows([_numbers(arrow)])[0])
        case {"edit": "anchor", "point": list(point), "radius": radius, **rest} if not rest:
            return anchor(_numbers(point), *_numbers([radius]))
        case {"edit": "speed", "what": str(what), "factor": factor, "area": None, **rest} if not rest:
            _check_class(what)
            check_number("factor", *_numbers([factor]), ge=0, le=FASTEST)
            return Speed(what, float(factor))
        case {"edit": "speed", "what": None, "factor": factor, "area": dict(area), **rest} if not rest:
            check_number("factor", *_numbers([factor]), ge=0, le=FASTEST)
            return Speed(None, float(factor), _area_from_json(area, values, size))
    raise ValueError("no such edit")


def _area_from_json(facts: dict[str, Any], values: np.ndarray | None, size: tuple[int, int]) -> Area:
    if values is None or set(facts) != {"stroke", "radius", "top", "left"}:
        raise ValueError("an area is incomplete")
    top, left = facts["top"], facts["left"]
    for start, extent, whole in zip((top, left), values.shape, size, strict=True):
        if type(start) is not int or extent < 1 or not 0 <= start <= whole - extent:
            raise ValueError("an area is not inside of the photo")
    (radius,) = _numbers([facts["radius"]])
    check_number("radius", radius, ge=0, le=1)
    if not isinstance(facts["stroke"], list) or len(facts["stroke"]) > MOST_POINTS:
        raise ValueError("a stroke is too long")
    stroke = tuple((x, y) for x, y in map(_numbers, facts["stroke"]))
    return Area(_points(stroke) if stroke else (), radius, top, left, values)


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError("a number is missing")
    return [float(value) for value in values]
