"""Draws a grid of cloth: which material point each pixel of the still sees, and where that point is in every phase.

The camera looks along −z and is orthographic. Between the points the surface is a uniform cubic B-spline, so its
normals are smooth; a pixel's material coordinate is found to a fraction of a sample, so displacements carry no steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BORDER = 0.15       # of the crop's side, seen around it when visibility is asked for
OFF = 0.3           # pixels: an edge pixel whose centre is farther from the cloth is not of it
NEAR = 0.02         # of the crop's side: less far behind the nearest surface still counts as seen


@dataclass
class Views:
    """What the camera saw, for the pixels of the still; zero outside of its mask."""

    normals: Tensor         # [K,3,R,R] unit, nz ≥ 0
    displacement: Tensor    # [K,2,R,R] fractions of R, right and down
    visible: Tensor         # [K,R,R] bool; [0] is the mask
    way: Tensor             # [K,3,R,R]: the displacement with its depth, fractions of R


def spline(count: int, samples: int, closed: bool) -> tuple[Tensor, Tensor]:
    """Values and derivatives [S,count]: a B-spline over `count` points, and its derivative by the point's number.

    Open: S = (count − 1)·samples + 1 places from the first point to the last, which it goes through. Closed:
    count·samples + 1 places once around; the last is the first.
    """
    places = torch.arange((count if closed else count - 1) * samples + 1, dtype=torch.float64) / samples
    first = places.floor().clamp(max=count - (1 if closed else 2))
    t = places - first
    weights = torch.stack([(1 - t)**3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    slopes = torch.stack([-(1 - t)**2, 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], 1) / 2
    wide = torch.zeros(2, len(places), count + 2, dtype=torch.float64)
    columns = first.long()[:, None] + torch.arange(4)
    if closed:
        wide = torch.zeros(2, len(places), count, dtype=torch.float64)
        columns = (columns - 1) % count
    for one, values in zip(wide, (weights, slopes), strict=True):
        one.scatter_add_(1, columns, values)
    if not closed:      # the points before the first and after the last lie opposite of their neighbours
        ends = wide[..., 0], wide[..., -1]
        wide = wide[..., 1:-1].clone()
        wide[..., 0] += 2 * ends[0]
        wide[..., 1] -= ends[0]
        wide[..., -1] += 2 * ends[1]
        wide[..., -2] -= ends[1]
    return wide[0].float(), wide[1].float()


def refine(x: Tensor, samples: tuple[int, int], closed: bool) -> Tensor:
    """[K,3,H,W] points → [K,9,H',W'] of the surface: position, its derivative by sample along a row, and down."""
    up, up_slope = spline(x.shape[2], samples[0], False)
    across, across_slope = spline(x.shape[3], samples[1], closed)
    rows = up @ x
    return torch.cat([rows @ across.T, rows @ across_slope.T / samples[1], up_slope @ x @ across.T / samples[0]], 1)


def nearest(place: Tensor, side: int) -> Tensor:
    """[side·side] int64: number of the sample nearest to the viewer in each pixel, −1 where there is none. place [3,M]
    in pixels."""
    column, row = place[0].floor().long(), place[1].floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    number = torch.arange(place.shape[1])
    depth = ((1e4 - place[2].double()) * 1e4).long()
    key = (depth * 2**24 + number)[inside]
    empty = torch.iinfo(torch.int64).max
    found = torch.full((side * side,), empty)
    found.scatter_reduce_(0, (row * side + column)[inside], key, "amin")
    return torch.where(found == empty, -1, found % 2**24)


def depths(place: Tensor, side: int) -> Tensor:
    """[K,side,side]: the nearest surface's z in each pixel, −∞ where there is none. place [K,3,M] in pixels."""
    column, row = place[:, 0].floor().long(), place[:, 1].floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    pixel = torch.where(inside, row * side + column, side * side)
    found = torch.full((len(place), side * side + 1), -torch.inf)
    found.scatter_reduce_(1, pixel, place[:, 2], "amax")
    return found[:, :-1].view(-1, side, side)


def solve(surface: Tensor, start: Tensor, target: Tensor, closed: bool) -> Tensor:
    """[P,2] sample coordinates (column, row) whose surface lies at the targets [P,2]: two damped Newton steps from the
    start. surface [9,H',W'] in pixels."""
    size = torch.tensor([surface.shape[2] - 1, surface.shape[1] - 1])
    at = start
    for _ in range(2):
        here = read(surface, at)
        error = target - here[:, :2]
        jacobian = torch.stack([here[:, 3:5], here[:, 6:8]], 2)         # [P,2 (x,y),2 (column,row)]
        square = jacobian.mT @ jacobian + 0.02 * torch.eye(2)
        step = torch.linalg.solve(square, (jacobian.mT @ error[..., None]))[..., 0]
        at = at + step.clamp(-2, 2)
        at = torch.stack([at[:, 0] % size[0] if closed else at[:, 0].clamp(min=0).minimum(size[0]),
                          at[:, 1].clamp(min=0).minimum(size[1])], 1)
    return at


def read(surface: Tensor, at: Tensor) -> Tensor:
    """[P,C]: surface [C,H',W'] at the sample coordinates [P,2]."""
    size = torch.tensor([surface.shape[2] - 1, surface.shape[1] - 1])
    grid = (at / size * 2 - 1)[None, None]
    return F.grid_sample(surface[None], grid, align_corners=True, padding_mode="border")[0, :, 0].T


def frame(x: Tensor, margin: float, side: int) -> tuple[Tensor, float]:
    """Centre [2] and pixels a metre of the square that x [3,H,W] fills up to a margin (fraction of the side)."""
    low, high = x[:2].flatten(1).min(1).values, x[:2].flatten(1).max(1).values
    return (low + high) / 2, side * (1 - 2 * margin) / float((high - low).max())


def draw(x: Tensor, side: int, samples: tuple[int, int], closed: bool, margin: float = 0.08) -> Views:
    """Views of a cloth x [K,3,H,W] in camera space; k = 0 is the still."""
    centre, scale = frame(x[0], margin, side)
    surface = refine(x * scale, samples, closed)
    surface[:, :2] += (side / 2 - centre * scale)[:, None, None]
    place = surface[:, :3].flatten(2)
    found = nearest(place[0], side)
    pixels = torch.nonzero(found >= 0)[:, 0]
    columns = surface.shape[3]
    start = torch.stack([found[pixels] % columns, found[pixels] // columns], 1).float()
    target = torch.stack([pixels % side, pixels // side], 1) + 0.5
    at = solve(surface[0], start, target, closed)
    covered = (read(surface[0, :2], at) - target).norm(dim=1) < OFF
    edge = -F.max_pool2d(-(found >= 0).view(1, side, side).float(), 3, 1, 1).flatten()[pixels] == 0
    at, pixels = at[covered | ~edge], pixels[covered | ~edge]
    values = read(surface.flatten(0, 1), at).T.reshape(len(x), 9, -1)
    normals = F.normalize(torch.linalg.cross(values[:, 3:6], values[:, 6:9], dim=1), dim=1)
    normals = torch.where(normals[:, 2:] < 0, -normals, normals)
    way = (values[:, :3] - values[:1, :3]) / side
    seen = visibility(values[:, :3], place, side)
    seen[0] = True

    def picture(columns: Tensor) -> Tensor:
        out = torch.zeros(*columns.shape[:-1], side * side, dtype=columns.dtype)
        out[..., pixels] = columns
        return out.unflatten(-1, (side, side))

    return Views(picture(normals), picture(way[:, :2]), picture(seen), picture(way))


def visibility(points: Tensor, place: Tensor, side: int) -> Tensor:
    """[K,P] bool: whether points [K,3,P] are not hidden by the surface's samples [K,3,M]. Outside of a border nothing
    hides."""
    border = round(BORDER * side)
    wide = side + 2 * border
    shift = torch.tensor([border, border, 0.0])[:, None]
    nearest_z = -F.max_pool2d(-depths(place + shift, wide), 3, 1, 1)     # the farthest of 3x3: slopes hide nothing
    column, row = (points[:, 0] + border).floor().long(), (points[:, 1] + border).floor().long()
    inside = (column >= 0) & (column < wide) & (row >= 0) & (row < wide)
    pixel = torch.where(inside, row * wide + column, 0)
    front = nearest_z.flatten(1).gather(1, pixel)
    return ~inside | (points[:, 2] >= front - NEAR * side)
