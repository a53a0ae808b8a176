"""Advection of points along a steady flow."""

from __future__ import annotations

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.ops import native
from stylecine.ops.operators import operator


def integrate(flow: Tensor, knots: int, stride: float, substeps: int = 2) -> tuple[Tensor, Tensor]:
    """Displacements of every grid point after 0, stride, 2*stride ... time units, by midpoint steps (RK2).

    flow: float32 [N,2,h,w], pixels of its grid per time unit, replicated past its border; what is not finite counts
    as 0. Returns (displacement, rate), each [knots,N,2,h,w]: how far the point that started at x has come, in pixels,
    and its velocity v(x + displacement) there. `substeps` steps are made from one knot to the next.

    Raises ValueError if the flow has another shape or type, or there is no knot or no step.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or flow.numel() == 0 or flow.dtype != torch.float32:
        raise ValueError(f"integrate: the flow is float32 [N,2,h,w], not {flow.dtype} {list(flow.shape)}.")
    if knots < 1 or substeps < 1:
        raise ValueError(f"integrate: there is at least 1 knot and 1 substep, not {knots} and {substeps}.")
    positions, rates = torch.ops.stylecine.integrate(flow, knots, float(stride), substeps)
    return positions, rates


class _Args(ctypes.Structure):
    _fields_ = (
        ("flow", ctypes.c_void_p),
        ("fields", ctypes.c_int64),
        ("h", ctypes.c_int64),
        ("w", ctypes.c_int64),
        ("knots", ctypes.c_int64),
        ("substeps", ctypes.c_int64),
        ("stride", ctypes.c_double),
        ("positions", ctypes.c_void_p),
        ("rates", ctypes.c_void_p),
    )


def _made(flow: Tensor, knots: int, stride: float, substeps: int) -> tuple[Tensor, Tensor]:
    shape = knots, *flow.shape
    return flow.new_empty(shape), flow.new_empty(shape)


@operator("integrate", _made)
def _integrate(flow: Tensor, knots: int, stride: float, substeps: int) -> tuple[Tensor, Tensor]:
    if not native.available(flow.device):
        return reference(flow, knots, stride, substeps)
    flow = flow.contiguous()
    positions, rates = _made(flow, knots, stride, substeps)
    fields, _, h, w = flow.shape
    args = _Args(
        native.pointer(flow), fields, h, w, knots, substeps, stride, native.pointer(positions), native.pointer(rates)
    )
    native.run("integrate", args, flow.device)
    return positions, rates


def reference(flow: Tensor, knots: int, stride: float, substeps: int) -> tuple[Tensor, Tensor]:
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


def look_up(field: Tensor, offset: Tensor, mode: str = "bilinear", origin: tuple[float, float] = (0, 0)) -> Tensor:
    """Value of `field` [N,C,h,w] at x + offset(x), offset [N,2,a,b] in the field's pixels (x right, y down).

    x runs over a*b pixel centres of the field, from pixel `origin` (row, column) on. Past the border the
    field is replicated. `mode` is grid_sample's.
    """
    h, w = field.shape[-2:]
    a, b = offset.shape[-2:]
    x = torch.arange(b, dtype=offset.dtype, device=offset.device) + (origin[1] + 0.5)
    y = torch.arange(a, dtype=offset.dtype, device=offset.device)[:, None] + (origin[0] + 0.5)
    grid = torch.stack(((offset[:, 0] + x) * (2 / w) - 1, (offset[:, 1] + y) * (2 / h) - 1), dim=-1)
    return F.grid_sample(field, grid, mode=mode, padding_mode="border", align_corners=False)
