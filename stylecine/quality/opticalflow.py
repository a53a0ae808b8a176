"""Dense optical flow: where each pixel of a frame has gone in another.

Iterative Lucas-Kanade, coarse to fine (Bouguet, "Pyramidal implementation of the affine Lucas Kanade feature tracker",
2001), for every pixel at once: Gaussian windows, and a structure tensor with a little added to its diagonal. A place
without texture, or without texture in one direction, thus keeps what the coarser level says of it; where no level has
texture the flow is 0. It is also 0 where reading the second frame along it explains little of the change, as in noise
and dissolves.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.quality.blockmatch import blur, pixel_centres, read

COARSEST_SIDE = 16  # pixels: levels halve until the short side would be less
WINDOW_SIGMA = 2.5  # pixels of each level: standard deviation of the Gaussian window
TENSOR_DAMPING = 0.02  # grey levels squared, added to the structure tensor: gradients that mean nothing
LEVEL_STEPS = (2, 3, 4)  # Gauss-Newton steps on the finest level, the next, and all coarser ones
MAX_STEP = 1.0  # pixels of a level
MAX_UNEXPLAINED = 0.65  # of the squared change around a place: where more is left, the flow is 0


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Flow [2,H,W] from `first` to `second`, both [H,W] float32 in grey levels (0..255): pixels, x right, y down.

    Finds displacements of up to about a tenth of the short side. Noise in a blank area may count as motion, noise on
    texture does not.
    """
    pyramid = [(_smoothed(first[None, None]), _smoothed(second[None, None]))]
    while min(pyramid[-1][0].shape[2:]) >= 2 * COARSEST_SIDE:
        pyramid.append((_halved(pyramid[-1][0]), _halved(pyramid[-1][1])))
    flow = torch.zeros(1, 2, *pyramid[-1][0].shape[2:])
    for level in reversed(range(len(pyramid))):
        here, there = pyramid[level]
        if flow.shape[2:] != here.shape[2:]:
            doubled = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
            flow = doubled[..., : here.shape[2], : here.shape[3]]
        flow = _refined(here, there, flow, LEVEL_STEPS[min(level, len(LEVEL_STEPS) - 1)])
    return _explained(*pyramid[0], flow)[0]


def gradient(image: Tensor) -> Tensor:
    """Of [1,1,H,W], by central differences: [1,2,H,W], to the right and down."""
    wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across, down = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2], wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    return torch.cat((across, down), 1) / 2


def _smoothed(image: Tensor) -> Tensor:
    """[1,1,H,W] less its finest noise, which interpolation would take for motion: binomial, 3 x 3."""
    line = torch.tensor([0.25, 0.5, 0.25])
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), torch.outer(line, line)[None, None])


def _halved(image: Tensor) -> Tensor:
    height, width = image.shape[2:]
    return F.avg_pool2d(F.pad(image, (0, width % 2, 0, height % 2), mode="replicate"), 2)


def _refined(here: Tensor, there: Tensor, flow: Tensor, steps: int) -> Tensor:
    """The flow [1,2,h,w] after Gauss-Newton steps on one level."""
    gx, gy = gradient(here).split(1, dim=1)
    xx, xy, yy = blur(torch.cat((gx * gx, gx * gy, gy * gy), 1), WINDOW_SIGMA)[0]
    xx, yy = xx + TENSOR_DAMPING, yy + TENSOR_DAMPING
    inverse = torch.stack((yy, -xy, -xy, xx)) / (xx * yy - xy * xy)
    for _ in range(steps):
        error, _ = _difference(here, there, flow)
        bx, by = blur(torch.cat((gx * error, gy * error), 1), WINDOW_SIGMA)[0]
        step = torch.stack((inverse[0] * bx + inverse[1] * by, inverse[2] * bx + inverse[3] * by))
        flow = flow - step.clamp(-MAX_STEP, MAX_STEP)
    return flow


def _explained(here: Tensor, there: Tensor, flow: Tensor) -> Tensor:
    """The flow, 0 where it leaves more than MAX_UNEXPLAINED of the change: noise, or a dissolve."""
    moved, inside = _difference(here, there, flow)
    changed = (there - here) * inside
    unexplained, change = blur(torch.cat((moved * moved, changed * changed), 1), 4 * WINDOW_SIGMA)[0]
    return torch.where(unexplained < MAX_UNEXPLAINED * change, flow, 0.0)


def _difference(here: Tensor, there: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """What remains of the difference of two images if the second is read along the flow, 0 past its border; and 1 where
    it is read inside: [1,1,h,w] each."""
    height, width = here.shape[2:]
    at = pixel_centres(height, width) + flow[0].movedim(0, -1)
    inside = ((at >= 0) & (at <= torch.tensor([width, height]))).all(-1).float()[None, None]
    return (read(there, at)[None] - here) * inside, inside
