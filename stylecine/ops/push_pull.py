"""Push-pull filling: what is hidden takes the colours of ever coarser means of what is visible.

Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph" (SIGGRAPH 1996).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def push_pull(image: Tensor, visible: Tensor) -> Tensor:
    """Fill image [N,C,H,W] where visible [N,1,H,W], in [0,1], is 0; where it is 1 the image is kept as it is."""
    return _filled(image * visible, visible)


def _filled(image: Tensor, weight: Tensor) -> Tensor:
    """image is premultiplied by its weight; what comes back is not."""
    height, width = image.shape[-2:]
    if max(height, width) == 1:
        return image / weight.clamp(min=1e-6)
    coarse_weight = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    gain = 1 / coarse_weight.clamp(min=0.25)           # one visible pixel of four is enough to know the cell
    filled = _filled(coarse * gain, coarse_weight * gain)
    blurred = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return image + (1 - weight) * blurred
