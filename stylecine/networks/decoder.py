"""From features at several scales to what is at each place.

A decoder gathers context at 1/32 by dilated residual blocks (Yu and Koltun 2016), coordinates and a global mean, makes
a first answer at 1/8, and corrects it on finer scales by upsampling and joining (Ronneberger et al. 2015).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d, coordinates

GROUPS = 8


class Context(nn.Module):
    """What decoders begin with: features at 1/32, mixed over a wide range and with their mean, [N,width,H/32,W/32]."""

    def __init__(self, inputs: int, width: int, dilations: tuple[int, ...] = (1, 2, 4)) -> None:
        super().__init__()
        self.enter = Conv2d(inputs, width, 1)
        self.norm = nn.GroupNorm(GROUPS, width)
        self.context = nn.ModuleList(Dilated(width, dilation) for dilation in dilations)
        self.overall = nn.Linear(width, width)

    def gather(self, last: Tensor) -> Tensor:
        x = F.relu(self.norm(self.enter(last)))
        for block in self.context:
            x = block(x)
        return x + self.overall(x.mean((2, 3)))[:, :, None, None]


class Decoded(NamedTuple):
    """What a decoder makes of the features of images [N,3,H,W]."""

    fine: Tensor  # [N,outputs,h,w] logits, at 1/2 or 1/4
    coarse: Tensor  # [N,outputs,H/8,W/8] those that they correct
    eighth: Tensor  # [N,w8,H/8,W/8] features


class Decoder(Context):
    """Features at 1/4, 1/8, 1/16 and 1/32 of an image, or from 1/2, the finest first -> logits at the finest scale.

    channels, widths: of the features and of the decoder's own, in that order.
    """

    def __init__(self, channels: tuple[int, ...], outputs: int, widths: tuple[int, ...]) -> None:
        *finer, w8, w16, w32 = widths
        super().__init__(channels[-1] + 2, w32)
        self.up16 = Join(w32, channels[-2], w16)
        self.up8 = Join(w16, channels[-3], w8)
        self.coarse = Conv2d(w8, outputs, 1)
        self.up4 = Join(w8, channels[-4], finer[-1])
        self.up2 = Join(finer[1], channels[0], finer[0]) if len(finer) > 1 else None
        self.fine = Conv2d(finer[0], outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.decoded(features).fine

    def decoded(self, features: list[Tensor]) -> Decoded:
        *finer, eighth, sixteenth, last = features
        x = self.up8(self.up16(self.gather(torch.cat([last, coordinates(last)], 1)), sixteenth), eighth)
        coarse, y = self.coarse(x), self.up4(x, finer[-1])
        fine = self.fine(y if self.up2 is None else self.up2(y, finer[0]))
        fine = fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return Decoded(fine, coarse, x)


class Dilated(nn.Module):
    """A residual 3x3 convolution that skips `dilation` - 1 places."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.conv(x)))


class Join(nn.Module):
    """Doubles the resolution of `coarse` and mixes it with the features that live there."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.coarse = Conv2d(coarse, width, 1)
        self.fine = Conv2d(fine, width, 1)
        self.mix = Conv2d(2 * width, width, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # a 1x1 convolution commutes with bilinear upsampling and is a quarter of the work before it
        up = F.interpolate(self.coarse(coarse), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.mix(F.relu(torch.cat([up, self.fine(fine)], 1)))))


def decoder_widths(tensors: dict[str, Tensor]) -> tuple[int, ...]:
    """Of a decoder's features, the finest first."""
    names = ("up2.mix", "up4.mix", "up8.mix", "up16.mix", "enter")
    return tuple(len(tensors[f"{name}.bias"]) for name in names if f"{name}.bias" in tensors)
