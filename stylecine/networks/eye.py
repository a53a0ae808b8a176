"""All that is seen in a photo, by one network: what moves, what stands before it, what sways, and which way it flows.

The segmenter's backbone and decoder, with more heads: what one of them learns about a place serves the others (Caruana,
"Multitask learning", 1997). Directions have a decoder of their own at 1/8, the motion network's, which sees what the
first one takes a place for instead of a mask that somebody gives it, and no arrows: those are applied afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.motionnet import CUES, HINTS, MotionDecoder, cues
from stylecine.networks.segmenter import (
    DEPTHS,
    Backbone,
    Decoder,
    Presence,
    decoder_widths,
    gated,
    tap_channels,
)
from stylecine.networks.unet import Conv2d, coordinates, load

CLASSES = ("static", "sky", "water", "falls", "smoke")
KINDS = ("runs", "open", "mirrors", "surf", "stands")  # of water
WIDTHS = (24, 48, 64, 96, 128)  # of the decoder, at 1/2, 1/4, 1/8, 1/16 and 1/32
COURSE_WIDTHS = (48, 64, 96)  # of the directions' decoder, at 1/8, 1/16 and 1/32


class Sight(NamedTuple):
    """What the eye sees in photos [N,3,H,W]."""

    classes: Tensor  # [N,5,H/2,W/2] log-probabilities of CLASSES
    occluder: Tensor  # [N,1,H/2,W/2] logit: stands still, before water or sky at that
    plants: Tensor  # [N,1,H/2,W/2] logit: sways in the wind
    direction: Tensor  # [N,2,H/8,W/8] which way matter flows, x right, y down; shorter than 1 where that is uncertain
    kind: Tensor  # [N,5,H/8,W/8] logits of KINDS, which mean something on water
    presence: Tensor  # [N,4] logits: whether each class that moves is anywhere in the photo


class Layers(NamedTuple):
    """What the decoder makes of the features of photos [N,3,H,W]."""

    fine: Tensor  # [N,5,H/2,W/2] logits of the classes, before it is known which are in the photo
    coarse: Tensor  # [N,5,H/8,W/8] the ones that they correct
    fine_things: Tensor  # [N,2,H/2,W/2] logits of occluders and plants
    coarse_things: Tensor  # [N,2,H/8,W/8] the ones that they correct
    eighth: Tensor  # [N,w8,H/8,W/8] features


class EyeDecoder(Decoder):
    """The segmenter's decoder, and more of what is seen at each place."""

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__(channels, len(CLASSES), widths)
        self.coarse_things = Conv2d(widths[2], 2, 1)
        self.detail = Conv2d(widths[0], widths[0], 3, padding=1)
        self.fine_things = Conv2d(widths[0], 2, 1)
        self.kind = Conv2d(widths[2], len(KINDS), 1)

    def layers(self, features: list[Tensor]) -> Layers:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of an image -> what is at each place."""
        half, quarter, eighth, sixteenth, last = features
        x = self.up8(self.up16(self.gather(torch.cat([last, coordinates(last)], 1)), sixteenth), eighth)
        y = self.up2(self.up4(x, quarter), half)
        coarse, coarse_things = self.coarse(x), self.coarse_things(x)
        fine, fine_things = self.fine(y), self.fine_things(F.relu(self.detail(y)))
        return Layers(fine + _enlarged(coarse, fine), coarse, fine_things + _enlarged(coarse_things, fine),
                      coarse_things, x)


class Eye(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> Sight; H and W multiples of 32, and best about 640 on the short side."""

    def __init__(
        self,
        backbone: tuple[int, ...] = (32, 16, 24, 48, 88, 120, 208, 352),
        widths: tuple[int, ...] = WIDTHS,
        course: tuple[int, int, int] = COURSE_WIDTHS,
    ) -> None:
        super().__init__()
        channels = tap_channels(backbone)
        self.backbone = Backbone(backbone)
        self.decoder = EyeDecoder(channels, widths)
        self.course = MotionDecoder((channels[2], channels[3], channels[4]), course, CUES - HINTS)
        self.presence = Presence(channels, len(CLASSES) - 1)

    def forward(self, photo: Tensor) -> Sight:
        features = self.backbone(photo.contiguous(memory_format=torch.channels_last))
        return self.sight(photo, features, self.decoder.layers(features))

    def sight(self, photo: Tensor, features: list[Tensor], layers: Layers) -> Sight:
        """features: the backbone's of the photo; layers: the decoder's of these.

        Presence is read from features that others shape: gradients through deviations and maxima are as large as wild.
        """
        presence = self.presence([maps.detach() for maps in features])
        classes = gated(layers.fine, presence)
        moving = _enlarged(classes[:, 1:].detach().exp(), photo)
        occluder, plants = layers.fine_things.split(1, 1)
        direction = self.course(features[2:], cues(photo, moving, photo[:, :0]))
        return Sight(classes, occluder, plants, direction, self.decoder.kind(layers.eighth), presence)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Eye:
        """The network whose weights these are; sizes come from the shapes. WeightsMalformed if they do not fit."""

        def build() -> Eye:
            stages = "stem", *(f"stages.{i}.0.project" for i in range(len(DEPTHS)))
            backbone = tuple(len(tensors[f"backbone.{name}.bias"]) for name in stages)
            decoder, course = (_part(tensors, name) for name in ("decoder", "course"))
            finest = tuple(len(decoder[f"{name}.mix.bias"]) for name in ("up2", "up4"))
            return cls(backbone, (*finest, *decoder_widths(decoder)), decoder_widths(course))

        return load(build, tensors, "The eye's weights do not fit its network; fetch the model again.")


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): x for key, x in tensors.items() if key.startswith(f"{name}.")}


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
