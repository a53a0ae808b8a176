"""A displacement between the knots at which it is known."""

from __future__ import annotations

from torch import Tensor


def displaced(positions: Tensor, rates: Tensor, stride: float, age: float) -> Tensor:
    """The displacement at `age`, by cubic Hermite interpolation in time, in the knots' own unit.

    positions, rates: [knots,...], knot i at age i*stride; rates are the derivatives v(x + D), per unit of `age`.
    """
    i = max(0, min(int(age // stride), len(positions) - 2))
    u = age / stride - i
    end = u * u * (3 - 2 * u)
    start_slope, end_slope = u * (1 - u) ** 2 * stride, u * u * (u - 1) * stride
    value = (1 - end) * positions[i] + end * positions[i + 1]
    return value + start_slope * rates[i] + end_slope * rates[i + 1]
