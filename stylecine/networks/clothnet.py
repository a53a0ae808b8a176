"""How cloth moves in a wind: a U-Net from the still's normals to one cycle of a gust, as harmonics of its phase.

The paper (CycleNet, CVPR 2023) asks its network once a frame, told the phase; here one pass answers for all phases,
the answer is cyclic and exactly 0 at phase 0 by construction, and 0 where there is no wind.

Much of what wind does to cloth is linear in what is seen: it leans, and its folds flatten, deepen and wander with the
direction. The last layer is given such gestures beside the U-Net's features, which norms have robbed of their size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed
from stylecine.networks.unet import UNet, coordinates, widths_of

INPUTS = 8  # normals 3, mask 1, wind's direction 2, coordinates 2
CHANNELS = 5  # displacement x, y; normal change x, y, z
BLURS = (2, 4, 8, 16)  # pixels of the coarse maps: folds are told from what is so far around them
SEEN = 10 + 2 * len(BLURS)  # maps that gestures are made of, and
WAYS = 5  # what each is multiplied with
GESTURES = SEEN * WAYS
UNITS = (0.02, 0.02, 0.2, 0.2, 0.2)  # what an answer of 1 means: fractions of the side, components of a unit normal


class ClothNet(nn.Module):
    """normals [N,3,S,S], mask [N,1,S,S], wind [N,2] -> cycle [N,2*HARMONICS,5,S,S]; S even, best 128.

    Normals are unit vectors, x right, y down, z towards the viewer, and 0 where the mask is; `wind` is
    strength·(cos θ, sin θ), θ the plan angle, strength in [0,1]. The cycle has cosine parts a_1..a_H, then sine parts
    b_1..b_H, each of five channels: displacement x, y in fractions of the side, and the change of the normal's x, y, z.
    """

    HARMONICS = 4
    units: Tensor  # [CHANNELS]: a usual size of each, in which the answer is counted

    def __init__(self, widths: tuple[int, ...] = (32, 32, 48, 64, 96), embedding: int = 32) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(3, embedding), nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU())
        self.net = UNet(INPUTS, widths, condition=embedding)
        self.leave = nn.Conv2d(widths[0] + GESTURES, 2 * self.HARMONICS * CHANNELS, 1)
        self.register_buffer("units", torch.tensor(UNITS))

    def forward(self, normals: Tensor, mask: Tensor, wind: Tensor) -> Tensor:
        coarse = self.coarse(F.avg_pool2d(normals, 2), F.avg_pool2d(mask, 2), wind)
        fine = F.interpolate(coarse.flatten(1, 2), mask.shape[2:], mode="bilinear", align_corners=False)
        return fine.unflatten(1, coarse.shape[1:3])

    def coarse(self, normals: Tensor, mask: Tensor, wind: Tensor) -> Tensor:
        """The same of inputs and for an answer of half the size: what it does and is trained at. Folds of simulated
        cloth are wider than a few pixels of 64."""
        mask = (mask > 0.5).to(mask)
        normals = F.normalize(normals, dim=1) * mask
        strength = wind.norm(dim=1, keepdim=True)
        direction = wind / strength.clamp_min(1e-6)
        blown = direction[:, :, None, None] * mask
        maps = torch.cat([normals, mask, blown, coordinates(mask)], 1)
        features = self.net(maps, self.embed(torch.cat([direction, strength], 1)))
        answer = self.leave(torch.cat([features, gestures(normals, mask, direction)], 1))
        cycle = answer.unflatten(1, (2 * self.HARMONICS, CHANNELS))
        return cycle * (self.units[:, None, None] * strength[:, None, :, None, None])

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> ClothNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        try:
            network = cls(widths_of(tensors, "net."), len(tensors["embed.0.bias"]))
            network.load_state_dict(tensors)
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise WeightsMalformed("The cloth weights do not fit their network; fetch the model again.") from error
        return network.eval().requires_grad_(False)


def gestures(normals: Tensor, mask: Tensor, direction: Tensor) -> Tensor:
    """[N,GESTURES,S,S], of unit normals [N,3,S,S] within mask [N,1,S,S] and the wind's direction [N,2]: the cloth
    itself, where it is, its normals, how they change from row to row and column to column, and how they differ from
    their surroundings'; each as it is, and times x, z, x² and xz of the direction."""
    side = normals[:, :2]
    around = [_mean(torch.cat([side, mask], 1), radius) for radius in BLURS]
    folds = [(mean[:, :2] / mean[:, 2:].clamp_min(1e-3) - side) * mask for mean in around]
    seen = torch.cat([mask, coordinates(mask) * mask, normals, *_slopes(side), *folds], 1)
    x, z = direction.T
    ways = torch.stack([torch.ones_like(x), x, z, x * x, x * z], 1)
    return (ways[:, :, None, None, None] * seen[:, None]).flatten(1, 2)


def _mean(maps: Tensor, radius: int) -> Tensor:
    """Over squares, nothing being beyond the border."""
    wide = 2 * radius + 1
    return F.avg_pool2d(F.avg_pool2d(maps, (wide, 1), 1, (radius, 0)), (1, wide), 1, (0, radius))


def _slopes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Half the difference of the neighbours' in x and y; nothing is beyond the border."""
    wide = F.pad(maps, (1, 1, 1, 1))
    return (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2, (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2


def phase_weights(phases: Tensor, harmonics: int = ClothNet.HARMONICS) -> Tensor:
    """What each part of a cycle counts at phases [P] (turns): cos 2πkφ − 1, then sin 2πkφ, [P,2*harmonics]."""
    angle = 2 * math.pi * phases[:, None] * torch.arange(1, harmonics + 1, device=phases.device)
    return torch.cat([angle.cos() - 1, angle.sin()], 1)


def at_phases(cycle: Tensor, phases: Tensor) -> Tensor:
    """The cycle [N,2*HARMONICS,C,H,W] at phases [P] (turns), [N,P,C,H,W]; exactly 0 at phase 0."""
    return torch.einsum("pk,nkchw->npchw", phase_weights(phases, cycle.shape[1] // 2), cycle)
