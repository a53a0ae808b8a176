"""Which way it moves: a small U-Net (Ronneberger et al. 2015) from photo and layers to a direction field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed

GROUPS = 8


class MotionNet(nn.Module):
    """photo [N,3,H,W] in [-1,1], layers [N,K,H,W], hints [N,3,H,W] -> [N,2,H/2,W/2]; H and W multiples of 16.

    Hints are the known motion (x, y) and a confidence in [0,1], all 0 where nothing is known. The answer is
    x right, y down, in tenths of the short side; only its direction and its relative length mean something.
    """

    def __init__(self, inputs: int = 12, widths: tuple[int, ...] = (16, 24, 32, 48, 64)) -> None:
        super().__init__()
        before = (inputs, *widths[:-1])
        self.down = nn.ModuleList(_Block(a, b) for a, b in zip(before, widths, strict=True))
        self.overall = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            _Block(widths[i] + widths[i - 1], widths[i - 1]) for i in range(len(widths) - 1, 1, -1)
        )
        self.leave = nn.Conv2d(widths[1], 2, 1)

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
        x = torch.cat([photo, layers, hints, _coordinates(photo)], 1)
        fine = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else F.avg_pool2d(x, 2))
            fine.append(x)
        x = x + self.overall(x.mean((2, 3)))[:, :, None, None]
        for block, skip in zip(self.up, fine[-2:0:-1], strict=True):
            x = block(
                torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), skip], 1)
            )
        return self.leave(x)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> MotionNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        try:
            levels = sum(name.startswith("down.") and name.endswith("first.bias") for name in tensors)
            network = cls(
                inputs=tensors["down.0.first.weight"].shape[1],
                widths=tuple(len(tensors[f"down.{i}.first.bias"]) for i in range(levels)),
            )
            network.load_state_dict(tensors)
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise WeightsMalformed(
                "The motion weights do not fit their network; fetch the model again."
            ) from error
        return network.eval().requires_grad_(False)


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, width), nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(x)))


def _coordinates(x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    rows = (torch.arange(h, device=x.device, dtype=x.dtype) + 0.5) / h * 2 - 1
    columns = (torch.arange(w, device=x.device, dtype=x.dtype) + 0.5) / w * 2 - 1
    return torch.stack([rows[:, None].expand(h, w), columns[None].expand(h, w)]).expand(n, 2, h, w)
