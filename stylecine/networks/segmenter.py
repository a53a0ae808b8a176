"""Which pixels of a landscape photo move: EfficientNet-Lite, fine-tuned, and a small decoder.

The backbone is EfficientNet-Lite (Tan and Le 2019) pretrained on ImageNet, without its classifier and with its batch
normalisation folded into the convolutions. The decoder gathers context at 1/32 by dilated residual blocks (Yu and
Koltun 2016), coordinates and a global mean, predicts coarse classes at 1/8, and corrects them at 1/4 and 1/2 by
upsampling and joining (Ronneberger et al. 2015). Whether a class is in the photo at all is judged from the features of
the whole photo, and multiplies the class's map: a blurred background looks like smoke or sky in any part of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.unet import Conv2d, coordinates, load

GROUPS = 8
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


def decoder_widths(tensors: dict[str, Tensor]) -> tuple[int, int, int]:
    """At 1/8, 1/16 and 1/32, of a decoder that ends at 1/8."""
    w8, w16, w32 = (len(tensors[f"{name}.bias"]) for name in ("up8.mix", "up16.mix", "enter"))
    return w8, w16, w32


def tap_channels(widths: tuple[int, ...]) -> tuple[int, ...]:
    """Of the features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
    return tuple(widths[tap + 1] for tap in TAPS)


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


class Decoder(Context):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of an image -> class logits at 1/2."""

    def __init__(self, channels: tuple[int, ...], classes: int, widths: tuple[int, ...]) -> None:
        w2, w4, w8, w16, w32 = widths
        super().__init__(channels[4] + 2, w32)
        self.up16 = Join(w32, channels[3], w16)
        self.up8 = Join(w16, channels[2], w8)
        self.coarse = Conv2d(w8, classes, 1)
        self.up4 = Join(w8, channels[1], w4)
        self.up2 = Join(w4, channels[0], w2)
        self.fine = Conv2d(w2, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.both(features)[0]

    def both(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [N,classes,*,*] at 1/2, and the coarse ones at 1/8 that they correct."""
        half, quarter, eighth, sixteenth, last = features
        x = self.up8(self.up16(self.gather(torch.cat([last, coordinates(last)], 1)), sixteenth), eighth)
        coarse = self.coarse(x)
        fine = self.fine(self.up2(self.up4(x, quarter), half))
        return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False), coarse


class Presence(nn.Module):
    """Features of an image -> logits [N,classes]: whether each moving class is anywhere in it.

    A linear function of their means, maxima and standard deviations at 1/32 and of their means at 1/16 and 1/8, each of
    these normalised by itself.
    """

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        *_, eighth, sixteenth, last = channels
        self.leave = nn.Linear(3 * last + sixteenth + eighth, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.leave(self.summary(features))

    def summary(self, features: list[Tensor]) -> Tensor:
        """What the logits are a linear function of, [N,3·c32 + c16 + c8]."""
        *_, eighth, sixteenth, last = (maps.float().flatten(2) for maps in features)
        parts = last.mean(2), last.amax(2), last.std(2, correction=0), sixteenth.mean(2), eighth.mean(2)
        return torch.cat([F.layer_norm(part, part.shape[1:]) for part in parts], 1)


class Segmenter(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> log-probabilities [N,5,H/2,W/2]: static, sky, water, falls, smoke.

    H and W are multiples of 32. A moving class's odds are those that the decoder gives it, times the probability of
    the class being in the photo.
    """

    def __init__(
        self,
        backbone: tuple[int, ...] = (32, 16, 24, 48, 88, 120, 208, 352),
        widths: tuple[int, ...] = (24, 48, 64, 96, 128),
        classes: int = 5,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone)
        self.decoder = Decoder(tap_channels(backbone), classes, widths)
        self.presence = Presence(tap_channels(backbone), classes - 1)

    def forward(self, photo: Tensor) -> Tensor:
        features = self.backbone(photo.contiguous(memory_format=torch.channels_last))
        return gated(self.decoder(features), self.presence(features))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Segmenter:
        """The network whose weights these are; sizes come from the shapes. WeightsMalformed if they do not fit."""

        def build() -> Segmenter:
            stages = "stem", *(f"stages.{i}.0.project" for i in range(len(DEPTHS)))
            levels = *(f"up{scale}.mix" for scale in (2, 4, 8, 16)), "enter"
            backbone = tuple(len(tensors[f"backbone.{name}.bias"]) for name in stages)
            widths = tuple(len(tensors[f"decoder.{name}.bias"]) for name in levels)
            return cls(backbone, widths, len(tensors["decoder.fine.bias"]))

        return load(build, tensors, "The segmenter's weights do not fit its network; fetch the model again.")


def gated(logits: Tensor, presence: Tensor) -> Tensor:
    """Logits of classes [N,5,h,w] and of their presence [N,4] -> log-probabilities [N,5,h,w].

    As odds, so that a place of which the decoder is surer than the presence head still moves.
    """
    static, moving = logits.float().log_softmax(1).split([1, logits.shape[1] - 1], 1)
    return torch.cat([static, moving + F.logsigmoid(presence.float())[:, :, None, None]], 1).log_softmax(1)


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
