"""A photo in another appearance: the change of the generator's picture of it with another w+, as a bilateral grid.

G(F, w') and G(F, w), w+ of another photo and its own, are compared in a small picture, and the change becomes affine
transforms of colours by place and luma (`ops.recolour`). Every edge and thread stays where it is, and nothing that the
generator draws gets into a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.errors import OptionError
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge
from stylecine.ops.image import LUMA, fit_short_side, to_tensor
from stylecine.ops.recolour import Recolouring, grid_places, recolour

SMALL_SIDE = 256  # short side of the picture in which the change is found
GRID_CELL = 16  # pixels of it to a cell of the grid
LUMA_POINTS = 8  # of the grid
GLARE = 0.45, 0.65  # of [0, 1]: luma above which a pixel may be light, and above which it counts as light
CYAN_MARGIN = 0.15  # of [0, 1]: in a blue that is no cyan, blue exceeds green by more
FULL_GREEN = 0.05  # of [0, 1]: green or cyan that counts wholly
RIDGE = (1e-3, 30.0, 4.0)  # how much each finer fit holds to the coarser one, in pixels; the first, of all, to none


def without_green_light(before: Tensor, after: Tensor) -> Tensor:
    """`after`, of two pictures [3,h,w] in [0,1], with bright pixels that have become green or cyan made grey: a low sun
    in an orange sky, of which the generator has seen few, would turn green where the sky turns blue."""
    bright = (_luma(after) - GLARE[0]) / (GLARE[1] - GLARE[0])
    green = (_green(after) - _green(before).clamp_min(0)) / FULL_GREEN
    return torch.lerp(after, _luma(after), (bright.clamp(0, 1) * green.clamp(0, 1)))


def _luma(picture: Tensor) -> Tensor:
    return (picture * picture.new_tensor(LUMA).view(3, 1, 1)).sum(0)


def _green(picture: Tensor) -> Tensor:
    """How much green or cyan there is: above 0 between the hues of yellow and of a clear sky."""
    red, green, blue = picture
    return torch.minimum(green - red, green - blue + CYAN_MARGIN)


def fit_grid(before: Tensor, after: Tensor) -> Tensor:
    """The grid [D,gh,gw,4,4] of affine transforms that best turn one small picture into another, both [3,h,w] in [0,1].

    Least squares, with each point's pixels weighted by their distance from it; where there are few, the transform is
    that of all pixels as bright, and where there are few of these, that of all pixels.
    """
    h, w = before.shape[1:]
    shape = LUMA_POINTS, -(-h // GRID_CELL), -(-w // GRID_CELL)
    colours = before.permute(1, 2, 0)
    inputs = torch.cat((colours, torch.ones_like(colours[..., :1])), -1).flatten(0, 1)  # [P,4]
    change = (after - before).permute(1, 2, 0).flatten(0, 1)  # [P,3]
    products = torch.cat((inputs[:, :, None] * inputs[:, None], inputs[:, :, None] * change[:, None]), -1)  # [P,4,7]
    sums = _splatted(products.flatten(1), grid_places(colours, LUMA_POINTS).flatten(0, 1), shape).unflatten(-1, (4, 7))
    fitted = torch.zeros_like(sums[:1, :1, :1, :, 4:])
    for axes, ridge in zip(((0, 1, 2), (1, 2), ()), RIDGE, strict=True):
        totals = sums.sum(axes, keepdim=True) if axes else sums
        normal = totals[..., :4]
        held = ridge * torch.eye(4, device=sums.device)
        fitted = fitted + torch.linalg.solve(normal + held, totals[..., 4:] - normal @ fitted)
    return F.pad(fitted, (0, 1)).contiguous()


def _splatted(values: Tensor, places: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Sums of [P,C] around the points of a grid (D,gh,gw), by trilinear weights and a binomial blur: [D,gh,gw,C].

    places [P,3]: as `grid_places` gives them.
    """
    d, gh, gw = shape
    sizes = places.new_tensor((gw, gh, d))
    at = torch.minimum((((places + 1) * sizes - 1) / 2).clamp_min(0), sizes - 1)
    first = at.floor()
    sums = values.new_zeros(d * gh * gw, values.shape[1])
    for corner in torch.cartesian_prod(*[torch.arange(2, device=values.device)] * 3):
        point = torch.minimum(first + corner, sizes - 1).long()
        weight = (1 - (at - first - corner).abs()).prod(1, keepdim=True)
        sums.index_add_(0, (point[:, 2] * gh + point[:, 1]) * gw + point[:, 0], values * weight)
    volume = sums.view(d, gh, gw, -1).permute(3, 0, 1, 2)[:, None]
    for axis in range(3):
        kernel = values.new_tensor((0.25, 0.5, 0.25)).view([3 if k == axis else 1 for k in range(3)])
        padding = [1 if k == axis else 0 for k in (2, 2, 1, 1, 0, 0)]
        volume = F.conv3d(F.pad(volume, padding, mode="replicate"), kernel[None, None])
    return volume[:, 0].permute(1, 2, 3, 0)


@dataclass(frozen=True, eq=False)
class StyleNets:
    """The generator, its encoder, and w+ [L,512] of appearances by their names."""

    generator: Generator
    encoder: Encoder
    named: Mapping[str, Tensor]

    def w_plus_of(self, name: str, picture: np.ndarray | None) -> Tensor:
        """w+ [L,512] of a picture uint8 [h,w,3], or of a name. Raises OptionError for a name that is not known."""
        if picture is not None:
            return self.encoder.appearance(to_tensor(picture)[None].to(self.encoder.basis.device))[0]
        if name not in self.named:
            raise OptionError(f"This model has no style {name!r}; give a photo that looks so instead.")
        return self.named[name]

    def grids(self, photo: Tensor, others: Iterable[Tensor]) -> list[Tensor]:
        """The grids for `ops.recolour` that take a photo uint8 [H,W,3] from its own appearance to other w+ [L,512].

        The photo is encoded, and drawn in its own appearance, only once.
        """
        image = photo.permute(2, 0, 1).float() / 127.5 - 1
        size = fit_short_side(image.shape[1:], SMALL_SIDE)
        small = F.interpolate(image[None], size, mode="bilinear", antialias=True).clamp(-1, 1)
        feature = self.encoder.structure(small)

        def drawn(w_plus: Tensor) -> Tensor:
            picture = merge(self.generator.from_feature(feature, w_plus[None]))
            return picture[0, :, : size[0], : size[1]].clamp(-1, 1) / 2 + 0.5

        before = drawn(self.encoder.appearance(image[None])[0])
        return [fit_grid(before, without_green_light(before, drawn(other))) for other in others]


@dataclass(frozen=True, eq=False)
class Appearance:
    """Another appearance of finished frames.

    grid: of `ops.recolour`. strength: 0 to 1. drift: from the photo's own to this and back, once in the loop.
    photo: uint8 [H,W,3], shown in frames wherever moving [H,W] is 0.
    """

    grid: Tensor
    strength: float
    drift: bool
    photo: Tensor
    moving: Tensor

    def show(self, frame: Tensor, phase: float) -> Tensor:
        """A frame uint8 [H,W,3] at a phase of the loop, in this appearance."""
        return recolour(frame, self.grid, self.strength * self.share(phase), moving=self._moves, still=self._still)

    def recolouring(self, phases: Sequence[float]) -> Recolouring:
        """`show` for frames over `backdrop` at these phases."""
        amounts = [self.strength * self.share(phase) for phase in phases]
        return Recolouring(self.grid, amounts, self._moves, self._still if self.drift else None)

    @cached_property
    def backdrop(self) -> Tensor:
        """The photo; without a drift, in this appearance where nothing moves: frames over it need no change there."""
        if self.drift:
            return self.photo
        return torch.where(self._moves[..., None] > 0, self.photo, self.show(self.photo, 0))

    @property
    def farthest(self) -> Tensor:
        """The photo as it looks where the drift is at its end, or all the time: uint8 [H,W,3]."""
        return recolour(self.photo, self.grid, self.strength)

    def share(self, phase: float) -> float:
        """How far the drift has come at a phase of the loop: 0 to 1, its end."""
        return (1 - math.cos(2 * math.pi * phase)) / 2 if self.drift else 1.0

    @cached_property
    def _moves(self) -> Tensor:
        return (self.moving > 0).byte()

    @cached_property
    def _still(self) -> Tensor:
        return recolour(self.photo, self.grid)
