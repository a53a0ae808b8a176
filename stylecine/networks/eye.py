"""All that is seen in a photo, by one network: what moves, what stands before it, and which way it flows.

One backbone and three decoders: what one of them learns about a place serves the others (Caruana, "Multitask learning",
1997). That of directions sees what the first takes a place for. Whether a class is in the photo at all is judged from
the features of the whole photo, and multiplies the class's map: a blurred background looks like smoke or sky in any
part of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.networks.backbone import DEPTHS, Backbone, tap_channels
from stylecine.networks.course import CourseDecoder, cues
from stylecine.networks.decoder import Decoded, Decoder, decoder_widths
from stylecine.networks.unet import Conv2d, load

CLASSES = ("static", "sky", "water", "falls", "smoke")
KINDS = ("runs", "open", "mirrors", "surf")  # of water
FOAM = ("none", "some", "much")  # on it
# Channels of the decoders, from the finest scale to 1/32:
WIDTHS, OCCLUDER_WIDTHS = (24, 48, 64, 96, 128), (16, 24, 40, 64, 96)  # from 1/2
COURSE_WIDTHS = (48, 64, 96)  # from 1/8


class Sight(NamedTuple):
    """What the eye sees in photos [N,3,H,W]."""

    classes: Tensor  # [N,5,H/2,W/2] log-probabilities of CLASSES
    occluder: Tensor  # [N,1,H/2,W/2] logit: stands still, before water or sky at that
    direction: Tensor  # [N,2,H/8,W/8] which way matter flows, x right, y down; shorter than 1 where that is uncertain
    water: Tensor  # [N,7,H/16,W/16] logits of KINDS and of FOAM, of which the mean over a stretch of water counts
    patches: Tensor  # [N,2,H/4,W/4]: the mean of the first over a patch in water, plus that of the second around it, is
    # the logit that the patch is part of the water, as foam and glints are, and no thing
    presence: Tensor  # [N,4] logits: whether each class that moves is anywhere in the photo


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
        *_, eighth, sixteenth, last = (maps.float().flatten(2) for maps in features)
        parts = last.mean(2), last.amax(2), last.std(2, correction=0), sixteenth.mean(2), eighth.mean(2)
        return self.leave(torch.cat([F.layer_norm(part, part.shape[1:]) for part in parts], 1))


class Water(nn.Module):
    """Features of an image -> logits [N,7,H/16,W/16] of KINDS and of FOAM, of which the mean over a stretch counts.

    A linear function of the features at 1/16 and 1/32 and of their squares: so what counts is what these are like on
    average in a stretch, and how much they differ within it.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        *_, sixteenth, last = channels
        outputs = len(KINDS) + len(FOAM)
        self.fine, self.coarse = Conv2d(2 * sixteenth, outputs, 1), Conv2d(2 * last, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        with torch.autocast(features[-1].device.type, enabled=False):  # squares differ too much in size
            fine, coarse = (
                layer(torch.cat([maps.float(), maps.float() ** 2], 1))
                for layer, maps in zip((self.fine, self.coarse), features[-2:], strict=True)
            )
            return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)


class Patches(nn.Module):
    """Features of an image -> [N,2,H/4,W/4]: what they say of a patch within it, and of one around it.

    Linear functions of the features at 1/4 to 1/32, so that their means over places are those of mean features.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.zeros(2, n) for n in channels[1:])
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, features: list[Tensor]) -> Tensor:
        with torch.autocast(features[-1].device.type, enabled=False):  # in float32
            finest, *others = (
                torch.einsum("kc,nchw->nkhw", weight, maps.float())
                for weight, maps in zip(self.weights, features[1:], strict=True)
            )
            size = finest.shape[-2:]
            return sum((F.interpolate(x, size, mode="bilinear", align_corners=False) for x in others), finest) + (
                self.bias / 2  # of either map
            )


class Eye(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> Sight; H and W multiples of 32, and best about 640 on the short side."""

    def __init__(
        self,
        backbone: tuple[int, ...] = (32, 16, 24, 48, 88, 120, 208, 352),
        widths: tuple[int, ...] = WIDTHS,
        occluders: tuple[int, ...] = OCCLUDER_WIDTHS,
        course: tuple[int, ...] = COURSE_WIDTHS,
    ) -> None:
        super().__init__()
        channels = tap_channels(backbone)
        self.backbone = Backbone(backbone)
        self.decoder = Decoder(channels, len(CLASSES), widths)
        self.presence = Presence(channels, len(CLASSES) - 1)
        self.water = Water(channels)
        self.patches = Patches(channels)
        self.occluders = Decoder(channels, 1, occluders)
        self.course = CourseDecoder(channels[2:], course)

    def forward(self, photo: Tensor) -> Sight:
        features = self.backbone(photo.contiguous(memory_format=torch.channels_last))
        return self.sight(photo, features, self.decoder.decoded(features))

    def sight(self, photo: Tensor, features: list[Tensor], decoded: Decoded) -> Sight:
        """features: the backbone's of the photo; decoded: what the decoder of classes makes of these.

        Presence is read from features that others shape: gradients through deviations and maxima are as large as wild.
        """
        presence = self.presence([maps.detach() for maps in features])
        classes = gated(decoded.fine, presence)
        moving = F.interpolate(classes[:, 1:].detach().exp(), photo.shape[2:], mode="bilinear", align_corners=False)
        return Sight(
            classes=classes,
            occluder=self.occluders(features),
            direction=self.course(features[2:], cues(photo, moving)),
            water=self.water(features),
            patches=self.patches(features),
            presence=presence,
        )

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Eye:
        """The network whose weights these are; sizes come from the shapes. WeightsMalformed if they do not fit."""

        def build() -> Eye:
            stages = "stem", *(f"stages.{i}.0.project" for i in range(len(DEPTHS)))
            backbone = tuple(len(tensors[f"backbone.{name}.bias"]) for name in stages)
            parts = (_part(tensors, name) for name in ("decoder", "occluders", "course"))
            return cls(backbone, *(decoder_widths(part) for part in parts))

        return load(build, tensors, "The eye's weights do not fit its network; fetch the model again.")


def gated(logits: Tensor, presence: Tensor) -> Tensor:
    """Logits of classes [N,5,h,w] and of their presence [N,4] -> log-probabilities [N,5,h,w].

    As odds, so that a place of which the decoder is surer than the presence head still moves.
    """
    static, moving = logits.float().log_softmax(1).split([1, logits.shape[1] - 1], 1)
    return torch.cat([static, moving + F.logsigmoid(presence.float())[:, :, None, None]], 1).log_softmax(1)


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): x for key, x in tensors.items() if key.startswith(f"{name}.")}
