"""Colours of a frame changed by a bilateral grid of affine transforms, sliced at each pixel's place and luma.

The grid is that of Chen, Paris and Durand, "Real-time Edge-aware Image Processing with the Bilateral Grid" (SIGGRAPH
2007); affine transforms in its cells are fitted to a small picture as in Chen et al., "Bilateral Guided Upsampling"
(SIGGRAPH Asia 2016): what is close in place and in brightness changes alike, so edges stay where they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.operators import operator
from stylecine.ops.render import dither

LUMA = (0.299, 0.587, 0.114)  # Rec. 601
MAX_AMOUNT = 16.0


def recolour(
    frame: Tensor, grid: Tensor, amount: float = 1.0, *, moving: Tensor | None = None, still: Tensor | None = None
) -> Tensor:
    """A recoloured copy of the frame, uint8 [H,W,3].

    frame   uint8 [H,W,3].
    grid    float32 [D,gh,gw,4,4]: of each point four columns, for red, green, blue and 1 (white is 1), of what is added
            to red, green, blue and nothing. Its gh·gw equal cells cover the frame; lumas go from black, 0, to white,
            D−1.
    amount  how far colours go from the frame's own (0 keeps the bytes) to the sums, clamped (1).
    moving  uint8 [H,W]: where it is 0 the frame stays as it is; or is, at an amount of 1, `still`, uint8 [H,W,3]: what
            never moves need not be computed again.

    Raises ValueError if shapes, types or devices do not fit.
    """
    return recolour_(frame.clone(memory_format=torch.contiguous_format), grid, amount, moving=moving, still=still)


def recolour_(
    frame: Tensor, grid: Tensor, amount: float = 1.0, *, moving: Tensor | None = None, still: Tensor | None = None
) -> Tensor:
    """`recolour` in place, which spares the memory of a copy; the frame has to be contiguous."""
    native.check_tensor("recolour: frame", frame, (*frame.shape[:2], 3), torch.uint8, frame.device)
    if grid.ndim != 5:
        raise ValueError(f"recolour: the grid is [D,gh,gw,4,4], not {list(grid.shape)}.")
    native.check_tensor("recolour: grid", grid, (*grid.shape[:3], 4, 4), torch.float32, frame.device)
    if not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise ValueError(f"recolour: the amount is from {-MAX_AMOUNT:g} to {MAX_AMOUNT:g}, not {amount}.")
    if moving is None and still is not None:
        raise ValueError("recolour: still needs moving, which says where it counts.")
    if moving is not None:
        native.check_tensor("recolour: moving", moving, frame.shape[:2], torch.uint8, frame.device)
    if still is not None:
        native.check_tensor("recolour: still", still, frame.shape, torch.uint8, frame.device)
    if not frame.is_contiguous():
        raise ValueError("recolour: a frame that is changed in place has to be contiguous.")
    torch.ops.stylecine.recolour(frame, grid, float(amount), moving, still)
    return frame


_Args = native.structure(
    "uint8_t *frame; int64_t height, width; float *grid; int64_t depth, gh, gw; float amount; uint8_t *moving,"
    "*still, *out"
)


def _nothing_made(*_: object) -> None:
    pass


@operator("recolour", _nothing_made, changes=("frame",))
def _recolour(frame: Tensor, grid: Tensor, amount: float, moving: Tensor | None, still: Tensor | None) -> None:
    if not native.available(frame.device):
        frame.copy_(reference(frame, grid, amount, moving, still))
        return
    grid = grid.contiguous()
    moving, still = (None if x is None else x.contiguous() for x in (moving, still))
    args = _Args(
        native.pointer(frame), *frame.shape[:2], native.pointer(grid), *grid.shape[:3], amount,
        *(None if x is None else native.pointer(x) for x in (moving, still)), native.pointer(frame),
    )  # fmt: skip
    native.run("recolour", args, frame.device)


def reference(
    frame: Tensor, grid: Tensor, amount: float, moving: Tensor | None = None, still: Tensor | None = None
) -> Tensor:
    """recolour() in plain PyTorch."""
    colours = frame.float() / 255
    transforms = slice_grid(grid, colours)
    ones = torch.ones_like(colours[..., :1])
    change = (transforms * torch.cat((colours, ones), -1)[..., None]).sum(-2)[..., :3]
    whole = (colours + change).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
    if moving is not None:
        whole = torch.where(moving[..., None] > 0, whole, colours if still is None else still.float() / 255)
    changed = ((colours + amount * (whole - colours)) * 255).clamp(0, 255)
    return (changed + dither(frame.shape[0], frame.shape[1], frame.device)[..., None]).to(torch.uint8)


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
