"""smoothstep, for numbers, arrays and tensors. Without PyTorch, as edits of scenes do not need it."""

from typing import Any, TypeVar

T = TypeVar("T")


def smoothstep(edge0: float, edge1: float, x: T) -> T:
    """0 up to edge0, 1 from edge1 on, and smooth in between, as in GLSL."""
    t: Any = (x - edge0) / (edge1 - edge0)  # type: ignore[operator]
    t = min(max(t, 0.0), 1.0) if isinstance(t, float) else t.clip(0, 1)
    smooth: T = t * t * (3 - 2 * t)
    return smooth
