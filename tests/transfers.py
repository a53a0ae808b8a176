"""What would hold a GPU up: numbers that go to it or come back, and many small operations."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {
    aten.lift_fresh.default: "a tensor is made of Python's numbers",
    aten._local_scalar_dense.default: "a number is read back",
    aten.nonzero.default: "the size of a result is read back",
    aten.is_nonzero.default: "a condition is read back",
}


class NoTransfers(TorchDispatchMode):
    """Within this, an AssertionError for any operation that on a GPU would copy from or to the host."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        assert func not in WAITING, f"{func}: {WAITING[func]}"
        return func(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    """Counts the operations of which a GPU would launch a kernel: all but views and empty tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += not func.is_view and "empty" not in func.overloadpacket.__name__
        return func(*args, **(kwargs or {}))
