"""Which way it moves: a small decoder of the segmenter's backbone, from photo and layers to a direction field.

A few hundred photos are too few to learn what a river or a breaker looks like, so the features are those of the
segmenter's backbone, which has seen millions, and, not learned at all, the orientation of texture and banks (structure
tensors, Bigün and Granlund 1987).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.segmenter import Backbone, Context, Join, decoder_widths, tap_channels
from stylecine.networks.unet import Conv2d, coordinates, load

HINTS = 3
CUES = 21  # layers 4, hints 3, coordinates 2, orientations of four kinds 3 each
DROPPED = (0.4, 0.1)  # of the backbone's channels, of the other cues, in training


class MotionDecoder(Context):
    """Features at 1/8, 1/16 and 1/32 of an image, `cues` maps at 1/8 -> directions [N,2,H/8,W/8]."""

    def __init__(self, channels: tuple[int, int, int], widths: tuple[int, int, int], cues: int = CUES) -> None:
        w8, w16, w32 = widths
        super().__init__(channels[2] + cues, w32)
        self.up16 = Join(w32, channels[1] + cues, w16)
        self.up8 = Join(w16, channels[0] + cues, w8)
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


class MotionNet(nn.Module):
    """photo [N,3,H,W] in [-1,1], layers [N,4,H,W], hints [N,3,H,W] -> [N,2,H/8,W/8]; H and W multiples of 32.

    Hints are the known direction (x, y) and a confidence in [0,1], all 0 where nothing is known. The result is x right,
    y down, in tenths of the short side; only its direction and relative length are meaningful. `backbone` is the
    segmenter's, which the decoder was trained with and which stays as it is.
    """

    def __init__(self, backbone: Backbone, widths: tuple[int, int, int] = (48, 64, 96)) -> None:
        super().__init__()
        self.backbone = backbone
        channels = tap_channels(backbone.widths)
        self.decoder = MotionDecoder((channels[2], channels[3], channels[4]), widths)

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
        return self.decoder(self.features(photo), cues(photo, layers, hints))

    def features(self, photo: Tensor) -> list[Tensor]:
        """Those that the decoder reads: at 1/8, 1/16 and 1/32."""
        return self.backbone(photo.contiguous(memory_format=torch.channels_last))[2:]

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], backbone: Backbone) -> MotionNet:
        """The network with these weights of its decoder. WeightsMalformed if they do not fit."""
        message = "The motion weights do not fit their network or the segmenter; fetch the model again."
        return load(lambda: cls(backbone, decoder_widths(tensors)), tensors, message, "decoder")


def cues(photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
    """What the backbone does not say, [N,21,H/8,W/8]: layers, hints, coordinates and orientations."""
    eighth = F.avg_pool2d(torch.cat([layers, hints], 1), 8)
    grey, banks = photo.mean(1, keepdim=True), F.avg_pool2d(layers[:, 1:3].sum(1, keepdim=True), 2)  # water and falls
    coarse_grey, coarse_banks = F.avg_pool2d(grey, 4), F.avg_pool2d(banks, 4)
    orientations = [
        orientation(grey, 2, 2),
        orientation(grey, 8, 2),
        orientation(coarse_grey, 4, 1),
        orientation(coarse_banks, 2, 3),
    ]
    maps = [
        F.interpolate(x, eighth.shape[-2:], mode="bilinear", antialias=True, align_corners=False)
        for x in orientations
    ]
    return torch.cat([eighth, coordinates(eighth), *maps], 1)


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
