"""How cloth moves in a wind: a U-Net from the normals at rest to one cycle of a gust, as harmonics of its phase.

CycleNet (CVPR 2023) runs its network once a frame with the phase as an input; here one pass predicts all phases, the
cycle is closed and exactly 0 at phase 0 by construction, and 0 where there is no wind.

Much of what wind does to cloth is linear in the picture: cloth leans, and its folds flatten, deepen and shift with the
direction. The last layer gets such linear features beside those of the U-Net, whose norms have removed their scale.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d, UNet, central_differences, coordinates, load, widths_of

INPUTS = 8  # normals 3, mask 1, wind's direction 2, coordinates 2
CHANNELS = 5  # displacement x, y; normal change x, y, z
BLURS = (2, 4, 8, 16)  # pixels of the coarse maps: radii of the surroundings that folds are compared with
LINEAR_MAPS = 10 + 2 * len(BLURS)
WIND_TERMS = 5  # by which each is multiplied
LINEAR_FEATURES = LINEAR_MAPS * WIND_TERMS
UNITS = (0.02, 0.02, 0.2, 0.2, 0.2)  # of the output: fractions of the side, components of a unit normal


class ClothNet(nn.Module):
    """normals [N,3,S,S], mask [N,1,S,S], wind [N,2] -> cycle [N,2*harmonics,5,S,S]; S even, best 128.

    Normals are unit vectors, x right, y down, z towards the viewer, and 0 where the mask is; `wind` is
    strength·(cos θ, sin θ), θ the plan angle, strength in [0,1]. The cycle has cosine parts a_1..a_H, then sine parts
    b_1..b_H, each of five channels: displacement x, y in fractions of the side, and the change of the normal's x, y, z.
    Of its harmonics all are returned, or the first.
    """

    HARMONICS = 4
    units: Tensor  # [CHANNELS]: the typical magnitude of each, by which the output is scaled

    def __init__(self, widths: tuple[int, ...] = (32, 32, 48, 64, 96), embedding: int = 32) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(3, embedding), nn.ReLU(), nn.Linear(embedding, embedding), nn.ReLU())
        self.net = UNet(INPUTS, widths, condition=embedding)
        self.leave = Conv2d(widths[0] + LINEAR_FEATURES, 2 * self.HARMONICS * CHANNELS, 1)
        self.register_buffer("units", torch.tensor(UNITS))

    def forward(self, normals: Tensor, mask: Tensor, wind: Tensor, harmonics: int = HARMONICS) -> Tensor:
        coarse = self.coarse(F.avg_pool2d(normals, 2), F.avg_pool2d(mask, 2), wind, harmonics)
        fine = F.interpolate(coarse.flatten(1, 2), mask.shape[2:], mode="bilinear", align_corners=False)
        return fine.unflatten(1, coarse.shape[1:3])

    def coarse(self, normals: Tensor, mask: Tensor, wind: Tensor, harmonics: int = HARMONICS) -> Tensor:
        """The same at half the size, at which the network runs and is trained. Folds of simulated cloth are wider than
        a few of 64 pixels."""
        mask = (mask > 0.5).to(mask)
        normals = F.normalize(normals, dim=1) * mask
        strength = wind.norm(dim=1, keepdim=True)
        direction = wind / strength.clamp_min(1e-6)
        maps = torch.cat([normals, mask, direction[:, :, None, None] * mask, coordinates(mask)], 1)
        features = self.net(maps, self.embed(torch.cat([direction, strength], 1)))
        features = torch.cat([features, linear_features(normals, mask, direction)], 1)
        weight, bias = (
            x.unflatten(0, (2, self.HARMONICS, CHANNELS))[:, :harmonics].flatten(0, 2)
            for x in self.leave.parameters()
        )
        cycle = F.conv2d(features, weight, bias).unflatten(1, (2 * harmonics, CHANNELS))
        return cycle * (self.units[:, None, None] * strength[:, None, :, None, None])

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> ClothNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        message = "The cloth weights do not fit their network; fetch the model again."
        return load(lambda: cls(widths_of(tensors, "net."), len(tensors["embed.0.bias"])), tensors, message)


def linear_features(normals: Tensor, mask: Tensor, direction: Tensor) -> Tensor:
    """[N,LINEAR_FEATURES,S,S], of unit normals [N,3,S,S] within mask [N,1,S,S] and the wind's direction [N,2]: the
    mask, coordinates, normals, the normals' gradients, and their differences from the means around; each times 1, x, z,
    x² and xz of the direction."""
    side = normals[:, :2]
    means = [_mean(torch.cat([side, mask], 1), radius) for radius in BLURS]
    folds = [(mean[:, :2] / mean[:, 2:].clamp_min(1e-3) - side) * mask for mean in means]
    maps = torch.cat([mask, coordinates(mask) * mask, normals, *central_differences(side), *folds], 1)
    x, z = direction.T
    terms = torch.stack([torch.ones_like(x), x, z, x * x, x * z], 1)
    return (terms[:, :, None, None, None] * maps[:, None]).flatten(1, 2)


def _mean(maps: Tensor, radius: int) -> Tensor:
    """Box mean, zeros beyond the border."""
    size = 2 * radius + 1
    return F.avg_pool2d(F.avg_pool2d(maps, (size, 1), 1, (radius, 0)), (1, size), 1, (0, radius))
