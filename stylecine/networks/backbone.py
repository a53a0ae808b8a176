"""EfficientNet-Lite2, pretrained on ImageNet (Tan and Le 2019): features of a photo at five scales.

Without its classifier, and with its batch normalisation folded into the convolutions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d

# of each stage: blocks, kernel, stride of the first block; the features that end at 1/2, 1/4, 1/8, 1/16 and 1/32
DEPTHS = (1, 3, 3, 4, 4, 5, 1)
KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
TAPS = (0, 1, 2, 4, 6)
EXPANSION = 6


class Backbone(nn.Module):
    """EfficientNet-Lite2 up to its last block; `widths` are the channels of the stem and the seven stages."""

    def __init__(self, widths: tuple[int, ...] = (32, 16, 24, 48, 88, 120, 208, 352)) -> None:
        super().__init__()
        self.widths = widths
        self.stem = _Same(3, widths[0], 3, stride=2)
        self.stages = nn.ModuleList()
        for index, (depth, kernel, stride) in enumerate(zip(DEPTHS, KERNELS, STRIDES, strict=True)):
            inputs = (widths[index], *(widths[index + 1],) * (depth - 1))
            strides = (stride, *(1,) * (depth - 1))
            expansion = EXPANSION if index else 1
            blocks = [_Block(i, widths[index + 1], kernel, s, expansion) for i, s in zip(inputs, strides, strict=True)]
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, photo: Tensor) -> list[Tensor]:
        """photo [N,3,H,W] in [-1,1], H and W multiples of 32 -> features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        x = F.relu6(self.stem(photo), inplace=True)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return [features[tap] for tap in TAPS]


def tap_channels(widths: tuple[int, ...]) -> tuple[int, ...]:
    """Of the features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
    return tuple(widths[tap + 1] for tap in TAPS)


class _Same(Conv2d):
    """A convolution that pads as TensorFlow does: with a stride of two, more behind than before."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=0 if stride == 2 else kernel // 2, groups=groups)
        self.before, self.behind = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = F.pad(x, (self.before, self.behind, self.before, self.behind))
        return super().forward(x)


class _Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = Conv2d(inputs, width, 1) if expansion > 1 else None
        self.depthwise = _Same(width, width, kernel, stride, groups=width)
        self.project = Conv2d(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        expanded = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(expanded), inplace=True))
        return x + y if self.residual else y
