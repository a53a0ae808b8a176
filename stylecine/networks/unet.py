"""A small U-Net (Ronneberger et al. 2015), optionally conditioned by FiLM (Perez et al. 2018).

The networks of cloth are made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed

GROUPS = 8
Network = TypeVar("Network", bound=nn.Module)


class Conv2d(nn.Conv2d):
    """A convolution that a GPU computes without cuDNN, but in training.

    cuDNN plans each shape when it comes first, in each thread, which takes milliseconds. Of these networks' hundreds of
    convolutions a photo has most once: with cuDNN its loop took seven seconds to make on an H200, and takes four.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and not torch.is_grad_enabled():
            return self.unplanned(x)
        return super().forward(x)

    def unplanned(self, x: Tensor) -> Tensor:
        """The same, but for PyTorch's choice of an implementation."""
        assert not isinstance(self.padding, str)
        where = self.stride, self.padding, self.dilation, False, (0, 0), self.groups
        benchmark = deterministic = cudnn = tf32 = False
        return torch._convolution(x, self.weight, self.bias, *where, benchmark, deterministic, cudnn, tf32)


class UNet(nn.Module):
    """maps [N,inputs,H,W], condition [N,condition] or None -> features [N,widths[0],H/stride,W/stride].

    `widths` are those of the features at that size, half of it, …; each a multiple of 8, on CPUs best of 16. H and W
    are multiples of the stride, and large enough for one pixel to be left. The condition scales and shifts the features
    of every block.
    """

    def __init__(
        self, inputs: int, widths: tuple[int, ...], stride: int = 1, condition: int = 0
    ) -> None:
        super().__init__()
        self.enter = Conv2d(inputs, widths[0], 5, stride=stride, padding=2)
        before = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(Block(a, b, condition) for a, b in zip(before, widths, strict=True))
        self.overall = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            Block(widths[i] + widths[i - 1], widths[i - 1], condition) for i in range(len(widths) - 1, 0, -1)
        )

    def forward(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.enter(maps)
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else F.avg_pool2d(x, 2), condition)
            skips.append(x)
        x = x + self.overall(x.mean((2, 3)))[:, :, None, None]
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1), condition)
        return x


class Block(nn.Module):
    """x [N,inputs,H,W], condition [N,condition] or None -> [N,width,H,W]."""

    def __init__(self, inputs: int, width: int, condition: int = 0) -> None:
        super().__init__()
        self.first = Conv2d(inputs, width, 3, padding=1)
        self.second = Conv2d(width, width, 3, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, width), nn.GroupNorm(GROUPS, width)
        self.film = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        x = F.relu(self.norm1(self.first(x)))
        x = self.norm2(self.second(x))
        if self.film is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
            x = x * (1 + scale) + shift
        return F.relu(x)


def widths_of(tensors: Mapping[str, Tensor], prefix: str = "") -> tuple[int, ...]:
    """The widths of the UNet whose tensors are called prefix + name. KeyError if they are no UNet's."""
    levels = sum(name.startswith(f"{prefix}down.") and name.endswith("first.bias") for name in tensors)
    return tuple(len(tensors[f"{prefix}down.{i}.first.bias"]) for i in range(levels))


def coordinates(maps: Tensor) -> Tensor:
    """Rows and columns from -1 to 1, [N,2,H,W], of the pixel centres of maps [N,C,H,W]."""
    n, _, h, w = maps.shape
    rows = (torch.arange(h, device=maps.device, dtype=maps.dtype) + 0.5) / h * 2 - 1
    columns = (torch.arange(w, device=maps.device, dtype=maps.dtype) + 0.5) / w * 2 - 1
    return torch.stack([rows[:, None].expand(h, w), columns[None].expand(h, w)]).expand(n, 2, h, w)


def central_differences(maps: Tensor, beyond: str = "constant") -> tuple[Tensor, Tensor]:
    """Of [N,C,H,W] in x and in y. beyond: the border, F.pad's mode."""
    padded = F.pad(maps, (1, 1, 1, 1), mode=beyond)
    dx = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    return dx, (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2


def normal(*shape: int, deviation: float = 1.0) -> Tensor:
    """Random values that a network begins with; none for one that tensors will fill: on the meta device torch.randn,
    or any arithmetic, imports SymPy, which takes 80 MB and a third of a second."""
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_(std=deviation)


def load(build: Callable[[], Network], tensors: Mapping[str, Tensor], message: str, part: str = "") -> Network:
    """The network that `build` makes, with these tensors, for inference. WeightsMalformed if they do not fit.

    part: the name of the module whose tensors they are; "": of the whole. The tensors are not copied.
    """
    try:
        with torch.device("meta"):  # no memory, and no random values, for what the tensors replace
            network = build()
        network.get_submodule(part).load_state_dict(dict(tensors), assign=True)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsMalformed(message) from error
    return network.eval().requires_grad_(False)
