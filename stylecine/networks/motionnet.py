"""Which way it moves: a small U-Net from photo and layers to a direction field.

Its first features are not learned: the orientation of texture and banks (structure tensors, Bigün and Granlund 1987),
as a few hundred photos are too few to learn it from.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import UNet, coordinates, load, widths_of

INPUTS = 24  # photo 3, layers 4, hints 3, coordinates 2, orientations of four kinds 3 each


class MotionNet(UNet):
    """photo [N,3,H,W] in [-1,1], layers [N,4,H,W], hints [N,3,H,W] -> [N,2,H/4,W/4]; H and W multiples of 16.

    Hints are the known direction (x, y) and a confidence in [0,1], all 0 where nothing is known. The result is x right,
    y down, in tenths of the short side; only its direction and relative length are meaningful.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64, 56)) -> None:
        super().__init__(INPUTS, widths, stride=2, dropout=0.2)
        self.leave = nn.Conv2d(widths[0], 2, 1)

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:  # type: ignore[override]
        return self.leave(super().forward(first_features(photo, layers, hints)))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> MotionNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        message = "The motion weights do not fit their network; fetch the model again."
        return load(lambda: cls(widths_of(tensors)), tensors, message)


def first_features(photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
    """The input of the first convolution, [N,24,H/2,W/2]."""
    half = F.avg_pool2d(torch.cat([photo, layers, hints], 1), 2)
    grey, banks = photo.mean(1, keepdim=True), half[:, 4:6].sum(1, keepdim=True)  # of water and falls
    coarse_grey, coarse_banks = F.avg_pool2d(grey, 4), F.avg_pool2d(banks, 4)
    orientations = [
        orientation(grey, 2, 2),
        orientation(grey, 8, 2),
        orientation(coarse_grey, 4, 1),
        orientation(coarse_banks, 2, 3),
    ]
    maps = [F.interpolate(x, half.shape[-2:], mode="bilinear", align_corners=False) for x in orientations]
    return torch.cat([half, coordinates(half), *maps], 1)


def orientation(image: Tensor, shrink: int, radius: int) -> Tensor:
    """[N,1,H,W] -> [N,3,H/shrink,W/shrink]: cosine and sine of twice the angle of least change, times coherence, and
    the amount of change, over `radius` shrunk pixels around."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    dx = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    dy = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    tensor = torch.cat([dy * dy - dx * dx, -2 * dx * dy, dx * dx + dy * dy], 1)
    if shrink > 1:
        tensor = F.avg_pool2d(tensor, shrink)
    for _ in range(2):
        tensor = F.avg_pool2d(tensor, 2 * radius + 1, 1, radius, count_include_pad=False)
    cos, sin, energy = tensor.float().split(1, 1)
    return torch.cat([cos / (energy + 1e-5), sin / (energy + 1e-5), (energy + 1e-5).log() / 5 + 1], 1)
