"""Simulated clips in memory, and views of them as a network is shown them.

A folder of clips has shards *.npz; each has arrays with a leading axis of clips (K phases, R pixels a side):
`normals` int8 [C,K,3,R,R] times 127, `displacement` float16 [C,K,2,R,R] in fractions of the side, `visible` bool
[C,K,R,R], `wind` float32 [C,2] (degrees, strength), `split` ("train" or "held out"), `kind`, `closure`
float32 [C] (how far it is, a cycle later, from where it was, of the way made in between); all on the still's pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cloth.rendered import rendered, soft
from common import hidden_parts
from torch import Tensor

NAMES = ("normals", "displacement", "visible", "wind", "closure", "kind")


@dataclass(frozen=True)
class Clips:
    """All clips of one split: int8, float16 and bool as stored, and the wind as networks read it, [C,2]."""

    normals: Tensor
    displacement: Tensor
    visible: Tensor
    wind: Tensor
    closure: Tensor  # [C]
    kind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.wind)

    def whole(self, which: Sequence[int], phases: Tensor) -> Views:
        """These clips as they are, at these phases (whole numbers, of K)."""
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

    def parted(self, nth: int) -> tuple[Clips, Clips]:
        """All but every nth of them, and every nth."""
        every = torch.arange(len(self)) % nth == nth - 1
        return self._chosen(~every), self._chosen(every)

    def closed(self, most: float) -> Clips:
        """Those whose closure is below `most`: cycles indeed."""
        return self._chosen(self.closure < most)

    def _chosen(self, which: Tensor) -> Clips:
        kind = tuple(kind for kind, chosen in zip(self.kind, which.tolist(), strict=True) if chosen)
        maps = self.normals[which], self.displacement[which], self.visible[which]
        return Clips(*maps, self.wind[which], self.closure[which], kind)


@dataclass(frozen=True)
class Views:
    """N views of S pixels at P phases."""

    still: Tensor  # [N,3,S,S] unit normals, 0 outside of the mask
    mask: Tensor  # [N,1,S,S]
    wind: Tensor  # [N,2], strength·(cos θ, sin θ)
    normals: Tensor  # [N,P,3,S,S] unit
    displacement: Tensor  # [N,P,2,S,S] in fractions of the side
    weight: Tensor  # [N,P,1,S,S] in [0,1]: seen in the still and at that phase
    phases: Tensor  # [P] in turns

    def to(self, device: torch.device) -> Views:
        return Views(*(part.to(device) for part in vars(self).values()))


def load(folder: Path, split: str, size: int | None = None) -> Clips:
    """All clips of one split in a folder's shards, shrunk to `size` pixels a side (a divisor of theirs) if it is given.
    ValueError if there are none."""
    shards = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            chosen = np.flatnonzero(shard["split"] == split)
            arrays = [shard[name][chosen] for name in NAMES]
        if len(chosen):
            normals, displacement, visible = (torch.from_numpy(array) for array in arrays[:3])
            shards.append([*_shrunk(normals, displacement, visible, size), *arrays[3:]])
    if not shards:
        raise ValueError(f"{folder} has no clips of the split {split}")
    *maps, wind, closure, kind = zip(*shards, strict=True)
    degrees, strength = np.concatenate(wind).T
    angle = np.radians(degrees)
    told = np.stack([np.cos(angle), np.sin(angle)], 1) * strength[:, None]
    facts = (torch.from_numpy(x.astype(np.float32)) for x in (told, np.concatenate(closure)))
    normals, displacement, visible = map(torch.cat, maps)
    told_wind, missed = facts
    return Clips(normals, displacement, visible, told_wind, missed, tuple(np.concatenate(kind).tolist()))


def _shrunk(normals: Tensor, displacement: Tensor, visible: Tensor, size: int | None) -> list[Tensor]:
    """Means over squares of pixels, of those that are cloth in the still."""
    n = 1 if size is None else visible.shape[-1] // size
    if n == 1:
        return [normals, displacement, visible]
    mask = visible[:, :1, None].float()

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x.flatten(0, -4), n).unflatten(0, x.shape[:-3])

    share = mean(mask).clamp_min(1e-3)
    return [
        (127 * F.normalize(mean(normals.float() * mask), dim=2)).round().to(torch.int8),
        (mean(displacement.float() * mask) / share).half(),
        mean(visible[:, :, None].float())[:, :, 0] > 0.5,
    ]


class Batches:
    """Random views of clips: mirrored, parts of the cloth filling the view, other things in front of it."""

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips = clips
        self.rng = np.random.default_rng(seed)

    def __call__(self, batch: int, phases: int) -> Views:
        """`batch` views at so many phases each, chosen at random, none of them the still's."""
        stages = self.clips.normals.shape[1]
        which = self.rng.integers(0, len(self.clips), batch)
        at = torch.from_numpy(self.rng.permutation(stages - 1)[:phases] + 1)
        views = self.clips.whole(which.tolist(), at)
        views = window(views, *self._windows(batch))
        return cut(views, hidden_parts(batch, views.mask.shape[-1], 0.35, self.rng))

    def _windows(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Side (of the view's) and centre of each window, and whether it is mirrored; most hold all of the cloth."""
        rng = self.rng
        part = rng.random(batch) < 0.35
        side = np.where(part, rng.uniform(0.45, 0.9, batch), rng.uniform(0.95, 1.12, batch))
        room = np.where(part, 1 - side, 0.06)
        centre = rng.uniform(-1, 1, (batch, 2)) * room[:, None]
        mirror = rng.random(batch) < 0.5
        return torch.from_numpy(side).float(), torch.from_numpy(centre).float(), torch.from_numpy(mirror)


def window(views: Views, side: Tensor, centre: Tensor, mirror: Tensor) -> Views:
    """What square windows see: side [N] in fractions of the view's, centre [N,2] (x, y from -1 to 1), mirror [N]."""
    size = views.mask.shape[-1]
    sign = torch.where(mirror, -1.0, 1.0)
    matrix = torch.zeros(len(side), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = side * sign, side, centre
    grid = F.affine_grid(matrix, [len(side), 1, size, size], align_corners=False)

    def look(x: Tensor) -> Tensor:
        return F.grid_sample(x.flatten(1, -3), grid, mode="bilinear", align_corners=False).view_as(x)

    flip = torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], 1)
    mask = (look(views.mask) > 0.5).float()
    return Views(
        still=F.normalize(look(views.still), dim=1) * flip[:, :, None, None] * mask,
        mask=mask,
        wind=views.wind * flip[:, :2],
        normals=F.normalize(look(views.normals), dim=2) * flip[:, None, :, None, None],
        displacement=look(views.displacement) * (flip[:, :2] / side[:, None])[:, None, :, None, None],
        weight=(look(views.weight) > 0.95) * mask[:, None],  # where nothing of the background is mixed in
        phases=views.phases,
    )


def cut(views: Views, visible: Tensor) -> Views:
    """With other things in front of the cloth where `visible` [N,1,S,S] is 0; views that would be emptied stay."""
    left = (views.mask * visible).sum((1, 2, 3), keepdim=True) > 0.3 * views.mask.sum((1, 2, 3), keepdim=True)
    visible = torch.where(left, visible, torch.ones_like(visible))
    return Views(
        views.still * visible, views.mask * visible, views.wind, views.normals, views.displacement,
        views.weight * visible[:, None], views.phases,
    )


def misjudged(views: Views, rng: np.random.Generator) -> Tensor:
    """The still's normals [N,3,S,S] as a network makes them out in photos: soft, biased at large, of another relief."""
    normals, (n, _, size, _) = views.still, views.still.shape
    out = torch.stack([soft(one, rng.uniform(0.4, 2.5)) if rng.random() < 0.6 else one for one in normals])
    relief = torch.from_numpy(np.exp(rng.normal(-0.1, 0.3, (n, 1, 1, 1)))).float()
    level = float(rng.uniform(0, 0.2))
    bias = torch.from_numpy(rng.normal(0, level, (n, 2, 4, 4))).float()
    bias = F.interpolate(bias, (size, size), mode="bicubic", align_corners=False)
    noise = torch.from_numpy(rng.normal(0, 0.04, (n, 2, size, size))).float()
    side = out[:, :2] * relief + bias + noise
    return F.normalize(torch.cat([side, out[:, 2:].clamp_min(0.05)], 1), dim=1) * views.mask


def pictured(views: Views, network: Callable[[Tensor, Tensor], Tensor], rng: np.random.Generator) -> Tensor:
    """The still's normals [N,3,S,S] that a NormalNet makes out in a rendered picture of it, of twice the size."""
    still, mask = (F.interpolate(x, scale_factor=2.0, mode="bilinear") for x in (views.still, views.mask))
    mask = (mask > 0.5).float()
    found = network(rendered(F.normalize(still, dim=1) * mask, mask, rng), mask)
    return F.normalize(F.avg_pool2d(found * mask, 2), dim=1) * views.mask
