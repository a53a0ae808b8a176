"""Feature-style encoder: photo -> F (deep features of the generator) and w+ (styles), after Yao et al., "Feature-Style
Encoder for Style-Based GAN Inversion" (ECCV 2022), but small and fully convolutional in F.

A mask channel marks visible pixels: hidden parts, filled with the colours around them, are predicted from their
surroundings, which continues water behind a rock and the sky beyond the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import load

W_DIM = 512
RANK = 16  # w+ = w_avg + coefficients · basis: few photos do not determine 512 numbers a layer
APPEARANCE_SIDE = 256  # short side of what w+ is read from
MULTIPLE = 64  # to which H and W are padded: a pixel of the encoder's coarsest grid


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv1.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(F.leaky_relu(self.conv0(F.leaky_relu(x, 0.2)), 0.2))


class Encoder(nn.Module):
    """Photo [N,3,H,W] in [-1,1] and visibility [N,1,H,W] in {0,1} -> w+ [N,L,512], F [N,C,H/s,W/s].

    Hidden parts of the photo have to be filled beforehand, by `ops.image.push_pull`.

    Args:
        feature_channels: C. num_ws: L. stride: s (4 or 8).
        width: channels at F's resolution; context: channels of the coarser grids (each of half the size, to s·16).
    """

    def __init__(self, feature_channels: int, num_ws: int, stride: int = 4, *, width: int = 80,
                 context: int = 96) -> None:
        super().__init__()
        self.stride, self.num_ws = stride, num_ws
        self.stem = nn.Conv2d(4 * stride * stride, width, 3, padding=1)
        self.fine = nn.Sequential(Residual(width), Residual(width))
        self.down = nn.ModuleList(nn.Conv2d(width if i == 0 else context, context, 4, 2, 1) for i in range(4))
        self.coarse = nn.ModuleList(Residual(context) for _ in range(4))
        self.up = nn.ModuleList(nn.Conv2d(context, width if i == 0 else context, 3, padding=1) for i in range(4))
        self.merged = nn.Sequential(Residual(width), Residual(width))
        self.to_feature = nn.Conv2d(width, feature_channels, 3, padding=1)
        self.to_w = nn.Linear(2 * context, num_ws * RANK)
        nn.init.zeros_(self.to_w.weight)
        nn.init.zeros_(self.to_w.bias)
        self.basis = nn.Parameter(torch.randn(RANK, W_DIM))
        self.w_avg = nn.Parameter(torch.zeros(W_DIM))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Encoder:
        """Sizes are read off the tensors. Raises WeightsMalformed if they do not fit together."""
        def build() -> Encoder:
            width, inputs = tensors["stem.weight"].shape[:2]
            return cls(tensors["to_feature.weight"].shape[0], tensors["to_w.bias"].shape[0] // RANK,
                       math.isqrt(inputs // 4), width=width, context=tensors["down.0.weight"].shape[0])

        return load(build, tensors, "These tensors are not stylecine's encoder; install the package again.")

    def forward(self, photo: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.appearance(photo, visible), self.structure(photo, visible)

    def structure(self, photo: Tensor, visible: Tensor | None = None) -> Tensor:
        """F [N,C,H/s,W/s]: what is where."""
        grids = self._grids(photo, visible)
        for i in reversed(range(4)):
            grids[i] = grids[i] + F.interpolate(self.up[i](grids[i + 1]), scale_factor=2, mode="bilinear")
        feature = F.leaky_relu(self.to_feature(self.merged(grids[0])), 0.2) * math.sqrt(2)
        return feature[:, :, : -(-photo.shape[2] // self.stride), : -(-photo.shape[3] // self.stride)]

    def appearance(self, photo: Tensor, visible: Tensor | None = None) -> Tensor:
        """w+ [N,L,512]: light, weather and colours, from the photo at a short side of 256, whatever its own."""
        scale = min(1.0, APPEARANCE_SIDE / min(photo.shape[2:]))
        size = [max(1, round(n * scale)) for n in photo.shape[2:]]
        photo = F.interpolate(photo, size, mode="bilinear", antialias=True, align_corners=False)
        if visible is not None:
            visible = F.interpolate(visible, size, mode="nearest")
        return self.styles(self._grids(photo, visible)[-1])

    def _grids(self, photo: Tensor, visible: Tensor | None) -> list[Tensor]:
        """Features at 1/s, and at half the resolution of the last four times."""
        n, _, height, width = photo.shape
        if visible is None:
            visible = photo.new_ones((n, 1, height, width))
        x = torch.cat((photo, visible), 1)
        x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE))  # beyond the photo: not visible
        x = F.pixel_unshuffle(x, self.stride).contiguous(memory_format=torch.channels_last)  # faster on CPUs
        grids = [self.fine(self.stem(x))]
        for down, residual in zip(self.down, self.coarse, strict=True):
            grids.append(residual(down(grids[-1])))
        return grids

    def styles(self, grid: Tensor) -> Tensor:  # [N,K,h,w] -> [N,L,512]
        pooled = torch.cat((grid.mean((2, 3)), grid.amax((2, 3))), 1)
        coefficients = self.to_w(pooled.float()).reshape(-1, self.num_ws, RANK) * 0.1
        return self.w_avg + coefficients @ self.basis / math.sqrt(RANK)
