"""Surface normals of cloth in a photo: a U-Net trained on rendered cloth of many textures and lights.

It works because folds look alike in simulations and photographs, as CycleNet (CVPR 2023) found for garments.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d, UNet, coordinates, load, widths_of

INPUTS = 6  # photo 3, mask 1, coordinates 2


class NormalNet(nn.Module):
    """photo [N,3,S,S] in [-1,1], mask [N,1,S,S] in [0,1] -> unit normals [N,3,S,S]; S even, best 128.

    x right, y down, z towards the viewer and never below 0. They are meaningless outside the mask.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64, 96)) -> None:
        super().__init__()
        self.net = UNet(INPUTS, widths, stride=2)
        self.again = Conv2d(widths[0] + INPUTS, widths[0], 3, padding=1)  # folds have sharp edges
        self.leave = Conv2d(widths[0], 3, 1)

    def forward(self, photo: Tensor, mask: Tensor) -> Tensor:
        maps = torch.cat([normalised(photo, mask), mask, coordinates(mask)], 1)
        x = F.interpolate(self.net(maps), mask.shape[2:], mode="bilinear", align_corners=False)
        answer = self.leave(F.relu(self.again(torch.cat([x, maps], 1))))
        side, front = answer[:, :2], F.softplus(answer[:, 2:] + 1)  # initially facing the viewer
        return F.normalize(torch.cat([side, front], 1), dim=1)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> NormalNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        message = "The normals' weights do not fit their network; fetch the model again."
        return load(lambda: cls(widths_of(tensors, "net.")), tensors, message)


def normalised(photo: Tensor, mask: Tensor) -> Tensor:
    """The cloth with zero mean and unit contrast, which are unrelated to its shape; 0 elsewhere."""
    area = mask.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (photo * mask).sum((2, 3), keepdim=True) / area
    centred = (photo - mean) * mask
    deviation = (centred.square().sum((1, 2, 3), keepdim=True) / (3 * area)).sqrt()
    return centred / (deviation + 0.05)
