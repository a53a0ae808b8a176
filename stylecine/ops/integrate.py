"""Advection of points along a steady flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native

MAX_SUBSTEPS = 1 << 16  # as in integrate.h


def integrate(flow: Tensor, knots: int, stride: float, substeps: int = 2) -> tuple[Tensor, Tensor]:
    """Displacements of every grid point after 0, stride, 2*stride ... time units, by midpoint steps (RK2).

    flow: float32 [N,2,h,w], pixels of its grid per time unit, replicated past its border; values that are not finite
    count as 0. Returns (displacement, rate), each [knots,N,2,h,w]: how far the point that started at x has moved, in
    pixels, and its velocity v(x + displacement) there. substeps: midpoint steps from one knot to the next, at most
    65536.

    Raises ValueError if the flow has another shape or type, or there is no knot, no step or too many.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or flow.numel() == 0 or flow.dtype != torch.float32:
        raise ValueError(f"integrate: the flow is float32 [N,2,h,w], not {flow.dtype} {list(flow.shape)}.")
    if knots < 1 or not 1 <= substeps <= MAX_SUBSTEPS:
        least = f"integrate: there is at least 1 knot, and 1 to {MAX_SUBSTEPS} substeps"
        raise ValueError(f"{least}, not {knots} and {substeps}.")
    if not native.available(flow.device):
        return reference(flow, knots, stride, substeps)
    positions, rates = (flow.new_empty(knots, *flow.shape) for _ in range(2))
    fields, _, h, w = flow.shape
    native.run("integrate", _Args(flow, fields, h, w, knots, substeps, stride, positions, rates), flow.device)
    return positions, rates


_Args = native.structure("float *flow; int64_t fields, h, w, knots, substeps; double stride; float *positions, *rates")


def reference(flow: Tensor, knots: int, stride: float, substeps: int = 2) -> tuple[Tensor, Tensor]:
    """integrate() in plain PyTorch."""
    flow = flow.nan_to_num(0.0, 0.0, 0.0)
    step = stride / substeps
    position, rate = torch.zeros_like(flow), flow
    positions, rates = [position], [rate]
    for _ in range(knots - 1):
        for _ in range(substeps):
            position = position + step * look_up(flow, position + 0.5 * step * rate)
            rate = look_up(flow, position)
        positions.append(position)
        rates.append(rate)
    return torch.stack(positions), torch.stack(rates)


def look_up(field: Tensor, offset: Tensor) -> Tensor:
    """`field` [N,C,h,w] at x + offset(x), bilinear; offset [N,2,h,w] in the field's pixels, border replicated."""
    h, w = field.shape[-2:]
    x = torch.arange(w, dtype=offset.dtype, device=offset.device) + 0.5
    y = torch.arange(h, dtype=offset.dtype, device=offset.device)[:, None] + 0.5
    grid = torch.stack(((offset[:, 0] + x) * (2 / w) - 1, (offset[:, 1] + y) * (2 / h) - 1), dim=-1)
    return F.grid_sample(field, grid, padding_mode="border", align_corners=False)
