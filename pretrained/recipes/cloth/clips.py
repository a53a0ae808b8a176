"""Simulated clips in memory, and augmented views of them.

A folder of clips has shards *.npz whose arrays have a leading axis of clips (K phases, R pixels a side): `normals` int8
[C,K,3,R,R] times 127, `displacement` float16 [C,K,2,R,R] in fractions of the side, `visible` bool [C,K,R,R], `wind`
float32 [C,2] (degrees, strength), `split` ("train" or "held out"), `closure` float32 [C] (distance of a cycle's end
from its start over the path in between). All maps are on the still's pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cloth.rendered import blur, render
from common import random_visibility
from torch import Tensor

from stylecine.networks.clothnet import ClothNet


def phase_weights(phases: Tensor, harmonics: int = ClothNet.HARMONICS) -> Tensor:
    """The weights of a cycle's parts at phases [P] in [0,1): cos 2πkφ − 1, then sin 2πkφ, [P,2*harmonics]."""
    angle = 2 * math.pi * phases[:, None] * torch.arange(1, harmonics + 1, device=phases.device)
    return torch.cat([angle.cos() - 1, angle.sin()], 1)


def at_phases(cycle: Tensor, phases: Tensor) -> Tensor:
    """The cycle [N,2*HARMONICS,C,H,W] at phases [P] in [0,1), [N,P,C,H,W]; exactly 0 at phase 0."""
    return torch.einsum("pk,nkchw->npchw", phase_weights(phases, cycle.shape[1] // 2), cycle)


@dataclass(frozen=True)
class Clips:
    """All clips of one split: maps as stored, and the wind as networks read it."""

    normals: Tensor
    displacement: Tensor
    visible: Tensor
    wind: Tensor  # [C,2], strength·(cos θ, sin θ)
    closure: Tensor  # [C]

    def __len__(self) -> int:
        return len(self.wind)

    def views(self, which: Sequence[int], phases: Tensor) -> Views:
        """Unchanged views of some clips at some phases (integers below K)."""
        at = torch.as_tensor(which)
        mask = self.visible[at, :1].float()
        each = at[:, None]
        return Views(
            still=F.normalize(self.normals[at, 0].float(), dim=1) * mask,
            mask=mask,
            wind=self.wind[at],
            normals=F.normalize(self.normals[each, phases].float(), dim=2),
            displacement=self.displacement[each, phases].float(),
            weight=self.visible[each, phases][:, :, None].float() * mask[:, None],
            phases=phases / self.normals.shape[1],
        )

    def split_off(self, nth: int) -> tuple[Clips, Clips]:
        """All clips but every nth, and every nth."""
        every = torch.arange(len(self)) % nth == nth - 1
        return self._select(~every), self._select(every)

    def closed(self, limit: float) -> Clips:
        """The clips whose closure is below the limit, which are cyclic."""
        return self._select(self.closure < limit)

    def _select(self, which: Tensor) -> Clips:
        return Clips(*(part[which] for part in vars(self).values()))


@dataclass(frozen=True)
class Views:
    """N views of S pixels at P phases."""

    still: Tensor  # [N,3,S,S] unit normals, 0 outside of the mask
    mask: Tensor  # [N,1,S,S]
    wind: Tensor  # [N,2], strength·(cos θ, sin θ)
    normals: Tensor  # [N,P,3,S,S] unit
    displacement: Tensor  # [N,P,2,S,S] in fractions of the side
    weight: Tensor  # [N,P,1,S,S] in [0,1]: seen in the still and at that phase
    phases: Tensor  # [P] in cycles

    def changes(self) -> Tensor:
        """Displacement and normal change [N,P,5,S,S], as ClothNet predicts them."""
        return torch.cat([self.displacement, self.normals - self.still[:, None]], 2)

    def to(self, device: torch.device) -> Views:
        return Views(*(part.to(device) for part in vars(self).values()))


def load(folder: Path, split: str, size: int | None = None) -> Clips:
    """All clips of one split, reduced to `size` pixels a side (a divisor of theirs). ValueError if there are none."""
    shards = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            chosen = np.flatnonzero(shard["split"] == split)
            names = ("normals", "displacement", "visible", "wind", "closure")
            normals, displacement, visible, *facts = (torch.from_numpy(shard[name][chosen]) for name in names)
        if len(chosen):
            shards.append((*_reduce(normals, displacement, visible, size), *facts))
    if not shards:
        raise ValueError(f"{folder} has no clips of the split {split}")
    normals, displacement, visible, wind, closure = (torch.cat(parts) for parts in zip(*shards, strict=True))
    angle, strength = wind[:, 0].deg2rad(), wind[:, 1:]
    return Clips(normals, displacement, visible, torch.stack([angle.cos(), angle.sin()], 1) * strength, closure)


def _reduce(normals: Tensor, displacement: Tensor, visible: Tensor, size: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Means over squares of pixels; of displacements only where there is cloth in the still."""
    n = 1 if size is None else visible.shape[-1] // size
    if n == 1:
        return normals, displacement, visible
    mask = visible[:, :1, None].float()

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x.flatten(0, -4), n).unflatten(0, x.shape[:-3])

    return (
        (127 * F.normalize(mean(normals.float() * mask), dim=2)).round().to(torch.int8),
        (mean(displacement.float() * mask) / mean(mask).clamp_min(1e-3)).half(),
        mean(visible[:, :, None].float())[:, :, 0] > 0.5,
    )


class Batches:
    """Random views of clips: mirrored, close-ups, with occluders."""

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips = clips
        self.rng = np.random.default_rng(seed)

    def __call__(self, batch: int, phases: int) -> Views:
        """`batch` views at the same `phases` random phases, none of them the still's."""
        which = self.rng.integers(0, len(self.clips), batch)
        at = torch.from_numpy(self.rng.permutation(self.clips.normals.shape[1] - 1)[:phases] + 1)
        views = crop(self.clips.views(which.tolist(), at), *self._windows(batch))
        return occlude(views, random_visibility(batch, views.mask.shape[-1], 0.35, self.rng))

    def _windows(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Side, centre and mirroring of windows for `crop`; about a third are close-ups."""
        rng = self.rng
        close = rng.random(batch) < 0.35
        side = np.where(close, rng.uniform(0.45, 0.9, batch), rng.uniform(0.95, 1.12, batch))
        room = np.where(close, 1 - side, 0.06)
        centre = rng.uniform(-1, 1, (batch, 2)) * room[:, None]
        mirror = rng.random(batch) < 0.5
        return torch.from_numpy(side).float(), torch.from_numpy(centre).float(), torch.from_numpy(mirror)


def crop(views: Views, side: Tensor, centre: Tensor, mirror: Tensor) -> Views:
    """Square windows: side [N] in fractions of the view's, centre [N,2] (x, y from -1 to 1), mirrored or not [N]."""
    size = views.mask.shape[-1]
    sign = torch.where(mirror, -1.0, 1.0)
    matrix = torch.zeros(len(side), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = side * sign, side, centre
    grid = F.affine_grid(matrix, [len(side), 1, size, size], align_corners=False)

    def sample(x: Tensor) -> Tensor:
        return F.grid_sample(x.flatten(1, -3), grid, mode="bilinear", align_corners=False).view_as(x)

    flip = torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], 1)
    mask = (sample(views.mask) > 0.5).float()
    return Views(
        still=F.normalize(sample(views.still), dim=1) * flip[:, :, None, None] * mask,
        mask=mask,
        wind=views.wind * flip[:, :2],
        normals=F.normalize(sample(views.normals), dim=2) * flip[:, None, :, None, None],
        displacement=sample(views.displacement) * (flip[:, :2] / side[:, None])[:, None, :, None, None],
        weight=(sample(views.weight) > 0.95) * mask[:, None],  # no background is mixed in
        phases=views.phases,
    )


def occlude(views: Views, visible: Tensor) -> Views:
    """Puts other things in front where `visible` [N,1,S,S] is 0, except in views of which too little would be left."""
    enough = (views.mask * visible).sum((1, 2, 3), keepdim=True) > 0.3 * views.mask.sum((1, 2, 3), keepdim=True)
    visible = torch.where(enough, visible, torch.ones_like(visible))
    return replace(views, still=views.still * visible, mask=views.mask * visible,
                   weight=views.weight * visible[:, None])


def with_errors(views: Views, rng: np.random.Generator) -> Tensor:
    """The still's normals [N,3,S,S] as if predicted from a photo: blurred, biased, noisy, of a wrong relief."""
    normals, (n, _, size, _) = views.still, views.still.shape
    out = torch.stack([blur(one, rng.uniform(0.4, 2.5)) if rng.random() < 0.6 else one for one in normals])
    relief = torch.from_numpy(np.exp(rng.normal(-0.1, 0.3, (n, 1, 1, 1)))).float()
    bias = torch.from_numpy(rng.normal(0, float(rng.uniform(0, 0.2)), (n, 2, 4, 4))).float()
    bias = F.interpolate(bias, (size, size), mode="bicubic", align_corners=False)
    noise = torch.from_numpy(rng.normal(0, 0.04, (n, 2, size, size))).float()
    side = out[:, :2] * relief + bias + noise
    return F.normalize(torch.cat([side, out[:, 2:].clamp_min(0.05)], 1), dim=1) * views.mask


def predict_from_picture(
    views: Views, network: Callable[[Tensor, Tensor], Tensor], rng: np.random.Generator
) -> Tensor:
    """The still's normals [N,3,S,S] that a NormalNet predicts from a rendered picture of twice the size."""
    still, mask = (F.interpolate(x, scale_factor=2.0, mode="bilinear") for x in (views.still, views.mask))
    mask = (mask > 0.5).float()
    predicted = network(render(F.normalize(still, dim=1) * mask, mask, rng), mask)
    return F.normalize(F.avg_pool2d(predicted * mask, 2), dim=1) * views.mask
