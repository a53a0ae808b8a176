"""How cloth moves in a wind: a U-Net from the still's normals to one cycle of a gust, as harmonics of its phase.

The paper (CycleNet, CVPR 2023) asks its network once a frame, told the phase; here one pass answers for all phases,
the answer is cyclic and exactly 0 at phase 0 by construction, and 0 where there is no wind.
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
        self.leave = nn.Conv2d(widths[0], 2 * self.HARMONICS * CHANNELS, 1)
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
        answer = self.leave(self.net(maps, self.embed(torch.cat([direction, strength], 1))))
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


def phase_weights(phases: Tensor, harmonics: int = ClothNet.HARMONICS) -> Tensor:
    """What each part of a cycle counts at phases [P] (turns): cos 2πkφ − 1, then sin 2πkφ, [P,2*harmonics]."""
    angle = 2 * math.pi * phases[:, None] * torch.arange(1, harmonics + 1, device=phases.device)
    return torch.cat([angle.cos() - 1, angle.sin()], 1)


def at_phases(cycle: Tensor, phases: Tensor) -> Tensor:
    """The cycle [N,2*HARMONICS,C,H,W] at phases [P] (turns), [N,P,C,H,W]; exactly 0 at phase 0."""
    return torch.einsum("pk,nkchw->npchw", phase_weights(phases, cycle.shape[1] // 2), cycle)
