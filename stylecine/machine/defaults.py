"""PyTorch's defaults, which notebooks and other libraries change for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

_lock = threading.Lock()
_inside = 0  # calls, of all threads
_before: Any = None  # the caller's default type


@contextmanager
def _usual_defaults() -> Iterator[None]:
    """New tensors are float32 on the CPU, as the package expects; the caller's defaults come back afterwards."""
    import torch

    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _inside += 1
    try:
        # The context slows every operation down a little, and is seldom needed.
        with nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu"):
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_default_dtype(_before)


with_usual_defaults = _usual_defaults()  # decorates functions: a new context for each call
