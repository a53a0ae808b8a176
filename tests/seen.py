"""What is seen in made-up photos, with stand-ins for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.networks.eye import FOAM, KINDS
from stylecine.perception.look import perceive
from stylecine.perception.scenery import Scenery
from stylecine.perception.see import Seen

MIRRORED = torch.tensor([-1.0, 1.0])[:, None, None]


class Everywhere:
    """Sees the same direction and kind of water everywhere, and knows a mirror image."""

    def __init__(self, x: float, y: float, kind: str = "open", foam: str = "none") -> None:
        self.direction = torch.tensor([float(x), float(y)])
        self.kind, self.foam = kind, foam

    def directions(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        """[2,h,w] each: those in the photo, and those in its mirror image, mirrored back."""
        field = self.field(h, w)
        return field, field

    def field(self, h: int, w: int) -> Tensor:
        return self.direction[:, None, None].expand(2, h, w)

    def water(self, h: int, w: int) -> Tensor:
        """[7,h,w], logits."""
        return water_that(self.kind, self.foam)[:, None, None].expand(-1, h, w)


class Habit(Everywhere):
    """Always answers the same, whatever the photo: that much to the right, and so much that it sees downward."""

    def directions(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        field = self.field(h, w)
        return field, field.flip(2) * MIRRORED


def water_that(kind: str, foam: str = "none") -> Tensor:
    """[7]: the logits of water that is surely of this kind, with so much foam."""
    return torch.tensor([9.0 * (name in (kind, foam)) for name in (*KINDS, *FOAM)])


def saying(classes: Tensor, eye: Everywhere) -> Seen:
    """What an eye says that sees nothing before what moves; classes: [5,h,w]."""
    h, w = classes.shape[1:]
    eighth = max(1, h // 4), max(1, w // 4)
    return Seen(classes, classes[0], eye.water(*eighth), *eye.directions(*eighth))


def as_the_eye(photo: Tensor, maps: Tensor) -> Tensor:
    """A refiner that corrects nothing."""
    stands = torch.maximum(maps[:, :1], maps[:, -1:])
    return F.interpolate(stands, photo.shape[-2:], mode="bilinear", align_corners=False).logit(1e-4)


def seen(
    photo: Tensor, layers: Tensor, eye: Everywhere, arrows: Sequence[Sequence[float]] = (), **said: Any
) -> Scenery:
    """What is seen in a photo [3,H,W] in [-1,1] of which the layers [4,H,W] are known; without its edges."""
    classes = torch.cat([1 - layers.amax(0, keepdim=True), layers])
    return perceive(photo, layers, saying(classes, eye), arrows=arrows, **said)
