"""Which way it flows: a decoder of the backbone's features, of what moves, and of how texture and banks are oriented.

Orientations are not learned: they are structure tensors (Bigün and Granlund 1987).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.decoder import Context, Join
from stylecine.networks.unet import Conv2d, central_differences, coordinates

CUES = 18  # layers 4, coordinates 2, orientations of four kinds 3 each
DROPPED = (0.4, 0.1)  # of the backbone's channels, of the other cues, in training


class CourseDecoder(Context):
    """Features at 1/8, 1/16 and 1/32 of an image, and `cues` at 1/8 -> directions [N,2,H/8,W/8].

    They are x right, y down, and shorter than 1 where they are uncertain.
    """

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        w8, w16, w32 = widths
        super().__init__(channels[2] + CUES, w32)
        self.up16 = Join(w32, channels[1] + CUES, w16)
        self.up8 = Join(w16, channels[0] + CUES, w8)
        self.mix = Conv2d(w8, w8, 3, padding=1)
        self.leave = Conv2d(w8, 2, 1)

    def forward(self, features: list[Tensor], cues: Tensor) -> Tensor:
        eighth, sixteenth, last = (
            torch.cat([F.dropout2d(maps, DROPPED[0], self.training), self._pooled(cues, maps)], 1) for maps in features
        )
        x = self.up8(self.up16(self.gather(last), sixteenth), eighth)
        return self.leave(F.relu(self.mix(x)))

    def _pooled(self, cues: Tensor, maps: Tensor) -> Tensor:
        return F.dropout2d(F.adaptive_avg_pool2d(cues, (maps.shape[2], maps.shape[3])), DROPPED[1], self.training)


def cues(photo: Tensor, layers: Tensor) -> Tensor:
    """What the backbone does not say, [N,18,H/8,W/8]: layers [N,4,H,W], coordinates and orientations."""
    eighth = F.avg_pool2d(layers, 8)
    grey, banks = photo.mean(1, keepdim=True), F.avg_pool2d(layers[:, 1:3].sum(1, keepdim=True), 2)  # water and falls
    coarse_grey, coarse_banks = F.avg_pool2d(grey, 4), F.avg_pool2d(banks, 4)
    seen = (grey, 2, 2), (grey, 8, 2), (coarse_grey, 4, 1), (coarse_banks, 2, 3)
    maps = [
        F.interpolate(orientation(*each), eighth.shape[-2:], mode="bilinear", antialias=True, align_corners=False)
        for each in seen
    ]
    return torch.cat([eighth, coordinates(eighth), *maps], 1)


def orientation(image: Tensor, shrink: int, radius: int) -> Tensor:
    """[N,1,H,W] -> [N,3,H/shrink,W/shrink]: cosine and sine of twice the angle of least change, times coherence, and
    the amount of change, over `radius` shrunk pixels around."""
    dx, dy = central_differences(image, "replicate")
    tensor = torch.cat([dy * dy - dx * dx, -2 * dx * dy, dx * dx + dy * dy], 1)
    tensor = F.avg_pool2d(tensor, shrink)
    for _ in range(2):
        tensor = F.avg_pool2d(tensor, 2 * radius + 1, 1, radius, count_include_pad=False)
    cos, sin, energy = tensor.float().split(1, 1)
    return torch.cat([cos / (energy + 1e-5), sin / (energy + 1e-5), (energy + 1e-5).log() / 5 + 1], 1)
