"""Which way it moves: a small U-Net (Ronneberger et al. 2015) from photo and layers to a direction field.

Its first look is not learned: which way texture and banks run (structure tensors, Bigün and Granlund 1987), since a
few hundred photos are few to learn that from.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed

GROUPS = 8
INPUTS = 24  # photo 3, layers 4, hints 3, coordinates 2, orientations of four kinds 3 each


class MotionNet(nn.Module):
    """photo [N,3,H,W] in [-1,1], layers [N,4,H,W], hints [N,3,H,W] -> [N,2,H/4,W/4]; H and W multiples of 16.

    Hints are the known direction (x, y) and a confidence in [0,1], all 0 where nothing is known. The answer is
    x right, y down, in tenths of the short side; only its direction and its relative length mean something.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64, 56)) -> None:
        super().__init__()
        self.enter = nn.Conv2d(INPUTS, widths[0], 5, stride=2, padding=2)
        before = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(_Block(a, b) for a, b in zip(before, widths, strict=True))
        self.overall = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(_Block(widths[i] + widths[i - 1], widths[i - 1]) for i in range(len(widths) - 1, 0, -1))
        self.leave = nn.Conv2d(widths[0], 2, 1)

    def forward(self, photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
        x = self.enter(first_look(photo, layers, hints))
        fine = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else F.avg_pool2d(x, 2))
            fine.append(x)
        x = x + self.overall(x.mean((2, 3)))[:, :, None, None]
        x = F.dropout2d(x, 0.2, self.training)
        for block, skip in zip(self.up, fine[-2::-1], strict=True):
            x = F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.leave(x)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> MotionNet:
        """The network of these weights, sizes from their shapes. WeightsMalformed if they do not fit."""
        try:
            levels = sum(name.startswith("down.") and name.endswith("first.bias") for name in tensors)
            network = cls(widths=tuple(len(tensors[f"down.{i}.first.bias"]) for i in range(levels)))
            network.load_state_dict(tensors)
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise WeightsMalformed("The motion weights do not fit their network; fetch the model again.") from error
        return network.eval().requires_grad_(False)


def first_look(photo: Tensor, layers: Tensor, hints: Tensor) -> Tensor:
    """What the first convolution sees, [N,24,H/2,W/2]."""
    half = F.avg_pool2d(torch.cat([photo, layers, hints], 1), 2)
    grey, banks = photo.mean(1, keepdim=True), half[:, 4:6].sum(1, keepdim=True)  # of water and falls
    coarse_grey, coarse_banks = F.avg_pool2d(grey, 4), F.avg_pool2d(banks, 4)
    looks = [
        orientation(grey, 2, 2),
        orientation(grey, 8, 2),
        orientation(coarse_grey, 4, 1),
        orientation(coarse_banks, 2, 3),
    ]
    looks = [F.interpolate(look, half.shape[-2:], mode="bilinear", align_corners=False) for look in looks]
    return torch.cat([half, _coordinates(half), *looks], 1)


def orientation(image: Tensor, shrink: int, radius: int) -> Tensor:
    """[N,1,H,W] -> [N,3,H/shrink,W/shrink]: cos and sin of twice the angle along which it changes least, times
    coherence, and how much it changes; of the `radius` shrunk pixels around."""
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
