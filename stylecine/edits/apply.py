"""The edits of a scene: how they are made, and their effect on its layers and flow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, Self, cast

import numpy as np
from scipy import ndimage

from stylecine.edits.model import (
    ANCHOR_RADIUS,
    BRUSH_RADIUS,
    MAX_EDITS,
    MAX_FACTOR,
    Anchor,
    Area,
    Edit,
    Mode,
    Paint,
    Push,
    Speed,
    Style,
    Where,
    check_paint,
    check_point,
    checked,
)
from stylecine.edits.strokes import resize, soft_step
from stylecine.errors import MotionError, OptionError, SceneError
from stylecine.ops.arrows import MOVING, start_cells
from stylecine.options import CLASSES, CLOTH, MIN_LAYER_ALPHA, Arrow, MovingClass, Paintable, StyleSource, check_arrows
from stylecine.picture.transparency import transparent

SPEED_BLEND = 0.05  # of the short side: the distance over which one speed becomes another


class Editable:
    """A photo with layers and edits: a `Scene`, or the arrays of a .cine file. Immutable.

    Points are fractions (x, y) of width and height, radii fractions of the short side.
    """

    photo: np.ndarray  # uint8 [H,W,3]
    edits: tuple[Edit, ...]
    alpha: np.ndarray | None  # of the photo, uint8 [H,W]; None for one without

    @property
    def predicted_layers(self) -> np.ndarray:
        """float32 [K,H,W], before any edit."""
        raise NotImplementedError

    @cached_property
    def edited(self) -> tuple[np.ndarray, np.ndarray]:
        """The layers after the edits, float32 [K,H,W], and how much each pixel is frozen, [H,W] in [0,1]. What is
        transparent is, whatever the edits say."""
        layers = self.predicted_layers
        frozen = np.zeros(layers.shape[1:], np.float32)
        paints = [edit for edit in self.edits if isinstance(edit, Paint)]
        if paints:
            layers = layers.copy()
        for edit in paints:
            window, alpha = edit.area.window, edit.area.alpha
            part = layers[:, *window]
            if edit.mode == "add":
                part[:] = part * (1 - alpha) if edit.what == CLOTH else _add_class(part, edit.what, alpha)
                frozen[window] *= 1 - alpha
            elif edit.what != CLOTH:
                erased = slice(None) if edit.what is None else CLASSES.index(edit.what)
                part[erased] *= 1 - alpha
                if edit.mode == "freeze":
                    frozen[window] = np.maximum(frozen[window], alpha)
        if paints:
            layers[layers < MIN_LAYER_ALPHA] = 0
        return self.opaque(layers), frozen if self.transparent is None else np.maximum(frozen, self.transparent)

    @cached_property
    def transparent(self) -> np.ndarray | None:
        """Where the photo is transparent, if only in part, bool [H,W]; None if nowhere. Nothing moves there."""
        return None if self.alpha is None or not (places := transparent(self.alpha)).any() else places

    def opaque(self, maps: np.ndarray) -> np.ndarray:
        """Maps [...,H,W] without what is transparent."""
        return maps if self.transparent is None else maps * ~self.transparent

    @cached_property
    def painted(self) -> np.ndarray:
        """Where anything was painted, erased or frozen, or is transparent, bool [H,W]: nobody doubts what is there."""
        places = np.zeros(self.photo.shape[:2], bool) if self.transparent is None else self.transparent.copy()
        for edit in self.edits:
            if isinstance(edit, Paint):
                places[edit.area.window] |= edit.area.values > 127
        return places

    @cached_property
    def added(self) -> np.ndarray:
        """Where the user says that the landscape moves, bool [H,W]: painted, and not erased or frozen later."""
        places = np.zeros(self.photo.shape[:2], bool)
        for edit in self.edits:
            if isinstance(edit, Paint):
                part, here = places[edit.area.window], edit.area.values > 127
                part[here] = edit.mode == "add" and edit.what != CLOTH
        return self.opaque(places)

    @cached_property
    def cloth(self) -> np.ndarray:
        """What was painted as cloth, edits included, float32 [H,W] in [0,1]; cloth is never predicted."""
        return self.opaque(edited_cloth(self.photo.shape[:2], self.edits))

    def paint(
        self, what: Paintable | Literal["all"] | None, where: Where, mode: Mode = "add", radius: float = BRUSH_RADIUS
    ) -> Self:
        """The same with one more edit, which says what is where.

        what: "sky", "water", "falls", "smoke" or "cloth"; to erase or freeze, None or "all".
        where: a stroke, points [[x, y], ...] of a brush of `radius`, which is fitted to the edges under it and changes
            nothing beyond 0.3 radii past the brush; or a mask, as for `animate`, used unchanged.
        mode: "add": it moves there as `what` does, cloth if `subject` includes it. "erase": no `what` moves there.
            "freeze": nothing moves there, whatever mask or motion is given later, unless something is added there
            later.
        Raises OptionError, MaskError.
        """
        what = None if what == "all" and mode != "add" else what
        check_paint(what, mode)  # before the stroke is fitted
        area = Area.create(self.photo, where, radius, fit=True, thin=mode != "add")
        return self._with(Paint(what, mode, area))

    def push(self, arrow: Sequence[float]) -> Self:
        """Makes matter travel from (x0, y0) to (x1, y1), or a longer way, in one second, as `arrows` of `animate`.

        Raises MotionError.
        """
        way = check_arrows([arrow])[0]
        if start_cells(self.edited[0], [way]) == [None]:
            raise MotionError(
                f"The arrow from ({way[0]:g}, {way[1]:g}) starts where nothing moves; start it on sky or water, or add"
                " some there first."
            )
        return self._with(Push(way))

    def anchor(self, point: Sequence[float], radius: float = ANCHOR_RADIUS) -> Self:
        """Makes matter rest at a point (x, y) and reach full speed at `radius`. Raises OptionError."""
        return self._with(Anchor(check_point(point), checked(Anchor, "radius", radius)))

    def speed(self, what: MovingClass | Where, factor: float, radius: float = BRUSH_RADIUS) -> Self:
        """Makes a class, or what is painted, `factor` times as fast, up to 10; below 0 it moves the other way.

        what: a class's name, or a place as in `paint`; a stroke's border is soft. Raises OptionError, MaskError.
        """
        factor = checked(Speed, "factor", factor)
        if isinstance(what, str) and what in CLASSES:
            return self._with(Speed(what, factor))
        if isinstance(what, str) and not os.path.exists(what):
            raise OptionError(f"{what!r} is neither a class ({', '.join(CLASSES)}) nor the file of a mask.")
        return self._with(Speed(None, factor, Area.create(self.photo, what, radius, fit=False)))

    def style(self, style: StyleSource, strength: float = 1.0, drift: bool = False) -> Self:
        """Shows the whole in another appearance, instead of any earlier one.

        style: one of `options.STYLES`, or a photo as for `animate`, of which only the appearance counts.
        strength: 0, the photo's own, to 1. drift: from the photo to the style and back, once in the loop.
        Raises OptionError, PhotoError.
        """
        return self._with(Style.create(style, strength, drift))

    def undo(self) -> Self:
        """The same without its last edit. Raises SceneError if there is none."""
        if not self.edits:
            raise SceneError("There is nothing to undo; the scene has no edits.")
        return replace(cast(Any, self), edits=self.edits[:-1])

    def _with(self, edit: Edit) -> Self:
        if len(self.edits) >= MAX_EDITS:
            raise SceneError(f"A scene holds at most {MAX_EDITS} edits; undo some, or paint one mask for many.")
        return replace(cast(Any, self), edits=(*self.edits, edit))


def edited_cloth(size: tuple[int, ...], edits: Iterable[Edit], found: np.ndarray | None = None) -> np.ndarray:
    """What is painted as cloth and not later erased, frozen or painted as anything else: [H,W] in [0,1].

    found: cloth that is there before the edits.
    """
    cloth = np.zeros(size, np.float32) if found is None else found.copy()
    for edit in edits:
        if not isinstance(edit, Paint):
            continue
        part, alpha = cloth[edit.area.window], edit.area.alpha
        if edit.mode == "add" and edit.what == CLOTH:
            part[:] = np.maximum(part, alpha)
        elif edit.mode != "erase" or edit.what in (None, CLOTH):
            part *= 1 - alpha
    cloth[cloth < MIN_LAYER_ALPHA] = 0
    return cloth


def _add_class(layers: np.ndarray, what: str | None, alpha: np.ndarray) -> np.ndarray:
    """layers [K,h,w] with a class where it was painted, in place of anything else that moved there."""
    moving = 1 - np.prod(1 - layers, axis=0)
    painted = np.zeros_like(layers)
    painted[CLASSES.index(what)] = np.maximum(moving, alpha)
    return np.where((alpha >= 0.5) | (alpha > moving), painted, layers)


def active_arrows(edits: Iterable[Edit], layers: np.ndarray) -> tuple[Arrow, ...]:
    """The arrows of all pushes whose start still moves according to `layers` [K,H,W]."""
    arrows = [edit.arrow for edit in edits if isinstance(edit, Push)]
    return tuple(arrow for arrow, cell in zip(arrows, start_cells(layers, arrows), strict=True) if cell)


def edited_flow(flow: np.ndarray, layers: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    """flow [2,h,w] over layers [K,H,W], scaled by speeds and anchors.

    Speeds multiply, up to `MAX_FACTOR` in either direction.
    """
    grid = flow.shape[1:]
    speeds = sorted((edit for edit in edits if isinstance(edit, Speed)), key=lambda edit: abs(edit.factor))
    factors = _class_factors(layers, [speed for speed in speeds if speed.area is None], grid)
    for speed in speeds:  # slowest first, so that no product overflows
        if speed.area is not None:
            place = resize(speed.area.over(layers.shape[1:]), grid)
            place = ndimage.gaussian_filter(place, SPEED_BLEND / 2 * min(grid), mode="nearest")
            factors = (factors * (1 + (speed.factor - 1) * place)).clip(-MAX_FACTOR, MAX_FACTOR)
    return (flow * damp_at_anchors(factors, edits)).astype(np.float32)


def damp_at_anchors(factors: np.ndarray, edits: Iterable[Edit]) -> np.ndarray:
    """Factors [h,w] of the speed, 0 at anchors and unchanged outside their radius."""
    height, width = factors.shape
    y, x = np.ogrid[0:height, 0:width]
    for edit in edits:
        if isinstance(edit, Anchor):
            distance = np.hypot(y + 0.5 - edit.point[1] * height, x + 0.5 - edit.point[0] * width) / min(height, width)
            factors = factors * soft_step(distance / edit.radius)
    return factors


def _class_factors(layers: np.ndarray, speeds: Sequence[Speed], grid: tuple[int, ...]) -> np.ndarray:
    """The factor [h,w] of the class at each cell of a grid; static cells take that of the nearest moving one.

    Towards another class it blends to the median of both and 1, or 0 if it is reversed: classes without an edit keep
    their speed, and classes with the same factor have no seam between them.
    """
    small = np.stack([resize(layer, grid) for layer in layers])
    static = small.max(0) <= MOVING
    if not speeds or static.all():
        return np.ones(grid, np.float32)
    rows, columns = ndimage.distance_transform_edt(static, return_distances=False, return_indices=True)
    owner = small.argmax(0)[rows, columns]
    products = (math.prod(speed.factor for speed in speeds if speed.what == name) for name in CLASSES)
    by_class = np.clip([*products], -MAX_FACTOR, MAX_FACTOR)
    factors = by_class[owner]
    for k in np.unique(owner) if np.ptp(owner) else ():
        inside = owner == k
        distance, (rows, columns) = ndimage.distance_transform_edt(inside, return_indices=True)
        usual = np.full(grid, float(by_class[k] >= 0))
        border = np.median([usual, np.full(grid, by_class[k]), by_class[owner[rows, columns]]], axis=0)
        blended = border + (by_class[k] - border) * soft_step(distance / (SPEED_BLEND * min(grid)))
        factors = np.where(inside, blended, factors)
    return factors
