"""LPIPS with AlexNet features: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric" (CVPR 2018), version 0.1 with learned linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import load
from stylecine.ops.image import to_tensor
from stylecine.weights import read_tensors

WEIGHTS = Path(__file__).with_suffix(".safetensors")
STRIDE_PADDING = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
POOL_BEFORE = (False, True, True, False, False)
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class AlexFeatures(nn.Module):
    """AlexNet's five rectified convolutions; RGB in [-1,1] [N,3,H,W] -> five maps, strides 4, 8, 16, 16, 16."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, 64, 192, 384, 256, 256)
        kernels = (11, 5, 3, 3, 3)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, s, p)
            for i, o, k, (s, p) in zip(channels, channels[1:], kernels, STRIDE_PADDING, strict=False)
        )
        self.register_buffer("shift", torch.tensor(SHIFT, device="cpu").view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE, device="cpu").view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image - self.get_buffer("shift")) / self.get_buffer("scale")
        maps = []
        for conv, pool in zip(self.convs, POOL_BEFORE, strict=True):
            x = F.relu(conv(F.max_pool2d(x, 3, 2) if pool else x))
            maps.append(x)
        return maps


class LPIPS(nn.Module):
    """Perceptual distance of a and b, both [N,3,H,W] in [-1,1] with H, W ≥ 64, as [N]; 0 is identical."""

    def __init__(self) -> None:
        super().__init__()
        self.features = AlexFeatures()
        self.linear = nn.ParameterList(nn.Parameter(torch.zeros(c)) for c in (64, 192, 384, 256, 256))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LPIPS:
        return load(cls, tensors, "These tensors are not LPIPS's AlexNet.")

    @classmethod
    def published(cls) -> LPIPS:
        """With the weights of the paper."""
        return cls.from_tensors(read_tensors(WEIGHTS))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.distance(self.features(a), self.features(b))

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Of images whose `features` are a and b, [N]."""
        total = a[0].new_zeros(a[0].shape[0])
        for fa, fb, weight in zip(a, b, self.linear, strict=True):
            difference = (unit(fa) - unit(fb)).square()                            # [N,C,h,w]
            total = total + (difference * weight[:, None, None]).sum(1).mean((1, 2))
        return total


def score(reconstruction: np.ndarray, photo: np.ndarray) -> dict[str, float]:
    """How close an inversion's uint8 [H,W,3] is to its photo: {"lpips" (0 is equal), "psnr" (dB)}."""
    with torch.inference_mode():
        distance = LPIPS.published()(to_tensor(photo)[None], to_tensor(reconstruction)[None])
    return {"lpips": float(distance), "psnr": psnr(reconstruction, photo)}


def unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures in dB; inf where they are equal."""
    error = np.square(picture.astype(np.float32) - truth.astype(np.float32)).mean(dtype=np.float64)
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf
