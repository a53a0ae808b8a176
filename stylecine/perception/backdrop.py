"""The smooth backdrop of a close-up: what is out of focus behind flowers and leaves, and a plain wall or sky.

Plants sway freely before it: it looks the same a few pixels on, and its colours go on smoothly behind them. Wherever
else plants meet what stands still, they are held: nobody can say what is behind them, or where they are rooted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from stylecine.ops.image import box_means, dilate, push_pull, unmix
from stylecine.ops.regions import connected
from stylecine.ops.texture import blurred, detail_cell

MAX_DETAIL = 4 / 127.5  # of [-1, 1]: root mean square of what is finer than `texture.detail_cell`; more is not smooth
DETAIL_WINDOW = 0.01  # of the short side: radius of the window in which that is measured
FULL_LIGHT = 0.12  # of [0, 1]: where the lightest channel is darker, less detail is allowed in proportion
MASK_ERROR = 0.012  # of the short side: how far outlines of plants may be wrong
AROUND_PLANTS = 0.05  # of the short side: what lies so near is around the plants
MIN_SMOOTH = 0.6  # of what lies around the plants: with less smooth it is no close-up
MIN_SHARE = 0.08  # of the photo: a smaller backdrop is a patch of shade among leaves
MIN_PATCH = 0.01  # of the photo: smaller connected patches of it are left out
MIN_PATCH_WIDTH = 0.015  # of the short side: what is thinner is a stem
MIN_DIFFERENCE = 0.12  # of colours in [-1, 1]: closer ones of plants and backdrop cannot be told apart
MAX_ERROR = 0.14  # of colours in [-1, 1]: what is further from all mixtures of both is neither
SHARE_NOISE = 0.1  # error of a pixel's share of the backdrop, by grain and texture: so near 0 or 1 it is 0 or 1


@dataclass(frozen=True, eq=False)
class Backdrop:
    """image [3,H,W]: the photo, its backdrop continued behind the plants. share [H,W] in [0,1]: of the backdrop in each
    pixel. behind: bool [H,W], where it is, or is behind plants."""

    image: Tensor
    share: Tensor
    behind: Tensor


def find_backdrop(photo: Tensor, plants: Tensor, others: Tensor) -> Backdrop | None:
    """Of plants [H,W] in [0,1] in a photo [3,H,W] in [-1,1]; None where they have none, as in most landscapes.

    others: bool [H,W], what is no backdrop in any case: what moves itself, or must not change.
    """
    short = min(plants.shape)
    plant = plants > 0.5
    reach = max(2, round(MASK_ERROR * short))
    blurs = reach + round(1.5 * detail_cell(short))  # so far from plants their own detail is seen
    outside = ~dilate(plant, blurs)
    smooth = _smooth(photo, outside & ~others, max(2, round(DETAIL_WINDOW * short)))
    around = dilate(plant, blurs + round(AROUND_PLANTS * short)) & outside
    if float((smooth & around).sum()) < MIN_SMOOTH * float(around.sum()) or not bool(around.any()):
        return None
    rough = others | (outside & ~smooth)
    smooth = _large(smooth, max(1, round(MIN_PATCH_WIDTH * short / 2)))
    if float(smooth.float().mean()) < MIN_SHARE:
        return None
    image = push_pull(photo[None], smooth[None, None].float())[0]
    core = ~dilate(~plant, reach)
    colour = push_pull(photo[None], (core if bool(core.any()) else plant)[None, None].float())[0]
    share, error = _unmixed(photo, colour, image, plant)
    behind = smooth | (_nearer(smooth, rough) & ~rough & (plant | (error < MAX_ERROR)))
    share = torch.where(smooth, 1.0, torch.where(behind & ~core, share, 0.0))
    return Backdrop(torch.where(behind & (share < 1), image, photo), share, behind)


def _smooth(photo: Tensor, outside: Tensor, radius: int) -> Tensor:
    """Where the photo has no detail but that of its plants, bool [H,W]."""
    detail = (photo - blurred(photo)).square().mean(0)
    light = ((photo.amax(0) + 1) / 2 / FULL_LIGHT).clamp(max=1) * MAX_DETAIL
    found, most = box_means(torch.stack((detail, light.square())) * outside, radius)
    return outside & (found <= most)


def _large(places: Tensor, radius: int) -> Tensor:
    """What of bool [H,W] is neither thin nor small."""
    opened = dilate(~dilate(~places, radius), radius) & places
    parts = connected(opened.cpu().numpy(), corners=False)
    return torch.from_numpy(parts.keep(parts.size >= MIN_PATCH * places.numel())).to(places.device)


def _unmixed(photo: Tensor, plant: Tensor, backdrop: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """The backdrop's share [H,W], where colours are mixtures of both [3,H,W], and how far they are from that."""
    share, error, clear = unmix(photo, plant, backdrop, MIN_DIFFERENCE)
    share = ((share - SHARE_NOISE) / (1 - 2 * SHARE_NOISE)).clamp(0, 1)
    return torch.lerp((~inside).float(), share, clear), error


def _nearer(these: Tensor, those: Tensor) -> Tensor:
    """Which places are nearer to these than to those: bool [H,W]."""
    if not bool(those.any()):
        return torch.ones_like(these)
    near, far = (ndimage.distance_transform_edt(~places.cpu().numpy()) for places in (these, those))
    return torch.from_numpy(near < far).to(these.device)
