"""Deep feature warping: two displaced copies of a feature map, mixed."""

from __future__ import annotations

from torch import Tensor

from stylecine.ops.spline import sample


def warp_features(spline: Tensor, source_a: Tensor, source_b: Tensor, weight_a: Tensor, weight_b: Tensor) -> Tensor:
    """weight_a * features(x + source_a(x)) + weight_b * features(x + source_b(x)), border replicated.

    spline: the features' spline coefficients [C,h,w]; source_a and source_b [2,h,w] in their pixels;
    weights [h,w] or numbers. -> [C,h,w]
    """
    return weight_a * sample(spline, source_a) + weight_b * sample(spline, source_b)
