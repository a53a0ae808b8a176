"""Advection of points along a steady flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def integrate(flow: Tensor, knots: int, stride: float, substeps: int = 2) -> tuple[Tensor, Tensor]:
    """Displacements of every grid point after 0, stride, 2*stride ... time units, by midpoint steps (RK2).

    flow: [N,2,h,w], pixels of its grid per time unit. Returns (displacement, rate), each [knots,N,2,h,w]: how
    far the point that started at x has come, in pixels, and its velocity v(x + displacement) there.
    """
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
