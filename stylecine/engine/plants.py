"""Plants in the wind, as an overlay of the loop of their landscape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.movement.sway import PlantMotion, Sway, predict_sway
from stylecine.ops.drape import TILE
from stylecine.ops.image import dilate, to_uint8
from stylecine.options import PLANTS
from stylecine.perception.backdrop import Backdrop, find_backdrop
from stylecine.perception.uprights import upright_static
from stylecine.picture.overlay import Overlay

GAP_CLOSING = 0.006  # of the short side: gaps between plants and the sky or water behind them belong to these
VISIBLE_SWAY = 0.02, 0.12  # pixels (standard deviation) of sway at which the matte begins, and at which it is full
MIN_EXTENT = 1e-3  # pixels of sway that count as motion at all
TWIG = 0.015  # of the short side: thin things so near to plants are their twigs
MIN_LAYER = 0.02  # of a layer: what has less of it is no sky or water


@torch.no_grad()
def find_swaying(
    photo: Tensor,
    plants: Tensor,
    layers: Tensor,
    moving: Tensor,
    held: Tensor,
    thin: Tensor,
    *,
    period: int,
    seconds: float,
) -> SwayingPlants | None:
    """What sways in a loop of `period` frames; None where nothing can. seconds: of the loop, at its speed.

    photo: [3,H,W] in [-1,1]. plants: [H,W] in [0,1]. layers: [K,H,W], of the landscape behind them; moving: [H,W], how
    much of each pixel is that landscape's in its frames. held: bool [H,W], what stands still in any case; thin: what is
    thin and stands still before the landscape.
    """
    behind = layers.amax(0) > MIN_LAYER
    backdrop = find_backdrop(photo, plants, behind | (moving > 0) | held)
    if backdrop is None:
        plants = torch.where(upright_static(photo, plants > 0.5), 0.0, plants)
    else:  # close up, stalks and petals have such edges, too
        plants = torch.where(backdrop.behind, 1 - backdrop.share, plants)
    held = thin & ~dilate(plants > 0.5, round(TWIG * min(plants.shape)))  # posts, masts, wires; twigs are near plants
    free = _beside(plants, behind, round(GAP_CLOSING * min(plants.shape))) & ~held
    if backdrop is not None:
        free |= backdrop.behind & (plants <= 0.5)
    motion = predict_sway(photo, plants, free, seconds, close=backdrop is not None)
    return None if motion is None else SwayingPlants(to_uint8(photo), moving, None, backdrop, motion, period)


@dataclass(frozen=True, eq=False)
class SwayingPlants:
    """Plants before any wind: the photo uint8 [H,W,3], how much of each pixel is the landscape's [H,W], its plate uint8
    [H,W,3] or None, the smooth backdrop of a close-up or None, the plants' motion, and the frames of the loop."""

    photo: Tensor
    moving: Tensor
    plate: Tensor | None
    backdrop: Backdrop | None
    motion: PlantMotion
    period: int

    def before(self, moving: Tensor, plate: Tensor | None) -> SwayingPlants:
        """The same before a loop: `moving` as above; plate: [3,H,W], what it moves, inpainted behind plants; None where
        no landscape moves."""
        return replace(self, moving=moving, plate=None if plate is None else to_uint8(plate))

    def overlay(self, sway: Sway) -> Overlay:
        """The overlay of the loop that sways like that."""
        photo, moving, device = self.photo, self.moving, self.photo.device
        extent = sway.extent.to(device)
        reach = _at_pixels(extent, sway.cell, (photo.shape[0], photo.shape[1]))
        covering = 1 - moving if self.backdrop is None else (1 - moving) * (1 - self.backdrop.share)
        visible = ((reach - VISIBLE_SWAY[0]) / (VISIBLE_SWAY[1] - VISIBLE_SWAY[0])).clamp(0, 1)
        matte = (covering * visible * 255).round().to(torch.uint8)
        background, farthest = photo, float(extent.max())
        if self.plate is not None:
            uncovered = dilate(moving > 0, round(3 * farthest) + 3) & (moving == 0) & (matte > 0)
            background = torch.where(uncovered[..., None], self.plate, photo)
        if self.backdrop is not None:
            uncovered = self.backdrop.behind & (matte > 0)
            background = torch.where(uncovered[..., None], to_uint8(self.backdrop.image), background)
        changes = (matte > 0) & (reach > MIN_EXTENT)
        near = dilate(changes, round(4 * farthest) + 1) & (reach > MIN_EXTENT)
        active = F.max_pool2d(near[None, None].float(), TILE, ceil_mode=True)[0, 0].to(torch.uint8)
        shown = torch.where(near, (matte.float() / 255).clamp_min(0.05), 0.0)
        fields = sway.keyframes.to(device), sway.cell, shown, sway.cycles, self.period
        return Overlay(PLANTS, photo, background, matte, active, *fields, fine=True, at_rest=self)


def _beside(plants: Tensor, behind: Tensor, gap: int) -> Tensor:
    """Sky and water, and what lies between them and plants: bool [H,W]."""
    either = (plants > 0) | behind
    closed = ~dilate(~dilate(either, gap), gap)
    twigs = closed & dilate(plants > 0.5, round(TWIG * min(plants.shape)))
    return (behind | twigs) & (plants <= 0.5)


def _at_pixels(field: Tensor, cell: int, size: tuple[int, int]) -> Tensor:
    """A field [gh,gw] over cell*cell pixels each, at pixels [H,W]; 0 wherever no cell around is above 0."""
    gh, gw = field.shape
    wide = F.interpolate(field[None, None], (gh * cell, gw * cell), mode="bilinear", align_corners=False)[0, 0]
    return wide[: size[0], : size[1]]
