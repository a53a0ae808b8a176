"""Connected places of a picture, on a grid of its proportions. Without PyTorch, as editing needs none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


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
        row, column = np.unravel_index(int(depth_inside(self.mask).argmax()), self.mask.shape)
        return int(row), int(column)

    @property
    def centre(self) -> tuple[float, float]:
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


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """The distance of each place of a region, bool [h,w], to its border; the picture's own border is one."""
    depth: np.ndarray = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth
