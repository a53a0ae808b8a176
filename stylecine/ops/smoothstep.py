"""The smoothstep polynomial, for numbers, arrays and tensors. Without PyTorch, which editing scenes does without."""

from typing import TypeVar

T = TypeVar("T")


def smoothstep(t: T) -> T:
    """0 at 0, 1 at 1 and level at both ends; t in [0,1]."""
    return t * t * (3 - 2 * t)  # type: ignore[operator]
