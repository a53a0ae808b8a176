"""Cloth in the wind: from a mask to the displacement and brightness fields of one gust.

Follows "Blowing in the Wind: CycleNet for Human Cinemagraphs from Still Images" (Bertiche et al., CVPR 2023) in working
on surface normals, in which simulated cloth and photographs look alike. Colours are not synthesised, however: the
photo's own are displaced, and multiplied by the ratio of the moved surface's brightness to the resting one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.cloth.flutter import Course, find_course, flutter, fold_shading
from stylecine.cloth.layer import ClothLayer, periodic_weights
from stylecine.cloth.lighting import fit_light, shade
from stylecine.cloth.matting import Matting, estimate_matting, on_grid
from stylecine.errors import NothingMoves
from stylecine.ops.drape import TILE
from stylecine.ops.image import push_pull, to_uint8
from stylecine.ops.smoothstep import smoothstep
from stylecine.options import Wind

SIDE = 128  # pixels of the networks' square input
KEYFRAMES = 16  # phases of a gust at which fields are stored: waves of up to half as many cycles
CROP_MARGIN = 1.2  # side of a piece's crop, relative to the longer side of its bounding box
MAX_GRID = 320  # points of the fields' grid along the long side
MIN_PIECE = 0.0008  # of the picture: smaller pieces are not animated
MAX_PIECES = 16
MERGE_DISTANCE = 0.012  # of the short side: pieces closer than twice this are treated as one
MAX_DISPLACEMENT = 0.08  # of the crop's side
MAX_GRADIENT = 0.8  # of the displacement, pixel to pixel: at 1 the cloth would fold over itself
MAX_OVERHANG = 0.015  # of the long side: how far the cloth may leave its outline
LEAN = (0.3, 0.8)  # of the predicted displacement: where the cloth is held, and more at the free end
LEAN_SHARE = 0.7  # of the displacement that is allowed
LEAN_DELAY = 0.06  # of a gust: the wind arrives later at the far end of the cloth
REST_DISTANCE = 2.5  # in displacements: over this distance the motion fades towards whatever holds the cloth
STEPS, PACE_SAMPLES = 60, 20  # frames of a gust, and how many of the steps between them are looked at
PACE_TILES = 256  # of the cloth, in which they are
MAX_HASTE = 0.4  # by which the gust may run faster or slower where it begins
INVERSION_ITERATIONS = 10
GAMMA = 2.2
VISIBLE_CHANGE = 2  # levels of 255
VISIBLE_SHARE = 0.02  # of the cloth must change visibly; even a wind of 0.02 changes 0.29 or more

NormalPredictor = Callable[[Tensor, Tensor], Tensor]  # photo [N,3,S,S], mask [N,1,S,S] -> unit normals [N,3,S,S]
CyclePredictor = Callable[[Tensor, Tensor, Tensor], Tensor]  # normals, mask, wind [N,2] -> harmonics [N,8,5,S,S]


@dataclass(frozen=True)
class ClothNets:
    """The networks that predict the surface of cloth and its motion: NormalNet and ClothNet, or substitutes."""

    normals: NormalPredictor
    cycle: CyclePredictor


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of cloth and its square crop: top, left and side in pixels."""

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
    mobility: Tensor | None = None,
) -> ClothLayer:
    """The cloth layer of a loop of `period` frames with `cycles` gusts.

    photo [3,H,W] in [-1,1]. mask [H,W] in [0,1]: the cloth. frozen [H,W] in [0,1]: what must not change. mobility
    [a,b] in [0,1], of any size: factor on the motion. Raises NothingMoves if all pieces are too small, or if no motion
    would be visible.
    """
    frozen = torch.zeros_like(mask) if frozen is None else frozen
    pieces = find_pieces(mask)
    if not pieces:
        raise NothingMoves("The cloth is too small to be seen moving; paint more of it, or give a larger mask.")
    cell = cell_size(*mask.shape)
    matting = estimate_matting(photo, torch.stack([piece.mask for piece in pieces]).amax(0), frozen, cell)
    crops = [crop_piece(photo, piece) for piece in pieces]
    normals = [_predict_normals(image, cover, nets) for image, cover in crops]
    light = _fit_light(crops, normals)
    gusts = [
        predict_cycle(image, n, cover, nets, wind, light) for (image, cover), n in zip(crops, normals, strict=True)
    ]
    forward = _merge(gusts, pieces, matting, cell)
    forward[:, :2] *= _limit_overhang(forward[:, :2], on_grid(mask, cell) >= 0.5, cell, MAX_OVERHANG * max(mask.shape))
    forward[:, :2] = _blur(forward[:, :2], 1)
    if mobility is not None:
        grid = forward.shape[2:]
        forward = forward * F.interpolate(mobility[None, None], grid, mode="bilinear", align_corners=False)[0]
    keyframes = invert_displacement(forward, cell)
    active, reach = _active_area(keyframes, matting, cell)
    layer = ClothLayer(
        to_uint8(photo), matting.background, matting.matte, active, keyframes, cell, reach, cycles, period
    )
    layer = replace(layer, keyframes=_even_pace(layer))
    if not _visibly_moves(layer):
        raise NothingMoves(
            "The cloth would stand still, held by what is around it or by anchors; paint its whole width,"
            " undo anchors on it, or raise the wind's strength."
        )
    return layer


def cell_size(height: int, width: int) -> int:
    """Pixels between two points of the fields' grid: a power of two, for at most MAX_GRID points a side."""
    return 2 ** max(1, math.ceil(math.log2(max(height, width) / MAX_GRID)))


def find_pieces(mask: Tensor) -> list[Piece]:
    """The connected pieces of cloth, largest first; close ones are merged, specks left out."""
    height, width = mask.shape
    short = min(height, width)
    scale = max(1, short // 256)
    coarse = (on_grid(mask, scale) >= 0.5).cpu().numpy()
    radius = max(1, round(MERGE_DISTANCE * short / scale))
    labels, count = ndimage.label(ndimage.binary_dilation(coarse, iterations=radius), np.ones((3, 3)))
    labels *= coarse
    area = np.bincount(labels.ravel(), minlength=count + 1)
    area[0] = 0
    numbers = [int(n) for n in np.argsort(-area) if area[n] >= max(4, MIN_PIECE * coarse.size)][:MAX_PIECES]
    pieces = []
    for number in numbers:
        rows, columns = (np.flatnonzero((labels == number).any(axis)) for axis in (1, 0))
        top, bottom = rows[0] * scale, min((rows[-1] + 1) * scale, height)
        left, right = columns[0] * scale, min((columns[-1] + 1) * scale, width)
        side = max(8, math.ceil(CROP_MARGIN * max(bottom - top, right - left)))
        own = ndimage.binary_dilation(labels == number, np.ones((3, 3)), iterations=radius)
        others = ndimage.binary_dilation((labels > 0) & (labels != number), np.ones((3, 3)))
        own = torch.from_numpy(own & ~others).to(mask.device)
        enlarged = own.repeat_interleave(scale, 0).repeat_interleave(scale, 1)[:height, :width]
        pieces.append(Piece(mask * enlarged, int((top + bottom - side) // 2), int((left + right - side) // 2), side))
    return pieces


def crop_piece(photo: Tensor, piece: Piece) -> tuple[Tensor, Tensor]:
    """The networks' input for a piece: image [1,3,SIDE,SIDE] in [-1,1] and binary cover [1,1,SIDE,SIDE]."""
    image, cover = (_crop(x, piece) for x in (photo, piece.mask[None]))
    return image, (cover > 0.5).float()


def predict_cycle(
    image: Tensor, normals: Tensor, cover: Tensor, nets: ClothNets, wind: Wind, light: Tensor
) -> Tensor:
    """One gust over a piece [1,·,SIDE,SIDE]: [KEYFRAMES,3,SIDE,SIDE], the displacement x, y of each place of the photo
    in fractions of the side, and the binary logarithm of its gain in brightness.

    The cloth leans as the network predicts, later downwind, and flutters.
    """
    course = find_course(cover, wind)
    lean = _lean(normals, cover, nets, wind, course)
    brightness = shade(light, normals.movedim(1, -1))
    shading = fold_shading(_linear(image), brightness[:, None], cover)
    waves = flutter(normals, shading, cover, wind, course, KEYFRAMES)
    leaning = lean[:, :2] * (LEAN[0] + LEAN[1] * course.distance)
    allowed = LEAN_SHARE * (0.6 + 0.4 * wind.strength)
    displacement = _limit_displacement(leaning, allowed) + _limit_displacement(waves[:, :2], 1 - LEAN_SHARE)
    slopes = torch.cat((waves[:, 2:4], torch.zeros_like(waves[:, :1])), 1) * normals[:, 2:].clamp_min(0.3)
    moved_normals = F.normalize(F.normalize(normals + lean[:, 2:], dim=1) + slopes, dim=1)
    gain = (shade(light, moved_normals.movedim(1, -1)) / brightness).log2() + waves[:, 4]
    known = cover.expand(len(waves), -1, -1, -1)
    return push_pull(torch.cat((displacement, gain.tanh()[:, None]), 1), known)


def _lean(normals: Tensor, cover: Tensor, nets: ClothNets, wind: Wind, course: Course) -> Tensor:
    """How the cloth leans in a gust, [KEYFRAMES,5,SIDE,SIDE] as the network's channels: the first harmonic of its
    prediction; the others are the flutter of an average cloth, which runs nowhere.

    Averaged with the prediction for the mirrored cloth in the mirrored wind, so that left and right are equivalent.
    """
    direction = wind.strength * torch.tensor([[math.cos(wind.angle), math.sin(wind.angle)]], device=normals.device)
    mirrored_direction = direction * torch.tensor([-1.0, 1.0], device=normals.device)
    cycle = nets.cycle(normals * cover, cover, direction)
    mirrored = nets.cycle(_mirror_normals(normals * cover), cover.flip(-1), mirrored_direction).flip(-1)
    flip = torch.tensor([-1.0, 1.0, -1.0, 1.0, 1.0], device=normals.device)[:, None, None]
    cycle = ((cycle + mirrored * flip) / 2)[0]
    gust = torch.complex(cycle[0], cycle[len(cycle) // 2])
    gust = gust * torch.exp(2j * math.pi * LEAN_DELAY * course.along.clamp(0, 1))
    turned = torch.exp(-2j * math.pi * torch.arange(KEYFRAMES, device=normals.device) / KEYFRAMES) - 1
    return (turned[:, None, None, None] * gust).real


def _linear(image: Tensor) -> Tensor:
    return ((image + 1) / 2).clamp(0, 1) ** GAMMA


def invert_displacement(forward: Tensor, cell: int) -> Tensor:
    """Forward fields, defined on the photo -> backward fields, defined on the displaced cloth.

    Both [K,3,gh,gw]: displacement x, y in pixels, and logarithm of the gain. Solves d(x) = -f(x + d(x)) by fixed-point
    iteration (Chen et al., "A simple fixed-point approach to invert a deformation field", Medical Physics 2008).
    """
    displacement = -forward[:, :2]
    for _ in range(INVERSION_ITERATIONS):
        displacement = -_sample(forward[:, :2], displacement / cell)
    backward = torch.cat((displacement, _sample(forward[:, 2:], displacement / cell)), 1)
    backward[0] = 0
    return backward


def _even_pace(layer: ClothLayer) -> Tensor:
    """The keyframes of a gust that runs faster or slower where it begins, so that its first step changes frames as much
    as the median step does: a loop should not halt or jump where it starts again.

    Some tiles of the cloth stand for all.
    """
    count, device = len(layer.keyframes), layer.keyframes.device
    some = torch.zeros_like(layer.active).flatten()
    moving = layer.active.flatten().nonzero().flatten()
    some[moving[:: 1 + len(moving) // PACE_TILES]] = 1
    gust = replace(layer, active=some.view_as(layer.active), cycles=1, period=STEPS)

    def hasten(haste: float) -> Tensor:
        """The keyframes at a pace of 1 + haste at phase 0 and 1 − haste at ½."""
        phases = [k / count + haste * math.sin(2 * math.pi * k / count) / (2 * math.pi) for k in range(count)]
        weights = torch.stack([periodic_weights(count, phase) for phase in phases]).to(device)
        return torch.tensordot(weights, layer.keyframes, 1)

    def unevenness(haste: float) -> float:
        """The logarithm of the first step over the median."""
        hastened = replace(gust, keyframes=hasten(haste))
        steps = [_step(hastened, t) for t in range(0, STEPS, STEPS // PACE_SAMPLES)]
        return math.log(max(steps[0], 1) / max(float(np.median(steps)), 1))

    # by the secant method: how much haste changes the first step depends on the photo's detail
    haste, uneven, slope = 0.0, unevenness(0), 1.5
    for _ in range(2):
        change = min(max(haste - uneven / slope, -MAX_HASTE), MAX_HASTE) - haste
        if abs(change) < 0.02:
            break
        before, uneven = uneven, unevenness(haste + change)
        haste, slope = haste + change, max((uneven - before) / change, 0.75)
    return hasten(min(max(haste - uneven / slope, -MAX_HASTE), MAX_HASTE))


def _step(layer: ClothLayer, t: int) -> float:
    """How much the frame of time t differs from the one before, summed over all values."""
    before, now = (layer.draw_over(layer.photo, moment) for moment in (t - 1, t))
    return float((torch.maximum(before, now) - torch.minimum(before, now)).sum(dtype=torch.int64))


def _visibly_moves(layer: ClothLayer) -> bool:
    cloth = layer.matte > 127
    gust = layer.period / layer.cycles
    frames = [layer.draw_over(layer.photo, phase * gust) for phase in (0.125, 0.375, 0.625, 0.875)]
    changes = torch.stack([(frame.int() - layer.photo.int()).abs().amax(-1) for frame in frames]).amax(0)
    return float((changes[cloth] >= VISIBLE_CHANGE).float().mean()) >= VISIBLE_SHARE


def _predict_normals(image: Tensor, cover: Tensor, nets: ClothNets) -> Tensor:
    """Unit normals [1,3,SIDE,SIDE] of a piece, averaged with those of the mirrored image."""
    both = nets.normals(image, cover) + _mirror_normals(nets.normals(image.flip(-1), cover.flip(-1)))
    return F.normalize(both, dim=1)


def _mirror_normals(normals: Tensor) -> Tensor:
    return normals.flip(-1) * torch.tensor([-1.0, 1.0, 1.0], device=normals.device)[:, None, None]


def _fit_light(crops: Sequence[tuple[Tensor, Tensor]], normals: Sequence[Tensor]) -> Tensor:
    """The light shared by all pieces, fitted to their smoothed brightness."""
    smooth_normals, brightness = [], []
    for (image, cover), surface in zip(crops, normals, strict=True):
        linear = _linear(image)
        luminance = (linear * linear.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1, keepdim=True)
        smooth = _blur(luminance * cover) / _blur(cover).clamp_min(1e-3)
        inside = cover[0, 0] > 0
        smooth_normals.append(F.normalize(_blur(surface * cover), dim=1)[0].permute(1, 2, 0)[inside])
        values = smooth[0, 0][inside]
        brightness.append((values / values.median().clamp_min(1e-3)).clamp(max=4))
    return fit_light(torch.cat(smooth_normals), torch.cat(brightness))


def _blur(image: Tensor, radius: int = 3) -> Tensor:
    """[N,C,h,w] blurred by two boxes: about a Gaussian of `radius` pixels."""
    for _ in range(2):
        image = F.avg_pool2d(image, 2 * radius + 1, 1, radius)
    return image


def _limit_displacement(displacement: Tensor, share: float) -> Tensor:
    """Displacements [K,2,h,w] in fractions of the side, scaled down if they would be longer or steeper than a share of
    what is allowed.

    Saturates smoothly: stronger wind always moves the cloth further.
    """
    length = displacement.norm(dim=1).flatten().kthvalue(max(1, int(0.995 * displacement[:, 0].numel()))).values
    gradient = max(float(displacement.diff(dim=axis).abs().flatten().quantile(0.99)) for axis in (2, 3)) * SIDE
    excess = max(float(length) / MAX_DISPLACEMENT, gradient / MAX_GRADIENT, 1e-6) / share
    return displacement * math.tanh(excess) / excess


def _merge(gusts: Sequence[Tensor], pieces: Sequence[Piece], matting: Matting, cell: int) -> Tensor:
    """All pieces on the photo's grid, in pixels, fading towards what holds the cloth: [KEYFRAMES,3,gh,gw]."""
    gh, gw = matting.clearance.shape
    forward = torch.zeros(KEYFRAMES, 3, gh, gw, device=matting.clearance.device)
    nearest = _nearest_piece(pieces, cell)
    for number, (gust, piece) in enumerate(zip(gusts, pieces, strict=True)):
        window, positions = _sampling_grid(piece, (gh, gw), cell, forward.device)
        own, clearance = nearest[window] == number, matting.clearance[window]
        units = gust.new_tensor([piece.side, piece.side, 1.0])[:, None, None]
        positions = positions.expand(len(gust), -1, -1, -1)
        fields = F.grid_sample(gust * units, positions, padding_mode="border", align_corners=False)
        longest = float(fields[:, :2, own].norm(dim=1).amax()) if bool(own.any()) else 0.0
        fade = REST_DISTANCE * longest + 2 * cell
        mobility = smoothstep(((clearance - 1.5 * cell) / fade).clamp(0, 1))
        shading = smoothstep(((clearance - 0.5 * cell) / (2 * cell)).clamp(0, 1)) * matting.shading[window]
        border = _border_fade(gh, gw, fade / cell).to(fields)[:, *window]
        fields = fields * torch.stack((mobility, mobility, shading)) * border
        forward[:, :, *window] = torch.where(own, fields, forward[:, :, *window])
    return forward


def _sampling_grid(
    piece: Piece, grid: tuple[int, int], cell: int, device: torch.device
) -> tuple[tuple[slice, slice], Tensor]:
    """The window of the photo's grid that a piece's crop covers, with some margin, and its points' positions in the
    crop, from −1 to 1: [h,w,2]."""
    window, axes = [], []
    for start, points in zip((piece.top, piece.left), grid, strict=True):
        first = max(0, math.floor((start - 0.1 * piece.side) / cell))
        last = min(points, math.ceil((start + 1.1 * piece.side) / cell))
        window.append(slice(first, last))
        centres = (torch.arange(first, last, device=device) + 0.5) * cell
        axes.append((centres - start) / piece.side * 2 - 1)
    return (window[0], window[1]), torch.stack(torch.broadcast_tensors(axes[1], axes[0][:, None]), -1)


def _limit_overhang(displacement: Tensor, inside: Tensor, cell: int, overhang: float) -> Tensor:
    """Factors [K,1,gh,gw] on displacements [K,2,gh,gw] that keep cloth within `overhang` pixels of its outline."""
    depth = torch.from_numpy(ndimage.distance_transform_edt(inside.cpu().numpy())).to(displacement) * cell
    depth = _blur(depth[None, None], 2)[0, 0]  # its steps from cell to cell would fray the outline
    excess = displacement.norm(dim=1, keepdim=True) / (overhang + depth) + 1e-6
    return excess.tanh() / excess


def _border_fade(gh: int, gw: int, distance: float) -> Tensor:
    """Factors [3,gh,gw] on displacement x, y and gain: at the picture's border nothing moves across it."""
    rows, columns = (torch.minimum(i := torch.arange(n) + 0.5, n - i) for n in (gh, gw))
    x, y = (smoothstep((away / distance).clamp(0, 1)) for away in (columns, rows))
    return torch.stack((x.expand(gh, gw), y[:, None].expand(gh, gw), torch.ones(gh, gw)))


def _nearest_piece(pieces: Sequence[Piece], cell: int) -> Tensor:
    """The index of the piece nearest to each point of the grid, [gh,gw]."""
    distances = [ndimage.distance_transform_edt((on_grid(piece.mask, cell) < 0.5).cpu().numpy()) for piece in pieces]
    return torch.from_numpy(np.argmin(distances, axis=0)).to(pieces[0].mask.device)


def _active_area(keyframes: Tensor, matting: Matting, cell: int) -> tuple[Tensor, Tensor]:
    """`ClothLayer.active` and `ClothLayer.reach`."""
    height, width = matting.matte.shape
    matte = matting.matte.float() / 255
    radius = math.ceil(float(keyframes[:, :2].abs().amax())) + 2
    near = F.max_pool2d(matte[None, None], (2 * radius + 1, 1), 1, (radius, 0))
    near = F.max_pool2d(near, (1, 2 * radius + 1), 1, (0, radius))[0, 0] > 0
    moves = (keyframes.abs() > 1e-4).any(1).any(0).float()[None, None]
    moves = F.max_pool2d(moves, 5, 1, 2).repeat_interleave(cell, 2).repeat_interleave(cell, 3)[0, 0] > 0
    changes = near & moves[:height, :width]
    active = F.max_pool2d(changes[None, None].float(), TILE, ceil_mode=True)[0, 0].to(torch.uint8)
    return active, torch.where(changes, matte.clamp_min(0.05), torch.zeros_like(matte))


def _crop(image: Tensor, piece: Piece) -> Tensor:
    """[C,H,W] -> [1,C,SIDE,SIDE]; past the picture's border an image is replicated, a mask [1,H,W] is 0."""
    height, width = image.shape[1:]
    rows, columns = (torch.arange(start, start + piece.side, device=image.device) for start in (piece.top, piece.left))
    cut = image[:, rows.clamp(0, height - 1)][:, :, columns.clamp(0, width - 1)]
    if len(image) == 1:
        cut = cut * ((rows >= 0) & (rows < height))[:, None] * ((columns >= 0) & (columns < width))
    shrinks = piece.side > SIDE
    return F.interpolate(cut[None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=shrinks)


def _sample(fields: Tensor, displacement: Tensor) -> Tensor:
    """fields [K,C,h,w] at x + displacement(x), [K,2,h,w] in grid points; the border is replicated."""
    h, w = fields.shape[2:]
    x, y = torch.arange(w, device=fields.device), torch.arange(h, device=fields.device)[:, None]
    positions = ((2 * (x + displacement[:, 0]) + 1) / w - 1, (2 * (y + displacement[:, 1]) + 1) / h - 1)
    return F.grid_sample(fields, torch.stack(positions, -1), padding_mode="border", align_corners=False)
