"""Registers the kernels as PyTorch operators, torch.ops.stylecine.X, for the CPU and for CUDA.

torch.library.custom_op is not used: its first call imports torch._dynamo and SymPy, which takes most of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Compute = TypeVar("_Compute", bound=Callable[..., Any])
_LIBRARY = torch.library.Library("stylecine", "DEF")


def operator(name: str, fake: Callable[..., Any], *, changes: tuple[str, ...] = ()) -> Callable[[_Compute], _Compute]:
    """Decorator for the implementation of stylecine::`name`; `fake` returns empty outputs of the right shapes.

    changes: names of the arguments that are changed in place.
    """

    def register(compute: _Compute) -> _Compute:
        _LIBRARY.define(name + torch.library.infer_schema(compute, mutates_args=changes))
        for device in ("CPU", "CUDA"):
            _LIBRARY.impl(name, compute, device)
        torch.library.register_fake(f"stylecine::{name}", fake, lib=_LIBRARY)
        return compute

    return register
