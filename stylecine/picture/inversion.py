"""Photo -> w+ and F of the frozen generator: one pass of the encoder, optimisation on request or without an encoder.

F/W+ inversion after Yao et al., "Feature-Style Encoder for Style-Based GAN Inversion" (ECCV 2022). Where they optimise
with Adam, F is found here by conjugate gradients (Polak and Ribière 1969) with Gauss-Newton's step length: the image
depends almost linearly on F.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge
from stylecine.networks.modulated import REACH, ModulatedSynthesis
from stylecine.ops.image import fast_dtype, push_pull

STEPS = 60  # of optimisation for generators without an encoder
STYLE_STEPS = 15  # on w+ before them, but never more than them
STYLE_IMAGE_SIDE = 32  # pixels a side of the image by which w+ is found
STYLE_RATE = 0.1  # Adam's learning rate on w+
LOW_PRECISION_STEPS = 20  # for which bfloat16 is exact enough
TRIAL = 0.05  # of F's norm: the step that probes how the image depends on F
STRIP = 64  # rows of F from which the image is made at once: all of them would need twice the memory, and more time
SLACK = 1.25  # so many times the generator's resolution a photo may be large

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Inversion:
    """w_plus [L,512], feature F [C,h/s,w/s] and reconstruction G(F, w+) [3,H,W] in [-1,1].

    F belongs to the working size (h,w): the photo's own, or smaller if its short side far exceeds the generator's.
    """

    w_plus: Tensor
    feature: Tensor
    reconstruction: Tensor


@torch.inference_mode(False)  # inference tensors cannot be optimised
@torch.no_grad()
def invert(
    photo: Tensor,
    generator: Generator,
    encoder: Encoder | None,
    *,
    visible: Tensor | None = None,
    side: int | None = None,
    refine: int = 0,
    dtype: torch.dtype = torch.float32,
    progress: ProgressCallback | None = None,
) -> Inversion:
    """Invert a photo [3,H,W] in [-1,1].

    encoder: None for generators that have none; w+ and F are then found by optimisation alone.
    visible [H,W] in {0,1}: where it is 0 the photo is ignored; an encoder has the generator continue the surroundings,
        without one their colours are interpolated.
    side: the working size's short side, at most the photo's; None: the photo's, or that of the generator's own images
        if it is much larger.
    refine: steps of optimisation on F (0 without an encoder: `STEPS`), minimising the squared error where visible.
    dtype: in which the networks compute, but for optimisation: bfloat16 changes the reconstruction by up to 4 levels of
        255, 0.3 in the mean.
    progress: called as (done, total) after each step on F, and with the same again after each layer of the encoder and
        each strip of the image: total is 1 without optimisation.
    """
    photo = differentiable(photo)
    height, width = photo.shape[1:]
    short = min(height, width)
    if side is None:
        side = generator.resolution if short > SLACK * generator.resolution else short
    factor = min(side, short) / short
    size = (round(height * factor), round(width * factor))
    small = photo[None] if factor == 1 else F.interpolate(photo[None], size, mode="bilinear", antialias=True)
    seen = small.new_ones((1, 1, *size))
    if visible is not None:
        seen = F.interpolate(differentiable(visible)[None, None], size, mode="nearest")
        small = push_pull(small, seen)
    steps = refinement_steps(encoder is not None, refine)

    def report(done: int) -> None:
        if progress:
            progress(done, max(1, steps))

    if encoder is None:
        seen = torch.ones_like(seen)
        w_plus, feature = initial_latents(small, generator, min(STYLE_STEPS, steps))
    else:
        w_plus = encoder.appearance(small, seen)
        with torch.autocast(photo.device.type, dtype, enabled=dtype != torch.float32):
            feature = encoder.structure(small, seen, check=partial(report, 0)).float()
    feature = refine_feature(small, seen, w_plus, feature, generator, steps, progress)
    image = reconstruct(generator, w_plus[0], feature[0], size, dtype, partial(report, steps))
    if factor != 1:
        image = F.interpolate(image[None], (height, width), mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    return Inversion(w_plus[0], feature[0], image)


@torch.no_grad()
def reconstruct(
    generator: Generator,
    w_plus: Tensor,
    feature: Tensor,
    size: tuple[int, int],
    dtype: torch.dtype = torch.float32,
    check: Callable[[], object] = lambda: None,
) -> Tensor:
    """G(F, w+) cropped to (h,w) and clamped: [L,512], [C,·,·] -> [3,h,w]; F may reach past the photo's border.

    check: called after each strip, to raise Cancelled.
    """
    rows, columns = feature.shape[1:]
    synthesis, s = ModulatedSynthesis(generator, w_plus, (rows, columns), dtype), generator.stride
    image = feature.new_empty(3, s * rows, s * columns)
    for top in range(0, rows, STRIP):
        bottom, begin = min(top + STRIP, rows), max(top - REACH, 0)
        strip = synthesis(feature[:, begin : bottom + REACH], begin)
        image[:, s * top : s * bottom] = strip[:, s * (top - begin) : s * (bottom - begin)]
        check()
    return image[:, : size[0], : size[1]].clamp(-1, 1)


def synthesise(generator: Generator, w_plus: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor:
    return merge([x.float() for x in generator.from_feature(feature, w_plus)])[:, :, : size[0], : size[1]]


def refinement_steps(has_encoder: bool, refine: int) -> int:
    """Steps of optimisation on F that `invert` takes."""
    return refine or (0 if has_encoder else STEPS)


def initial_latents(photo: Tensor, generator: Generator, steps: int) -> tuple[Tensor, Tensor]:
    """w+ [1,L,512] whose own image, small and square, is near the photo's [1,3,h,w], and an initial F [1,C,h/s,w/s].

    w+ is optimised by Adam from the mean. F is uniform, the mean of that image's: its own optimisation does the rest.
    """
    side = min(STYLE_IMAGE_SIDE, generator.feature_resolution)
    target = F.interpolate(photo, (side, side), mode="bilinear", antialias=True)
    with torch.enable_grad():
        mean = generator.mapping.get_buffer("w_avg")
        w_plus = mean.expand(1, generator.num_ws, -1).clone().requires_grad_()
        optimizer = torch.optim.Adam([w_plus], lr=STYLE_RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            (generator.synthesize(w_plus, "none", up_to=side) - target).square().mean().backward()
            optimizer.step()
    w_plus = w_plus.detach()
    grid = [-(-length // generator.stride) for length in photo.shape[2:]]
    return w_plus, generator.feature(w_plus).mean((2, 3), keepdim=True).expand(-1, -1, *grid)


def refine_feature(
    photo: Tensor,
    seen: Tensor,
    w_plus: Tensor,
    feature: Tensor,
    generator: Generator,
    steps: int,
    progress: ProgressCallback | None,
) -> Tensor:
    """F after `steps` of conjugate gradients from `feature`; the other arguments as in `invert`."""
    size = (photo.shape[2], photo.shape[3])
    direction = before = None
    for step in range(steps):
        dtype = fast_dtype(photo.device) if step < LOW_PRECISION_STEPS else torch.float32
        with torch.enable_grad():
            f = feature.detach().requires_grad_()
            image = synthesise(generator, w_plus, f.to(dtype), size)
            residual = (image - photo) * seen
            (gradient,) = torch.autograd.grad(residual.square().sum() / 2, f)
        if before is None or direction is None:
            direction = -gradient
        else:
            beta = dot(gradient, gradient - before) / dot(before, before)
            direction = beta.clamp(min=0) * direction - gradient
        before = gradient
        trial = TRIAL * feature.norm() / direction.norm()
        probed = synthesise(generator, w_plus, (feature + trial * direction).to(dtype), size)
        change = (probed - image.detach()) * seen
        length = -trial * dot(residual.detach(), change) / dot(change, change)
        if length > 0:
            feature = feature + length * direction
        else:  # uphill, by rounding or curvature: restart from steepest descent
            direction = None
        if progress:
            progress(step + 1, steps)
    return feature


def differentiable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy that takes part in autograd if it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()
