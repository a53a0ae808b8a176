"""What a GPU would have to wait for: numbers that go to it or come back."""

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
