"""Renders a grid of cloth: which material point each pixel of the still sees, and where that point is at every phase.

The camera looks along −z and is orthographic. Between its points the surface is a uniform cubic B-spline, so normals
are smooth; a pixel's material coordinate is solved to a fraction of a sample, so displacements have no steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import BSpline
from torch import Tensor

BORDER = 0.15               # of the crop's side, rendered around it to find what is hidden
MAX_DISTANCE = 0.3          # pixels: an edge pixel whose centre is farther from the cloth does not belong to it
DEPTH_TOLERANCE = 0.02      # of the crop's side, behind the nearest surface


@dataclass
class Rendering:
    """Maps on the pixels of the still; zero outside of its mask."""

    normals: Tensor         # [K,3,R,R] unit, nz ≥ 0
    displacement: Tensor    # [K,3,R,R] fractions of R: right, down, towards the viewer
    visible: Tensor         # [K,R,R] bool; [0] is the mask


def spline(count: int, samples: int, closed: bool) -> tuple[Tensor, Tensor]:
    """Matrices [S,count] that sample a cubic B-spline over `count` points, and its derivative by the point's index.

    Open: S = (count − 1)·samples + 1 positions from the first point to the last, through which it passes. Closed:
    count·samples + 1 positions once around; the last equals the first.
    """
    intervals = count if closed else count - 1
    basis = BSpline(np.arange(-3, intervals + 4), np.eye(intervals + 3), 3)
    position = np.arange(intervals * samples + 1) / samples
    matrices = torch.from_numpy(np.stack([basis(position), basis(position, 1)]))  # columns: points −1 to intervals + 1
    if closed:
        indices = (torch.arange(-1, intervals + 2) % count).expand_as(matrices)
        matrices = matrices.new_zeros(2, len(position), count).scatter_add_(2, indices, matrices)
    else:  # the points beyond both ends mirror their neighbours
        before, matrices, after = matrices.tensor_split((1, -1), 2)
        matrices[..., :2] += torch.cat([2 * before, -before], 2)
        matrices[..., -2:] += torch.cat([-after, 2 * after], 2)
    return matrices[0].float(), matrices[1].float()


def refine(x: Tensor, samples: tuple[int, int], closed: bool) -> Tensor:
    """Points [K,3,H,W] → surface [K,9,H',W']: position, and its derivatives per sample, along rows and down columns."""
    up, up_slope = spline(x.shape[2], samples[0], False)
    across, across_slope = spline(x.shape[3], samples[1], closed)
    rows = up @ x
    return torch.cat([rows @ across.T, rows @ across_slope.T / samples[1], up_slope @ x @ across.T / samples[0]], 1)


def nearest_samples(surface: Tensor, side: int) -> Tensor:
    """[side·side] int64: index of the sample nearest to the viewer in each pixel, −1 if there is none. surface [3,M] in
    pixels."""
    inside, pixel = _pixels(surface, side)
    depth = ((1e4 - surface[2].double()) * 1e4).long()
    key = (depth * 2**24 + torch.arange(surface.shape[1]))[inside]
    empty = torch.iinfo(torch.int64).max
    nearest = torch.full((side * side,), empty)
    nearest.scatter_reduce_(0, pixel[inside], key, "amin")
    return torch.where(nearest == empty, -1, nearest % 2**24)


def depths(surface: Tensor, side: int) -> Tensor:
    """[K,side,side]: the nearest surface's z in each pixel, −∞ if there is none. surface [K,3,M] in pixels."""
    inside, pixel = _pixels(surface.transpose(0, 1), side)
    nearest = torch.full((len(surface), side * side + 1), -torch.inf)
    nearest.scatter_reduce_(1, torch.where(inside, pixel, side * side), surface[:, 2], "amax")
    return nearest[:, :-1].view(-1, side, side)


def _pixels(points: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Whether points [≥2,…] lie in a picture of this side, and the indices of their pixels."""
    column, row = points[0].floor().long(), points[1].floor().long()
    return (column >= 0) & (column < side) & (row >= 0) & (row < side), row * side + column


def solve(surface: Tensor, start: Tensor, target: Tensor, closed: bool) -> Tensor:
    """Sample coordinates (column, row) [P,2] at which the surface [9,H',W'] in pixels lies at the targets [P,2]: two
    damped Newton steps from the start."""
    size = torch.tensor([surface.shape[2] - 1, surface.shape[1] - 1])
    at = start
    for _ in range(2):
        here = sample(surface, at)
        error = target - here[:, :2]
        jacobian = torch.stack([here[:, 3:5], here[:, 6:8]], 2)         # [P,2 (x,y),2 (column,row)]
        square = jacobian.mT @ jacobian + 0.02 * torch.eye(2)
        step = torch.linalg.solve(square, (jacobian.mT @ error[..., None]))[..., 0]
        at = at + step.clamp(-2, 2)
        at = torch.stack([at[:, 0] % size[0] if closed else at[:, 0].clamp(min=0).minimum(size[0]),
                          at[:, 1].clamp(min=0).minimum(size[1])], 1)
    return at


def sample(surface: Tensor, at: Tensor) -> Tensor:
    """[P,C]: the surface [C,H',W'] at sample coordinates [P,2]."""
    size = torch.tensor([surface.shape[2] - 1, surface.shape[1] - 1])
    grid = (at / size * 2 - 1)[None, None]
    return F.grid_sample(surface[None], grid, align_corners=True, padding_mode="border")[0, :, 0].T


def frame(x: Tensor, margin: float, side: int) -> tuple[Tensor, float]:
    """Centre [2] and pixels per metre of the square that x [3,H,W] fills up to a margin (fraction of the side)."""
    low, high = x[:2].flatten(1).min(1).values, x[:2].flatten(1).max(1).values
    return (low + high) / 2, side * (1 - 2 * margin) / float((high - low).max())


def render(x: Tensor, side: int, samples: tuple[int, int], closed: bool, margin: float = 0.08) -> Rendering:
    """A cloth x [K,3,H,W] in camera space, k = 0 the still, in pictures of side × side pixels. samples: per interval
    between points, down and across."""
    centre, scale = frame(x[0], margin, side)
    surface = refine(x * scale, samples, closed)
    surface[:, :2] += (side / 2 - centre * scale)[:, None, None]
    points = surface[:, :3].flatten(2)
    nearest = nearest_samples(points[0], side)
    pixels = torch.nonzero(nearest >= 0)[:, 0]
    columns = surface.shape[3]
    start = torch.stack([nearest[pixels] % columns, nearest[pixels] // columns], 1).float()
    target = torch.stack([pixels % side, pixels // side], 1) + 0.5
    at = solve(surface[0], start, target, closed)
    covered = (sample(surface[0, :2], at) - target).norm(dim=1) < MAX_DISTANCE
    edge = -F.max_pool2d(-(nearest >= 0).view(1, side, side).float(), 3, 1, 1).flatten()[pixels] == 0
    at, pixels = at[covered | ~edge], pixels[covered | ~edge]
    values = sample(surface.flatten(0, 1), at).T.reshape(len(x), 9, -1)
    normals = F.normalize(torch.linalg.cross(values[:, 3:6], values[:, 6:9], dim=1), dim=1)
    normals = torch.where(normals[:, 2:] < 0, -normals, normals)
    visible = visibility(values[:, :3], points, side)
    visible[0] = True

    def picture(values: Tensor) -> Tensor:
        out = torch.zeros(*values.shape[:-1], side * side, dtype=values.dtype)
        out[..., pixels] = values
        return out.unflatten(-1, (side, side))

    return Rendering(picture(normals), picture((values[:, :3] - values[:1, :3]) / side), picture(visible))


def visibility(points: Tensor, surface: Tensor, side: int) -> Tensor:
    """[K,P] bool: which points [K,3,P] are not hidden by the surface's samples [K,3,M]. Far outside of the picture
    nothing is hidden."""
    border = round(BORDER * side)
    wide = side + 2 * border
    shift = torch.tensor([border, border, 0.0])[:, None]
    front = -F.max_pool2d(-depths(surface + shift, wide), 3, 1, 1)  # the farthest of 3×3: slopes do not hide themselves
    inside, pixel = _pixels((points + shift).transpose(0, 1), wide)
    z = front.flatten(1).gather(1, torch.where(inside, pixel, 0))
    return ~inside | (points[:, 2] >= z - DEPTH_TOLERANCE * side)
