"""What is seen in made-up photos, with stand-ins for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from stylecine.perception.look import perceive
from stylecine.perception.scenery import Scenery
from stylecine.perception.see import Seen

MIRRORED = torch.tensor([-1.0, 1.0])[:, None, None]


class Everywhere:
    """Sees the same direction everywhere, and knows a mirror image."""

    def __init__(self, x: float, y: float) -> None:
        self.direction = torch.tensor([float(x), float(y)])

    def directions(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        """[2,h,w] each: those in the photo, and those in its mirror image, mirrored back."""
        field = self.field(h, w)
        return field, field

    def field(self, h: int, w: int) -> Tensor:
        return self.direction[:, None, None].expand(2, h, w)


class Habit(Everywhere):
    """Always answers the same, whatever the photo: that much to the right, and so much that it sees downward."""

    def directions(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        field = self.field(h, w)
        return field, field.flip(2) * MIRRORED


def saying(classes: Tensor, directions: tuple[Tensor, Tensor]) -> Seen:
    """What an eye says that sees nothing that sways, and nothing before what moves; classes: [5,h,w]."""
    nothing = torch.zeros(classes.shape[1:])
    return Seen(classes, nothing, nothing[::2, ::2], *directions)


def seen(
    photo: Tensor, layers: Tensor, eye: Everywhere, arrows: Sequence[Sequence[float]] = (), **said: Any
) -> Scenery:
    """What is seen in a photo [3,H,W] in [-1,1] of which the layers [4,H,W] are known; without its edges."""
    h, w = layers.shape[1:]
    classes = torch.cat([1 - layers.amax(0, keepdim=True), layers])
    says = saying(classes, eye.directions(max(1, h // 4), max(1, w // 4)))
    return perceive(photo, layers, says, arrows=arrows, edges=False, **said)
