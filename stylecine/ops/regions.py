"""Connected parts of a picture. Without PyTorch, as editing needs none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

Box = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True, eq=False)
class Parts:
    """The connected parts of a map. numbers: int [h,w], the number of each place's part from 1 to `count`, 0 off them.

    What is asked of the parts comes as one value a part, [count+1], to be looked up by number; 0 is the place off them.
    """

    numbers: np.ndarray
    count: int

    @property
    def size(self) -> np.ndarray:
        """Places, int."""
        return np.bincount(self.numbers.ravel(), minlength=self.count + 1)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Of [h,w], float64."""
        return np.bincount(self.numbers.ravel(), values.ravel(), self.count + 1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Of [h,w], float64; 0 for a part without places."""
        return self.sum(values) / np.maximum(self.size, 1)

    def touch(self, places: np.ndarray) -> np.ndarray:
        """Bool: whether the part has any of bool [h,w]."""
        found = np.zeros(self.count + 1, bool)
        found[self.numbers[places]] = True
        return found

    @property
    def touch_border(self) -> np.ndarray:
        """Bool: whether the part reaches the picture's border."""
        inside = np.zeros(self.numbers.shape, bool)
        inside[1:-1, 1:-1] = True
        return self.touch(~inside)

    @property
    def boxes(self) -> list[Box]:
        """The bounding box of each part from 1 on."""
        return ndimage.find_objects(self.numbers)

    @property
    def extent(self) -> np.ndarray:
        """Rows and columns of each part's bounding box, int [count+1,2]."""
        return np.array([(0, 0), *([side.stop - side.start for side in box] for box in self.boxes)])

    def __iter__(self) -> Iterator[tuple[Box, np.ndarray]]:
        """The bounding box of each part from 1 on, and what the part has of it, bool."""
        for n, box in enumerate(self.boxes, 1):
            yield box, self.numbers[box] == n

    def within(self, places: np.ndarray) -> Parts:
        """The same parts, as far as they lie in bool [h,w]."""
        return Parts(np.where(places, self.numbers, 0), self.count)

    def keep(self, chosen: np.ndarray) -> np.ndarray:
        """Bool [h,w]: the places of the parts for which bool [count+1] is true; never what is off them."""
        return chosen[self.numbers] & (self.numbers > 0)

    def masks(self, chosen: np.ndarray) -> list[np.ndarray]:
        """Bool [h,w] each: the parts for which bool [count+1] is true."""
        return [self.numbers == n for n in np.flatnonzero(chosen) if n]


def connected(places: np.ndarray, *, corners: bool = True, wraps: bool = False) -> Parts:
    """The connected parts of bool [h,w]; with `corners`, places that only meet at a corner are connected as well.
    wraps: so are those at the left and the right end of a row, and some numbers have no places."""
    parts = Parts(*ndimage.label(places, np.ones((3, 3)) if corners else None))
    for row in parts.numbers if wraps else ():
        if row[0] and row[-1] and row[0] != row[-1]:
            parts.numbers[parts.numbers == row[-1]] = row[0]
    return parts


@dataclass(frozen=True, eq=False)
class Region:
    """A place of one class. mask: bool [h,w]. moving_class: index into CLASSES."""

    mask: np.ndarray
    moving_class: int

    @property
    def share(self) -> float:
        """Of the photo."""
        return float(self.mask.mean())

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column of the place that is farthest from its border."""
        row, column = np.unravel_index(int(depth_inside(self.mask).argmax()), self.mask.shape)
        return int(row), int(column)

    @property
    def centre(self) -> tuple[float, float]:
        """That place in fractions of width and height."""
        row, column = self.cell
        return (column + 0.5) / self.mask.shape[1], (row + 0.5) / self.mask.shape[0]


def connected_regions(places: np.ndarray, classes: np.ndarray, smallest: float) -> list[Region]:
    """The connected parts of bool [h,w] above a share of the photo, the largest first.

    classes: int [h,w]; each region has the class that most of its places have.
    """
    parts = connected(places)
    size = parts.size
    large = sorted((n for n in range(1, parts.count + 1) if size[n] >= smallest * places.size), key=lambda n: -size[n])
    masks = [parts.numbers == n for n in large]
    return [Region(mask, int(np.bincount(classes[mask]).argmax())) for mask in masks]


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """The distance of each place of a region, bool [h,w], to its border; the picture's own border is one."""
    depth: np.ndarray = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth
