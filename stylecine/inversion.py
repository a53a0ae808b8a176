"""Photo -> w+ and F of the frozen generator: one pass of the encoder, refined by optimisation on request.

F/W+ inversion after Yao et al., "Feature-Style Encoder for Style-Based GAN Inversion" (ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge
from stylecine.networks.lpips import LPIPS
from stylecine.ops.push_pull import push_pull

LEARNING_RATE = 0.005           # Adam, on F and w+ in their own units (both about 1)
SLACK = 1.25                    # a canvas may exceed the generator's resolution by its margins


@dataclass(frozen=True)
class Inversion:
    """w_plus [L,512], feature F [C,h/s,w/s] and reconstruction G(F, w+) [3,H,W] in [-1,1].

    F belongs to the working size (h,w): the photo's own, or smaller if its short side far exceeds the generator's.
    """

    w_plus: Tensor
    feature: Tensor
    reconstruction: Tensor


@torch.no_grad()
def invert(photo: Tensor, generator: Generator, encoder: Encoder, *, visible: Tensor | None = None,
           lpips: LPIPS | None = None, refine: int = 0,
           progress: Callable[[int, int], None] | None = None) -> Inversion:
    """Invert a photo [3,H,W] in [-1,1].

    visible [H,W] in {0,1}: where it is 0 the photo is not looked at and the generator continues what is around it.
    refine: steps of Adam on w+ and F, minimising L1 + LPIPS over what is visible; needs `lpips`.
    progress: called as (done, total) after each step.
    """
    height, width = photo.shape[1:]
    too_large = min(height, width) > SLACK * generator.resolution
    factor = generator.resolution / min(height, width) if too_large else 1.0
    size = (round(height * factor), round(width * factor))
    small = photo[None] if factor == 1 else F.interpolate(photo[None], size, mode="bilinear", antialias=True)
    seen = small.new_ones((1, 1, *size))
    if visible is not None:
        seen = F.interpolate(visible[None, None], size, mode="nearest")
        small = push_pull(small, seen)
    w_plus, feature = encoder(small, seen)
    if refine:
        if lpips is None:
            raise ValueError("refining needs the LPIPS network")
        w_plus, feature = refined(small, seen, w_plus, feature, generator, lpips, refine, progress)
    image = reconstruct(generator, w_plus, feature, size)
    if factor != 1:
        image = F.interpolate(image, (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
    return Inversion(w_plus[0], feature[0], image[0])


def reconstruct(generator: Generator, w_plus: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor:
    """G(F, w+) cropped to (h,w): [N,L,512], [N,C,·,·] -> [N,3,h,w]; F's cells may reach past the photo's border."""
    return merge(generator.from_feature(feature, w_plus))[:, :, :size[0], :size[1]].clamp(-1, 1)


def refined(photo: Tensor, seen: Tensor, w_plus: Tensor, feature: Tensor, generator: Generator, lpips: LPIPS,
            steps: int, progress: Callable[[int, int], None] | None) -> tuple[Tensor, Tensor]:
    """`steps` of Adam on both, learning rate falling to a tenth; the best of all steps is returned."""
    best, best_loss = (w_plus, feature), float("inf")
    with torch.enable_grad():
        w = w_plus.clone().requires_grad_()
        f = feature.clone().requires_grad_()
        optimizer = torch.optim.Adam([w, f], lr=LEARNING_RATE, betas=(0.9, 0.99))
        for step in range(steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * 0.1 ** (step / steps)
            image = merge(generator.from_feature(f, w))[:, :, :photo.shape[2], :photo.shape[3]]
            shown = image * seen + photo * (1 - seen)
            loss = (shown - photo).abs().mean() + 0.5 * lpips(shown, photo).mean()
            if loss.item() < best_loss:
                best, best_loss = (w.detach().clone(), f.detach().clone()), loss.item()
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if progress:
                    progress(step + 1, steps)
    return best
