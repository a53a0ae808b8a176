"""The rest shape of cloth and its surroundings, as in the photo: estimated once, for any number of winds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from stylecine.cloth.flutter import Attachments, candidate_attachments, fold_shading
from stylecine.cloth.lighting import fit_light, shade
from stylecine.cloth.matting import Matting, estimate_matting
from stylecine.errors import NothingMoves
from stylecine.ops.drape import TILE
from stylecine.ops.image import blur, cell_means, to_uint8
from stylecine.ops.regions import connected

SIDE = 128  # pixels of the networks' square input
CROP_MARGIN = 1.2  # side of a piece's crop, relative to the longer side of its bounding box
MAX_GRID = 320  # points of the fields' grid along the long side
PREVIEW_GRID = 110  # the same of a preview, which has half or a quarter of the points a side
MIN_PIECE = 0.0008  # of the picture: smaller pieces are not animated
MAX_PIECES = 16  # the largest ones
MERGE_DISTANCE = 0.012  # of the short side: pieces closer than twice this are treated as one
LIGHT_DETAIL = 3  # pixels of a crop: the light explains no smaller ones
GAMMA = 2.2  # of the photo's brightness over light

NormalPredictor = Callable[[Tensor, Tensor], Tensor]  # photo [N,3,S,S], mask [N,1,S,S] -> unit normals [N,3,S,S]
CyclePredictor = Callable[[Tensor, Tensor, Tensor, int], Tensor]  # normals, mask, wind [N,2], n -> [N,2*n,5,S,S]


@dataclass(frozen=True)
class ClothNets:
    """The networks that predict the surface normals of cloth and its motion: NormalNet and ClothNet, or substitutes."""

    normals: NormalPredictor
    cycle: CyclePredictor


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of cloth and its square crop: top, left and side in pixels."""

    mask: Tensor  # [H,W] in [0,1]
    top: int
    left: int
    side: int


@dataclass(frozen=True, eq=False)
class Surface:
    """A piece of cloth as the networks see it, in a square of S pixels: SIDE, or fewer in a `RestShape.coarse`."""

    normals: Tensor  # [1,3,S,S], unit vectors
    cover: Tensor  # [1,1,S,S], 1 where the cloth is, else 0
    light: Tensor  # [9], see `lighting.fit_light`
    shading: Tensor  # [1,1,S,S], see `flutter.fold_shading`

    @cached_property
    def attachments(self) -> Attachments:
        """The sides at which it may be attached, in any wind: see `flutter.candidate_attachments`."""
        return candidate_attachments(self.cover[0, 0].cpu().numpy() > 0.5)

    @cached_property
    def brightness(self) -> Tensor:
        """[1,S,S], at rest."""
        return shade(self.light, self.normals.movedim(1, -1))

    @property
    def coarse(self) -> Surface:
        """The same at half the size."""
        normals, shading = F.normalize(F.avg_pool2d(self.normals, 2), dim=1), F.avg_pool2d(self.shading, 2)
        return Surface(normals, _covered(F.avg_pool2d(self.cover, 2)), self.light, shading)


@dataclass(frozen=True, eq=False)
class RestShape:
    """What `animate_cloth` needs of a photo's cloth: its pieces on the grid of the photo's cells, and each in its crop.

    outline [gh,gw]: pixels from the inside of the cloth to its outline, negative outside. mobility [gh,gw] in [0,1]:
    factor on the motion, None for 1. nearest [gh,gw]: the index of the piece whose motion a place takes.
    """

    photo: Tensor  # uint8 [H,W,3]
    matting: Matting
    cell: int
    finest_cell: int  # of the full detail: distances from obstacles are measured by it
    crops: tuple[tuple[int, int, int], ...]  # of the pieces: top, left and side in pixels
    surfaces: tuple[Surface, ...]
    nearest: Tensor
    outline: Tensor
    mobility: Tensor | None
    # in some directions, kept by `animate.preview_cloth`
    deflections: dict[int, Tensor] = field(default_factory=dict, init=False)

    @cached_property
    def coarse(self) -> RestShape:
        """The same at half the detail, or at a quarter where that is more than previews need."""
        matting = self.matting
        step = 4 if max(self.outline.shape) > 2 * PREVIEW_GRID and 4 * self.cell <= TILE else 2
        clearance, shading, outline = (cell_means(x, step) for x in (matting.clearance, matting.shading, self.outline))
        return replace(
            self,
            matting=replace(matting, clearance=clearance, shading=shading),
            cell=step * self.cell,
            surfaces=tuple(surface.coarse for surface in self.surfaces),
            nearest=self.nearest[::step, ::step],
            outline=outline,
            mobility=None if self.mobility is None else cell_means(self.mobility, step),
        )


@torch.no_grad()
def estimate_rest_shape(
    photo: Tensor, mask: Tensor, nets: ClothNets, *, frozen: Tensor | None = None, mobility: Tensor | None = None
) -> RestShape:
    """The cloth of a photo [3,H,W] in [-1,1] at rest.

    mask [H,W] in [0,1]: the cloth. frozen [H,W] in [0,1]: what must not change. mobility [a,b] in [0,1], of any size:
    factor on the motion. Raises NothingMoves if all pieces are too small.
    """
    frozen = torch.zeros_like(mask) if frozen is None else frozen
    pieces = find_pieces(mask)
    if not pieces:
        raise NothingMoves("The cloth is too small to be seen moving; paint more of it, or give a larger mask.")
    cell = 2 ** max(1, math.ceil(math.log2(max(mask.shape) / MAX_GRID)))  # a power of two, as tiles are
    matting = estimate_matting(photo, torch.stack([piece.mask for piece in pieces]).amax(0), frozen, cell)
    crops = [(_crop(photo, piece), _covered(_crop(piece.mask[None], piece))) for piece in pieces]
    normals = [_predict_normals(image, cover, nets) for image, cover in crops]
    light = _fit_light(crops, normals)
    surfaces = [
        estimate_surface(image, each, cover, light) for (image, cover), each in zip(crops, normals, strict=True)
    ]
    inside = (cell_means(mask, cell) >= 0.5).cpu().numpy()
    distances = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    outline = torch.from_numpy(distances).to(photo) * cell
    away = [ndimage.distance_transform_edt((cell_means(piece.mask, cell) < 0.5).cpu().numpy()) for piece in pieces]
    nearest = np.argmin(away, axis=0)
    if mobility is not None:
        size = matting.clearance.shape
        mobility = F.interpolate(mobility[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return RestShape(
        to_uint8(photo),
        matting,
        cell,
        cell,
        tuple((piece.top, piece.left, piece.side) for piece in pieces),
        tuple(surfaces),
        torch.from_numpy(nearest).to(mask.device),
        outline,
        mobility,
    )


def estimate_surface(image: Tensor, normals: Tensor, cover: Tensor, light: Tensor) -> Surface:
    """The surface of a piece [1,·,SIDE,SIDE] of an image in [-1,1], under that light."""
    brightness = shade(light, normals.movedim(1, -1))[:, None]
    return Surface(normals, cover, light, fold_shading(_linear(image), brightness, cover))


def find_pieces(mask: Tensor) -> list[Piece]:
    """The connected pieces of cloth, largest first; close ones are merged, specks left out."""
    height, width = mask.shape
    short = min(height, width)
    scale = max(1, short // 256)
    coarse = (cell_means(mask, scale) >= 0.5).cpu().numpy()
    radius = max(1, round(MERGE_DISTANCE * short / scale))
    parts = connected(ndimage.binary_dilation(coarse, iterations=radius)).within(coarse)
    area, numbers = parts.size, parts.numbers
    area[0] = 0
    large = [n for n in np.argsort(-area) if area[n] >= max(4, MIN_PIECE * coarse.size)][:MAX_PIECES]
    pieces = []
    for number in large:
        rows, columns = parts.boxes[number - 1]
        top, bottom = rows.start * scale, min(rows.stop * scale, height)
        left, right = columns.start * scale, min(columns.stop * scale, width)
        side = max(8, math.ceil(CROP_MARGIN * max(bottom - top, right - left)))
        own = ndimage.binary_dilation(numbers == number, np.ones((3, 3)), iterations=radius)
        others = ndimage.binary_dilation((numbers > 0) & (numbers != number), np.ones((3, 3)))
        own = torch.from_numpy(own & ~others).to(mask.device)
        enlarged = own.repeat_interleave(scale, 0).repeat_interleave(scale, 1)[:height, :width]
        pieces.append(Piece(mask * enlarged, int((top + bottom - side) // 2), int((left + right - side) // 2), side))
    return pieces


def _covered(share: Tensor) -> Tensor:
    """1 where cloth has more than half of a place, or the most of all if it is narrower everywhere, else 0."""
    most = share.amax()
    return (share > 0.5 if most > 0.5 else (share == most) & (most > 0)).to(share)


def _predict_normals(image: Tensor, cover: Tensor, nets: ClothNets) -> Tensor:
    """Unit normals [1,3,SIDE,SIDE] of a piece, averaged with those of the mirrored image."""
    both = nets.normals(image, cover) + mirror_normals(nets.normals(image.flip(-1), cover.flip(-1)))
    return F.normalize(both, dim=1)


def mirror_normals(normals: Tensor) -> Tensor:
    return normals.flip(-1) * torch.tensor([-1.0, 1.0, 1.0], device=normals.device)[:, None, None]


def _fit_light(crops: Sequence[tuple[Tensor, Tensor]], normals: Sequence[Tensor]) -> Tensor:
    """The light shared by all pieces, fitted to their smoothed brightness."""
    smooth_normals, brightness = [], []
    for (image, cover), surface in zip(crops, normals, strict=True):
        linear = _linear(image)
        luminance = (linear * linear.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(1, keepdim=True)
        smooth = blur(luminance * cover, LIGHT_DETAIL) / blur(cover, LIGHT_DETAIL).clamp_min(1e-3)
        inside = cover[0, 0] > 0
        smooth_normals.append(F.normalize(blur(surface * cover, LIGHT_DETAIL), dim=1)[0].permute(1, 2, 0)[inside])
        values = smooth[0, 0][inside]
        brightness.append((values / values.median().clamp_min(1e-3)).clamp(max=4))
    return fit_light(torch.cat(smooth_normals), torch.cat(brightness))


def _crop(image: Tensor, piece: Piece) -> Tensor:
    """[C,H,W] -> [1,C,SIDE,SIDE]; past the picture's border an image is replicated, a mask [1,H,W] is 0."""
    height, width = image.shape[1:]
    rows, columns = (torch.arange(start, start + piece.side, device=image.device) for start in (piece.top, piece.left))
    cut = image[:, rows.clamp(0, height - 1)][:, :, columns.clamp(0, width - 1)]
    if len(image) == 1:
        cut = cut * ((rows >= 0) & (rows < height))[:, None] * ((columns >= 0) & (columns < width))
    shrinks = piece.side > SIDE
    return F.interpolate(cut[None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=shrinks)


def _linear(image: Tensor) -> Tensor:
    return ((image + 1) / 2).clamp(0, 1) ** GAMMA
