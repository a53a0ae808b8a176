"""Feature-style encoder: photo -> F (deep features of the generator) and w+ (styles), after Yao et al., "Feature-Style
Encoder for Style-Based GAN Inversion" (ECCV 2022), but small and fully convolutional in F.

F is structure and w+ is appearance: F is read off the photo with its mean colour and contrast taken away (as instance
normalisation does: Huang and Belongie, ICCV 2017), and w+ off the colours of the whole photo, region by region.

A mask channel marks visible pixels: hidden parts, filled with the colours around them, are predicted from their
surroundings, which continues water behind a rock and the sky beyond the frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import load, normal

W_DIM = 512
RANK = 32  # w+ = w_avg + coefficients · basis: few photos do not determine 512 numbers a layer
APPEARANCE_SIDE = 128  # short side of the picture from which w+ is predicted
REGIONS = ("sky", "water", "land", "mist")  # whose colours w+ is read from, each on its own
REGION_GRIDS = (1, 3)  # by which regions are classified: at 1/2s and 1/8s
STATISTICS = 9  # of a region's colours
SMALLEST_REGION = 0.01  # of the photo: colours of smaller ones count as mixed with those of the whole
DARKEST = 0.05  # standard deviation that is taken for that of a flat photo
CONTRAST = 0.5  # standard deviation that F's colours are brought to, in a photo's [-1,1]
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
        self.to_regions = nn.ModuleList(nn.Conv2d(context, len(REGIONS), 1) for _ in REGION_GRIDS)
        self.to_appearance = nn.Linear(2 * context + STATISTICS * len(REGIONS), 2 * context)
        self.to_w = nn.Linear(2 * context, num_ws * RANK)
        nn.init.zeros_(self.to_w.weight)
        nn.init.zeros_(self.to_w.bias)
        self.basis = nn.Parameter(normal(RANK, W_DIM))
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

    def structure(
        self,
        photo: Tensor,
        visible: Tensor | None = None,
        light: Light | None = None,
        check: Callable[[], object] = lambda: None,
    ) -> Tensor:
        """F [N,C,H/s,W/s]: the structure. light: that of the whole photo, if this is a part of it. check: called after
        each layer, to raise Cancelled."""
        visible = photo.new_ones(photo[:, :1].shape) if visible is None else visible
        grids = self._grids((light or Light.of(photo, visible)).removed(photo), visible, check)
        for i in reversed(range(4)):
            grids[i] = grids[i] + F.interpolate(self.up[i](grids[i + 1]), scale_factor=2, mode="bilinear")
        x = grids[0]
        for residual in self.merged:
            x = residual(x)
            check()
        feature = F.leaky_relu(self.to_feature(x), 0.2) * math.sqrt(2)
        return feature[:, :, : -(-photo.shape[2] // self.stride), : -(-photo.shape[3] // self.stride)]

    def appearance(self, photo: Tensor, visible: Tensor | None = None) -> Tensor:
        """w+ [N,L,512]: light, weather and colours, from the photo at a short side of 128, whatever its size."""
        return self.appearance_and_regions(photo, visible)[0]

    def appearance_and_regions(self, photo: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """w+ [N,L,512] and the logits [N,4,h,w] of REGIONS, by which their colours were separated."""
        photo, visible = reduced(photo, visible)
        light = Light.of(photo, visible)
        grids = self._grids(light.removed(photo), visible)
        scores = [layer(grids[i]) for layer, i in zip(self.to_regions, REGION_GRIDS, strict=True)]
        logits = scores[0] + F.interpolate(scores[1], scores[0].shape[2:], mode="bilinear")
        regions = F.interpolate(logits.float(), scale_factor=2 * self.stride, mode="bilinear").softmax(1)
        regions = regions[:, :, :photo.shape[2], :photo.shape[3]] * visible
        colours = region_colours(photo, regions)
        pooled = torch.cat((grids[-1].mean((2, 3)), grids[-1].amax((2, 3)), colours), 1)
        hidden = F.leaky_relu(self.to_appearance(pooled.float()), 0.2)
        coefficients = self.to_w(hidden).reshape(-1, self.num_ws, RANK) * 0.1
        return self.w_avg + coefficients @ self.basis / math.sqrt(RANK), logits

    def _grids(self, photo: Tensor, visible: Tensor, check: Callable[[], object] = lambda: None) -> list[Tensor]:
        """Features at 1/s, and at half the resolution of the last four times."""
        height, width = photo.shape[2:]
        x = torch.cat((photo, visible), 1)
        x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE))  # beyond the photo: not visible
        x = F.pixel_unshuffle(x, self.stride).contiguous(memory_format=torch.channels_last)  # faster on CPUs
        for layer in (self.stem, *self.fine):
            x = layer(x)
            check()
        grids = [x]
        for down, residual in zip(self.down, self.coarse, strict=True):
            grids.append(residual(down(grids[-1])))
            check()
        return grids


@dataclass(frozen=True)
class Light:
    """Mean and standard deviation [N,3,1,1] of the visible colours of a photo."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, photo: Tensor, visible: Tensor) -> Light:
        photo, visible = reduced(photo, visible)
        count = visible.sum((2, 3), keepdim=True).clamp_min(1)
        mean = (photo * visible).sum((2, 3), keepdim=True) / count
        variance = ((photo - mean).square() * visible).sum((2, 3), keepdim=True) / count
        return cls(mean, variance.sqrt().clamp_min(DARKEST))

    def removed(self, photo: Tensor) -> Tensor:
        return (photo - self.mean) / self.deviation * CONTRAST


def reduced(photo: Tensor, visible: Tensor | None) -> tuple[Tensor, Tensor]:
    """Photo and visibility at a short side of APPEARANCE_SIDE, if theirs is longer."""
    visible = photo.new_ones(photo[:, :1].shape) if visible is None else visible
    scale = APPEARANCE_SIDE / min(photo.shape[2:])
    if scale >= 1:
        return photo, visible
    size = [round(n * scale) for n in photo.shape[2:]]
    photo = F.interpolate(photo, size, mode="bilinear", antialias=True, align_corners=False)
    return photo, F.interpolate(visible, size, mode="nearest")


def region_colours(photo: Tensor, regions: Tensor) -> Tensor:
    """Mean and deviation of K regions' colours, deviation of two colour differences (red-green, yellow-blue), which
    tells muted from vivid ones, and areas: photo [N,3,h,w] and soft regions [N,K,h,w] -> [N,9K]."""
    pixels = photo.shape[2] * photo.shape[3]
    areas = regions.sum((2, 3))                                                    # [N,K]
    red, green, blue = photo.unbind(1)
    values = torch.cat((photo, torch.stack((red - green, (red + green) / 2 - blue), 1)), 1)
    known = regions.sum(1, keepdim=True)
    means, squares = (
        _averages(regions, x, (x * known).sum((2, 3)) / known.sum((2, 3)).clamp_min(1)) for x in (values, values**2)
    )
    deviations = (squares - means.square()).clamp_min(1e-4).sqrt()
    return torch.cat((means[..., :3].flatten(1), deviations.flatten(1), areas / pixels), 1)


def _averages(regions: Tensor, values: Tensor, of_all: Tensor) -> Tensor:
    """Of values [N,C,h,w] in regions [N,K,h,w]: [N,K,C]; of small regions, mixed with those of all, [N,C]."""
    least = SMALLEST_REGION * values.shape[2] * values.shape[3]
    sums = (regions[:, :, None] * values[:, None]).sum((3, 4)) + least * of_all[:, None]
    return sums / (regions.sum((2, 3)) + least)[..., None]
