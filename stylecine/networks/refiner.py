"""From what the eye sees at a reduced size to what stands still at a photo's own pixels.

A small U-Net beside the eye. It sees the photo at a short side of up to 1024, two by two pixels as channels (Shi et al.
2016), and the eye's maps, and corrects the odds that something stands, as CascadePSP (Cheng et al. 2020) corrects a
segmentation: tips of twigs, ropes and blades that are narrower than a pixel of what the eye sees.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d, load

MAPS = 6  # probabilities of the eye's classes, and of what stands before water or sky
CELL = 16  # pixels of the photo per cell of the coarsest features
LOGIT = 5.0  # the eye is never surer than this
WIDTHS = (24, 32, 48, 64)  # from 1/2 of the photo


class Refiner(nn.Module):
    """photo [N,3,H,W] in [-1,1], maps [N,6,H/2,W/2] in [0,1] -> logits [N,1,H,W] that a place stands still.

    H and W are multiples of 16.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.enter = Conv2d(12 + MAPS, widths[0], 3, padding=1)
        self.first = Conv2d(widths[0], widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU(), Conv2d(b, b, 3, padding=1), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.context = nn.Sequential(*(
            layer
            for dilation in (2, 4)
            for layer in (Conv2d(widths[-1], widths[-1], 3, padding=dilation, dilation=dilation), nn.ReLU())
        ))
        self.up = nn.ModuleList(Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(Conv2d(a, a, 3, padding=1) for a in widths[:-1])
        self.leave = Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, photo: Tensor, maps: Tensor) -> Tensor:
        prior = torch.maximum(maps[:, :1], maps[:, -1:]).clamp(1e-4, 1 - 1e-4).logit().clamp(-LOGIT, LOGIT)
        x = torch.cat([F.pixel_unshuffle(photo, 2), maps], 1).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.enter(x))
        x = F.relu(self.first(x))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = x + self.context(x)
        for up, mix, skip in zip(self.up[::-1], self.mix[::-1], skips[::-1], strict=True):
            x = F.interpolate(up(x), skip.shape[-2:], mode="bilinear", align_corners=False) + skip
            x = F.relu(mix(x))
        return F.pixel_shuffle(self.leave(x), 2) + F.interpolate(
            prior, photo.shape[-2:], mode="bilinear", align_corners=False
        )

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Refiner:
        """The network whose weights these are; sizes come from the shapes. WeightsMalformed if they do not fit."""

        def build() -> Refiner:
            finer = sum(name.startswith("up.") and name.endswith(".bias") for name in tensors)
            widths = (len(tensors["enter.bias"]), *(len(tensors[f"down.{i}.0.bias"]) for i in range(finer)))
            return cls(widths)

        return load(build, tensors, "The refiner's weights do not fit its network; fetch the model again.")
