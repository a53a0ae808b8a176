"""Colours of a frame changed by a bilateral grid of affine transforms, sliced at each pixel's place and luma.

The grid is that of Chen, Paris and Durand, "Real-time Edge-aware Image Processing with the Bilateral Grid" (SIGGRAPH
2007); affine transforms in its cells are fitted to a small picture as in Chen et al., "Bilateral Guided Upsampling"
(SIGGRAPH Asia 2016): pixels close in place and brightness change alike, so edges stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.image import LUMA, dither

MAX_AMOUNT = 16.0


class Recolouring(NamedTuple):
    """How the colours of frames uint8 [n,H,W,3] change; all but the amounts are the same for all frames.

    grid     float32 [D,gh,gw,4,4]: at each point four columns, for red, green, blue and 1 (white is 1): what each adds
             to red, green and blue, and an unused number. Its gh·gw equal cells cover the frame; lumas go from black,
             0, to white, D−1.
    amounts  of each frame: how far its colours go from its own (0 keeps the bytes) to the sums, clamped (1).
    moving   uint8 [H,W]: where it is 0, frames stay as they are, or go by the amount to `still`, uint8 [H,W,3]: static
             pixels need not be recoloured again.
    """

    grid: Tensor
    amounts: Sequence[float]
    moving: Tensor | None = None
    still: Tensor | None = None

    def check(self, shape: Sequence[int], device: torch.device) -> None:
        """Raises ValueError if shapes, types or devices do not fit frames of this shape on this device."""
        frames, height, width, _ = shape
        count = len(self.amounts)
        if count != frames:
            raise ValueError(f"recolour: frames are [n,H,W,3] and amounts n, not {list(shape)} and {count}.")
        if self.grid.ndim != 5:
            raise ValueError(f"recolour: the grid is [D,gh,gw,4,4], not {list(self.grid.shape)}.")
        native.check_tensor("recolour: grid", self.grid, (*self.grid.shape[:3], 4, 4), torch.float32, device)
        for amount in self.amounts:
            if not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
                raise ValueError(f"recolour: the amount is from {-MAX_AMOUNT:g} to {MAX_AMOUNT:g}, not {amount}.")
        if self.still is not None and self.moving is None:
            raise ValueError("recolour: still needs moving, which says where it counts.")
        if self.moving is not None:
            native.check_tensor("recolour: moving", self.moving, (height, width), torch.uint8, device)
        if self.still is not None:
            native.check_tensor("recolour: still", self.still, (height, width, 3), torch.uint8, device)


def recolour(
    frame: Tensor, grid: Tensor, amount: float = 1.0, *, moving: Tensor | None = None, still: Tensor | None = None
) -> Tensor:
    """A copy of a frame, uint8 [H,W,3], with its colours changed: see `Recolouring`.

    Raises ValueError if shapes, types or devices do not fit.
    """
    copy = frame.clone(memory_format=torch.contiguous_format)
    recolour_(copy[None], Recolouring(grid, [amount], moving, still))
    return copy


def recolour_(frames: Tensor, recolouring: Recolouring) -> Tensor:
    """Frames, uint8 [n,H,W,3] and contiguous, with their colours changed in place.

    That takes less time than frame by frame, as all of them read the same transforms. Raises ValueError if shapes,
    types or devices do not fit.
    """
    native.check_frames("recolour", frames)
    recolouring.check(frames.shape, frames.device)
    if not native.available(frames.device):
        return frames.copy_(reference(frames, recolouring))
    native.run("recolour", arguments(frames, recolouring), frames.device)
    return frames


_Args = native.structure(
    "uint8_t *frame; int64_t frames, height, width; float *grid; int64_t depth, gh, gw; float *amount; uint8_t *moving,"
    "*still, *out"
)


def arguments(frames: Tensor, recolouring: Recolouring) -> native.Arguments:
    """For the kernel, which changes the frames in place."""
    grid, amounts, moving, still = recolouring
    return _Args(frames, *frames.shape[:3], grid, *grid.shape[:3], amounts, moving, still, frames)


def reference(frames: Tensor, recolouring: Recolouring) -> Tensor:
    """recolour_() of copies, in plain PyTorch."""
    grid, amounts, moving, still = recolouring
    noise, made = dither(frames.shape[1], frames.shape[2], frames.device)[..., None], []
    for frame, amount in zip(frames, amounts, strict=True):
        colours = frame.float() / 255
        homogeneous = torch.cat((colours, torch.ones_like(colours[..., :1])), -1)[..., None]
        added = (slice_grid(grid, colours) * homogeneous).sum(-2)[..., :3]
        whole = (colours + added).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
        if moving is not None:
            whole = torch.where(moving[..., None] > 0, whole, colours if still is None else still.float() / 255)
        changed = ((colours + amount * (whole - colours)) * 255).clamp(0, 255)
        made.append((changed + noise).to(torch.uint8))
    return torch.stack(made)


def slice_grid(grid: Tensor, colours: Tensor) -> Tensor:
    """What a grid [D,gh,gw,4,4] says at each pixel of [H,W,3] in [0,1]: [H,W,4,4]."""
    points = grid_places(colours, len(grid))
    values = grid.flatten(3).permute(3, 0, 1, 2)[None]
    sliced = F.grid_sample(values, points[None, None], padding_mode="border", align_corners=False)
    return sliced[0, :, 0].permute(1, 2, 0).unflatten(-1, (4, 4))


def grid_places(colours: Tensor, depth: int) -> Tensor:
    """Where the pixels of [H,W,3] in [0,1] lie in a grid, as `grid_sample` without aligned corners reads it: x, y and
    luma, [H,W,3]."""
    h, w = colours.shape[:2]
    luma = colours @ colours.new_tensor(LUMA)
    y, x = ((2 * torch.arange(n, device=colours.device) + 1) / n - 1 for n in (h, w))
    level = (2 * luma * (depth - 1) + 1) / depth - 1
    return torch.stack((x.expand(h, w), y[:, None].expand(h, w), level), -1)
