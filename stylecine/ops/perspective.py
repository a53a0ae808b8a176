"""Perspective, guessed from the rows of a picture: ground and water come nearer from the horizon down."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def nearness(rows: T, far: float, span: float) -> T:
    """How near each of some rows is, in [0,1]: 0 at the row `far` and beyond it, 1 from `span` further down on.

    rows: an array or a tensor, in any unit; the others in the same. A negative span is that of a sky, which comes
    nearer upwards from the horizon.
    """
    depth: Any = (rows - far) / span  # type: ignore[operator]
    near: T = depth.clip(0, 1)
    return near


def nearness_within(places: np.ndarray, tail: float, least_span: float) -> np.ndarray:
    """How near each row is, [h] in [0,1]: 0 at the far end of `places`, bool [h,w], and 1 at their near end.

    tail: percent of the places that may lie beyond either end. least_span: between the ends, in short sides.
    """
    far, near = np.percentile(np.nonzero(places)[0], [tail, 100 - tail])
    return nearness(np.arange(len(places)), far, max(near - far, least_span * min(places.shape)))
