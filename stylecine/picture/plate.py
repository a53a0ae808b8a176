"""The plate that moves: the photo where it moves, inpainted elsewhere and beyond the frame.

What moves needs content where it emerges from behind a rock or from beyond the border. Beyond the border it is
mirrored; behind static things the generator, whose encoder sees what moves, continues it, and the finest detail is
copied from nearby (benchmarks/studies/plate.py compares ways to do that).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stylecine.networks.generator import Generator
from stylecine.networks.modulated import ModulatedSynthesis
from stylecine.ops.image import fast_dtype, mirrored, push_pull, wrapped
from stylecine.ops.texture import copy_texture_

DOWNSAMPLE = 2  # pixels of the canvas per generated one
MAX_GENERATED = 512  # generated pixels on the short side
GREY_LEVEL = 2 / 255
MIN_AGREEMENT = 0.999  # share of values that two precisions generate to within a grey level


@dataclass(frozen=True, eq=False)
class Plate:
    """image [3,Hc,Wc]: split into levels and warped. For deep feature warping it is the residual alone, and
    `resynthesise` generates the rest from the warped `feature` F [C,h,w] in every frame. whole [3,Hc,Wc]: both together
    at rest."""

    image: Tensor
    feature: Tensor | None = None
    resynthesise: ModulatedSynthesis | None = None
    whole: Tensor | None = None


def canvas(photo: Tensor, moving: Tensor, margin: int, wraps: bool = False) -> tuple[Tensor, Tensor]:
    """The photo [3,H,W] mirrored at its borders, and which of its pixels move: [3,Hc,Wc], [Hc,Wc] in {0,1}.

    What flows in over the border is its mirror image, of the variants tried the one nearest to the real content
    (benchmarks/studies/plate.py). Static things are hidden, mirrored or not. wraps: beyond the left edge of a 360°
    photo lies its right one.
    """
    shown, moves = (mirrored(image, margin, margin, 1) for image in (photo, (moving > 0).to(photo.dtype)[None]))
    if wraps:
        return wrapped(shown, margin), wrapped(moves[0], margin)
    return mirrored(shown, margin, margin, 2), mirrored(moves[0], margin, margin, 1)


def inpaint(photo: Tensor, visible: Tensor, generated: Tensor) -> Tensor:
    """The photo where visible; elsewhere `generated` [3,Hc,Wc], blended in, with detail copied from nearby."""
    return copy_texture_(blend(photo, visible, generated), visible).clamp_(-1, 1)


def blend(photo: Tensor, visible: Tensor, generated: Tensor) -> Tensor:
    """The photo where visible; elsewhere `generated` [3,Hc,Wc], shifted smoothly to meet the photo at its edges."""
    shifted = torch.empty_like(photo)
    for channel, seen, made in zip(shifted, photo, generated, strict=True):  # one after another: a tenth less memory
        torch.add(push_pull((seen - made)[None, None], visible[None, None])[0, 0], made, out=channel)
    return torch.where(visible > 0, photo, shifted, out=shifted).clamp_(-1, 1)


def coarse_side(visible: Tensor) -> int:
    """The short side at which the generator continues a canvas [Hc,Wc], as the finest detail is copied."""
    return min(MAX_GENERATED, round(min(visible.shape) / DOWNSAMPLE))


def plain_plate(photo: Tensor, visible: Tensor, generated: Tensor | None = None) -> Plate:
    """The plate of `msdfw` and `pixel`: photo [3,Hc,Wc] where visible [Hc,Wc] is 1, elsewhere the `generated` image
    [3,Hc,Wc], or the colours around. It is the sum of ToRGB contributions and residual, which is warped band by band
    instead of contribution by contribution (docs/how-it-works.md gives the reason)."""
    return Plate(inpaint(photo, visible, torch.zeros_like(photo) if generated is None else generated))


def feature_plate(
    photo: Tensor,
    visible: Tensor,
    generated: Tensor,
    detail: float,
    generator: Generator,
    w_plus: Tensor,
    feature: Tensor,
) -> Plate:
    """The plate of deep feature warping: F is warped and G above it run for every frame; the residual is added.

    G runs in half precision on a GPU, and in bfloat16 on a CPU that computes in it, if its image then agrees with
    `generated`, which is in single precision. The residual is relative to that image, so that frame 0 is the photo.
    """
    height, width = photo.shape[1:]
    for dtype in (torch.float16 if feature.is_cuda else fast_dtype(feature.device), torch.float32):
        resynthesise = ModulatedSynthesis(generator, w_plus, (feature.shape[1], feature.shape[2]), dtype)
        made = resynthesise(feature)[:, :height, :width].clamp(-1, 1)
        if dtype == torch.float32 or bool(((made - generated).abs() < GREY_LEVEL).float().mean() > MIN_AGREEMENT):
            break
    residual = (inpaint(photo, visible, generated) - made) * detail
    return Plate(residual, feature, resynthesise, whole=made + residual)
