"""What is seen in made-up photos, with stand-ins for the motion network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stylecine.perception.look import perceive
from stylecine.perception.scenery import Scenery


class Everywhere(nn.Module):
    """Stands in for the motion network: the same direction everywhere, which it sees in the photo.

    The photos here are brighter on the right, so that it knows a mirror image.
    """

    def __init__(self, x: float, y: float) -> None:
        super().__init__()
        self.direction = torch.tensor([float(x), float(y)])

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
        return torch.stack([mirrored(self.field(*p.shape[1:]), p) for p in photo])

    def field(self, h: int, w: int) -> Tensor:
        return self.direction[:, None, None].expand(2, h // 4, w // 4)


class Habit(Everywhere):
    """Always answers the same, whatever the photo: that much to the right, and so much that it sees downward."""

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
        return torch.stack([self.field(*p.shape[1:]) for p in photo])


def mirrored(field: Tensor, photo: Tensor) -> Tensor:
    """The field as the stub sees it in this photo, which may be a mirror image."""
    is_mirrored = photo[0, :, 0].mean() > photo[0, :, -1].mean()
    return field.flip(2) * torch.tensor([-1.0, 1.0])[:, None, None] if is_mirrored else field


def seen(
    photo: Tensor, layers: Tensor, network: nn.Module, arrows: Sequence[Sequence[float]] = (), **said: Any
) -> Scenery:
    """What is seen in a photo [3,H,W] in [-1,1] of which the layers [4,H,W] are known; without its edges."""
    return perceive(photo, layers, network, arrows=arrows, edges=False, **said)  # type: ignore[arg-type]
