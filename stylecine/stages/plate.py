"""The plate that moves: the photo where it moves, made up elsewhere and beyond the frame.

What moves must have something to show where it comes from behind a rock or past the border. Past the border it is
mirrored; behind static things the colours around it run together (push-pull), and the finest detail is that of places
nearby. The generator, whose encoder sees what moves and continues it, does no better once detail is copied
(benchmarks/plate.py), so it does this only where its features have to be continued as well: in deep feature warping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.generator import Generator, merge
from stylecine.ops.image import mirrored, push_pull
from stylecine.ops.texture import textured


@dataclass(frozen=True)
class Plate:
    """image [3,Hc,Wc]: what is split into levels and warped. For deep feature warping it is the residual alone, and
    `feature` F with `resynthesise` (F [C,h,w] -> RGB canvas [3,Hc,Wc]) gives the rest anew for every frame."""

    image: Tensor
    feature: Tensor | None = None
    resynthesise: Callable[[Tensor], Tensor] | None = None


def canvas(photo: Tensor, moving: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """The photo [3,H,W], mirrored at its borders, and what of it may be looked at: [3,Hc,Wc], [Hc,Wc] in {0,1}.

    What flows in over the border is its mirror image: of what was tried the likest to what is really there
    (benchmarks/ablation.py). Static things are hidden, mirrored or not.
    """
    wide = [photo, (moving > 0).to(photo.dtype)[None]]
    for axis in (1, 2):
        wide = [mirrored(image, margin, margin, axis) for image in wide]
    return wide[0], wide[1][0]


def fill(photo: Tensor, visible: Tensor, continued: Tensor) -> Tensor:
    """The photo where visible; elsewhere `continued` [3,Hc,Wc], made to fit, with detail of what is around."""
    return textured(joined(photo, visible, continued), visible).clamp(-1, 1)


def joined(photo: Tensor, visible: Tensor, continued: Tensor) -> Tensor:
    """The photo where visible; elsewhere `continued` [3,Hc,Wc], shifted smoothly so that it meets the photo's edge."""
    residual = (photo - continued) * visible
    return torch.where(visible > 0, photo, continued + push_pull(residual[None], visible[None, None])[0]).clamp(-1, 1)


def plain_plate(photo: Tensor, visible: Tensor) -> Plate:
    """The plate of `msdfw` and `pixel`: photo [3,Hc,Wc] where visible [Hc,Wc] is 1, elsewhere colours and detail of
    what is around. The sum of ToRGB contributions and residual is warped band by band instead of contribution by
    contribution (docs/how-it-works.md says why that may be)."""
    return Plate(textured(push_pull(photo[None], visible[None, None])[0], visible).clamp(-1, 1))


def feature_plate(photo: Tensor, visible: Tensor, continued: Tensor, detail: float, generator: Generator,
                  w_plus: Tensor, feature: Tensor) -> Plate:
    """The plate of deep feature warping: F is warped and G above it run for every frame; the residual goes on top."""
    height, width = photo.shape[1:]

    def resynthesise(warped: Tensor) -> Tensor:
        image = merge(generator.from_feature(warped[None], w_plus[None]))
        if image.shape[-1] < width or image.shape[-2] < height:     # photos beyond the generator's own resolution
            image = F.interpolate(image, (height, width), mode="bicubic", align_corners=False)
        return image[0, :, :height, :width].clamp(-1, 1)      # as the residual was taken

    residual = fill(photo, visible, continued) - continued
    return Plate(residual * detail, feature, resynthesise)
