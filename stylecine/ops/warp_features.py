"""Deep feature warping: two displaced copies of a feature map, mixed."""

from __future__ import annotations

from torch import Tensor

from stylecine.ops.integrate import look_up


def warp_features(
    features: Tensor, source_a: Tensor, source_b: Tensor, weight_a: Tensor, weight_b: Tensor
) -> Tensor:
    """weight_a * features(x + source_a(x)) + weight_b * features(x + source_b(x)), cubic, border replicated.

    features [C,h,w]; source_a and source_b [2,h,w] in their pixels; weights [h,w] or numbers. -> [C,h,w]
    """
    copy_a = look_up(features[None], source_a[None], "bicubic")[0]
    copy_b = look_up(features[None], source_b[None], "bicubic")[0]
    return weight_a * copy_a + weight_b * copy_b
