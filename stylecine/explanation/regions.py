"""Connected places of a photo, on a grid of its proportions, and brush strokes that cover them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

MAX_STROKES, MAX_POINTS = 8, 80  # for one region
MIN_RADIUS, MAX_RADIUS = 0.02, 0.25  # of a brush, in short sides
SPACING, REACH = 0.9, 2.5  # radii between two points of strokes, at least, and at most

Cell = tuple[int, int]  # row and column
Point = tuple[float, float]
Stroke = tuple[tuple[Point, ...], float]  # its points, in fractions of width and height, and its radius in short sides


@dataclass(frozen=True, eq=False)
class Region:
    """A place of one class. mask: bool [h,w]. klass: index into CLASSES."""

    mask: np.ndarray
    klass: int

    @property
    def share(self) -> float:
        """Of the photo."""
        return float(self.mask.mean())

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column of the place that is farthest from its border."""
        row, column = np.unravel_index(int(_depth(self.mask).argmax()), self.mask.shape)
        return int(row), int(column)

    @property
    def centre(self) -> Point:
        """That place in fractions of width and height."""
        row, column = self.cell
        return (column + 0.5) / self.mask.shape[1], (row + 0.5) / self.mask.shape[0]


def connected_regions(places: np.ndarray, klass: np.ndarray, smallest: float) -> list[Region]:
    """The connected parts of bool [h,w] above a share of the photo, the largest first.

    klass: int [h,w]; each region has the class that most of its places have.
    """
    labels, count = ndimage.label(places, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sorted((n for n in range(1, count + 1) if sizes[n] >= smallest * places.size), key=lambda n: -sizes[n])
    return [Region(labels == n, int(np.bincount(klass[labels == n]).argmax())) for n in large]


def strokes_over(mask: np.ndarray) -> list[Stroke]:
    """Brush strokes that cover a region, bool [h,w], and little else: as broad as its shape allows."""
    height, width = mask.shape
    depth, short = _depth(mask), min(mask.shape)
    radius = float(np.clip(0.45 * np.median(_ridge(depth)), MIN_RADIUS * short, MAX_RADIUS * short))
    lines = _lines(mask, depth, radius)
    while len(lines) > MAX_STROKES or sum(map(len, lines)) > MAX_POINTS:  # broader strokes skip what is small in it
        radius *= 1.2
        lines = _lines(mask, depth, radius)
    brush = min(1.0, round(radius / short, 3))
    points = [tuple((round((x + 0.5) / width, 3), round((y + 0.5) / height, 3)) for y, x in line) for line in lines]
    return [(line, brush) for line in points]


def _lines(mask: np.ndarray, depth: np.ndarray, radius: float) -> list[list[Cell]]:
    """Lines through the region from which no place of it is much farther than the radius, and that stay in it."""
    rows, columns = np.indices(mask.shape)
    open_places = mask & (depth >= min(0.7 * radius, depth.max()))
    left = np.where(open_places, depth, 0.0)
    cells: list[Cell] = []
    while left.any():
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        cells.append((int(row), int(column)))
        left[(rows - row) ** 2 + (columns - column) ** 2 <= (SPACING * radius) ** 2] = 0
    lines: list[list[Cell]] = []
    while cells:
        line = [cells.pop(0)]
        for end in (-1, 0):  # it grows from both ends
            while (following := _nearest(mask, line[end], cells, REACH * radius)) is not None:
                cells.remove(following)
                line.insert(len(line) if end else 0, following)
        lines.append(line)
    return lines


def _nearest(mask: np.ndarray, cell: Cell, cells: list[Cell], reach: float) -> Cell | None:
    """The nearest of some cells that a straight line inside the region leads to."""
    near = sorted((math.dist(cell, other), other) for other in cells if math.dist(cell, other) <= reach)
    for _, other in near:
        steps = np.rint(np.linspace(cell, other, 9)).astype(int)
        if mask[steps[:, 0], steps[:, 1]].all():
            return other
    return None


def _ridge(depth: np.ndarray) -> np.ndarray:
    """The depths along the middle of a region."""
    return depth[(depth > 0) & (depth >= ndimage.maximum_filter(depth, 3))]


def _depth(mask: np.ndarray) -> np.ndarray:
    """The distance of each place of a region to its border; the picture's own border is one."""
    depth: np.ndarray = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth
