"""The moving place that an arrow starts from. NumPy only, so that files can be edited without PyTorch."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

GRID = 256  # longest short side of the grid
REACH = 0.05  # of the short side: how far from a moving place an arrow may start
MOVING = 0.05  # alpha above which a place of the grid moves


def start_cells(layers: np.ndarray, arrows: Sequence[Sequence[float]]) -> list[tuple[int, int] | None]:
    """For each arrow (x0, y0, x1, y1) the moving cell nearest to its start: (row, column), None if it is too far.

    layers: float [K,H,W]. Cells are those of a grid whose short side is 256, or the photo's if that is less.
    """
    if not arrows:
        return []
    height, width = layers.shape[1:]
    scale = min(1.0, GRID / min(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = [np.asarray(Image.fromarray(layer).resize((w, h), Image.Resampling.BILINEAR)) for layer in layers]
    still = np.max(small, axis=0) <= MOVING
    if still.all():
        return [None] * len(arrows)
    distance, (rows, columns) = ndimage.distance_transform_edt(still, return_indices=True)
    cells: list[tuple[int, int] | None] = []
    for x, y, *_ in arrows:
        cell = min(h - 1, max(0, int(y * h))), min(w - 1, max(0, int(x * w)))
        near = distance[cell] <= REACH * min(h, w)
        cells.append((int(rows[cell]), int(columns[cell])) if near else None)
    return cells
