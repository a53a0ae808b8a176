"""Cloth that hangs in the wind: from a mask to the fields of one gust.

As "Blowing in the Wind: CycleNet for Human Cinemagraphs from Still Images" (Bertiche et al., CVPR 2023) does, it works
on surface normals, where simulated cloth and photographs look alike. Unlike there no colour of the cloth is ever made
up: the photo's own are moved, and multiplied by how much brighter the moved surface is than the still one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.cloth import lighting
from stylecine.cloth.layer import ClothLayer
from stylecine.cloth.matting import Outline, on_grid, outline
from stylecine.errors import NothingMoves
from stylecine.ops.drape import TILE
from stylecine.ops.image import push_pull
from stylecine.options import Wind

SIDE = 128  # pixels of what the networks see of a piece of cloth
KNOTS = 16  # phases of a gust at which fields are kept: twice as many as the waves in the networks' answer need
ROOM = 1.2  # times the piece's longer side: what the networks see
SPECK = 0.0008  # of the picture: smaller pieces stand still
MOST_PIECES = 16
TOGETHER = 0.012  # of the short side: pieces nearer than twice this are one
FURTHEST = 0.06  # of the side of what the networks see: no place goes further
STEEPEST = 0.6  # change of the displacement from pixel to pixel: at 1 cloth would lie over itself
LEAVES = 0.015  # of the long side: how far cloth leaves its outline, at most
CALM = 2.5  # times the displacement: over this distance it comes to rest towards what holds it
INVERSIONS = 10  # rounds of the fixed point
GAMMA = 2.2
VISIBLE = 2  # levels of 255: a smaller change of a pixel is not seen
VISIBLE_SHARE = 0.02  # of the cloth: less that changes is not seen; wind of strength 0.02 changes 0.29 or more

Normals = Callable[[Tensor, Tensor], Tensor]  # photo [N,3,S,S], mask [N,1,S,S] -> unit normals [N,3,S,S]
Cycle = Callable[[Tensor, Tensor, Tensor], Tensor]  # normals, mask, wind [N,2] -> harmonics [N,8,5,S,S]


@dataclass(frozen=True)
class ClothNets:
    """What tells the surface of cloth, and how that moves: NormalNet and ClothNet, or others that answer alike."""

    normals: Normals
    cycle: Cycle


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of cloth, and the square that the networks see of it: top, left, side in pixels."""

    mask: Tensor  # [H,W] in [0,1]
    top: int
    left: int
    side: int


@torch.no_grad()
def animate_cloth(
    photo: Tensor,
    mask: Tensor,
    nets: ClothNets,
    wind: Wind,
    *,
    cycles: int,
    period: int,
    frozen: Tensor | None = None,
    calm: Tensor | None = None,
) -> ClothLayer:
    """The cloth of a loop.

    photo [3,H,W] in [-1,1]. mask [H,W] in [0,1]: what is cloth. frozen [H,W] in [0,1]: what stands still. calm [a,b] in
    [0,1], of any size: how much of its motion a place keeps. cycles: gusts in the loop of `period` frames.
    Raises NothingMoves where all pieces are too small.
    """
    frozen = torch.zeros_like(mask) if frozen is None else frozen
    found = pieces(mask)
    if not found:
        raise NothingMoves("The cloth is too small to be seen moving; paint more of it, or give a larger mask.")
    height, width = mask.shape
    cell = cell_of(height, width)
    edge = outline(photo, torch.stack([piece.mask for piece in found]).amax(0), frozen, cell)
    seen = [crop(photo, piece) for piece in found]
    still = [_surface(image, cover, nets) for image, cover in seen]
    light = _light(seen, still)
    answers = [blown(normals, cover, nets, wind, light) for (_, cover), normals in zip(seen, still, strict=True)]
    forward = _on_photo(answers, found, edge, cell)
    forward[:, :2] *= _near(forward[:, :2], on_grid(mask, cell) >= 0.5, cell, LEAVES * max(height, width))
    if calm is not None:
        size = forward.shape[2:]
        forward = forward * F.interpolate(calm[None, None], size, mode="bilinear", align_corners=False)[0]
    knots = backward(forward, cell)
    active, reach = _touched(knots, edge, cell)
    bytes_ = ((photo + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    layer = ClothLayer(bytes_, edge.background, edge.matte, active, knots, cell, reach, cycles, period)
    if not _visibly_moves(layer):
        raise NothingMoves(
            "The cloth would stand still, held by what is around it or by anchors; paint its whole width,"
            " undo anchors on it, or raise the wind's strength."
        )
    return layer


def _visibly_moves(layer: ClothLayer) -> bool:
    """Whether enough of the cloth changes over a gust for it to be seen."""
    cloth = layer.matte > 127
    gust = layer.period / layer.cycles
    drawn = [layer.draw_over(layer.photo, phase * gust) for phase in (0.125, 0.375, 0.625, 0.875)]
    changes = torch.stack([(frame.int() - layer.photo.int()).abs().amax(-1) for frame in drawn]).amax(0)
    return float((changes[cloth] >= VISIBLE).float().mean()) >= VISIBLE_SHARE


def cell_of(height: int, width: int) -> int:
    """Pixels between two points of the fields' grid: a power of two, so that there are at most 320 of them a side."""
    return 2 ** max(1, math.ceil(math.log2(max(height, width) / 320)))


def pieces(mask: Tensor) -> list[Piece]:
    """The connected pieces of cloth, the largest first; near ones together, specks left out."""
    height, width = mask.shape
    short = min(height, width)
    scale = max(1, short // 256)
    coarse = (on_grid(mask, scale) >= 0.5).cpu().numpy()
    reach = max(1, round(TOGETHER * short / scale))
    labels, count = ndimage.label(ndimage.binary_dilation(coarse, iterations=reach), np.ones((3, 3)))
    labels *= coarse
    area = np.bincount(labels.ravel(), minlength=count + 1)
    area[0] = 0
    order = [int(n) for n in np.argsort(-area) if area[n] >= max(4, SPECK * coarse.size)][:MOST_PIECES]
    made = []
    for number in order:
        rows, columns = (np.flatnonzero((labels == number).any(axis)) for axis in (1, 0))
        top, bottom = rows[0] * scale, min((rows[-1] + 1) * scale, height)
        left, right = columns[0] * scale, min((columns[-1] + 1) * scale, width)
        side = max(8, math.ceil(ROOM * max(bottom - top, right - left)))
        own = ndimage.binary_dilation(labels == number, np.ones((3, 3)), iterations=reach)
        others = ndimage.binary_dilation((labels > 0) & (labels != number), np.ones((3, 3)))
        own = torch.from_numpy(own & ~others).to(mask.device)
        wide = own.repeat_interleave(scale, 0).repeat_interleave(scale, 1)[:height, :width]
        made.append(Piece(mask * wide, int((top + bottom - side) // 2), int((left + right - side) // 2), side))
    return made


def crop(photo: Tensor, piece: Piece) -> tuple[Tensor, Tensor]:
    """What the networks see of a piece: [1,3,SIDE,SIDE] in [-1,1], and bool as float [1,1,SIDE,SIDE]."""
    image, cover = (_window(x, piece) for x in (photo, piece.mask[None]))
    return image, (cover > 0.5).float()


def blown(normals: Tensor, cover: Tensor, nets: ClothNets, wind: Wind, light: Tensor) -> Tensor:
    """One gust over a piece [1,·,SIDE,SIDE]: at each knot how far each place of the still has gone, x and y in
    fractions of the side, and the binary logarithm of how much brighter it is then: [KNOTS,3,SIDE,SIDE].

    The networks are asked for the mirrored cloth in the mirrored wind as well: left and right are treated alike.
    """
    way = wind.strength * torch.tensor([[math.cos(wind.angle), math.sin(wind.angle)]], device=normals.device)
    away = way * torch.tensor([-1.0, 1.0], device=normals.device)
    cycle = nets.cycle(normals * cover, cover, way)
    mirrored = nets.cycle(_mirrored(normals * cover), cover.flip(-1), away).flip(-1)
    flip = torch.tensor([-1.0, 1.0, -1.0, 1.0, 1.0], device=normals.device)[:, None, None]
    [cycle] = (cycle + mirrored * flip) / 2
    moments = torch.einsum("pk,kchw->pchw", _harmonics(len(cycle) // 2).to(cycle), cycle)
    turned = F.normalize(normals + moments[:, 2:], dim=1)
    before, after = (lighting.shade(light, n.movedim(1, -1)) for n in (normals, turned))
    gain = (after / before).log2()
    known = cover.expand(len(moments), -1, -1, -1)
    return push_pull(torch.cat((_within(moments[:, :2]), gain.tanh()[:, None]), 1), known)


def backward(forward: Tensor, cell: int) -> Tensor:
    """Fields of where places go and how bright they are there -> of where each pixel of the moved cloth comes from.

    forward, result [K,3,gh,gw]: x and y in pixels, and the gain's logarithm. d(x) = -f(x + d(x)), by iteration (Chen et
    al., "A simple fixed-point approach to invert a deformation field", Medical Physics 2008).
    """
    away = -forward[:, :2]
    for _ in range(INVERSIONS):
        away = -_read(forward[:, :2], away / cell)
    made = torch.cat((away, _read(forward[:, 2:], away / cell)), 1)
    made[0] = 0
    return made


def _surface(image: Tensor, cover: Tensor, nets: ClothNets) -> Tensor:
    """Normals [1,3,SIDE,SIDE] of a piece, left and right treated alike."""
    both = nets.normals(image, cover) + _mirrored(nets.normals(image.flip(-1), cover.flip(-1)))
    return F.normalize(both, dim=1)


def _mirrored(normals: Tensor) -> Tensor:
    return normals.flip(-1) * torch.tensor([-1.0, 1.0, 1.0], device=normals.device)[:, None, None]


def _light(seen: Sequence[tuple[Tensor, Tensor]], still: Sequence[Tensor]) -> Tensor:
    """The light on all pieces together, fitted to their brightness without fine detail."""
    normals, brightness, counts = [], [], []
    for (image, cover), surface in zip(seen, still, strict=True):
        linear = ((image + 1) / 2).clamp(0, 1) ** GAMMA
        luminance = (linear * linear.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1, keepdim=True)
        share = _blurred(cover).clamp_min(1e-3)
        soft = _blurred(luminance * cover) / share
        inside = cover[0, 0] > 0
        normals.append(F.normalize(_blurred(surface * cover), dim=1)[0].permute(1, 2, 0)[inside])
        values = soft[0, 0][inside]
        brightness.append((values / values.median().clamp_min(1e-3)).clamp(max=4))
        counts.append(torch.ones_like(values))
    return lighting.fit(torch.cat(normals), torch.cat(brightness), torch.cat(counts))


def _blurred(image: Tensor, radius: int = 3) -> Tensor:
    """[N,C,h,w], about as a Gaussian of `radius` pixels does it: two boxes."""
    for _ in range(2):
        image = F.avg_pool2d(image, 2 * radius + 1, 1, radius)
    return image


def _harmonics(count: int) -> Tensor:
    """What a cycle's cosines and sines count at each knot, [KNOTS,2*count]: cos − 1 and sin, all 0 at the first."""
    angle = 2 * math.pi * torch.arange(KNOTS)[:, None] / KNOTS * torch.arange(1, count + 1)
    made = torch.cat((angle.cos() - 1, angle.sin()), 1)
    made[0] = 0
    return made


def _within(moves: Tensor) -> Tensor:
    """Displacements [K,2,h,w] in fractions of the side, shrunk where they would go too far or lie over themselves; more
    wind moves them further all the same."""
    length = moves.norm(dim=1).flatten().kthvalue(max(1, int(0.995 * moves[:, 0].numel()))).values
    steep = max(float(moves.diff(dim=axis).abs().flatten().quantile(0.99)) for axis in (2, 3)) * SIDE
    over = max(float(length) / FURTHEST, steep / STEEPEST, 1e-6)
    return moves * math.tanh(over) / over


def _on_photo(answers: Sequence[Tensor], found: Sequence[Piece], edge: Outline, cell: int) -> Tensor:
    """The pieces' gusts on the photo's grid: [KNOTS,3,gh,gw], in pixels; at rest towards what holds the cloth."""
    gh, gw = edge.clearance.shape
    forward = torch.zeros(len(answers[0]), 3, gh, gw, device=edge.clearance.device)
    nearest = _territories(found, cell)
    for number, (answer, piece) in enumerate(zip(answers, found, strict=True)):
        window, places = _places(piece, (gh, gw), cell, forward.device)
        own, clearance = nearest[window] == number, edge.clearance[window]
        units = answer.new_tensor([piece.side, piece.side, 1.0])[:, None, None]
        every = places.expand(len(answer), -1, -1, -1)
        read = F.grid_sample(answer * units, every, padding_mode="border", align_corners=False)
        furthest = float(read[:, :2, own].norm(dim=1).amax()) if bool(own.any()) else 0.0
        free = _smooth((clearance - 1.5 * cell) / (CALM * furthest + 2 * cell))
        lit = _smooth((clearance - 0.5 * cell) / (2 * cell)) * edge.shaded[window]
        kept = _from_border(gh, gw, (CALM * furthest + 2 * cell) / cell).to(read)[:, *window]
        forward[:, :, *window] = torch.where(own, read * torch.stack((free, free, lit)) * kept, forward[:, :, *window])
    return forward


def _places(piece: Piece, grid: tuple[int, int], cell: int, device: torch.device) -> tuple[tuple[slice, slice], Tensor]:
    """The part of the photo's grid that is in a piece's square, or a little past it; and where in that square, from −1
    to 1, its points are: [h,w,2]."""
    window, lines = [], []
    for start, points in zip((piece.top, piece.left), grid, strict=True):
        first = max(0, math.floor((start - 0.1 * piece.side) / cell))
        last = min(points, math.ceil((start + 1.1 * piece.side) / cell))
        window.append(slice(first, last))
        middle = (torch.arange(first, last, device=device) + 0.5) * cell
        lines.append((middle - start) / piece.side * 2 - 1)
    return (window[0], window[1]), torch.stack(torch.broadcast_tensors(lines[1], lines[0][:, None]), -1)


def _near(moves: Tensor, inside: Tensor, cell: int, least: float) -> Tensor:
    """What is left of displacements [K,2,gh,gw] so that cloth gets no further than `least` pixels from its outline,
    and further inside gradually as far as it would: [K,1,gh,gw]."""
    depth = torch.from_numpy(ndimage.distance_transform_edt(inside.cpu().numpy())).to(moves) * cell
    over = moves.norm(dim=1, keepdim=True) / (least + depth) + 1e-6
    return over.tanh() / over


def _from_border(gh: int, gw: int, reach: float) -> Tensor:
    """What is left of displacements x, y and of the gain at each place, [3,gh,gw]: nothing comes into view over the
    picture's border."""
    rows, columns = (torch.minimum(i := torch.arange(n) + 0.5, n - i) for n in (gh, gw))
    across, down = (_smooth(away / reach) for away in (columns, rows))
    return torch.stack((across.expand(gh, gw), down[:, None].expand(gh, gw), torch.ones(gh, gw)))


def _territories(found: Sequence[Piece], cell: int) -> Tensor:
    """The number of the piece that each place of the grid is nearest to, [gh,gw]."""
    away = [ndimage.distance_transform_edt((on_grid(piece.mask, cell) < 0.5).cpu().numpy()) for piece in found]
    return torch.from_numpy(np.argmin(away, axis=0)).to(found[0].mask.device)


def _touched(knots: Tensor, edge: Outline, cell: int) -> tuple[Tensor, Tensor]:
    """The tiles in which anything may change, and the matte with something wherever else it may: `ClothLayer`'s."""
    size = edge.matte.shape
    matte = edge.matte.float() / 255
    furthest = math.ceil(float(knots[:, :2].abs().amax())) + 2
    near = F.max_pool2d(matte[None, None], (2 * furthest + 1, 1), 1, (furthest, 0))
    near = F.max_pool2d(near, (1, 2 * furthest + 1), 1, (0, furthest))[0, 0] > 0
    moves = (knots.abs() > 1e-4).any(1).any(0).float()[None, None]
    moves = F.max_pool2d(moves, 5, 1, 2).repeat_interleave(cell, 2).repeat_interleave(cell, 3)[0, 0] > 0
    may = near & moves[: size[0], : size[1]]
    active = F.max_pool2d(may[None, None].float(), TILE, ceil_mode=True)[0, 0].to(torch.uint8)
    return active, torch.where(may, matte.clamp_min(0.05), torch.zeros_like(matte))


def _window(image: Tensor, piece: Piece) -> Tensor:
    """[C,H,W] -> [1,C,SIDE,SIDE], of the piece's square; past the picture's border what is at it, and no cloth."""
    height, width = image.shape[1:]
    rows, columns = (torch.arange(start, start + piece.side, device=image.device) for start in (piece.top, piece.left))
    cut = image[:, rows.clamp(0, height - 1)][:, :, columns.clamp(0, width - 1)]
    if len(image) == 1:
        cut = cut * ((rows >= 0) & (rows < height))[:, None] * ((columns >= 0) & (columns < width))
    shrinks = piece.side > SIDE
    return F.interpolate(cut[None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=shrinks)


def _read(fields: Tensor, away: Tensor) -> Tensor:
    """fields [K,C,h,w] at x + away(x), away [K,2,h,w] in their own pixels; the border replicated."""
    h, w = fields.shape[2:]
    x, y = torch.arange(w, device=fields.device), torch.arange(h, device=fields.device)[:, None]
    places = torch.stack(((2 * (x + away[:, 0]) + 1) / w - 1, (2 * (y + away[:, 1]) + 1) / h - 1), -1)
    return F.grid_sample(fields, places, padding_mode="border", align_corners=False)


def _smooth(x: Tensor) -> Tensor:
    t = x.clamp(0, 1)
    return t * t * (3 - 2 * t)
