"""Photo -> w+ and F of the frozen generator: one pass of the encoder, optimisation on request or where there is none.

F/W+ inversion after Yao et al., "Feature-Style Encoder for Style-Based GAN Inversion" (ECCV 2022). Where they optimise
by Adam, F is found here by conjugate gradients (Polak and Ribière 1969) with Gauss-Newton's step length: the picture
depends almost linearly on F.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge
from stylecine.ops.image import push_pull, quick_dtype

STEPS = 60                      # of optimisation for generators without an encoder
STYLE_STEPS = 15                # before them, on w+, but no more than them
STYLE_SIDE = 32                 # pixels a side of the picture by which w+ is found
STYLE_RATE = 0.1                # Adam's learning rate on w+
ROUGH = 20                      # steps that bfloat16 is exact enough for
TRIAL = 0.05                    # of F's norm: the step by which the picture's dependence on F is felt
SLACK = 1.25                    # a canvas may exceed the generator's resolution by its margins

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Inversion:
    """w_plus [L,512], feature F [C,h/s,w/s] and reconstruction G(F, w+) [3,H,W] in [-1,1].

    F belongs to the working size (h,w): the photo's own, or smaller if its short side far exceeds the generator's.
    """

    w_plus: Tensor
    feature: Tensor
    reconstruction: Tensor


@torch.inference_mode(False)    # what is made in it cannot be optimised
@torch.no_grad()
def invert(photo: Tensor, generator: Generator, encoder: Encoder | None, *, visible: Tensor | None = None,
           refine: int = 0, progress: Told | None = None) -> Inversion:
    """Invert a photo [3,H,W] in [-1,1].

    encoder: None for generators that have none; w+ and F are then found by optimisation alone.
    visible [H,W] in {0,1}: where it is 0 the photo is not looked at; an encoder has the generator continue what is
        around, without one the colours around run in.
    refine: steps of optimisation on F (0 without an encoder: `STEPS`), minimising the squared error where visible.
    progress: called as (done, total) after each step on F.
    """
    photo = normal(photo)
    height, width = photo.shape[1:]
    too_large = min(height, width) > SLACK * generator.resolution
    factor = generator.resolution / min(height, width) if too_large else 1.0
    size = (round(height * factor), round(width * factor))
    small = photo[None] if factor == 1 else F.interpolate(photo[None], size, mode="bilinear", antialias=True)
    seen = small.new_ones((1, 1, *size))
    if visible is not None:
        seen = F.interpolate(normal(visible)[None, None], size, mode="nearest")
        small = push_pull(small, seen)
    steps = effort(encoder, refine)
    if encoder is None:
        seen = torch.ones_like(seen)
        w_plus, feature = first_guess(small, generator, min(STYLE_STEPS, steps))
    else:
        w_plus, feature = encoder(small, seen)
    feature = refined(small, seen, w_plus, feature, generator, steps, progress)
    image = reconstruct(generator, w_plus, feature, size)
    if factor != 1:
        image = F.interpolate(image, (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
    return Inversion(w_plus[0], feature[0], image[0])


def reconstruct(generator: Generator, w_plus: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor:
    """G(F, w+) cropped to (h,w): [N,L,512], [N,C,·,·] -> [N,3,h,w]; F's cells may reach past the photo's border."""
    return synthesised(generator, w_plus, feature, size).clamp(-1, 1)


def synthesised(generator: Generator, w_plus: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor:
    return merge([x.float() for x in generator.from_feature(feature, w_plus)])[:, :, :size[0], :size[1]]


def effort(encoder: Encoder | None, refine: int) -> int:
    """Steps of optimisation on F that `invert` takes."""
    return refine or (STEPS if encoder is None else 0)


def first_guess(photo: Tensor, generator: Generator, steps: int) -> tuple[Tensor, Tensor]:
    """w+ [1,L,512] whose own picture, small and square, is near the photo's [1,3,h,w]; F [1,C,h/s,w/s] where it starts.

    Adam on w+ from the mean. F is the same everywhere, the mean of the picture's: its own optimisation does the rest.
    """
    side = min(STYLE_SIDE, generator.feature_resolution)
    wanted = F.interpolate(photo, (side, side), mode="bilinear", antialias=True)
    with torch.enable_grad():
        mean = generator.mapping.get_buffer("w_avg")
        w_plus = mean.expand(1, generator.num_ws, -1).clone().requires_grad_()
        optimizer = torch.optim.Adam([w_plus], lr=STYLE_RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            (generator.synthesize(w_plus, "none", up_to=side) - wanted).square().mean().backward()
            optimizer.step()
    w_plus = w_plus.detach()
    grid = [-(-length // generator.stride) for length in photo.shape[2:]]
    return w_plus, generator.feature(w_plus).mean((2, 3), keepdim=True).expand(-1, -1, *grid)


def refined(photo: Tensor, seen: Tensor, w_plus: Tensor, feature: Tensor, generator: Generator, steps: int,
            progress: Told | None) -> Tensor:
    """F after `steps` of conjugate gradients from `feature`, all else as in `invert`."""
    size = (photo.shape[2], photo.shape[3])
    direction = before = None
    for step in range(steps):
        dtype = quick_dtype(photo.device) if step < ROUGH else torch.float32
        with torch.enable_grad():
            f = feature.detach().requires_grad_()
            image = synthesised(generator, w_plus, f.to(dtype), size)
            residual = (image - photo) * seen
            (slope,) = torch.autograd.grad(residual.square().sum() / 2, f)
        if before is None or direction is None:
            direction = -slope
        else:
            turn = dot(slope, slope - before) / dot(before, before)
            direction = turn.clamp(min=0) * direction - slope
        before = slope
        trial = TRIAL * feature.norm() / direction.norm()
        moved = synthesised(generator, w_plus, (feature + trial * direction).to(dtype), size)
        change = (moved - image.detach()) * seen
        length = -trial * dot(residual.detach(), change) / dot(change, change)
        if length > 0:
            feature = feature + length * direction
        else:                   # uphill, by rounding or curvature: begin anew with the steepest way
            direction = None
        if progress:
            progress(step + 1, steps)
    return feature


def normal(tensor: Tensor) -> Tensor:
    """The tensor, or a copy that gradients may pass if it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()
