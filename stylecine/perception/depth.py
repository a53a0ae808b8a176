"""How far away each place is, judged by where it lies in the picture, by the sky and by haze."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops.image import fit_short_side, resize
from stylecine.ops.maps import nearness
from stylecine.ops.smoothstep import smoothstep

SHORT_SIDE = 256  # of the grid
TALL_FROM = 0.12  # of the height: what reaches up from the horizon by this much hides the ground behind it
HIDDEN_FACTOR = 1.5  # from this many times its own distance on
SAME_COLUMN = 0.06  # of the width: columns whose ground it hides alike


@dataclass(frozen=True, eq=False)
class Depth:
    """Distances in [0,1], 1 at the horizon: `land` [h,w], `air` [h,1] of the sky; sky: [H,W] in [0,1], what of the
    photo is sky, whether it moves or not."""

    land: Tensor
    air: Tensor
    sky: Tensor

    def at(self, size: tuple[int, int]) -> Tensor:
        """[H,W] at a size of the picture."""
        sky = self.sky if self.sky.shape == size else resize(self.sky[None].float(), size)[0]
        land = resize(self.land[None], size)[0]
        air = resize(self.air.expand(self.land.shape)[None], size)[0]
        return torch.lerp(land, air, sky.float())


def judge_depth(photo: Tensor, sky: Tensor) -> Depth:
    """Of a photo uint8 [H,W,3] whose sky is [H,W] in [0,1]."""
    size = fit_short_side(sky.shape, SHORT_SIDE)
    small, above = resize(photo.permute(2, 0, 1).float().div_(255), size), resize(sky[None].float(), size)[0]
    horizon = _horizon(above)
    rows = (torch.arange(size[0], device=sky.device) + 0.5) / size[0]
    below = nearness(rows, horizon, 1 - horizon)[:, None]
    ground = (1 - below) ** 2.2 * 0.9 + 0.04
    hazy = 0.2 + 0.75 * _haze(small, above)
    # what stands above the horizon is as far as it is hazy, and hides what is farther
    ground = ground.minimum(_hidden_from(hazy, above, (rows < horizon) & (rows > horizon - TALL_FROM)))
    standing = smoothstep(0.0, 0.1, horizon + 0.04 - rows)[:, None]
    land = torch.lerp(ground, hazy.minimum(ground + 0.06), standing)
    air = 1 - 0.35 * ((horizon - rows) / max(horizon, 0.2)).clamp(0, 1)[:, None]
    return Depth(land, air, sky)


def _horizon(sky: Tensor) -> float:
    """The row of the horizon, as a fraction of the height, from the sky [h,w] in [0,1]."""
    share = (sky > 0.5).float()
    if float(share.mean()) < 0.02:
        return 0.0
    rows = torch.arange(1, len(sky) + 1, device=sky.device)[:, None] / len(sky)
    lowest = (share * rows).amax(0)
    return float(lowest[lowest > 0].quantile(0.8).clamp(0.05, 0.85))


def _hidden_from(hazy: Tensor, sky: Tensor, rows: Tensor) -> Tensor:
    """[w]: the distance from which on the ground is hidden by what stands in these rows above the horizon, 1 where the
    sky is seen in them. hazy, sky: [h,w]. rows: bool [h]."""
    if not rows.any():
        return hazy.new_ones(hazy.shape[1])
    sky, hazy = sky[rows].clamp(0, 1), hazy[rows]
    land = (1 - sky).sum(0)
    away = ((1 - sky) * hazy).sum(0) / land.clamp_min(1e-3)
    free = smoothstep(0.1, 0.6, sky.mean(0))
    hidden = torch.lerp((HIDDEN_FACTOR * away).clamp_max(1), torch.ones_like(free), free)
    reach = max(1, round(SAME_COLUMN * len(hidden)))
    padded = F.pad(hidden[None, None], (reach, reach), mode="replicate")
    return F.avg_pool1d(F.avg_pool1d(padded, reach + 1, 1), reach + 1, 1)[0, 0]


def _haze(photo: Tensor, sky: Tensor) -> Tensor:
    """The dark channel of what is not sky, over its brightest: [h,w] in [0,1]."""
    dark = photo.amin(0)
    dark = torch.where(sky > 0.5, 1.0, dark)
    dark = -F.max_pool2d(-dark[None, None], 9, 1, 4)[0, 0]
    weight = (1 - sky).clamp_min(1e-3)
    smooth = F.avg_pool2d(torch.stack((dark * weight, weight))[None], 17, 1, 8, count_include_pad=False)[0]
    return (smooth[0] / smooth[1] * 1.2).clamp(0, 1)
