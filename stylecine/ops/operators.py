"""Makes PyTorch operators of the kernels: torch.ops.stylecine.X, for the CPU and for CUDA.

Not by torch.library.custom_op: its first call imports torch._dynamo and SymPy, most of a second in which nothing is
made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Compute = TypeVar("_Compute", bound=Callable[..., Any])
_LIBRARY = torch.library.Library("stylecine", "DEF")


def operator(name: str, fake: Callable[..., Any]) -> Callable[[_Compute], _Compute]:
    """Decorates what computes stylecine::`name`; `fake` makes outputs of the right shapes of the same arguments."""

    def register(compute: _Compute) -> _Compute:
        _LIBRARY.define(name + torch.library.infer_schema(compute, mutates_args=()))
        for device in ("CPU", "CUDA"):
            _LIBRARY.impl(name, compute, device)
        torch.library.register_fake(f"stylecine::{name}", fake, lib=_LIBRARY)
        return compute

    return register
